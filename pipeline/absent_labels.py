"""Says which labels are not in every split, and why: a split without one cannot tell how well it is learnt."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from schemas.dataset import Dataset, Split
from schemas.task import Kind, Task

SHOWN = 10
"""Labels that are named to people; for machines all are."""


class AbsentLabel(BaseModel):
    """A label that some split lacks."""

    model_config = ConfigDict(frozen=True)

    label: str
    splits: list[str]
    """Those without it."""
    groups: int
    """How many groups of rows have it; each goes to one split."""
    why: str

    def __str__(self) -> str:
        return f"{self.label} (not in {', '.join(self.splits)}: {self.why})"


def absent_labels(rows: Iterable[tuple[str, str, str]], split: Split) -> list[AbsentLabel]:
    """The labels that are not in every split that has rows.

    Args:
        rows: label, group and split of every row.
        split: fractions, and what rows are grouped by.
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for label, group, name in rows:
        groups[label].add(group)
        found[label].add(name)
    filled = set[str]().union(*found.values())
    wanted = [name for name, share in split.fractions.items() if share > 0]
    lacking = {label: [name for name in wanted if name in filled - found[label]] for label in sorted(found)}
    return [
        AbsentLabel(label=label, splits=splits, groups=len(groups[label]), why=_why(len(groups[label]), wanted, split))
        for label, splits in lacking.items()
        if splits
    ]


def _why(groups: int, wanted: Sequence[str], split: Split) -> str:
    by = f" by {' and '.join(split.group_by)}" if split.group_by else " of rows"
    if groups < len(wanted):
        return f"only {groups} {'group' if groups == 1 else 'groups'}{by} {'has' if groups == 1 else 'have'} it"
    return f"its {groups} groups{by} are bound to other splits, by earlier versions, their source or other labels"


def absent_from(tables: Mapping[str, pa.Table], dataset: Dataset, task: type[Task]) -> list[AbsentLabel]:
    """The same of published rows by split; nothing where rows have no label."""
    if task.task_kind() is not Kind.CLASSIFICATION:
        return []
    name = task.task_targets()[0].name
    rows: Counter[tuple[str, str, str]] = Counter()
    for split, table in tables.items():
        labels = table["fields"].combine_chunks().field(name).to_pylist()
        rows.update(zip(map(str, labels), table["group"].to_pylist(), [split] * table.num_rows, strict=True))
    return absent_labels(rows, dataset.split)


def in_words(absent: Sequence[AbsentLabel]) -> str:
    """The first of them for people; empty where there are none."""
    if not absent:
        return ""
    more = f"; and {len(absent) - SHOWN} more" if len(absent) > SHOWN else ""
    return f"Not in every split: {'; '.join(map(str, absent[:SHOWN]))}{more}"
