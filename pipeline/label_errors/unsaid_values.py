"""How likely a value is wrong because the text does not say it: the rarer that is in its field, the likelier."""

import unicodedata
from collections import Counter
from collections.abc import Hashable, Sequence

from schemas.field_values import Leaf

_EXPECTED, _ROWS = 0.03, 10
"""The share of right values that a text does not say, before any was seen, and how many values that counts as."""
_VALUES = 5
"""As how many values the field counts, for one of its values."""
_CERTAIN = 0.98
_DESCRIBES = 0.5
"""A field whose values the texts mostly do not say describes them."""


def unsaid_shares(said: Sequence[Sequence[Leaf]], unsaid: Sequence[Sequence[Leaf]]) -> list[list[float]]:
    """For every row's values that its text does not say: how likely each is wrong, from 0 to 1.

    A field is known by its other rows: if their texts mostly do not say its values, either, they describe the text. The
    same holds for a single value, such as the *yes* of a field of texts.

    Args:
        said: the values of every row that its text says.
        unsaid: the others.
    """
    counts: Counter[Hashable] = Counter()
    gone: Counter[Hashable] = Counter()
    for rows, counters in ((said, (counts,)), (unsaid, (counts, gone))):
        for leaf in (leaf for row in rows for leaf in row):
            for counter in counters:
                counter[leaf.path] += 1
                counter[_value(leaf)] += 1

    def share(leaf: Leaf) -> float:
        value = _value(leaf)
        in_field = (gone[leaf.path] - 1 + _EXPECTED * _ROWS) / (counts[leaf.path] - 1 + _ROWS)
        if in_field >= _DESCRIBES:
            return 0.0
        usual = (gone[value] - 1 + in_field * _VALUES) / (counts[value] - 1 + _VALUES)
        return _CERTAIN * (1 - usual) ** 2

    return [[share(leaf) for leaf in row] for row in unsaid]


def _value(leaf: Leaf) -> Hashable:
    value = leaf.value
    return leaf.path, unicodedata.normalize("NFKC", value).casefold() if isinstance(value, str) else value
