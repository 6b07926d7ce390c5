"""Equal and similar rows are duplicates of one that is kept."""

import random
from dataclasses import replace

import pytest
from candidates import CLAUSE, LEASE, NEAR, between, resolve, row

from pipeline.dedupe.candidates import Candidate, Resolution
from pipeline.text.words import jaccard, words


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
        (row("r9", text=f"{CLAUSE} And so on.", key=f"{CLAUSE} longer"), row("r1", key=CLAUSE)),
        (row("r1"), row("r9", text=CLAUSE.replace(" ", "   "))),
        (row("r1"), row("r9")),
    ],
    ids=["verified by an annotator", "labeled", "longest", "whitespace does not count", "first"],
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


@pytest.mark.parametrize("own", [4, 8])
def test_of_a_dense_cluster_one_row_is_kept(own: int) -> None:
    # Each text meets a few others only; that all are duplicates of one comes out step by step.
    rng, template = random.Random(1), " ".join(f"template{n}" for n in range(20 * own))
    texts = [f"{template} {' '.join(str(rng.randrange(10**5, 10**6)) for _ in range(own))}" for _ in range(2_500)]
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


def test_a_kept_row_is_compared_with_the_keeper_of_a_similar_row_that_cannot_be_its_own_copy() -> None:
    """The search has not found that the first two are similar; only the third, which negates the first, shows it."""
    key, denial = CLAUSE.replace("is ", "is not "), CLAUSE.replace("is governed", "is not governed")
    rows = [
        row("r1", f"{CLAUSE} as long as it lasts"),
        row("r2", f"{denial} too", key=f"{key} too"),
        row("r3", denial, None, key=key),
    ]
    assert rows[0].answer == rows[1].answer
    result = resolve(rows, threshold=0.6, unfound={(0, 1)})
    assert [result[name].duplicate_of for name in ("r1", "r2", "r3")] == [None, "r1", None]


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


def test_a_row_that_resembles_only_a_duplicate_stays_in_the_same_group() -> None:
    left, middle, right = between("east", "west")
    assert jaccard(left, right) < 0.7 <= jaccard(middle, left)
    result = resolve([row("r1", text=left), row("r2", text=middle), row("r3", text=right)], threshold=0.7)
    assert result["r2"].duplicate_of == "r1"
    assert result["r3"] == Resolution(group="r1")


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
