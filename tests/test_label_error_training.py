"""Which rows the label-error model learns from: those that may be published, and no others."""

from typing import Any, Literal

import pytest
from known_cases import changed, known_case
from scored import score_labels

from pipeline.curation.case import Judged
from pipeline.curation.known import NO_DOUBT, Doubt
from pipeline.kinds.interface import Kept
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


def case(name: str, text: str, topic: str, **values: Any) -> Judged:
    return known_case(name, text_key=text, inputs={"question": text}, targets={"topic": topic}, **values)


def honest() -> list[Judged]:
    """Twenty rows each of two topics that no word confuses."""
    return [case(f"r{n}", f"{TEXTS[topic]} {n} times", topic) for n, topic in enumerate([*TEXTS] * 20)]


def wrong(number: int, **left_out: Any) -> list[Judged]:
    """Rows whose labels are all wrong, and which may be left out of the dataset: learned from, they turn it over."""
    return [
        case(f"w{n}", f"{TEXTS[topic]} {n + 100} times", OTHER[topic], **left_out)
        for n, topic in enumerate([*TEXTS] * number)
    ]


def doubts(cases: list[Judged], kept: Kept | None = None) -> list[Doubt]:
    return [one.doubt for one in score_labels(cases, Complaint, OnConflict.REVIEW, kept=kept).cases]


REJECTED = {"rejection_reasons": [Reason(code=ReasonCode.TOO_LONG)]}
UNUSABLE = {"human": Verdict.UNUSABLE}
COPIED = {"duplicate_of": "r0"}
OVERRIDDEN = {"overridden_by": "r0"}
BETWEEN_SPLITS = {"bridges": ("test", "train")}


@pytest.mark.parametrize("left_out", [REJECTED, UNUSABLE, COPIED, OVERRIDDEN, BETWEEN_SPLITS])
def test_rows_that_are_left_out_teach_nothing_about_label_errors_and_are_not_scored(left_out: dict[str, Any]) -> None:
    alone, among = doubts(honest()), doubts([*honest(), *wrong(40, **left_out)])
    assert among[: len(alone)] == alone
    assert all(one.score is not None and one.score < 0.5 for one in alone)
    assert among[len(alone) :] == [NO_DOUBT] * 80


def test_rows_that_are_kept_do_teach_about_label_errors() -> None:
    """Or the claim above would hold of a model that learns from nothing."""
    alone, among = doubts(honest()), doubts([*honest(), *wrong(40)])
    assert among[: len(alone)] != alone


@pytest.mark.parametrize("left_out", [REJECTED, COPIED])
def test_a_new_row_that_is_left_out_has_no_label_scored_again(left_out: dict[str, Any]) -> None:
    kept = score_labels(honest(), Complaint, OnConflict.REVIEW).kept
    cases = [changed(one, scored=True) for one in honest()] + wrong(1, **left_out)
    assert doubts(cases, kept) == [NO_DOUBT] * len(cases)
