"""What earlier pulls have brought, as the next one needs it: how far they got, and how many answers there were."""

from collections.abc import Collection
from dataclasses import dataclass, field

import polars as pl

from pipeline.state.snapshot import Snapshot
from schemas.annotation import Verdict
from schemas.run_summary import CollectSummary, Settled

_COUNTED = {"server": pl.String(), "task_id": pl.Int64()}


@dataclass(frozen=True)
class Known:
    """What the last committed collect knew."""

    marks: dict[str, str] = field(default_factory=dict)
    """Watermarks, as ISO times of the server, by server."""
    settled: dict[str, Settled] = field(default_factory=dict)
    """The older tasks by server."""
    answers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_COUNTED))
    """Server and task of every annotation that was not deleted, without skips."""

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Known":
        """What is known in a state."""
        last = snapshot.last_run(CollectSummary)
        counted = snapshot.latest_annotations().filter(~pl.col("deleted"), pl.col("verdict") != Verdict.SKIPPED.value)
        summary = last.summary if last else CollectSummary()
        return cls(summary.watermarks, summary.settled, counted.select(list(_COUNTED)).collect())

    def count(self, server: str, newest: int, but: Collection[int]) -> int:
        """How many answers of a server are to tasks up to an id, except to some."""
        found = self.answers.filter(pl.col("server") == server, pl.col("task_id") <= newest)
        return found.filter(~pl.col("task_id").is_in(list(but))).height
