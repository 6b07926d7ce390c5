"""The tagger finds where values stand in training texts, and reads numbers, dates and objects in new ones."""

import datetime
import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from pipeline.ladder import tagger
from pipeline.ladder.slot_answers import filled
from pipeline.ladder.slot_values import Found, SlotRows, could_stand, find_slots
from pipeline.ladder.tagger import Tagger, fit_tagger
from schemas.field import FreeText
from schemas.task import Input, Target, Task


class Line(BaseModel):
    """A line of a bill."""

    item: str
    count: int
    note: str | None = None


class Place(BaseModel):
    """Where to."""

    town: str
    zone: Literal["inland", "abroad"]


class Bill(Task):
    """Read the bill."""

    text: Input[str]
    total: Target[float | None] = None
    tax: Target[Decimal | None] = None
    day: Target[datetime.date | None] = None
    at: Target[datetime.datetime | None] = None
    payer: Target[str | None] = None
    place: Target[Place | None] = None
    lines: Target[list[Line]]
    summary: Target[FreeText[str] | None] = None


Row = tuple[str, Mapping[str, Any]]


def canonical(rows: Sequence[Row]) -> tuple[list[str], list[dict[str, Any]]]:
    empty = {field.name: None for field in Bill.task_targets()}
    return [text for text, _ in rows], [Bill.task_canonical({**empty, **values}) for _, values in rows]


def placed(*rows: Row) -> SlotRows:
    fields = Bill.task_targets()
    return find_slots(could_stand(fields), fields, *canonical(rows))


def parts(found: SlotRows, row: int = 0) -> dict[str, str]:
    """The words that each slot has in a text."""
    start = found.tokens.starts[row]
    words = [found.tokens.words[id] for id in found.tokens.ids[start : found.tokens.starts[row + 1]].tolist()]
    return {found.slots[number].path: " ".join(words[first:end]) for first, end, number in found.spans[row]}


def fitted(rows: Sequence[Row]) -> Tagger:
    found = fit_tagger(Bill.task_targets(), *canonical(rows), 17)
    assert found is not None
    return found


def read(model: Tagger, text: str) -> dict[str, Any]:
    nothing = dict.fromkeys((field.name for field in Bill.task_targets()), None)
    return filled(Bill.task_targets(), model.paths, model.read(text), nothing)


# --- where values stand ---------------------------------------------------------------------------
def test_a_value_is_found_however_it_is_written() -> None:
    found = placed(
        ("Sum (net): €1,240.00, tax 99,5. Due on 12 March 2026!", {"total": 1240.0, "tax": "99.5", "day": "2026-03-12"})
    )
    assert parts(found) == {"total": "1 , 240 . 00", "tax": "99 , 5", "day": "12 March 2026"}


def test_a_part_of_a_longer_number_is_not_the_value() -> None:
    assert parts(placed(("order 1,240.00 costs 240 in all", {"total": 240.0}))) == {"total": "240"}
    assert not placed(("order 1,240.00", {"total": 240.0})).slots


def test_signs_at_the_ends_of_a_value_belong_to_it() -> None:
    assert parts(placed(("to Acme Inc., soon", {"payer": "Acme Inc."}))) == {"payer": "Acme Inc ."}
    assert parts(placed(("to (acme) INC", {"payer": "Acme Inc."}))) == {"payer": "acme ) INC"}


def test_of_values_that_overlap_the_longer_one_is_found_first() -> None:
    found = placed(
        ("Bern for Bern Trade of Bern", {"payer": "Bern Trade", "place": {"town": "Bern", "zone": "abroad"}})
    )
    assert parts(found) == {"payer": "Bern Trade", "place.town": "Bern"}
    again = placed(("Bern Trade of Bern", {"payer": "Bern Trade", "place": {"town": "Bern", "zone": "abroad"}}))
    assert again.spans[0] == [(0, 2, 0), (3, 4, 1)], "the other one where it is free"
    other = placed(("Bern Trade of Bern", {"payer": "Bern", "place": {"town": "Bern Trade", "zone": "abroad"}}))
    assert parts(other) == {"place.town": "Bern Trade", "payer": "Bern"}


def test_fields_whose_values_mostly_stand_elsewhere_are_no_slots() -> None:
    said, unsaid = ("from Ann", {"payer": "Ann"}), ("from A.", {"payer": "Ann"})
    assert [slot.path for slot in placed(said, said, unsaid).slots] == ["payer"]
    assert placed(said, said, unsaid).taught == [0, 1], "what was not found would be taught as absent"
    assert not placed(said, unsaid).slots, "half is not most"
    assert not placed(("a sum of 3", {"summary": "a sum"})).slots, "a free text may stand there by chance"


def test_of_objects_in_a_list_all_parts_stand_in_the_text_or_none_is_read() -> None:
    lines = {"lines": [{"item": "lamps", "count": 3}, {"item": "desks", "count": 2}]}
    assert [slot.path for slot in placed(("3 lamps, 2 desks", lines)).slots] == ["lines.item", "lines.count"]
    assert not placed(("some lamps, some desks", lines)).slots


# --- what is read ---------------------------------------------------------------------------------
def bills(count: int, written: str) -> list[Row]:
    chance, rows = random.Random(3), []
    for _ in range(count):
        day = datetime.date(2025, chance.randint(1, 12), chance.randint(1, 28))
        total = chance.randint(1_000, 9_999_999) / 100
        text = f"Please pay {total:,.2f} by {day:{written}} at the latest."
        rows.append((text, {"total": total, "day": day.isoformat()}))
    return rows


