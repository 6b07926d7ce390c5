"""Annotators' answers meet rows that change, copies that come later, and each other."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from desk import Desk, Row, desk_at
from fake_studio import TOKEN, FakeStudio
from full_runs import must_agree_with_a_full_run
from parcels_and_lamps import ALL, LAMP, PARCEL, parcel, review_of
from store_rows import decision
from support import current, row
from terminal import Terminal

from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.curation.history import ROW_COLUMNS, History, read_known
from pipeline.reporting.report_data import gather_report
from pipeline.reporting.status import read_status
from pipeline.reporting.write_report import write_report
from pipeline.review.consensus import Said, deciding
from schemas.annotation import Annotation, Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, ReasonCode, Routed
from schemas.field import JsonValue


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, [row(1, PARCEL, "billing"), row(2, LAMP, "billing")], ALL) as desk:
        desk.curate()
        yield desk


# --- what a conflict came to ------------------------------------------------------------------------
def test_the_report_shows_the_answer_that_annotators_gave_beside_those_that_it_overrode(desk: Desk) -> None:
    desk.rows(parcel("billing"), row(2, PARCEL, "delivery"))
    desk.curate()
    asked = next(key for key in (1, 2) if desk.decision(key).routed)
    desk.label(asked, "returns")
    desk.collect()
    snapshot = desk.context.store.snapshot().at_last_commit()
    [conflict] = gather_report(snapshot, desk.context.dataset, funnel=snapshot.funnel()).conflicts
    other = "delivery" if asked == 1 else "billing"
    assert {answer.answer: answer.records for answer in conflict.answers} == {"returns": 1, other: 1}


# --- rows that stop being asked about ---------------------------------------------------------------
def test_of_two_similar_rows_that_were_both_corrected_one_remains_and_report_and_release_say_so(desk: Desk) -> None:
    desk.rows(parcel("billing"), row(2, f"{PARCEL}, now", "delivery"))
    desk.curate()
    for key in (1, 2):
        desk.label(key, "returns")
    desk.collect()
    assert sorted(desk.decision(key).fate for key in (1, 2)) == [Fate.ACCEPTED, Fate.DUPLICATE]
    assert review_of(desk).changed == 2
    assert release(desk.context, Inline()).splits


def test_an_audited_row_that_gives_way_to_a_longer_copy_is_asked_about_no_more(desk: Desk) -> None:
    assert desk.decision(1).routed is Routed.AUDIT
    desk.rows(parcel("billing"), row(2, LAMP, "billing"), row(3, f"{PARCEL}, now", "billing"))
    desk.curate()
    assert desk.decision(1).fate is Fate.DUPLICATE
    assert review_of(desk).routed == 2
    assert write_report(desk.context).is_file()
    assert release(desk.context, Inline()).splits


# --- a label that the source changes after an annotator has answered---------------------------------
def test_an_answer_counts_if_the_source_changes_its_label_to_it(desk: Desk) -> None:
    desk.label(1, "returns")
    desk.collect()
    desk.rows(parcel("returns"), row(2, LAMP, "billing"))
    again = desk.curate()
    decision = desk.decision(1)
    assert (decision.fate, decision.targets, decision.label_source) == (
        Fate.ACCEPTED, {"topic": "returns"}, LabelSource.HUMAN)  # fmt: skip
    assert again.review.sent == 0
    assert desk.curate().decided == 0


@pytest.mark.parametrize("label", ["billing", None])
def test_an_answer_counts_if_the_source_has_no_other_label_than_before(desk: Desk, label: str | None) -> None:
    desk.label(1, "returns")
    desk.collect()
    desk.rows(parcel(label, seen="yesterday"), row(2, LAMP, "billing"))
    assert desk.curate().review.sent == 0
    assert (desk.decision(1).fate, desk.decision(1).targets) == (Fate.ACCEPTED, {"topic": "returns"})


def test_a_label_that_contradicts_an_earlier_answer_is_a_conflict_that_shows_both(desk: Desk) -> None:
    desk.label(1, "returns")
    desk.collect()
    desk.rows(parcel("delivery"), row(2, LAMP, "billing"))
    again = desk.curate()
    decision = desk.decision(1)
    assert (decision.fate, decision.routed, decision.targets) == (Fate.REVIEW, Routed.CONFLICT, {"topic": "delivery"})
    (reason,) = decision.reasons
    assert reason.detail == "an annotator answered 'returns', and since then the source has 'delivery'"
    [asked] = [task for task in desk.tasks() if task["id"] == desk.task(1)]
    offered = [one["value"] for one in asked["data"]["candidates"]]
    assert offered[:2] == ["as in the data: delivery", "as an annotator said before: returns"]
    assert again.review.sent == 1
    (asked,) = [task for task in desk.tasks() if task["id"] == desk.task(1)]
    assert "'returns'" in asked["data"]["why"] and "'delivery'" in asked["data"]["why"]
    assert desk.curate().decided == 0
    desk.label(1, "delivery")
    desk.collect()
    assert (desk.decision(1).fate, desk.decision(1).targets) == (Fate.ACCEPTED, {"topic": "delivery"})
    assert desk.curate().decided == 0


def test_an_answer_counts_that_is_collected_after_only_the_label_was_changed(desk: Desk) -> None:
    desk.label(1, "returns")
    desk.rows(parcel("returns"), row(2, LAMP, "billing"))
    desk.curate()
    desk.collect()
    assert desk.decision(1).label_source is LabelSource.HUMAN


def test_an_answer_that_was_edited_after_the_source_s_counts_on_when_another_column_changes(desk: Desk) -> None:
    """It was said to be older than the source's label as soon as a column changed that the task does not read."""
    answer = desk.label(1, "returns")
    desk.collect()
    desk.rows(parcel("delivery"), row(2, LAMP, "billing"))
    desk.curate()
    desk.edit(answer, "billing")
    desk.collect()
    for seen in ("today", "tomorrow"):
        desk.rows(parcel("delivery", seen=seen), row(2, LAMP, "billing"))
        desk.curate()
        assert (desk.decision(1).fate, desk.decision(1).targets) == (Fate.ACCEPTED, {"topic": "billing"})
    desk.rows(parcel("returns", seen="tomorrow"), row(2, LAMP, "billing"))
    desk.curate()
    assert (desk.decision(1).fate, desk.decision(1).routed) == (Fate.REVIEW, Routed.CONFLICT)


