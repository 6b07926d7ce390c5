"""A conversation is question and answer at once: where it is divided, how it is asked, kept, compared and published."""

import datetime
from typing import Annotated, Any

import pyarrow as pa
import pytest
from pydantic import AfterValidator, Field, create_model, field_validator

from pipeline.ingest.row_values import row_values
from pipeline.ingest.tool_call_texts import NotAChat
from pipeline.kinds.interface import LabeledText
from pipeline.kinds.registry import kind_of
from pipeline.releases.published_rows import PublishedRow, published_inputs, published_targets, rows_table
from pipeline.text.normalize import compared_text, inputs_key, key_fields
from schemas.conversation import parted, turn_texts
from schemas.dataset import Layout
from schemas.fate import ReasonCode
from schemas.message import Message, Speaker
from schemas.task import Context, Conversation, Input, Target, Task, TaskDefinitionError, Tools
from schemas.task_fields import row_of

CALL = {"type": "function", "function": {"name": "find", "arguments": '{"city":  "Rome"}'}}
SYSTEM, USER = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is it warm?"}
CALLS = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT, SAID = {"role": "tool", "content": "31"}, {"role": "assistant", "content": "In Rome."}


class Helper(Task):
    """Help."""

    messages: Conversation
    tools: Tools = Field(default_factory=list)
    device: Context[str | None] = None


class Reply(Task):
    """Answer the question."""

    question: Input[str]
    reply: Target[list[Message]]


class Continued(Task):
    """Go on."""

    document: Input[str]
    history: Input[list[Message]]
    reply: Target[list[Message]]


@pytest.mark.parametrize(
    ("turns", "asked"),
    [
        ([SYSTEM, USER, SAID], 2),
        ([USER, CALLS, RESULT, SAID], 1),
        ([USER, SAID, USER, CALLS], 3),
        ([USER, RESULT, SAID], 2),
        ([SAID], 0),
        ([SYSTEM, SAID], 1),
        ([USER], 1),
        ([USER, RESULT], 2),
        ([], 0),
    ],
)
def test_the_answer_is_what_the_assistant_does_after_the_last_turn_of_the_user(turns: list[Any], asked: int) -> None:
    assert parted(turns) == (turns[:asked], turns[asked:])


def test_a_conversation_without_an_answer_waits_for_one() -> None:
    parsed = Helper.task_parse({"messages": [SYSTEM, USER]})
    assert (parsed.problems, parsed.targets) == ([], None)
    assert parsed.inputs == {"messages": [SYSTEM, USER], "tools": [], "device": None}


@pytest.mark.parametrize("tools", [[], [{"name": "find"}]])
@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([SAID], "no turn comes before the assistant's"),
        ([CALLS, RESULT, SAID], "no turn comes before the assistant's"),
        ([SYSTEM], "no turn is the user's, so nothing is asked"),
        ([SYSTEM, {**SYSTEM, "role": "developer"}], "no turn is the user's, so nothing is asked"),
        ([], "no turn is the user's, so nothing is asked"),
    ],
)
def test_a_conversation_without_a_turn_to_answer_asks_nothing(turns: list[Any], said: str, tools: list[Any]) -> None:
    [problem] = Helper.task_parse({"messages": turns, "tools": tools}).problems
    assert (problem.code, problem.field, problem.detail) == (ReasonCode.NO_INPUT, "messages", said)


def test_a_conversation_that_begins_with_the_assistant_may_be_about_something_else() -> None:
    class Summary(Task):
        """Sum it up."""

        document: Input[str]
        messages: Conversation

    assert Summary.task_parse({"document": "Rome: 31.", "messages": [SAID]}).targets == {"messages": [SAID]}
    assert Helper.task_parse({"messages": [SYSTEM, SAID]}).targets == {"messages": [SAID]}


def test_a_chat_is_asked_as_it_is_and_nobody_tells_the_model_what_annotators_are_told() -> None:
    parsed = Helper.task_parse({"messages": [USER, CALLS, RESULT, SAID], "device": "lamp 7"})
    messages = [message.as_json() for message in Helper.task_messages(parsed.inputs, parsed.targets)]
    assert messages == [USER, CALLS, RESULT, SAID]
    assert Helper.task_prompt(parsed.inputs) == [Message(role=Speaker.USER, content="Where is it warm?")]


def test_other_inputs_of_a_chat_begin_its_system_message() -> None:
    inputs = {"document": "Rome: 31.", "history": [SYSTEM, USER]}
    system, user = Continued.task_prompt(inputs)
    assert system == Message(role=Speaker.SYSTEM, content="document: Rome: 31.\n\nBe brief.")
    assert user.as_json() == USER
    [system, _] = Continued.task_prompt({"document": "Rome: 31.", "history": [USER]})
    assert system.content == "document: Rome: 31."


def test_turns_may_be_the_answer_to_a_text() -> None:
    parsed = Reply.task_parse({"question": "Where?", "reply": [CALLS, RESULT, SAID]})
    assert parsed.targets == {"reply": [CALLS, RESULT, SAID]}
    system, user, *answer = Reply.task_messages(parsed.inputs, parsed.targets)
    assert (system.content, user.content) == ("Answer the question.", "Where?")
    assert [turn.as_json() for turn in answer] == [CALLS, RESULT, SAID]
    assert Reply.task_answer(parsed.targets or {}) == "In Rome."


