"""What becomes of rows that are equal, similar or in conflict."""

import random
from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from candidates import CLAUSE, LEASE, NEAR, NEAR_BOTH, resolve, row, text_of
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedupe.candidates import MOST_CONFLICTING_ANSWERS, Candidate, Resolution
from pipeline.dedupe.neighbors import SimilarRows
from pipeline.similarity.signatures import FULL_BUCKET
from pipeline.text.meaning_guards import question
from pipeline.text.words import jaccard, words
from schemas.dataset import OnConflict


def between(left: str, right: str) -> tuple[str, str, str]:
    """Two texts that do not resemble each other at 0.6, and one that resembles both."""
    common = [f"common{i}" for i in range(40)]
    return (
        " ".join([*(f"{left}{i}" for i in range(10)), *common]),
        " ".join(common),
        " ".join([*common, *(f"{right}{i}" for i in range(10))]),
    )


# --- equal keys -------------------------------------------------------------------------------
def test_the_same_input_with_the_same_answer_is_an_exact_duplicate_of_the_first() -> None:
    result = resolve([row("r2"), row("r1"), row("r3", text=CLAUSE.upper())], threshold=0.7)
    assert result["r1"].is_kept
    for copy in ("r2", "r3"):
        assert result[copy] == Resolution(duplicate_of="r1", exact=True, similarity=1.0, group="r1")


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (row("r9", human=True), row("r1", text=f"{CLAUSE} !!")),
        (row("r9"), row("r1", text=f"{CLAUSE} !!", answer=None)),
        (row("r9", text=f"{CLAUSE} And so on.", key="k longer"), row("r1", key="k")),
        (row("r1"), row("r9", text=CLAUSE.replace(" ", "   "))),
        (row("r1"), row("r9")),
    ],
    ids=["verified by an annotator", "labeled", "longest", "white space does not count", "first"],
)
def test_the_kept_row_is_verified_then_labeled_then_longest_then_first(better: Candidate, worse: Candidate) -> None:
    result = resolve([worse, better], threshold=0.7)
    assert result[better.record_id].is_kept
    assert result[worse.record_id].duplicate_of == better.record_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("is x < y or not", "is x > y or not"),
        ("how much is 5 - 3", "how much is 5 + 3"),
        ("is -3 more than 2", "is 3 more than 2"),
        ("what is 7*8 please", "what is 7/8 please"),
        ("do you like c++ or c", "do you like c or c#"),
        ("what does he mean by 😀", "what does he mean by 🐶"),
        ("i love this :)", "i love this :("),
        ("it costs 5 € a day", "it costs 5 $ a day"),
    ],
)
def test_inputs_that_differ_in_a_sign_that_carries_meaning_are_not_duplicates(one: str, other: str) -> None:
    assert words(one) == words(other)
    result = resolve([row("r1", one, key=one), row("r2", other, key=other)], threshold=0.7)
    assert result["r1"].is_kept
    assert result["r2"].is_kept
    assert result["r1"].group == result["r2"].group


def test_punctuation_that_carries_none_does_not_keep_copies() -> None:
    one, other = "well, it is (as you know) over: “at last” – we hope!", "Well it is as you know over. At last? We hope"
    result = resolve([row("r1", one, key=one), row("r2", other, key=other.lower())], threshold=0.7)
    assert sorted(found.is_kept for found in result.values()) == [False, True]


@pytest.mark.parametrize("on_conflict", OnConflict)
@pytest.mark.parametrize("more", ["", " and more"])
def test_what_resembles_a_row_in_conflict_is_its_duplicate_however_long_it_is(
    on_conflict: OnConflict, more: str
) -> None:
    rows = [row("r1", answer="law"), row("r2", answer="term"), row("r3", f"{NEAR}{more}", "law")]
    result = resolve(rows, 0.7, on_conflict)
    assert result["r3"].duplicate_of == "r1"
    assert result["r1"].is_kept
    assert result["r2"].is_kept


@pytest.mark.parametrize("own", [4, 8])
def test_of_a_dense_cluster_one_row_is_kept(own: int) -> None:
    # Each text meets a few others only; that all are duplicates of one comes out step by step.
    rng, template = random.Random(1), " ".join(f"template{n}" for n in range(20 * own))
    texts = [f"{template} {' '.join(str(rng.randrange(10**5, 10**6)) for _ in range(own))}" for _ in range(5_000)]
    result = resolve([row(f"r{n:04}", text) for n, text in enumerate(texts)], threshold=0.7)
    assert [record_id for record_id, found in result.items() if found.is_kept] == ["r0000"]


