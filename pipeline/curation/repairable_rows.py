"""Rejected rows that annotators can repair: which of them are asked about, and which are too many to be mistakes."""

from collections.abc import Iterable, Sequence

import polars as pl

from pipeline.curation.case import Case, is_candidate
from pipeline.text.wording import counted
from schemas.annotation import Verdict
from schemas.fate import Routed
from schemas.repairs import REPAIRABLE

_MOST_SLIPS = 0.5
"""Share of a source's rows up to which broken answers are mistakes; more come from a wrong field map or task."""
_LEAST_URGENT, _MORE_URGENT = 0.4, 0.1
"""Below what is likely wrong, which spoils a version; a row that is missing from it does not."""


def accept_answer(case: Case) -> None:
    """Take a row that was answered as if it had never had the answer that it was rejected for."""
    if case.draft is not None and case.human is not Verdict.UNUSABLE:
        case.rejection_reasons = [reason for reason in case.rejection_reasons if reason.code not in REPAIRABLE]


class Repairs:
    """Offers rejected rows to annotators, who can repair their answers."""

    def __init__(self, mine: pl.DataFrame, others: pl.DataFrame) -> None:
        """Take the ``source`` of all current records, and whether a person could repair each (``repairable``): those
        that the run looks at, and others.
        """
        rows = pl.concat([frame.select("source", "repairable") for frame in (mine, others)])
        counts = rows.group_by("source").agg(pl.col("repairable").sum().alias("broken"), pl.len().alias("rows"))
        self._many = counts.filter(pl.col("broken") > _MOST_SLIPS * pl.col("rows")).sort("source")

    def offer(self, cases: Sequence[Case], sources: Iterable[str]) -> bool:
        """Mark the rows that annotators may be asked to repair: of each input one, if no other row of it is kept.

        Args:
            cases: records, compared with each other, and with all others that have the same inputs.
            sources: theirs.

        Returns:
            Whether any row waits for a repair.
        """
        waiting = [(case, source) for case, source in zip(cases, sources, strict=True) if _is_repairable(case)]
        if not waiting:
            return False
        too_many = set(self._many["source"])
        keys = {case.text_key for case, _ in waiting}
        taken = {case.text_key for case in cases if case.text_key in keys and is_candidate(case)}
        # The one whose question annotators already have, or else the first.
        for case, source in sorted(waiting, key=lambda one: (one[0].past_route is not Routed.REPAIR, one[0].order)):
            if case.text_key not in taken and source not in too_many:
                case.repair = True
                taken.add(case.text_key)
        return True

    @property
    def notes(self) -> list[str]:
        """One for every source of which too many rows would have to be repaired; of these none is marked."""
        return [_note(*row) for row in self._many.select("source", "broken", "rows").iter_rows()]


def repair_score(case: Case) -> float:
    """How urgent a repair is: those first of which most is filled in already."""
    known = len(case.draft or ())
    return _LEAST_URGENT + _MORE_URGENT * known / (known + len(case.rejection_reasons))


def _is_repairable(case: Case) -> bool:
    is_rejected_for_it = all(reason.code in REPAIRABLE for reason in case.rejection_reasons)
    return case.draft is not None and case.human is None and is_rejected_for_it


def _note(source: str, broken: int, rows: int) -> str:
    return (
        f"source '{source}': the answers of {broken:,} of {counted(rows, 'row')} break the task, which are no mistakes "
        "for annotators to repair, so none is asked about; check its `fields:`, or what the task allows"
    )