def test_a_conversation_is_the_only_target_and_only_it_is_asked_and_answered() -> None:
    both = create_model("Both", __base__=Task, __doc__="Do.", messages=(Conversation, ...), label=(Target[str], ...))
    with pytest.raises(TaskDefinitionError, match="the conversation 'messages' must be the only target"):
        both.task_check()


def test_the_whole_row_is_put_together_again() -> None:
    row = {"messages": [USER, CALLS, RESULT, SAID], "tools": [{"name": "find"}], "device": "lamp 7"}
    parsed = Helper.task_parse(row)
    assert row_of(Helper, parsed.inputs, parsed.targets) == row


# --- compared -------------------------------------------------------------------------------------
def test_each_turn_is_compared_by_itself_and_what_many_chats_share_is_not_searched() -> None:
    inputs = {"messages": [SYSTEM, USER, SAID, USER], "tools": [{"name": "find"}]}
    assert key_fields(inputs_key(Helper, inputs)) == [
        "system: be brief.",
        "user: where is it warm?",
        "assistant: in rome.",
        "user: where is it warm?",
        '[{"name": "find"}]',
    ]
    assert compared_text(Helper, inputs) == "user: Where is it warm?\nassistant: In Rome.\nuser: Where is it warm?"


@pytest.mark.parametrize("prompt", ["system", "developer"])
def test_prompts_that_many_chats_share_are_not_compared(prompt: str) -> None:
    turns = [{"role": prompt, "content": "Be brief."}, USER, SAID]
    assert turn_texts(turns, without_system=True) == turn_texts([USER, SAID])
    assert len(turn_texts(turns)) == 3


# --- published ------------------------------------------------------------------------------------
def published(task: type[Task], row: dict[str, Any]) -> dict[str, Any]:
    parsed = task.task_parse(row)
    assert parsed.targets is not None
    one = PublishedRow("r", parsed.inputs, parsed.targets, "s", "l", "source", "g", 1)
    [as_read] = rows_table(task, [one]).to_pylist()
    return as_read


def test_a_published_chat_has_its_last_turn_as_completion_and_all_turns_as_they_were() -> None:
    row = {"messages": [USER, CALLS, RESULT, SAID], "tools": [{"name": "find"}], "device": "lamp 7"}
    found = published(Helper, row)
    assert found["prompt"] == [
        '{"role":"user","content":"Where is it warm?"}',
        '{"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"find",'
        '"arguments":{"city":"Rome"}}}]}',
        '{"role":"tool","content":"31"}',
    ]
    assert found["completion"] == ['{"role":"assistant","content":"In Rome."}']
    assert found["tools"] == ['{"name":"find"}']
    turns = found["fields"]["messages"]
    assert turns[1]["tool_calls"][0]["function"]["arguments"] == '{"city":  "Rome"}'
    assert found["fields"]["device"] == "lamp 7"


def test_a_published_chat_is_read_back_as_it_was() -> None:
    row = {"messages": [SYSTEM, USER, CALLS, RESULT, SAID], "tools": [{"name": "find"}], "device": None}
    parsed, fields = Helper.task_parse(row), published(Helper, row)["fields"]
    assert published_inputs(Helper, fields) == parsed.inputs
    assert published_targets(Helper, fields) == parsed.targets


def test_a_published_task_without_a_conversation_has_plain_messages() -> None:
    toy = create_model("Toy", __base__=Task, __doc__="Do.", text=(Input[str], ...), answer=(Target[str], ...))
    schema = rows_table(toy, []).schema
    assert schema.field("prompt").type == pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    assert "tools" not in schema.names


# --- context --------------------------------------------------------------------------------------
def test_context_is_kept_and_never_asked_and_makes_no_label_stale() -> None:
    plain = create_model("Toy", __base__=Task, __doc__="Do.", text=(Input[str], ...), answer=(Target[str], ...))
    more = create_model(
        "Toy",
        __base__=Task,
        __doc__="Do.",
        text=(Input[str], ...),
        contract=(Context[str | None], None),
        answer=(Target[str], ...),
    )
    more.task_check()
    parsed = more.task_parse({"text": "t", "contract": "C-7", "answer": "a"})
    assert parsed.inputs == {"text": "t", "contract": "C-7"}
    assert "C-7" not in str(more.task_messages(parsed.inputs, parsed.targets))
    assert inputs_key(more, parsed.inputs) == inputs_key(plain, {"text": "t"})
    assert more.task_digest() == plain.task_digest()
    assert published(more, {"text": "t", "contract": "C-7", "answer": "a"})["fields"]["contract"] == "C-7"


class Recalled(Task):
    """Go on."""

    history: Input[list[Message] | None] = None
    question: Input[str]
    reply: Target[list[Message]]


