"""``review.error_rate`` and what is never answered: it waits as long as somebody can be asked, and no longer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio, fake_studio, refusing
from support import row
from team import NAMED, go_on

from pipeline.curation.error_proof import FEWEST
from pipeline.errors import Unreachable
from pipeline.reporting.status import read_status
from pipeline.review import label_studio_batches
from pipeline.review.label_studio import LabelStudio
from pipeline.review.labeling_tasks import verdict_result
from schemas.annotation import Verdict
from schemas.run_summary import Proof

ROWS: list[Row] = [row(k, f"Where is the parcel of order {k}{k}{k}?", "delivery") for k in range(1, FEWEST + 1)]
MORE: list[Row] = [
    row(k, f"Where is the parcel of order {k}{k}{k}?", "delivery") for k in range(FEWEST + 1, 5 * FEWEST)
]
EXACT = "duplicates: {threshold: 1.0}\n"


def proof_of(desk: Desk) -> Proof:
    found = read_status(desk.context).proof
    assert found is not None
    return found


def answer_all(desk: Desk, done: set[int], unsure: int = 0, skipped: int = 0) -> int:
    """Answer every open task as its annotator, except for some rows; returns how many."""
    answered = 0
    for task in desk.tasks():
        who = task["data"].get("assigned")
        if task["id"] in done or who == "":
            continue
        done.add(task["id"])
        answered += 1
        said = task["data"]["record_id"]
        is_unsure = bool(unsure) and said == desk.id(unsure)
        result = verdict_result(desk.context.dataset.task, Verdict.UNSURE) if is_unsure else desk.result("delivery")
        is_skipped = bool(skipped) and said == desk.id(skipped)
        desk.submit(task["id"], result, who or "first@example.com", skipped=is_skipped)
    return answered


def test_a_row_that_all_are_unsure_of_counts_as_wrong_once_nobody_is_left(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, ROWS, f"review: {{error_rate: 0.02, {NAMED}}}\n{EXACT}") as desk:
        desk.curate()
        done: set[int] = set()
        assert answer_all(desk, done, unsure=3) == len(ROWS)
        for _ in range(2):
            go_on(desk)
            assert proof_of(desk).looks == 0, "somebody else is asked"
            assert answer_all(desk, done, unsure=3) == 1
        go_on(desk)
        assert (proof_of(desk).looks, proof_of(desk).proven) == (1, True)


def test_a_row_that_waits_for_its_third_annotator_does_not_put_off_a_proof(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, ROWS, f"review: {{error_rate: 0.3, {NAMED}}}\n{EXACT}") as desk:
        desk.curate()
        done: set[int] = set()
        answer_all(desk, done, unsure=3)
        go_on(desk)
        found = proof_of(desk)
        assert (found.looks, found.proven, found.open, found.early) == (1, True, 1, [desk.id(3)])
        while answer_all(desk, done, unsure=3):
            go_on(desk)
        assert (proof_of(desk).looks, proof_of(desk).proven, proof_of(desk).open) == (1, True, 0)


def test_a_row_that_is_skipped_counts_as_wrong_once_all_others_are_answered(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, ROWS, f"review: {{error_rate: 0.3}}\n{EXACT}") as desk:
        desk.curate()
        desk.skip(3, "delivery")
        go_on(desk)
        assert proof_of(desk).looks == 0
        answer_all(desk, {desk.task(3)})
        go_on(desk)
        found = proof_of(desk)
        assert (found.looks, found.answers, found.unheard, found.proven) == (1, len(ROWS) - 1, 1, True)
        assert found.bound is not None and found.bound >= 1 / len(ROWS), "it stays as it is"
        assert str(found).endswith("; rows that were skipped or refused count as wrong: 1")
        go_on(desk)
        assert proof_of(desk) == found, "one look at the same answers"
        desk.label(3, "delivery")
        go_on(desk)
        assert (proof_of(desk).unheard, proof_of(desk).answers) == (0, len(ROWS))


def test_a_row_that_the_server_refuses_counts_as_wrong_once_all_others_are_answered(tmp_path: Path) -> None:
    with (
        fake_studio(refusing(b"333")) as studio,
        desk_at(studio, tmp_path, ROWS, f"review: {{error_rate: 0.3}}\n{EXACT}") as desk,
    ):
        assert desk.curate().review.refused
        assert len(desk.tasks()) == len(ROWS) - 1
        answer_all(desk, set())
        go_on(desk)
        assert (proof_of(desk).looks, proof_of(desk).unheard) == (1, 1)


def test_questions_of_a_push_that_broke_off_are_open(
    studio: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*request: Any) -> None:
        raise Unreachable("the connection was lost")

    with desk_at(studio, tmp_path, [*ROWS, *MORE], f"review: {{error_rate: 0.2}}\n{EXACT}") as desk:
        with monkeypatch.context() as broken:
            broken.setattr(label_studio_batches, "BATCH", FEWEST // 2)
            broken.setattr(LabelStudio, "_import", once(LabelStudio._import, lost))
            assert "the connection was lost" in desk.curate().review.problem
        done: set[int] = set()
        assert answer_all(desk, done) == FEWEST // 2
        desk.collect()
        found = proof_of(desk)
        assert (found.looks, found.unheard, found.open) == (0, 0, FEWEST // 2)
        desk.curate()
        assert answer_all(desk, done) == FEWEST // 2
        desk.collect()
        assert (proof_of(desk).looks, proof_of(desk).answers, proof_of(desk).unheard) == (1, FEWEST, 0)


def once(first: Callable[..., Any], then: Callable[..., Any]) -> Callable[..., Any]:
    """A method that does one thing in its first call, and another in all later ones."""
    todo = iter([first])

    def method(*given: Any) -> Any:
        return next(todo, then)(*given)

    return method
