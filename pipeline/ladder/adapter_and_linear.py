"""The arm that lets the adapter and a linear model decide together: they are wrong about different questions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.finetuning.exam import Answers, Questions
from pipeline.ladder.arm import Advance, Arm, CannotAnswer
from pipeline.ladder.language_models import Candidate
from pipeline.ladder.linear_fields import STRENGTHS, OneChoice, sampled
from pipeline.ladder.retrieval import Memory
from pipeline.releases.published_rows import published_targets
from schemas.arms_section import ArmName, Family
from schemas.field import JsonValue, TargetField
from schemas.options import Form
from schemas.task import Task

Floats = npt.NDArray[np.float64]

_SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
_USUAL = 4.0
"""Of too few rows to find a better one."""
_HELD_BACK = 0.2
"""Of the training rows, to find the scale and the strength."""
_FEWEST = 100


class AdapterAndLinear(Arm):
    """Answers with the choice whose likelihoods, by the adapter and by a linear model, have the highest product.

    A product of experts (Hinton 2002). The linear model's margins become likelihoods by a scale that suits rows which
    it has not learned from.
    """

    name = ArmName.ADAPTER_LINEAR.value
    title = "the adapter with a linear model"
    family = Family.TUNED

    def __init__(self, candidate: Candidate, task: type[Task], memory: Memory, seed: int) -> None:
        """Take the model with the adapter, and the training rows."""
        self._candidate, self._task, self._memory, self._seed = candidate, task, memory, seed
        self._linear: OneChoice | None = None
        self._scale = _USUAL

    def learn(self) -> None:
        """Fit the linear model, and find the scale of its margins."""
        if self._candidate.exam.choices is None or self._candidate.config.form is not Form.HELD:
            raise CannotAnswer("the answer is not one choice of a list")
        [field] = self._task.task_targets()
        every = [published_targets(self._task, row.fields)[field.name] for row in self._memory.rows]
        seen, given = sampled(self._memory.features, every, self._seed)
        strength, self._scale = _calibrated(seen, given, self._seed)
        self._linear = OneChoice(seen, given, strength, self._seed)

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Ask the adapter, with what the linear model says beside it."""
        one, linear = self._candidate, self._linear
        assert linear is not None and one.exam.choices is not None
        [field] = self._task.task_targets()
        margins = linear.margins(self._memory.seen(questions.unshortened.asked))
        beside = self._by_choice(field, linear.values, _log_softmax(self._scale * margins), one.exam.choices)
        answers = one.exam.take(one.model, questions, advance, one.config.form, beside=beside)
        return replace(answers, settings={"C": linear.strength, "scale of margins": self._scale})

    def _by_choice(self, field: TargetField, values: list[JsonValue], likely: Floats, choices: list[str]) -> Floats:
        """Log-likelihoods of the choices; one that no training row has is as unlikely as the least likely one."""
        found = np.repeat(likely.min(axis=1, keepdims=True), len(choices), axis=1)
        for place, value in enumerate(values):
            found[:, choices.index(self._task.task_answer({field.name: value}))] = likely[:, place]
        return found


def _calibrated(seen: Any, given: Sequence[JsonValue], seed: int) -> tuple[float, float]:
    """The strength of the regularization and the scale of the margins that make held-back rows the likeliest."""
    order = np.random.default_rng(seed).permutation(len(given))
    held = round(_HELD_BACK * len(given))
    if held < _FEWEST * _HELD_BACK:
        return STRENGTHS[0], _USUAL
    tested, learned = np.sort(order[:held]), np.sort(order[held:])
    best = (np.inf, STRENGTHS[0], _USUAL)
    for strength in STRENGTHS:
        model = OneChoice(seen[learned], [given[row] for row in learned], strength, seed)
        known = [(row, model.values.index(given[row])) for row in tested if given[row] in model.values]
        if not known:
            continue
        rows, right = map(list, zip(*known, strict=True))
        margins = model.margins(seen[rows])
        for scale in _SCALES:
            loss = -float(_log_softmax(scale * margins)[np.arange(len(right)), right].mean())
            best = min(best, (loss, strength, scale))
    return best[1:]


def _log_softmax(values: Floats) -> Floats:
    found: Floats = values - np.logaddexp.reduce(values, axis=1, keepdims=True)
    return found
