"""Results of MinHash libraries on given sets of shingles: estimated similarities, and what their LSH finds.

``paraphrases.py`` runs this file with the interpreter that has the libraries: ``IN.json OUT.json``. It imports no
code of the product.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasketch import MinHash, MinHashLSH
from rensa import RMinHash, RMinHashLSH

PERMUTATIONS = (64, 128)
_LSH_PERMUTATIONS = 128
_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_BANDS = (128, 64, 32, 16)
Pairs = Sequence[tuple[int, int]]


def _datasketch(sets: list[list[str]], permutations: int) -> list[MinHash]:
    return MinHash.bulk([[shingle.encode() for shingle in some] for some in sets], num_perm=permutations)


def _rensa(sets: list[list[str]], permutations: int) -> list[RMinHash]:
    return RMinHash.from_token_sets(sets, num_perm=permutations, seed=42)


def _estimated(signatures: Sequence[Any], pairs: Pairs) -> list[float]:
    return [signatures[left].jaccard(signatures[right]) for left, right in pairs]


def _found(signatures: Sequence[Any], pairs: Pairs, query: Callable[[Any], Sequence[int]]) -> list[bool]:
    """Whether the index, queried with the left of a pair, returns the right."""
    answers = {left: set(query(signatures[left])) for left in {left for left, _ in pairs}}
    return [right in answers[left] for left, right in pairs]


def _lsh(sets: list[list[str]], pairs: Pairs) -> dict[str, list[bool]]:
    found, rights = {}, sorted({right for _, right in pairs})
    signatures = _datasketch(sets, _LSH_PERMUTATIONS)
    for threshold in _THRESHOLDS:
        index = MinHashLSH(threshold=threshold, num_perm=_LSH_PERMUTATIONS)
        for right in rights:
            index.insert(right, signatures[right], check_duplication=False)
        found[f"datasketch, threshold {threshold}: {index.b} x {index.r}"] = _found(signatures, pairs, index.query)
    signatures = _rensa(sets, _LSH_PERMUTATIONS)
    for bands in _BANDS:
        width = _LSH_PERMUTATIONS // bands
        # Its threshold only serves comparisons; that of the bands follows from their number.
        index = RMinHashLSH(threshold=(1 / bands) ** (1 / width), num_perm=_LSH_PERMUTATIONS, num_bands=bands)
        index.insert_pairs([(right, signatures[right]) for right in rights])
        found[f"rensa, {bands} x {width}"] = _found(signatures, pairs, index.query)
    return found


def main() -> None:
    """Read the sets and pairs, write the estimates."""
    given, out = map(Path, sys.argv[1:])
    asked = json.loads(given.read_text(encoding="utf-8"))
    sets, pairs = asked["sets"], asked["pairs"]
    scores = {
        f"{name}, {permutations} permutations": _estimated(sign(sets, permutations), pairs)
        for name, sign in (("datasketch", _datasketch), ("rensa", _rensa))
        for permutations in PERMUTATIONS
    }
    out.write_text(json.dumps({"scores": scores, "found": _lsh(sets, pairs)}), encoding="utf-8")


if __name__ == "__main__":
    main()