@pytest.mark.parametrize("second", ["returns", "delivery"])
def test_a_label_that_is_back_and_was_answered_before_is_not_asked_about_again(desk: Desk, second: str) -> None:
    """It was held for good: the question about it is the first one, which Label Studio has and which is answered."""
    desk.label(1, "returns")
    desk.collect()
    desk.rows(parcel("delivery"), row(2, LAMP, "billing"))
    desk.curate()
    desk.label(1, second)
    desk.collect()
    desk.rows(parcel("billing"), row(2, LAMP, "billing"))
    desk.curate()
    decision = desk.decision(1)
    assert (decision.label_source, decision.targets) == (LabelSource.HUMAN, {"topic": second}), "what was said last"
    desk.collect()
    assert desk.decision(1).targets == {"topic": second}
    must_agree_with_a_full_run(desk.context)


def test_an_answer_about_an_earlier_label_can_be_edited_and_taken_back(desk: Desk) -> None:
    answer = desk.label(1, "returns")
    desk.collect()
    desk.rows(parcel("returns"), row(2, LAMP, "billing"))
    desk.curate()
    desk.edit(answer, "delivery")
    desk.collect()
    decision = desk.decision(1)
    assert (decision.fate, decision.targets) == (Fate.ACCEPTED, {"topic": "delivery"}), "the edit came last"
    desk.delete(f"annotations/{answer}")
    desk.collect()
    assert (desk.decision(1).fate, desk.decision(1).label_source) == (Fate.ACCEPTED, LabelSource.SOURCE)


