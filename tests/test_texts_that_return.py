"""Texts that come back are compared with those that came while they were away, as if they had never left."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from desk import desk_at
from fake_studio import fake_studio
from full_runs import must_agree_with_a_full_run, must_agree_with_a_new_index
from odd import PLAIN, QUESTION, Odd, key
from support import current, row, write_rows

from flows.context import Context
from flows.engines.engine import Inline
from flows.release import release
from pipeline.curation import stages
from pipeline.review.labeling_tasks import prediction_result
from pipeline.similarity import index
from pipeline.state.store import Store
from pipeline.state.tables import Table
from schemas.fate import Fate, ReasonCode
from schemas.run_summary import Looked

TOPICS = ("billing", "delivery", "returns")
ANSWER = '''
class Question(Task):
    """Answer this question."""

    question: Input[str]
    answer: Target[str]
'''
NEAR = (Fate.DUPLICATE, [ReasonCode.NEAR_DUPLICATE])
EXAM = "decontaminate: {overlap: null, against: [{name: exam, path: exam.jsonl}]}\n"
Rows = list[dict[str, Any]]


def text(number: int) -> str:
    """One of 25 words, unlike those of other numbers."""
    rng = random.Random(number)
    return " ".join(f"w{rng.randrange(10**6)}" for _ in range(25))


def asked(keys: range, of: int = 0, tail: str = "") -> Rows:
    """Rows with a label, whose texts are those of the rows with ``of`` subtracted from their keys, and a tail."""
    return [row(key, text(key - of) + tail, TOPICS[(key - of) % 3]) for key in keys]


def answered(keys: range, of: int = 0, tail: str = "") -> Rows:
    """The same of answers, to questions that are unlike each other."""
    return [{"id": key, "question": f"ask {key}", "answer": text(key - of) + tail} for key in keys]


STAY, AWAY, MEANWHILE = asked(range(100, 260)), asked(range(4)), asked(range(50, 54), 50, " and more")


def snapshots(folder: Path, rows: Rows, task: str = QUESTION) -> Odd:
    """A dataset whose file says each time what there is."""
    odd = Odd(folder, task, rows)
    odd.edit("license: MIT", "license: MIT, mode: snapshot")
    return odd


def curated(odd: Odd, *rows: Rows) -> Looked:
    write_rows(odd.folder, [one for some in rows for one in some])
    return odd.curate().looked


def fates(odd: Odd, numbers: range) -> list[tuple[Fate, list[ReasonCode]]]:
    return [(odd[number].fate, odd.codes(number)) for number in numbers]


def must_agree(context: Context) -> None:
    must_agree_with_a_full_run(context)
    must_agree_with_a_new_index(context)


def must_say_nothing_twice(store: Store) -> None:
    """No text is twice in the index, and no pair, whichever of its texts comes first."""
    texts = store.scan(Table.SIGNATURES).select("scheme", "identity_one").collect()
    sides = pl.concat_list("left_one", "right_one").list.sort()
    pairs = store.scan(Table.SIMILARITIES).select("scheme", sides).collect()
    assert texts.height and pairs.height
    assert not texts.is_duplicated().any()
    assert not pairs.is_duplicated().any()


@pytest.mark.parametrize(("task", "rows"), [(QUESTION, asked), (ANSWER, answered)], ids=["inputs", "answers"])
@pytest.mark.parametrize("few", [20_000, 0], ids=["a part of the index", "the whole index"])
def test_rows_that_come_back_meet_those_that_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, rows: Callable[..., Rows], few: int
) -> None:
    monkeypatch.setattr(index, "_FEW_TEXTS", few)
    stay, away, meanwhile = rows(range(100, 260)), rows(range(4)), rows(range(50, 54), 50, " and more")
    odd = snapshots(tmp_path / "odd", [*stay, *away], task)
    odd.curate()
    for _ in range(2):
        curated(odd, stay)
        assert curated(odd, stay, meanwhile).why == ""
        assert curated(odd, stay, meanwhile, away).why == ""
        assert fates(odd, range(4)) == [NEAR] * 4
        must_agree(odd.context)
    must_say_nothing_twice(odd.context.store)


def with_others_meanwhile(folder: Path) -> Odd:
    """Some rows are away, and others have come, one near each."""
    odd = snapshots(folder, [*STAY, *AWAY])
    odd.curate()
    curated(odd, STAY)
    curated(odd, STAY, MEANWHILE)
    return odd


def test_a_run_over_everything_compares_them_too(tmp_path: Path) -> None:
    odd = with_others_meanwhile(tmp_path / "odd")
    odd.edit("budget: 0", "budget: 1")
    assert "dataset.yaml" in curated(odd, STAY, MEANWHILE, AWAY).why
    assert fates(odd, range(4)) == [NEAR] * 4
    must_agree(odd.context)


def test_so_does_one_that_does_not_know_what_stood(tmp_path: Path) -> None:
    odd = with_others_meanwhile(tmp_path / "odd")
    shutil.rmtree(odd.context.store.standing)
    assert "not known" in curated(odd, STAY, MEANWHILE, AWAY).why
    assert fates(odd, range(4)) == [NEAR] * 4
    must_agree(odd.context)
    must_say_nothing_twice(odd.context.store)


def test_rows_that_come_back_go_to_the_split_of_similar_ones(tmp_path: Path) -> None:
    """Of other labels, so that all of them are published."""
    away, meanwhile = asked(range(30)), asked(range(51, 80), 50, " and more")
    for one in meanwhile:
        one["topic"] = TOPICS[(TOPICS.index(one["topic"]) + 1) % 3]
    odd = snapshots(tmp_path / "odd", [*STAY, *away])
    odd.edit("review:", "on_conflict: any_of\nreview:")
    odd.curate()
    curated(odd, STAY)
    curated(odd, STAY, meanwhile)
    release(odd.context, Inline())
    curated(odd, STAY, meanwhile, away)
    must_agree(odd.context)
    release(odd.context, Inline())
    splits = dict(odd.context.store.snapshot().splits().select("record_id", "split").collect().iter_rows())
    pairs = [(splits[key(number)], splits[key(number + 50)]) for number in range(1, 30)]
    assert len({one for one, _ in pairs}) > 1
    assert all(one == other for one, other in pairs)


def test_an_edit_that_is_undone_brings_back_a_text_that_has_missed_others(tmp_path: Path) -> None:
    edited = [one | {"question": text(one["id"] + 500)} for one in AWAY]
    odd = snapshots(tmp_path / "odd", [*STAY, *AWAY])
    odd.curate()
    curated(odd, STAY, edited)
    curated(odd, STAY, edited, MEANWHILE)
    assert curated(odd, STAY, AWAY, MEANWHILE).why == ""
    assert fates(odd, range(4)) == [NEAR] * 4
    must_agree(odd.context)


def test_a_threshold_that_is_taken_back_does_not_count_what_another_one_has_compared(tmp_path: Path) -> None:
    odd = with_others_meanwhile(tmp_path / "odd")
    odd.edit("review:", "duplicates: {threshold: 0.8}\nreview:")
    curated(odd, STAY, MEANWHILE, AWAY)
    odd.edit("duplicates: {threshold: 0.8}\n", "")
    odd.curate()
    assert fates(odd, range(4)) == [NEAR] * 4
    must_agree(odd.context)


def test_texts_that_a_failed_run_has_added_to_the_index_are_new_to_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = snapshots(tmp_path / "odd", [*STAY, *AWAY])
    odd.curate()
    curated(odd, STAY)
    with monkeypatch.context() as failing:
        failing.setattr(stages, "_commit", None)
        with pytest.raises(TypeError):
            curated(odd, STAY, MEANWHILE)
    assert curated(odd, STAY, MEANWHILE, AWAY).why == ""
    assert fates(odd, range(4)) == [NEAR] * 4
    must_agree(odd.context)
    must_say_nothing_twice(odd.context.store)


def test_an_answer_that_is_taken_back_brings_back_the_row_s_own_which_has_missed_others(tmp_path: Path) -> None:
    rows = answered(range(60))
    with fake_studio() as studio, desk_at(studio, tmp_path, [], "review: {budget: 60, audit: 0.9}\n") as desk:
        (desk.folder / "task.py").write_text(f"from schemas.task import Input, Target, Task\n\n{ANSWER}")
        desk.rows(*rows)
        desk.curate()
        task = desk.tasks()[0]
        [number] = [one["id"] for one in rows if desk.id(one["id"]) == task["data"]["record_id"]]
        other = prediction_result(desk.context.dataset.task, {"answer": text(900)})
        annotation = desk.submit(task["id"], other)
        desk.collect()
        assert desk.decision(number).targets == {"answer": text(900)}
        desk.rows(*rows, *answered(range(number + 100, number + 101), 100, " and more"))
        desk.curate()
        assert {one.duplicate_of for one in current(desk.context).values()} == {""}
        desk.delete(f"annotations/{annotation}")
        desk.collect()
        assert desk.decision(number).targets == {"answer": text(number)}
        assert desk.decision(number).duplicate_of == desk.id(number + 100)
        must_agree(desk.context)


def test_a_row_that_came_while_an_evaluation_set_was_away_is_rejected_once_it_is_back(tmp_path: Path) -> None:
    odd = Odd(tmp_path / "odd", QUESTION, STAY, EXAM)
    (odd.folder / "exam.jsonl").write_text(json.dumps({"question": text(7)}) + "\n")
    odd.curate()
    odd.edit(EXAM, "")
    curated(odd, STAY, asked(range(57, 58), 50, " and more"))
    assert odd[57].fate is Fate.ACCEPTED
    odd.edit(PLAIN, PLAIN + EXAM)
    odd.curate()
    assert fates(odd, range(57, 58)) == [(Fate.REJECTED, [ReasonCode.CONTAMINATED])]
    must_agree(odd.context)


def test_a_row_that_was_away_when_an_evaluation_set_came_is_rejected_once_it_is_back(tmp_path: Path) -> None:
    odd = snapshots(tmp_path / "odd", [*STAY, *asked(range(57, 58), 50, " and more")])
    odd.curate()
    curated(odd, STAY)
    odd.edit(PLAIN, PLAIN + EXAM)
    (odd.folder / "exam.jsonl").write_text(json.dumps({"question": text(7)}) + "\n")
    curated(odd, STAY)
    assert curated(odd, STAY, asked(range(57, 58), 50, " and more")).why == ""
    assert fates(odd, range(57, 58)) == [(Fate.REJECTED, [ReasonCode.CONTAMINATED])]
    must_agree(odd.context)


def test_after_nights_in_which_anything_comes_and_goes_the_index_is_as_new(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [*asked(range(20)), *asked(range(50, 70), 50, " and more")]
    odd = snapshots(tmp_path / "odd", STAY)
    (odd.folder / "exam.jsonl").write_text("".join(json.dumps({"question": text(number)}) + "\n" for number in (1, 7)))
    plain = (odd.folder / "dataset.yaml").read_text()
    for _ in range(6):
        (odd.folder / "dataset.yaml").write_text(plain + rng.choice(["", EXAM]))
        curated(odd, STAY, rng.sample(rows, rng.randrange(len(rows))))
    must_agree(odd.context)
    must_say_nothing_twice(odd.context.store)
