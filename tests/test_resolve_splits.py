"""Rows that belong together are in one split, and a row between two splits is in none."""

import random

import pytest
from candidates import CLAUSE, LEASE, NEAR, NEAR_BOTH, between, resolve, row

from pipeline.dedupe.candidates import Candidate, Resolution


# --- published and past rows ------------------------------------------------------------------
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


def test_a_row_that_resembles_only_a_duplicate_of_another_split_stays_in_its_own_group() -> None:
    left, middle, right = between("east", "west")
    pinned = [row("r1", text=left, split="train"), row("r3", text=right, split="test")]
    result = resolve([*pinned, row("r2", text=middle, answer=None, order=9)], threshold=0.7)
    assert result["r2"].duplicate_of == "r1"
    assert (result["r1"].split, result["r3"].split) == ("train", "test")


def test_what_a_bridge_leaves_behind_represents_only_what_it_is_preferred_to() -> None:
    """The rows behind a frozen bridge took over its turn, and with it rows that are preferred to them."""
    train = row("r1", LEASE, "a", split="train", frozen=True)
    bridge = row("r2", LEASE, "a", key=f"{LEASE}!", split="test", published=False, frozen=True)
    behind = row("r3", LEASE, None, key=f"{LEASE}!", human=True, disputed=True)
    longer = row("r4", LEASE, None, key=f"{LEASE} ?", disputed=True)
    result = resolve([train, bridge, behind, longer], threshold=0.7)
    assert result["r2"].bridges == ("test", "train")
    assert result["r3"].is_kept and result["r4"].is_kept


@pytest.mark.parametrize("text", [CLAUSE, NEAR], ids=["equal", "similar"])
@pytest.mark.parametrize("past", [False, True], ids=["present", "past"])
def test_a_published_text_keeps_its_split_even_if_its_own_row_is_left_out(text: str, past: bool) -> None:
    """The rows of a group were published in two splits before they were a group."""
    test = row("r1", LEASE, split="test", told=True, group_keys=("A",))
    train = row("r2", CLAUSE, split="train", told=True, group_keys=("A",), past=past)
    result = resolve([test, train, row("r3", text, group_keys=("A",)), row("r4", text, key="k")], threshold=0.7)
    assert past or result["r2"].bridges == ("test", "train")
    assert result["r3"].bridges == ("test", "train")
    assert (result["r4"].is_kept, result["r4"].split) == (True, "train")


# --- groups and splits ------------------------------------------------------------------------
def test_rows_with_one_group_key_move_together() -> None:
    rows = [row("r1", group_keys=("A",)), row("r2", text=LEASE, group_keys=("A",)), row("r3", text=NEAR_BOTH)]
    result = resolve(rows, threshold=0.7)
    assert [result[name].group for name in ("r1", "r2", "r3")] == ["r1", "r1", "r3"]


def test_to_share_one_of_several_group_keys_is_enough_to_move_together() -> None:
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
