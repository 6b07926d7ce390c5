"""Three or more votes about a record: who is reliable in the whole dataset counts for more, if that is known."""

import random
from datetime import timedelta
from enum import StrEnum

import numpy as np
import pytest
from home_of_answers import NOON
from hypothesis import given
from hypothesis import strategies as st
from store_rows import decision
from tried_examples import examples
from votes import crowd

from pipeline.review.consensus import Said, deciding
from pipeline.review.weighing import ENOUGH, Weight, deciding_group, weights_of
from schemas.annotation import Annotation, Verdict
from schemas.field import JsonValue
from schemas.roles import Input, Target
from schemas.task import Task


class Topic(StrEnum):
    BILLING = "billing"
    DELIVERY = "delivery"
    RETURNS = "returns"


class Question(Task):
    """What is it about?"""

    question: Input[str]
    topic: Target[Topic]


class TwoQuestions(Question):
    """What is it about, and is it urgent?"""

    urgent: Target[bool]


class Told(Question):
    """What is it about, in words?"""

    words: Target[str]


Answers = dict[str, list[Annotation]]
TOPICS = list(Topic)


def answer(record: int, who: int, targets: dict[str, JsonValue] | None, minute: int = 0) -> Annotation:
    return Annotation(
        server="http://studio", project=1, task_id=record, annotation_id=record * 100 + 10 * who + minute, push_key="p",
        record_id=f"r{record:03}", annotator=str(who), created_at=NOON, updated_at=NOON + timedelta(minutes=minute),
        verdict=Verdict.LABELED if targets else Verdict.UNUSABLE, targets=targets,
    )  # fmt: skip


def answers_of(votes: np.ndarray, **more: JsonValue) -> Answers:
    found: Answers = {}
    for record, who, label in votes.tolist():
        found.setdefault(f"r{record:03}", []).append(answer(record, who, {"topic": TOPICS[label].value, **more}))
    return found


def decided(given: Answers, record: str, task: type[Task] = Question) -> Said | None:
    weight = weights_of(task, given)
    return deciding(Said(one, decision("run", record), is_present=True, weight=weight(one)) for one in given[record])


def topic(said: Said | None) -> str | None:
    assert said is not None
    return None if said.against else str((said.annotation.targets or {})["topic"])


RELIABLE = [0.97, 0.45, 0.45]
"""One annotator to be trusted, and two who are mostly wrong."""


# --- with enough votes ------------------------------------------------------------------------------
def test_one_reliable_annotator_decides_against_two_unreliable_ones_or_the_record_is_held() -> None:
    votes, truth = crowd([0.97, 0.95, 0.4, 0.4, 0.4], 150)
    given = answers_of(votes)
    outcomes = {record: topic(decided(given, record)) for record in given}
    right = [outcomes[f"r{at:03}"] == TOPICS[true] for at, true in enumerate(truth)]
    held = [outcome is None for outcome in outcomes.values()]
    assert sum(right) / (len(right) - sum(held)) > 0.95
    counts = [np.bincount(votes[votes[:, 0] == at, 2], minlength=3) for at in range(150)]
    outvoted = [at for at, true in enumerate(truth) if counts[at][true] < counts[at].max()]
    assert outvoted and any(right[at] for at in outvoted), "the majority was wrong about these"


def test_votes_that_leave_an_answer_unlikely_are_held_though_they_are_a_majority() -> None:
    votes, _ = crowd([0.5, 0.5, 0.5], 300)
    given = answers_of(votes)
    assert any(
        topic(decided(given, record)) is None and len({str(a.targets) for a in given[record]}) == 2 for record in given
    )


def test_annotators_who_all_agree_decide_whatever_they_are_worth() -> None:
    votes, _ = crowd([0.5, 0.5, 0.5], 300)
    given = answers_of(votes)
    alike = [record for record, items in given.items() if len({str(one.targets) for one in items}) == 1]
    assert alike and all(topic(decided(given, record)) for record in alike)


def test_two_annotators_who_contradict_each_other_are_held_however_reliable_one_is() -> None:
    votes, _ = crowd([0.97, 0.95, 0.4, 0.4], 200)
    of_first_two = votes[(votes[:, 0] >= 10) | np.isin(votes[:, 1], [0, 3])]
    given = answers_of(of_first_two)
    contradicting = [f"r{at:03}" for at in range(10) if len({str(a.targets) for a in given[f"r{at:03}"]}) == 2]
    assert contradicting and all(topic(decided(given, record)) is None for record in contradicting)


def test_of_several_closed_fields_every_one_must_be_likely() -> None:
    votes, _ = crowd([0.9, 0.9, 0.9, 0.9], 200)
    given = answers_of(votes, urgent=True)
    of_one = weights_of(Question, given)(given["r000"][0])
    of_both = weights_of(TwoQuestions, given)(given["r000"][0])
    assert of_one is not None and of_both is not None and of_both == of_one, "urgent is certain"
    given["r000"][3] = answer(0, 3, {**(given["r000"][3].targets or {}), "urgent": False})
    doubted = weights_of(TwoQuestions, given)(given["r000"][3])
    assert doubted is not None and doubted.probability < 0.1


# --- without ----------------------------------------------------------------------------------------
def test_few_votes_have_no_weight_so_that_a_majority_decides() -> None:
    votes, _ = crowd(RELIABLE, 30)
    given = answers_of(votes)
    weight = weights_of(Question, given)
    assert {weight(one) for items in given.values() for one in items} == {None}


def test_answers_in_words_have_no_weight() -> None:
    votes, _ = crowd([0.9] * 4, 200)
    given = answers_of(votes, words="so")
    assert weights_of(Told, given)(given["r000"][0]) is None


def test_a_record_that_somebody_calls_unusable_is_left_to_the_majority() -> None:
    votes, _ = crowd([0.9] * 4, 200)
    given = answers_of(votes)
    given["r000"][0] = answer(0, 0, None)
    weight = weights_of(Question, given)
    assert [weight(one) for one in given["r000"]] == [None] * 4
    assert weight(given["r001"][0]) is not None


def test_of_each_annotator_the_latest_answer_is_weighed() -> None:
    votes, _ = crowd([0.9] * 4, 200)
    given = answers_of(votes)
    later = answer(0, 0, {"topic": "returns"}, minute=5)
    weight = weights_of(Question, {**given, "r000": [later, *given["r000"]]})
    assert weight(given["r000"][0]) is None and weight(later) is not None


@examples(5)
@given(st.randoms(use_true_random=False))
def test_the_order_of_answers_changes_no_weight(order: random.Random) -> None:
    votes, _ = crowd([0.9, 0.8, 0.7, 0.6], 60)
    given, rows = answers_of(votes), votes.tolist()
    order.shuffle(rows)
    one, other = weights_of(Question, given), weights_of(Question, answers_of(np.array(rows)))
    assert all(one(item) == other(item) for items in given.values() for item in items)


@pytest.mark.parametrize(
    ("groups", "place"),
    [
        ([(2, None), (1, None)], 0),
        ([(1, None), (1, None)], None),
        ([(2, Weight(0.1, 3)), (1, Weight(ENOUGH, 3))], 1),
        ([(2, Weight(0.79, 3)), (1, Weight(0.21, 3))], None),
        ([(2, Weight(0.1, 4)), (1, Weight(0.9, 4))], 0),
        ([(2, Weight(0.1, 3)), (1, None)], 0),
        ([(3, Weight(0.4, 3))], 0),
    ],
)
def test_weights_decide_only_if_all_answers_that_count_have_one(
    groups: list[tuple[int, Weight | None]], place: int | None
) -> None:
    assert deciding_group(groups) == place
