"""A row that is likely enough wrong and that nobody looked at never passes, whatever kind of task it belongs to."""

import functools
import random
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored import score_labels
from scored_rows import score_values
from triage_cases import case, codes, run
from tried_examples import examples

from pipeline.curation.case import Judged
from pipeline.label_errors.extractions import Extracted
from schemas.dataset import OnConflict, Review, Unreviewed
from schemas.fate import LEAST_DOUBT, Fate, Reason, ReasonCode, Routed
from schemas.field import TargetField, ValueType
from schemas.message import Message
from schemas.task import Input, Target, Task

WORDS = {
    "billing": ["invoice", "charged", "refund", "card", "payment"],
    "delivery": ["parcel", "courier", "box", "shipment", "late"],
    "account": ["login", "password", "email", "close", "profile"],
    "urgent": ["today", "now", "asap", "immediately", "hurry"],
}
Topic = Literal["billing", "delivery", "account", "urgent"]


class Single(Task):
    """Name the topic."""

    text: Input[str]
    topic: Target[Topic]


class Several(Task):
    """Name all topics."""

    text: Input[str]
    topics: Target[list[Topic]]


class Fields(Task):
    """Fill the form."""

    text: Input[str]
    topics: Target[list[Topic]]
    billing: Target[bool]
    delivery: Target[bool]
    account: Target[bool]
    urgent: Target[bool]


class Rewritten(Task):
    """Answer."""

    text: Input[str]
    answer: Target[list[Message]]


@functools.cache
def scored(task: type[Task]) -> list[Judged]:
    """Rows with words of their topics and of others; one in four labels is wrong."""
    draw, cases = random.Random(3), []
    for n in range(400):
        topics = [draw.choice(list(WORDS))] if task is Single else [one for one in WORDS if draw.random() < 0.4]
        words = [draw.choice(WORDS[one]) for one in topics] + [f"x{draw.randrange(60)}" for _ in range(4)]
        words += [draw.choice(draw.choice(list(WORDS.values())))] if draw.random() < 0.9 else []
        draw.shuffle(words)
        if draw.random() < 0.25:
            other = draw.choice(list(WORDS))
            topics = [other] if task is Single else [one for one in WORDS if (one in topics) != (one == other)]
        targets: dict[str, Any] = {"topic": topics[0] if topics else None, "topics": topics}
        targets |= {one: one in topics for one in WORDS}
        targets = {name: targets[name] for name in (field.name for field in task.task_targets())}
        text = " ".join(words)
        cases.append(case(f"r{n}", text_key=text, inputs={"text": text}, targets=targets))
    return score_labels(cases, task, OnConflict.REVIEW).cases


@pytest.mark.parametrize("task", [Single, Several, Fields])
@examples(10)
@given(floor=st.floats(LEAST_DOUBT, 1), budget=st.sampled_from([0, 40, 1.0]), unreviewed=st.sampled_from(Unreviewed))
def test_a_row_above_the_floor_is_asked_about_or_named_unreviewed(
    task: type[Task], floor: float, budget: float, unreviewed: Unreviewed
) -> None:
    review = Review(budget=budget, audit=0.0, floor=floor, unreviewed=unreviewed)
    decisions = run(scored(task), review, task).decisions
    above = [one for one in decisions if one.label_error_score is not None and one.label_error_score >= floor]
    for one in above:
        assert ReasonCode.PASSED not in codes(one)
        assert one.fate is Fate.REVIEW or codes(one)[0] is ReasonCode.UNREVIEWED
        assert budget != 1.0 or one.routed is Routed.UNCERTAIN
        # Annotators read what may be wrong.
        assert one.reasons[-1].field and one.reasons[-1].detail


@pytest.mark.parametrize("task", [Single, Several, Fields])
def test_there_are_rows_that_are_hardly_doubted(task: type[Task]) -> None:
    """Or the test above would prove little."""
    scores = [one.doubt.score or 0 for one in scored(task)]
    assert sum(LEAST_DOUBT <= score < 0.25 for score in scores) > 20 and max(scores) > 0.5


def test_a_set_that_may_be_wrong_is_named_so_and_no_other_is_proposed() -> None:
    hardly = [one for one in scored(Several) if 0.1 <= (one.doubt.score or 0) < 0.25]
    for one in hardly:
        assert all(
            " may be missing" in part or " may not belong" in part for part in one.doubt.reasons[0].detail.split("; ")
        )
        assert one.doubt.suggestion == one.known.targets


def test_of_many_small_doubts_that_add_up_the_likeliest_is_named() -> None:
    """Of each of six fields the text mostly does not say the usual value: hardly a reason to doubt one of them."""
    usual = {"size": "medium", "color": "gray", "cover": "linen", "lamp": "warm", "cable": "short", "plug": "flat"}
    draw, rows = random.Random(1), []
    for n in range(160):
        values = {part: value if draw.random() < 0.45 else f"{part}{n}" for part, value in usual.items()}
        said = [value for part, value in values.items() if value != usual[part] or draw.random() < 0.14]
        rows.append(Extracted(f"order {n}: {', '.join(said)}", values, str(n)))
    found = score_values(rows, [TargetField(name=part, type=ValueType.TEXT) for part in usual]).rows
    doubted = [one for one in found if (one.score or 0) >= 0.1]
    assert any(len(one.reasons) == 1 for one in doubted)
    for one in doubted:
        assert one.suggestion is None
        assert {reason.code for reason in one.reasons} == {ReasonCode.UNGROUNDED}
        assert all(reason.detail == f"'{usual[reason.field]}'" for reason in one.reasons)


@pytest.mark.parametrize(("task", "doubted"), [(Single, True), (Several, True), (Fields, True), (Rewritten, False)])
def test_a_score_of_an_earlier_version_without_a_reason_counts_where_scores_are_chances(
    task: type[Task], doubted: bool
) -> None:
    """What rules give only ranks the rows: a conversation that no rule doubts has a score, too."""
    one = case("r1", score=0.2)
    decision = run([one], Review(budget=1.0, audit=0.0), task).decisions[0]
    expected = [Reason(code=ReasonCode.LABEL_ERROR)] if doubted else [Reason(code=ReasonCode.PASSED)]
    assert decision.reasons == expected
    assert (decision.routed is Routed.UNCERTAIN) is doubted
