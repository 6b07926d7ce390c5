"""A field is found by its name or path, and one that no row of a source has is reported before annotators are asked."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import ORDER, QUESTION, Odd
from support import row, write_rows
from terminal import Terminal

from pipeline.errors import ConfigError
from pipeline.text.field_paths import field_value, has_field

ROWS = [{"id": n, "question": f"Where is parcel {n}?", "label": "delivery"} for n in range(3)]
CHATS = [
    {
        "id": n,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Where is parcel {n}?"}],
        "instances": [{"output": "billing"}, {"output": "delivery"}],
    }
    for n in range(3)
]


def mapped(folder: Path, fields: str, rows: list[dict[str, Any]], task: str = QUESTION) -> Odd:
    """A dataset whose one source has a field map."""
    odd = Odd(folder, task, rows)
    odd.edit("key: id,", f"key: id, fields: {{{fields}}},")
    return odd


# --- paths ----------------------------------------------------------------------------------------
def test_a_path_reaches_into_lists_from_both_ends(tmp_path: Path) -> None:
    odd = mapped(tmp_path, "question: messages.1.content, topic: instances.-1.output", CHATS)
    assert odd.curate().funnel.accepted == 3
    assert (odd[2].inputs, odd[2].targets) == ({"question": "Where is parcel 2?"}, {"topic": "delivery"})


def test_keys_and_groups_reach_into_lists_too(tmp_path: Path) -> None:
    texts = ["Where is my parcel?", "How do I send back these shoes?", "Why was I charged twice?"]
    rows = [{"ids": [n, "x"], "refs": [["shop"]], "question": text, "topic": None} for n, text in enumerate(texts)]
    odd = Odd(tmp_path, QUESTION, rows, "split: {group_by: [refs.0.0]}\n")
    odd.edit("key: id,", "key: ids.0,")
    odd.curate()
    assert len({odd[n].group for n in range(3)}) == 1


def test_evaluation_sets_reach_into_lists_too(tmp_path: Path) -> None:
    text = "The parcel that you sent on Monday has never arrived at my door, where is it now?"
    against = "decontaminate: {against: [{name: exam, path: exam.jsonl, fields: {question: turns.-1.text}}]}\n"
    odd = Odd(tmp_path, QUESTION, [row(1, text, "delivery")], against)
    write_rows(tmp_path, [{"turns": [{"text": "Hello"}, {"text": text}]}], "exam.jsonl")
    assert odd.curate().funnel.rejected == 1


def test_a_literal_name_comes_before_a_path() -> None:
    assert field_value({"a.0": 1, "a": [2]}, "a.0") == 1
    assert field_value({"a": {"0": 1, "-1": 2}}, "a.-1") == 2


@pytest.mark.parametrize("path", ["a.2", "a.-3", "a.x", "a.0.x", "a.1e0", "a.٠", "a.", "b.0", f"a.{'9' * 5000}"])
def test_a_path_that_leads_nowhere_finds_nothing(path: str) -> None:
    assert field_value({"a": [1, 2]}, path) is None
    assert not has_field({"a": [1, 2]}, path)


@given(st.lists(st.integers(), min_size=1), st.data())
def test_every_item_has_a_place_from_each_end(items: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(items) - 1))
    assert field_value({"a": items}, f"a.{at}") == field_value({"a": items}, f"a.{at - len(items)}") == items[at]


@pytest.mark.parametrize("there", [{"a": None}, {"a": []}, {"a": {}}, {"a": {"b": None}}])
def test_what_is_in_something_empty_is_not_taken_for_misspelled(there: dict[str, Any]) -> None:
    assert has_field(there, "a.b")
    assert field_value(there, "a.b") is None


# --- mapped ---------------------------------------------------------------------------------------
def test_a_mapped_target_that_no_row_has_is_an_error_and_no_question_is_sent(tmp_path: Path) -> None:
    odd = mapped(tmp_path, "topic: lable", ROWS)
    odd.edit("review: {budget: 0, audit: 0.0}", "review: {budget: 1.0, audit: 1.0}")
    with pytest.raises(ConfigError) as error:
        odd.curate()
    assert str(error.value) == (
        "source 'examples': no row has 'lable', which is mapped to 'topic'; correct `fields:` or leave it out; "
        "the rows have the fields 'id', 'question', 'label'"
    )
    assert odd.context.store.snapshot().runs.height == 0
    odd.edit("lable", "label")
    assert odd.curate().funnel.accepted == 3


def test_check_finds_a_mapped_target_that_no_row_has(tmp_path: Path) -> None:
    mapped(tmp_path, "topic: ticket.lable", [{"id": 1, "question": "Why?", "ticket": {"label": "billing"}}])
    found = {item["what"]: item for item in Terminal(tmp_path).json("check", exit_code=1)}
    assert found["fields of source examples"]["detail"] == (
        "no row has 'ticket.lable', which is mapped to 'topic'; correct `fields:` or leave it out; "
        "the rows have the fields 'id', 'question', 'ticket.label'"
    )


def test_all_fields_that_are_misspelled_are_named_at_once(tmp_path: Path) -> None:
    odd = mapped(tmp_path, "topic: lable, question: qestion", ROWS)
    said = (
        "no row has 'lable', which is mapped to 'topic', or 'qestion', which is mapped to 'question'; correct "
        "`fields:` or leave them out; the rows have the fields 'id', 'question', 'label'"
    )
    assert Terminal(tmp_path).error("curate", "--json") == f"source 'examples': {said}"
    found = {item["what"]: item for item in Terminal(tmp_path).json("check", exit_code=1)}
    assert found["fields of source examples"]["detail"] == said
    odd.edit("review:", "  - {name: others, path: data.jsonl, fields: {topic: kind}}\nreview:")
    with pytest.raises(
        ConfigError, match=r"^source 'examples': no row has 'lable'.*\nsource 'others': no row has 'kind'"
    ):
        odd.curate()


def test_every_source_is_looked_at_by_itself(tmp_path: Path) -> None:
    odd = mapped(tmp_path, "topic: label", ROWS)
    odd.edit("review:", "  - {name: others, path: others.jsonl, key: id, fields: {topic: label}}\nreview:")
    write_rows(tmp_path, [{"id": 9, "question": "Why was I charged?", "kind": "billing"}], "others.jsonl")
    with pytest.raises(ConfigError, match=r"^source 'others': no row has 'label', .* 'id', 'question', 'kind'$"):
        odd.curate()


def test_a_mapped_field_that_only_one_row_of_many_has_is_there(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": n, "question": f"Is lamp {n} on sale?"} for n in range(12_000)]
    odd = mapped(tmp_path, "topic: label", [*rows, {"id": -1, "question": "Why was I charged?", "label": "billing"}])
    assert odd.curate().funnel.accepted >= 1


def test_a_mapped_label_that_is_null_everywhere_is_not_a_mistake(tmp_path: Path) -> None:
    odd = mapped(tmp_path, "topic: annotation.label", [{"id": 1, "question": "Why?", "annotation": None}])
    assert odd.curate().in_review == {"unlabeled": 1}


def test_a_map_of_a_field_that_the_task_does_not_have_is_an_error_with_its_line(tmp_path: Path) -> None:
    odd = mapped(tmp_path, "topik: label", ROWS)
    said = r"dataset\.yaml:4: `fields` maps 'topik', which Question does not have; it has question, topic$"
    with pytest.raises(ConfigError, match=said):
        odd.curate()


# --- not mapped -----------------------------------------------------------------------------------
UNMAPPED = (
    "no row of it has 'topic': map it with `fields:` if it has another name; "
    "the rows have the fields 'id', 'question', 'label'"
)


def test_a_target_that_is_not_mapped_and_that_no_row_has_is_said(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, ROWS)
    assert "source 'examples': " + UNMAPPED in odd.curate().note.splitlines()
    found = {item["what"]: item for item in Terminal(tmp_path).json("check")}
    assert UNMAPPED in found["source examples"]["detail"]


def test_a_required_input_that_no_row_has_is_said(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, [{"id": 1, "body": "Why?", "topic": "billing"}])
    assert "source 'examples': no row of it has 'question': map it with `fields:`" in odd.curate().note


def test_what_some_row_has_or_an_input_that_may_be_absent_is_no_news(tmp_path: Path) -> None:
    task = ORDER.replace("    article", "    remark: Input[str | None] = None\n    article")
    rows = [row(1, "Send rope", None), {"id": 2, "question": "Send rope twice", "article": "rope", "pieces": 2}]
    assert "map it" not in Odd(tmp_path, task, rows).curate().note


def test_what_no_model_of_the_task_reads_within_objects_is_said(tmp_path: Path) -> None:
    task = """
from pydantic import BaseModel

class Maker(BaseModel):
    name: str

class Line(BaseModel):
    title: str
    due: str | None = None
    maker: Maker | None = None

class Question(Task):
    \"\"\"Read the bill.\"\"\"

    question: Input[str]
    lines: Target[list[Line]]
"""
    lines = [{"title": "rope", "duee": "May"}, {"title": "rope", "maker": {"name": "A", "town": "Ulm"}}]
    odd = Odd(tmp_path, task, [{"id": 1, "question": "rope rope A", "lines": lines}])
    said = "not read, as the task's models have no such field: 'lines.duee', 'lines.maker.town'; correct the name"
    assert said in odd.curate().note
    found = {item["what"]: item for item in Terminal(tmp_path).json("check")}
    assert "'lines.duee', 'lines.maker.town'" in found["source examples"]["detail"]
    odd.edit("    due: str", "    duee: str | None = None\n    due: str", "task.py")
    odd.edit("    name: str", "    name: str\n    model_config = {'extra': 'allow'}", "task.py")
    assert "not read" not in odd.curate().note
