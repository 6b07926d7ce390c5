"""Scores a model's answers against the gold ones, with intervals, and compares two models.

Pure functions of texts: no model is loaded here. A *question* is one distinct input; if the data
has several correct answers to it, any of them counts, and the question counts once.
"""

import json
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from pipeline.errors import TrainingError
from pipeline.evaluation.estimates import Estimate, bootstrap, ratio_estimate
from pipeline.evaluation.scores import Confusion, Outcome, Part, accuracy, credit_ratios, macro_f1
from pipeline.finetuning.examples import Example
from pipeline.kinds.registry import kind_of
from pipeline.releases.published_rows import published_inputs, published_targets
from schemas.field import JsonValue
from schemas.message import Message
from schemas.task import Role, Task


class EvalQuestion(BaseModel):
    """One distinct input with all correct answers."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Of the first row that asks it."""
    prompt: tuple[Message, ...]
    golds: tuple[dict[str, JsonValue], ...]
    """Canonical targets, at least one."""


class Evaluation(BaseModel):
    """How well one model answers."""

    model_config = ConfigDict(frozen=True)

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
    unreadable_ids: tuple[str, ...]
    outcomes: tuple[Outcome, ...] = ()
    """One per question, in order."""


class Comparison(BaseModel):
    """One model compared with another on the same questions."""

    model_config = ConfigDict(frozen=True)

    difference: Estimate
    """Score after minus score before (paired bootstrap)."""
    better: int
    worse: int
    same: int
    """Questions whose answer improved, got worse or stayed the same."""

    def __str__(self) -> str:
        change, low, high = (
            100 * value for value in (self.difference.value, self.difference.low, self.difference.high)
        )
        return f"{change:+.1f} points ({low:+.1f} to {high:+.1f}); {self.better} better, {self.worse} worse"

    @property
    def verdict(self) -> str:
        """The result of the comparison in a sentence."""
        change = self.difference
        if change.low <= 0 <= change.high:
            return "On these test rows the tuned model is not measurably different from the untuned one."
        return (
            f"Tuning made it {'better' if change.value > 0 else 'worse'} by {100 * abs(change.value):.1f} points (95% "
            f"interval {100 * change.low:+.1f} to {100 * change.high:+.1f}); {self.better} rows got better, "
            f"{self.worse} worse."
        )


def questions(task: type[Task], rows: Iterable[Example]) -> list[EvalQuestion]:
    """Merge rows with the same inputs into one question each, in order of appearance."""
    merged: dict[str, EvalQuestion] = {}
    for row in rows:
        inputs = published_inputs(task, row.fields)
        asked = [inputs[name] for name in task.task_names(Role.INPUT)]
        # Of a chat, the turns between question and last answer are part of the prompt, too.
        key = json.dumps([asked, [message.as_json() for message in row.prompt]], sort_keys=True, default=str)
        gold = published_targets(task, row.fields)
        known = merged.get(key)
        if known is None:
            merged[key] = EvalQuestion(id=row.id, prompt=tuple(row.prompt), golds=(gold,))
        elif gold not in known.golds:
            merged[key] = known.model_copy(update={"golds": (*known.golds, gold)})
    return list(merged.values())


def evaluate(task: type[Task], asked: Sequence[EvalQuestion], answers: Sequence[str]) -> Evaluation:
    """Score one answer for each question.

    Raises:
        TrainingError: there are no questions.
    """
    if not asked:
        raise TrainingError("There are no rows to evaluate on: the split is empty; give it a share in split.fractions")
    outcomes = tuple(_outcome(task, question, text) for question, text in zip(asked, answers, strict=True))
    kind = kind_of(task)
    parts = kind.parts(task, outcomes)
    unreadable = tuple(outcome.id for outcome in outcomes if outcome.read is None)
    return Evaluation(
        metric=kind.metric,
        metric_title=kind.metric_title,
        questions=len(outcomes),
        score=ratio_estimate(credit_ratios(outcomes)),
        exact=accuracy(outcomes),
        macro_f1=macro_f1(parts),
        parts=parts,
        confusions=kind.confusions(task, outcomes),
        unreadable=len(unreadable),
        unreadable_ids=unreadable,
        outcomes=outcomes,
    )


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
    changes = [_sign(one.credit.worth - other.credit.worth) for other, one in pairs]
    return Comparison(
        difference=bootstrap(credit_ratios(after.outcomes), minus=credit_ratios(before.outcomes)),
        better=changes.count(1),
        worse=changes.count(-1),
        same=changes.count(0),
    )


# --- one answer -------------------------------------------------------------------------------
def _outcome(task: type[Task], question: EvalQuestion, text: str) -> Outcome:
    read = task.task_read_answer(text)
    place, credit = kind_of(task).nearest(read, question.golds)
    return Outcome(
        id=question.id,
        answer=text,
        golds=tuple(task.task_answer(right) for right in question.golds),
        gold=question.golds[place],
        read=read,
        credit=credit,
    )


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
