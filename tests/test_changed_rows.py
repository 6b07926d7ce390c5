"""Rows that change after annotators were asked: answers, questions, audits and proofs stay with what was asked."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import fake_studio
from known_cases import changed
from support import row
from triage_cases import PERSON, case, chance_of, run

from pipeline.reporting.status import Status, read_status
from schemas.annotation import Verdict
from schemas.dataset import Review
from schemas.fate import Fate, LabelSource, Routed
from schemas.field import JsonValue
from schemas.run_summary import Proof

TOPICS = ("billing", "delivery", "returns")
WORDS = [
    "anchor",
    "basil",
    "cedar",
    "dune",
    "ember",
    "fjord",
    "grove",
    "harbor",
    "ivory",
    "juniper",
    "kelp",
    "lagoon",
    "maple",
    "nectar",
    "onyx",
    "pebble",
    "quartz",
    "raven",
    "saffron",
    "thistle",
    "umber",
    "violet",
    "willow",
]
ROWS = 150
AUDIT = "review: {budget: 0, audit: 0.4, unreviewed: accept}"
PROOF = "review: {error_rate: 0.3, floor: 1.0}"


def text(number: int) -> str:
    return " ".join(WORDS[(number * step + step) % len(WORDS)] for step in (1, 3, 5, 7)) + f" no{number}"


def truth(number: int) -> str:
    return TOPICS[number % 3]


def given(number: int) -> str:
    """One label in five is wrong."""
    return TOPICS[(number + (number % 5 == 0)) % 3]


def write(desk: Desk, label: Callable[[int], str], **more: object) -> None:
    desk.rows(*(row(number, text(number), label(number)) | more for number in range(ROWS)))


@contextmanager
def asked(folder: Path, review: str, **more: object) -> Iterator[Desk]:
    """A dataset whose drawn rows annotators have answered rightly."""
    rows = [row(number, text(number), given(number)) | more for number in range(ROWS)]
    with fake_studio() as studio, desk_at(studio, folder, rows, f"{review}\nduplicates: {{threshold: 1.0}}\n") as desk:
        desk.curate()
        answer(desk)
        desk.collect()
        yield desk


def answer(desk: Desk) -> None:
    """Answer all open tasks rightly."""
    numbers = {desk.id(number): number for number in range(ROWS)}
    for task in desk.tasks():
        if not task["annotations"]:
            desk.submit(task["id"], desk.result(truth(numbers[task["data"]["record_id"]])))


def status(desk: Desk) -> Status:
    return read_status(desk.context)


def audited(desk: Desk) -> list[int]:
    """The rows that were drawn and answered."""
    found = (number for number in range(ROWS) if desk.decision(number).routed is Routed.AUDIT)
    return [number for number in found if desk.decision(number).label_source is LabelSource.HUMAN]


def test_an_audit_stays_when_the_source_takes_the_corrections_over(tmp_path: Path) -> None:
    with asked(tmp_path, AUDIT) as desk:
        before, rows = status(desk).audit, set(audited(desk))
        assert before is not None and before.wrong == sum(given(number) != truth(number) for number in rows) > 3
        write(desk, lambda number: truth(number) if number in rows else given(number))
        desk.curate()
        after = status(desk).audit
        assert after == before, "the rows that were not audited are as wrong as before"
        desk.collect()
        desk.curate()
        assert status(desk).audit == before


def proof_with(**correction: object) -> Proof:
    """That of 200 rows, of which some were drawn and answered, five of them with a correction."""
    review = Review(error_rate=0.2)
    cases = [case(f"r{number}", score=0.05) for number in range(200)]
    first = run(cases, review)
    drawn = [place for place, decision in enumerate(first.decisions) if decision.routed]
    cases = [
        changed(one, chance=chance_of(decision), past_route=decision.routed)
        for one, decision in zip(cases, first.decisions, strict=True)
    ]
    for number, place in enumerate(drawn):
        confirmed = changed(cases[place], human=Verdict.LABELED, human_reasons=PERSON[Verdict.LABELED])
        cases[place] = changed(confirmed, **correction) if number < 5 else confirmed
    proof = run(cases, review, proof=first.proof).proof
    assert proof is not None and proof.looks == 1
    return proof


def test_a_correction_that_the_source_has_taken_over_is_an_error_that_was_found() -> None:
    wrong: dict[str, JsonValue] = {"kind": "b"}
    left, taken_over, none = proof_with(replaced=wrong, corrected=wrong), proof_with(corrected=wrong), proof_with()
    assert taken_over == left != none


@pytest.mark.parametrize("review", [AUDIT, PROOF])
def test_a_column_that_the_task_does_not_read_changes_nothing(tmp_path: Path, review: str) -> None:
    with asked(tmp_path, review, exported="Monday") as desk:
        desk.curate()
        before, rows, tasks = status(desk), audited(desk), {task["id"] for task in desk.tasks()}
        write(desk, given, exported="Tuesday")
        curated = desk.curate()
        assert curated.review is not None and (curated.review.sent, curated.review.withdrawn) == (0, 0)
        after = status(desk)
        assert (after.audit, after.proof, after.waiting) == (before.audit, before.proof, before.waiting)
        assert audited(desk) == rows and {task["id"] for task in desk.tasks()} == tasks


def test_open_tasks_stay_when_another_column_changes_and_go_when_the_label_does(tmp_path: Path) -> None:
    rows = [row(number, text(number), None) | {"exported": "Monday"} for number in range(6)]
    with fake_studio() as studio, desk_at(studio, tmp_path, rows, "review: {budget: 10, audit: 0.0}\n") as desk:
        desk.curate()
        before = {task["data"]["record_id"]: task["id"] for task in desk.tasks()}
        desk.rows(*(one | {"exported": "Tuesday"} for one in rows[:-1]), row(5, text(5), "billing"))
        desk.curate()
        after = {task["data"]["record_id"]: task["id"] for task in desk.tasks()}
        assert after == {name: task for name, task in before.items() if name != desk.id(5)}
        desk.submit(after[desk.id(0)], desk.result("returns"))
        desk.collect()
        assert (desk.decision(0).fate, desk.decision(0).targets) == (Fate.ACCEPTED, {"topic": "returns"})


def test_an_answer_that_is_changed_after_another_column_was_decides_about_the_row_as_it_is(tmp_path: Path) -> None:
    with asked(tmp_path, AUDIT, exported="Monday") as desk:
        number = audited(desk)[0]
        write(desk, given, exported="Tuesday")
        desk.curate()
        revision = desk.decision(number).revision
        [task] = [task for task in desk.tasks() if task["data"]["record_id"] == desk.id(number)]
        other = next(topic for topic in TOPICS if topic != truth(number))
        desk.edit(task["annotations"][0]["id"], desk.result(other))
        desk.collect()
        assert (desk.decision(number).targets, desk.decision(number).revision) == ({"topic": other}, revision)
        # Taken back, it leaves the row as the source has it.
        desk.delete(f"annotations/{task['annotations'][0]['id']}")
        desk.collect()
        back = desk.decision(number)
        assert (back.targets, back.label_source, back.revision) == (
            {"topic": given(number)}, LabelSource.SOURCE, revision)  # fmt: skip


def test_a_home_from_before_rows_had_a_digest_asks_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        with monkeypatch.context() as before:
            before.setattr("pipeline.curation.prepare.content_digest", lambda inputs, targets: None)
            desk = stack.enter_context(asked(tmp_path, AUDIT))
        assert desk.decision(0).content == ""
        known, rows, tasks = status(desk).audit, audited(desk), {task["id"] for task in desk.tasks()}
        curated = desk.curate()
        assert curated.review is not None and (curated.review.sent, curated.review.withdrawn) == (0, 0)
        assert (status(desk).audit, audited(desk)) == (known, rows)
        assert {task["id"] for task in desk.tasks()} == tasks