def test_of_an_annotator_s_answers_to_two_questions_about_one_text_the_later_edit_counts(desk: Desk) -> None:
    first = desk.label(1, "returns")
    desk.collect()
    desk.rows(parcel("delivery"), row(2, LAMP, "billing"))
    desk.curate()
    desk.label(1, "delivery")
    desk.collect()
    assert desk.decision(1).targets == {"topic": "delivery"}
    desk.edit(first, "billing")
    desk.collect()
    assert (desk.decision(1).fate, desk.decision(1).targets) == (Fate.ACCEPTED, {"topic": "billing"})


@pytest.mark.parametrize("copy", [PARCEL, f"{PARCEL}, now"], ids=["exact copy", "near copy"])
def test_an_answer_that_the_source_contradicts_is_not_a_copy_s_to_overrule(desk: Desk, copy: str) -> None:
    """A copy with the source's label had taken the place of the row, which was published with the answer."""
    desk.rows(parcel("billing"), row(2, copy, "returns"))
    desk.curate()
    desk.label(1, "delivery")
    desk.collect()
    assert desk.decision(1).targets == {"topic": "delivery"}
    desk.rows(parcel("returns"), row(2, copy, "returns"))
    desk.curate()
    assert (desk.decision(1).fate, desk.decision(1).routed) == (Fate.REVIEW, Routed.CONFLICT)
    assert (
        desk.decision(1).reasons[0].detail.startswith("an annotator answered 'delivery', and since then the source has")
    )
    assert (desk.decision(2).fate, desk.decision(2).duplicate_of) == (Fate.DUPLICATE, desk.id(1))


@pytest.mark.parametrize("mark", ["?", " now"], ids=["other signs", "near copy"])
def test_an_answer_that_the_source_contradicts_is_not_a_duplicate_of_a_row_that_an_annotator_confirmed(
    desk: Desk, mark: str
) -> None:
    like = row(2, f"{PARCEL}{mark}", "returns")
    desk.rows(parcel("delivery"), like)
    desk.curate()
    desk.label(1, "delivery")
    desk.label(2, "returns", "second@example.com")
    desk.collect()
    desk.rows(parcel("returns"), like)
    desk.curate()
    assert (desk.decision(1).fate, desk.decision(1).routed) == (Fate.REVIEW, Routed.CONFLICT)
    assert (desk.decision(2).fate, desk.decision(2).targets) == (Fate.ACCEPTED, {"topic": "returns"})


@pytest.mark.parametrize("first", ["billing", "unusable"])
def test_who_answers_without_having_seen_an_earlier_answer_contradicts_it(desk: Desk, first: str) -> None:
    """The first answer was not collected yet when another edit of the row had it asked about again."""
    if first == "unusable":
        desk.say(1, Verdict.UNUSABLE)
    else:
        desk.label(1, first)
    desk.rows(parcel("delivery", seen="today"), row(2, LAMP, "billing"))
    desk.curate()
    desk.label(1, "returns", "second@example.com")
    collected = desk.collect()
    assert (collected.disputed, len(collected.attention)) == (1, 1)
    for _ in range(2):
        assert desk.decision(1).reasons[0].code is ReasonCode.DISAGREEMENT
        desk.curate()
    desk.label(1, "returns", "third@example.com")
    desk.collect()
    assert (desk.decision(1).fate, desk.decision(1).targets) == (Fate.ACCEPTED, {"topic": "returns"})


def test_annotators_of_two_servers_are_different_whatever_their_numbers() -> None:
    one, other = (said_on(server, topic) for server, topic in (("http://a", "billing"), ("http://b", "returns")))
    decided = deciding([one, other])
    assert decided is not None and decided.against is not None


def test_annotators_who_name_the_same_in_another_order_agree() -> None:
    parts: dict[str, JsonValue] = {"http://a": ["hat", "coat"], "http://b": ["coat", "hat"]}
    decided = deciding([said_on(server, named) for server, named in parts.items()])
    assert decided is not None and decided.against is None


