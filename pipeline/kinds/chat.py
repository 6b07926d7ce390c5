"""Chat: the answer is what an assistant says next in a conversation, possibly by calling tools."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np

from pipeline.evaluation.call_matches import called, same_calls, same_functions
from pipeline.evaluation.estimates import ratio_estimate, wilson
from pipeline.evaluation.scores import Credit, Measure, Outcome, Part
from pipeline.evaluation.text_similarity import chrf
from pipeline.kinds.interface import Kept, Kind, LabeledText, LabelScore, LabelScores, Learned, Targets
from pipeline.label_errors.chat_findings import Finding, Rule
from pipeline.label_errors.chat_rules import doubts
from schemas.conversation import about_turn, turn_text
from schemas.dataset import OnConflict
from schemas.fate import Reason, ReasonCode
from schemas.field import TargetField, ValueType
from schemas.message import Message
from schemas.task import Role, Task
from schemas.task_fields import conversation_target, tools_field, turn_fields, turns_of
from schemas.written_calls import begins_call, read_turn

_HEAVIEST, _LIGHTEST = 0.95, 0.6
_NOT_THE_ANSWER = (Rule.ASSISTANT_FIRST, Rule.ASSISTANT_TWICE, Rule.BROKEN_SCHEMA)
"""Rules about what was asked, whatever is answered."""
_CALLS = {
    "answers that call the gold answer's functions": same_functions,
    "the same with equal arguments": same_calls,
}


class Chat(Kind):
    """The assistant's turns after the user's last one; rules find odd turns and calls anywhere in the conversation."""

    name: ClassVar[str] = "chat"
    rules: ClassVar[Collection[str]] = tuple(rule.value for rule in Rule)
    judges_alone = True
    learns_labels: ClassVar[bool] = False
    judged_by_loss: ClassVar[bool] = True
    scores_are_chances: ClassVar[bool] = False
    on_conflict: ClassVar[OnConflict] = OnConflict.ANY_OF
    metric: ClassVar[str] = "loss_per_token"
    metric_title: ClassVar[str] = "loss per token"
    answers_metric: ClassVar[tuple[str, str]] = ("chrf", "chrF")

    limits: ClassVar[str] = (
        "annotators edit the assistant's last turn; an earlier one can only make the whole conversation unusable"
    )

    def accepts(self, targets: Sequence[TargetField]) -> bool:
        """True for a conversation."""
        return len(targets) == 1 and targets[0].type is ValueType.MESSAGES

    def strata(self, task: type[Task], targets: Targets) -> tuple[str, ...]:
        """None: hardly two conversations end with the same turn."""
        return ()

    def learn_labels(
        self, task: type[Task], rows: Sequence[LabeledText], seed: int, off: Collection[str] = ()
    ) -> Learned:
        """Score the same way: nothing is learned."""
        return Learned(self.judge_labels(task, rows, {}, off), {})

    def judge_labels(
        self, task: type[Task], rows: Sequence[LabeledText], kept: Kept, off: Collection[str] = ()
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
        """How many answers no rule doubts, their chrF, and how many call what the gold answers call, if they do."""
        name = conversation_target(task)
        written = [[outcome, *outcome.steps] for outcome in outcomes]
        calling = [[one for one in turns if _calls(one, name)] for turns in written]
        return (
            _share("answers that no rule doubts", written, partial(_is_sound, name=name)),
            Measure(
                name="chrF",
                value=ratio_estimate(np.array([(one.credit.earned, one.credit.possible) for one in outcomes])),
            ),
            *(
                _share(title, calling, partial(_matches, name=name, equal=equal))
                for title, equal in _CALLS.items()
                if any(calling)
            ),
        )


def _scored(task: type[Task], row: LabeledText, off: Collection[Rule]) -> LabelScore:
    if row.targets is None:
        return LabelScore()
    name, tools = conversation_target(task), tools_field(task)
    fields = [field for field in task.task_names(Role.INPUT) if field in turn_fields(task)]
    asked = [Message.model_validate(turn) for field in fields for turn in row.inputs[field] or ()]
    answer = [Message.model_validate(turn) for turn in turns_of(row.targets, name)]
    # What is asked in texts is no turn that readers could count.
    unseen = [] if fields else task.task_prompt(row.inputs)
    found = doubts([*unseen, *asked, *answer], row.inputs.get(tools) if tools else None, off)
    seen = [replace(one, turn=one.turn - len(unseen)) for one in found if one.turn >= len(unseen)]
    return LabelScore(_score(seen), None, tuple(_reason(name, one) for one in seen))


def _score(found: Sequence[Finding]) -> float | None:
    """A rank rather than a probability: the weightiest finding's place among the rules, from 0.95 down to 0.6."""
    if not found:
        return None
    return _HEAVIEST - (_HEAVIEST - _LIGHTEST) * list(Rule).index(found[0].rule) / len(Rule)


def _reason(field: str, found: Finding) -> Reason:
    return Reason(code=ReasonCode(found.rule.value), field=field, detail=about_turn(found.turn, found.detail))


def _share(name: str, conversations: Sequence[Sequence[Outcome]], holds: Callable[[Outcome], bool]) -> Measure:
    """The share of the judged turns of which something holds; those of one conversation do not count as independent."""
    found = [(sum(map(holds, turns)), len(turns)) for turns in conversations if turns]
    if all(turns == 1 for _, turns in found):
        return Measure(name=name, value=wilson(sum(held for held, _ in found), len(found)))
    return Measure(name=name, value=ratio_estimate(np.array(found, dtype=np.float64)))


def _calls(outcome: Outcome, name: str) -> bool:
    """Whether a gold answer calls a function."""
    return any(called(_last_turn(gold, name)) for gold in outcome.right_answers)


def _is_sound(outcome: Outcome, name: str) -> bool:
    """Whether no rule doubts an answer, in the conversation that it continues."""
    if outcome.read is None:
        return False
    turns = _turns(outcome.read, name)
    found = doubts([*outcome.prompt, *turns], outcome.tools, _NOT_THE_ANSWER)
    # A call that is not written well was left in the text.
    return not any(begins_call(turn.content) for turn in turns) and all(one.turn < len(outcome.prompt) for one in found)


def _matches(outcome: Outcome, name: str, equal: Callable[[list[Message], list[Message]], bool]) -> bool:
    answer = [] if outcome.read is None else _last_turn(outcome.read, name)
    return any(equal(answer, _last_turn(gold, name)) for gold in outcome.right_answers)


def _turns(targets: Targets, name: str) -> list[Message]:
    """The turns of an answer; calls that stand in their text, as some datasets have them, are calls."""
    turns = [Message.model_validate(turn) for turn in turns_of(targets, name)]
    return [read_turn(turn.content) if begins_call(turn.content) else turn for turn in turns]


def _last_turn(targets: Targets, name: str) -> list[Message]:
    """What models are asked for; what comes before it is in the prompt."""
    return _turns(targets, name)[-1:]


def _last_text(targets: Targets, name: str) -> str:
    return "".join(turn_text(turn.as_json()) for turn in _last_turn(targets, name))