@pytest.mark.parametrize(("more", "kept"), [({20}, ["r1"]), ({20, 30}, ["r1", "r3"])])
def test_what_resembles_a_copy_is_compared_with_the_row_that_is_kept_for_it(more: set[int], kept: list[str]) -> None:
    """In a dense cluster the search does not compare all rows; here it has not found the first and the last."""
    changes: list[set[int]] = [set(), {5}, {5} | more]
    texts = [" ".join(f"term{n}" if n in changed else f"word{n}" for n in range(40)) for changed in changes]
    similar = [jaccard(texts[one], texts[other]) >= 0.7 for one, other in ((0, 1), (1, 2), (0, 2))]
    assert similar == [True, True, len(kept) == 1]
    rows = [row(f"r{n}", text) for n, text in enumerate(texts, start=1)]
    result = resolve(rows, threshold=0.7, unfound={(0, 2)})
    assert [record_id for record_id, found in result.items() if found.is_kept] == kept
    assert result["r3"].similarity == (pytest.approx(jaccard(texts[0], texts[2])) if len(kept) == 1 else None)


def test_however_many_rows_of_equal_words_are_in_conflict_each_answer_is_asked_for_once() -> None:
    # Of so many rows of equal words only two are compared with all the others, here with other answers than these.
    key = " ".join(words(CLAUSE))
    answers = ["term", "rent", *["law"] * (FULL_BUCKET + 1)]
    rows = [row(f"r{n:03}", answer=answer, key=key + "." * (100 - n)) for n, answer in enumerate(answers)]
    result = resolve(rows, threshold=0.7)
    assert sorted(record_id for record_id, found in result.items() if found.is_kept) == ["r000", "r001", "r002"]
    copies = [found for record_id, found in result.items() if record_id > "r002"]
    assert {(found.duplicate_of, found.similarity) for found in copies} == {("r002", 1.0)}


def test_a_row_in_conflict_is_the_duplicate_of_the_row_that_asks_for_its_answer_and_of_no_other() -> None:
    key = " ".join(words(CLAUSE))
    like = row("r000", NEAR, human=True)
    answers = enumerate(["term", "law", "law"], start=1)
    asked = [row(f"r{n:03}", answer=answer, key=key + "." * (9 - n)) for n, answer in answers]
    result = resolve([like, *asked], threshold=0.7)
    assert result["r003"].duplicate_of == "r002"
    assert [result[name].is_kept for name in ("r000", "r001", "r002")] == [True, True, True]


def test_the_same_input_with_another_answer_is_a_conflict_and_no_duplicate() -> None:
    result = resolve([row("r1"), row("r2", answer="term"), row("r3", answer="law"), row("r4", answer=None)], 0.7)
    assert result["r1"].conflict == ("r2",)
    assert result["r2"].conflict == ("r1",)
    assert result["r2"].is_kept
    assert result["r3"].duplicate_of == "r1"
    assert result["r4"].duplicate_of == "r1"
    assert {resolution.group for resolution in result.values()} == {"r1"}


def test_an_annotator_s_answer_overrules_other_answers_to_the_same_input() -> None:
    rows = [row("r1", answer="term"), row("r2"), row("r3", human=True), row("r4", answer=None)]
    result = resolve(rows, threshold=0.7)
    assert result["r3"] == Resolution(group="r1")
    assert result["r1"] == Resolution(overridden_by="r3", group="r1")
    assert not result["r1"].is_kept
    assert result["r2"].duplicate_of == result["r4"].duplicate_of == "r3"


def test_two_annotators_who_disagree_are_in_conflict_and_still_overrule_the_others() -> None:
    rows = [row("r1", human=True), row("r2", human=True, answer="term"), row("r3", answer="rent")]
    result = resolve(rows, threshold=0.7)
    assert result["r1"].conflict == ("r2",)
    assert result["r2"].conflict == ("r1",)
    assert result["r3"].overridden_by == "r1"


QUESTION, SHOUT = "refund my order?", "refund my order!"


def test_equal_words_with_another_answer_are_a_conflict_too() -> None:
    one, other = row("r1", QUESTION, key=QUESTION), row("r2", SHOUT, "rent", key=SHOUT)
    result = resolve([one, other], threshold=0.7)
    assert (result["r1"].conflict, result["r2"].conflict) == (("r2",), ("r1",))
    assert (result["r1"].conflicting_answers, result["r2"].conflicting_answers) == (1, 1)
    assert not any(found.conflict for found in resolve([one, other], 0.7, OnConflict.ANY_OF).values())
    assert not any(found.conflict for found in resolve([one, other], threshold=1).values())


def test_an_unlabeled_row_is_never_in_conflict() -> None:
    rows = [row("r1", QUESTION, key=QUESTION), row("r2", SHOUT, None, key=SHOUT)]
    result = resolve(rows, threshold=0.7)
    assert result["r2"].duplicate_of == "r1"
    assert not result["r1"].conflict
    assert not any(found.conflict for found in resolve(rows, 0.7, answers_repeat=False).values())


def test_inputs_without_words_are_no_conflict() -> None:
    rows = [row("r1", "???", key="???"), row("r2", "!!!", "rent", key="!!!")]
    assert not any(found.conflict for found in resolve(rows, threshold=0.7).values())


