"""A diff in a report shows both texts, and tells what the search for duplicates sees from what it does not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.text.word_diff import word_diff

FEWER = settings(max_examples=40)
WORDS = st.lists(st.sampled_from(["the", "The,", "a", "law", "LAW"]), max_size=30)


@FEWER
@given(WORDS, WORDS)
def test_a_diff_holds_both_texts(before: list[str], after: list[str]) -> None:
    pieces = word_diff(" ".join(before), " ".join(after))
    first = [piece.text for piece in pieces if piece.tag in ("same", "form", "del")]
    second = [piece.other or piece.text for piece in pieces if piece.tag in ("same", "form", "ins")]
    assert (" ".join(first).split(), " ".join(second).split()) == (before, after)


def test_a_diff_of_a_script_without_spaces_goes_by_characters() -> None:
    pieces = word_diff("本协议受国法律管辖。", "本协议受州法律管辖。")
    assert [(piece.tag, piece.text) for piece in pieces] == [
        *(("same", "本协议受"), ("del", "国"), ("ins", "州"), ("same", "法律管辖。")),
    ]


def test_a_diff_tells_what_the_search_does_not_see_from_other_words() -> None:
    pieces = word_diff("The Café, is OPEN today", "the cafe is open - now")
    assert [(piece.tag, piece.text.strip(), piece.other.strip()) for piece in pieces] == [
        *(("form", "The Café,", "the cafe"), ("same", "is", ""), ("form", "OPEN", "open")),
        *(("del", "today", ""), ("ins", "- now", "")),
    ]


def test_a_diff_says_what_it_has_not_compared() -> None:
    assert word_diff("w " * 6_000, "w " * 6_000 + "b")[-1].text == "1,001 more words, not compared"


def test_texts_of_the_same_few_words_are_not_compared_forever() -> None:
    pieces = word_diff("a b " * 2_500, "b a c " * 2_000)
    assert (pieces[-1].tag, pieces[-1].text) == ("fold", "5,940 more words, not compared")


def test_a_word_without_end_is_compared_as_it_is() -> None:
    pieces = word_diff("a" * 2_000_000, "A" * 2_000_000)
    assert [piece.tag for piece in pieces] == ["form"]


def test_a_diff_folds_long_equal_stretches() -> None:
    pieces = word_diff("w " * 100 + "old", "w " * 100 + "new")
    assert [piece.tag for piece in pieces] == ["same", "fold", "same", "del", "ins"]
    assert [piece.text.strip() for piece in pieces][1:] == ["76 equal words", ("w " * 12).strip(), "old", "new"]
