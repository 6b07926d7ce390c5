"""What earlier pulls have brought, as the next one needs it: how far they got, and how many answers there were."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import polars as pl

from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.run_summary import CollectSummary, Settled

_ANSWERS = {"server": pl.String(), "task_id": pl.Int64(), "push_key": pl.String(), "skipped": pl.Boolean()}

_TASK = ("task_id", "push_key")


@dataclass(frozen=True)
class Known:
    """What the last committed collect knew."""

    marks: dict[str, str] = field(default_factory=dict)
    """Watermarks, as ISO times of the server, by server."""
    settled: dict[str, Settled] = field(default_factory=dict)
    """The older tasks by server."""
    servers: frozenset[str] = frozenset()
    """Those that questions were sent to."""
    answers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ANSWERS))
    """Server, task and question of every annotation that was not deleted, and whether it is a skip."""

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Known":
        """What is known in a state."""
        last = snapshot.last_run(CollectSummary)
        summary = last.summary if last else CollectSummary()
        is_skip = pl.col("verdict") == Verdict.SKIPPED.value
        answers = snapshot.latest_annotations().filter(~pl.col("deleted")).with_columns(is_skip.alias("skipped"))
        servers = snapshot.scan(Table.PUSHES).select(pl.col("server").unique()).collect().to_series()
        return cls(summary.watermarks, summary.settled, frozenset(servers), answers.select(list(_ANSWERS)).collect())

    def count(self, server: str, newest: int, but: Collection[int]) -> int:
        """How many answers of a server are to tasks up to an id, except to some; skips are none."""
        found = self.answers.filter(~pl.col("skipped"), pl.col("server") == server, pl.col("task_id") <= newest)
        return found.filter(~pl.col("task_id").is_in(list(but))).height

    def questions_without(self, server: str, newest: int, there: Mapping[int, str], but: Collection[int]) -> list[str]:
        """The push keys of answers whose task above an id is not there, except of some tasks."""
        now = pl.DataFrame(list(there.items()), schema={name: _ANSWERS[name] for name in _TASK}, orient="row")
        found = self.answers.filter(pl.col("server") == server, pl.col("task_id") > newest)
        gone = found.filter(~pl.col("task_id").is_in(list(but))).join(now, on=list(_TASK), how="anti")
        return gone["push_key"].unique(maintain_order=True).to_list()
