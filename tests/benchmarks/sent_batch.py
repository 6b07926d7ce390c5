"""Which rows the answers to a batch decide about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.label_errors.folded_text import folded

_ASKED = ("uncertain", "conflict")
QUERY = "select r.key, d.fate, d.routed, d.label_error_score as score from current d join latest r using (record_id)"
"""What `goldleaf sql --json` is to be asked; keys are the numbers of the rows."""


@dataclass(frozen=True)
class Batch:
    """The questions of a run."""

    sent: frozenset[int]
    """Rows that are asked about."""
    decided: frozenset[int]
    """These, and rows in conflict with one of them over the same text, which its answer decides."""

    @classmethod
    def read(cls, answer: Sequence[Mapping[str, str | None]], texts: Sequence[str]) -> "Batch":
        """Read what ``QUERY`` gave."""
        routes = {row_of(row): row["routed"] for row in answer}
        held = {row_of(row) for row in answer if row["fate"] == "review" and row["routed"] is None}
        sent = {row for row, route in routes.items() if route in _ASKED}
        conflicts = {folded(texts[row]) for row in sent if routes[row] == "conflict"}
        return cls(frozenset(sent), frozenset(sent | {row for row in held if folded(texts[row]) in conflicts}))


def row_of(row: Mapping[str, str | None]) -> int:
    """Which row it is, by its key, a number."""
    return int((row["key"] or "").rpartition(":")[2])
