"""Splits never leak, never move, and are near the fractions."""

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from split_rows import FRACTIONS, SplitRow, assign_splits, division, row

from pipeline.errors import ReleaseError
from schemas.manifest import Absence


def test_a_row_that_has_a_split_stays_there() -> None:
    rows = [row("r1", split="test"), row("r2", split="test"), row("r3", split="old")]
    assert assign_splits(rows, FRACTIONS) == {"r1": "test", "r2": "test", "r3": "old"}


def test_a_late_row_follows_its_group_s_split() -> None:
    rows = [row("r1", group="g", split="test"), row("r2", group="g"), row("r3", group="g")]
    assert set(assign_splits(rows, FRACTIONS).values()) == {"test"}


def test_a_group_in_two_splits_is_refused_and_both_rows_are_named() -> None:
    rows = [row("r1", "g", split="train"), row("r0"), row("r2", "g"), row("r3", "g", split="test")]
    text = (
        "Rows 'r1' (train) and 'r3' (test) are too similar to be in different splits: the release would leak; "
        "run curate again, which leaves one of them out."
    )
    for order in (rows, rows[::-1]):
        with pytest.raises(ReleaseError) as caught:
            assign_splits(order, FRACTIONS)
        assert str(caught.value) == text


@pytest.mark.parametrize(("first", "second"), [("train", "test"), ("test", "train")])
def test_a_group_in_two_splits_is_refused_whichever_of_them_comes_first(first: str, second: str) -> None:
    with pytest.raises(ReleaseError, match=rf"^Rows 'r1' \({first}\) and 'r2' \({second}\) are too similar"):
        assign_splits([row("r1", "g", split=first), row("r2", "g", split=second)], FRACTIONS)


def test_a_split_is_known_by_its_name_wherever_it_was_read() -> None:
    read = "".join(list("train"))
    assert read is not (name := "train")
    assert assign_splits([row("r1", "g", split=name), row("r2", "g", split=read)], FRACTIONS) == {
        "r1": name,
        "r2": name,
    }


def test_a_row_that_left_the_release_still_binds_the_row_that_took_its_place() -> None:
    rows = [row("old", "g", split="test", published=False), row("new", "g"), *(row(f"r{i}") for i in range(30))]
    splits = assign_splits(rows, FRACTIONS)
    assert splits["new"] == "test"
    assert "old" not in splits
    assert Counter(splits.values()) == {"train": 25, "validation": 3, "test": 3}


def test_a_published_row_pins_its_group_before_rows_that_are_left_out() -> None:
    rows = [row("r1", "g", split="test", published=False), row("r2", "g", split="train"), row("r3", "g")]
    assert assign_splits(rows, FRACTIONS) == {"r2": "train", "r3": "train"}


def test_no_published_row_moves_to_the_split_of_a_row_that_is_left_out() -> None:
    rows = [row("r1", "g", split="train"), row("r2", "g", split="test", published=False), row("r3", "g")]
    assert assign_splits(rows, FRACTIONS) == {"r1": "train", "r3": "train"}


def test_of_rows_that_are_left_out_the_first_by_id_pins_the_group_in_whatever_order_they_come() -> None:
    rows = [row("r1", "g", split="test", published=False), row("r2", "g", split="train", published=False)]
    assert assign_splits([*rows, row("r3", "g")], FRACTIONS) == {"r3": "test"}
    assert assign_splits([*rows[::-1], row("r3", "g")], FRACTIONS) == {"r3": "test"}


def test_which_of_two_copies_is_kept_does_not_change_where_their_group_goes() -> None:
    def kept(first: bool) -> list[str]:
        copies = [row(f"a{i}", f"g{i}", published=first) for i in range(99)]
        copies += [row(f"b{i}", f"g{i}", published=not first) for i in range(99)]
        splits = assign_splits(copies, FRACTIONS)
        return [splits[f"{'a' if first else 'b'}{i}"] for i in range(99)]

    assert kept(first=True) == kept(first=False)


