"""Numbers, negations and signs, and the comparison that looks only at where two texts differ."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text import meaning_guards as meaning
from pipeline.text.meaning_guards import facts, negations, same_facts, same_negations, same_signs, signs
from pipeline.text.normalize import match_key

_PIECES = st.sampled_from(
    [
        *("no", "don't", "n't", "a", "Bé", "ไม่", "7", "1,5", ":)", ":-"),
        *"-+*/%#=€$.C(😀",
        *(" ", "  ", "\n", "\t", "\xa0", "\x1c"),
    ]
)
_TEXTS = st.lists(_PIECES, max_size=12).map("".join)


def test_numbers_negations_and_lone_signs_are_facts() -> None:
    assert facts("It is not 1,5 or -3: I don't know - never") == ["not", "1,5", "-3", "not", "-", "never"]
    assert facts("knotted notes, well-known") == []


@pytest.mark.parametrize(
    ("said", "denied"),
    [
        ("Sie dürfen das", "Sie dürfen das nicht"),
        ("Das ist eine Regel", "Das ist keine Regel"),
        ("это можно вернуть", "это не можно вернуть"),
        ("您可以退货", "您不可以退货"),
        ("返品できます", "返品できません"),
        ("il est valable", "il n'est pas valable"),
        ("es válido", "no es válido"),
        ("geçerli", "geçerli değil"),
        ("반품할 수 있습니다", "반품할 수 없습니다"),
        ("환불 돼요", "환불 안 돼요"),
        ("με απόδειξη", "χωρίς απόδειξη"),
        ("you can go", "you cant go"),
    ],
)
def test_negations_of_many_languages_are_facts(said: str, denied: str) -> None:
    assert not same_facts(match_key(said), match_key(denied))
    assert not same_negations(match_key(said), match_key(denied))
    assert same_facts(said, said.replace(" ", "  "))


def test_every_negation_is_found_in_the_form_in_which_texts_are_compared() -> None:
    assert {word for word in meaning._NEGATING.split() if not negations(match_key(f"a {word} b"))} == set()


def test_a_typographic_apostrophe_negates_like_a_plain_one() -> None:
    assert same_facts("You don’t pay 5 euros", "You don't pay 5 euros")
    assert not same_facts("You don’t pay 5 euros", "You do pay 5 euros")
    assert same_negations("you don’t pay 5 euros", "you don't pay 6 euros")
    assert not same_negations("you don’t pay", "you do pay")
    assert same_facts("You do not pay and cannot go", "you donʼt pay and can't go".replace("you", "You"))


def test_mathematics_currencies_and_faces_are_signs() -> None:
    assert signs("5 * 3 = 15 in C#, -2 € :) 😀, well-known (sic)!") == ["=", "€", "😀", "*", "#", "-", ":)"]
    assert signs("5\n*\n3") == signs("5*3") == ["*"]
    assert signs("plain; words: (all) 'of' them, \"quoted\"") == []


def test_every_character_of_a_meaningful_category_is_a_sign() -> None:
    of_category = {c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) in ("Sm", "Sc", "So")}
    assert {c for c in of_category if signs(c) != [c]} == set()


@given(_TEXTS)
def test_facts_of_the_words_are_those_of_the_text(text: str) -> None:
    for whole in (text, text * 9):
        assert facts(whole) == [fact for word in whole.split() for fact in meaning._facts(word)]


@given(start=_TEXTS, one=_TEXTS, other=_TEXTS, end=_TEXTS)
def test_a_look_at_the_difference_says_the_same_as_a_look_at_all(start: str, one: str, other: str, end: str) -> None:
    left, right = start + one + end, start + other + end
    assert same_facts(left, right) == (facts(left) == facts(right))
    assert same_signs(left, right) == (signs(left) == signs(right))
