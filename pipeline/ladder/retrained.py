"""Trains the same recipe on other rows: on fewer for a learning curve, on the raw ones to see what curation did."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pipeline.errors import TooFewRows
from pipeline.finetuning.base_model import adapted
from pipeline.finetuning.evaluate import Evaluation, compare_models
from pipeline.finetuning.exam import Answers, Exam, Questions
from pipeline.finetuning.examples import ChosenExamples, Example, Examples, nested_places
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.training_rows import check_batch
from pipeline.ladder.kept_answers import KeptAnswers, Times
from pipeline.ladder.learning_curve import SHARES
from pipeline.ladder.plan import Plan
from pipeline.ladder.retrained_scores import Ablation, SeedScore
from pipeline.ladder.trained_once import forget_training, trained_once
from pipeline.steps import Progress
from schemas.dataset import Finetune

_ROWS = "training rows"


@dataclass(frozen=True)
class Recipe:
    """How an adapter is trained and judged, whatever the rows."""

    plan: Plan
    base: LoadedModel
    exam: Exam
    every: Questions
    """All that the adapter is asked."""
    kept: KeptAnswers
    """What killed runs have left."""
    progress: Progress

    @property
    def config(self) -> Finetune:
        """Of the training."""
        return self.plan.config

    @property
    def sample(self) -> Questions:
        """Those that slow arms are asked, too."""
        return self.every.some(slice(self.config.slow_rows))

    def trained_on(self, rows: Examples, label: str) -> tuple[int, Evaluation]:
        """Train on some rows and ask the adapter the sample; returns how many were trained on, and how good it is.

        Raises:
            TooFewRows: fewer than a batch can be trained on.
        """
        return self._judged(rows, label, self.config, self.sample)

    def _judged(self, rows: Examples, label: str, config: Finetune, asked: Questions) -> tuple[int, Evaluation]:
        # No arm is called so.
        name = f"_{label.replace(' ', '-').replace('%', '')}"
        known, key = self.kept.get(name, asked), self.plan.retraining_key(name)
        answers = known[1] if known else self._answers(rows, name, label, config, asked, key)
        # Not before its answers are kept: a run that is killed meanwhile does not train again.
        forget_training(self.plan, key)
        return round(answers.settings[_ROWS]), answers.scored(self.exam.task, asked)

    def _answers(self, rows: Examples, name: str, label: str, config: Finetune, asked: Questions, key: str) -> Answers:
        said = f"training on {label}"
        output, report = trained_once(self.plan, config, rows, self.base, self.progress, key, said)
        with (
            adapted(output, self.base) as model,
            self.progress.step(f"asking it ({label})", asked.work) as done,
        ):
            began = time.perf_counter()
            answers = self.exam.take(model, asked, done, config.form)
        answers = replace(answers, settings={_ROWS: report.rows})
        times = Times(learning=report.seconds, answering=time.perf_counter() - began, alone=None)
        self.kept.keep(name, label, asked, answers, times)
        return answers

    def curve(self, rows: Examples) -> list[tuple[int, Evaluation]]:
        """The scores after a tenth, a quarter and half of the rows; each sample holds the smaller ones."""
        places = nested_places(rows, self.config.max_rows, self.config.seed)
        found = []
        for share in SHARES[:-1]:
            some = ChosenExamples(rows, places[: round(share * len(places))])
            with self._without(label := f"{share:.0%} of the rows"):
                check_batch(self.config, len(some))
                found.append(self.trained_on(some, label))
        return found

    @contextmanager
    def _without(self, label: str) -> Iterator[None]:
        """Say that too few rows are left to train on, and go on: what is measured beside the adapter stops nothing."""
        try:
            yield
        except TooFewRows as error:
            self.progress.say(f"not trained on {label}: {error}")

    def seeds(self, rows: Examples, first: Evaluation, count: int) -> tuple[SeedScore, ...]:
        """The scores with so many seeds, the first of which is known."""
        scores = [SeedScore(seed=self.config.seed, score=first.score)]
        for seed in range(self.config.seed + 1, self.config.seed + count):
            config = self.config.model_copy(update={"seed": seed})
            # With max_rows, each seed draws rows of its own.
            with self._without(label := f"seed {seed}"):
                _, found = self._judged(rows, label, config, self.every)
                scores.append(SeedScore(seed=seed, score=found.score))
        return tuple(scores)

    def ablation(self, raw: Sequence[Example], curated: Evaluation) -> Ablation:
        """The same on raw rows, compared with the evaluation of the adapter."""
        rows, found = self.trained_on(raw, "the raw rows")
        shared = {one.id for one in found.outcomes} & {one.id for one in curated.outcomes}
        before, after = found.of(shared), curated.of(shared)
        return Ablation(rows=rows, raw=found, curated=after, comparison=compare_models(before, after))
