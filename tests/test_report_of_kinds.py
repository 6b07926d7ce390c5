"""What the report and the commands say of each kind of task: its own words, and rows as people read them."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, create_model
from report_toys import section
from support import current, offline, write_rows
from task_toys import task_with
from terminal import Terminal

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.reporting.report_state import State
from pipeline.reporting.report_values import field_fills
from pipeline.reporting.write_report import write_report
from pipeline.state.decisions import to_frame
from pipeline.state.tables import Table
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode
from schemas.run_summary import CollectSummary, Verb
from schemas.task import Conversation, Input, Target, Task

SYSTEM = {"role": "system", "content": "You are the desk of a library by the sea."}
TOOLS = [{"type": "function", "function": {"name": "find_book", "parameters": {"properties": {"title": {}}}}}]
BELOW_THE_FLOOR = "not asked about: an error is less likely than `review.floor`"
BEYOND = "not asked about: beyond the review budget"


class Set:
    """A dataset that ``goldleaf init`` began, without a budget, in which later runs decide as a test says."""

    def __init__(self, folder: Path, kind: str, rows: list[dict[str, Any]]) -> None:
        self.terminal = Terminal(folder)
        self.terminal.goldleaf("init", "set", "--kind", kind)
        self.file = folder / "set" / "dataset.yaml"
        self.file.write_text(self.file.read_text() + "\nreview: {budget: 0, audit: 0.0}\n")
        write_rows(folder / "set", rows)
        self.context = Context.load(self.file, offline(folder / "home"))
        curate(self.context, Inline())

    def decide(self, **changes: Any) -> Decision:
        """What a later run decided about the first row."""
        run = self.context.new_run(Verb.COLLECT)
        rows = self.context.store.snapshot().current_records().sort("line").collect()
        before = current(self.context)[rows["record_id"][0]]
        fixed = {"run": run.id, "fate": Fate.ACCEPTED, "label_source": LabelSource.SOURCE}
        decision = before.model_copy(update=fixed | changes)
        self.context.store.append(Table.DECISIONS, to_frame([decision]))
        self.context.store.commit(run, inputs={}, funnel=None, summary=CollectSummary())
        return decision

    def report(self) -> str:
        return write_report(self.context).read_text(encoding="utf-8")

    def suspects(self) -> str:
        return section(self.report(), "suspects")

    def explained(self) -> str:
        return self.terminal.goldleaf("explain", "data.jsonl:1", self.file).stdout


def chat(*turns: str, **more: Any) -> dict[str, Any]:
    """A conversation, beginning with the shared system prompt and the user."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(turns)]
    return {"messages": [SYSTEM, *messages], **more}


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[Set]:
    called = chat("Is the Odyssey in?", "", "Thanks.", "You are welcome.", tools=TOOLS)
    function = {"name": "order_pizza", "arguments": "{}"}
    called["messages"][2]["tool_calls"] = [{"id": "1", "type": "function", "function": function}]
    called["messages"].insert(3, {"role": "tool", "content": "ok", "tool_call_id": "1"})
    called["messages"].insert(4, {"role": "assistant", "content": "It is."})
    copy = chat("Until when are you open?", "Until seven.")
    yield Set(tmp_path, "chat", [called, copy, copy])


# --- conversations --------------------------------------------------------------------------------
def test_a_conversation_is_shown_by_its_turns_and_a_doubt_by_the_turn_in_question(chats: Set) -> None:
    html = chats.report()
    assert SYSTEM["content"] not in html
    assert "[]" not in html and "find_book" not in section(html, "duplicates")
    text = section(html, "reasons")
    line = "data.jsonl:1 · assistant: order_pizza({}) user: Is the Odyssey in? assistant: order_pizza({})"
    assert f"unknown_function 1 {line} messages: turn 3: 'order_pizza' is called" in text
    assert "data.jsonl:2 · user: Until when are you open? user: Until when are you open? answer assistant:" in text
    assert "user: Until when are you open?" in section(html, "duplicates")


def test_a_suspect_conversation_is_told_by_its_rule_and_by_no_model(chats: Set) -> None:
    text = chats.suspects()
    assert text.startswith("Suspect answers Accepted records")
    assert "order_pizza({}) data.jsonl:1" in text and BEYOND in text
    assert "A function is called that the tools do not define: turn 3: 'order_pizza' is called" in text
    assert "model" not in text and "label" not in text and "no value" not in text


