"""Says in words which labels are not in every split, and why: a split without one cannot tell how well it is learnt."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipeline.releases.balance import Lack
from pipeline.text.wording import shown_label
from schemas.manifest import Absence, AbsentLabel

_SHOWN = 5
"""Labels of one reason that are named to people; for machines all are."""


def absent_labels(lacks: Iterable[Lack], group_by: Sequence[str]) -> list[AbsentLabel]:
    """The same facts by label and reason.

    Args:
        lacks: what the splits of a division lack.
        group_by: what rows are grouped by.
    """
    found: defaultdict[tuple[str, int, Absence], list[str]] = defaultdict(list)
    for lack in lacks:
        found[lack.label, lack.groups, lack.reason].append(lack.split)
    by = f" by {' and '.join(group_by)}" if group_by else " of rows"
    return [
        AbsentLabel(label=label, splits=splits, groups=groups, reason=reason, why=_why(reason, groups, by, splits))
        for (label, groups, reason), splits in found.items()
    ]


def _why(reason: Absence, groups: int, by: str, splits: Sequence[str]) -> str:
    match reason:
        case Absence.TOO_FEW_GROUPS:
            return f"only 1 group{by} has the label" if groups == 1 else f"only {groups} groups{by} have the label"
        case Absence.PINNED:
            return "too many groups with the label are bound to other splits, by an earlier version or their source"
        case Absence.FULL if len(splits) == 1:
            return "the split is full with rows that are bound to it"
        case Absence.FULL:
            return "the splits are full with rows that are bound to them"
        case Absence.NO_DIVISION:
            return "no division was found in which every label is in every split"


def in_words(absent: Iterable[AbsentLabel]) -> str:
    """A sentence for people, with a clause for each reason and the splits that it holds for; empty where none is."""
    clauses: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in absent:
        clauses[" or ".join(one.splits), one.why].append(one.label)
    said = [f"not in {splits}, as {why}: {_named(labels)}" for (splits, why), labels in clauses.items()]
    return f"Labels that a split lacks: {'; '.join(said)}" if said else ""


def _named(labels: Sequence[str]) -> str:
    first = ", ".join(map(shown_label, labels[:_SHOWN]))
    return f"{first} and {len(labels) - _SHOWN:,} more" if len(labels) > _SHOWN else first
