"""Fields that describe the text are judged like labels, in an answer of several fields as in one."""

import random
from typing import Any, Literal

import pytest
from scored_rows import score_values

from pipeline.kinds.interface import LabeledText, LabelScore
from pipeline.kinds.registry import kind_of
from pipeline.label_errors.extractions import Extracted
from schemas.fate import ReasonCode
from schemas.field import FreeText, TargetField, ValueType
from schemas.task import Input, Target, Task

PARTS = {
    "billing": ("the invoice is too high", "I was charged twice", "please refund the payment", "my card was declined"),
    "delivery": ("the parcel never came", "the courier left", "the box arrived late", "where is my shipment"),
    "account": ("I cannot log in", "my password is lost", "the email address is wrong", "please close my account"),
}
MOODS = {
    True: ("this is urgent", "I need it today", "answer at once"),
    False: ("no hurry", "whenever you can", "take your time"),
}
FIELDS = [
    TargetField(name="topic", type=ValueType.CHOICE, choices=tuple(PARTS)),
    TargetField(name="urgent", type=ValueType.BOOLEAN),
    TargetField(name="due", type=ValueType.INTEGER, optional=True),
]
WRONG = 40
Values = dict[str, Any]


def letters(count: int = 400) -> list[tuple[str, Values]]:
    draw = random.Random(8)
    rows = []
    for _ in range(count):
        topic, urgent, due = draw.choice(list(PARTS)), draw.random() < 0.5, draw.randrange(2, 29)
        text = f"{draw.choice(PARTS[topic])}, {draw.choice(PARTS[topic])}; {draw.choice(MOODS[urgent])}"
        has_due = draw.random() < 0.5
        text += f" but pay by day {due} of the month" if has_due else ""
        rows.append((text, {"topic": topic, "urgent": urgent, "due": due if has_due else None}))
    return rows


def scores(fields: list[TargetField], rows: list[tuple[str, Values]]) -> list[Any]:
    return score_values([Extracted(text, values, str(n)) for n, (text, values) in enumerate(rows)], fields).rows