def test_a_line_about_a_rejected_row_shows_what_is_wrong_with_it(tmp_path: Path) -> None:
    unknown = chat("Hello.", "Good morning.")
    unknown["messages"][2]["role"] = "librarian"
    text = section(Set(tmp_path, "chat", [unknown, chat("Hello?", "Good day.</s>")]).report(), "reasons")
    assert "data.jsonl:1 · messages: turn 3 has the `role` 'librarian'" in text
    assert "data.jsonl:2 · assistant: Good day.</s>" in text


def test_what_many_conversations_share_is_shown_where_two_of_them_differ_in_it(tmp_path: Path) -> None:
    asked = "Could you please tell me until when the reading room on the second floor is open on Saturdays in winter"
    rows = [chat(f"{asked}?", "Until four."), chat(f"{asked}, please?", "Until six.", tools=TOOLS)]
    text = section(Set(tmp_path, "chat", rows).report(), "duplicates")
    one, other = f"system: {SYSTEM['content']}", f"system: {SYSTEM['content']} tool: find_book(title)"
    shown = text.partition("the system prompts or tools differ ")[2]
    assert shown.startswith((f"{one} {other}", f"{other} {one}"))


def test_the_values_of_conversations_are_not_counted(chats: Set) -> None:
    html = chats.report()
    assert '<section id="labels"' not in html and 'href="#labels"' not in html
    assert "role" not in section(html, "reasons")


def test_explain_shows_an_answer_as_turns(chats: Set) -> None:
    lines = chats.terminal.goldleaf("explain", "data.jsonl:2", chats.file).stdout.splitlines()
    assert "  answer (source): assistant: Until seven." in lines


def test_duplicates_shows_turns_and_says_if_what_comes_before_them_differs(tmp_path: Path) -> None:
    asked = "Could you please tell me until when the reading room on the second floor is open on Saturdays in winter"
    answer = "The reading room closes at four on Saturdays."
    rows = [chat(f"{asked}?", answer), chat(f"{asked}, please?", answer, tools=TOOLS)]
    shown = Set(tmp_path, "chat", rows).terminal.goldleaf("duplicates", tmp_path / "set" / "dataset.yaml").stdout
    assert "user: Could you please" in shown
    assert "library by the sea" not in shown and "[]" not in shown and "find_book" not in shown
    assert "the system prompts or tools differ, too" in " ".join(shown.split())


# --- what is suspect ------------------------------------------------------------------------------
def test_a_suspect_rewriting_is_told_by_its_rules_and_by_no_model(tmp_path: Path) -> None:
    plain = Set(tmp_path, "rewriting", [{"sentence": "Payment is due in 30 days.", "plain": "Pay within 20 days."}])
    plain.decide(label_error_score=0.5)
    assert "No accepted answer is in doubt." in plain.suspects(), "no rule found anything"
    found = Reason(code=ReasonCode.NUMBERS, field="plain", detail="'20' is not in the original")
    plain.decide(label_error_score=0.9, reasons=[Reason(code=ReasonCode.UNREVIEWED), found])
    text = plain.suspects()
    assert text.startswith("Suspect answers")
    assert "Numbers of the original and the answer differ: '20' is not in the original" in text
    assert "answer Pay within 20 days." in text and BEYOND in text
    assert not re.search("model|label|score", text)


def test_an_answer_that_the_model_confirms_is_not_suspect_whatever_its_score(tmp_path: Path) -> None:
    comments = Set(tmp_path, "multi-label", [{"comment": "The pancakes were cold.", "aspects": ["food", "room"]}])
    same, other = {"aspects": ["room", "food"]}, {"aspects": ["food"]}
    for suggestion, score in ((same, 0.0004), (same, 0.6), (other, 0.3)):
        comments.decide(suggestion=suggestion, label_error_score=score)
        assert "No accepted answer is in doubt." in comments.suspects()
    comments.decide(suggestion=other, label_error_score=0.7)
    text = comments.suspects()
    assert text.startswith("Suspect labels")
    assert "answer room, food the model says food label-error score 70.0%" in text


def test_a_record_with_several_labels_is_one_record(tmp_path: Path) -> None:
    comments = Set(tmp_path, "multi-label", [{"comment": "The pancakes were cold.", "aspects": ["food", "room"]}])
    assert "2 labels over 1 record; the most frequent has 1" in section(comments.report(), "labels")