def test_an_annotator_s_answer_to_equal_words_counts_and_overrules_nothing() -> None:
    human, other = row("r1", QUESTION, key=QUESTION, human=True), row("r2", SHOUT, "rent", key=SHOUT)
    result = resolve([human, other, row("r3", SHOUT, key=SHOUT, order=9)], threshold=0.7)
    assert result["r1"] == Resolution(group="r1")
    assert result["r2"] == Resolution(conflict=("r1",), conflicting_answers=1, group="r1")
    assert result["r3"].conflict == ("r2",)
    both = resolve([human, replace(other, human=True)], threshold=0.7)
    assert all(found.is_kept and not found.conflict for found in both.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("πότε έρχεσαι", "ποτέ έρχεσαι"),
        ("ma", "má"),
        ("a != b", "a = b"),
        ("5% off", "5 off"),
        ("2^3", "2 3"),
        ("at 3:2 or so", "at 3.2 or so"),
        ("new york\x1fcity of dreams", "new york city\x1fof dreams"),
        ("x\x1f", "\x1fx"),
        ('["a b", "c"]', '["a", "b c"]'),
        ("what is .5 plus one", "what is 5 plus one"),
        ("a 5' rope", 'a 5" rope'),
        ("what is 5!", "what is 5"),
        ("use .net now", "use net now"),
        ("what does -v do", "what does v do"),
    ],
)
def test_what_is_spelled_alike_but_means_something_else_is_not_a_conflict(one: str, other: str) -> None:
    rows = [row("r1", one, "yes", key=one), row("r2", other, "no", key=other)]
    assert rows[0].text != rows[1].text
    assert words(one) == words(other)
    assert not any(found.conflict for found in resolve(rows, threshold=0.7).values())


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ('{"to":"5 main st."}', '{"to":"5 main st"}', False),
        ('{"to":"“blue suede shoes”","many":1}', '{"to":"blue suede shoes","many":1}', False),
        ('{"to":["a book,","a pen"]}', '{"to":["a book","a pen"]}', False),
        ('{"to":"it is -5"}', '{"to":"it is 5"}', True),
        ('{"to":"great :)"}', '{"to":"great :("}', True),
        ('{"to":5}', '{"to":6}', True),
    ],
)
def test_answers_that_differ_as_the_inputs_do_are_no_conflict(one: str, other: str, conflict: bool) -> None:
    rows = [row("r1", "what is it.", one, key="what is it."), row("r2", "what is it", other, key="what is it")]
    assert any(found.conflict for found in resolve(rows, threshold=0.7).values()) is conflict


def test_a_text_in_brackets_is_not_a_list() -> None:
    one, other = "[customer] where is it?", "[customer] where is it"
    rows = [row("r1", one, "yes", key=one), row("r2", other, "no", key=other)]
    assert all(found.conflict for found in resolve(rows, threshold=0.7).values())


def test_what_annotators_replaced_once_is_asked_about_everywhere_at_once() -> None:
    marks = ["", "!", "?", "!!"]
    rows = [row(f"r{n}", f"refund{mark}", key=f"refund{mark}") for n, mark in enumerate(marks)]
    corrected = row("r9", "refund?!", "rent", key="refund?!", human=True, replaced="law")
    result = resolve([*rows, corrected], threshold=0.7)
    assert all(result[name].conflict == ("r9",) for name in ("r0", "r1", "r2", "r3"))


def test_many_answers_to_one_question_are_compared_with_the_first_few() -> None:
    rows = [row(f"r{n}", f"joke{'.' * (n % 2)}", f"law {n}", key=f"joke{'.' * (n % 2)}") for n in range(60)]
    result = resolve(rows, threshold=0.7)
    assert {found.conflicting_answers for found in result.values()} == {59}


def test_of_many_that_ask_the_same_one_asks_for_each_answer() -> None:
    marks = ["", "!", "?", "!!", "?!", "...", " …", " ;"]
    rows = [row(f"r{n}", f"refund{mark}", key=f"refund{mark}") for n, mark in enumerate(marks)]
    quoted = row("r8", "“refund”", "rent", key="“refund”")
    result = resolve([*rows, quoted], threshold=0.7)
    kept = [name for name, found in result.items() if found.is_kept]
    assert len(kept) == 2
    assert "r8" in kept
    assert {result[name].conflict for name in kept} == {("r8",), tuple(set(kept) - {"r8"})}
    assert {result[name].conflicting_answers for name in kept} == {1}
    # Once annotators confirmed one of them, all of them are right; they are still asked about the other.
    result = resolve([replace(rows[0], human=True), *rows[1:], quoted], 0.7)
    assert {name for name, found in result.items() if found.is_kept} == {"r0", "r8"}
    assert not result["r0"].conflict
    assert result["r8"].conflict == ("r0",)


