"""Words, numbers, names, links and negations are read alike however they are written; clues compare them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.label_errors import rewrite_clues as clues
from pipeline.label_errors.quotes import quoted
from pipeline.label_errors.rewrite_texts import ends_closed, left_open, read


# --- reading --------------------------------------------------------------------------------------
def test_a_text_is_read_into_what_the_rules_compare() -> None:
    marks = read(" When didn't Anna's 3 cats see Ölten? See www.cats.example/a, or write to me@cats.example! ")
    assert marks.names == {"anna": "Anna's", "olten": "Ölten"}
    assert marks.numbers == {"3": "3"}
    assert marks.links == {"www.cats.example/a", "me@cats.example"}
    assert len(marks.negations) == 1
    assert marks.words[:6] == ["when", "didn't", "anna", "3", "cats", "see"]


@pytest.mark.parametrize(
    "text", ["Berlin is big.", "It is. Berlin is.", "“Berlin is", "- Berlin", "so: Berlin", "I'm in A"]
)
def test_a_capital_where_anything_has_one_is_no_name(text: str) -> None:
    assert read(text).names == {}


@pytest.mark.parametrize("text", ["1000", "1,000", "1.000", "01000", "١٠٠٠"])
def test_a_number_is_the_same_however_it_is_written(text: str) -> None:
    assert set(read(text).numbers) == {"1000"}


def test_number_words_are_values_but_not_claimed_as_numbers() -> None:
    marks = read("seven dwarfs")
    assert marks.values == {"7"}
    assert marks.numbers == {}


@pytest.mark.parametrize(
    "text", ["nicht", "Das ist nicht gut", "don’t", "ない", "不好", "no", "cannot", "ÉL NUNCA VIENE"]
)
def test_negations_are_found_in_many_languages(text: str) -> None:
    assert read(text).negations


def test_neighboring_characters_count_where_there_are_no_spaces() -> None:
    assert {"図", "書", "図書", "書館"} <= read("図書館").seen
    assert "ab" not in read("a b").seen


@pytest.mark.parametrize("text", ["Yes.", "Yes!", "Yes?", 'He said "yes."', "(Yes.)", "はい。", "…", "हाँ।"])
def test_a_sentence_is_closed_by_its_sign(text: str) -> None:
    assert ends_closed(text)


@pytest.mark.parametrize("text", ["", "Yes", "Yes,", "Yes:", "(Yes"])
def test_a_text_without_a_final_sign_is_open(text: str) -> None:
    assert not ends_closed(text)


@pytest.mark.parametrize(
    ("text", "sign"),
    [("(a", "("), ("a) (b)", ""), ('say "a', '"'), ('"a" b', ""), ("„a“", ""), ("“a”", ""), ("“a", "“"), ("「a", "「")],
)
def test_what_is_opened_and_not_closed_is_found(text: str, sign: str) -> None:
    assert left_open(text) == sign


@given(text=st.text())
def test_any_text_is_read(text: str) -> None:
    marks = read(text)
    assert set(marks.words) <= marks.seen
    assert set(marks.names) <= marks.seen
    assert all(marks.words)


# --- clues ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("find", "original", "answer", "found"),
    [
        (clues.find_empty, "Why?", "", "it is empty"),
        (clues.find_empty, "Why?", " n/a ", "it is only 'n/a'"),
        (clues.find_empty, "Why?", "?!", "'?!'"),
        (clues.find_empty, "?!", "!", ""),
        (clues.find_empty, "Where?", "https://a.example", ""),
        (clues.find_copied, "Hello  you", "Hello you", "'Hello you'"),
        (clues.find_copied, "hello you", "Hello you", ""),
        (clues.find_copied, "", "", None),
        (clues.find_lost_end, "Is it so?", "It is", "'It is'"),
        (clues.find_lost_end, "Is it so?", "It is.", ""),
        (clues.find_lost_end, "is it so", "It is", None),
        (clues.find_open_end, "is it so", "It is", "'It is'"),
        (
            clues.find_early_stop,
            "er the big red dog barks",
            "The big red",
            "it stops where the original goes on: 'dog barks'",
        ),
        (clues.find_early_stop, "er the big red dog", "The big red dog", ""),
        (clues.find_early_stop, "The big red dog barks", "The big red.", ""),
        (clues.find_early_stop, "The big red dog", "Der rote Hund", None),
        (clues.find_trailing_off, "It is so.", "It is...", "it trails off: 'It is...'"),
        (clues.find_trailing_off, "It is...", "It is...", ""),
        (clues.find_left_open, "It is so.", "It (is so.", "( is not closed"),
        (clues.find_left_open, "It (is so.", "It (is so.", ""),
        (
            clues.find_exchanged_numbers,
            "In 1986.",
            "In 1968.",
            "'1968' is not in the original, which has '1986' instead",
        ),
        (clues.find_exchanged_numbers, "In 1,986 days.", "1986 days.", ""),
        (clues.find_invented_numbers, "Some.", "4 of 17.", "'4' and '17' are not in the original"),
        (clues.find_invented_numbers, "Seven.", "7.", ""),
        (clues.find_lost_numbers, "1 2 3 4 5", "five", "'1', '2', '3' and 1 more are not in the answer"),
        (clues.find_lost_numbers, "none", "five", None),
        (clues.find_exchanged_names, "To Anna.", "To Paul.", "'Paul' is not in the original, which has 'Anna' instead"),
        (clues.find_exchanged_names, "By New York.", "By NewYork and York.", ""),
        (clues.find_invented_names, "to anna", "To Anna", ""),
        (clues.find_lost_names, "To Anna", "To her", "'Anna' is not in the answer"),
        (clues.find_invented_links, "See a.", "See http://a.example.", "'http://a.example' is not in the original"),
        (clues.find_lost_links, "See http://a.example.", "See (http://a.example)", ""),
        (clues.find_added_negation, "It is.", "It isn't.", "'isn't' negates what the original does not"),
        (clues.find_added_negation, "It is not.", "It isn't.", None),
        (clues.find_lost_negation, "It isn't.", "It is.", "'isn't' of the original is missing"),
        (clues.find_lost_negation, "Es ist nicht so.", "It is not so.", ""),
    ],
)
def test_a_clue_says_what_is_wrong_with_a_pair(
    find: Callable[..., str | None], original: str, answer: str, found: str | None
) -> None:
    assert find(read(original), read(answer)) == found


def test_a_long_text_is_quoted_in_part() -> None:
    assert quoted("a " * 50) == f"'{'a ' * 30}…'"
    assert quoted("one\ntwo") == "'one two'"


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.5 km", "15 km"), ("1,50", "150"), ("12.07", "1207"), ("-5 degrees", "5 degrees"), ("0.125", "125")],
)
def test_a_moved_point_and_a_lost_minus_make_another_number(one: str, other: str) -> None:
    assert set(read(one).numbers) != set(read(other).numbers)


@pytest.mark.parametrize(
    "text", ["-5", "\u22125", "\u20135", '"-5"', "**-5**", "[-5, 1]", "x: -5", "x=-5", "-$5", "\u201e-5\u201c", "a/-5"]
)
def test_a_minus_is_one_after_whatever_may_stand_before_a_number(text: str) -> None:
    assert "-5" in read(text).numbers


@pytest.mark.parametrize(
    ("original", "answer", "found"),
    [
        ("It is -5 degrees.", "It is 5 degrees.", "'5' is not in the original, which has '-5' instead"),
        ("It is 5 degrees.", "It is -5 degrees.", "'-5' is not in the original, which has '5' instead"),
        ("It is -5 degrees.", "It is minus 5 degrees.", ""),
        ("It is minus 5 degrees.", "It is -5 degrees.", ""),
        ("It is -5 degrees.", "It is 5 degrees below zero.", ""),
        ("It is -5 degrees.", "It is \u20135 degrees.", ""),
        ("Sales: -5%.", "Sales fell by 5%.", ""),
        ("Sales: -5%.", "Sales fell by 6%.", "'6' is not in the original, which has '-5' instead"),
    ],
)
def test_a_lost_minus_is_found_unless_words_stand_for_it(original: str, answer: str, found: str) -> None:
    assert clues.find_exchanged_numbers(read(original), read(answer)) == found


def test_a_number_below_zero_keeps_its_sign_and_a_range_has_none() -> None:
    assert set(read("-5 to (-7.50), \u22123 and 8-9, x-2").numbers) == {"-5", "-7.5", "-3", "8", "9", "2"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$10.00", "10 dollars"),
        ("1,234.50", "1.234,5"),
        ("3-5 days", "3 to 5 days"),
        ("1,00,000", "100000"),
        ("1.5", "1,50"),
    ],
)
def test_what_is_written_for_looks_makes_no_other_number(one: str, other: str) -> None:
    assert set(read(one).numbers) == set(read(other).numbers)
