"""What can be done without training, on the test questions of a version: the first thing to know of a task."""

from contextlib import suppress

from pydantic import BaseModel

from pipeline.ladder.conclude import stated_scores
from pipeline.ladder.kept_answers import UNFINISHED
from pipeline.ladder.plan import TEST, Plan
from pipeline.ladder.preparation import ask_untrained, best_untrained, prepare
from pipeline.ladder.results import ArmResult, Ladder
from pipeline.ladder.rows_in_review import RowsInReview, rows_in_review
from pipeline.releases.versions import read_manifest
from pipeline.steps import Progress


class Baselines(BaseModel, frozen=True):
    """The arms that need no training."""

    version: str
    """The published version as ``name@version``."""
    base_model: str
    train_rows: int
    test_rows: int
    """Questions of the test split."""
    metric: str
    """Of the task's kind: an adapter would be compared by it."""
    ladder: Ladder
    """It has no adapter."""
    currency: str = ""
    """Of all costs; empty if nothing has a price."""
    in_review: RowsInReview | None = None
    """The rows that might be test questions, too, had annotators answered them; None if there are none."""

    @property
    def best(self) -> ArmResult | None:
        """Of those that an adapter would be compared with; None if none of these answered."""
        return best_untrained(self.ladder.arms, self.metric)


def ask_baselines(plan: Plan, progress: Progress) -> Baselines:
    """Let all arms that need no training answer the test questions; their answers are kept for a fine-tuning.

    Args:
        plan: what to do; its training is not done.
        progress: shows what is done.

    Raises:
        TrainingError: the version has no train or test split, or the model or its rows cannot be used.
    """
    ready = prepare(plan, progress, timing=False)
    ask_untrained(plan, ready, progress)
    ready.kept.hand_on()
    for arm in plan.endpoints:
        # The ledger has every call.
        ready.kept.forget(arm.name)
    with suppress(OSError):
        # What a killed fine-tuning has left stays.
        (plan.models / UNFINISHED / plan.key).rmdir()
    manifest = read_manifest(plan.version)
    ladder = ready.climb.ladder([arm.name for arm in plan.arms], stated_scores(plan))
    return Baselines(
        version=f"{manifest.name}@{manifest.version}",
        base_model=plan.config.base_model,
        train_rows=len(ready.examples),
        test_rows=len(ready.rows),
        metric=manifest.metric,
        ladder=ladder,
        currency=ready.climb.prices.currency if any(arm.cost is not None for arm in ladder.arms) else "",
        in_review=rows_in_review(manifest, TEST),
    )