def test_a_row_whose_near_duplicate_in_conflict_must_be_left_out_is_in_conflict_itself() -> None:
    # The longest leads the others.
    first, second, third = "refund my order ...", "refund my order!", "refund my order?"
    left, _, right = between("a", "b")
    rows = [
        *(row("r1", left, "x", split="train"), row("r2", right, "x", split="test")),
        row("r3", first, key=first, group_keys=("p", "q")),
        *(row("r4", second, key=second), row("r5", third, "rent", key=third)),
        *(row("r6", CLAUSE, split="train", group_keys=("p",)), row("r7", LEASE, split="test", group_keys=("q",))),
    ]
    result = resolve(rows, 0.7)
    assert result["r3"].bridges
    assert result["r4"].conflict
    assert result["r5"].conflict


def test_equal_words_that_differ_in_a_sign_may_have_other_answers() -> None:
    rows = [
        row("r1", "is x < y or not", key="is x < y or not"),
        row("r2", "is x > y or not", "b", key="is x > y or not"),
    ]
    assert not any(found.conflict for found in resolve(rows, threshold=0.7).values())


def test_with_any_of_every_answer_is_kept_once_and_nothing_conflicts() -> None:
    rows = [row("r1"), row("r2", answer="term"), row("r3", answer="term"), row("r4", answer="rent", human=True)]
    result = resolve(rows, threshold=0.7, on_conflict=OnConflict.ANY_OF)
    assert [name for name in sorted(result) if result[name].is_kept] == ["r1", "r2", "r4"]
    assert result["r3"].duplicate_of == "r2"
    assert not any(resolution.conflict for resolution in result.values())
    assert {resolution.group for resolution in result.values()} == {"r1"}


# --- near-duplicates --------------------------------------------------------------------------
def test_a_similar_input_with_the_same_answer_is_a_near_duplicate() -> None:
    result = resolve([row("r1"), row("r2", text=NEAR)], threshold=0.7)
    assert result["r2"].duplicate_of == "r1"
    assert not result["r2"].exact
    assert result["r2"].similarity == pytest.approx(jaccard(CLAUSE, NEAR))


def test_a_similar_input_with_another_answer_stays_in_the_same_group() -> None:
    result = resolve([row("r1"), row("r2", text=NEAR, answer="term")], threshold=0.7)
    assert result["r1"] == result["r2"] == Resolution(group="r1")


def test_an_unlabeled_row_is_a_near_duplicate_of_a_labeled_one() -> None:
    result = resolve([row("r1", text=f"{NEAR} indeed", answer=None), row("r2")], threshold=0.7)
    assert result["r1"].duplicate_of == "r2"


def test_an_unlabeled_row_is_not_a_duplicate_of_what_it_negates() -> None:
    said = row("r1")
    denied = row(
        "r2", CLAUSE.replace("is governed", "is not governed"), answer=None, key=CLAUSE.replace("is ", "is not ")
    )
    assert resolve([said, denied], threshold=0.7)["r2"].is_kept
    # Of equal answers the longer input is kept.
    assert resolve([said, replace(denied, answer="law")], threshold=0.7)["r1"].duplicate_of == "r2"


def test_where_each_row_has_its_own_answer_an_unlabeled_row_is_a_duplicate_of_equal_inputs_only() -> None:
    rows = [row("r1"), row("r2", NEAR, None), row("r3", NEAR, None), row("r4", CLAUSE, None)]
    result = resolve(rows, threshold=0.7, answers_repeat=False)
    assert result["r2"].is_kept
    assert (result["r3"].duplicate_of, result["r4"].duplicate_of) == ("r2", "r1")
    assert {one.group for one in result.values()} == {"r1"}


def test_a_row_with_the_answer_that_an_annotator_corrected_in_a_similar_row_is_named() -> None:
    corrected = row("r1", answer="venue", human=True, replaced="law")
    result = resolve([corrected, row("r2", NEAR), row("r3", NEAR_BOTH), row("r4", LEASE)], threshold=0.7)
    assert {name: one.corrected for name, one in result.items() if one.corrected} == {"r2": "r1"}
    confirmed = resolve([replace(corrected, replaced=None), row("r2", NEAR)], threshold=0.7)
    assert confirmed["r2"].corrected is None


def test_a_conflict_names_a_few_rows_and_counts_all() -> None:
    result = resolve([row(f"r{number}", answer=f"a{number:02}") for number in range(30)], threshold=0.7)
    assert {(len(one.conflict), one.conflicting_answers) for one in result.values()} == {(MOST_CONFLICTING_ANSWERS, 29)}
    assert all(name not in one.conflict for name, one in result.items())


def test_a_past_row_pins_what_is_similar_to_it_and_is_not_a_row_itself() -> None:
    past = row("r0", split="test", past=True)
    result = resolve([past, row("r1", NEAR), row("r2", CLAUSE), row("r3", LEASE)], threshold=0.7)
    assert result.keys() == {"r1", "r2", "r3"}
    assert result["r2"].is_kept and result["r1"].duplicate_of == "r2"
    assert [result[name].split for name in ("r1", "r2", "r3")] == ["test", "test", None]
    assert result["r2"].group == "r1"


