import datetime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from grounding_new import ungrounded
from schemas.fate import ReasonCode
from schemas.field import JsonValue, TargetField, ValueType

def missing(text: str, type: ValueType, value: JsonValue, many: bool = False) -> list[str]:
    field = TargetField(name="x", type=type, many=many, choices=("a",) if type is ValueType.CHOICE else ())
    return [reason.detail for reason in ungrounded(text, {"x": value}, [field])]


def test_a_missing_value_is_named_with_its_field() -> None:
    fields = [TargetField(name="vendor", type=ValueType.TEXT), TargetField(name="total", type=ValueType.NUMBER)]
    (reason,) = ungrounded("Acme charges 12.50 EUR", {"vendor": "Apex Ltd", "total": 12.5}, fields)
    assert (reason.code, reason.field) == (ReasonCode.UNGROUNDED, "vendor")
    assert reason.detail == "'Apex Ltd'"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("from ACME   Widgets,\nInc. in", "Acme Widgets Inc"),
        ("Straße 5", "STRASSE 5"),
        ("no. INV-2026/17.", "INV-2026/17"),
        ("“Quoted” \u2013 dash", '"quoted" - dash'),
        ("東京都に住む", "東京"),
        ("costs 5 €", "€"),
    ],
)
def test_a_text_is_found_whatever_its_case_space_and_punctuation(text: str, value: str) -> None:
    assert missing(text, ValueType.TEXT, value) == []


@pytest.mark.parametrize(("text", "value"), [("INV-123", "INV-12"), ("Acmeware", "Acme"), ("", "x"), ("...", "€")])
def test_a_part_of_a_word_is_not_a_find(text: str, value: str) -> None:
    assert missing(text, ValueType.TEXT, value) == [f"'{value}'"]


def test_each_text_of_a_list_is_looked_for() -> None:
    assert missing("red and blue", ValueType.TEXT, ["red", "green", "blue"], many=True) == ["'green'"]


@pytest.mark.parametrize("type", [ValueType.CHOICE, ValueType.BOOLEAN])
def test_choices_and_booleans_are_not_looked_for(type: ValueType) -> None:
    assert missing("", type, True if type is ValueType.BOOLEAN else "a") == []


def test_a_missing_target_is_not_looked_for() -> None:
    assert missing("", ValueType.DATE, None) == []


def written(cents: int, thousands: str, decimal: str) -> str:
    return f"{cents // 100:,}".replace(",", thousands) + f"{decimal}{cents % 100:02}"


@given(
    cents=st.integers(0, 10**11),
    style=st.sampled_from([(",", "."), (".", ","), (" ", "."), (" ", ","), ("\u202f", ","), ("'", "."), ("", ".")]),
    around=st.sampled_from(["{}", "total ${}.", "EUR {}", "{} €", "{}€,", "2 items, {} in all", "on 05.03.2026: {}"]),
)
def test_a_number_is_found_in_every_way_of_writing(cents: int, style: tuple[str, str], around: str) -> None:
    text = around.format(written(cents, *style))
    assert missing(text, ValueType.NUMBER, cents / 100) == []
    assert missing(text, ValueType.NUMBER, cents / 100 + 1234567.25) != []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12,34,567 rupees", 1234567),
        ("$2.5 million", 2_500_000),
        ("a fee of 5k", 5000),
        ("15% of it", 0.15),
        ("15 percent", 15),
        ("(1,249.50)", -1249.5),
        ("two boxes", 2),
        ("the year of 05.03.2026", 2026),
        ("rows 12 1 249,50", 1249.5),
    ],
)
def test_special_forms_of_numbers_are_found(text: str, value: float) -> None:
    assert missing(text, ValueType.NUMBER, value) == []


@pytest.mark.parametrize(("text", "value"), [("1,249.50", 249), ("3.14", 14), ("12 and 34", 1234), ("1249", 124)])
def test_a_part_of_a_number_is_not_a_find(text: str, value: int) -> None:
    assert missing(text, ValueType.INTEGER, value) != []


DATE_FORMS = [
    "{d:%Y-%m-%d}",
    "{d:%Y/%m/%d}",
    "{d:%Y%m%d}",
    "{d:%d.%m.%Y}",
    "{d.day}.{d.month}.{d.year}",
    "{d.day}. {d.month}. {d.year}",
    "{d:%d/%m/%Y}",
    "{d:%m/%d/%Y}",
    "{d:%d-%m-%Y}",
    "{d.day} {month} {d.year}",
    "{d.day}th of {month}, {d.year}",
    "the {d.day}th day of {month} {d.year}",
    "{month} {d.day}, {d.year}",
    "{month} {d.day} {d.year}",
    "{short} {d.day}, {d.year}",
    "{short}. {d.day}, {d.year}",
    "{d.day}-{short}-{d.year}",
    "{d:%d.%m.%y}",
    "{d:%m/%d/%y}",
]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


@given(st.dates(datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)), st.sampled_from(DATE_FORMS))
def test_a_date_is_found_in_every_way_of_writing(day: datetime.date, form: str) -> None:
    month = MONTHS[day.month - 1]
    text = f"Due on {form.format(d=day, month=month, short=month[:3])}, at noon (5 items)."
    assert missing(text, ValueType.DATE, day.isoformat()) == []
    other = day + datetime.timedelta(days=40 * 365)
    assert missing(text, ValueType.DATE, other.isoformat()) != []


@pytest.mark.parametrize("text", ["March 2026", "5 March", "35/03/2026", "2026-13-05", "marble 5, 2026"])
def test_what_is_not_a_date_is_not_found(text: str) -> None:
    assert missing(text, ValueType.DATE, "2026-03-05") == ["'2026-03-05'"]


@given(st.text(), st.text(min_size=1))
def test_no_text_can_stop_the_search(text: str, value: str) -> None:
    for type in ValueType:
        target = 5 if type in (ValueType.INTEGER, ValueType.NUMBER) else value
        assert len(missing(text, type, target)) <= 1
