"""Numbers, negations and signs, and the comparison that looks only at where two texts differ."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedupe.meaning import facts, same, signs

_PIECES = st.sampled_from(
    [
        "no",
        "don't",
        "a",
        "Bé",
        "ไม่",
        "7",
        "1,5",
        "-",
        "+",
        "*",
        "#",
        ":)",
        "=",
        "€",
        "😀",
        "$",
        ".",
        "C",
        "(",
        " ",
        "  ",
        "\n",
    ]
)
_TEXTS = st.lists(_PIECES, max_size=12).map("".join)


def test_numbers_negations_and_lone_signs_are_facts() -> None:
    assert facts("It is not 1,5 or -3: I don't know - never") == ["not", "1,5", "-3", "n't", "-", "never"]
    assert facts("knotted notes, well-known") == []


def test_mathematics_currencies_and_faces_are_signs() -> None:
    assert signs("5 * 3 = 15 in C#, -2 € :) 😀, well-known (sic)!") == ["=", "€", "😀", "*", "#", "-", ":)"]
    assert signs("plain; words: (all) 'of' them, \"quoted\"") == []


def test_every_character_of_a_meaningful_category_is_a_sign() -> None:
    of_category = {c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) in ("Sm", "Sc", "So")}
    assert {c for c in of_category if signs(c) != [c]} == set()


@pytest.mark.parametrize("what", [facts, signs])
@given(start=_TEXTS, one=_TEXTS, other=_TEXTS, end=_TEXTS)
def test_a_look_at_the_difference_says_the_same_as_a_look_at_all(
    what: object, start: str, one: str, other: str, end: str
) -> None:
    assert callable(what)
    left, right = start + one + end, start + other + end
    assert same(what, left, right) == (what(left) == what(right))