@pytest.mark.parametrize(("gone", "edited"), [("r1", "r9"), ("r9", "r1")])
@pytest.mark.parametrize("text", [CLAUSE, NEAR])
def test_a_published_row_that_now_says_what_another_split_has_had_is_left_out(
    gone: str, edited: str, text: str
) -> None:
    past = row(gone, split="train", past=True, told=True)
    assert resolve([past, row(edited, text, split="test")], threshold=0.7)[edited].bridges == ("test", "train")


@pytest.mark.parametrize("text", [CLAUSE, f"{CLAUSE} today"])
def test_a_published_row_that_now_says_what_a_row_of_another_split_says_gives_way_to_it(text: str) -> None:
    stays, edited = row("r1", split="test", told=True), row("r2", text, split="train", human=True)
    result = resolve([stays, edited], threshold=0.7)
    assert result["r2"].bridges == ("test", "train")
    assert (result["r1"].is_kept, result["r1"].split) == (True, "test")


def test_a_row_between_a_past_row_and_a_present_one_of_another_split_is_a_bridge() -> None:
    left, middle, right = between("left", "right")
    past, present = row("r0", left, split="test", past=True), row("r1", right, split="train")
    result = resolve([past, present, row("r2", middle, "other")], threshold=0.7)
    assert result["r2"].bridges == ("test", "train")


def test_a_row_that_resembles_only_a_duplicate_stays_in_the_same_group() -> None:
    left, middle, right = between("east", "west")
    assert jaccard(left, right) < 0.7 <= jaccard(middle, left)
    result = resolve([row("r1", text=left), row("r2", text=middle), row("r3", text=right)], threshold=0.7)
    assert result["r2"].duplicate_of == "r1"
    assert result["r3"] == Resolution(group="r1")


def test_a_row_that_resembles_only_a_duplicate_of_another_split_stays_in_its_own_group() -> None:
    left, middle, right = between("east", "west")
    bound = [row("r1", text=left, split="train"), row("r3", text=right, split="test")]
    result = resolve([*bound, row("r2", text=middle, answer=None, order=9)], threshold=0.7)
    assert result["r2"].duplicate_of == "r1"
    assert (result["r1"].split, result["r3"].split) == ("train", "test")


def test_a_row_in_conflict_is_never_a_near_duplicate() -> None:
    rows = [row("r1", text=f"{CLAUSE} hereunder"), row("r2"), row("r3", answer="term")]
    result = resolve(rows, threshold=0.7)
    assert result["r2"].is_kept
    assert result["r2"].conflict == ("r3",)


def test_copies_of_a_near_duplicate_are_verified_one_by_one() -> None:
    # The caller's key is coarser than the words: it makes two very different texts one input.
    rows = [
        row("r1", text=f"{CLAUSE} forever"),
        row("r2", text=CLAUSE, key="k"),
        row("r3", text=LEASE, key="k"),
        row("r4", text=LEASE, key="k"),
    ]
    result = resolve(rows, threshold=0.7)
    assert result["r2"].duplicate_of == "r1"
    assert result["r3"].is_kept
    assert result["r4"].duplicate_of == "r3"
    assert result["r3"].group == result["r1"].group


def test_threshold_1_finds_exact_duplicates_only() -> None:
    rows = [row("r1"), row("r2"), row("r3", text=f"{CLAUSE}!", key="another")]
    result = resolve(rows, threshold=1)
    assert result["r2"].duplicate_of == "r1"
    assert result["r3"] == Resolution(group="r3")


# --- groups and splits ------------------------------------------------------------------------
def test_rows_of_one_partition_move_together() -> None:
    rows = [row("r1", group_keys=("A",)), row("r2", text=LEASE, group_keys=("A",)), row("r3", text=NEAR_BOTH)]
    result = resolve(rows, threshold=0.7)
    assert [result[name].group for name in ("r1", "r2", "r3")] == ["r1", "r1", "r3"]


def test_to_share_one_of_several_partitions_is_enough_to_move_together() -> None:
    rows = [
        row("r1", group_keys=("contract 1", "author 1")),
        row("r2", text=LEASE, group_keys=("contract 1", "author 2")),
        row("r3", text=NEAR_BOTH, group_keys=("contract 3", "author 2")),
    ]
    assert {one.group for one in resolve(rows, threshold=0.7).values()} == {"r1"}


def test_a_past_row_pins_its_partition() -> None:
    past = row("r1", past=True, split="test", group_keys=("A",))
    result = resolve([past, row("r2", text=LEASE, group_keys=("A",))], threshold=0.7)
    assert result["r2"].split == "test"


def test_any_of_drops_an_answer_that_an_annotator_replaced_unless_another_confirmed_it() -> None:
    rows = [row("r1", answer="term", human=True, replaced="law"), row("r2"), row("r3", answer="rent")]
    result = resolve(rows, 0.7, OnConflict.ANY_OF)
    assert result["r2"].overridden_by == "r1"
    assert result["r1"].is_kept and result["r3"].is_kept
    again = resolve([*rows, row("r4", human=True)], 0.7, OnConflict.ANY_OF)
    assert (again["r2"].duplicate_of, again["r4"].is_kept) == ("r4", True)