@pytest.mark.parametrize(("written", "day"), [("%d/%m/%Y", "2026-03-05"), ("%m/%d/%Y", "2026-05-03")])
def test_a_date_is_read_as_others_were_that_are_written_like_it(written: str, day: str) -> None:
    found = read(fitted(bills(40, written)), "Please pay 87,654.32 by 05/03/2026 at the latest.")
    assert (found["total"], found["day"]) == (87654.32, day)


def test_what_was_read_before_is_read_alike() -> None:
    known = [(f"To {name.casefold()} with thanks", {"payer": name}) for name in ("Ann Lee", "Bo Ek", "Di Oz")]
    model = fitted(known * 5)
    assert read(model, "To bo ek with thanks")["payer"] == "Bo Ek"
    assert read(model, "To jo ek with thanks")["payer"] == "jo ek"


def test_day_and_time_are_read_together() -> None:
    rows = [
        (f"We meet on 2026-03-{n:02} {n:02}:15 there.", {"at": f"2026-03-{n:02}T{n:02}:15:00"}) for n in range(1, 13)
    ]
    assert read(fitted(rows), "We meet on 2026-04-20 17:45 there.")["at"] == "2026-04-20T17:45:00"


def test_objects_of_a_list_are_told_apart_by_what_comes_again() -> None:
    items, rows = ("lamps", "desks", "sofas", "chairs", "beds"), []
    for n in range(40):
        some = [(items[(n + k) % 5], n % 7 + k) for k in range(1 + n % 3)]
        text = f"Order of {', '.join(f'{count} {item}' for item, count in some)}."
        rows.append((text, {"lines": [{"item": item, "count": count} for item, count in some]}))
    lines = [("ladders", 12), ("desks", 4), ("mirrors", 9)]
    found = read(fitted(rows), f"Order of {', '.join(f'{count} {item}' for item, count in lines)}.")
    assert found["lines"] == [{"item": item, "count": count, "note": None} for item, count in lines]


def test_an_object_has_what_was_found_beside_what_it_has_in_the_nearest_row() -> None:
    fields, nearest = Bill.task_targets(), {"place": {"town": "Bern", "zone": "abroad"}, "payer": "Ann"}
    found = filled(fields, {"place.town"}, [Found("place.town", "Rome", 1.0)], nearest)
    assert (found["place"], found["payer"]) == ({"town": "Rome", "zone": "abroad"}, "Ann")


def test_an_object_of_a_list_without_a_value_that_it_needs_is_left_out() -> None:
    said = [Found("lines.count", 3, 1.0), Found("lines.count", 4, 1.0), Found("lines.item", "desks", 1.0)]
    found = filled(Bill.task_targets(), {"lines.item", "lines.count"}, said, {})
    assert found["lines"] == [{"item": "desks", "count": 4, "note": None}]


# --- limits ---------------------------------------------------------------------------------------
class Payer(Task):
    """Name the payer."""

    text: Input[str]
    payer: Target[str]


def payer(texts: Sequence[str], golds: Sequence[str]) -> Tagger:
    found = fit_tagger(Payer.task_targets(), texts, [{"payer": gold} for gold in golds], 17)
    assert found is not None
    return found


def test_a_value_that_must_be_there_is_read_where_it_is_likeliest() -> None:
    names = [f"Name{n}" for n in range(30)]
    model = payer([f"the payer is {name} , thanks" for name in names], names)
    said = "nobody knows who it is but Ursula"
    [found] = model.read(said)
    assert str(found.value) in said
    assert model.read("") == [] == model.read(" \n ")


def test_of_a_field_with_one_value_only_the_surest_is_read() -> None:
    names = [f"Name{n}" for n in range(30)]
    model = payer([f"the payer is {name} , thanks" for name in names], names)
    [found] = model.read("the payer is Name7 , the payer is Name8 , the payer is Name9 , thanks")
    assert found.value in ("Name7", "Name8", "Name9")


def test_of_very_many_words_a_sample_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"the payer is {'Ann' if n % 2 else 'Bob'} , row {n}" for n in range(40)]
    learned: list[int] = []

    def spied(candidates: Any, fields: Any, some: Sequence[str], golds: Any) -> SlotRows:
        learned.append(len(some))
        return find_slots(candidates, fields, some, golds)

    monkeypatch.setattr(tagger, "find_slots", spied)
    monkeypatch.setattr(tagger, "_MOST_WORK", 7 * 9 * 20)
    model = payer(texts, ["Ann" if n % 2 else "Bob" for n in range(40)])
    assert learned == [20]
    assert [one.value for one in model.read("the payer is Cid , row 99")] == ["Cid"]


def test_where_a_line_ends_a_value_may_end() -> None:
    chance, words = random.Random(7), ("Hollis", "Brown", "Marlowe", "Dora", "Silver", "Elm", "North", "Tide", "Quarto")
    names, towns = ([" ".join(chance.sample(words, chance.randint(1, 3))) for _ in range(60)] for _ in "ab")
    model = payer([f"{name}\n{town} 4" for name, town in zip(names, towns, strict=True)], names)
    assert [one.value for one in model.read("Elm Hollis\nTide North Dora 4")] == ["Elm Hollis"]
    assert [one.value for one in model.read("Elm Hollis Tide\nNorth Dora 4")] == ["Elm Hollis Tide"]