def test_large_groups_are_drawn_for_every_split_as_often_as_single_rows() -> None:
    rows = [row(f"r{i} {at}", f"g{i}") for i in range(200) for at in range(20)]
    rows += [row(f"s{i}") for i in range(1000)]
    splits = assign_splits(rows, FRACTIONS)
    large = Counter(splits[f"r{i} 0"] for i in range(200))
    assert 8 <= large["test"] <= 32 and 8 <= large["validation"] <= 32


def test_rows_without_a_group_are_not_one_group() -> None:
    assert set(assign_splits([row(f"r{i}") for i in range(10)], FRACTIONS).values()) == set(FRACTIONS)


@pytest.mark.parametrize("count", [3, 4, 7])
def test_every_split_gets_a_group_while_there_are_enough(count: int) -> None:
    assert set(assign_splits([row(f"r{i}") for i in range(count)], FRACTIONS).values()) == set(FRACTIONS)


def test_too_few_groups_begin_with_the_largest_split() -> None:
    assert assign_splits([row("r1")], FRACTIONS) == {"r1": "train"}
    assert assign_splits([], FRACTIONS) == {}


def test_a_split_without_a_fraction_gets_no_new_rows() -> None:
    rows = [row(f"r{i}") for i in range(20)]
    assert set(assign_splits(rows, {"train": 0.5, "test": 0.5, "spare": 0}).values()) == {"train", "test"}


def test_a_split_that_a_source_has_filled_gets_no_new_rows() -> None:
    rows = [row(f"t{i}", split="test") for i in range(50)] + [row(f"r{i}") for i in range(50)]
    splits = assign_splits(rows, FRACTIONS)
    assert Counter(splits.values()) == {"test": 50, "train": 44, "validation": 6}


def test_the_largest_group_goes_to_the_largest_split() -> None:
    rows = [row(f"big{i}", "big") for i in range(60)] + [row(f"r{i}") for i in range(40)]
    splits = assign_splits(rows, FRACTIONS)
    assert splits["big0"] == "train"
    assert Counter(splits.values()) == {"train": 80, "validation": 10, "test": 10}


def test_every_label_is_shared_out_by_the_fractions() -> None:
    rng = random.Random(2)
    rows = [row(f"r{i}", label=rng.choice("aaaaaaabbc")) for i in range(1000)]
    splits = assign_splits(rows, FRACTIONS)
    for label in "abc":
        found = Counter(splits[row.record_id] for row in rows if row.labels == (label,))
        for split, share in FRACTIONS.items():
            wanted = share * found.total()
            assert found[split] == pytest.approx(wanted, abs=math.sqrt(wanted) + 1)


def test_no_label_is_further_from_its_share_of_a_split_than_by_chance_however_many_there_are() -> None:
    """Of forty labels that were not looked at, several would be off by twice as much."""
    labels = [f"kind{number}" for number in range(40)]
    rows = [row(f"{label} {number}", label=label) for label in labels for number in range(100)]
    splits = assign_splits(rows, FRACTIONS)
    found = Counter((row.labels[0], splits[row.record_id]) for row in rows)
    assert max(abs(found[label, "test"] - 10) for label in labels) <= math.sqrt(10) + 1
    assert max(abs(found[label, "train"] - 80) for label in labels) <= math.sqrt(10) + 1


def test_the_salt_draws_another_division_of_the_same_size() -> None:
    rows = [row(f"r{i}") for i in range(100)]
    one, other = assign_splits(rows, FRACTIONS, "a"), assign_splits(rows, FRACTIONS, "b")
    assert one != other
    assert Counter(one.values()) == Counter(other.values()) == {"train": 80, "validation": 10, "test": 10}


# --- properties -------------------------------------------------------------------------------
@st.composite
def row_lists(draw: st.DrawFn, prefix: str = "r") -> list[SplitRow]:
    groups = draw(st.lists(st.sampled_from(["", "", "g1", "g2", "g3", "g4"]), max_size=40))
    return [row(f"{prefix}{at}", group, draw(st.sampled_from("abc"))) for at, group in enumerate(groups)]