def test_a_row_that_waits_for_an_annotator_swallows_no_clean_one() -> None:
    result = resolve([row("r1", text=f"{NEAR} forthwith", held=True), row("r2")], threshold=0.7)
    assert result["r1"].duplicate_of == "r2"


# --- evaluation sets --------------------------------------------------------------------------
EVALUATION: dict[str, object] = {"split": "test", "published": False}
TO_TRAIN_ON: dict[str, object] = {"split": "train", "published": False}


@pytest.mark.parametrize("text", [CLAUSE, f"{NEAR} forthwith"], ids=["same key", "similar"])
def test_of_two_copies_the_one_of_the_evaluation_set_is_kept(text: str) -> None:
    for threshold in (0.7, 1.0):
        result = resolve([row("r1", text=text, human=True, **TO_TRAIN_ON), row("r2", **EVALUATION)], threshold)
        assert result["r2"].is_kept and result["r2"].split == "test"
        if threshold < 1 or text == CLAUSE:
            assert result["r1"].duplicate_of == "r2"


def test_a_row_to_train_on_that_resembles_an_evaluation_row_of_another_answer_is_left_out() -> None:
    result = resolve([row("r1", answer="term", **TO_TRAIN_ON), row("r2", text=NEAR, **EVALUATION)], threshold=0.7)
    assert (result["r1"].bridges, result["r2"].is_kept) == (("test", "train"), True)


@pytest.mark.parametrize("threshold", [0.7, 1.0])
@pytest.mark.parametrize("text", [CLAUSE, f"{NEAR} forthwith"], ids=["same key", "similar"])
def test_an_evaluation_row_similar_to_one_that_was_published_to_train_on_is_left_out(
    text: str, threshold: float
) -> None:
    result = resolve([row("r1", text=text, split="train"), row("r2", **EVALUATION)], threshold)
    assert result["r1"].is_kept and result["r1"].split == "train"
    similar = threshold < 1 or text == CLAUSE
    assert result["r2"].bridges == (("test", "train") if similar else None)


def test_an_evaluation_row_without_an_answer_evaluates_nothing() -> None:
    result = resolve([row("r1", **TO_TRAIN_ON), row("r2", answer=None, **EVALUATION)], threshold=0.7)
    assert result["r2"].duplicate_of == "r1"


# --- bridges ----------------------------------------------------------------------------------
def test_a_new_row_that_resembles_rows_of_two_splits_is_a_bridge() -> None:
    left, middle, right = between("east", "west")
    rows = [
        row("r1", text=left, split="train"),
        row("r2", text=right, split="test"),
        row("r3", text=middle, answer="term"),
    ]
    result = resolve(rows, threshold=0.7)
    assert result["r3"] == Resolution(bridges=("test", "train"))
    assert result["r1"] == Resolution(group="r1", split="train")
    assert result["r2"] == Resolution(group="r2", split="test")


def test_a_preferred_new_row_does_not_swallow_published_rows_of_two_splits() -> None:
    left, middle, right = between("east", "west")
    new = row("r3", text=middle, human=True)
    result = resolve([row("r1", text=left, split="train"), row("r2", text=right, split="test"), new], threshold=0.7)
    assert result["r3"].bridges == ("test", "train")
    assert result["r1"].is_kept
    assert result["r2"].is_kept


@pytest.mark.parametrize("copy", [row("r9", human=True, group_keys=("B",)), row("r0", group_keys=("B",))])
def test_a_copy_that_cannot_be_with_a_published_row_is_left_out_without_it(copy: Candidate) -> None:
    """The copy would represent the published row: an annotator confirmed it, or it came first in a rebuilt home."""
    published = [
        row("r1", split="validation", group_keys=("A",)),
        row("r2", text=LEASE, split="train", group_keys=("B",)),
    ]
    result = resolve([*published, copy], threshold=0.7)
    assert result[copy.record_id].bridges == ("train", "validation")
    assert result["r1"].is_kept and result["r1"].split == "validation"
    assert result["r2"].is_kept and result["r2"].split == "train"


def test_a_chain_of_new_rows_between_two_splits_breaks_at_its_last_row() -> None:
    rows = [
        row("r1", split="train", group_keys=("A",)),
        row("r2", text=LEASE, split="test", group_keys=("B",)),
        row("r3", text=NEAR, answer="term"),
        row("r4", text=f"{LEASE} now", answer="term", group_keys=("C",)),
        row("r5", text=f"{NEAR} so", answer="rent", group_keys=("C",)),
    ]
    result = resolve(rows, threshold=0.7)
    assert result["r3"].split == "train"
    assert result["r4"].split == "test"
    assert result["r5"].bridges == ("test", "train")


