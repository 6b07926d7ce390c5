"""The annotators' forms, and the parsing of what they submit."""

import datetime
import json
import re
import string
from collections.abc import Mapping
from typing import Any, Literal
from xml.etree import ElementTree

import pytest
from generated_values import FORMS, task_and_rows
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface
from pydantic import Field, create_model, field_validator
from tried_examples import examples

from pipeline.errors import ConfigError, LabelStudioError
from pipeline.review.form import data_key, labeling_config
from pipeline.review.labeling_tasks import (
    LabelingQuestion,
    labeling_task,
    prediction_result,
    read_result,
    verdict_result,
)
from schemas.annotation import Verdict
from schemas.field import ValueType, target_field
from schemas.task import Conversation, Input, Target, Task
from schemas.tasks.contract_clause import ClauseKind, ContractClause
from schemas.tasks.invoice import Invoice


class Everything(Task):
    """Fill in what the message says; amounts are in $100."""

    text: Input[str]
    subject: Target[str] = Field(description="What it is about")
    pages: Target[int | None] = None
    price: Target[float]
    urgent: Target[bool]
    day: Target[datetime.date | None] = None
    tags: Target[list[str]] = Field(default_factory=list)
    size: Target[Literal["S", "M"] | None] = None


def ask(task: type[Task], inputs: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    question = LabelingQuestion(push_key="k1", record_id="r1", inputs=dict(inputs), why="Because.", **more)
    return labeling_task(task, question)


def region(name: str, **value: Any) -> dict[str, Any]:
    return {"id": "x", "from_name": name, "to_name": "show-text", "type": "any", "origin": "manual", "value": value}


def choice_tags(task: type[Task]) -> list[str]:
    return re.findall(r"<Choice .*?/>", labeling_config(task))


# --- the way there and back -----------------------------------------------------------------------
def test_every_type_of_value_goes_through_a_form_here() -> None:
    types = {target_field("value", annotation).type for annotation, _ in FORMS.values()}
    assert types | {ValueType.MESSAGES} == set(ValueType)


@given(task_and_rows(), st.randoms())
def test_values_survive_the_way_to_label_studio_and_back(
    case: tuple[type[Task], list[dict[str, Any]]], random: Any
) -> None:
    task, [values] = case
    sent = prediction_result(task, values)
    received = json.loads(json.dumps([{**part, "origin": "prediction"} for part in sent]))
    random.shuffle(received)
    answer = read_result(task, received, was_cancelled=False)
    assert (answer.verdict, answer.error) == (Verdict.LABELED, "")
    assert answer.targets == task.task_canonical(values)


@given(task_and_rows())
@examples(40)
def test_label_studio_s_own_checks_accept_every_form_and_its_predictions(
    case: tuple[type[Task], list[dict[str, Any]]],
) -> None:
    task, [values] = case
    interface = LabelInterface(labeling_config(task))
    interface.validate()
    imported = ask(
        task,
        {"source_": []} if "source_" in values else {"source_": "text"},
        proposal=task.task_canonical(values),
        score=0.25,
    )
    for prediction in imported.get("predictions", []):
        assert interface.validate_prediction(prediction, return_errors=True) == []
    assert {tag.value_name for tag in interface.objects} <= imported["data"].keys()


names = st.text("abcu_0ö", min_size=1) | st.from_regex(r"(source|why|push_key|record_id|u_c3b6)_*", fullmatch=True)


@given(st.sets(names, min_size=2))
def test_no_two_inputs_share_a_key_and_none_is_reserved(fields: set[str]) -> None:
    keys = {data_key(field) for field in fields}
    assert len(keys) == len(fields)
    assert not keys & {"source", "why", "push_key", "record_id"}
    assert all(re.fullmatch(r"[a-z0-9_]+", key) for key in keys)


# --- what annotators see -------------------------------------------------------------------------
def test_every_choice_has_a_hotkey_that_plain_typing_does_not_hit() -> None:
    letters = create_model(
        "Many",
        __base__=Task,
        __doc__="Choose.",
        text=(Input[str], ...),
        kind=(Target[Literal[*string.ascii_letters]], ...),
    )
    for task in (ContractClause, Invoice, Everything, letters):
        hotkeys = [re.findall(r'hotkey="(.+?)"', tag) for tag in choice_tags(task)]
        assert all(len(keys) == 1 for keys in hotkeys)
        assert not [key for [key] in hotkeys if key in string.ascii_letters]


def test_a_classification_uses_digits_and_beside_text_fields_they_need_shift() -> None:
    hotkeys = re.findall(r'value="\w+" hotkey="((?:shift\+)?\d)"', labeling_config(ContractClause))
    assert hotkeys == [*"1234567890", "shift+4", "shift+5", "shift+6", "shift+7"]
    assert 'value="EUR" hotkey="shift+4"' in labeling_config(Invoice)


def test_many_choices_get_a_filter_and_few_do_not() -> None:
    assert '<Filter name="filter-kind" toName="filtered-kind" hotkey="shift+f"' in labeling_config(ContractClause)
    assert "<Filter" not in labeling_config(Invoice)


def test_only_targets_without_an_optional_answer_are_required() -> None:
    config = labeling_config(Everything)
    given = r'name="(\w+)" toName="show-text"(?: placeholder="\w+")? required="true" requiredMessage="Fill in: (.+?)\.'
    required = re.findall(given, config)
    assert required == [("subject", "Subject"), ("price", "Price"), ("urgent", "Urgent")]


def test_the_form_shows_the_instruction_the_reason_and_the_descriptions() -> None:
    config = labeling_config(Everything)
    assert "Fill in what the message says; amounts are in \u2060$\u2060100." in config
    assert '<Header value="$why"' in config
    assert "What it is about" in config


def test_a_choice_with_a_dollar_is_shown_as_text_and_not_as_a_variable() -> None:
    class Price(Task):
        """Which price?"""

        text: Input[str]
        price: Target[Literal["$5", "$10"]]

    assert '<Choice value="\u2060$\u20605" hotkey="1" alias="$5"/>' in labeling_config(Price)
    assert read_result(Price, prediction_result(Price, {"price": "$10"}), False).targets == {"price": "$10"}


def test_long_names_break_after_underscores_and_stay_text() -> None:
    task = create_model(
        "Odd", __base__=Task, __doc__="Choose.", text=(Input[str], ...), kind=(Target[Literal["a_<b>_&amp;", "c"]], ...)
    )
    odd, plain = list(ElementTree.fromstring(labeling_config(task)).iterfind(".//Choices[@name='kind']/Choice"))
    assert (odd.get("value"), odd.get("html")) == ("a_<b>_&amp;", "a_<wbr>&lt;b&gt;_<wbr>&amp;amp;")
    assert (plain.get("value"), plain.get("html")) == ("c", None)


@pytest.mark.parametrize("choice", ["bell\x07", "a\ufffe"])
def test_a_choice_that_no_form_can_show_is_refused(choice: str) -> None:
    task = create_model(
        "Odd", __base__=Task, __doc__="Choose.", text=(Input[str], ...), kind=(Target[Literal["a", choice]], ...)
    )
    with pytest.raises(ConfigError, match=r"the choice .* of 'kind' has a character that no form can show; rename it"):
        labeling_config(task)


# --- what annotators are asked -------------------------------------------------------------------
def test_a_task_carries_its_keys_its_reason_and_its_inputs_as_text() -> None:
    class Message(Task):
        """Say something."""

        source: Input[str]
        größe: Input[int]
        meta: Input[dict[str, Any]]
        note: Input[str | None] = None
        answer: Target[str]

    sent = ask(Message, {"source": "a\x00b", "größe": 3, "meta": {"k": ["ü"]}, "note": None})
    assert sent == {
        "data": {
            "source_": "ab",
            "u_6772c3b6c39f65": "3",
            "meta": '{\n  "k": [\n    "ü"\n  ]\n}',
            "note": "(none)",
            "why": "Because.",
            "record_id": "r1",
            "push_key": "k1",
            "candidates": [],
            "changes": "",
        }
    }


def test_a_proposal_becomes_a_prediction_with_its_score() -> None:
    sent = ask(ContractClause, {"clause": "…"}, proposal={"kind": "term"}, score=0.7)
    assert sent["predictions"] == [
        {
            "model_version": "goldleaf",
            "score": 0.7,
            "result": [
                {
                    "id": "kind",
                    "from_name": "kind",
                    "to_name": "show-clause",
                    "type": "choices",
                    "value": {"choices": ["term"]},
                }
            ],
        }
    ]


def test_half_a_surrogate_pair_is_refused_with_its_place() -> None:
    with pytest.raises(LabelStudioError, match="'clause' of record r1 has half a surrogate pair at character 2"):
        ask(ContractClause, {"clause": "ab\ud800c"})


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"size": "XL"}, "the proposal 'XL' is not among the choices of 'size'"),
        ({"price": "much"}, "the proposal 'much' for 'price' is not a valid number"),
        ({"pages": ["1"]}, r"the proposal \['1'\] for 'pages' is not a valid integer"),
        ({"tags": ["ok", "\udfff"]}, "the proposal for 'tags' has half a surrogate pair"),
    ],
)
def test_a_proposal_that_does_not_fit_is_refused_as_the_server_would_take_it(
    targets: dict[str, Any], message: str
) -> None:
    with pytest.raises(LabelStudioError, match=message):
        ask(Everything, {"text": "…"}, proposal=targets)