def test_the_score_of_a_label_outlives_a_copy_that_stood_for_its_row_once(desk: Desk) -> None:
    """An answered row that was a copy for a while lost its score, until a run learned anew; one whose answer was edited
    after its source had taken it over was scored in every run.
    """
    targets: dict[str, JsonValue] = {"topic": "billing"}
    first = decision("1", "r1", content="c", targets=targets, label_error_score=0.25)
    copied = decision("2", "r1", Fate.DUPLICATE)
    said = replace(said_on("http://a", "billing"), asked=first)
    row = dict.fromkeys(ROW_COLUMNS) | {"record_id": "r1", "revision": "v1", "order": 0, "frozen": False}
    row |= {"key": "k", "targets": '{"topic":"billing"}', "rejection_reasons": "[]", "review_reasons": "[]"}
    anew = first.model_copy(update={"label_error_score": 0.5})
    edited = first.model_copy(update={"label_source": LabelSource.HUMAN, "targets": {"topic": "returns"}})
    for origin, last, score in (
        (first, first, 0.25),
        (first, copied, 0.25),
        (first, anew, 0.5),
        (edited, edited, 0.25),
    ):
        past = {"r1": History(origin=origin, curated=last, said=said)}
        [known] = read_known(pl.DataFrame([row]), past, desk.context.dataset.task)
        assert known.past.doubt.score == score


def said_on(server: str, topic: JsonValue) -> Said:
    """What user 1 of a server says."""
    at = datetime(2026, 11, 26, tzinfo=UTC)
    annotation = Annotation(
        **{"server": server, "project": 1, "task_id": 1, "annotation_id": 1, "push_key": "p", "record_id": "r1"},
        **{"annotator": "1", "verdict": Verdict.LABELED, "targets": {"topic": topic}},
        **{"created_at": at, "updated_at": at},
    )
    return Said(annotation, decision("20261126T000000.000000Z", "r1"), is_present=True)


def without_key(desk: Desk, *rows: Row) -> None:
    """The table is rewritten, and its rows are identified by content."""
    file = desk.folder / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id,", "mode: snapshot,"))
    desk.rows(*rows)
    desk.curate()


def by_text(desk: Desk, text: str) -> Decision:
    return next(one for one in current(desk.context).values() if one.inputs["question"] == text)


def test_without_a_key_too_an_answer_outlives_an_edit_of_the_label(desk: Desk) -> None:
    without_key(desk, parcel("billing"), row(2, LAMP, "billing"))
    for task in desk.tasks():
        desk.submit(task["id"], desk.result("returns"))
    desk.collect()
    without_key(desk, parcel("returns"), row(2, LAMP, "delivery"))
    agreed, contradicted = by_text(desk, PARCEL), by_text(desk, LAMP)
    assert (agreed.fate, agreed.label_source, agreed.targets) == (
        Fate.ACCEPTED,
        LabelSource.HUMAN,
        {"topic": "returns"},
    )
    assert agreed.reasons[0].detail.endswith(", which is gone")
    assert (contradicted.fate, contradicted.routed) == (Fate.REVIEW, Routed.CONFLICT)
    assert contradicted.reasons[0].detail == "an annotator answered 'returns', and since then the source has 'delivery'"
    assert [task["data"]["record_id"] for task in desk.tasks() if not task["annotations"]] == [contradicted.record_id]
    without_key(desk, parcel("returns"), row(2, f"{LAMP}, too", "delivery"))
    assert by_text(desk, f"{LAMP}, too").label_source is LabelSource.SOURCE, "it is another text"


def test_without_a_key_an_answer_about_a_row_that_is_gone_is_shown_beside_a_similar_row_s_own_label(desk: Desk) -> None:
    rows = {"billing": parcel("billing"), "delivery": parcel("delivery", seen="today")}
    without_key(desk, *rows.values())
    task = next(task for task in desk.tasks() if task["data"]["record_id"] in current(desk.context))
    answer = str((current(desk.context)[task["data"]["record_id"]].targets or {})["topic"])
    desk.submit(task["id"], desk.result(answer))
    desk.collect()
    (left,) = rows.keys() - {answer}
    without_key(desk, rows[left])
    assert by_text(desk, PARCEL).reasons[0].detail.startswith(f"topic: '{left}' became '{answer}', in record ")


