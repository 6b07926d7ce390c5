"""Which labels are taken for each other: in the data, by what annotators correct, and among annotators."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from pydantic import BaseModel

from pipeline.review.opinions import Opinion, latest_votes
from pipeline.text.wording import counted
from schemas.annotation import Verdict
from schemas.field import JsonValue, ValueType
from schemas.field_values import value_in_words
from schemas.task import Task


class Correction(BaseModel, frozen=True):
    """A label of the data that annotators replaced by another one, in the direction that is more frequent.

    The empty label stands for none.
    """

    field: str
    given: str
    """What rows had."""
    said: str
    """What annotators say instead."""
    rows: int
    back: int = 0
    """Rows that were corrected the other way round."""

    @property
    def total(self) -> int:
        """Both."""
        return self.rows + self.back

    def __str__(self) -> str:
        back = f", {self.back:,} the other way round" if self.back else ""
        return f"{self.field} {self.given or 'none'} became {self.said or 'none'}: {counted(self.rows, 'row')}{back}"


class Confusion(BaseModel, frozen=True):
    """Two labels about which annotators of the same row contradict each other; the empty label stands for none."""

    field: str
    one: str
    other: str
    pairs: int
    """Pairs of answers to the same row, one of which says ``one``, and one ``other``."""

    def __str__(self) -> str:
        return f"{self.field} {self.one or 'none'} or {self.other or 'none'}: {counted(self.pairs, 'pair')} of answers"


def corrections(opinions: Sequence[Opinion], task: type[Task]) -> list[Correction]:
    """The labels that the data have wrong, the most frequent first; only of choices, sets of choices, and yes or no.

    Args:
        opinions: what annotators say; those that count are compared with what their row had.
        task: has the fields.
    """
    counts = Counter((field, *pair) for field in _closed(task) for pair in _corrected(opinions, field))
    found = []
    for (field, given, said), rows in counts.items():
        back = counts[field, said, given]
        if (rows, said) > (back, given):
            found.append(Correction(field=field, given=given, said=said, rows=rows, back=back))
    return sorted(found, key=lambda one: (-one.total, one.field, one.given, one.said))


def confusions(opinions: Sequence[Opinion], task: type[Task]) -> list[Confusion]:
    """The labels about which annotators contradict each other, the most frequent first; of the same fields.

    Args:
        opinions: oldest first; those to gold items and of adjudicators are compared with nobody's.
        task: has the fields.
    """
    pairs = ((field, *sorted(pair)) for field in _closed(task) for pair in _apart(opinions, field))
    found = (
        Confusion(field=field, one=one, other=other, pairs=number)
        for (field, one, other), number in Counter(pairs).items()
    )
    return sorted(found, key=lambda pair: (-pair.pairs, pair.field, pair.one, pair.other))


def _closed(task: type[Task]) -> list[str]:
    return [field.name for field in task.task_targets() if field.type in (ValueType.CHOICE, ValueType.BOOLEAN)]


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