# --- what annotators answered ---------------------------------------------------------------------
def test_a_skipped_task_is_never_read_as_a_label() -> None:
    full = prediction_result(ContractClause, {"kind": ClauseKind.TERM})
    answer = read_result(ContractClause, full, was_cancelled=True)
    assert (answer.verdict, answer.targets) == (Verdict.SKIPPED, None)


@pytest.mark.parametrize("verdict", [Verdict.UNUSABLE, Verdict.UNSURE])
def test_unusable_and_unsure_outrank_what_else_was_filled_in(verdict: Verdict) -> None:
    result = prediction_result(ContractClause, {"kind": "term"}) + verdict_result(ContractClause, verdict)
    answer = read_result(ContractClause, result, was_cancelled=False)
    assert (answer.verdict, answer.targets) == (verdict, None)
    assert read_result(ContractClause, verdict_result(ContractClause, verdict), False).verdict is verdict


def test_label_studio_s_ways_to_write_values_are_understood() -> None:
    result = [
        region("subject", text="one text, no list"),
        region("pages", number=3.0),
        region("price", text=[" 1234.50 "]),
        region("urgent", choices=["no"]),
        region("day", datetime="2024-02-29"),
        region("tags", text=["a", "", "  ", "b"]),
        {"type": "relation", "from_id": "x", "to_id": "y"},
        region("remarks of a form of the user's own", text=["…"]),
    ]
    assert read_result(Everything, result, False).targets == {
        "subject": "one text, no list",
        "pages": 3,
        "price": 1234.5,
        "urgent": False,
        "day": "2024-02-29",
        "tags": ["a", "b"],
        "size": None,
    }


