"""Cleaning changes how a text is written, never what it says, and doing it twice changes nothing."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.normalize import match_key, normalize_row, normalize_text
from schemas.dataset import Normalize

CLEAN = Normalize()
CONFIGS = [
    Normalize(unicode=unicode, whitespace=whitespace)
    for unicode, whitespace in itertools.product(("NFC", "NFKC", "none"), ("clean", "keep"))
]
TEXTS = st.text() | st.text(st.sampled_from("ab \t\n\r\v\f\0\x07\x85\xa0\u2003\u2028\u3000\ufeffe\u0301¨ﬁ\u200d"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.unicode}-{config.whitespace}")
@given(text=TEXTS)
def test_normalizing_twice_changes_nothing_more(config: Normalize, text: str) -> None:
    once = normalize_text(text, config)
    assert normalize_text(once, config) == once


@given(TEXTS)
def test_a_clean_text_has_no_control_characters_and_no_blank_edges(text: str) -> None:
    clean = normalize_text(text, CLEAN)
    assert not [c for c in clean if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert clean == clean.strip()
    assert all(line == line.rstrip() for line in clean.split("\n"))
    assert unicodedata.is_normalized("NFC", clean)


@given(TEXTS)
def test_every_visible_character_survives(text: str) -> None:
    def visible(text: str) -> list[str]:
        return [c for c in text if not c.isspace() and c != "\ufeff" and unicodedata.category(c) != "Cc"]

    assert visible(normalize_text(text, Normalize(unicode="none"))) == visible(text)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("one\r\ntwo\rthree\x85four\u2028five\fsix", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("a\xa0b\u2003c\u202fd", "a b c d"),
        ("end  \t\nof lines \n", "end\nof lines"),
        ("\ufeffmark\x07 and\x1b bell\x00", "mark and bell"),
        ("cafe\u0301", "café"),
        ("e\x00\u0301", "é"),
        ("\n\n  text  \n\n", "text"),
        (" \t\n", ""),
    ],
)
def test_dirt_is_removed(dirty: str, clean: str) -> None:
    assert normalize_text(dirty, CLEAN) == clean


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    return 1\n\n\nx  =  2",
        "a\tb",
        "\N{WOMAN}\u200d\N{PERSONAL COMPUTER} and \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "日本\u3000語",
        "½ ﬁ x²",
        "",
    ],
)
def test_code_emoji_and_other_scripts_stay_as_they_are(text: str) -> None:
    assert normalize_text(text, CLEAN) == text


def test_nfkc_unifies_compatibility_characters() -> None:
    assert normalize_text("ﬁve\u3000\uff11", Normalize(unicode="NFKC")) == "five 1"


def test_keep_removes_nul_only() -> None:
    assert normalize_text(" a\x00b \r\n", Normalize(whitespace="keep")) == " ab \r\n"


def test_a_row_is_copied_and_only_the_named_fields_are_cleaned() -> None:
    row = {"text": " a ", "tags": [" b ", 1, None], "inner": {" k ": {"x": " c "}}, "other": " d ", "n": 1.5}
    assert normalize_row(row, {"text", "tags", "inner", "n"}, CLEAN) == {
        "text": "a",
        "tags": ["b", 1, None],
        "inner": {" k ": {"x": "c"}},
        "other": " d ",
        "n": 1.5,
    }
    assert row["text"] == " a "


@pytest.mark.parametrize(
    ("one", "other"),
    [("Hello  World", " hello\nworld "), ("\uff21\uff22", "ab"), ("Straße", "STRASSE"), ("CAFÉ", "cafe\u0301")],
)
def test_texts_that_differ_in_case_width_or_whitespace_have_the_same_match_key(one: str, other: str) -> None:
    assert match_key(one) == match_key(other)


def test_texts_that_say_different_things_have_different_match_keys() -> None:
    assert len({match_key(text) for text in ("ab", "a b", "a.b", "á b", "a c")}) == 5


@given(TEXTS)
def test_the_match_key_of_a_match_key_is_itself(text: str) -> None:
    assert match_key(match_key(text)) == match_key(text)
