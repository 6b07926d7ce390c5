"""Which fine-tuning status, report and checks speak of: the newest judgement of the newest version that has one."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.errors import TrainingError
from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.ladder.assessment import Assessment, read_assessment
from pipeline.ladder.judgement import Verdict
from pipeline.releases.versions import parse_version
from pipeline.state.snapshot import Snapshot
from schemas.run_summary import FinetuneSummary


@dataclass(frozen=True)
class Judged:
    """A fine-tuning that was judged, whether or not its adapter is still there."""

    summary: FinetuneSummary
    began: datetime
    ended: datetime
    folder: Path
    """Of the adapter."""

    @functools.cached_property
    def assessment(self) -> Assessment | None:
        """All that was found; None if somebody has deleted the adapter."""
        try:
            return read_assessment(self.folder)
        except TrainingError:
            return None

    @property
    def tuned(self) -> Estimate:
        """The tuned model's score, of the arm that pages speak of."""
        found = self.summary
        low = -math.inf if found.low is None else found.low
        high = math.inf if found.high is None else found.high
        return Estimate(value=found.tuned, low=low, high=high, unit=Unit(found.unit))

    @property
    def heading(self) -> str:
        """The verdict."""
        return Verdict(self.summary.verdict).heading

    @property
    def rows_shown(self) -> str:
        """The training rows, and of how many they were drawn."""
        drawn, split = f"{self.summary.train_rows:,}", self.summary.train_split
        return f"{drawn} of {split:,}" if split else drawn

    @property
    def noise_shown(self) -> str:
        """The share of wrong answers, as audited at the time; empty if nobody had looked."""
        return "" if self.summary.noise is None else f"{self.summary.noise:.1%}"

    @property
    def gone(self) -> str:
        """That the adapter is not there any more; empty if it is."""
        if self.assessment is not None:
            return ""
        return f"the adapter of {self.summary.version} is no longer in {self.folder.parent.name}/{self.folder.name}"


def judged(snapshot: Snapshot) -> list[Judged]:
    """The newest judgement of every version that was fine-tuned on, by version: looking back is no new round."""
    newest = {one.summary.version: one for one in _all(snapshot)}
    return [newest[version] for version in sorted(newest, key=parse_version)]


def last_finetuning(snapshot: Snapshot) -> Judged | None:
    """The one of the newest version; None if nothing was ever judged."""
    return next(reversed(judged(snapshot)), None)


def why_absent(snapshot: Snapshot, run: str = "") -> str:
    """Why an adapter is not there that was; empty if it never was.

    Args:
        snapshot: the committed state.
        run: the adapter's; without it, that of the newest version.
    """
    last = last_finetuning(snapshot)
    known = [one for one in _all(snapshot) if one.folder.name == run] if run else [last] if last else []
    return next((f"{one.gone}; `goldleaf finetune` trains it again" for one in known if one.gone), "")


def _all(snapshot: Snapshot) -> Iterator[Judged]:
    """The oldest first."""
    times = {run: when for run, *when in snapshot.runs.select("run", "started_at", "finished_at").iter_rows()}
    for run in snapshot.committed_runs(FinetuneSummary):
        if run.summary.verdict:
            # The home may have been moved since.
            folder = snapshot.store.models / Path(run.summary.path).name
            began, ended = times[run.id]
            yield Judged(run.summary, began, ended, folder)
