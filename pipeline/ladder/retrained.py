"""Trains the same recipe on other rows: on fewer for a learning curve, on the raw ones to see what curation did."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.base_model import LoadedModel, adapted
from pipeline.finetuning.evaluate import Comparison, Evaluation, compare_models
from pipeline.finetuning.exam import Exam, Questions
from pipeline.finetuning.examples import Example, draw
from pipeline.finetuning.train import expected_steps, train
from pipeline.finetuning.training_rows import training_rows
from pipeline.ladder.learning_curve import SHARES
from pipeline.steps import Progress
from schemas.dataset import Finetune


class Ablation(BaseModel):
    """What the same recipe scores on the raw rows, before anything was curated."""

    model_config = ConfigDict(frozen=True)

    rows: int
    """Raw rows trained on: as their sources have them, but for the test rows."""
    raw: Evaluation
    curated: Evaluation
    """The adapter, on the same questions."""
    comparison: Comparison
    """Of the curated rows with the raw ones."""

    def __str__(self) -> str:
        return (
            f"The same recipe on the {self.rows:,} raw rows scores {self.raw.score}; the curated rows make "
            f"{self.comparison}."
        )


class SeedScore(BaseModel):
    """What the same recipe on the same rows scores with another seed."""

    model_config = ConfigDict(frozen=True)

    seed: int
    score: Estimate


def seeds_in_words(scores: Sequence[SeedScore]) -> str:
    """How far the score depends on chance; empty if only one seed was tried."""
    if len(scores) < 2:
        return ""
    unit, values = scores[0].score.unit, [one.score.value for one in scores]
    listed = ", ".join(unit.shown(value) for value in values)
    spread = f"{unit.shown_change(max(values) - min(values))} {unit.of_changes}"
    return f"With {len(scores)} seeds the adapter scores {listed}: chance moves it by {spread}."


@dataclass(frozen=True)
class Recipe:
    """How an adapter is trained and judged, whatever the rows."""

    config: Finetune
    base: LoadedModel
    exam: Exam
    questions: Questions
    work: Path
    """A folder for adapters that are not kept."""
    progress: Progress

    def trained_on(self, rows: Sequence[Example], label: str, seed: int | None = None) -> tuple[int, Evaluation]:
        """Train on some rows and judge the adapter; returns how many rows were trained on, and how good it is.

        Raises:
            TrainingError: there are too few rows.
        """
        config = self.config if seed is None else self.config.model_copy(update={"seed": seed})
        learned = training_rows(rows, config, self.base)
        output = self.work / f"{label.replace(' ', '-')}-{len(rows)}"
        with self.progress.step(f"training on {label}", expected_steps(learned, config)) as advance:
            report = train(learned, config, output, lambda step: advance(1), self.base)
        with (
            self.progress.step(f"asking it ({label})", self.questions.work) as advance,
            adapted(output, self.base) as model,
        ):
            answers = self.exam.take(model, self.questions, advance, config.form)
        return report.rows, answers.scored(self.exam.task, self.questions)

    def curve(self, rows: Sequence[Example]) -> list[tuple[int, Evaluation]]:
        """The scores after a tenth, a quarter and half of the rows; each sample holds the smaller ones."""
        kept = draw(rows, self.config.max_rows, self.config.seed, stratum=lambda row: row.answer)
        found = []
        for share in SHARES[:-1]:
            some = kept[: round(share * len(kept))]
            if len(some) >= self.config.batch_size:
                found.append(self.trained_on(some, f"{share:.0%} of the rows"))
        return found

    def seeds(self, rows: Sequence[Example], first: Evaluation) -> list[SeedScore]:
        """The scores with as many seeds as are wanted, the first of which is known."""
        known = first.of({one.id for one in self.questions.asked})
        scores = [SeedScore(seed=self.config.seed, score=known.score)]
        for seed in range(self.config.seed + 1, self.config.seed + self.config.seeds):
            _, found = self.trained_on(rows, f"seed {seed}", seed)
            scores.append(SeedScore(seed=seed, score=found.score))
        return scores

    def ablation(self, raw: Sequence[Example], curated: Evaluation) -> Ablation:
        """The same on raw rows, compared with the evaluation of the adapter."""
        rows, found = self.trained_on(raw, "the raw rows")
        shared = {one.id for one in found.outcomes} & {one.id for one in curated.outcomes}
        before, after = found.of(shared), curated.of(shared)
        return Ablation(rows=rows, raw=found, curated=after, comparison=compare_models(before, after))
