"""Scores a model's answers against the gold ones, with intervals, and compares two models.

Pure functions of texts: no model is loaded here. A *question* is one distinct input; if the data
has several correct answers to it, any of them counts, and the question counts once.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pipeline.errors import TrainingError
from pipeline.evaluation.estimates import (
    NO_INTERVAL,
    Estimate,
    Unit,
    bootstrap,
    design_effect,
    influences,
    loss_estimate,
    ratio_estimate,
    widened,
)
from pipeline.evaluation.scores import (
    ACCURACY,
    Confusion,
    Credit,
    Measure,
    Outcome,
    Part,
    accuracy,
    groups,
    judged_in,
    macro_f1,
    ratios,
)
from pipeline.finetuning.examples import Example
from pipeline.kinds.interface import Kind
from pipeline.kinds.registry import kind_of
from pipeline.releases.published_rows import published_inputs, published_targets
from pipeline.text.wording import counted
from schemas.field import JsonValue
from schemas.message import Message
from schemas.task import Role, Task


class EvalQuestion(BaseModel, frozen=True):
    """One distinct input with all correct answers."""

    id: str
    """Of the first row that asks it."""
    prompt: tuple[Message, ...]
    golds: tuple[dict[str, JsonValue], ...]
    """Canonical targets, at least one."""
    inputs: dict[str, Any] = {}
    examples: tuple[Example, ...] = ()
    """The rows that ask it, one for each of ``golds``."""
    group: str = ""
    """Questions of one group, such as those about one contract, may be answered rightly together; empty if in none."""


class Evaluation(BaseModel, frozen=True):
    """How well one model answers."""

    metric: str
    """The metric's name in the manifest."""
    metric_title: str
    """The metric's name as shown in text."""
    questions: int
    score: Estimate
    """By the metric of the task's kind."""
    exact: Estimate
    """Share of the answers with all targets correct; equals ``score`` for accuracy (Wilson)."""
    macro_f1: float
    """Unweighted mean over the ``parts`` that occur in an answer or in the gold."""
    parts: tuple[Part, ...]
    confusions: tuple[Confusion, ...]
    """The most frequent ones; none if answers are not labels."""
    unreadable: int
    """Texts that are not a valid answer to the task; they count as wrong."""
    unjudged: int = 0
    """Questions that count nowhere: none of their gold answer's tokens is learned, or lies within the model's reach."""
    unreadable_ids: tuple[str, ...]
    cut: int = 0
    """Texts that a model had not ended at their longest length; they count as they stand."""
    measures: tuple[Measure, ...] = ()
    """What else is said of the answers."""
    outcomes: tuple[Outcome, ...] = ()
    """One per question, in order."""

    def of(self, ids: Collection[str]) -> "Evaluation":
        """The same of some questions; what is said of parts and confusions stays that of all."""
        some = tuple(one for one in self.outcomes if one.id in ids)
        unreadable = tuple(one.id for one in some if one.read is None)
        found = {"score": _score(self.metric, some), "exact": accuracy(some), "questions": len(some)}
        return self.model_copy(
            update={
                **found,
                "outcomes": some,
                "unreadable": len(unreadable),
                "unreadable_ids": unreadable,
                "cut": sum(one.is_cut for one in some),
            }
        )


class Comparison(BaseModel, frozen=True):
    """One model compared with another on the same questions."""

    difference: Estimate
    """Score after minus score before, over pairs of answers to the same question."""
    better: int
    worse: int
    same: int
    """Questions whose answer improved, got worse or stayed the same."""

    def reversed(self) -> "Comparison":
        """The first model compared with the second."""
        change = self.difference
        # Not -x: nothing is not to be shown as "-0.0".
        turned = {"value": 0 - change.value, "low": 0 - change.high, "high": 0 - change.low}
        return Comparison(
            difference=change.model_copy(update=turned), better=self.worse, worse=self.better, same=self.same
        )

    def __str__(self) -> str:
        change = self.difference
        if not change.is_bounded and not (self.better or self.worse):
            return f"the same on all {counted(self.same, 'question')}"
        value, low, high = (change.unit.shown_change(part, "+") for part in (change.value, change.low, change.high))
        interval = f"{low} to {high}" if change.is_bounded else NO_INTERVAL
        return f"{value} {change.unit.of_changes} ({interval}); {self.better} better, {self.worse} worse"


def questions(task: type[Task], rows: Iterable[Example], shown: Iterable[Example] | None = None) -> list[EvalQuestion]:
    """Merge rows with the same inputs into one question each, in order of appearance.

    Args:
        task: of the dataset.
        rows: as they are published.
        shown: the same, as models read them: how much of a row is cut also depends on its answer, so that equal inputs
            may be cut to unequal ones. None: as they are.
    """
    merged: dict[str, EvalQuestion] = {}
    for row, read in ((row, row) for row in rows) if shown is None else zip(rows, shown, strict=True):
        inputs = published_inputs(task, row.fields)
        asked = [inputs[name] for name in task.task_names(Role.INPUT)]
        # Of a chat, the turns between question and last answer are part of the prompt, too.
        key = json.dumps([asked, [message.as_json() for message in row.prompt]], sort_keys=True, default=str)
        gold = published_targets(task, row.fields)
        known = merged.get(key)
        if known is None:
            merged[key] = EvalQuestion(
                id=row.id, prompt=read.prompt, golds=(gold,), inputs=inputs, examples=(read,), group=row.group
            )
        elif gold not in known.golds:
            more = {"golds": (*known.golds, gold), "examples": (*known.examples, read)}
            merged[key] = known.model_copy(update=more)
    return list(merged.values())


