"""The classical arms find choices where the text says them, and take as many rows and as much meaning as pays."""

import random
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from test_classical_arms import TOPICS, answers, golds, linear, row_of, topic

from pipeline.finetuning.evaluate import questions
from pipeline.finetuning.exam import Questions
from pipeline.finetuning.examples import Example
from pipeline.ladder.classical import Linear, Nearest
from pipeline.ladder.linear_fields import EMBEDDED, IN_TEXTS
from pipeline.ladder.retrieval import Memory
from schemas.task import Input, Target, Task

UNITS = ("gram", "litre", "metre", "hour", "watt", "euro", "dollar", "pound", "mile", "inch", "degree", "cubic_foot")
Unit = Literal[
    "gram", "litre", "metre", "hour", "watt", "euro", "dollar", "pound", "mile", "inch", "degree", "cubic_foot"
]
SPOKEN = {"gram": "grammage", "litre": "pint pots", "metre": "yardstick", "hour": "clock time", "watt": "power"}
SAYS = ("It is given in {}.", "Now it is in {}, no longer in {}.", "Converted from {1} to {0}.", "Not {1} but {0}.")


class Column(Task):
    """Name the unit."""

    text: Input[str]
    unit: Target[Unit]


class Kept(BaseModel):
    """How a thing is kept."""

    unit: Unit
    cold: bool


class Store(Task):
    """Say how it is kept."""

    text: Input[str]
    kept: Target[Kept]


def said(number: int, unit: str, draw: random.Random, word: str | None = None) -> str:
    other = draw.choice([one for one in UNITS if one != unit])
    names = [(word or unit).replace("_", " "), other.replace("_", " ")]
    return f"Column c{number} of t{number % 7}. {draw.choice(SAYS).format(*names)}"


def column(number: int, unit: str, draw: random.Random, word: str | None = None) -> Example:
    return row_of(Column, f"r{number}", {"text": said(number, unit, draw, word)}, {"unit": unit})


def right(found: list[str], rows: list[Example]) -> float:
    return sum(map(str.__eq__, found, golds(rows))) / len(rows)


def test_a_choice_is_found_where_the_text_says_it_though_no_training_row_has_it_and_others_stand_beside() -> None:
    draw = random.Random(5)
    rows = [column(n, UNITS[n % 8], draw) for n in range(240)]
    asked = [column(1000 + n, UNITS[8 + n % 4], draw) for n in range(100)]
    arm = linear(Column, rows)
    assert right(answers(arm, Column, asked), asked) >= 0.97, "of no training row's choice a linear model knows"
    found = arm.answer(Questions(questions(Column, asked), [], [], {}), lambda units: None)
    assert found.settings[IN_TEXTS] == 1


def test_what_else_a_choice_is_called_is_learned_with_the_words_around_it() -> None:
    draw = random.Random(5)
    names = list(SPOKEN)
    rows = [column(n, names[n % 5], draw, SPOKEN[names[n % 5]] if n % 3 == 0 else None) for n in range(240)]
    asked = [column(1000 + n, names[n % 5], draw, SPOKEN[names[n % 5]]) for n in range(100)]
    assert right(answers(linear(Column, rows), Column, asked), asked) >= 0.95


def test_a_field_whose_choices_no_text_says_is_answered_as_by_the_words_alone() -> None:
    arm = linear(Topic_, rows := [renamed(row) for row in TOPICS * 2])
    assert answers(arm, Topic_, rows[:6]) == golds(rows[:6])
    found = arm.answer(Questions(questions(Topic_, rows[:6]), [], [], {}), lambda units: None)
    assert IN_TEXTS not in found.settings


class Topic_(Task):  # noqa: N801
    """Name the topic by a number."""

    text: Input[str]
    topic: Target[Literal["t1", "t2", "t3"]]


def renamed(row: Example) -> Example:
    number = {"billing": "t1", "delivery": "t2", "returns": "t3"}[str(row.fields["topic"])]
    return row_of(Topic_, row.id, {"text": row.fields["text"]}, {"topic": number})


