"""What the same recipe scores on raw rows and with other seeds."""

from collections.abc import Sequence

from pydantic import BaseModel

from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.evaluate import Comparison, Evaluation
from pipeline.text.wording import counted


class Ablation(BaseModel, frozen=True):
    """What the same recipe scores on the raw rows, before anything was curated."""

    rows: int
    """Raw rows trained on: as their sources have them, but for the test rows."""
    raw: Evaluation
    curated: Evaluation
    """The adapter, on the same questions."""
    comparison: Comparison
    """Of the curated rows with the raw ones."""

    def __str__(self) -> str:
        return (
            f"The same recipe scores {self.raw.score} on the {self.rows:,} raw rows and {self.curated.score} on the "
            f"curated ones, asked {counted(self.curated.questions, 'question')}: {self.comparison}."
        )


class SeedScore(BaseModel, frozen=True):
    """What the same recipe scores with another seed: on the same rows, or on others if ``max_rows`` draws some."""

    seed: int
    score: Estimate


def seeds_in_words(scores: Sequence[SeedScore], undrawn: int = 0) -> str:
    """How far the score depends on chance; empty if only one seed was tried.

    ``undrawn`` rows were not trained on for ``max_rows``, so that each seed draws others.
    """
    if len(scores) < 2:
        return ""
    unit, values = scores[0].score.unit, [one.score.value for one in scores]
    listed = ", ".join(unit.shown(value) for value in values)
    spread = f"{unit.shown_change(max(values) - min(values))} {unit.of_changes}"
    rows = ", each of which draws other rows (finetune.max_rows)," if undrawn else ""
    moved = "rows and chance move" if undrawn else "chance moves"
    return f"With {len(scores)} seeds{rows} the adapter scores {listed}: {moved} it by {spread}."
