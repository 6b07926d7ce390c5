"""Chat: the answer is what an assistant says next in a conversation, possibly by calling tools."""

from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np

from pipeline.evaluation.estimates import ratio_estimate
from pipeline.evaluation.scores import Credit, Measure, Outcome, Part, PartMetric
from pipeline.evaluation.text_similarity import chrf
from pipeline.kinds.interface import Breakdown, Kind, LabeledText, LabelScore, LabelScores, Targets
from pipeline.label_errors.chat_findings import Finding, Rule
from pipeline.label_errors.chat_rules import doubts
from schemas.conversation import about_turn, turn_text
from schemas.dataset import OnConflict
from schemas.fate import Reason, ReasonCode
from schemas.field import TargetField, ValueType
from schemas.message import Message, Speaker
from schemas.task import Role, Task
from schemas.task_fields import conversation_target, tools_field, turn_fields, turns_of

_HEAVIEST, _LIGHTEST = 0.95, 0.6


class Chat(Kind):
    """The assistant's turns after the user's last one; rules find odd turns and calls anywhere in the conversation."""

    name: ClassVar[str] = "chat"
    hub_categories: ClassVar[tuple[str, ...]] = ("text-generation",)
    answers_repeat: ClassVar[bool] = False
    digits_answer: ClassVar[bool] = False
    rules: ClassVar[Collection[str]] = tuple(rule.value for rule in Rule)
    learns_labels: ClassVar[bool] = False
    judged_by_loss: ClassVar[bool] = True
    on_conflict: ClassVar[OnConflict] = OnConflict.ANY_OF
    breakdown: ClassVar[Breakdown] = Breakdown.FIELD
    part_metric: ClassVar[PartMetric] = PartMetric.F1
    metric: ClassVar[str] = "loss_per_token"
    metric_title: ClassVar[str] = "loss per token"

    limits: ClassVar[str] = (
        "annotators edit the assistant's last turn; an earlier one can only make the whole conversation unusable"
    )

    def accepts(self, targets: Sequence[TargetField]) -> bool:
        """True for a conversation."""
        return len(targets) == 1 and targets[0].type is ValueType.MESSAGES

    def strata(self, task: type[Task], targets: Targets) -> tuple[str, ...]:
        """None: hardly two conversations end with the same turn."""
        return ()

    def score_labels(
        self, task: type[Task], rows: Sequence[LabeledText], seed: int, off: Collection[str] = ()
    ) -> LabelScores:
        """Flag what the rules find in the whole conversation."""
        ignored = [Rule(rule) for rule in off]
        return LabelScores([_scored(task, row, ignored) for row in rows])

    def credit(self, task: type[Task], answer: Targets | None, gold: Targets) -> Credit:
        """The chrF of the last turn; what models are judged by is the loss on the gold turns."""
        [name] = gold
        earned = 0.0 if answer is None else chrf(_last_text(answer, name), _last_text(gold, name))
        return Credit(earned=earned, possible=1.0)

    def parts(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
        """None: a turn has no parts that could be right by themselves."""
        return ()

    def measures(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Measure, ...]:
        """How many answers no rule doubts, and their chrF."""
        name = conversation_target(task)
        sound = [(float(outcome.read is not None and not _faults(outcome.read, name)), 1.0) for outcome in outcomes]
        similar = [(outcome.credit.earned, outcome.credit.possible) for outcome in outcomes]
        return (
            Measure(name="answers that no rule doubts", value=ratio_estimate(np.array(sound))),
            Measure(name="chrF", value=ratio_estimate(np.array(similar))),
        )


def _scored(task: type[Task], row: LabeledText, off: Collection[Rule]) -> LabelScore:
    if row.targets is None:
        return LabelScore()
    name, tools = conversation_target(task), tools_field(task)
    asked = [turn for field in task.task_names(Role.INPUT) if field in turn_fields(task) for turn in row.inputs[field]]
    messages = [Message.model_validate(turn) for turn in (*asked, *turns_of(row.targets, name))]
    found = doubts(messages, row.inputs.get(tools) if tools else None, off)
    return LabelScore(_score(found), None, tuple(_reason(name, one) for one in found))


def _score(found: Sequence[Finding]) -> float | None:
    """A rank rather than a probability: the weightiest finding's place among the rules, from 0.95 down to 0.6."""
    if not found:
        return None
    return _HEAVIEST - (_HEAVIEST - _LIGHTEST) * list(Rule).index(found[0].rule) / len(Rule)


def _reason(field: str, found: Finding) -> Reason:
    return Reason(code=ReasonCode(found.rule.value), field=field, detail=about_turn(found.turn, found.detail))


def _faults(answer: Targets, name: str) -> list[Finding]:
    """What is wrong with an answer by itself."""
    question = Message(role=Speaker.USER, content="?")
    return doubts(
        [question, *(Message.model_validate(turn) for turn in turns_of(answer, name))], None, [Rule.OTHER_LANGUAGE]
    )


def _last_text(targets: Targets, name: str) -> str:
    turns = turns_of(targets, name)
    return turn_text(turns[-1]) if turns and isinstance(turns[-1], dict) else ""