def test_a_duplicate_across_two_pinned_splits_is_a_duplicate_and_the_kept_row_stays_put() -> None:
    result = resolve([row("r1", split="train"), row("r2", split="test"), row("r3", text=NEAR, split="test")], 0.7)
    assert result["r2"].duplicate_of == result["r3"].duplicate_of == "r1"
    assert {resolution.split for resolution in result.values()} == {"train"}


@pytest.mark.parametrize("text", [CLAUSE, f"{NEAR} forthwith"], ids=["same key", "similar"])
def test_a_row_that_replaces_a_published_one_inherits_its_split(text: str) -> None:
    result = resolve([row("r1", split="test"), row("r2", text=text, human=True)], threshold=0.7)
    assert result["r1"].duplicate_of == "r2"
    assert result["r2"] == Resolution(group="r1", split="test")


def test_a_row_that_overrules_a_published_one_inherits_its_split() -> None:
    result = resolve([row("r1", answer="term", split="test"), row("r2", human=True)], threshold=0.7)
    assert result["r1"].overridden_by == "r2"
    assert result["r2"] == Resolution(group="r1", split="test")


def test_a_group_keeps_its_name_when_rows_join_it() -> None:
    rows = [row("r1"), row("r2", text=NEAR, answer="term")]
    later = [row("r3", human=True), row("r4", text=f"{NEAR} now", answer="rent"), row("a5", text=LEASE)]
    assert resolve(rows, threshold=0.7)["r2"].group == "r1"
    result = resolve([*rows, *later], threshold=0.7)
    assert result["r1"].duplicate_of == "r3"
    assert {result[name].group for name in ("r1", "r2", "r3", "r4")} == {"r1"}
    assert result["a5"].group == "a5"


# --- properties -------------------------------------------------------------------------------
LONG = words("one two three four five six seven eight nine ten eleven twelve")


def variant(at: int, word: str, shout: bool) -> str:
    """LONG with one word replaced, so that variants are equal, similar or neither."""
    text = " ".join([*LONG[:at], word, *LONG[at + 1 :]])
    return text.upper() if shout else text


TEXTS = st.builds(variant, st.sampled_from([0, 1, 11]), st.sampled_from(["one", "two", "twelve", "x"]), st.booleans())
SPLITS = st.sampled_from([None, None, "train", "test"])


@st.composite
def candidate_lists(draw: st.DrawFn) -> list[Candidate]:
    count = draw(st.integers(0, 12))
    orders = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    return [
        row(
            f"r{number:02}",
            text=(text := draw(TEXTS | st.just(LEASE))),
            key=f"{' '.join(words(text))}{draw(st.sampled_from(['', '', '!', ' ?']))}",
            answer=(answer := draw(st.sampled_from([None, "a", "b"]))),
            human=draw(st.sampled_from([False, False, True])),
            order=order,
            held=draw(st.booleans()),
            disputed=draw(st.integers(0, 4)) == 0,
            group_keys=draw(st.sampled_from([(), (), ("p",), ("q",), ("p", "q")])),
            split=(split := draw(SPLITS)),
            published=split is not None and draw(st.booleans()),
            frozen=split is not None and answer is not None and draw(st.integers(0, 3)) == 0,
            replaced=draw(st.sampled_from([None, None, "a", "b"])),
        )
        for number, order in enumerate(orders)
    ]


CONFIGS = st.tuples(st.sampled_from([0.5, 0.6, 0.8, 1.0]), st.sampled_from(OnConflict))


@given(candidate_lists(), CONFIGS, st.randoms(use_true_random=False))
def test_the_order_in_which_rows_are_given_does_not_matter(
    rows: list[Candidate], config: tuple[float, OnConflict], rng: random.Random
) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert resolve(rows, *config) == resolve(shuffled, *config) == resolve(rows, *config, rng=rng)


@given(candidate_lists(), CONFIGS)
def test_rows_without_similar_ones_are_resolved_as_they_are_among_others(
    rows: list[Candidate], config: tuple[float, OnConflict]
) -> None:
    with patch.object(SimilarRows, "alone", lambda _, texts, __: np.zeros(len(texts), dtype=np.bool_)):
        together = resolve(rows, *config)
    assert resolve(rows, *config) == together


def test_a_decision_overrules_though_its_own_row_must_be_left_out() -> None:
    # The row that an annotator answered is of an evaluation set; its copy was published for training.
    rows = [
        row("r1", answer="law", split="train"),
        row("r2", answer="law", human=True, split="test", published=False),
        row("r3", answer="term"),
    ]
    result = resolve(rows, 0.7)
    assert result["r1"].is_kept
    assert result["r2"].bridges == ("test", "train")
    assert result["r3"].overridden_by == "r2"


@pytest.mark.parametrize("seed", range(6))
def test_the_order_in_which_pairs_are_found_does_not_decide_about_a_split(seed: int) -> None:
    # The copy resembles rows of two splits, the kept row neither of them: only one can be followed.
    (left, _, _), right = between("a", "b"), between("a", "b")[2]
    copy = " ".join([*left.split()[5:], *right.split()[-5:]])
    longest = " ".join([copy, *(f"more{number}" for number in range(12))])
    rows = [row("r1", left, split="train"), row("r2", right, split="test"), row("r3", longest), row("r4", copy)]
    result = resolve(rows, 0.7, rng=random.Random(seed))
    assert result["r4"].duplicate_of == "r3"
    assert result == resolve(rows, 0.7)
    assert result["r3"].split in ("train", "test")