def test_choices_within_an_object_are_answered_by_what_the_text_says_and_not_by_the_nearest_row() -> None:
    draw = random.Random(5)

    def store(number: int) -> Example:
        unit, cold = draw.choice(UNITS), draw.random() < 0.5
        text = f"{said(number, unit, draw)} {'Put it on ice.' if cold else 'Leave it on the shelf.'}"
        return row_of(Store, f"r{number}", {"text": text}, {"kept": {"unit": unit, "cold": cold}})

    rows, asked = [store(n) for n in range(240)], [store(1000 + n) for n in range(100)]
    arm = linear(Store, rows)
    assert right(answers(arm, Store, asked), asked) >= 0.95
    assert arm.title == "a linear model on TF-IDF"


def test_several_rows_vote_where_held_out_questions_say_that_this_is_better() -> None:
    draw = random.Random(5)
    names = ["billing", "delivery", "returns"]

    def noisy(number: int) -> Example:
        row = topic(number, names[number % 3])
        return row if draw.random() < 0.7 else row_of(type_of(row), row.id, inputs(row), {"topic": draw.choice(names)})

    rows, held_out = [noisy(n) for n in range(300)], questions(Topic3, [noisy(500 + n) for n in range(90)])
    asked = [as_topic3(topic(900 + n, names[n % 3])) for n in range(60)]
    one, several = Nearest(Topic3, Memory(Topic3, rows)), Nearest(Topic3, Memory(Topic3, rows), held_out)
    alone, voted = (right(answers(arm, Topic3, asked), asked) for arm in (one, several))
    assert voted >= 0.97 > alone
    assert one.title == "the nearest training row" and "nearest training rows" in several.title


class Topic3(Task):
    """Name the topic."""

    text: Input[str]
    topic: Target[Literal["billing", "delivery", "returns"]]


def as_topic3(row: Example) -> Example:
    return row_of(Topic3, row.id, inputs(row), {"topic": row.fields["topic"]})


def type_of(row: Example) -> type[Task]:
    return Topic3


def inputs(row: Example) -> dict[str, Any]:
    return {"text": row.fields["text"]}


ANIMALS = (
    *("cat", "dog", "horse", "lion", "wolf", "goat", "rabbit", "tiger", "cow", "pig"),
    *("bear", "eagle", "monkey", "elephant", "snake", "chicken", "duck", "bird", "frog", "donkey"),
)
VEHICLES = (
    *("car", "truck", "train", "bicycle", "tractor", "motorcycle", "vehicle", "van", "plane", "scooter"),
    *("taxi", "ship", "boat", "helicopter", "engine", "automobile", "bike", "airplane", "ferry", "trailer"),
)


class Sort(Task):
    """Say what it is."""

    text: Input[str]
    sort: Target[Literal["s1", "s2"]]


@pytest.mark.parametrize("arm", [Linear, Nearest])
def test_words_that_mean_the_same_help_where_held_out_questions_say_so(arm: Any) -> None:
    def rows(first: int, end: int) -> list[Example]:
        return [
            row_of(Sort, f"r-{word}-{seen}", {"text": f"{seen} {word}s"}, {"sort": sort})
            for sort, words in (("s1", ANIMALS), ("s2", VEHICLES))
            for word in words[first:end]
            for seen in ("the old", "two", "many")
        ]

    learned, held_out, asked = rows(0, 8), questions(Sort, rows(8, 16)), rows(16, 20)
    more = (17,) if arm is Linear else ()
    plain, chosen = (arm(Sort, Memory(Sort, learned), some, *more) for some in ([], held_out))
    assert right(answers(chosen, Sort, asked), asked) >= max(0.8, 0.15 + right(answers(plain, Sort, asked), asked))
    assert chosen.title.endswith("TF-IDF and embeddings")
    if arm is Linear:
        assert chosen.answer(Questions(held_out, [], [], {}), lambda units: None).settings[EMBEDDED] == 1