def test_an_empty_set_of_labels_is_called_as_in_the_form(tmp_path: Path) -> None:
    comments = Set(tmp_path, "multi-label", [{"comment": "The pancakes were cold.", "aspects": []}])
    comments.decide(suggestion={"aspects": ["food"]}, label_error_score=0.98)
    assert "answer none of these the model says food label-error score 98.0%" in comments.suspects()
    assert "answer (source): none of these" in comments.explained()


def test_explain_says_of_a_suspect_label_what_the_report_says(tmp_path: Path) -> None:
    questions = Set(tmp_path, "classification", [{"question": "Where is my parcel?", "topic": "billing"}])
    other = {"suggestion": {"topic": "delivery"}, "label_error_score": 0.998}
    questions.decide(reasons=[Reason(code=ReasonCode.PASSED)], **other)
    assert "the model says delivery label-error score 99.8%" in questions.suspects()
    assert BELOW_THE_FLOOR in questions.suspects()
    assert f"  label-error score 99.8%: the model says delivery; {BELOW_THE_FLOOR}\n" in questions.explained()
    found = [Reason(code=ReasonCode.UNREVIEWED), Reason(code=ReasonCode.LABEL_ERROR)]
    questions.decide(reasons=found, **other)
    assert BEYOND in questions.suspects() and BEYOND in questions.explained()
    questions.decide(reasons=found, **other | {"suggestion": {"topic": "billing"}})
    assert "the model says" not in questions.explained().rpartition("\nrun ")[2]


def test_where_any_answer_is_right_another_one_of_the_model_is_no_doubt(tmp_path: Path) -> None:
    questions = Set(tmp_path, "classification", [{"question": "Where is my parcel?", "topic": "billing"}])
    questions.file.write_text(re.sub(r"on_conflict: \w+", "on_conflict: any_of", questions.file.read_text()))
    questions.context = Context.load(questions.file, questions.context.settings)
    assert questions.context.dataset.config.on_conflict == "any_of"
    questions.decide(suggestion={"topic": "delivery"}, label_error_score=0.99)
    assert "No accepted answer is in doubt." in questions.suspects()


def test_explain_shows_the_values_of_an_answer_with_their_fields(tmp_path: Path) -> None:
    row = {"message": "Lunch with Ines on 2026-04-17.", "person": "Ines", "day": "2026-04-17"}
    shown = Set(tmp_path, "extraction", [row]).explained()
    assert "  answer (source): person: Ines; day: 2026-04-17; place: nothing\n" in shown


# --- values ---------------------------------------------------------------------------------------
class Item(BaseModel):
    """A line of an order."""

    article: str
    pieces: int
    fragile: bool


Order = create_model(
    "Order",
    __base__=Task,
    __doc__="What was ordered?",
    text=(Input[str], ...),
    items=(Target[list[Item]], ...),
    marks=(Target[set[Literal["metal", "glass"]]], ...),
    express=(Target[bool | None], None),
)


def test_values_are_counted_by_label_by_element_and_by_the_fields_of_objects() -> None:
    glue, rope = {"article": "glue", "pieces": 2, "fragile": False}, {"article": "rope", "pieces": 2, "fragile": False}
    answers: list[dict[str, Any]] = [
        {"items": [glue, rope, glue], "marks": ["metal", "glass"], "express": True},
        {"items": [glue], "marks": ["metal"], "express": False},
        {"items": [], "marks": [], "express": None},
    ]
    fills = {fill.name: fill for fill in field_fills(Order, answers)}
    top = {name: {one.value: one.records for one in fill.top} for name, fill in fills.items()}
    assert top == {
        "items.article": {"glue": 2, "rope": 1},
        "items.pieces": {"2": 2},
        "items.fragile": {"false": 2},
        "marks": {"metal": 2, "glass": 1},
        "express": {"true": 1, "false": 1},
    }
    assert {fill.filled for fill in fills.values()} == {2} and {fill.records for fill in fills.values()} == {3}


@pytest.mark.parametrize(
    ("annotation", "answers", "counted"),
    [
        (Target[list[str]], [["a", "b", "a"], ["a"]], {"a": 2, "b": 1}),
        (Target[float], [1.5, 2.0], {"1.5": 1, "2.0": 1}),
        (Target[str], ["x", "x"], {"x": 2}),
    ],
)
def test_an_answer_counts_once_for_each_of_its_values(annotation: Any, answers: list[Any], counted: Any) -> None:
    [fill] = field_fills(task_with(annotation), [{"answer": answer} for answer in answers])
    assert {one.value: one.records for one in fill.top} == counted
    assert (fill.filled, fill.distinct) == (2, len(counted))


