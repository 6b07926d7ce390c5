"""Many annotators, one answer: whose counts, and what is said where they contradict each other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from store_rows import decision

from pipeline.review.consensus import Said, deciding, involved_annotators, what_changed
from schemas.annotation import Annotation, Verdict
from schemas.fate import Fate, LabelSource, Reason, ReasonCode
from schemas.field import JsonValue

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
Targets = dict[str, JsonValue]


def said(who: str, answer: str | Verdict, minute: int, *, number: int = 0, deleted: bool = False, **more: Any) -> Said:
    """What an annotator says some minutes after noon: a topic, or that there is none."""
    verdict = answer if isinstance(answer, Verdict) else Verdict.LABELED
    targets: Targets | None = {"topic": str(answer)} if verdict is Verdict.LABELED else None
    at = NOON + timedelta(minutes=minute)
    annotation = Annotation(
        server="http://studio", project=1, task_id=1, annotation_id=number or minute, push_key="p", record_id="r1",
        annotator=who, verdict=verdict, targets=targets, deleted=deleted, created_at=NOON, updated_at=at,
    )  # fmt: skip
    return Said(annotation, decision("run", "r1", targets={"topic": "billing"}), **{"is_present": True} | more)


def agreed(*answers: Said) -> str | None:
    """The topic that decides, or another verdict; ``disputed`` where annotators contradict each other."""
    found = deciding(answers)
    if found is None:
        return None
    if found.against is not None:
        return "disputed"
    targets = found.annotation.targets
    return found.annotation.verdict.value if targets is None else str(targets["topic"])


# --- whose answer counts ----------------------------------------------------------------------------
def test_without_answers_nothing_is_decided() -> None:
    assert agreed() is None


def test_one_annotator_s_answer_decides() -> None:
    assert agreed(said("ada", "returns", 1)) == "returns"


@pytest.mark.parametrize("verdict", [Verdict.SKIPPED, Verdict.INVALID])
def test_a_skip_and_an_invalid_answer_decide_nothing_and_contradict_no_one(verdict: Verdict) -> None:
    assert agreed(said("ada", verdict, 1)) is None
    assert agreed(said("ada", "returns", 1), said("ben", verdict, 2)) == "returns"
    assert agreed(said("ada", "returns", 1), said("ada", verdict, 2)) == "returns"


def test_a_deleted_annotation_decides_nothing_and_contradicts_no_one() -> None:
    gone = said("ada", "returns", 1, deleted=True)
    assert agreed(gone) is None
    assert agreed(gone, said("ben", "delivery", 2)) == "delivery"


def test_the_latest_answer_of_an_annotator_counts_in_whatever_order_they_come() -> None:
    first, second = said("ada", "returns", 1), said("ada", "delivery", 2)
    assert agreed(first, second) == agreed(second, first) == "delivery"


def test_of_two_answers_of_one_moment_that_with_the_higher_number_counts() -> None:
    first, second = said("ada", "returns", 1, number=7), said("ada", "delivery", 1, number=8)
    assert agreed(first, second) == agreed(second, first) == "delivery"


# --- contradictions ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answers", "decided"),
    [
        (["returns", "returns"], "returns"),
        (["returns", "delivery"], "disputed"),
        (["returns", "delivery", "returns"], "returns"),
        (["returns", "returns", "delivery"], "returns"),
        (["returns", "delivery", "billing"], "disputed"),
        (["returns", "returns", "delivery", "delivery"], "disputed"),
        (["returns", "returns", "delivery", "billing"], "disputed"),
        (["returns", "returns", "returns", "delivery", "billing"], "returns"),
    ],
)
def test_more_than_half_of_the_annotators_decide_and_a_half_or_less_do_not(answers: list[str], decided: str) -> None:
    assert agreed(*(said(f"annotator {at}", topic, at) for at, topic in enumerate(answers))) == decided


def test_unusable_contradicts_a_label_and_agrees_with_itself() -> None:
    assert agreed(said("ada", "returns", 1), said("ben", Verdict.UNUSABLE, 2)) == "disputed"
    assert agreed(said("ada", Verdict.UNUSABLE, 1), said("ben", Verdict.UNUSABLE, 2)) == "unusable"
    assert (
        agreed(said("ada", Verdict.UNUSABLE, 1), said("ben", "a", 2), said("cleo", Verdict.UNUSABLE, 3)) == "unusable"
    )


def test_who_is_unsure_leaves_it_to_those_who_answer_later_and_asks_after_those_who_did() -> None:
    answer = said("ada", "returns", 2)
    assert agreed(said("ben", Verdict.UNSURE, 1), answer) == "returns"
    assert agreed(answer, said("ben", Verdict.UNSURE, 3)) == "unsure"
    assert agreed(said("ada", "billing", 0), said("ben", Verdict.UNSURE, 1), answer) == "returns", "she answered again"
    assert agreed(said("ben", Verdict.UNSURE, 1), answer, said("cleo", "delivery", 3)) == "disputed"
    assert agreed(said("ben", Verdict.UNSURE, 1), said("cleo", Verdict.UNSURE, 1), answer) == "returns", "no votes"


def test_the_answer_of_a_majority_is_the_latest_of_those_who_gave_it() -> None:
    found = deciding([said("ada", "returns", 3), said("ben", "returns", 2), said("cleo", "delivery", 1)])
    assert found is not None and found.annotation.annotator == "ada"


def test_a_contradiction_names_the_latest_answer_and_the_latest_other_one() -> None:
    found = deciding([said("1", "returns", 1), said("2", "delivery", 2), said("3", "billing", 3)])
    assert found is not None and found.against is not None
    assert (found.annotation.annotator, found.against.annotator) == ("3", "2")
    assert found.reason == Reason(
        code=ReasonCode.DISAGREEMENT, detail="user 2 says topic 'delivery' and user 3 says topic 'billing'"
    )
    again = deciding(
        [said("1", "returns", 1), said("2", "delivery", 2), said("3", "returns", 3), said("4", "delivery", 4)]
    )
    assert again is not None and again.against is not None
    assert (again.annotation.annotator, again.against.annotator) == ("4", "3")


# --- answers about an earlier revision ----------------------------------------------------------------
def test_who_has_seen_an_answer_about_an_earlier_revision_overrides_it() -> None:
    earlier = said("ada", "returns", 1, is_present=False, known_since="run 1")
    assert agreed(earlier, said("ben", "delivery", 2, sent_in="run 2")) == "delivery"
    assert agreed(earlier, said("ben", "delivery", 2, sent_in="")) == "delivery", "the tables know no better"


@pytest.mark.parametrize("known_since", ["run 2", "run 3"])
def test_who_cannot_have_seen_an_answer_about_an_earlier_revision_contradicts_it(known_since: str) -> None:
    earlier = said("ada", "returns", 1, is_present=False, known_since=known_since)
    assert agreed(earlier, said("ben", "delivery", 2, sent_in="run 2")) == "disputed"


def test_an_answer_about_an_earlier_revision_that_was_edited_later_counts() -> None:
    edited = said("ada", "returns", 3, is_present=False, known_since="run 1")
    assert agreed(edited, said("ben", "delivery", 2, sent_in="run 2")) == "disputed"
    assert agreed(edited, said("ada", "delivery", 2, sent_in="run 2")) == "returns", "it is her latest"


def test_answers_about_earlier_revisions_decide_while_there_is_no_other() -> None:
    earlier = [said(who, "returns", 1, is_present=False, known_since="run 1") for who in ("ada", "ben")]
    assert agreed(*earlier) == "returns"
    assert agreed(*earlier, said("cleo", "delivery", 2, sent_in="run 2", deleted=True)) == "returns"
    assert agreed(*earlier, said("cleo", Verdict.SKIPPED, 2, sent_in="run 2")) == "returns"


# --- reasons ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"topic": "a"}, {"topic": "a"}, "confirmed"),
        ({"topic": "a"}, {"topic": "b"}, "topic: 'a' became 'b'"),
        ({"topic": "a", "n": 1}, {"topic": "b", "n": 2}, "topic: 'a' became 'b'; n: '1' became '2'"),
        ({"topic": "a", "n": 1}, {"topic": "a", "n": 2}, "n: '1' became '2'"),
        (None, {"topic": "b"}, "answered"),
        ({"topic": "a"}, None, "answered"),
    ],
)
def test_a_reason_says_what_an_answer_changed(before: Targets | None, after: Targets | None, words: str) -> None:
    assert what_changed(before, after) == words


def test_the_reason_of_an_answer_says_what_it_is_and_whose_record_it_was_given_for() -> None:
    assert said("ada", "returns", 1).reason == Reason(
        code=ReasonCode.REVIEWED, detail="topic: 'billing' became 'returns'"
    )
    assert said("ada", "returns", 1, is_of_another=True).reason_for({"topic": "returns"}) == Reason(
        code=ReasonCode.REVIEWED, detail="confirmed, in record r1, which is gone", refs=("r1",)
    )
    assert said("ada", Verdict.UNUSABLE, 1).reason == Reason(code=ReasonCode.REVIEWER)
    assert said("ada", Verdict.UNSURE, 1).reason == Reason(code=ReasonCode.UNSURE)
    assert said("ada", Verdict.SKIPPED, 1).reason is None


@pytest.mark.parametrize("code", ReasonCode)
def test_annotators_had_a_part_in_what_they_labeled_called_unusable_were_unsure_of_or_disagreed_about(
    code: ReasonCode,
) -> None:
    of_people = {ReasonCode.REVIEWER, ReasonCode.UNSURE, ReasonCode.DISAGREEMENT}
    plain = decision("run", "r1", Fate.REVIEW, label_source=LabelSource.SOURCE)
    assert involved_annotators(plain.model_copy(update={"reasons": [Reason(code=code)]})) == (code in of_people)
    assert involved_annotators(plain.model_copy(update={"label_source": LabelSource.HUMAN}))
