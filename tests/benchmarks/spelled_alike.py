"""Which damaged copies of short texts are found to be spelled alike, and how many other pairs are.

python tests/benchmarks/spelled_alike.py FILE TEXT LABEL    a CSV or JSONL file, and its columns; half a minute
"""

import argparse
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from rapidfuzz.distance import Indel
from rich.console import Console
from tables import Results

from pipeline.similarity.pairs import similar_pairs, verify
from pipeline.similarity.signatures import SPELLING, Scheme
from pipeline.similarity.spelling import Spelling, spelled
from pipeline.similarity.text_columns import Rows, Texts
from pipeline.text.words import words

_EACH = 400
_ARTICLES = ("a", "the", "just", "so")
Damage = Callable[[random.Random, list[str]], list[str]]
Rule = Callable[[list[str], list[str]], bool]


def _damaged(rng: random.Random, own: list[str]) -> list[str]:
    at = rng.choice([place for place, word in enumerate(own) if len(word) > 3])
    word, place = own[at], rng.randrange(1, len(own[at]) - 1)
    kept = [word[:place], word[place], word[place + 1], word[place + 2 :]]
    wrong = (
        kept[0] + kept[2] + kept[3],
        kept[0] + kept[2] + kept[1] + kept[3],
        kept[0] + rng.choice("aeiourst") + kept[2] + kept[3],
        kept[0] + 2 * kept[1] + kept[2] + kept[3],
    )
    return [*own[:at], rng.choice(wrong), *own[at + 1 :]]


def _rotated(rng: random.Random, own: list[str]) -> list[str]:
    at = rng.randrange(1, len(own))
    return own[at:] + own[:at]


def _moved(rng: random.Random, own: list[str]) -> list[str]:
    at = rng.randrange(len(own) - 1)
    return [*own[:at], own[at + 1], own[at], *own[at + 2 :]]


def _joined(rng: random.Random, own: list[str]) -> list[str]:
    at = rng.randrange(len(own) - 1)
    return [*own[:at], own[at] + own[at + 1], *own[at + 2 :]]


def _longer(rng: random.Random, own: list[str]) -> list[str]:
    at = rng.randrange(len(own) + 1)
    return [*own[:at], rng.choice(_ARTICLES), *own[at:]]


def _twice(rng: random.Random, own: list[str]) -> list[str]:
    return _damaged(rng, _damaged(rng, own))


WAYS: dict[str, Damage] = {
    "a damaged word": _damaged,
    "two typing errors": _twice,
    "rotated": _rotated,
    "two words swapped": _moved,
    "two words joined": _joined,
    "a small word more": _longer,
}


def _letters_in_common(one: list[str], other: list[str]) -> bool:
    """The cheap alternative: a share of letters, whatever the words."""
    in_order = Indel.normalized_similarity(" ".join(sorted(one)), " ".join(sorted(other)))
    return max(in_order, Indel.normalized_similarity("".join(one), "".join(other))) >= 0.9


def _by_words(one: list[str], other: list[str]) -> bool:
    texts = Texts.of([" ".join(one), " ".join(other)])
    return float(verify(texts, np.array([0]), np.array([1])).similarity[0]) >= 0.7


RULES: dict[str, Rule] = {
    "word 3-grams, 0.7": _by_words,
    "letters in common, 0.9": _letters_in_common,
    "**spelled alike**": lambda one, other: Spelling(one).is_like(Spelling(other)),
}


def _proposed(texts: list[str]) -> list[tuple[int, int]]:
    """What the search compares word by word."""
    least = Scheme.of(SPELLING, 1).threshold
    found = similar_pairs(Texts.of(spelled(texts)), least)
    near: Rows = np.flatnonzero(found.similarity >= least)
    return list(zip(found.left[near].tolist(), found.right[near].tolist(), strict=True))


def _largest_group(rows: int, pairs: list[tuple[int, int]]) -> int:
    parent = list(range(rows))

    def root(row: int) -> int:
        while parent[row] != row:
            row = parent[row]
        return row

    for one, other in pairs:
        parent[root(one)] = root(other)
    return max(Counter(map(root, range(rows))).values())


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("text")
    parser.add_argument("label")
    args = parser.parse_args()
    read = pl.read_csv if args.file.suffix == ".csv" else pl.read_ndjson
    rows = {" ".join(words(text)): label for text, label in read(args.file).select(args.text, args.label).iter_rows()}
    texts = [text for text in rows if 4 <= len(text.split()) <= 24 and any(len(word) > 4 for word in text.split())]
    labels, own, rng = [rows[text] for text in texts], [text.split() for text in texts], random.Random(0)
    found = []
    for name, damage in WAYS.items():
        pairs = [(one, damage(rng, one)) for one in rng.sample(own, min(_EACH, len(own)))]
        copies = Texts.of(spelled(" ".join(text) for pair in pairs for text in pair))
        left = np.arange(0, 2 * len(pairs), 2)
        proposed = verify(copies, left, left + 1).similarity >= Scheme.of(SPELLING, 1).threshold
        shares = [
            np.mean([rule(*pair) and (met or rule is _by_words) for pair, met in zip(pairs, proposed, strict=True)])
            for rule in RULES.values()
        ]
        found.append((name, *(f"{share:.1%}" for share in shares)))
    console = Console()
    Results("Damaged copies that are found", ("copy", *RULES), found).show(console)
    others, candidates = [], _proposed(texts)
    for name, rule in RULES.items():
        pairs = [(one, other) for one, other in candidates if rule(own[one], own[other])]
        differ = sum(labels[one] != labels[other] for one, other in pairs)
        cells = f"{len(pairs):,}", f"{differ / max(len(pairs), 1):.1%}", f"{_largest_group(len(texts), pairs)}"
        others.append((name, *cells))
    note = f"Among {len(texts):,} texts, {len(candidates):,} pairs are proposed."
    Results("Other pairs", ("rule", "pairs", "other label", "largest group"), others, note).show(console)


if __name__ == "__main__":
    main()
