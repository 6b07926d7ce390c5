"""Rows that come later are judged by what was kept of the rows that were learned from."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from pipeline.kinds import judged_parts
from pipeline.kinds.interface import LabeledText, LabelScore, LabelScores, Learned
from pipeline.kinds.registry import kind_of
from schemas.fate import ReasonCode
from schemas.task import Input, Target, Task

SAID = {
    "billing": ("the invoice is too high", "I was charged twice", "please refund the payment", "my card was declined"),
    "delivery": ("the parcel never came", "the courier left", "the box arrived late", "where is my shipment"),
    "account": ("I cannot log in", "my password is lost", "the email address is wrong", "please close my account"),
}
FIRST, LAST = ("Ada", "Bo", "Cleo", "Dov", "Eve", "Finn", "Gus", "Hal"), ("Stone", "Rivers", "Moor", "Hill", "Dale")
TOWNS = ("Ghent", "New Ross", "Porto", "Lille", "Old Harbor", "Bergen", "Turin", "Cork")
LEARNED, LATER = 400, 40
SEED = 17
Row = tuple[str, dict[str, Any]]


class Sorted(Task):
    """Which department is it for?"""

    text: Input[str]
    label: Target[Literal["billing", "delivery", "account", "sales"]]


class Tagged(Task):
    """Which departments is it for?"""

    text: Input[str]
    tags: Target[list[Literal["billing", "delivery", "account", "sales"]]]


class Booked(Task):
    """Read the letter."""

    text: Input[str]
    guest: Target[str]
    town: Target[str | None] = None
    topic: Target[Literal["billing", "delivery", "account", "sales"]]


TASKS = [Sorted, Tagged, Booked]


@dataclass(frozen=True)
class World:
    """Rows that are learned from, and later ones."""

    task: type[Task]
    learned: list[LabeledText]
    later: list[LabeledText]

    def learn(self) -> Learned:
        return kind_of(self.task).learn_labels(self.task, self.learned, SEED)

    def judge(self, rows: Sequence[LabeledText], **more: Any) -> LabelScores:
        return kind_of(self.task).judge_labels(self.task, rows, more.pop("kept", kept_of(self.task)), **more)


def letter(draw: random.Random) -> tuple[str, str, str, str]:
    """A text, and what it is about: a topic, who writes, and from where."""
    topic = draw.choice(list(SAID))
    guest, town = f"{draw.choice(FIRST)} {draw.choice(LAST)}", draw.choice(TOWNS)
    words = f"{draw.choice(SAID[topic])}, {draw.choice(SAID[topic])}"
    return draw.choice([f"{guest} from {town}: {words}", f"{words}; {guest}, in {town}"]), topic, guest, town


def answer(task: type[Task], topic: str, guest: str, town: str, number: int) -> dict[str, Any]:
    if task is Sorted:
        return {"label": topic}
    if task is Tagged:
        return {"tags": [topic] if number % 5 else ["billing", topic][topic == "billing" :]}
    return {"guest": guest, "town": town, "topic": topic}


@cache
def world(task: type[Task]) -> World:
    draw = random.Random(5)
    rows = []
    for number in range(LEARNED + LATER):
        text, topic, guest, town = letter(draw)
        if task is Tagged and number % 5 == 0 and topic != "billing":
            text = f"{text}, {draw.choice(SAID['billing'])}, {draw.choice(SAID['billing'])}"
        targets = answer(task, topic, guest, town, number)
        rows.append(LabeledText(text, {"text": text}, targets, str(number)))
    return World(task, rows[:LEARNED], rows[LEARNED:])


@cache
def kept_of(task: type[Task]) -> dict[str, Any]:
    return dict(world(task).learn().kept)


def spoiled(row: LabeledText) -> LabeledText:
    """The row with a wrong answer."""
    targets = dict(row.targets or {})
    for name in ("label", "topic"):
        if name in targets:
            targets[name] = {"billing": "delivery", "delivery": "account", "account": "billing"}[targets[name]]
    if "tags" in targets:
        targets["tags"] = [tag for tag in SAID if tag not in targets["tags"]][:1]
    return replace(row, targets=targets)


# --- what is learned --------------------------------------------------------------------------------
@pytest.mark.parametrize("task", TASKS)
def test_rows_that_are_learned_from_are_judged_by_the_others(task: type[Task]) -> None:
    some = world(task)
    rows = [spoiled(row) if number % 20 == 0 else row for number, row in enumerate(some.learned)]
    rows[7] = replace(rows[7], targets=None)
    scores = [row.score or 0 for row in kind_of(task).learn_labels(task, rows, SEED).scores.rows]
    assert max(scores) > 0.5
    if task in (Sorted, Tagged):
        assert np.mean(scores[::20]) > 0.5 > 0.1 > np.mean([score for at, score in enumerate(scores) if at % 20])


@pytest.mark.parametrize("task", TASKS)
def test_equal_rows_keep_equal_arrays_which_hold_no_objects(task: type[Task]) -> None:
    again = world(task).learn().kept
    assert again.keys() == kept_of(task).keys()
    for name, array in kept_of(task).items():
        assert isinstance(array, np.ndarray) and array.dtype.kind in "biuf", name
        assert array.dtype == again[name].dtype and np.array_equal(array, again[name]), name


@pytest.mark.parametrize("task", TASKS)
def test_what_is_kept_judges_the_same_from_a_file(task: type[Task], tmp_path: Path) -> None:
    some = world(task)
    before = some.judge(some.later)
    np.savez(tmp_path / "kept.npz", **kept_of(task))
    with np.load(tmp_path / "kept.npz", allow_pickle=False) as read:
        assert some.judge(some.later, kept=dict(read)) == before
    for number, array in enumerate(kept_of(task).values()):
        np.save(tmp_path / f"{number}.npy", array)
    mapped = {name: np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n, name in enumerate(kept_of(task))}
    assert some.judge(some.later, kept=mapped) == before


@pytest.mark.parametrize("task", [Sorted, Tagged])
def test_too_few_rows_keep_nothing_and_then_no_later_row_has_a_score(task: type[Task]) -> None:
    some = world(task)
    kept = kind_of(task).learn_labels(task, some.learned[:20], SEED).kept
    assert kept == {}
    found = some.judge(some.later, kept=kept)
    assert list(found.rows) == [LabelScore()] * LATER
    assert "too few labels were there to learn from" in found.note


def test_where_no_answer_was_there_nothing_is_kept_and_no_later_answer_has_a_score() -> None:
    some = world(Booked)
    rows = [replace(row, targets=None) for row in some.learned]
    kept = kind_of(Booked).learn_labels(Booked, rows, SEED).kept
    assert kept == {}
    found = some.judge(some.later, kept=kept)
    assert list(found.rows) == [LabelScore()] * LATER
    assert "no answers were there to learn from" in found.note


def test_few_answers_tell_at_least_which_values_the_texts_do_not_say() -> None:
    some = world(Booked)
    kept = kind_of(Booked).learn_labels(Booked, some.learned[:50], SEED).kept
    unsaid = replace(some.later[0], targets={**(some.later[0].targets or {}), "town": "Nantes"})
    found = some.judge([unsaid, some.later[1]], kept=kept)
    assert [reason.code for reason in found.rows[0].reasons] == [ReasonCode.UNGROUNDED]
    assert not found.rows[1].reasons
    assert "50 labeled rows: too few to judge copied values" in found.note


def test_where_a_field_was_taken_away_later_answers_have_no_score() -> None:
    class Shorter(Task):
        """Read the letter."""

        text: Input[str]
        topic: Target[Literal["billing", "delivery", "account", "sales"]]
        guests: Target[list[str]]

    some = world(Booked)
    rows = [replace(row, targets={"topic": "billing", "guests": []}) for row in some.later]
    found = kind_of(Shorter).judge_labels(Shorter, rows, kept_of(Booked))
    assert list(found.rows) == [LabelScore()] * LATER
    assert "fields were taken away" in found.note


# --- each later row by itself -----------------------------------------------------------------------
@pytest.mark.parametrize("task", TASKS)
def test_a_later_row_has_the_same_score_whatever_rows_come_with_it(task: type[Task]) -> None:
    some, draw = world(task), random.Random(2)
    rows = [spoiled(row) if number % 3 == 0 else row for number, row in enumerate(some.later)]
    rows += [replace(row, targets=None) for row in rows[:5]]
    together = list(some.judge(rows).rows)
    assert [some.judge([row]).rows[0] for row in rows] == together
    for _ in range(5):
        order = draw.sample(range(len(rows)), draw.randrange(2, len(rows)))
        assert list(some.judge([rows[number] for number in order]).rows) == [together[number] for number in order]


@pytest.mark.parametrize("task", TASKS)
def test_many_later_rows_are_judged_in_parts_with_the_same_scores(
    task: type[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = world(task)
    whole = some.judge(some.later)
    monkeypatch.setattr(judged_parts, "_AT_ONCE", 7)
    assert some.judge(some.later) == whole


@pytest.mark.parametrize("task", TASKS)
def test_no_later_rows_have_no_scores(task: type[Task]) -> None:
    assert list(world(task).judge([]).rows) == []


# --- what is found ----------------------------------------------------------------------------------
@pytest.mark.parametrize("task", TASKS)
def test_a_wrong_label_in_a_later_row_has_a_high_score_and_the_right_suggestion(task: type[Task]) -> None:
    some = world(task)
    found = some.judge([*map(spoiled, some.later[:15]), *some.later[15:]]).rows
    assert min(row.score or 0 for row in found[:15]) > max(row.score or 0 for row in found[15:])
    assert min(row.score or 0 for row in found[:15]) > 0.5
    assert [row.suggestion for row in found[:15]] == [row.targets for row in some.later[:15]]
    assert all(row.reasons for row in found[:15])
    assert not any(row.reasons for row in found[15:])


def test_values_of_later_rows_are_judged_by_where_such_values_stand() -> None:
    some = world(Booked)
    cut = [{**(row.targets or {}), "guest": str((row.targets or {})["guest"]).split()[0]} for row in some.later]
    dropped = [{**(row.targets or {}), "town": None} for row in some.later]
    for wrong in (cut, dropped):
        rows = [replace(row, targets=targets) for row, targets in zip(some.later, wrong, strict=True)]
        found = some.judge(rows).rows
        assert min(row.score or 0 for row in found) > 0.5
        assert [row.suggestion for row in found] == [row.targets for row in some.later]


def test_a_rule_that_is_off_finds_nothing_in_later_rows() -> None:
    some = world(Booked)
    rows = [replace(row, targets={**(row.targets or {}), "town": "Nantes"}) for row in some.later]
    assert all(row.reasons for row in some.judge(rows).rows)
    assert not any(row.reasons for row in some.judge(rows, off=[ReasonCode.UNGROUNDED.value]).rows)


@pytest.mark.parametrize(
    ("task", "targets"), [(Sorted, {"label": "sales"}), (Tagged, {"tags": ["sales", "billing"]})], ids=str
)
def test_a_label_that_was_not_learned_has_no_score(task: type[Task], targets: dict[str, Any]) -> None:
    some = world(task)
    new = replace(some.later[0], targets=targets)
    found = some.judge([new, some.later[1]]).rows
    assert found[0] == LabelScore()
    assert found[1].score is not None


def test_a_closed_field_with_a_value_that_was_not_learned_is_not_doubted() -> None:
    some = world(Booked)
    new = replace(some.later[0], targets={**(some.later[0].targets or {}), "topic": "sales"})
    assert not some.judge([new]).rows[0].reasons


def test_unlabeled_later_rows_get_the_likeliest_label() -> None:
    some = world(Sorted)
    found = some.judge([replace(row, targets=None) for row in some.later]).rows
    assert [row.suggestion for row in found] == [row.targets for row in some.later]
    assert not any(row.reasons for row in found)


def test_unlabeled_later_rows_get_the_likeliest_set() -> None:
    some = world(Tagged)
    found = some.judge([replace(row, targets=None) for row in some.later]).rows
    right = [
        sorted((row.suggestion or {})["tags"]) == sorted((one.targets or {})["tags"])
        for row, one in zip(found, some.later, strict=True)
    ]
    assert sum(right) >= 0.9 * LATER


@pytest.mark.parametrize("task", [Sorted, Tagged])
def test_an_unlabeled_row_is_predicted_the_same_now_and_later(task: type[Task]) -> None:
    some = world(task)
    unlabeled = [replace(row, targets=None) for row in some.later]
    learned = kind_of(task).learn_labels(task, [*some.learned, *unlabeled], SEED)
    now, later = learned.scores.rows[LEARNED:], some.judge(unlabeled, kept=learned.kept).rows
    assert [row.suggestion for row in now] == [row.suggestion for row in later]
    assert [row.score for row in now] == pytest.approx([row.score for row in later], abs=0.02)


def test_a_verified_later_label_is_right_whatever_the_models_say() -> None:
    some = world(Sorted)
    wrong = [spoiled(row) for row in some.later]
    found = some.judge([replace(row, verified=True) for row in wrong]).rows
    assert [row.score for row in found] == [0.0] * LATER
    booked = world(Booked)
    assert booked.judge([replace(spoiled(row), verified=True) for row in booked.later]).rows == [LabelScore()] * LATER


def test_what_another_row_answers_to_the_same_text_is_not_suggested_for_a_later_one() -> None:
    some = world(Sorted)
    both = "the invoice is too high, I was charged twice, please refund the payment; the parcel never came, the box"
    row = LabeledText(both, {"text": both}, {"label": "delivery"}, "new")
    alone, beside = some.judge([row]).rows[0], some.judge([replace(row, also=[{"label": "billing"}])]).rows[0]
    assert alone.suggestion == {"label": "billing"}
    assert beside.suggestion == {"label": "delivery"}
    assert (beside.score or 0) < (alone.score or 0)


@pytest.mark.parametrize(("task", "wrong"), [(Sorted, {"label": "account"}), (Tagged, {"tags": ["account"]})], ids=str)
def test_a_later_row_is_not_judged_by_rows_of_its_group(task: type[Task], wrong: dict[str, Any]) -> None:
    """The same odd sentence several times, wrongly labeled: by itself it would confirm itself."""
    odd = "zeta invoice payment zeta card refund charged twice"
    some = world(task)
    rows = [*some.learned, *(LabeledText(odd, {"text": odd}, wrong, "odd") for _ in range(6))]
    kept = kind_of(task).learn_labels(task, rows, SEED).kept
    later = LabeledText(odd, {"text": odd}, wrong, "odd")
    within, without = some.judge([later, replace(later, group="another")], kept=kept).rows
    assert (within.score or 0) > 0.5
    assert (within.score or 0) > (without.score or 0) + 0.2


def test_a_label_that_only_one_group_has_is_judged_in_later_rows_of_other_groups_alone() -> None:
    some, sales = world(Sorted), "the offer of your sales team, a price list"
    rows = [*some.learned, *(LabeledText(sales, {"text": sales}, {"label": "sales"}, "sales") for _ in range(3))]
    kept = kind_of(Sorted).learn_labels(Sorted, rows, SEED).kept
    later = LabeledText(sales, {"text": sales}, {"label": "sales"}, "sales")
    within, without = some.judge([later, replace(later, group="another")], kept=kept).rows
    assert within == LabelScore()
    assert without.score is not None and without.suggestion == {"label": "sales"}
