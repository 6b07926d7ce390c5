"""How texts are cleaned, split into words, counted in tokens, screened and diffed.

In: values of raw rows. Out: normalized texts and the keys that equal inputs share, words and their hashes,
token counts, findings.
"""

__all__ = [
    "answer_keys",
    "field_paths",
    "free_wording",
    "meaning_guards",
    "normalize",
    "screening",
    "token_lengths",
    "tokens",
    "uint64_ops",
    "word_diff",
    "word_kernels",
    "wording",
    "words",
]