@given(candidate_lists(), CONFIGS)
def test_a_bridge_concerns_only_what_it_is_connected_with(
    rows: list[Candidate], config: tuple[float, OnConflict]
) -> None:
    with patch("pipeline.dedupe.resolve.connected", lambda heads, neighbors, numbers, start: set(numbers)):
        all_anew = resolve(rows, *config)
    assert resolve(rows, *config) == all_anew


@given(candidate_lists(), CONFIGS)
def test_every_row_is_resolved_once_and_in_one_way(rows: Sequence[Candidate], config: tuple[float, OnConflict]) -> None:
    result = resolve(rows, *config)
    assert result.keys() == {row.record_id for row in rows}
    for one in result.values():
        assert [one.is_kept, *(x is not None for x in (one.duplicate_of, one.overridden_by, one.bridges))].count(
            True
        ) == 1
        assert bool(one.group) or one.overridden_by or one.bridges


@given(candidate_lists(), CONFIGS)
def test_every_duplicate_points_to_a_kept_row_with_its_answer_and_verified_similarity(
    rows: Sequence[Candidate], config: tuple[float, OnConflict]
) -> None:
    by_id = {row.record_id: row for row in rows}
    result = resolve(rows, *config)
    for name, one in result.items():
        if one.duplicate_of is None:
            continue
        row, keeper = by_id[name], by_id[one.duplicate_of]
        assert result[keeper.record_id].is_kept
        assert row.answer in (None, keeper.answer)
        # Of equal merits, a row in conflict comes first: its similar rows must be its own.
        asked = [other for other in rows if question(other.key) == question(keeper.key) and other.answer is not None]
        disputed = len({other.answer for other in asked}) > 1
        assert keeper.preference < row.preference or (disputed and keeper.merits <= row.merits)
        assert one.group == result[keeper.record_id].group
        if one.exact:
            assert row.key == keeper.key
        else:
            assert one.similarity == pytest.approx(jaccard(text_of(row), text_of(keeper)))
            assert one.similarity >= config[0]


@given(candidate_lists(), CONFIGS)
def test_no_two_kept_rows_have_equal_input_and_answer(
    rows: Sequence[Candidate], config: tuple[float, OnConflict]
) -> None:
    result = resolve(rows, *config)
    kept = [row for row in rows if result[row.record_id].is_kept and not row.frozen]
    assert len({(row.key, row.answer) for row in kept}) == len(kept)


@given(candidate_lists(), st.sampled_from([0.5, 0.8]))
def test_no_two_kept_rows_answer_one_question_differently_unless_annotators_did_or_will(
    rows: Sequence[Candidate], threshold: float
) -> None:
    result = resolve(rows, threshold)
    kept = [row for row in rows if result[row.record_id].is_kept and row.answer is not None]
    for asking in {question(one.key) for one in kept}:
        asked = [one for one in kept if question(one.key) == asking]
        confirmed = {one.answer for one in rows if one.human and question(one.key) == asking}
        for one in asked:
            differ = any(other.answer != one.answer for other in asked)
            assert not differ or one.answer in confirmed or one.frozen or result[one.record_id].conflict


@given(candidate_lists(), CONFIGS)
def test_an_overruled_row_differs_from_an_annotator_s_answer_to_the_same_input(
    rows: Sequence[Candidate], config: tuple[float, OnConflict]
) -> None:
    by_id = {row.record_id: row for row in rows}
    for name, one in resolve(rows, *config).items():
        if one.overridden_by is not None:
            human_labeled = by_id[one.overridden_by]
            assert human_labeled.human
            assert human_labeled.key == by_id[name].key
            assert None not in (human_labeled.answer, by_id[name].answer)
            assert human_labeled.answer != by_id[name].answer
            replaced = {row.replaced for row in rows if row.human and row.key == human_labeled.key}
            assert config[1] is OnConflict.REVIEW or by_id[name].answer in replaced


@given(candidate_lists(), CONFIGS)
def test_groups_never_span_two_splits_and_hold_what_belongs_together(
    rows: Sequence[Candidate], config: tuple[float, OnConflict]
) -> None:
    result = resolve(rows, *config)
    kept = [row for row in rows if result[row.record_id].is_kept]
    splits: dict[str, set[str | None]] = {}
    for one in result.values():
        if one.group:
            splits.setdefault(one.group, set()).add(one.split)
    assert all(len(found) == 1 for found in splits.values())
    for one in kept:
        assert one.split in (None, result[one.record_id].split)
        for other in kept:
            together = one.key == other.key or set(one.group_keys) & set(other.group_keys)
            if together:
                assert result[one.record_id].group == result[other.record_id].group