def test_an_absent_conversation_is_judged_and_published_as_absent() -> None:
    row = {"question": "Where is it warm?", "reply": [SAID]}
    parsed = Recalled.task_parse(row)
    assert parsed.inputs["history"] is None
    scored = kind_of(Recalled).judge_labels(Recalled, [LabeledText("", parsed.inputs, parsed.targets, "g")], {})
    assert len(scored.rows) == 1
    assert published_inputs(Recalled, published(Recalled, row)["fields"]) == parsed.inputs


def test_an_answer_without_a_turn_of_the_assistant_is_refused() -> None:
    [problem] = Reply.task_parse({"question": "Where?", "reply": [USER]}).problems
    assert (problem.code, problem.field) == (ReasonCode.INVALID, "reply")
    assert problem.detail.startswith("no turn is the assistant's, so nothing is answered")


def test_a_prompt_continues_one_conversation_only() -> None:
    class Two(Task):
        """Go on."""

        history: Input[list[Message]]
        examples: Input[list[Message]]
        reply: Target[list[Message]]

    with pytest.raises(TaskDefinitionError, match="'history' and 'examples' are conversations, and a prompt can"):
        Two.task_check()


def test_values_of_a_type_without_a_column_come_back_as_they_were() -> None:
    class Loose(Task):
        """Name it."""

        one: Input[str | int]
        other: Context[Any] = None
        name: Target[str]

    for value in ("123", 123, "1e5", "null", "[1]", [1], {"k": "v"}, "x", True):
        row = {"one": value if isinstance(value, str | int) else "x", "other": value, "name": "n"}
        assert published_inputs(Loose, published(Loose, row)["fields"]) == Loose.task_parse(row).inputs


def test_validators_of_a_conversation_see_all_of_it() -> None:
    class Polite(Task):
        """Help."""

        messages: Conversation

        @field_validator("messages")
        @classmethod
        def _begins_with_the_user_and_does_not_swear(cls, turns: list[Message]) -> list[Message]:
            if turns[0].role is not Speaker.USER or "damn" in turns[-1].content:
                raise ValueError("mind your manners")
            return turns

    parsed = Polite.task_parse({"messages": [USER, SAID]})
    assert parsed.targets is not None
    assert Polite.task_validate_targets(parsed.targets) == parsed.targets
    assert Polite.task_read_answer("In Rome.") == {"messages": [SAID]}
    assert Polite.task_problems(parsed.inputs, parsed.targets) == []
    [problem] = Polite.task_problems(parsed.inputs, {"messages": [{"role": "assistant", "content": "damn"}]})
    assert problem.detail.startswith("mind your manners")


def _is_long(turns: list[Message]) -> list[Message]:
    if len(turns) < 3:
        raise ValueError("too short")
    return turns


@pytest.mark.parametrize(
    "messages", [Annotated[Conversation, Field(min_length=3)], Annotated[Conversation, AfterValidator(_is_long)]]
)
def test_limits_of_a_conversation_are_those_of_all_of_it(messages: Any) -> None:
    long = create_model("Long", __base__=Task, __doc__="Help.", messages=(messages, ...))
    parsed = long.task_parse({"messages": [USER, SAID, USER, SAID]})
    assert parsed.targets is not None
    assert long.task_validate_targets(parsed.targets) == parsed.targets == {"messages": [SAID]}
    assert long.task_read_answer("In Rome.") == {"messages": [SAID]}
    assert long.task_problems(parsed.inputs, parsed.targets) == []
    [problem] = long.task_parse({"messages": [USER, SAID]}).problems
    assert problem.field == "messages"
    assert long.task_problems({"messages": [USER]}, parsed.targets)


def test_what_a_validator_says_about_context_is_no_fault_of_an_answer() -> None:
    class Dated(Task):
        """Name it."""

        text: Input[str]
        day: Context[datetime.date]
        name: Target[str]

        @field_validator("day", mode="before")
        @classmethod
        def _is_german(cls, value: str) -> datetime.date:
            return datetime.datetime.strptime(value, "%d.%m.%Y").date()

    parsed = Dated.task_parse({"text": "a", "day": "05.03.2026", "name": "b"})
    assert Dated.task_problems(parsed.inputs, {"name": "c"}) == []


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 1.8446744073709552e19, 5e-324])
def test_definitions_of_tools_hold_no_number_that_versions_would_change(number: float) -> None:
    tool = {"name": "find", "parameters": {"type": "object", "properties": {"n": {"enum": [1, number]}}}}
    [problem] = Helper.task_parse({"messages": [USER, SAID], "tools": [tool]}).problems
    assert problem.field == "tools" and f"versions cannot hold the number {number!r}" in problem.detail


def test_the_conversation_that_cannot_be_read_is_named() -> None:
    class Asked(Task):
        """Sum it up."""

        first: Input[list[Message]]
        second: Input[list[Message]]
        sum: Target[str]

    row = {"first": [USER], "second": [{"role": "narrator", "content": "x"}], "sum": "x"}
    with pytest.raises(NotAChat) as error:
        row_values(row, Asked, Asked.model_fields, {}, Layout.AUTO)
    assert error.value.field == "second"