def test_what_a_row_said_before_its_text_was_edited_is_handed_on_to_nobody_once_it_is_gone(desk: Desk) -> None:
    """It was, by a run over everything only: nothing tells a small one that an earlier text has lost its row."""
    file = desk.folder / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
    desk.label(1, "returns")
    desk.collect()
    edited = "The kettle was boiling over when the postman came to the wrong door with our new carpet"
    desk.rows(row(1, edited, "delivery"), row(2, LAMP, "billing"), row(3, PARCEL, "billing"))
    desk.curate()
    desk.rows(row(2, LAMP, "billing"), row(3, PARCEL, "billing"))
    desk.curate()
    assert (desk.decision(3).label_source, desk.decision(3).targets) == (LabelSource.SOURCE, {"topic": "billing"})
    must_agree_with_a_full_run(desk.context)


@pytest.mark.parametrize(("verdict", "fate"), [(Verdict.UNUSABLE, Fate.REJECTED), (Verdict.UNSURE, Fate.REVIEW)])
def test_unusable_and_unsure_outlive_a_change_of_the_label(desk: Desk, verdict: Verdict, fate: Fate) -> None:
    desk.say(1, verdict)
    desk.collect()
    desk.rows(parcel("delivery"), row(2, LAMP, "billing"))
    assert desk.curate().review.sent == 0
    assert desk.decision(1).fate is fate
    needed = read_status(desk.context).attention
    assert [item.task_id for item in needed] == ([desk.task(1)] if fate is Fate.REVIEW else [])


def test_a_home_without_its_tables_still_knows_the_answers_about_texts_whose_rows_were_edited_since(
    desk: Desk,
) -> None:
    """The questions were asked about revisions that are no longer known."""
    desk.label(1, "returns")
    desk.say(2, Verdict.UNUSABLE)
    desk.collect()
    desk.rows(parcel("billing", seen="today"), row(2, LAMP, "billing") | {"seen": "today"})
    desk.curate()
    before = {key: (desk.decision(key).fate, desk.decision(key).targets) for key in (1, 2)}
    assert before == {1: (Fate.ACCEPTED, {"topic": "returns"}), 2: (Fate.REJECTED, {"topic": "billing"})}
    shutil.rmtree(desk.context.store.root)
    curate(desk.context, Inline(), push=False)
    desk.collect()
    assert desk.curate().review.sent == 0
    assert {key: (desk.decision(key).fate, desk.decision(key).targets) for key in (1, 2)} == before
    assert desk.curate().decided == 0


# --- a project that is gone -------------------------------------------------------------------------
def test_collect_says_that_the_project_was_deleted_and_that_curate_asks_again(desk: Desk) -> None:
    desk.label(1, "delivery")
    assert desk.collect().note == ""
    desk.delete(f"projects/{desk.project}")
    for _ in range(2):
        collected = desk.collect()
        assert (collected.annotations, collected.note) == (
            0,
            f"the project of '{desk.context.dataset.config.name}' is gone from {desk.client.url}, or this is another "
            "server; the next curate recreates it and sends the open questions again; answers that were already "
            "collected still count",
        )
    terminal = Terminal(desk.folder, desk.client.url, TOKEN)
    assert f"note: {collected.note}\n" in terminal.goldleaf("collect").stdout
    assert desk.curate().review.sent == 1
    assert (desk.collect().note, desk.decision(1).label_source) == ("", LabelSource.HUMAN)


def test_collect_says_nothing_of_a_project_where_nothing_was_sent(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, [row(1, PARCEL, "billing")], "review: {budget: 0, audit: 0.0}\n") as desk:
        curate(desk.context, Inline(), push=False)
        assert desk.collect().note == ""