@pytest.mark.parametrize(
    ("wrong", "field", "detail"),
    [
        (lambda values: {"topic": next(topic for topic in PARTS if topic != values["topic"])}, "topic", "', not '"),
        (lambda values: {"urgent": not values["urgent"]}, "urgent", "', not '"),
        (lambda values: {"due": None}, "due", "', but the field is empty"),
    ],
    ids=["choice", "boolean", "presence"],
)
def test_a_wrong_closed_value_is_found_among_the_others(wrong: Any, field: str, detail: str) -> None:
    rows = letters()
    places = [n for n, (_, values) in enumerate(rows) if wrong(values) != {field: values[field]}][: WRONG // 2]
    spoiled = [(text, {**values, **wrong(values)} if n in places else values) for n, (text, values) in enumerate(rows)]
    found = scores(FIELDS, spoiled)
    ranked = sorted(range(len(rows)), key=lambda n: -(found[n].score or 0))
    assert set(ranked[: len(places)]) == set(places)
    named = [n for n, row in enumerate(found) if row.reasons]
    assert set(named) <= set(places) and len(named) >= 0.75 * len(places)
    for n in named:
        (reason,) = found[n].reasons
        assert (reason.code, reason.field) == (ReasonCode.LABEL_ERROR, field) and detail in reason.detail
        assert found[n].suggestion in (None, rows[n][1])


@pytest.mark.parametrize("count", [100, 150])
def test_few_rows_are_judged_as_those_of_a_classification_are(count: int) -> None:
    rows = letters(count)
    wrong = set(range(0, count, 15))
    given = [(text, {**values, "urgent": values["urgent"] ^ (n in wrong)}) for n, (text, values) in enumerate(rows)]
    found = scores(FIELDS, given)
    ranked = sorted(range(count), key=lambda n: -(found[n].score or 0))
    assert set(ranked[: len(wrong)]) == wrong
    assert all(found[n].reasons[0].field == "urgent" for n in wrong)


def test_that_rows_are_too_few_to_judge_a_closed_field_is_said() -> None:
    found = score_values([Extracted(text, values, text) for text, values in letters(20)], FIELDS)
    assert "20 labeled rows" in found.note and "30" in found.note
    assert not any(row.reasons for row in found.rows)


def test_that_a_free_text_is_missing_is_seen_by_what_texts_like_this_have() -> None:
    fields = [FIELDS[0], TargetField(name="reply", type=ValueType.TEXT, is_free=True, optional=True)]
    rows: list[tuple[str, Values]] = [
        (text, {"topic": values["topic"], "reply": f"We will look into it, number {n}" if values["urgent"] else None})
        for n, (text, values) in enumerate(letters())
    ]
    missing = set([n for n, (_, values) in enumerate(rows) if values["reply"]][:10])
    given = [(text, {**values, "reply": None} if n in missing else values) for n, (text, values) in enumerate(rows)]
    found = scores(fields, given)
    ranked = sorted(range(len(rows)), key=lambda n: -(found[n].score or 0))
    assert set(ranked[:10]) == missing
    assert all("texts like this have a value" in found[n].reasons[0].detail for n in missing)


@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize("field", ["topic", "urgent"])
def test_a_closed_field_is_judged_though_many_of_its_labels_are_wrong(field: str, share: float) -> None:
    rows, draw = letters(600), random.Random(4)
    wrong = set(draw.sample(range(len(rows)), round(share * len(rows))))
    for n in wrong:
        right = rows[n][1][field]
        other = not right if field == "urgent" else draw.choice([topic for topic in PARTS if topic != right])
        rows[n] = (rows[n][0], {**rows[n][1], field: other})
    doubted = {n for n, row in enumerate(scores(FIELDS, rows)) if row.reasons}
    assert len(doubted & wrong) >= 0.95 * len(wrong)
    assert len(doubted - wrong) <= 0.05 * len(rows)


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_a_field_that_the_texts_say_nothing_about_is_not_judged(share: float, seed: int) -> None:
    rows, draw = letters(), random.Random(seed)
    drawn = [(text, {"topic": draw.choice(list(PARTS)), "urgent": draw.random() < share}) for text, _ in rows]
    assert not any(row.reasons for row in scores(FIELDS[:2], drawn))


def test_a_field_that_the_texts_hardly_ever_tell_is_not_judged() -> None:
    """In three of ten rows the text says the topic, in the others it may be any."""
    rows, draw = letters(), random.Random(1)
    hardly = [
        (text, {"topic": values["topic"] if draw.random() < 0.3 else draw.choice(list(PARTS))}) for text, values in rows
    ]
    assert not any(row.reasons for row in scores(FIELDS[:1], hardly))


def test_right_closed_values_are_not_doubted() -> None:
    assert not any(row.reasons for row in scores(FIELDS, letters()))


def test_a_text_field_of_few_values_that_the_texts_do_not_say_is_judged_like_a_choice() -> None:
    fields = [TargetField(name="topic", type=ValueType.TEXT), *FIELDS[1:]]
    rows = letters()
    right = rows[3][1]["topic"]
    rows[3] = (rows[3][0], {**rows[3][1], "topic": next(topic for topic in PARTS if topic != right)})
    found = scores(fields, rows)
    assert [n for n, row in enumerate(found) if row.reasons] == [3]
    assert f"'{right}', not" in found[3].reasons[0].detail


def test_a_set_of_labels_beside_other_fields_is_judged_as_a_whole() -> None:
    topics = TargetField(name="topics", type=ValueType.CHOICE, many=True, choices=tuple(PARTS))
    rows = []
    for n, (text, values) in enumerate(letters()):
        other = list(PARTS)[n % 3]
        both = {values["topic"], other}
        extra = "" if other == values["topic"] else f"; {PARTS[other][n % 4]}, {PARTS[other][(n + 1) % 4]}"
        rows.append((text + extra, {"topics": [topic for topic in PARTS if topic in both], "urgent": values["urgent"]}))
    wrong = next(n for n, (_, values) in enumerate(rows) if len(values["topics"]) == 2)
    right = rows[wrong][1]
    rows[wrong] = (rows[wrong][0], {**right, "topics": right["topics"][:1]})
    found = scores([topics, FIELDS[1]], rows)
    assert max(range(len(rows)), key=lambda n: found[n].score or 0) == wrong
    assert found[wrong].suggestion == right


class Answered(Task):
    """Say it plainly, and name the topic."""

    letter: Input[str]
    plain: Target[FreeText[str]]
    topic: Target[Literal["billing", "delivery", "account"]]


def test_a_closed_field_beside_a_rewritten_text_is_judged() -> None:
    rows, wrong = letters(), 7
    right = rows[wrong][1]["topic"]
    given = [
        next(topic for topic in PARTS if topic != right) if n == wrong else one["topic"]
        for n, (_, one) in enumerate(rows)
    ]
    texts = [
        LabeledText(text, {"letter": text}, {"plain": f"So {text}.", "topic": topic}, str(n))
        for n, ((text, _), topic) in enumerate(zip(rows, given, strict=True))
    ]
    found: list[LabelScore] = list(kind_of(Answered).learn_labels(Answered, texts, 17).scores.rows)
    doubted = {n: reason.detail for n, row in enumerate(found) for reason in row.reasons if reason.field == "topic"}
    assert doubted == {wrong: f"'{right}', not '{given[wrong]}'"}


def test_a_set_of_labels_that_an_annotator_gave_is_not_doubted() -> None:
    field = TargetField(name="topics", type=ValueType.CHOICE, many=True, choices=tuple(PARTS))
    rows = [(text, {"topics": [values["topic"]]}) for text, values in letters()]
    for n in range(0, WRONG, 2):
        rows[n] = (rows[n][0], {"topics": [topic for topic in PARTS if topic not in rows[n][1]["topics"]][:1]})

    def doubted(verified: range) -> set[int]:
        given = [Extracted(text, values, str(n), n in verified) for n, (text, values) in enumerate(rows)]
        return {n for n, row in enumerate(score_values(given, [field]).rows) if row.reasons}

    assert len(doubted(range(0)) & set(range(0, WRONG, 2))) > WRONG // 4
    assert not doubted(range(WRONG)) & set(range(WRONG))
