"""Odd rows of the newer kinds: each is taken as it is, or rejected with a reason that says which value."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import write_rows
from terminal import Terminal

CHAT = '''
from pydantic import Field
from schemas.task import Conversation, Task, Tools

class Helper(Task):
    """Help."""

    messages: Conversation
    tools: Tools = Field(default_factory=list)
'''
LABELS = '''
from typing import Literal
from schemas.task import Input, Target, Task

class Topics(Task):
    """Name all topics."""

    text: Input[str]
    topics: Target[set[Literal["a", "b"]]]
'''
REWRITE = '''
from schemas.task import Input, Target, Task

class Plain(Task):
    """Say it plainly."""

    text: Input[str]
    plain: Target[str]
'''
DEEP = '''
from pydantic import BaseModel
from schemas.task import Input, Target, Task

class A(BaseModel):
    x: str

class B(BaseModel):
    a: list[A]

class C(BaseModel):
    b: list[B]

class D(BaseModel):
    c: list[C]

class Deep(Task):
    """Read."""

    text: Input[str]
    d: Target[list[D]]
'''


def said(role: str, content: Any = "Where is it?") -> dict[str, Any]:
    return {"role": role, "content": content}


class Folder:
    """A dataset with a task of its own and some rows."""

    def __init__(self, folder: Path, task: str, rows: list[dict[str, Any]], more: str = "") -> None:
        (folder / "task.py").write_text(task, encoding="utf-8")
        name = task.split("(Task)")[0].rsplit("class ", 1)[1]
        (folder / "dataset.yaml").write_text(
            f"name: odd\ntask: task.py:{name}\nsources: [{{name: rows, path: data.jsonl}}]\n{more}", encoding="utf-8"
        )
        write_rows(folder, rows)
        self.terminal = Terminal(folder)

    def curate(self) -> Any:
        return self.terminal.json("curate", "--no-push")

    def fates(self) -> list[tuple[str, str]]:
        """Fate and detail of the first reason of each row, in the order of the file."""
        self.curate()
        sql = "select d.fate, d.reasons from decisions d join records r using (record_id) order by line"
        rows = self.terminal.json("sql", sql)
        return [(row["fate"], next((one.get("detail", "") for one in json.loads(row["reasons"])), "")) for row in rows]


@pytest.mark.parametrize(
    ("turns", "fate", "why"),
    [
        ([said("user")], "review", ""),
        ([said("assistant")], "rejected", ""),
        ([said("user"), said("tool", "31")], "review", ""),
        ([], "rejected", "is an empty list, so the row has no turns"),
        ([said("user"), said("narrator")], "rejected", "turn 2 has the `role` 'narrator'"),
        ([said("user", [{"type": "image_url", "image_url": {"url": "x"}}]), said("assistant")], "rejected", "image"),
        ([said("user", [{"type": "input_audio", "input_audio": {}}]), said("assistant")], "rejected", "audio"),
    ],
)
def test_an_odd_conversation_waits_or_is_rejected_with_the_turn(
    tmp_path: Path, turns: list[dict[str, Any]], fate: str, why: str
) -> None:
    [(found, reason)] = Folder(tmp_path, CHAT, [{"messages": turns}]).fates()
    assert found == fate
    assert why in reason


def test_a_conversation_of_five_hundred_turns_is_one_row_like_any_other(tmp_path: Path) -> None:
    turns = [said("user" if n % 2 == 0 else "assistant", f"This is turn number {n}, said once.") for n in range(500)]
    folder = Folder(tmp_path, CHAT, [{"messages": turns}], "split: {fractions: {train: 1.0}}\n")
    assert folder.curate()["funnel"]["accepted"] == 1
    assert Path(folder.terminal.json("release")["path"]).is_dir()


def test_a_repeated_label_and_an_unknown_one_are_named_and_an_empty_set_is_an_answer(tmp_path: Path) -> None:
    rows = [
        {"text": "one", "topics": ["a", "a"]},
        {"text": "two", "topics": ["a", "c"]},
        {"text": "three", "topics": []},
        {"text": "four", "topics": None},
        {"text": "five", "topics": '["b", "a"]'},
    ]
    fates = Folder(tmp_path, LABELS, rows).fates()
    assert [fate for fate, _ in fates] == ["rejected", "rejected", "accepted", "review", "accepted"]
    assert "it names 'a' more than once" in fates[0][1]
    assert "'c'" in fates[1][1]


def test_a_rewrite_of_fifty_thousand_characters_is_doubted_at_most(tmp_path: Path) -> None:
    rows = [{"text": f"Sentence {n} is long.", "plain": f"{n} is long."} for n in range(40)]
    rows.append({"text": "Say it.", "plain": "word " * 10_000})
    fates = Folder(tmp_path, REWRITE, rows, "review: {budget: 5, audit: 0.0}\n").fates()
    assert fates[-1][0] == "review"
    assert {fate for fate, _ in fates} <= {"accepted", "review"}


@pytest.mark.parametrize(("more", "fate"), [("", "review"), ("doubts:\n  off: [copied]\n", "accepted")])
def test_a_rule_is_turned_off_as_the_guide_writes_it(tmp_path: Path, more: str, fate: str) -> None:
    rows = [{"text": f"The sentence {n} is rather long.", "plain": f"{n} is long."} for n in range(40)]
    rows.append({"text": "The sentence 40 is rather long.", "plain": "The sentence 40 is rather long."})
    fates = Folder(tmp_path, REWRITE, rows, f"duplicates: {{threshold: 1.0}}\nreview: {{audit: 0.0}}\n{more}").fates()
    assert fates[-1][0] == fate


@pytest.mark.parametrize(("more", "fate"), [("", "review"), ("doubts:\n  off: [refusal]\n", "accepted")])
def test_a_rule_about_chats_is_turned_off_in_the_same_way(tmp_path: Path, more: str, fate: str) -> None:
    answer = said("assistant", "I'm sorry, but I can't help with that.")
    rows = [{"messages": [said("user", "Where do I find the garden chairs?"), answer]}]
    assert Folder(tmp_path, CHAT, rows, f"review: {{audit: 0.0}}\n{more}").fates()[0][0] == fate


LINES = '''
from pydantic import BaseModel
from schemas.task import Input, Target, Task

class Line(BaseModel):
    title: str
    pieces: int
    note: str | None = None
    unit: str = ""

class Order(Task):
    """Read."""

    text: Input[str]
    lines: Target[list[Line]]
'''


def test_a_line_item_needs_its_texts_and_not_its_optional_ones(tmp_path: Path) -> None:
    items = [{"title": "rope", "pieces": 1}, {"title": "rope", "pieces": 1, "note": " ", "unit": ""}]
    blank = [{"title": "rope", "pieces": 1}, {"title": "\u200b ", "pieces": 1}]
    rows = [{"text": f"Send the rope number 1 to house {n}.", "lines": lines} for n, lines in enumerate([items, blank])]
    (good, _), (bad, why) = Folder(tmp_path, LINES, rows).fates()
    assert (good, bad) == ("accepted", "rejected")
    assert "'1.title' has no visible text; fill it in" in why


LABELED_LINES = '''
from typing import Literal
from pydantic import BaseModel
from schemas.task import Input, Target, Task

class Paint(BaseModel):
    colors: set[Literal["red", "blue"]] = set()

class Line(BaseModel):
    paint: Paint
    marks: list[Literal["new", "old"]]

class Order(Task):
    """Read."""

    text: Input[str]
    first: Target[Line]
    lines: Target[list[Line]]
'''


def test_a_label_that_a_set_within_an_object_repeats_is_named_with_its_place(tmp_path: Path) -> None:
    good = {"paint": {"colors": ["red", "blue"]}, "marks": ["new"]}
    in_object, in_line = good | {"paint": {"colors": ["red", "red"]}}, good | {"marks": ["old", "new", "old"]}
    answers = [(good, [good, good]), (in_object, []), (good, [good, in_line])]
    rows = [
        {"text": f"Send it to house {n}.", "first": first, "lines": more} for n, (first, more) in enumerate(answers)
    ]
    (fine, _), *bad = Folder(tmp_path, LABELED_LINES, rows).fates()
    assert [fine, *(fate for fate, _ in bad)] == ["accepted", "rejected", "rejected"]
    assert "'paint.colors' names 'red' more than once" in bad[0][1]
    assert "'1.marks' names 'old' more than once" in bad[1][1]


def test_objects_that_nest_too_deep_are_refused_before_anything_runs(tmp_path: Path) -> None:
    error = Folder(tmp_path, DEEP, [{"text": "t", "d": []}]).terminal.error("curate", "--no-push")
    assert "target 'd.c.b.a' nests objects deeper than 3 levels (D > C > B > A); flatten them" in error


# --- duplicates of chats --------------------------------------------------------------------------
SYSTEM = said("system", "You are the helper of a large shop. Answer in two sentences and never talk about prices. " * 3)
OPENING = [said("user", "Hello, is anybody there at this hour?"), said("assistant", "Of course! How can I help you?")]


def chats(*questions: str) -> list[dict[str, Any]]:
    """Conversations that share a long system prompt and their opening, and end with a question and its answer."""
    return [
        {"messages": [SYSTEM, *OPENING, said("user", question), said("assistant", f"Gladly: {question} Here you are.")]}
        for question in questions
    ]


def test_a_shared_system_prompt_and_opening_make_no_duplicate(tmp_path: Path) -> None:
    questions = ("Where do I find the garden chairs?", "Can I bring back a lamp?", "Do you sell blue paint for wood?")
    assert Folder(tmp_path, CHAT, chats(*questions)).curate()["funnel"]["duplicate"] == 0


def test_the_same_conversation_twice_is_a_duplicate_and_another_answer_is_as_good(tmp_path: Path) -> None:
    [first] = chats("Where do I find the garden chairs in your shop?")
    other = json.loads(json.dumps(first))
    other["messages"][-1]["content"] = "In hall four, next to the plants."
    funnel = Folder(tmp_path, CHAT, [first, first | {"id": 2}, other]).curate()["funnel"]
    assert (funnel["accepted"], funnel["duplicate"], funnel["review"]) == (2, 1, 0)


def test_a_rule_that_is_turned_off_later_doubts_no_longer_and_back_on_it_does(tmp_path: Path) -> None:
    rows = [{"text": f"The sentence {n} is rather long.", "plain": f"{n} is long."} for n in range(40)]
    rows.append({"text": "The sentence 40 is rather long.", "plain": "The sentence 40 is rather long."})
    folder = Folder(tmp_path, REWRITE, rows, "duplicates: {threshold: 1.0}\nreview: {audit: 0.0}\n")
    file = tmp_path / "dataset.yaml"
    before = file.read_text(encoding="utf-8")

    def last() -> str:
        sql = "select c.fate from current c join latest using (record_id) where line = 41"
        folder.curate()
        return str(folder.terminal.json("sql", sql)[0]["fate"])

    assert last() == "review"
    file.write_text(f"{before}doubts: {{off: [copied]}}\n", encoding="utf-8")
    assert last() == "accepted"
    file.write_text(before, encoding="utf-8")
    assert last() == "review"
