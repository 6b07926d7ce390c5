"""Many annotators, one answer: whose counts, and what is said where they contradict each other."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from home_of_answers import NOON, QUESTION, Home, home_in
from store_rows import decision

from pipeline.review.answers_told import what_changed
from pipeline.review.asked_before import involved_annotators
from pipeline.review.consensus import (
    Said,
    deciding,
    invalid_annotations,
    said_about,
    said_before,
)
from pipeline.text.normalize import inputs_key
from schemas.annotation import Annotation, Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.field import JsonValue
from schemas.seat import Seat, SeatKind

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
        (["returns", "returns", "returns", "delivery", "delivery", "delivery"], "disputed"),
        (["returns", "returns", "returns", "delivery", "delivery", "billing", "billing"], "disputed"),
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


def answered(who: str, minute: int, **targets: JsonValue) -> Said:
    plain = said(who, "returns", minute)
    return replace(plain, annotation=plain.annotation.model_copy(update={"targets": targets}))


def test_lists_in_another_order_are_the_same_answer_and_letters_in_another_order_are_not() -> None:
    agreeing = deciding([answered("ada", 1, parts=["a", "b"], n=1), answered("ben", 2, n=1, parts=["b", "a"])])
    assert agreeing is not None and agreeing.against is None
    for one, other in (("abc", "cab"), (["a", "a"], ["a", "b"]), (["a"], "a")):
        contradicting = deciding([answered("ada", 1, parts=one), answered("ben", 2, parts=other)])
        assert contradicting is not None and contradicting.against is not None


def test_who_is_unsure_leaves_it_to_those_who_answer_later_and_asks_after_those_who_did() -> None:
    answer = said("ada", "returns", 2)
    assert agreed(said("ben", Verdict.UNSURE, 1), answer) == "returns"
    assert agreed(answer, said("ben", Verdict.UNSURE, 3)) == "unsure"
    assert agreed(said("ada", "billing", 0), said("ben", Verdict.UNSURE, 1), answer) == "returns", "she answered again"
    assert agreed(said("ben", Verdict.UNSURE, 1), answer, said("cleo", "delivery", 3)) == "disputed"
    assert agreed(said("ben", Verdict.UNSURE, 1), said("cleo", Verdict.UNSURE, 1), answer) == "returns", "no votes"


def test_annotators_who_agree_in_the_adjudicator_s_task_by_now_need_no_adjudicator() -> None:
    last = Seat(kind=SeatKind.ADJUDICATOR)
    ada, unsure = said("ada", "returns", 1), said("ben", Verdict.UNSURE, 2)
    assert agreed(ada, unsure, said("ben", "returns", 3, seat=last)) == "returns"
    assert agreed(ada, unsure, said("ben", "billing", 3, seat=last)) == "unsure", "it decides nothing alone"
    assert agreed(unsure, said("ben", "returns", 3, seat=last)) == "unsure", "nobody else has said so"
    both = said("ben", "billing", 2), said("ben", "delivery", 3, seat=last), said("ada", "delivery", 4, seat=last)
    assert agreed(ada, *both) == "delivery"
    assert agreed(ada, *both, said("cleo", "billing", 0, number=9, seat=last)) == "billing", "somebody else has decided"


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
    assert said("ada", Verdict.UNUSABLE, 1).reason == Reason(code=ReasonCode.UNUSABLE)
    assert said("ada", Verdict.UNSURE, 1).reason == Reason(code=ReasonCode.UNSURE)
    assert said("ada", Verdict.SKIPPED, 1).reason is None


@pytest.mark.parametrize("code", ReasonCode)
def test_annotators_had_a_part_in_what_they_labeled_called_unusable_were_unsure_of_or_disagreed_about(
    code: ReasonCode,
) -> None:
    of_annotators = {ReasonCode.UNUSABLE, ReasonCode.UNSURE, ReasonCode.DISAGREEMENT}
    plain = decision("run", "r1", Fate.REVIEW, label_source=LabelSource.SOURCE)
    assert involved_annotators(plain.model_copy(update={"reasons": [Reason(code=code)]})) == (code in of_annotators)
    assert involved_annotators(plain.model_copy(update={"label_source": LabelSource.HUMAN}))


# --- from the tables --------------------------------------------------------------------------------
@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


def essence(one: Decision) -> tuple[Fate, Routed | None, Targets | None, LabelSource | None, int | None]:
    return one.fate, one.routed, one.targets, one.label_source, one.tokens


@pytest.mark.parametrize("last", ["delivery", Verdict.UNUSABLE])
def test_annotators_who_contradict_each_other_decide_nothing_and_are_asked_to_agree(
    home: Home, last: str | Verdict
) -> None:
    """Whatever the last of them says: its answer must not count, not even until curate weighs both."""
    asked = home.asked("r1")
    home.curated(asked)
    home.said("1", "returns", asked, number=1)
    home.said("2", last, asked, number=2)
    [found] = home.follows()
    assert essence(found) == (Fate.REVIEW, Routed.ADJUDICATE, {"topic": "billing"}, LabelSource.SOURCE, 7)
    says = "unusable" if last is Verdict.UNUSABLE else "topic 'delivery'"
    detail = f"user 1 says topic 'returns' and user 2 says {says}"
    assert found.reasons == [Reason(code=ReasonCode.DISAGREEMENT, detail=detail)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("returns", (Fate.ACCEPTED, Routed.UNCERTAIN, {"topic": "returns"}, LabelSource.HUMAN, None)),
        ("billing", (Fate.ACCEPTED, Routed.UNCERTAIN, {"topic": "billing"}, LabelSource.HUMAN, 7)),
        (Verdict.UNUSABLE, (Fate.REJECTED, Routed.UNCERTAIN, {"topic": "billing"}, LabelSource.SOURCE, 7)),
        (Verdict.UNSURE, (Fate.REVIEW, Routed.ADJUDICATE, {"topic": "billing"}, LabelSource.SOURCE, 7)),
    ],
)
def test_one_answer_decides_what_becomes_of_the_record(home: Home, answer: str | Verdict, expected: object) -> None:
    asked = home.asked("r1")
    home.curated(asked, home.asked("r2"))
    home.said("1", answer, asked, number=1)
    [found] = home.follows()
    assert (found.run, found.record_id, essence(found)) == ("this run", "r1", expected)


def test_a_copy_that_is_answered_is_a_copy_no_more(home: Home) -> None:
    asked = home.asked("r1", fate=Fate.DUPLICATE, duplicate_of="r2", similarity=0.9)
    home.curated(asked)
    home.said("1", "returns", asked, number=1)
    [found] = home.follows()
    assert (found.duplicate_of, found.similarity) == ("", None)


def test_what_is_committed_is_not_decided_again_and_an_answer_taken_back_gives_the_record_its_own_label(
    home: Home,
) -> None:
    asked = home.asked("r1")
    home.curated(asked)
    home.said("1", "returns", asked, number=1)
    assert [one.targets for one in home.collected()] == [{"topic": "returns"}]
    assert home.follows() == []
    home.takes_back(1)
    [back] = home.collected()
    assert back.model_copy(update={"run": ""}) == asked
    assert home.follows() == []


def test_a_form_that_was_filled_and_skipped_is_no_answer(home: Home) -> None:
    asked = home.asked("r1")
    home.curated(asked)
    for number, answer in enumerate(["returns", Verdict.UNUSABLE, Verdict.UNSURE], start=1):
        home.said("1", answer, asked, number=number, skipped=True)
    assert home.follows() == []


def test_an_answer_that_was_taken_back_before_it_counted_decides_nothing(home: Home) -> None:
    asked = home.asked("r1")
    home.curated(asked)
    home.said("1", "returns", asked, number=1)
    home.takes_back(1)
    assert home.follows() == []


def test_answers_about_an_earlier_revision_alone_are_left_to_curate(home: Home) -> None:
    first = home.asked("r1")
    home.curated(first)
    home.said("1", "returns", first, number=1)
    second = home.asked("r1", revision="v2")
    home.curated(second)
    assert home.follows() == []
    home.said("2", "returns", second, number=2, skipped=True)
    assert home.follows() == [], "nobody decided about the present one"
    home.said("3", "returns", second, number=3)
    assert [one.revision for one in home.follows()] == ["v2"]


def test_what_was_said_about_another_text_or_under_other_answers_is_no_answer(home: Home) -> None:
    first = home.asked("r1", inputs={"question": "Who was it?"})
    other = home.asked("r1", task_digest="another", targets={"mood": "good"})
    home.curated(first)
    home.curated(other)
    home.said("1", "returns", first, number=1)
    home.said("2", "returns", other, number=2)
    home.curated(home.asked("r1", revision="v2"))
    assert said_about(home.now, home.dataset.task, home.now.current_decisions()) == {}
    assert home.follows() == []


def test_it_is_known_which_run_pulled_an_answer_first_and_which_one_sent_its_task(home: Home) -> None:
    asked = home.asked("r1")
    home.curated(asked)
    sent = home.sent(asked, task_id=1)
    home.sent(asked, task_id=1)
    home.said("1", "returns", asked, number=1)
    first = home.now.latest_annotations().collect()["run"].item()
    home.said("1", "returns", asked, number=1)
    home.said("2", "returns", asked, number=2)
    one, other = said_about(home.now, home.dataset.task, home.now.current_decisions())["r1"]
    assert (one.known_since, one.sent_in, one.is_present) == (first, sent, True)
    assert (other.sent_in, other.is_present) == ("", True)


def test_a_home_that_does_not_know_the_revision_that_was_asked_about_knows_the_question(home: Home) -> None:
    asked = home.asked("r1", revision="lost")
    present = home.asked("r1")
    home.curated(present)
    home.said("1", "returns", asked, number=1)
    [found] = said_about(home.now, home.dataset.task, home.now.current_decisions())["r1"]
    assert (found.asked.revision, found.is_present) == ("v1", False)


def test_what_was_asked_is_what_curate_said_before_people_had_a_part_in_it(home: Home) -> None:
    """A home asks what changed since the automatic decision, not since the answer itself."""
    asked = home.asked("r1")
    answered = home.asked("r1", label_source=LabelSource.HUMAN, targets={"topic": "returns"})
    newer = home.asked("r1", targets={"topic": "delivery"})
    for decided, topic in ((asked, "billing"), (answered, "billing"), (newer, "delivery"), (answered, "delivery")):
        home.curated(decided)
        if decided is asked:
            home.said("1", "returns", asked, number=1)
        [found] = said_about(home.now, home.dataset.task, home.now.current_decisions())["r1"]
        assert found.asked.targets == {"topic": topic}


def test_of_a_record_that_is_gone_the_standing_answers_are_told_by_source_and_text(home: Home) -> None:
    asked, other = home.asked("r1"), home.asked("r2", inputs={"question": "Who was it?"})
    home.curated(asked, other)
    home.said("1", "returns", asked, number=1)
    home.said("2", "returns", asked, number=2)
    home.takes_back(2)
    home.said("1", "returns", other, number=3)
    assert said_before(home.now, home.dataset.task) == {}
    home.curated(other, gone=["r1"])
    [(where, [found])] = said_before(home.now, home.dataset.task).items()
    assert where == ("s", inputs_key(home.dataset.task, QUESTION))
    assert (found.annotation.annotator, found.asked.record_id) == ("1", "r1")
    assert (found.is_of_another, found.is_present) == (True, False)


def test_an_invalid_answer_waits_for_its_correction_unless_it_was_deleted_or_a_valid_one_decides(home: Home) -> None:
    asked = {name: home.asked(name, inputs={"question": f"{name}?"}) for name in ("r1", "r2", "r3", "r4")}
    home.curated(*asked.values())
    for number, about in enumerate(asked.values(), start=1):
        home.said("1", Verdict.INVALID, about, number=number)
    home.takes_back(2)
    home.said("2", "returns", asked["r3"], number=5)
    home.curated(home.asked("r4", revision="v2", inputs={"question": "r4?"}))
    waiting = invalid_annotations(home.now, home.dataset.task)
    assert [(one.record_id, one.verdict) for one in waiting] == [("r1", Verdict.INVALID)]
    assert home.follows() != [], "the third is decided"
