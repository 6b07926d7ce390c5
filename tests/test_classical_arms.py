"""The arms without a language model answer every kind of task that they can, and say where they cannot."""

import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, cast

import pytest
from pydantic import Field
from small_models import questions_and_answers
from support import Steps

from pipeline.finetuning.evaluate import EvalQuestion, questions
from pipeline.finetuning.exam import Exam, Questions
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.ladder import classical, linear_fields, preparation
from pipeline.ladder.arm import Arm, CannotAnswer
from pipeline.ladder.arm_builder import ArmBuilder
from pipeline.ladder.classical import Linear, Majority, Nearest
from pipeline.ladder.kept_measures import KeptMeasures
from pipeline.ladder.learning_curve import curve_of
from pipeline.ladder.linear_fields import HeldOut, fit_field
from pipeline.ladder.retrieval import Memory, tfidf
from schemas.arms_section import ArmName, LocalArm
from schemas.dataset import Finetune
from schemas.field import FreeText
from schemas.message import Message, Speaker
from schemas.task import Conversation, Input, Target, Task


class Topic(Task):
    """Name the topic."""

    text: Input[str]
    topic: Target[Literal["billing", "delivery", "returns"]]


class Topics(Task):
    """Name the topics."""

    text: Input[str]
    topics: Target[set[Literal["billing", "delivery", "returns"]]]


class Order(Task):
    """Read the order."""

    text: Input[str]
    item: Target[str]
    size: Target[Literal["small", "large"] | None] = None
    express: Target[bool]


class Sale(Task):
    """Read the sale."""

    text: Input[str]
    item: Target[str]
    shelf: Target[str]
    buyers: Target[list[str]]
    coupon: Target[str | None] = None


class Ticket(Task):
    """Read the ticket."""

    text: Input[str]
    code: Target[Annotated[str, Field(max_length=4)]]


class Plain(Task):
    """Say it plainly."""

    text: Input[str]
    plain: Target[FreeText[str]]


class Help(Task):
    """Help."""

    messages: Conversation


NOTHING_TO_LEARN = r"^no field of the task has choices to choose from, or values that stand in the text$"
CHOICES, COPIED, OTHERS = (
    "a linear model on TF-IDF for fields with choices",
    "a CRF tagger for values that stand in the text",
    "the nearest training row for others",
)
WORDS = {"billing": "invoice charged twice", "delivery": "parcel courier late", "returns": "send it back refund"}


def row_of(task: type[Task], name: str, inputs: dict[str, Any], targets: dict[str, Any]) -> Example:
    answer = Message(role=Speaker.ASSISTANT, content=task.task_answer(targets))
    return Example(name, tuple(task.task_prompt(inputs)), (answer,), {**inputs, **targets})


def topic(number: int, *names: str) -> Example:
    """A row about some topics, with a word that no other row has."""
    text = " ".join([f"order{number}", *(WORDS[name] for name in names)])
    if len(names) == 1:
        return row_of(Topic, f"r{number}", {"text": text}, {"topic": names[0]})
    return topics(number, *names)


def topics(number: int, *names: str) -> Example:
    text = " ".join([f"order{number}", *(WORDS[name] for name in names)])
    return row_of(Topics, f"r{number}", {"text": text}, {"topics": sorted(names)})


def order(number: int, item: str, size: str | None, express: bool) -> Example:
    text = f"one {item} number{number} {size or 'any'} {'by tomorrow' if express else 'whenever'}"
    return row_of(Order, f"r{number}", {"text": text}, {"item": item, "size": size, "express": express})


TOPICS = [topic(number, list(WORDS)[number % 3]) for number in range(30)]


def answers(arm: Arm, task: type[Task], rows: Sequence[Example]) -> list[str]:
    """What an arm says of some rows, after it has counted all of its work."""
    asked = Questions(questions(task, rows), [], [], {})
    arm.learn()
    done: list[int] = []
    found = list(arm.answer(asked, done.append).texts)
    assert sum(done) == asked.work
    return found


def linear(task: type[Task], rows: Sequence[Example], held_out: Sequence[EvalQuestion] = ()) -> Linear:
    return Linear(task, Memory(task, rows), held_out, 17)


def golds(rows: Sequence[Example]) -> list[str]:
    return [row.answer for row in rows]


# --- the most frequent answer ---------------------------------------------------------------------
def test_the_majority_is_the_most_frequent_value_of_each_field() -> None:
    rows = [*TOPICS[:3], topic(40, "returns")]
    assert answers(Majority(Topic, rows), Topic, TOPICS[:2]) == ["returns"] * 2
    sets = [topics(1, "billing", "returns"), topics(2, "billing", "returns"), topics(3, "billing")]
    assert answers(Majority(Topics, sets), Topics, sets[2:]) == [Topics.task_answer({"topics": ["billing", "returns"]})]
    orders = [order(1, "lamp", "small", True), order(2, "lamp", None, True), order(3, "desk", None, False)]
    usual = Order.task_answer({"item": "lamp", "size": None, "express": True})
    assert answers(Majority(Order, orders), Order, orders[:1]) == [usual], "field by field, and not as a whole"