def evaluate(
    task: type[Task],
    asked: Sequence[EvalQuestion],
    answers: Sequence[str],
    losses: Sequence[Credit] | None = None,
    steps: Sequence[tuple[EvalQuestion, str]] = (),
    cut: Collection[int] = (),
) -> Evaluation:
    """Score one answer for each question; with ``losses``, they are the score, and what has no tokens is left out.

    Args:
        task: of the dataset.
        asked: the questions.
        answers: for each, a model's text.
        losses: for each, the loss of the gold answer.
        steps: questions for the calls before the last turn, under the id of the question that they belong to, and what
            the model wrote.
        cut: the places of answers that a model had not ended.

    Raises:
        TrainingError: there are no questions, or none that can be judged.
    """
    if not asked:
        raise TrainingError("There are no rows to evaluate on: the split is empty; give it a share in split.fractions")
    judged: Sequence[Credit | None] = losses or [None] * len(asked)
    given = [one for one in zip(asked, answers, judged, strict=True) if one[2] is None or one[2].possible]
    if not given:
        raise TrainingError(
            "No test row has a turn of the assistant's to judge within finetune.max_length; raise it, or release test "
            "rows with a turn whose weight is not 0"
        )
    before = defaultdict[str, list[Outcome]](list)
    for question, text in steps:
        before[question.id].append(_outcome(task, question, text, None))
    unended = {asked[place].id for place in cut}
    outcomes = tuple(
        _outcome(task, question, text, loss, before[question.id], is_cut=question.id in unended)
        for question, text, loss in given
    )
    kind = kind_of(task)
    by_answers = kind.judged_by_loss and not losses
    metric, metric_title = kind.answers_metric if by_answers else (kind.metric, kind.metric_title)
    parts = kind.parts(task, outcomes)
    unreadable = tuple(outcome.id for outcome in outcomes if outcome.read is None)
    return Evaluation(
        metric=metric,
        metric_title=metric_title,
        questions=len(outcomes),
        score=_score(metric, outcomes),
        exact=accuracy(outcomes),
        macro_f1=macro_f1(parts),
        parts=parts,
        confusions=kind.confusions(task, outcomes),
        unreadable=len(unreadable),
        unreadable_ids=unreadable,
        cut=sum(one.is_cut for one in outcomes),
        unjudged=len(asked) - len(given),
        measures=(*kind.measures(task, outcomes), *_exact(kind, outcomes), *_strict(metric, outcomes)),
        outcomes=outcomes,
    )


def _score(metric: str, outcomes: Sequence[Outcome]) -> Estimate:
    if metric == ACCURACY:
        return accuracy(outcomes)
    return _of_groups(ratios(outcomes), outcomes)


def _of_groups(rows: NDArray[np.float64], outcomes: Sequence[Outcome]) -> Estimate:
    """A ratio of sums over questions, whose interval is as wide as their groups make it."""
    return widened(ratio_estimate(rows, judged_in(outcomes)), design_effect(influences(rows), groups(outcomes)))


def compare_models(before: Evaluation, after: Evaluation) -> Comparison:
    """Compare two evaluations of the same questions, pair by pair.

    Raises:
        TrainingError: the questions are not the same.
    """
    ids = [[outcome.id for outcome in side.outcomes] for side in (before, after)]
    if ids[0] != ids[1] or not ids[0]:
        raise TrainingError(
            f"Evaluations of {len(ids[0])} and {len(ids[1])} questions cannot be compared; evaluate both on the same"
        )
    pairs = zip(before.outcomes, after.outcomes, strict=True)
    changes = [_change(old, new) for old, new in pairs]
    difference = loss_estimate if judged_in(after.outcomes) is Unit.NATS else bootstrap
    two, one = ratios(after.outcomes), ratios(before.outcomes)
    effect = design_effect(influences(two) - influences(one), groups(after.outcomes))
    return Comparison(
        difference=widened(difference(two, minus=one), effect, least=-1.0),
        better=changes.count(1),
        worse=changes.count(-1),
        same=changes.count(0),
    )


def _exact(kind: Kind, outcomes: Sequence[Outcome]) -> list[Measure]:
    """How many answers are right as a whole, where the metric does not say so."""
    return [Measure(name=kind.exact_title, value=accuracy(outcomes))] if kind.exact_title else []


def _strict(metric: str, outcomes: Sequence[Outcome]) -> list[Measure]:
    """The share of rows answered right where some inputs have several right answers, of which one can be given."""
    if metric != ACCURACY or all(len(outcome.golds) == 1 for outcome in outcomes):
        return []
    rows = np.array([(outcome.right, len(outcome.golds)) for outcome in outcomes], dtype=np.float64)
    return [Measure(name="strict accuracy", value=_of_groups(rows, outcomes))]


# --- one answer -------------------------------------------------------------------------------
def _outcome(
    task: type[Task],
    question: EvalQuestion,
    text: str,
    loss: Credit | None,
    steps: Sequence[Outcome] = (),
    *,
    is_cut: bool = False,
) -> Outcome:
    read = task.task_read_answer(text)
    place, credit = kind_of(task).nearest(task, read, question.golds)
    return Outcome(
        id=question.id,
        answer=text,
        golds=tuple(task.task_answer(right) for right in question.golds),
        right_answers=question.golds,
        prompt=question.prompt,
        tools=question.examples[0].tools if question.examples else None,
        gold=question.golds[place],
        read=read,
        credit=credit,
        loss=loss,
        steps=tuple(steps),
        group=question.group,
        is_cut=is_cut,
    )


def _change(before: Outcome, after: Outcome) -> int:
    """1 if an answer got better, -1 if it got worse."""
    if before.loss and after.loss:
        return _sign(before.loss.worth - after.loss.worth)
    return _sign(after.credit.worth - before.credit.worth)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
