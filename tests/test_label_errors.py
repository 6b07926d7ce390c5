"""Planted errors are flagged, correct rows are not, and a value's formatting does not matter."""

import datetime
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_rows import label_error_scores, score_values

from pipeline.label_errors import label_models
from pipeline.label_errors.classifier import LabelErrors
from pipeline.label_errors.extractions import Extracted
from pipeline.label_errors.grounding import ungrounded
from schemas.fate import ReasonCode
from schemas.field import JsonValue, TargetField, ValueType
from schemas.field_values import leaves

WORDS = {
    "term": ["begins", "ends", "expires", "year", "month", "effective", "date", "initial", "period"],
    "law": ["governed", "laws", "state", "courts", "jurisdiction", "construed", "conflict", "principles"],
    "money": ["pay", "fee", "invoice", "amount", "due", "interest", "dollars", "royalty", "price"],
}


def sentence(label: str, number: int) -> str:
    chosen = random.Random(f"{label} {number}").choices(WORDS[label], k=8)
    return f"the {' '.join(chosen)} of this agreement"


def rows(each: int = 30) -> tuple[list[str], list[str | None]]:
    pairs = [(sentence(label, number), label) for label in WORDS for number in range(each)]
    return [text for text, _ in pairs], [label for _, label in pairs]


def own_groups(texts: list[str]) -> list[str]:
    return [f"g{number}" for number in range(len(texts))]


def flagged(result: LabelErrors) -> list[bool]:
    return [score is not None for score in result.score]


# --- labels -----------------------------------------------------------------------------------------


def test_planted_wrong_labels_have_the_highest_scores_and_are_flagged_with_the_right_answer() -> None:
    texts, labels = rows()
    right = list(labels)
    for row, wrong in ((3, "law"), (40, "money"), (70, "term")):
        labels[row] = wrong
    result = label_error_scores(texts, labels, own_groups(texts))
    scores = [score for score in result.score if score is not None]
    assert len(scores) == len(texts)
    assert set(sorted(range(len(texts)), key=lambda row: -scores[row])[:3]) == {3, 40, 70}
    assert [row for row, score in enumerate(scores) if score >= 0.5] == [3, 40, 70]
    assert [result.predicted[row] for row in (3, 40, 70)] == [right[row] for row in (3, 40, 70)]
    assert result.note == ""


def test_where_a_text_has_several_labels_each_in_its_row_none_of_them_speaks_against_the_others() -> None:
    texts, labels = rows()
    both = "the fee that is due each month under the laws and courts of the state"
    texts, labels = [*texts, both, both, both], [*labels, "money", "law", "term"]
    also = [set() for _ in range(90)] + [{"law", "term"}, {"money", "term"}, {"money", "law"}]
    alone = label_error_scores(texts, labels, own_groups(texts))
    together = label_error_scores(texts, labels, own_groups(texts), also=also)
    assert alone.predicted[90:] != ["money", "law", "term"]
    assert together.predicted[90:] == ["money", "law", "term"]
    assert max(one or 0 for one in together.score[90:]) < 0.05


def test_a_wrong_label_is_found_although_another_row_has_the_likeliest_one() -> None:
    texts, labels = rows()
    wrong = "the courts and laws of the state that governed the fee and price"
    texts, labels = [*texts, wrong, wrong], [*labels, "law", "term"]
    found = label_error_scores(texts, labels, own_groups(texts), also=[*[set()] * 91, {"law"}])
    assert (found.score[91] or 0) > 0.1
    assert found.predicted[91] == "money"


def test_labels_that_the_words_support_have_low_scores() -> None:
    texts, labels = rows()
    scores = [score for score in label_error_scores(texts, labels, own_groups(texts)).score if score is not None]
    assert sum(scores) / len(scores) < 0.1, "scores that were no probabilities would be nearer to chance"


def test_where_the_words_say_nothing_no_label_is_doubted_for_what_a_model_predicts() -> None:
    texts, labels = rows(60)
    random.Random(5).shuffle(labels)
    result = label_error_scores(texts, labels, own_groups(texts))
    missed = [predicted != label for predicted, label in zip(result.predicted, labels, strict=True)]
    assert sum(missed) > len(texts) / 2
    doubted = [score is not None and score >= 0.5 for score in result.score]
    assert sum(doubted) < 0.2 * sum(missed)


def test_scores_are_between_0_and_1() -> None:
    texts, labels = rows()
    labels[::7] = [None] * len(labels[::7])
    result = label_error_scores(texts, labels, own_groups(texts))
    for value in result.score:
        assert value is not None
        assert 0 <= value <= 1


def test_unlabeled_rows_get_a_suggestion_and_no_other_label() -> None:
    texts, labels = rows()
    hidden = dict(itertools.islice(((row, label) for row, label in enumerate(labels) if row % 9 == 0), 10))
    for row in hidden:
        labels[row] = None
    result = label_error_scores([*texts, "something else entirely"], [*labels, None], [*own_groups(texts), "new"])
    assert {row: result.predicted[row] for row in hidden} == hidden
    assert [result.other[row] for row in hidden] == [None] * len(hidden)
    unsure = result.score[-1]
    assert unsure is not None
    assert all(unsure > score for row in hidden if (score := result.score[row]) is not None)


def test_the_same_rows_and_seed_give_the_same_scores() -> None:
    texts, labels = rows()
    assert label_error_scores(texts, labels, own_groups(texts), 5) == label_error_scores(
        texts, labels, own_groups(texts), 5
    )


