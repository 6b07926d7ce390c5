"""Which rows the label-error model learns from: those that may be published, and no others."""

from collections.abc import Callable
from typing import Literal

import pytest
from scored import score_labels

from pipeline.curation.case import Case
from schemas.annotation import Verdict
from schemas.dataset import OnConflict
from schemas.fate import Reason, ReasonCode
from schemas.task import Input, Target, Task

TEXTS = {"billing": "the fee was wrong", "delivery": "the parcel did not come"}
OTHER = {"billing": "delivery", "delivery": "billing"}


class Complaint(Task):
    """Name the topic of this complaint."""

    question: Input[str]
    topic: Target[Literal["billing", "delivery"]]


def case(name: str, text: str, topic: str) -> Case:
    return Case(
        record_id=name, revision="v", order=0, text_key=text, inputs={"question": text}, targets={"topic": topic},
        group=name,
    )  # fmt: skip


def honest() -> list[Case]:
    """Twenty rows each of two topics that no word confuses."""
    return [case(f"r{n}", f"{TEXTS[topic]} {n} times", topic) for n, topic in enumerate([*TEXTS] * 20)]


def wrong(number: int, leave_out: Callable[[Case], None]) -> list[Case]:
    """Rows whose labels are all wrong, and which are left out of the dataset: learned from, they would turn it over."""
    cases = [
        case(f"w{n}", f"{TEXTS[topic]} {n + 100} times", OTHER[topic]) for n, topic in enumerate([*TEXTS] * number)
    ]
    for one in cases:
        leave_out(one)
    return cases


def scores(cases: list[Case]) -> list[tuple[float | None, object, list[Reason]]]:
    return [(one.label_error_score, one.suggestion, one.label_error_reasons) for one in cases]


def rejected(one: Case) -> None:
    one.rejection_reasons = [Reason(code=ReasonCode.TOO_LONG)]


def unusable(one: Case) -> None:
    one.human = Verdict.UNUSABLE


def copied(one: Case) -> None:
    one.duplicate_of = "r0"


def overridden(one: Case) -> None:
    one.overridden_by = "r0"


def between_splits(one: Case) -> None:
    one.bridges = ("test", "train")


@pytest.mark.parametrize("leave_out", [rejected, unusable, copied, overridden, between_splits])
def test_rows_that_are_left_out_teach_nothing_about_label_errors_and_are_not_scored(
    leave_out: Callable[[Case], None],
) -> None:
    alone, among, gone = honest(), honest(), wrong(40, leave_out)
    score_labels(alone, Complaint, OnConflict.REVIEW)
    score_labels([*among, *gone], Complaint, OnConflict.REVIEW)
    assert scores(among) == scores(alone)
    assert all(one.label_error_score is not None and one.label_error_score < 0.5 for one in alone)
    assert scores(gone) == [(None, None, [])] * len(gone)


def test_rows_that_are_kept_do_teach_about_label_errors() -> None:
    """Or the claim above would hold of a model that learns from nothing."""
    alone, among = honest(), honest()
    score_labels(alone, Complaint, OnConflict.REVIEW)
    score_labels([*among, *wrong(40, lambda one: None)], Complaint, OnConflict.REVIEW)
    assert scores(among) != scores(alone)


@pytest.mark.parametrize("leave_out", [rejected, copied])
def test_a_new_row_that_is_left_out_has_no_label_scored_again(leave_out: Callable[[Case], None]) -> None:
    cases, kept = honest(), score_labels(honest(), Complaint, OnConflict.REVIEW).kept
    for one in cases:
        one.scored = True
    new = wrong(1, leave_out)
    score_labels([*cases, *new], Complaint, OnConflict.REVIEW, kept=kept)
    assert scores([*cases, *new]) == [(None, None, [])] * (len(cases) + len(new))
