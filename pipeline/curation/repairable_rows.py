"""Rejected rows that annotators can repair: which of them are asked about, and which are too many to be mistakes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from pipeline.curation.case import Case
from pipeline.curation.known import Known
from pipeline.text.wording import counted
from schemas.annotation import Verdict
from schemas.fate import Routed
from schemas.repairs import REPAIRABLE
from schemas.row_problems import DIVIDED

_MOST_SLIPS = 0.5
"""Share of a source's rows up to which broken answers are mistakes; more come from a wrong field map or task."""
IS_REPAIRABLE = pl.col("draft").is_not_null() & ~pl.col("rejection_reasons").str.contains(DIVIDED, literal=True)
"""Of a row that was read: its answer is broken. Labels that the task has divided are no mistakes, however many."""
_LEAST_URGENT, _MORE_URGENT = 0.4, 0.1
"""Below what is likely wrong, which spoils a version; a row that is missing from it does not."""


def accept_answer(known: Known) -> Known:
    """A row that was answered, as if it had never had the answer that it was rejected for."""
    if known.draft is None or known.human is Verdict.UNUSABLE:
        return known
    others = tuple(reason for reason in known.rejection_reasons if reason.code not in REPAIRABLE)
    return replace(known, rejection_reasons=others)


def _too_many(rows: pl.DataFrame) -> pl.DataFrame:
    """The sources of which too many rows are broken, with the numbers of both."""
    counts = rows.group_by("source").agg(pl.col("repairable").sum().alias("broken"), pl.len().alias("rows"))
    return counts.filter(pl.col("broken") > _MOST_SLIPS * pl.col("rows"))


def offered_otherwise(before: pl.DataFrame, now: pl.DataFrame) -> list[str]:
    """The sources whose broken rows annotators may be asked about now, and not before, or the other way.

    Args:
        before: the ``source`` of all rows that stood, and whether a person could repair each (``repairable``).
        now: the same of all rows that there are.
    """
    many = [set(_too_many(rows)["source"].cast(pl.String)) for rows in (before, now)]
    return sorted(many[0] ^ many[1])


@dataclass(frozen=True)
class Offered:
    """The rejected rows that wait for a repair."""

    records: frozenset[str] = frozenset()
    """Those that annotators may be asked to repair: of each input one, if no other row of it is kept."""
    waits: bool = False
    """Whether any row waits."""


class Repairs:
    """Offers rejected rows to annotators, who can repair their answers."""

    def __init__(self, mine: pl.DataFrame, others: pl.DataFrame) -> None:
        """Take the ``source`` of all current records, and whether a person could repair each (``repairable``): those
        that the run looks at, and others.
        """
        rows = pl.concat([frame.select("source", "repairable") for frame in (mine, others)])
        self._many = _too_many(rows).sort("source")

    def offer(self, cases: Sequence[Case], sources: Iterable[str]) -> Offered:
        """Find the rows that annotators may be asked to repair.

        Args:
            cases: records, compared with each other, and with all others that have the same inputs.
            sources: theirs.
        """
        records = [case.known for case in cases]
        waiting = [(known, source) for known, source in zip(records, sources, strict=True) if _is_repairable(known)]
        if not waiting:
            return Offered()
        too_many = set(self._many["source"])
        keys = {known.text_key for known, _ in waiting}
        taken = {known.text_key for known in records if known.text_key in keys and known.is_candidate}
        offered = set()
        # The one whose question annotators already have, or else the first.
        for known, source in sorted(
            waiting, key=lambda one: (one[0].past.past_route is not Routed.REPAIR, one[0].order)
        ):
            if known.text_key not in taken and source not in too_many:
                offered.add(known.record_id)
                taken.add(known.text_key)
        return Offered(frozenset(offered), waits=True)

    @property
    def notes(self) -> list[str]:
        """One for every source of which too many rows would have to be repaired; of these none is marked."""
        return [_note(*row) for row in self._many.select("source", "broken", "rows").iter_rows()]


def repair_score(known: Known) -> float:
    """How urgent a repair is: those first of which most is filled in already."""
    filled = len(known.draft or ())
    return _LEAST_URGENT + _MORE_URGENT * filled / (filled + len(known.rejection_reasons))


def _is_repairable(known: Known) -> bool:
    is_rejected_for_it = all(reason.code in REPAIRABLE for reason in known.rejection_reasons)
    return known.draft is not None and known.human is None and is_rejected_for_it


def _note(source: str, broken: int, rows: int) -> str:
    return (
        f"source '{source}': the answers of {broken:,} of {counted(rows, 'row')} break the task, which are no mistakes "
        "for annotators to repair, so none is asked about; check its `fields:`, or what the task allows"
    )
