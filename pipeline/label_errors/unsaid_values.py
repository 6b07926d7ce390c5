"""How likely a value is wrong because the text does not say it: the rarer that is in its field, the likelier."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import Hashes, hashed
from pipeline.sorted_places import places_of
from schemas.field_values import Leaf

_EXPECTED, _ROWS = 0.03, 10
"""The share of right values that a text does not say, before any was seen, and how many values that counts as."""
_VALUES = 5
"""As how many values the field counts, for one of its values."""
_CERTAIN = 0.98
_DESCRIBES = 0.5
"""A field whose values the texts mostly do not say describes them."""
_OFTEN = 2
"""A value that texts say is kept from here on: a single one hardly counts."""
_Counts = tuple[int, int]
"""How often there, and how often the text does not say it."""


def unsaid_shares(said: Sequence[Sequence[Leaf]], unsaid: Sequence[Sequence[Leaf]]) -> list[list[float]]:
    """For every row's values that its text does not say: how likely each is wrong, from 0 to 1.

    A field is known by its other rows: if their texts mostly do not say its values, either, they describe the text. The
    same holds for a single value, such as the *yes* of a field of texts.

    Args:
        said: the values of every row that its text says.
        unsaid: the others.
    """
    counts = _counted(said, unsaid)

    def others(key: str) -> _Counts:
        there, gone = counts[key]
        return there - 1, gone - 1

    return [[_share(others(leaf.path), others(_of_value(leaf))) for leaf in row] for row in unsaid]


@dataclass(frozen=True)
class UnsaidCounts:
    """What is known of fields and values when later rows are judged."""

    keys: Hashes
    """Sorted; of fields, and of values in fields."""
    counts: npt.NDArray[np.int32]
    """Keys x 2: how often there, and how often the text does not say it."""

    @classmethod
    def of(cls, said: Sequence[Sequence[Leaf]], unsaid: Sequence[Sequence[Leaf]]) -> "UnsaidCounts":
        """Those of the rows that are learned from, as for ``unsaid_shares``."""
        kept = {key: two for key, two in _counted(said, unsaid).items() if two[0] >= _OFTEN or two[1]}
        keys = hashed(kept)
        order = np.argsort(keys)
        return cls(keys[order], np.array(list(kept.values()), dtype=np.int32).reshape(-1, 2)[order])

    def shares(self, unsaid: Sequence[Sequence[Leaf]]) -> list[list[float]]:
        """For every later row's values that its text does not say: how likely each is wrong."""
        leaves = [leaf for row in unsaid for leaf in row]
        fields, values = self._found([leaf.path for leaf in leaves]), self._found(list(map(_of_value, leaves)))
        shares = map(_share, fields, values)
        return [[next(shares) for _ in row] for row in unsaid]

    def _found(self, keys: list[str]) -> list[_Counts]:
        places = places_of(hashed(keys), self.keys)
        found = np.zeros((len(keys), 2), dtype=np.int64)
        found[places >= 0] = self.counts[places[places >= 0]]
        return [(there, gone) for there, gone in found.tolist()]


def _counted(said: Sequence[Sequence[Leaf]], unsaid: Sequence[Sequence[Leaf]]) -> Mapping[str, _Counts]:
    there, gone = Counter[str](), Counter[str]()
    for rows, counters in ((said, (there,)), (unsaid, (there, gone))):
        for leaf in (leaf for row in rows for leaf in row):
            for counter in counters:
                counter[leaf.path] += 1
                counter[_of_value(leaf)] += 1
    return {key: (count, gone[key]) for key, count in there.items()}


def _share(of_field: _Counts, of_value: _Counts) -> float:
    """How likely a value is wrong, by the others of its field, and by those of them that equal it."""
    in_field = (of_field[1] + _EXPECTED * _ROWS) / (of_field[0] + _ROWS)
    if in_field >= _DESCRIBES:
        return 0.0
    usual = (of_value[1] + in_field * _VALUES) / (of_value[0] + _VALUES)
    return _CERTAIN * (1 - usual) ** 2


def _of_value(leaf: Leaf) -> str:
    value = leaf.value
    # Equal numbers have equal hashes, also 1 and 1.0.
    written = unicodedata.normalize("NFKC", value).casefold() if isinstance(value, str) else f"\0{hash(value)}"
    return f"{leaf.path}\0{written}"
