"""Values are judged by where such values stand in the texts of the other rows."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from scored_rows import score_values

from pipeline.kinds.interface import LabeledText
from pipeline.kinds.registry import kind_of
from pipeline.label_errors.extractions import MIN_ROWS, Extracted, ValueScores
from schemas.fate import ReasonCode
from schemas.field import TargetField, ValueType
from schemas.task import Input, Target, Task

FIELDS = [
    TargetField(name="guest", type=ValueType.TEXT),
    TargetField(name="town", type=ValueType.TEXT, optional=True),
    TargetField(name="dish", type=ValueType.TEXT, optional=True),
]
FIRST, LAST = ("Ada", "Bo", "Cleo", "Dov", "Eve", "Finn", "Gus", "Hal"), ("Stone", "Rivers", "Moor", "Hill", "Dale")
TOWNS = ("Ghent", "New Ross", "Porto", "Lille", "Old Harbor", "Bergen", "Turin", "Cork")
DISHES = ("onion soup", "pike", "rye bread", "lentil stew", "figs", "goat cheese", "plum cake")
Values = dict[str, Any]
Row = tuple[str, Values]


def bookings(count: int, seed: int = 3) -> list[Row]:
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        guest, town, dish = f"{draw.choice(FIRST)} {draw.choice(LAST)}", draw.choice(TOWNS), draw.choice(DISHES)
        text = draw.choice(
            [
                f"Please book a table in {town} for {guest}, who likes {dish}.",
                f"A table for {guest} in {town}; we want to eat {dish}",
                f"{guest} comes to {town} and would like {dish}, please",
                f"could you serve {dish} to {guest} in {town} tonight",
            ]
        )
        rows.append((text, {"guest": guest, "town": town, "dish": dish}))
    return rows


def scored(rows: list[Row], verified: tuple[int, ...] = (), **more: Any) -> ValueScores:
    given = [Extracted(text, values, str(n), n in verified) for n, (text, values) in enumerate(rows)]
    return score_values(given, FIELDS, **more)


def swapped(values: Values) -> Values:
    return {**values, "town": values["dish"], "dish": values["town"]}


def cut(values: Values) -> Values:
    return {**values, "guest": values["guest"].split()[0]}


def dropped(values: Values) -> Values:
    return {**values, "dish": None}


def foreign(values: Values) -> Values:
    return {**values, "town": f"Port {values['guest']}"}


FAULTS: dict[str, Callable[[Values], Values]] = {
    "swapped": swapped,
    "cut": cut,
    "dropped": dropped,
    "foreign": foreign,
}
WRONG = range(0, 400, 25)


def planted(fault: Callable[[Values], Values]) -> tuple[list[Row], list[Row]]:
    """Right rows, and the same with a fault in some."""
    right = bookings(400)
    return right, [(text, fault(values) if n in WRONG else values) for n, (text, values) in enumerate(right)]


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_come_first_and_say_what_would_be_right(name: str) -> None:
    right, rows = planted(FAULTS[name])
    found = scored(rows).rows
    ranked = sorted(range(len(rows)), key=lambda n: -(found[n].score or 0))
    assert set(ranked[: len(WRONG)]) == set(WRONG)
    assert all(found[n].reasons and found[n].suggestion in (None, right[n][1]) for n in ranked[: len(WRONG) - 1])
    assert sum(found[n].suggestion is not None for n in WRONG) > len(WRONG) / 2
    assert not any(found[n].reasons for n in range(len(rows)) if n not in WRONG)


def test_reasons_name_the_value_and_the_field_that_it_looks_like() -> None:
    said = {}
    for name, fault in FAULTS.items():
        found = scored(planted(fault)[1]).rows[25].reasons
        said[name] = (found[0].code, found[0].field, found[0].detail)
    values = bookings(400)[25][1]
    guest, town, dish = values["guest"], values["town"], values["dish"]
    assert said == {
        "swapped": (ReasonCode.LABEL_ERROR, *_swap(bookings(400)[25][0], town, dish)),
        "cut": (ReasonCode.LABEL_ERROR, "guest", f"'{guest}', not '{guest.split()[0]}'"),
        "dropped": (ReasonCode.LABEL_ERROR, "dish", f"the text has '{dish}', but the field is empty"),
        "foreign": (ReasonCode.UNGROUNDED, "town", f"'Port {guest}'; '{town}' looks like it"),
    }


def _swap(text: str, town: str, dish: str) -> tuple[str, str]:
    """Whichever stands first in the text is named first."""
    if text.index(town) < text.index(dish):
        return "dish", f"'{town}' looks like `town`, and '{dish}' like `dish`"
    return "town", f"'{dish}' looks like `dish`, and '{town}' like `town`"


def test_rows_without_faults_are_not_doubted() -> None:
    found = scored(bookings(400))
    assert found.note == ""
    assert not any(row.reasons or row.suggestion for row in found.rows)
    assert sum(row.score or 0 for row in found.rows) < 4


@pytest.mark.parametrize(("name", "off"), [("swapped", 1), ("cut", 8), ("dropped", 1), ("foreign", 1)])
def test_scores_are_probabilities(name: str, off: float) -> None:
    """Their sum is about the number of wrong rows; where first names alone are also learned, it is too low."""
    assert sum(row.score or 0 for row in scored(planted(FAULTS[name])[1]).rows) == pytest.approx(len(WRONG), abs=off)


def test_neither_the_order_of_the_rows_nor_a_second_time_changes_a_score() -> None:
    rows = planted(swapped)[1]
    found = scored(rows).rows
    assert scored(rows).rows == found
    given = [Extracted(text, values, str(n)) for n, (text, values) in enumerate(rows)]
    assert score_values(given[::-1], FIELDS).rows[::-1] == found


def test_what_an_annotator_gave_is_not_doubted_and_teaches_the_model() -> None:
    rows = planted(swapped)[1]
    found = scored(rows, verified=tuple(WRONG[:2])).rows
    assert [found[n].score for n in WRONG[:2]] == [None, None]
    assert not any(found[n].reasons for n in WRONG[:2])
    assert all(found[n].reasons for n in WRONG[2:])


def test_with_few_rows_only_values_that_the_text_lacks_are_doubted_and_the_note_says_so() -> None:
    rows = [(text, foreign(values) if n == 4 else values) for n, (text, values) in enumerate(bookings(MIN_ROWS - 1))]
    found = scored(rows)
    assert (
        found.note
        == f"{MIN_ROWS - 1} labeled rows: too few to judge copied values by those of other rows, which takes {MIN_ROWS}"
    )
    assert [n for n, row in enumerate(found.rows) if row.reasons] == [4]
    assert found.rows[0].score is None and (found.rows[4].score or 0) > 0.9


def test_a_field_whose_values_are_mostly_not_in_the_text_doubts_no_row() -> None:
    rows = [(text, {**values, "dish": ("starter", "main")[n % 2]}) for n, (text, values) in enumerate(bookings(200))]
    assert not any(row.reasons for row in scored(rows).rows)


def test_two_equal_values_are_not_taken_for_swapped() -> None:
    fields = [TargetField(name=name, type=ValueType.TEXT) for name in ("score", "best")]
    draw = random.Random(5)
    pairs = [(draw.choice("12345"), draw.choice("56")) for _ in range(200)]
    rows = [
        Extracted(f"rate it {one} out of {best}", {"best": best, "score": one}, str(n))
        for n, (one, best) in enumerate(pairs)
    ]
    assert any(one == best for one, best in pairs)
    assert not any(row.reasons for row in score_values(rows, fields).rows)


def test_values_of_lists_and_objects_are_judged_where_they_stand() -> None:
    person = TargetField(name="person", type=ValueType.OBJECT, fields=(TargetField(name="name", type=ValueType.TEXT),))
    dishes = TargetField(name="dishes", type=ValueType.TEXT, many=True, optional=True)
    rows = []
    for n, (text, values) in enumerate(bookings(300)):
        second = DISHES[n % len(DISHES)]
        both = [values["dish"], second] if second != values["dish"] else [second]
        text = f"{text} and also {second}" if len(both) == 2 else text
        rows.append(Extracted(text, {"person": {"name": values["guest"]}, "dishes": both}, str(n)))
    wrong = next(n for n, row in enumerate(rows) if len(row.values["dishes"]) == 2)  # type: ignore[index,arg-type]
    values = dict(rows[wrong].values or {})
    forgotten = values["dishes"][1]
    rows[wrong] = Extracted(rows[wrong].text, {**values, "dishes": values["dishes"][:1]}, "wrong")
    cut_name = next(n for n in range(wrong + 1, 300))
    name = rows[cut_name].values["person"]["name"]  # type: ignore[index,call-overload]
    rows[cut_name] = Extracted(
        rows[cut_name].text, {**(rows[cut_name].values or {}), "person": {"name": name.split()[1]}}, "cut"
    )
    found = score_values(rows, [person, dishes]).rows
    assert [(one.field, one.detail) for one in found[wrong].reasons] == [("dishes", f"the text also has '{forgotten}'")]
    assert found[wrong].suggestion == values
    assert [(one.field, one.detail) for one in found[cut_name].reasons] == [
        ("person.name", f"'{name}', not '{name.split()[1]}'")
    ]
    assert (found[cut_name].suggestion or {})["person"] == {"name": name}


def test_words_are_found_in_scripts_without_spaces() -> None:
    towns, draw = ("東京", "大阪", "京都", "奈良"), random.Random(1)
    rows = []
    for n in range(200):
        town, guest = draw.choice(towns), draw.choice(("田中", "鈴木", "佐藤", "高橋"))
        rows.append(Extracted(f"{guest}さんは{town}に行きます", {"guest": guest, "town": town, "dish": None}, str(n)))
    guest, town = rows[7].values["guest"], rows[7].values["town"]  # type: ignore[index]
    rows[7] = Extracted(rows[7].text, {"guest": town, "town": guest, "dish": None}, "7")
    found = score_values(rows, FIELDS).rows
    assert [n for n, row in enumerate(found) if row.reasons] == [7]
    assert found[7].suggestion == {"guest": guest, "town": town, "dish": None}


class Play(Task):
    """Read the artist and the city."""

    text: Input[str]
    artist: Target[str]
    city: Target[str | None] = None


def test_nothing_is_suggested_that_the_task_does_not_take() -> None:
    draw = random.Random(3)
    rows = []
    for number in range(600):
        artist, city = f"{draw.choice(['Adele', 'Bono', 'Cher'])}{number % 53}", f"{draw.choice(TOWNS)}{number % 47}"
        form = draw.choice(
            ["play {} live in {} please", "I want to hear {} from {} now", "find {} playing in {} today"]
        )
        # In some rows the city stands in the field that must not be empty.
        targets: dict[str, Any] = {"artist": city} if number % 40 == 0 else {"artist": artist, "city": city}
        text = form.format(artist, city)
        rows.append(LabeledText(text, {"text": text}, targets, str(number)))
    found = kind_of(Play).learn_labels(Play, rows, 17, ()).scores.rows
    doubted = [number for number, row in enumerate(found) if row.reasons]
    assert len(set(doubted) & set(range(0, 600, 40))) > 10
    for row in found:
        if row.suggestion is not None:
            Play.task_validate_targets(row.suggestion)