def test_the_order_of_the_rows_is_nothing_to_the_majority() -> None:
    for seed in range(5):
        shuffled = random.Random(seed).sample(TOPICS, len(TOPICS))
        assert answers(Majority(Topic, shuffled), Topic, TOPICS[:1]) == ["billing"], "of equal ones the first by name"


def test_the_majority_of_a_rewriting_task_is_the_input() -> None:
    rows = [row_of(Plain, f"r{n}", {"text": f"Yon cat {n}."}, {"plain": f"The cat {n}."}) for n in range(3)]
    arm = Majority(Plain, rows)
    assert answers(arm, Plain, rows) == ["Yon cat 0.", "Yon cat 1.", "Yon cat 2."]
    assert arm.title == "the input, copied unchanged"


class Toned(Plain):
    """Say it plainly, and in which tone."""

    tone: Target[Literal["calm", "harsh"]]


def test_what_a_copy_leaves_open_is_the_most_frequent_value() -> None:
    tones = ("harsh", "harsh", "calm")
    rows = [
        row_of(Toned, f"r{n}", {"text": f"Cat {n}."}, {"plain": "A cat.", "tone": one}) for n, one in enumerate(tones)
    ]
    said = [Toned.task_read_answer(text) for text in answers(Majority(Toned, rows), Toned, rows)]
    assert said == [{"plain": f"Cat {n}.", "tone": "harsh"} for n in range(3)]


def chat(number: int, asked: str, said: str) -> Example:
    turns = (Message(role=Speaker.USER, content=asked), Message(role=Speaker.ASSISTANT, content=said))
    return Example(f"c{number}", turns[:1], turns[1:], {"messages": [turn.as_json() for turn in turns]})


CHATS = [chat(1, "How do I bake bread?", "Mix flour and water."), chat(2, "How do I fix a bike?", "Check the chain.")]


def test_a_conversation_has_no_most_frequent_answer_and_no_choices() -> None:
    with pytest.raises(CannotAnswer, match=r"^no two conversations are continued alike$"):
        Majority(Help, CHATS).learn()
    with pytest.raises(CannotAnswer, match=NOTHING_TO_LEARN):
        linear(Help, CHATS).learn()


# --- the nearest row ------------------------------------------------------------------------------
def test_the_nearest_row_answers_for_every_kind() -> None:
    for task, rows in (
        (Topic, TOPICS),
        (Topics, [topics(1, "billing", "returns"), topics(2, "delivery"), topics(3)]),
        (Order, [order(1, "lamp", "small", True), order(2, "desk", None, False)]),
        (Plain, [row_of(Plain, f"r{n}", {"text": f"{w} cat"}, {"plain": w}) for n, w in enumerate(("big", "old"))]),
        (Help, CHATS),
    ):
        assert answers(Nearest(task, Memory(task, rows)), task, rows) == golds(rows), task


def test_a_question_of_other_words_is_answered_by_the_row_that_shares_most() -> None:
    asked = [topic(99, "delivery"), chat(9, "my bike is broken, how do I fix it", "")]
    assert answers(Nearest(Topic, Memory(Topic, TOPICS)), Topic, asked[:1]) == ["delivery"]
    assert answers(Nearest(Help, Memory(Help, CHATS)), Help, asked[1:]) == ["Check the chain."]


def test_neighbours_come_most_similar_first_however_many_questions_there_are() -> None:
    memory = Memory(Topic, TOPICS)
    asked = questions(Topic, [topic(100 + number, list(WORDS)[number % 3]) for number in range(300)])
    found = list(memory.nearest(asked, 4))
    assert len(found) == 300 and all(len(set(places)) == 4 for places in found)
    assert all({place % 3 for place in places} == {number % 3} for number, places in enumerate(found))
    assert len(next(memory.nearest(asked[:1], 99))) == len(TOPICS), "no more than there are"


# --- the linear model -----------------------------------------------------------------------------
def test_a_linear_model_learns_the_choices_of_every_closed_field() -> None:
    asked = [topic(100 + number, name) for number, name in enumerate(WORDS)]
    assert answers(linear(Topic, TOPICS), Topic, asked) == list(WORDS)

    pairs = [(), ("billing",), ("billing", "returns"), ("delivery",), ("delivery", "returns"), ("returns",)]
    sets = [topics(number, *pairs[number % 6]) for number in range(60)]
    unseen = [topics(100 + number, *names) for number, names in enumerate(pairs)]
    assert answers(linear(Topics, sets), Topics, unseen) == golds(unseen), "the empty set, too"


