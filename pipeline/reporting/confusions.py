"""Which labels are taken for each other: by the rows that annotators correct, and between annotators."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from pydantic import BaseModel, ConfigDict

from pipeline.review.opinions import Opinion, latest_votes
from schemas.annotation import Verdict
from schemas.field import JsonValue, ValueType
from schemas.field_values import value_in_words
from schemas.task import Task


class Confusion(BaseModel):
    """Two labels of a field that are taken for each other, the more often corrected one first.

    The empty label stands for none.
    """

    model_config = ConfigDict(frozen=True)

    field: str
    one: str
    other: str
    to_other: int = 0
    """Rows that had ``one`` until an annotator corrected it to ``other``."""
    to_one: int = 0
    apart: int = 0
    """Pairs of answers to the same row, one of which says ``one``, and one ``other``."""

    @property
    def total(self) -> int:
        """All three."""
        return self.to_other + self.to_one + self.apart

    def __str__(self) -> str:
        one, other = self.one or "none", self.other or "none"
        counts = {
            f"{one} became {other}": self.to_other,
            f"{other} became {one}": self.to_one,
            "between annotators": self.apart,
        }
        return f"{self.field} {one} / {other}: " + ", ".join(
            f"{count:,} {what}" for what, count in counts.items() if count
        )


def confusions(opinions: Sequence[Opinion], task: type[Task]) -> list[Confusion]:
    """The labels that are confused, the most frequent first; only of choices, sets of choices, and yes or no.

    Args:
        opinions: oldest first; those to gold items and of adjudicators are compared with nobody's.
        task: has the fields.
    """
    closed = [field.name for field in task.task_targets() if field.type in (ValueType.CHOICE, ValueType.BOOLEAN)]
    counts: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for field in closed:
        for old, new in _corrected(opinions, field):
            one, other = sorted((old, new))
            counts[field, one, other]["to_other" if old == one else "to_one"] += 1
        for said, beside in _apart(opinions, field):
            one, other = sorted((said, beside))
            counts[field, one, other]["apart"] += 1
    each = (Confusion(field=field, one=one, other=other, **number) for (field, one, other), number in counts.items())
    found = map(_turned, each)
    return sorted(found, key=lambda pair: (-pair.total, pair.field, pair.one, pair.other))


def _turned(pair: Confusion) -> Confusion:
    """The same with the label first that is corrected more often."""
    if pair.to_one <= pair.to_other:
        return pair
    return Confusion(
        field=pair.field,
        one=pair.other,
        other=pair.one,
        to_other=pair.to_one,
        to_one=pair.to_other,
        apart=pair.apart,
    )


def _corrected(opinions: Iterable[Opinion], field: str) -> Iterator[tuple[str, str]]:
    for one in opinions:
        if one.decides and one.given is not None and one.annotation.verdict is Verdict.LABELED:
            yield from _differing(one.given, one.annotation.targets or {}, field)


def _apart(opinions: Iterable[Opinion], field: str) -> Iterator[tuple[str, str]]:
    panels: defaultdict[str, list[Opinion]] = defaultdict(list)
    for one in latest_votes(one for one in opinions if one.is_independent):
        if one.annotation.verdict is Verdict.LABELED:
            panels[one.record_id].append(one)
    for panel in panels.values():
        for one, other in combinations(panel, 2):
            yield from _differing(one.annotation.targets or {}, other.annotation.targets or {}, field)


def _differing(one: Mapping[str, JsonValue], other: Mapping[str, JsonValue], field: str) -> Iterator[tuple[str, str]]:
    """Each label that only one of two answers has, with each that only the other has, or with none."""
    first, second = _labels(one.get(field)), _labels(other.get(field))
    for lost in sorted(first - second) or [""]:
        for gained in sorted(second - first) or [""]:
            if lost != gained:
                yield lost, gained


def _labels(value: JsonValue) -> set[str]:
    if value is None:
        return set()
    return {value_in_words(part) for part in (value if isinstance(value, list) else [value])}
