"""Annotators whose free texts are only punctuated differently do not contradict each other: the first one counts."""

from pathlib import Path

import pytest
from home_of_answers import Answer, Home
from support import write_dataset

from pipeline.config.dataset_file import load_dataset_file
from pipeline.state.store import Store
from schemas.decision import Decision
from schemas.fate import Fate, ReasonCode
from schemas.field import JsonValue
from schemas.seat import FIRST, Seat, SeatKind

SEATS = {"ada": FIRST, "ben": Seat(kind=SeatKind.SECOND), "cleo": Seat(kind=SeatKind.SECOND, attempt=2)}
LATE = "The parcel is late; the customer asks when it will come."
ALSO_LATE = "the parcel is late. The customer asks when it will come"
LOST = "The parcel is not late; the customer asks when it will come."


def home_with(folder: Path, *fields: str) -> Home:
    """One whose records have a question, a topic and more."""
    write_dataset(folder, [])
    task = folder / "task.py"
    lines = "".join(f"    {field}\n" for field in fields)
    task.write_text(f"from schemas.field import FreeText\n{task.read_text('utf-8')}{lines}", "utf-8")
    return Home(load_dataset_file(folder / "dataset.yaml"), Store(folder / "home", "questions"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_with(tmp_path, "summary: Target[FreeText[str]]")


def says(summary: str, topic: str = "delivery") -> dict[str, JsonValue]:
    return {"topic": topic, "summary": summary}


def decided(home: Home, **answers: Answer) -> Decision:
    """What follows from the annotators' answers about one record, each given after the one before."""
    asked = home.asked("r1", targets=None, label_source=None)
    home.curated(asked)
    home.said_all([(who, answer, asked, SEATS[who]) for who, answer in answers.items()])
    [decision] = home.follows()
    return decision


def test_a_text_that_is_only_punctuated_differently_is_no_contradiction_and_the_first_counts(home: Home) -> None:
    found = decided(home, ada=says(LATE), ben=says(ALSO_LATE))
    assert (found.fate, found.targets) == (Fate.ACCEPTED, says(LATE))


def test_the_first_is_who_said_it_first_whatever_the_seat(home: Home) -> None:
    assert decided(home, ben=says(ALSO_LATE), ada=says(LATE)).targets == says(ALSO_LATE)


@pytest.mark.parametrize(
    "other", [says(LOST), says(LATE, "billing"), says(ALSO_LATE, "returns"), says("It is late.")], ids=str
)
def test_other_words_or_another_choice_are_a_contradiction(home: Home, other: dict[str, JsonValue]) -> None:
    found = decided(home, ada=says(LATE), ben=other)
    assert found.fate is Fate.REVIEW and [one.code for one in found.reasons] == [ReasonCode.DISAGREEMENT]


def test_two_who_say_the_same_are_the_majority(home: Home) -> None:
    found = decided(home, cleo=says(LOST), ada=says(ALSO_LATE), ben=says(LATE))
    assert (found.fate, found.targets) == (Fate.ACCEPTED, says(ALSO_LATE))


def test_a_copied_text_is_compared_to_the_letter(tmp_path: Path) -> None:
    """Where nothing is written anew, a comma more is another span."""
    home = home_with(tmp_path, "sender: Target[str]")
    first: dict[str, JsonValue] = {"topic": "delivery", "sender": "Lamps, Inc."}
    found = decided(home, ada=first, ben=first | {"sender": "Lamps, Inc"})
    assert [one.code for one in found.reasons] == [ReasonCode.DISAGREEMENT]
