"""Words which labels are missing from splits, which splits are empty, and why: what has no rows cannot be evaluated."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline.releases.balance import Lack
from pipeline.text.wording import shown_label
from schemas.manifest import Absence, AbsentLabel

_SHOWN = 5
"""Labels per reason that a message names; the manifest lists all."""


def absent_labels(
    lacks: Iterable[Lack], group_by: Sequence[str], unused: Iterable[str], splits: Iterable[str]
) -> list[AbsentLabel]:
    """The missing labels, by label and reason.

    Args:
        lacks: what the splits lack.
        group_by: the fields that rows are grouped by.
        unused: labels of the task that no row has.
        splits: all of the version.
    """
    found: defaultdict[tuple[str, int, Absence], list[str]] = defaultdict(list)
    for lack in lacks:
        found[lack.label, lack.groups, lack.reason].append(lack.split)
    by = f" by {' and '.join(group_by)}" if group_by else " of rows"
    found |= {(label, 0, Absence.NO_ROWS): list(splits) for label in unused}
    return [
        AbsentLabel(label=label, splits=places, groups=groups, reason=reason, why=_why(reason, groups, by, places))
        for (label, groups, reason), places in found.items()
    ]


def _why(reason: Absence, groups: int, by: str, splits: Sequence[str]) -> str:
    match reason:
        case Absence.TOO_FEW_GROUPS:
            return f"only 1 group{by} has the label" if groups == 1 else f"only {groups} groups{by} have the label"
        case Absence.PINNED:
            return "too many groups with the label are pinned to other splits by an earlier version or their source"
        case Absence.FULL if len(splits) == 1:
            return "the split is full of rows pinned to it"
        case Absence.FULL:
            return "the splits are full of rows pinned to them"
        case Absence.NO_DIVISION:
            return "no assignment was found that puts every label in every split"
        case Absence.NO_ROWS:
            return "no accepted row has the label"


def in_words(absent: Iterable[AbsentLabel]) -> str:
    """One sentence, with a clause for each reason and the splits that it applies to; empty if nothing is missing."""
    clauses: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    unused = list[str]()
    for one in absent:
        if one.reason is Absence.NO_ROWS:
            unused.append(one.label)
        else:
            clauses[" or ".join(one.splits), one.why].append(one.label)
    said = [f"not in {splits} because {why}: {_named(labels)}" for (splits, why), labels in clauses.items()]
    missing = [f"Labels missing from a split: {'; '.join(said)}"] if said else []
    return ". ".join([*missing, *([f"No accepted row has the label: {_named(unused)}"] if unused else [])])


def empty_splits(fractions: Mapping[str, float], rows: Mapping[str, int]) -> dict[str, float]:
    """The shares of the splits that should have rows, and have none.

    Args:
        fractions: the share of each split.
        rows: how many rows are in each split that has any.
    """
    return {split: share for split, share in fractions.items() if share > 0 and not rows.get(split)}


def why_empty(share: float, rows: int) -> str:
    """Why none of a version's rows is in a split that has a share, and what to do."""
    since = f"all {rows:,} rows are in other splits, since they are too few, belong together or had a split before"
    elsewhere = "the only row is in another split" if rows == 1 else since
    return f"split.fractions gives it {share:g}, but {elsewhere}; add rows, and release again"


def _named(labels: Sequence[str]) -> str:
    first = ", ".join(map(shown_label, labels[:_SHOWN]))
    return f"{first} and {len(labels) - _SHOWN:,} more" if len(labels) > _SHOWN else first