ALL_FRACTIONS = st.sampled_from(
    [FRACTIONS, {"train": 0.5, "test": 0.5}, {"train": 1.0}, {"train": 0.6, "a": 0.3, "b": 0.1, "c": 0.0}]
)


@given(row_lists(), ALL_FRACTIONS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(
    rows: list[SplitRow], fractions: Mapping[str, float], rng: random.Random
) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert assign_splits(rows, fractions) == assign_splits(shuffled, fractions)


@given(row_lists(), row_lists(prefix="late"), ALL_FRACTIONS, ALL_FRACTIONS)
def test_growth_moves_no_row_and_divides_no_group(
    rows: list[SplitRow], late: list[SplitRow], fractions: Mapping[str, float], changed: Mapping[str, float]
) -> None:
    first = assign_splits(rows, fractions)
    grown = [*(replace(one, split=first[one.record_id]) for one in rows), *late]
    second = assign_splits(grown, changed)
    assert second.keys() == {one.record_id for one in grown}
    assert {name: second[name] for name in first} == first
    of_group = {(one.group, second[one.record_id]) for one in grown if one.group}
    assert len(of_group) == len({group for group, _ in of_group})


@given(row_lists(), ALL_FRACTIONS)
def test_the_sizes_are_within_one_group_of_the_fractions(rows: list[SplitRow], fractions: Mapping[str, float]) -> None:
    rows = [*rows, *(row(f"alone{at}") for at in range(7))]  # two units for every split, and one more
    units = Counter(one.unit for one in rows)
    sizes = Counter(assign_splits(rows, fractions).values())
    for split, share in fractions.items():
        # Each of three labels is in every split, however small.
        assert abs(sizes[split] - share * len(rows)) <= 3 * max(units.values()) + 1
        assert sizes[split] > 0 or share == 0


def test_many_small_groups_come_close_to_the_fractions() -> None:
    rng = random.Random(4)
    rows: Sequence[SplitRow] = [row(f"r{i}", f"g{rng.randrange(500)}", rng.choice("abcdef")) for i in range(3000)]
    sizes = Counter(assign_splits(rows, FRACTIONS).values())
    for split, share in FRACTIONS.items():
        assert sizes[split] == pytest.approx(share * 3000, rel=0.05, abs=6)


# --- by content, whatever came before -----------------------------------------------------------
def moved(one: Mapping[str, str], other: Mapping[str, str]) -> int:
    return sum(split != other[record_id] for record_id, split in one.items() if record_id in other)


def test_a_home_that_is_rebuilt_moves_only_rows_near_a_border() -> None:
    rng = random.Random(7)
    rows = [row(f"r{i}", label=rng.choice("aaaaabbbccdde")) for i in range(2000)]
    grown: Mapping[str, str] = {}
    for end in range(400, 2001, 400):
        grown = assign_splits([replace(one, split=grown.get(one.record_id)) for one in rows[:end]], FRACTIONS, "toy")
    assert moved(grown, assign_splits(rows, FRACTIONS, "toy")) <= 0.04 * len(rows)


def test_rows_that_come_and_go_move_next_to_no_others() -> None:
    rng = random.Random(8)
    rows = [row(f"r{i}", label=rng.choice("aabc")) for i in range(1000)]
    assert moved(assign_splits(rows, FRACTIONS), assign_splits(rows[30:], FRACTIONS)) <= 12


def test_a_group_goes_where_its_key_goes_whichever_rows_it_has() -> None:
    rows = [SplitRow(f"r{i}", f"g{i // 5}", content=(f"contract {i // 5}",)) for i in range(1000)]
    halves = [assign_splits(half, FRACTIONS) for half in (rows[::2], rows[1::2])]
    assert {f"r{i}" for i in range(0, 1000, 2)} == halves[0].keys()
    differ = sum(halves[0][f"r{i}"] != halves[1][f"r{i + 1}"] for i in range(0, 1000, 10))
    assert differ <= 5


# --- labels -------------------------------------------------------------------------------------
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abcdefgh")), max_size=150), ALL_FRACTIONS)
def test_every_label_of_enough_rows_is_in_every_split(
    drawn: list[tuple[int, str]], fractions: Mapping[str, float]
) -> None:
    rows = [row(f"r{at}", label=label) for at, (_, label) in enumerate(drawn)]
    splits = assign_splits(rows, fractions)
    wanted = {split for split, share in fractions.items() if share > 0}
    for label, count in Counter(one.labels for one in rows).items():
        found = {splits[one.record_id] for one in rows if one.labels == label}
        assert found == wanted if count >= len(wanted) else len(found) <= count


def test_contracts_with_many_kinds_bring_every_kind_into_every_split() -> None:
    rng = random.Random(3)
    kinds = [f"kind{number:02}" for number in range(37)]
    rows = [
        row(f"r{contract}-{kind}", f"contract{contract}", kind)
        for contract in range(120)
        for kind in rng.choices(kinds, weights=range(1, 38), k=12)
    ]
    rows = list({one.record_id: one for one in rows}.values())
    splits = assign_splits(rows, FRACTIONS)
    for kind, contracts in Counter(kind for kind, _ in {(one.labels, one.group) for one in rows}).items():
        found = {splits[one.record_id] for one in rows if one.labels == kind}
        assert found == set(FRACTIONS) or contracts < 3
    sizes = Counter(splits.values())
    assert all(sizes[split] == pytest.approx(share * len(rows), rel=0.1) for split, share in FRACTIONS.items())


def in_every_split(rows: Sequence[SplitRow], splits: Mapping[str, str]) -> bool:
    places = {(one.labels, splits[one.record_id]) for one in rows}
    return len(places) == len({one.labels for one in rows}) * len(set(splits.values()))


def planted(seed: int, groups: int, labels: int, shares: Mapping[str, float]) -> list[SplitRow]:
    """Rows of labels that three groups have, one of them in each split of an assignment hidden from the search."""
    rng = random.Random(seed)
    hidden = [split for split, share in shares.items() for _ in range(round(groups * share))]
    rng.shuffle(hidden)
    of_split = {split: [group for group, name in enumerate(hidden) if name == split] for split in shares}
    drawn = [(f"g{rng.choice(of_split[split])}", f"kind{label}") for label in range(labels) for split in shares]
    return [row(f"{group}-{label}", group, label) for group, label in drawn]


THIRDS = dict.fromkeys(FRACTIONS, 1 / 3)


@pytest.mark.parametrize("fractions", [FRACTIONS, THIRDS])
@pytest.mark.parametrize("hidden", [FRACTIONS, THIRDS])
@pytest.mark.parametrize(("groups", "labels"), [(30, 10), (60, 20)])
def test_where_a_division_with_every_label_in_every_split_exists_one_is_found(
    groups: int, labels: int, hidden: Mapping[str, float], fractions: Mapping[str, float]
) -> None:
    lives = [planted(seed, groups, labels, hidden) for seed in range(200)]
    found = sum(in_every_split(rows, assign_splits(rows, fractions)) for rows in lives)
    assert found >= 190


def test_six_contracts_bring_each_of_three_kinds_into_every_split() -> None:
    """No single move helped: each lost as many kinds as it brought."""
    contracts = ("alpha beta", "gamma alpha", "beta gamma", "gamma", "beta", "alpha")
    rows = [row(f"c{at}-{kind}", f"c{at}", kind) for at, kinds in enumerate(contracts) for kind in kinds.split()]
    for salt in range(50):
        assert in_every_split(rows, assign_splits(rows, FRACTIONS, str(salt)))


def missing(rows: Sequence[SplitRow], places: Iterable[str]) -> int:
    """How many labels are missing from how many of three splits, by the split of each row."""
    labels = {one.labels for one in rows}
    return len(labels) * 3 - len({(one.labels, place) for one, place in zip(rows, places, strict=True)})


def test_where_no_division_has_every_label_the_best_that_there_is_stays() -> None:
    """The search goes on behind it, by moves that lose labels, and must come back the way it went."""
    for seed in range(10):
        rng = random.Random(seed)
        rows = [row(f"g{at}-{kind}", f"g{at}", f"kind{kind}") for kind in range(10) for at in rng.sample(range(6), 3)]
        every = product(THIRDS, repeat=6)
        least = min(missing(rows, [places[int(one.group[1:])] for one in rows]) for places in every)
        splits = assign_splits(rows, THIRDS)
        assert missing(rows, [splits[one.record_id] for one in rows]) == least


def test_the_search_for_labels_moves_no_row_that_has_a_split() -> None:
    rng = random.Random(5)
    for seed in range(50):
        rows = planted(seed, 30, 10, THIRDS)
        known = {group: rng.choice(list(FRACTIONS)) for group in rng.sample(sorted({one.group for one in rows}), 4)}
        splits = assign_splits([replace(one, split=known.get(one.group)) for one in rows], FRACTIONS)
        assert all(splits[one.record_id] == known.get(one.group, splits[one.record_id]) for one in rows)
        assert len({(one.group, splits[one.record_id]) for one in rows}) == len({one.group for one in rows})


def lacks(rows: Sequence[SplitRow]) -> list[tuple[str, str, int, Absence]]:
    return [(one.label, one.split, one.groups, one.reason) for one in division(rows, FRACTIONS)[1]]


def test_a_split_lacks_a_label_that_fewer_groups_have_than_there_are_splits() -> None:
    rows = [*(row(f"r{at}", label="often") for at in range(30)), row("s1", "s", "seldom"), row("s2", "s", "seldom")]
    found = lacks(rows)
    assert len(found) == 2
    assert {(label, groups, reason) for label, _, groups, reason in found} == {("seldom", 1, Absence.TOO_FEW_GROUPS)}


def test_a_split_that_rows_pinned_to_it_fill_is_said_to_be_full() -> None:
    exam = [row(f"t{at}", label="often", split="test") for at in range(30)]
    new = [row(f"s{at}", label="new") for at in range(9)]
    rows = [*exam, *(row(f"r{at}", label="often") for at in range(40)), *new]
    assert lacks(rows) == [("new", "test", 9, Absence.FULL)]


def test_two_groups_of_a_label_reach_both_splits_that_take_rows() -> None:
    exam = [row(f"t{at}", label="often", split="test") for at in range(30)]
    new = [row("s1", label="new"), row("s2", label="new")]
    rows = [*exam, *(row(f"r{at}", label="often") for at in range(40)), *new]
    for salt in range(50):
        splits = assign_splits(rows, FRACTIONS, str(salt))
        assert {splits["s1"], splits["s2"]} == {"train", "validation"}


def test_groups_are_called_pinned_only_if_they_are() -> None:
    often = [row(f"r{at}", label="often") for at in range(60)]
    pinned = [row(f"s{at}", label="old", split="train") for at in range(3)]
    assert lacks([*often, *pinned]) == [
        ("old", "validation", 3, Absence.PINNED),
        ("old", "test", 3, Absence.PINNED),
    ]
    assert len(lacks([*often, *pinned, row("s4", label="old")])) == 1
    assert lacks([*often, *pinned, row("s4", label="old"), row("s5", label="old")]) == []


def test_where_no_division_has_every_label_everywhere_that_is_said() -> None:
    """Of four groups each two share a label of three groups, so that two of them must be in one split."""
    have = {"abc": "g0 g1 g2", "abd": "g0 g1 g3", "acd": "g0 g2 g3", "bcd": "g1 g2 g3"}
    rows = [row(f"{group}-{label}", group, label) for label, groups in have.items() for group in groups.split()]
    found = lacks(rows)
    assert found
    assert {(groups, reason) for _, _, groups, reason in found} == {(3, Absence.NO_DIVISION)}
