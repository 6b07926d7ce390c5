"""What becomes of questions and answers in a real Label Studio when the task, the field map or the screens change."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, Row, desk_at
from support import current, row

from flows.engines.engine import Inline
from flows.local.studio_server import LocalStudio
from flows.release import release
from pipeline.errors import ReleaseError
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, ReasonCode

QUESTIONS: list[Row] = [
    row(1, "Where is my parcel?", None),
    row(2, "Why was I charged twice?", None),
]
ALL = "review: {budget: 100, audit: 0.0}\n"


def edit(desk: Desk, file: str, old: str, new: str) -> None:
    path = desk.folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def human(decision: Decision) -> bool:
    return decision.label_source is LabelSource.HUMAN


@pytest.fixture
def desk(label_studio: LocalStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(label_studio, tmp_path, QUESTIONS, ALL) as desk:
        yield desk


# --- the task -------------------------------------------------------------------------------------
STRICT = """
    @model_validator(mode="after")
    def has_a_parcel(self):
        if self.topic == "delivery" and "parcel" not in self.question:
            raise ValueError("a delivery names its parcel")
        return self
"""


def test_an_answer_must_suit_the_validators_over_several_fields_and_counts_once_they_are_fixed(desk: Desk) -> None:
    task = desk.folder / "task.py"
    plain = task.read_text(encoding="utf-8")
    task.write_text("from pydantic import model_validator\n" + plain + STRICT, encoding="utf-8")
    desk.curate()
    desk.label(1, "delivery")
    desk.label(2, "delivery")
    result = desk.collect()
    assert (result.decided, result.invalid) == (1, 1)
    assert human(desk.decision(1))
    assert (desk.decision(2).fate, human(desk.decision(2))) == (Fate.REVIEW, False)
    task.write_text(plain, encoding="utf-8")
    again = desk.collect()
    assert (again.annotations, again.decided, again.invalid) == (0, 1, 0)
    assert human(desk.decision(2))


# --- the field map --------------------------------------------------------------------------------
def test_an_answer_counts_for_the_text_that_was_shown_and_for_no_other(desk: Desk) -> None:
    desk.rows(*({"id": n, "title": f"Title {n}", "body": f"My parcel {n} is late", "topic": None} for n in (1, 2)))
    edit(desk, "dataset.yaml", "key: id", "key: id, fields: {question: title}")
    desk.curate()
    first = desk.task(1)
    desk.label(1, "returns")
    desk.collect()
    assert human(desk.decision(1))
    edit(desk, "dataset.yaml", "question: title", "question: body")
    again = desk.curate().review
    assert (again.sent, again.withdrawn, again.waiting) == (2, 1, 2)
    assert not human(desk.decision(1))
    assert desk.task(1) != first
    assert [task["data"]["question"] for task in desk.tasks() if task["id"] != first] == [
        "My parcel 1 is late",
        "My parcel 2 is late",
    ]
    desk.label(1, "delivery")
    desk.collect()
    assert (desk.decision(1).targets or {})["topic"] == "delivery"
    edit(desk, "dataset.yaml", "question: body", "question: title")
    desk.curate()
    assert (desk.decision(1).targets or {})["topic"] == "returns"
    assert desk.curate().decided == 0
    desk.collect()
    assert (desk.decision(1).targets or {})["topic"] == "returns"


def test_other_spaces_and_case_make_no_other_question(desk: Desk) -> None:
    desk.curate()
    desk.label(1, "delivery")
    desk.collect()
    edit(desk, "dataset.yaml", "review:", "normalize: {unicode: NFKC, whitespace: keep}\nreview:")
    again = desk.curate().review
    assert (again.sent, again.withdrawn) == (0, 0)
    assert human(desk.decision(1))


# --- what spoke against a row ---------------------------------------------------------------------
def test_a_question_is_taken_back_when_its_reason_has_gone(label_studio: LocalStudio, tmp_path: Path) -> None:
    rows = [row(1, "Write to ann@example.com about my parcel", "delivery"), row(2, "Why?", "billing")]
    with desk_at(label_studio, tmp_path, rows, ALL) as desk:
        assert (desk.curate().review.sent, desk.decision(1).fate) == (1, Fate.REVIEW)
        edit(desk, "dataset.yaml", "review:", "screen: {personal_data: allow}\nreview:")
        again = desk.curate()
        assert (again.review.withdrawn, again.review.waiting, again.budget_used) == (1, 0, 0)
        assert desk.decision(1).fate is Fate.ACCEPTED
        assert desk.tasks() == []


def test_the_copy_of_a_corrected_row_is_flagged_with_its_answer(label_studio: LocalStudio, tmp_path: Path) -> None:
    text = "the fee for the red garden chairs that I ordered from you two weeks ago was far too high"
    rows = [row(1, f"{text} now", "delivery"), row(2, text, "delivery"), row(3, "Where is it?", "delivery")]
    with desk_at(label_studio, tmp_path, rows, "review: {budget: 100, audit: 1.0}\n") as desk:
        desk.curate()
        assert desk.decision(2).fate is Fate.DUPLICATE
        desk.label(1, "billing")
        desk.collect()
        copy = desk.decision(2)
        assert (copy.fate, [reason.code for reason in copy.reasons]) == (Fate.REVIEW, [ReasonCode.CORRECTED])
        assert copy.reasons[0].detail == f"'billing', not 'delivery', in record {desk.id(1)}"
        assert desk.curate().review.sent == 1
        desk.label(2, "billing")
        desk.collect()
        assert desk.decision(2).fate is Fate.DUPLICATE


# --- copies and conflicts ---------------------------------------------------------------------------
CONFLICTING = [row(1, "May I have my money back?", "returns"), row(2, "May I have my money back?", "billing")]


def test_rows_in_conflict_with_an_answer_wait_for_the_next_curate_if_the_file_was_edited(
    label_studio: LocalStudio, tmp_path: Path
) -> None:
    with desk_at(label_studio, tmp_path, CONFLICTING, ALL) as desk:
        desk.curate()
        desk.label(1, "returns")
        edit(desk, "dataset.yaml", "review:", "duplicates: {threshold: 0.9}\nreview:")
        collected = desk.collect()
        assert collected.note.endswith("rows that depend on annotators' answers follow with the next one")
        assert (human(desk.decision(1)), desk.decision(2).fate) == (True, Fate.REVIEW)
        with pytest.raises(ReleaseError, match="was changed since the last curate"):
            release(desk.context, Inline())
        desk.curate()
        assert [reason.code for reason in desk.decision(2).reasons] == [ReasonCode.OVERRIDDEN]
        assert desk.collect().note == ""


def test_a_release_decides_about_the_conflicting_rows_if_collect_was_killed_before_it_did(
    label_studio: LocalStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    more = [row(n, f"Is lamp{n} or chair{n} still here?", "delivery") for n in range(3, 13)]
    with desk_at(label_studio, tmp_path, [*CONFLICTING, *more], ALL) as desk:
        desk.curate()
        desk.label(1, "returns")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("flows.collect.follow_answers", killed)
            desk.collect()
        assert desk.decision(2).fate is Fate.REVIEW
        released = release(desk.context, Inline())
        assert released.looked is not None
        assert sum(released.splits.values()) == 11
        assert [reason.code for reason in desk.decision(2).reasons] == [ReasonCode.OVERRIDDEN]


# --- a source that goes -----------------------------------------------------------------------------
def test_a_source_goes_and_comes_back_with_the_annotators_answers(label_studio: LocalStudio, tmp_path: Path) -> None:
    second = "  - {name: more, path: more.jsonl, key: id}\n"
    with desk_at(label_studio, tmp_path, QUESTIONS, ALL) as desk:
        (tmp_path / "more.jsonl").write_text('{"id": 3, "question": "May I return it?", "topic": "returns"}\n')
        desk.curate()
        desk.label(1, "delivery")
        desk.collect()
        edit(desk, "dataset.yaml", "name: examples", "name: renamed")
        gone = desk.curate()
        assert (gone.added, gone.withdrawn, gone.review.withdrawn) == (2, 2, 1)
        assert gone.note.splitlines()[0] == (
            "source 'examples' is no longer in the file, so its records (2) are withdrawn; if you add it again, they "
            "come back with their answers"
        )
        assert desk.id(1) not in current(desk.context)
        edit(desk, "dataset.yaml", "name: renamed", "name: examples")
        edit(desk, "dataset.yaml", "review:", second + "review:")
        back = desk.curate()
        assert (back.added, back.withdrawn, back.funnel.current) == (3, 2, 3)
        assert human(desk.decision(1))