def test_what_was_left_empty_is_none_or_an_empty_list() -> None:
    result = [
        region("subject", text=["s"]),
        region("price", text=["1"]),
        region("urgent", choices=["yes"]),
        region("day"),
    ]
    targets = read_result(Everything, result, False).targets
    assert targets is not None
    assert [targets[name] for name in ("pages", "day", "tags", "size")] == [None, None, [], None]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (region("subject", text=["\n "]), "subject: nothing was entered"),
        (region("subject", text=["a", "b"]), r"subject: 2 values where one is expected, got \['a', 'b'\]"),
        (region("price", text=["1,234.50"]), "price: expected a number without .*such as 3703.50, got '1,234.50'"),
        (region("price", text=["inf"]), "price: Input should be a finite number, got 'inf'"),
        (region("pages", number=2.5), "pages: Input should be a valid integer, .*got 2.5"),
        (region("urgent", choices=["perhaps"]), "urgent: Input should be a valid boolean, .*got 'perhaps'"),
        (region("size", choices=["XL"]), "size: Input should be 'S' or 'M', got 'XL'"),
        (region("day", datetime="soon"), "day: expected a date as YYYY-MM-DD, got 'soon'"),
    ],
)
def test_an_invalid_answer_says_which_field_and_what_to_do(changed: dict[str, Any], message: str) -> None:
    valid = prediction_result(Everything, {"subject": "s", "price": 1.0, "urgent": True})
    result = [part for part in valid if part["from_name"] != changed["from_name"]] + [changed]
    answer = read_result(Everything, result, False)
    assert (answer.verdict, answer.targets) == (Verdict.INVALID, None)
    assert re.fullmatch(rf"{message}\. Correct the annotation in Label Studio and update it\.", answer.error)


def test_an_answer_that_a_validator_of_the_task_refuses_is_refused_in_its_words() -> None:
    class Loud(Task):
        """Shout."""

        text: Input[str]
        word: Target[str]

        @field_validator("word")
        @classmethod
        def _is_loud(cls, word: str) -> str:
            if not word.isupper():
                raise ValueError("it must be in capitals")
            return word

    said = read_result(Loud, [region("word", text=["hm"])], False).error
    assert said == "word: it must be in capitals, got 'hm'. Correct the annotation in Label Studio and update it."


def test_the_turn_to_edit_is_not_shown_among_the_earlier_ones() -> None:
    class Helper(Task):
        """Help."""

        messages: Conversation

    asked = {"messages": [{"role": "user", "content": "Where is hall four?"}]}
    first, last = ({"role": "assistant", "content": text} for text in ("Let me see.", "Beside the plants."))
    shown = ask(Helper, asked, proposal={"messages": [first, last]})["data"]["messages"]
    assert "Where is hall four?" in shown and "Let me see." in shown and "Beside the plants." not in shown
    after_a_tool = [first, {"role": "tool", "content": "shelf C4"}]
    shown = ask(Helper, asked, proposal={"messages": after_a_tool})["data"]["messages"]
    assert "Let me see." in shown and "shelf C4" in shown
