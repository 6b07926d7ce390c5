"""The rounds of fine-tuning: whether each new version made the adapter better, and the labels cleaner."""

import math
from collections.abc import Iterator

from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.ladder.judgement import Verdict
from pipeline.reporting.report_page import Round
from pipeline.state.snapshot import Snapshot
from schemas.run_summary import FinetuneSummary


def rounds_of(snapshot: Snapshot) -> Iterator[Round]:
    """All fine-tunings that were judged, the oldest first; of those that say the same one after another, the first."""
    before: FinetuneSummary | None = None
    began = dict(snapshot.runs.select("run", "started_at").iter_rows())
    for run in snapshot.committed_runs(FinetuneSummary):
        found = run.summary
        same = before is not None and found == before.model_copy(update={"path": found.path})
        before = found
        if same or not found.verdict:
            continue
        low = -math.inf if found.low is None else found.low
        high = math.inf if found.high is None else found.high
        yield Round(
            started_at=began[run.id],
            version=found.version,
            train_rows=found.train_rows,
            tuned=Estimate(value=found.tuned, low=low, high=high, unit=Unit(found.unit)),
            rival=found.rival,
            rival_title=found.rival_title,
            heading=Verdict(found.verdict).heading,
            noise=found.noise,
        )