def test_rows_of_one_group_are_not_judged_by_each_other() -> None:
    texts, labels = rows()
    # The same odd sentence five times, wrongly labeled: alone it would confirm itself.
    odd = ["the royalty price dollars invoice amount due"] * 5
    together = label_error_scores([*texts, *odd], [*labels, *["law"] * 5], [*own_groups(texts), *["odd"] * 5])
    apart = label_error_scores([*texts, *odd], [*labels, *["law"] * 5], own_groups([*texts, *odd]))
    assert together.predicted[-5:] == ["money"] * 5
    assert apart.predicted[-5:] != ["money"] * 5


def test_a_label_that_only_one_group_has_is_not_judged() -> None:
    texts, labels = rows()
    result = label_error_scores(
        [*texts, "audit", "audit rights"], [*labels, "audit", "audit"], [*own_groups(texts), "a", "a"]
    )
    assert flagged(result) == [True] * len(texts) + [False, False]
    assert result.predicted[-2:] == [None, None]


def test_a_label_with_two_groups_is_judged() -> None:
    texts, labels = rows()
    result = label_error_scores(
        [*texts, "audit one", "audit two"], [*labels, "audit", "audit"], [*own_groups(texts), "a", "b"]
    )
    assert all(flagged(result))


def test_one_group_of_most_rows_is_taken_apart_and_the_note_says_so() -> None:
    texts, labels = rows()
    result = label_error_scores(texts, labels, ["all"] * len(texts))
    assert all(flagged(result))
    assert result.note == "one group holds 90 of 90 labeled rows, so its rows scored each other"


def test_two_labels_that_never_share_a_group_s_fold_are_not_judged() -> None:
    texts, labels = rows(20)
    result = label_error_scores(texts[:40], labels[:40], ["a"] * 20 + ["b"] * 20)
    assert flagged(result) == [False] * 40
    assert result.note == "no label occurs in two groups of rows, so none can be scored"


def test_two_labels_are_enough() -> None:
    texts, labels = rows()
    labels[2] = "law"
    result = label_error_scores(texts[:60], labels[:60], own_groups(texts[:60]))
    assert [row for row, score in enumerate(result.score) if score and score >= 0.5] == [2]
    assert (result.predicted[2], result.other[2]) == (rows()[1][2], rows()[1][2])


@pytest.mark.parametrize(
    ("count", "labels", "said"),
    [
        (
            0,
            [],
            "0 labeled rows with 0 different labels: too few to find label errors, which takes 30 rows and 2 labels",
        ),
        (90, ["term"] * 90, "90 labeled rows with 1 label: too few to find label errors, which takes 30 rows"),
        (29, ["term"] * 14 + ["law"] * 15, "29 labeled rows with 2 different labels: too few"),
        (90, [None] * 90, "0 labeled rows with 0 different labels: too few"),
        (1, ["term"], "1 labeled row with 1 label: too few to find label errors"),
    ],
)
def test_too_few_rows_are_not_judged_and_the_note_says_why(count: int, labels: list[str | None], said: str) -> None:
    texts = rows()[0][:count]
    result = label_error_scores(texts, labels, own_groups(texts))
    assert result.score == result.predicted == result.other == [None] * count
    assert result.note.startswith(said)


def test_nearly_as_many_labels_as_rows_are_no_warning() -> None:
    texts = [f"the {n % 20} parcel of {n}" for n in range(36)]
    label_error_scores(texts, [str(n % 20) for n in range(36)], [str(n) for n in range(36)], 1)


def test_texts_without_a_common_word_are_not_judged() -> None:
    texts = [chr(0x4E00 + number) for number in range(40)]
    result = label_error_scores(texts, ["a", "b"] * 20, own_groups(texts))
    assert flagged(result) == [False] * 40
    assert result.note == "no word occurs in two texts, so no label can be scored"


def test_a_sample_for_training_keeps_rare_labels_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_models, "MAX_TRAINING_ROWS", 40)
    texts, labels = rows(60)
    result = label_error_scores(
        [*texts, "audit one", "audit two"], [*labels, "audit", "audit"], own_groups([*texts, "", ""])
    )
    assert all(flagged(result))
    assert sum(given == found for given, found in zip(labels, result.predicted, strict=False)) > 170


# --- values -----------------------------------------------------------------------------------------


def missing(text: str, type: ValueType, value: JsonValue, many: bool = False) -> list[str]:
    field = TargetField(name="x", type=type, many=many, choices=("a",) if type is ValueType.CHOICE else ())
    return [f"'{leaf.value}'" for leaf in ungrounded(text, leaves([field], {"x": value}))]


def test_a_missing_value_is_named_with_its_field() -> None:
    fields = [TargetField(name="vendor", type=ValueType.TEXT), TargetField(name="total", type=ValueType.NUMBER)]
    row = Extracted("Acme charges 12.50 EUR", {"vendor": "Apex Ltd", "total": 12.5}, "g")
    (reason,) = score_values([row], fields).rows[0].reasons
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
    for type in set(ValueType) - {ValueType.OBJECT, ValueType.MESSAGES}:
        target = 5 if type in (ValueType.INTEGER, ValueType.NUMBER, ValueType.DECIMAL) else value
        assert len(missing(text, type, target)) <= 1
