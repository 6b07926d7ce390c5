"""How texts are cleaned, cut into words, counted in tokens and screened, and where two of them differ.

In: values of raw rows. Out: normalized texts and the keys under which equal inputs meet, words and their hashes,
token counts, findings.
"""

__all__ = [
    "answer_keys",
    "field_paths",
    "meaning_guards",
    "normalize",
    "screening",
    "tokens",
    "uint64_ops",
    "word_diff",
    "word_kernels",
    "wording",
    "words",
]