def test_a_set_of_choices_an_absent_one_and_a_value_in_the_text_are_read_at_once() -> None:
    rows = [
        order(n, ("lamp", "desk", "sofa")[n % 3], ("small", "large", None)[n // 3 % 3], n % 2 == 0) for n in range(36)
    ]
    arm = linear(Order, rows)
    unseen = [order(101, "desk", "large", True), order(102, "sofa", None, False)]
    assert answers(arm, Order, unseen) == golds(unseen), "an absent choice is a choice"


def test_texts_alone_are_nothing_for_a_linear_model() -> None:
    rows = [row_of(Plain, "r", {"text": "a cat"}, {"plain": "cat"})]
    with pytest.raises(CannotAnswer, match=NOTHING_TO_LEARN):
        linear(Plain, rows).learn()


def test_a_label_that_is_the_only_one_or_in_every_row_is_always_given() -> None:
    assert answers(linear(Topic, [topic(n, "returns") for n in range(4)]), Topic, TOPICS[:2]) == ["returns"] * 2
    always = [topics(n, "billing", *(["returns"] if n % 2 else [])) for n in range(20)]
    unseen = [topics(91, "billing"), topics(92, "billing", "returns")]
    assert answers(linear(Topics, always), Topics, unseen) == golds(unseen)
    empty = [topics(n) for n in range(4)]
    assert answers(linear(Topics, empty), Topics, unseen[:1]) == golds(empty[:1])


# --- values that stand in the text ----------------------------------------------------------------
SHELVES = {"lamp": "A7", "desk": "C2", "sofa": "D9"}
BUYERS = ("Ann", "Bob", "Cid", "Dora", "Eve", "Finn")


def sale(number: int, item: str, buyers: Sequence[str], coupon: str | None = None, shelf: str = "?") -> Example:
    text = f"the {item} went to {' and '.join(buyers)}{f' with coupon {coupon}' if coupon else ''} on day {number}."
    targets = {"item": item, "shelf": SHELVES.get(item, shelf), "buyers": list(buyers), "coupon": coupon}
    return row_of(Sale, f"r{number}", {"text": text}, targets)


def sales(count: int) -> list[Example]:
    chance = random.Random(5)
    return [
        sale(n, chance.choice(list(SHELVES)), chance.sample(BUYERS, n % 3), f"X{n}Y" if n % 4 == 0 else None)
        for n in range(count)
    ]


def read(arm: Arm, task: type[Task], rows: Sequence[Example]) -> list[dict[str, Any]]:
    return [task.task_read_answer(text) or {} for text in answers(arm, task, rows)]


def test_values_that_no_row_has_are_read_in_new_sentences() -> None:
    unseen = [sale(501, "zeppelin", ["Zoe", "Yann"], "Q88Z"), sale(502, "gondola", ["Xaver"])]
    found = read(linear(Sale, sales(60)), Sale, unseen)
    assert [(one["item"], one["coupon"]) for one in found] == [("zeppelin", "Q88Z"), ("gondola", None)]
    assert [one["buyers"] for one in found] == [["Zoe", "Yann"], ["Xaver"]], "in the order of the text"
    turned = sale(503, "lamp", ["Yann", "Zoe"])
    assert read(linear(Sale, sales(60)), Sale, [turned])[0]["buyers"] == ["Yann", "Zoe"]


def test_what_the_text_does_not_say_stays_absent() -> None:
    assert read(linear(Sale, sales(60)), Sale, [sale(501, "desk", [])])[0] == {
        "item": "desk",
        "shelf": "C2",
        "buyers": [],
        "coupon": None,
    }


def test_values_that_do_not_stand_in_the_text_are_those_of_the_nearest_row() -> None:
    asked = [sale(n, item, ["Zoe"]) for n, item in enumerate(SHELVES, 501)]
    assert [one["shelf"] for one in read(linear(Sale, sales(60)), Sale, asked)] == list(SHELVES.values())


def test_a_value_that_the_task_does_not_take_is_that_of_the_nearest_row() -> None:
    rows = [row_of(Ticket, f"r{n}", {"text": f"ticket {n:04} please"}, {"code": f"{n:04}"}) for n in range(30)]
    asked = [row_of(Ticket, "a", {"text": f"ticket {code} please"}, {"code": "0"}) for code in ("7777", "0007007")]
    first, second = read(linear(Ticket, rows), Ticket, asked)
    assert first["code"] == "7777"
    assert second["code"] in {row.answer for row in rows}, "which has at most four characters"


def test_the_title_says_what_reads_the_fields() -> None:
    titles = [
        (Topic, TOPICS, "a linear model on TF-IDF"),
        (Order, [order(n, "lamp", "small", n > 5) for n in range(9)], f"{CHOICES}, {COPIED}"),
        (Sale, sales(9), f"{COPIED}, {OTHERS}"),
        (Ticket, [row_of(Ticket, "r", {"text": "ticket 7 please"}, {"code": "7"})], "a CRF tagger"),
        (Toned, [row_of(Toned, "r", {"text": "Yo."}, {"plain": "Hi.", "tone": "calm"})], f"{CHOICES}, {OTHERS}"),
    ]
    for task, rows, title in titles:
        arm = linear(task, rows)
        arm.learn()
        assert arm.title == title


def test_the_same_sales_are_read_alike() -> None:
    asked = [sale(501, "zeppelin", ["Zoe"], "Q88Z"), sale(502, "", [])]
    first, second = (answers(linear(Sale, sales(40)), Sale, asked) for _ in range(2))
    assert first == second


# --- how it is fitted -----------------------------------------------------------------------------
def test_the_same_rows_make_the_same_model() -> None:
    chance = random.Random(3)
    rows = [topic(number, chance.choice(list(WORDS))) for number in range(60)]
    noisy = [*rows, *(row_of(Topic, f"n{n}", {"text": WORDS["billing"]}, {"topic": "returns"}) for n in range(9))]
    first, second = (answers(linear(Topic, noisy, questions(Topic, rows[:20])), Topic, rows) for _ in range(2))
    assert first == second


def test_the_strength_is_the_one_that_is_best_on_held_out_rows() -> None:
    """With C as small as this a model only learns which choice is frequent, with a usual one more."""
    field = Topic.task_targets()[0]
    rows = [topic(number, "billing" if number % 8 else "returns") for number in range(40)]
    seen = tfidf().fit_transform([str(row.fields["text"]) for row in rows])
    given = [row.fields["topic"] for row in rows]
    right = [[value] for value in given]
    found: dict[tuple[float, ...], int] = {}
    for strengths in ((1e-9,), (1.0,), (1e-9, 1.0), (1.0, 1e-9)):
        model = fit_field(field, seen, given, HeldOut(seen, right), 17, strengths)
        found[strengths] = sum(one == value for one, value in zip(model.predict(seen), given, strict=True))
    assert found[1e-9,] < found[1.0,] == found[1e-9, 1.0] == found[1.0, 1e-9]


def test_the_curve_of_the_linear_model_ends_where_the_arm_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is fitted as the arm is: with the strength that is best on the validation rows."""
    monkeypatch.setattr(classical, "STRENGTHS", (1e-9, 1.0))
    rows = [topic(number, "billing" if number % 8 else "returns") for number in range(40)]
    held_out, asked = questions(Topic, rows), Questions(questions(Topic, rows), [], [], {})
    monkeypatch.setattr(ArmBuilder, "_held_out", lambda self: held_out)
    arms = (LocalArm(arm=ArmName.LINEAR),)
    plan: Any = SimpleNamespace(config=Finetune(), arms=arms, answers_key=lambda name: f"key of {name}")
    builder = ArmBuilder(plan, Topic, rows, cast("LoadedModel", None), Exam(Topic, 4))
    [learned] = builder.linear_learned(asked, KeptMeasures(tmp_path, "0"))
    assert curve_of(learned).measured[-1].score.value == 1
    assert answers(linear(Topic, rows, held_out), Topic, rows) == golds(rows)


def test_a_held_out_row_with_several_right_answers_is_right_with_any() -> None:
    field, seen = Topic.task_targets()[0], tfidf().fit_transform([str(row.fields["text"]) for row in TOPICS])
    every = [["returns", "billing", "delivery"]] * len(TOPICS)
    model = fit_field(field, seen, [row.fields["topic"] for row in TOPICS], HeldOut(seen, every), 17, (1.0,))
    assert set(model.predict(seen)) == set(WORDS)


def test_of_very_many_rows_a_sample_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_fields, "_MOST_ROWS", 12)
    asked = [topic(100 + number, name) for number, name in enumerate(WORDS)]
    assert answers(linear(Topic, TOPICS), Topic, asked) == list(WORDS)


def test_of_very_many_rows_a_sample_is_remembered_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Said(Steps):
        def say(self, text: str) -> None:
            said.append(text)

    said: list[str] = []
    rows = questions_and_answers(60)
    assert preparation._known(rows, 1, Said()) == rows and not said
    monkeypatch.setattr(preparation, "_MOST_KNOWN", 20)
    some = preparation._known(rows, 1, Said())
    assert len(some) == 20 and set(map(id, some)) < set(map(id, rows))
    assert "20 random ones of the 60 training rows" in said[0]