def test_nothing_is_counted_of_a_conversation() -> None:
    talk = create_model("Talk", __base__=Task, __doc__="Help.", messages=(Conversation, ...))
    assert field_fills(talk, [{"messages": [{"role": "assistant", "content": "Hi"}]}]) == []


def test_a_version_s_report_quotes_no_other_row_s_original_and_no_text_that_was_replaced(tmp_path: Path) -> None:
    plain = Set(tmp_path, "rewriting", [{"sentence": f"Payment {n} is due.", "plain": f"Pay {n}."} for n in range(9)])
    quoted = Reason(code=ReasonCode.MEANING, field="plain", detail="it fits another row's original better: 'wombat'")
    plain.decide(label_error_score=0.9, reasons=[Reason(code=ReasonCode.UNREVIEWED), quoted])
    assert "wombat" in plain.report()
    published = release(plain.context, Inline()).path
    assert "wombat" not in (Path(published) / "report.html").read_text(encoding="utf-8")
    state = State(plain.context.store.snapshot(), plain.context.dataset, of_version=True)
    assert not state.may_quote("plain")
    assert replace(state, of_version=False).may_quote("plain")


def test_of_values_that_are_equally_frequent_the_report_always_shows_the_same_ones() -> None:
    names = ["hal", "ann", "kim", "bob", "eve", "dan", "fay", "cid", "joe", "gus", "ida"]
    task = create_model("Names", __base__=Task, text=(Input[str], ...), names=(Target[list[str]], ...))
    [fill] = field_fills(task, [{"names": names}, {"names": names[::-1]}])
    assert [one.value for one in fill.top] == sorted(names)[:8]


def test_long_texts_are_shown_by_how_often_they_occur_and_then_by_their_order() -> None:
    task = create_model("Reply", __base__=Task, text=(Input[str], ...), reply=(Target[str], ...))
    texts = [f"{number:03} is what a long reply begins with, and then it goes on" for number in range(40)]
    told = [*texts[::-1], *texts[20:23], texts[21]]
    [fill] = field_fills(task, [{"reply": text} for text in told])
    first = [text for text, _ in sorted(Counter(told).items(), key=lambda one: (-one[1], one[0]))[:8]]
    assert [(one.value, one.records) for one in fill.top] == [(text, told.count(text)) for text in first]
    assert fill.distinct == 40


OTHERS = ("Do not smoke, wombat.", "No numbat smokes.")


def test_a_version_s_report_quotes_no_answers_that_are_in_conflict(tmp_path: Path) -> None:
    rows = [{"sentence": f"Payment {n} is due.", "plain": f"Pay {n}."} for n in range(9)]
    rows += [
        {"sentence": "Smoking is not permitted.", "plain": text}
        for text in ("Do not smoke, wombat.", "No numbat smokes.")
    ]
    plain = Set(tmp_path, "rewriting", rows)
    plain.file.write_text(re.sub(r"on_conflict: \w+", "on_conflict: review", plain.file.read_text()))
    plain.context = Context.load(plain.file, offline(tmp_path / "home"))
    curate(plain.context, Inline())
    assert "wombat" in section(plain.report(), "conflicts")
    published = Path(release(plain.context, Inline()).path) / "report.html"
    text = published.read_text(encoding="utf-8")
    assert section(text, "conflicts") != "" and "wombat" not in text and "numbat" not in text


def test_a_secret_in_a_system_prompt_is_not_shown_beside_a_copy(tmp_path: Path) -> None:
    asked = "Could you please tell me until when the reading room on the second floor is open on Saturdays in winter"
    rows = [chat(f"{asked}?", "Until four."), chat(f"{asked}, please?", "Until six.", tools=TOOLS)]
    key = "AKIAIOSFODNN7EXAMPLQ"
    rows[1]["messages"] = [{"role": "system", "content": f"The key is {key}."}, *rows[1]["messages"][1:]]
    found = Set(tmp_path, "chat", rows)
    html = found.report()
    assert "the system prompts or tools differ" in section(html, "duplicates")
    assert key not in html
