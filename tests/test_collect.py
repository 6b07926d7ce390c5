"""Collect against a real Label Studio: annotators' answers decide, withdrawn ones no longer do."""

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

import pytest
from desk import Row, desk_at
from moments import EVERYTHING, Moment, counted, human, moment
from support import offline, row, state, write_dataset
from terminal import Terminal

from flows.collect import collect
from flows.context import Context
from flows.engines.engine import Inline
from flows.local.studio_server import LocalStudio
from pipeline.errors import ConfigError, Unreachable
from pipeline.reporting.explain import explain
from pipeline.reporting.report_data import gather_report
from pipeline.reporting.status import read_status
from schemas.annotation import Verdict
from schemas.fate import Fate, ReasonCode, Routed


class Q(IntEnum):
    """The rows, named for what annotators do. Of equal ones the first has the smallest record id, so it asks."""

    LABELED = 1
    SKIPPED = 2
    LABELED_AND_SKIPPED = 3
    INVALID = 4
    INVALID_AND_LABELED = 5
    UNSURE = 6
    FIRST_EDITS = 7
    SECOND_DELETES = 8
    ANNOTATION_DELETED = 9
    TASK_DELETED = 10
    NEVER_ANSWERED = 11
    CONFIRMED = 20
    CORRECTED = 21
    NEIGHBOR = 22
    UNUSABLE, UNUSABLE_COPY = 23, 24
    UNSURE_TAKEN_BACK = 25
    OWN, OWN_RIVAL = 30, 31
    OTHER, OTHER_RIVAL, OTHER_COPY = 33, 34, 32
    THIRD, THIRD_RIVAL = 35, 36


CHAIRS = "My order of three red and two blue garden chairs has still not arrived after a very long time"
ROWS: list[Row] = [
    *(row(key, f"{key.name}?", None) for key in Q if key <= Q.NEVER_ANSWERED),
    row(Q.CONFIRMED, "Do you deliver on Sundays?", "delivery"),
    row(Q.CORRECTED, "Is there a fee for paying by card?", "delivery"),
    # One group, since they are very similar; different answers, so that none is a duplicate of another.
    row(Q.NEIGHBOR, CHAIRS, "delivery"),
    row(Q.UNUSABLE, f"{CHAIRS} here", "returns"),
    row(Q.UNUSABLE_COPY, f"{CHAIRS} Here", "returns"),
    row(Q.UNSURE_TAKEN_BACK, f"{CHAIRS} now", "billing"),
    row(Q.OWN, "May I have my money back for the lamp?", "returns"),
    row(Q.OWN_RIVAL, "May I have my money back for the lamp?", "billing"),
    row(Q.OTHER, "The courier charged me for the parcel", "delivery"),
    row(Q.OTHER_RIVAL, "The courier charged me for the parcel", "billing"),
    row(Q.OTHER_COPY, "The courier charged me for the parcel", "billing"),
    row(Q.THIRD, "Who pays if it gets lost?", "delivery"),
    row(Q.THIRD_RIVAL, "Who pays if it gets lost?", "billing"),
]
"""Rows without an answer, rows that are audited, and three conflicts."""
FIRST, SECOND = "first@example.com", "second@example.com"


# --- before anything can be collected -------------------------------------------------------------
def test_without_label_studio_collect_says_what_to_set(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    with pytest.raises(
        ConfigError,
        match=r"^Label Studio is not configured; set \w+ and LABEL_STUDIO_API_KEY \(`goldleaf label-studio` ",
    ):
        collect(context, Inline())


def test_collect_before_curate_says_what_to_run(label_studio: LocalStudio, tmp_path: Path) -> None:
    with (
        desk_at(label_studio, tmp_path, ROWS) as desk,
        pytest.raises(ConfigError, match=r" has not been curated yet; run `goldleaf curate .*/dataset\.yaml` first$"),
    ):
        desk.collect()


def test_where_nothing_was_sent_there_is_nothing_to_collect(label_studio: LocalStudio, tmp_path: Path) -> None:
    with desk_at(label_studio, tmp_path, [row(1, "Late?", "delivery")], "review: {audit: 0.0}\n") as desk:
        Terminal(tmp_path).goldleaf("curate", "dataset.yaml")
        assert counted(desk.collect()) == {"annotations": 0, "decided": 0, "waiting": 0, "invalid": 0}


# --- answers: every row is sent, annotators answer, one collect -----------------------------------
@pytest.fixture(scope="module")
def sent(label_studio: LocalStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moment]:
    with desk_at(label_studio, tmp_path_factory.mktemp("collect"), ROWS, EVERYTHING) as desk:
        desk.curate()
        yield moment(desk)


@pytest.fixture(scope="module")
def annotations(sent: Moment) -> dict[Q, int]:
    """The first answers; of two annotators the first one's annotation."""
    desk = sent.desk
    delivery = [q for q in Q if q <= Q.TASK_DELETED and q not in (Q.SKIPPED, Q.INVALID, Q.UNSURE)] + [Q.CONFIRMED]
    made: dict[Q, int] = {key: desk.label(key, "delivery", FIRST) for key in delivery}
    made |= {key: desk.label(key, "billing", FIRST) for key in (Q.CORRECTED, Q.OTHER)}
    made |= {key: desk.label(key, "returns", FIRST) for key in (Q.OWN, Q.THIRD)}
    made |= {key: desk.say(key, Verdict.UNSURE) for key in (Q.UNSURE, Q.UNSURE_TAKEN_BACK)}
    made[Q.UNUSABLE] = desk.say(Q.UNUSABLE, Verdict.UNUSABLE)
    made[Q.INVALID] = desk.label(Q.INVALID, "nonsense", FIRST)
    desk.label(Q.INVALID_AND_LABELED, "nonsense", SECOND)
    desk.label(Q.FIRST_EDITS, "billing", SECOND)
    made[Q.SECOND_DELETES] = desk.label(Q.SECOND_DELETES, "billing", SECOND)
    desk.skip(Q.SKIPPED, "delivery")
    desk.skip(Q.LABELED_AND_SKIPPED, "billing")
    return made


@pytest.fixture(scope="module")
def answered(sent: Moment, annotations: dict[Q, int]) -> Moment:
    return moment(sent.desk, sent.desk.collect())


def test_collect_counts_what_came_in(answered: Moment) -> None:
    assert answered.counts == {"annotations": 21, "decided": 11, "waiting": 4, "invalid": 2}
    assert answered.open == {answered.desk.id(q) for q in (Q.SKIPPED, Q.INVALID, Q.NEVER_ANSWERED, Q.NEIGHBOR)}


def test_a_label_decides_and_the_reason_says_what_changed(answered: Moment) -> None:
    assert human(answered[Q.LABELED]) == (Fate.ACCEPTED, "delivery", "answered")
    assert human(answered[Q.CORRECTED]) == (Fate.ACCEPTED, "billing", "topic: 'delivery' became 'billing'")


def test_confirming_an_answer_makes_it_an_annotator_s(answered: Moment) -> None:
    assert human(answered[Q.CONFIRMED]) == (Fate.ACCEPTED, "delivery", "confirmed")
    assert answered[Q.CONFIRMED].routed is Routed.AUDIT


def test_the_audit_counts_corrected_and_unusable_rows_as_errors_and_no_unsure_ones(answered: Moment) -> None:
    context = answered.desk.context
    snapshot = context.store.snapshot().at_last_commit()
    audit = gather_report(snapshot, context.dataset, funnel=snapshot.funnel()).review.audit
    accepted = sum(decision.fate is Fate.ACCEPTED for decision in answered.decisions.values())
    assert audit is not None
    assert (audit.checked, audit.wrong, audit.rows) == (3, 2, accepted)
    assert audit.remaining.low <= audit.remaining.value <= audit.remaining.high


def test_a_skipped_question_waits_in_the_report_as_it_does_in_status(answered: Moment) -> None:
    context = answered.desk.context
    snapshot = context.store.snapshot().at_last_commit()
    review = gather_report(snapshot, context.dataset, funnel=snapshot.funnel()).review
    assert (review.skipped, review.invalid, review.waiting) == (1, 1, 2)
    status = read_status(context)
    assert review.open - review.unsure - review.disputed == status.waiting_rows == answered.counts["waiting"]
    assert status.skipped == review.skipped


@pytest.mark.parametrize("key", [Q.FIRST_EDITS, Q.SECOND_DELETES])
def test_of_two_annotators_who_contradict_each_other_neither_decides(answered: Moment, key: Q) -> None:
    decision = answered[key]
    assert (decision.fate, decision.routed, answered.is_open(key)) == (Fate.REVIEW, Routed.ADJUDICATE, False)
    [reason] = decision.reasons
    assert reason.code is ReasonCode.DISAGREEMENT
    assert reason.detail == "first@example.com says topic 'delivery' and second@example.com says topic 'billing'"


def test_a_skip_is_not_an_answer_though_the_form_was_filled(sent: Moment, answered: Moment) -> None:
    assert answered.said(Q.SKIPPED) == sent.said(Q.SKIPPED)
    assert answered.is_open(Q.SKIPPED)


def test_a_skip_removes_no_answer(answered: Moment) -> None:
    assert human(answered[Q.LABELED_AND_SKIPPED])[1] == "delivery"


def test_an_unusable_row_is_rejected_and_its_copies_with_it(answered: Moment) -> None:
    row, copy = answered[Q.UNUSABLE], answered[Q.UNUSABLE_COPY]
    assert row.fate is copy.fate is Fate.REJECTED
    assert [str(reason) for reason in row.reasons] == ["an annotator marked it unusable"]
    assert [reason.code for reason in copy.reasons] == [ReasonCode.UNUSABLE]
    assert copy.reasons[0].detail == "an annotator marked a row with the same input"


def test_an_unsure_reviewer_leaves_the_row_to_adjudication(answered: Moment) -> None:
    decision = answered[Q.UNSURE]
    assert (decision.fate, decision.routed, answered.is_open(Q.UNSURE)) == (Fate.REVIEW, Routed.ADJUDICATE, False)
    assert [str(reason) for reason in decision.reasons] == ["an annotator was unsure"]


def test_an_invalid_answer_decides_nothing_and_says_what_is_wrong(sent: Moment, answered: Moment) -> None:
    assert answered.said(Q.INVALID) == sent.said(Q.INVALID)
    store = sent.desk.context.store
    said = explain(store.snapshot(), sent.desk.id(Q.INVALID), store.releases).said[0]
    assert said.verdict is Verdict.INVALID
    assert "'nonsense'" in said.error and "Correct the annotation in Label Studio" in said.error


def test_an_invalid_answer_beside_a_valid_one_waits_for_nothing(answered: Moment) -> None:
    assert human(answered[Q.INVALID_AND_LABELED])[1] == "delivery"


@pytest.mark.parametrize(
    ("rows", "topic", "fate"),
    [
        ((Q.OWN, Q.OWN_RIVAL), "returns", Fate.REJECTED),
        ((Q.OTHER, Q.OTHER_RIVAL, Q.OTHER_COPY), "billing", Fate.DUPLICATE),
        ((Q.THIRD, Q.THIRD_RIVAL), "returns", Fate.REJECTED),
    ],
    ids=["its own answer", "the other answer", "a third answer"],
)
def test_an_answered_conflict_decides_about_all_its_rows_at_once(
    sent: Moment, answered: Moment, rows: tuple[Q, ...], topic: str, fate: Fate
) -> None:
    asked, *others = rows
    assert {sent[key].fate for key in rows[:2]} == {Fate.REVIEW}
    assert human(answered[asked])[:2] == (Fate.ACCEPTED, topic)
    for key in others:
        assert answered[key].fate is fate
        if fate is Fate.DUPLICATE:
            assert answered[key].duplicate_of == answered.desk.id(asked)
        else:
            reason = f"an annotator gave the same input another answer: record {answered.desk.id(asked)}"
            assert [str(reason) for reason in answered[key].reasons] == [reason]


# --- second thoughts: annotators edit, delete and add, then another collect----------------------
def in_words(key: Q) -> str:
    return key.name.lower().replace("_", " ")


TAKEN_BACK = (Q.ANNOTATION_DELETED, Q.TASK_DELETED, Q.UNUSABLE, Q.UNSURE_TAKEN_BACK, Q.OWN)


@pytest.fixture(scope="module")
def rethought(answered: Moment, annotations: dict[Q, int]) -> Moment:
    desk = answered.desk
    desk.edit(annotations[Q.LABELED], "billing")
    desk.edit(annotations[Q.INVALID], "delivery")
    desk.edit(annotations[Q.FIRST_EDITS], "billing")
    desk.label(Q.UNSURE, "delivery", SECOND)
    for key in (*TAKEN_BACK, Q.SECOND_DELETES):
        desk.delete(f"tasks/{desk.task(key)}" if key is Q.TASK_DELETED else f"annotations/{annotations[key]}")
    return moment(desk, desk.collect())


def test_an_edited_annotation_counts_as_it_is_now(rethought: Moment) -> None:
    assert human(rethought[Q.LABELED]) == (Fate.ACCEPTED, "billing", "answered")


def test_a_corrected_annotation_is_valid_and_decides(rethought: Moment) -> None:
    assert rethought.counts["invalid"] == 1, "that of an annotator whose neighbor answered validly before"
    assert human(rethought[Q.INVALID])[1] == "delivery"


def test_annotators_who_agree_after_all_decide(rethought: Moment) -> None:
    assert human(rethought[Q.FIRST_EDITS])[1] == "billing"


def test_what_remains_decides_when_the_other_annotation_is_deleted(rethought: Moment) -> None:
    assert human(rethought[Q.SECOND_DELETES])[1] == "delivery"


def test_another_annotator_can_answer_what_a_reviewer_was_unsure_of(rethought: Moment) -> None:
    assert human(rethought[Q.UNSURE])[:2] == (Fate.ACCEPTED, "delivery")


@pytest.mark.parametrize("key", TAKEN_BACK, ids=in_words)
def test_taking_the_answer_back_restores_the_automatic_decision_and_opens_the_question(
    sent: Moment, answered: Moment, rethought: Moment, key: Q
) -> None:
    assert answered.said(key) != sent.said(key) == rethought.said(key)
    assert rethought.is_open(key) and not answered.is_open(key)


@pytest.mark.parametrize("key", [Q.UNUSABLE_COPY, Q.OWN_RIVAL, Q.NEIGHBOR], ids=in_words)
def test_what_followed_an_answer_is_restored_with_it(sent: Moment, rethought: Moment, key: Q) -> None:
    assert rethought.said(key) == sent.said(key)


def test_without_news_collect_and_curate_change_nothing(rethought: Moment) -> None:
    desk = rethought.desk
    before = state(desk.context.store)
    waiting = rethought.counts["waiting"]
    for _ in range(2):
        assert counted(desk.collect()) == {"annotations": 0, "decided": 0, "waiting": waiting, "invalid": 1}
    assert state(desk.context.store) == before


def test_a_server_that_does_not_answer_commits_nothing(rethought: Moment) -> None:
    desk = rethought.desk
    before = state(desk.context.store)
    away = desk.settings.model_copy(update={"label_studio_url": "http://127.0.0.1:9"})
    with pytest.raises(Unreachable, match=r"Label Studio does not answer at http://127\.0\.0\.1:9"):
        collect(Context.load(desk.folder / "dataset.yaml", away), Inline())
    assert state(desk.context.store) == before


def test_curate_then_asks_again_only_what_lost_its_task(rethought: Moment) -> None:
    result = rethought.desk.curate()
    assert (result.decided, result.review.sent) == (0, 1)
    rethought.desk.label(Q.TASK_DELETED, "returns")
    rethought.desk.collect()
    assert human(rethought.desk.decision(Q.TASK_DELETED))[1] == "returns"
