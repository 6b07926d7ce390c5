"""What speaks against a verdict is heard: few different answers, other questions, other seeds, rare answers, audits."""

import json
from dataclasses import replace

import pytest
from assessed import ADAPTER, LINEAR, answered, arm_of, evidence_of, share_right, spread, verdict_on

from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.evaluate import EvalQuestion, evaluate
from pipeline.ladder.judgement import Judgement, Verdict
from pipeline.ladder.results import ArmResult, Skipped
from pipeline.ladder.retrained_scores import SeedScore
from pipeline.ladder.verdict import judge
from schemas.task import Input, Target, Task


def parts(found: Judgement) -> str:
    return " ".join(found.reasons)


def differing(better: int, worse: int, asked: int) -> list[ArmResult]:
    """The linear model and the adapter, of which one is right where the other is not, that often."""
    same = asked - better - worse
    before = [False] * better + [True] * worse + [number % 2 == 0 for number in range(same)]
    after = [True] * better + [False] * worse + before[better + worse :]
    return [answered("linear", before), answered("adapter", after)]


def seeds(*values: float) -> tuple[SeedScore, ...]:
    scores = (Estimate(value=value, low=value, high=value) for value in values)
    return tuple(SeedScore(seed=17 + number, score=score) for number, score in enumerate(scores))


# --- few answers that differ ----------------------------------------------------------------------
@pytest.mark.parametrize(("better", "asked"), [(4, 40), (4, 100), (5, 200)])
def test_so_few_better_answers_that_chance_explains_them_are_not_better_for_sure(better: int, asked: int) -> None:
    arms = differing(better, 0, asked)
    [pair] = evidence_of(*arms).ladder.pairs
    assert pair.p_value > 0.05 and pair.comparison.difference.low <= 0
    assert verdict_on(*arms).verdict is Verdict.UNDECIDED
    assert verdict_on(*differing(8, 0, asked)).verdict is Verdict.TUNE


def test_one_answer_that_got_worse_does_not_prove_that_none_gets_better() -> None:
    """Of equal answers it was never said; one worse made it sure that the adapter is no better by two points."""
    assert verdict_on(*differing(0, 0, 50)).verdict is Verdict.UNDECIDED
    assert verdict_on(*differing(0, 1, 50)).verdict is Verdict.UNDECIDED
    assert verdict_on(*differing(0, 1, 500)).verdict is Verdict.CLASSICAL


# --- arms that were asked different questions -----------------------------------------------------
def test_a_slow_arm_is_not_the_best_of_its_kind_for_having_been_asked_easier_questions() -> None:
    easy = [number < 470 for number in range(500)]
    adapter = answered("adapter", [*easy, *(number < 2230 for number in range(2500))])
    free = answered("adapter_free", [number < 462 for number in range(500)])
    assert free.score.value > adapter.score.value
    found = verdict_on(answered("linear", [number % 10 < 7 for number in range(3000)]), adapter, free)
    assert (found.verdict, found.arm) == (Verdict.TUNE, "adapter")


def test_a_single_question_makes_no_arm_the_best_of_its_kind() -> None:
    adapter, free = share_right("adapter", 0, 1), share_right("adapter_free", 1, 1)
    ladder = evidence_of(adapter, free).ladder
    assert ladder.best_of([free, adapter]) == free
    more = answered("adapter", [False, *[True] * 99])
    assert evidence_of(more, free).ladder.best_of([free, more]) == more


def test_few_questions_that_are_all_answered_rightly_leave_something_to_gain() -> None:
    prompt, adapter = share_right("few_shot", 20, 20), share_right("adapter", 1000, 1000)
    assert verdict_on(share_right("linear", 500, 1000), prompt, adapter).rule == "too_close"


def test_an_interval_that_reaches_the_target_is_no_reason_to_prefer_what_is_worse() -> None:
    prompt = answered("few_shot", [number % 6 > 0 for number in range(40)])
    linear = share_right("linear", 2640, 3000)
    assert prompt.score.high > 0.9 > linear.score.high
    found = verdict_on(linear, prompt, spread("adapter", 0.85, 3000), limits={"target": 0.9})
    assert (found.rule, found.arm) == ("target_missed", "")
    assert "a linear model on TF-IDF scores 88.0%" in found.reasons[0]


# --- seeds ------------------------------------------------------------------------------------------
def test_a_seed_of_the_adapter_says_nothing_of_what_it_does_with_a_linear_model_beside_it() -> None:
    arms = [
        share_right(name, right, 1000) for name, right in (("linear", 860), ("adapter", 866), ("adapter_linear", 905))
    ]
    found = verdict_on(*arms, seeds=seeds(0.866, 0.855))
    assert (found.verdict, found.arm) == (Verdict.TUNE, "adapter_linear")
    assert verdict_on(*arms, seeds=seeds(0.866, 0.816)).rule == "by_chance"


def test_where_a_seed_decides_more_test_questions_are_not_asked_for() -> None:
    found = verdict_on(LINEAR, ADAPTER, seeds=seeds(0.90, 0.79))
    assert (found.verdict, found.rule) == (Verdict.UNDECIDED, "by_chance")
    assert found.reasons[0] == (
        "Whether the adapter is better than a linear model on TF-IDF depends on the seed of the training: the adapter "
        "scores 79.0% with seed 18, and 90.0% with its own."
    )
    assert "questions" not in found.next_step and "finetune.learning_rate" in found.next_step


# --- rare answers -------------------------------------------------------------------------------------
@pytest.mark.parametrize("linear", [97, 100])
def test_a_test_with_hardly_any_other_answer_is_no_sign_of_wrong_labels(linear: int) -> None:
    arms = [share_right("majority", 94, 100), share_right("linear", linear, 100), share_right("adapter", 96, 100)]
    assert verdict_on(*arms).verdict is Verdict.CLASSICAL
    worse = [share_right("majority", 485, 500), share_right("adapter", 465, 500)]
    # An adapter that is for sure worse than the most frequent answer says nothing about what is enough.
    assert verdict_on(*worse).verdict is Verdict.FAILED
    level = [share_right("majority", 485, 500), share_right("adapter", 484, 500)]
    found = verdict_on(*level)
    assert (found.verdict, found.arm) == (Verdict.CLASSICAL, "majority")
    assert found.next_step.endswith("If the rarer answers matter, collect and label rows that have them.")


# --- audits that the test refutes ---------------------------------------------------------------------
def test_an_audit_sets_no_ceiling_where_an_arm_is_right_more_often_for_sure() -> None:
    noise = Estimate(value=0.06, low=0.04, high=0.08)
    arms = [share_right("linear", 2800, 3000), share_right("adapter", 2970, 3000)]
    evidence = evidence_of(*arms, noise=noise)
    assert evidence.is_noise_refuted and evidence.ceiling is None
    assert verdict_on(*arms, noise=noise).verdict is Verdict.TUNE


def test_nothing_is_said_to_be_unseen_that_an_arm_has_reached() -> None:
    noise = Estimate(value=0.06, low=0.055, high=0.2)
    arms = [share_right("linear", 80, 100), share_right("adapter", 96, 100)]
    assert evidence_of(*arms, noise=noise).ceiling == 0.96
    found = verdict_on(*arms, noise=noise)
    assert found.rule == "wrong_labels" and "No model can be seen" not in parts(found)
    assert "gets 4.0% wrong: all of that may be errors" in parts(found)


class Parcel(Task):
    """Read the parcel."""

    text: Input[str]
    sender: Target[str]
    city: Target[str]
    weight: Target[int]
    price: Target[int]


def parcels(name: str, wrong: int, asked: int = 300) -> ArmResult:
    """An arm that has one of four values wrong in so many answers."""
    rows = [{"sender": f"s{n}", "city": f"c{n}", "weight": n, "price": n + 1} for n in range(asked)]
    questions = [EvalQuestion(id=f"q{n}", prompt=(), golds=(dict(row),)) for n, row in enumerate(rows)]
    texts = [json.dumps(row | ({"city": "?"} if n < wrong else {})) for n, row in enumerate(rows)]
    return arm_of(name, evaluate(Parcel, questions, texts))


def test_a_row_with_one_wrong_value_of_four_is_no_ceiling_for_an_f1() -> None:
    """90 rows of 300 have a wrong value: the best model there is has an F1 of 92.5%, not of 70%."""
    noise = Estimate(value=0.3, low=0.25, high=0.35)
    arms = [parcels("linear", 200), parcels("adapter", 90)]
    assert arms[1].score.value == pytest.approx(0.925)
    assert evidence_of(*arms, noise=noise).ceiling is None
    found = verdict_on(*arms, noise=noise)
    assert (found.verdict, found.rule) == (Verdict.FIX_LABELS, "wrong_labels")
    assert "the adapter, gets 30.0% wrong: all of that" in found.reasons[0] and "can be seen" not in found.reasons[0]
    # One wrong value in 8% of the rows is a 2% of the values: compared with those, the rows would always be to blame.
    few = Estimate(value=0.08, low=0.05, high=0.12)
    assert verdict_on(*arms, noise=few).verdict is Verdict.TUNE
    assert "sign test p < 0.001" in parts(verdict_on(*arms))


# --- what an adapter is compared with -----------------------------------------------------------------
@pytest.mark.parametrize("name", ["majority", "zero_shot"])
def test_to_beat_what_knows_nothing_of_the_rows_is_no_reason_to_train(name: str) -> None:
    weak = share_right(name, 100, 1000)
    found = verdict_on(weak, ADAPTER)
    assert (found.verdict, found.rule) == (Verdict.UNDECIDED, "no_rival")
    assert found.reasons[0].endswith(f"was compared with it: only {weak.title} with 10.0% (8.3% to 12.0%).")
    assert "`linear` and `few_shot`" in found.next_step
    assert verdict_on(share_right(name, 950, 1000), ADAPTER).verdict is not Verdict.UNDECIDED


def test_a_verdict_says_which_arm_it_has_not_heard() -> None:
    skipped = (
        Skipped(name="big", title="large, prompted", why="http://big/v1 does not answer", for_now=True),
        Skipped(name="majority", title="the most frequent answer", why="no two conversations are continued alike"),
    )
    evidence = evidence_of(LINEAR, ADAPTER)
    found = judge(replace(evidence, ladder=evidence.ladder.model_copy(update={"skipped": skipped})))
    assert found.verdict is Verdict.TUNE
    assert [one for one in found.reasons if "not compared" in one] == [
        "large, prompted was not compared: http://big/v1 does not answer."
    ]


def test_an_arm_that_alone_is_within_the_limits_is_named_with_its_score() -> None:
    slow = [share_right("linear", 800, 1000, latency=3.0), share_right("adapter", 700, 1000, latency=0.1)]
    found = verdict_on(*slow, limits={"max_seconds": 1})
    assert found.reasons[0].startswith(
        "The adapter scores 70.0% (67.1% to 72.8%), and no arm of another kind is within"
    )


def test_the_most_frequent_answer_is_not_enough_for_being_the_only_one_within_the_limits() -> None:
    arms = [share_right("majority", 100, 1000), share_right("linear", 800, 1000, latency=3.0)]
    found = verdict_on(*arms, share_right("adapter", 900, 1000, latency=2.0), limits={"max_seconds": 1})
    assert (found.verdict, found.rule, found.arm) == (Verdict.UNDECIDED, "nothing_allowed", "")
    assert "verdict.max_seconds" in found.next_step


# --- what would decide --------------------------------------------------------------------------------
def test_questions_that_eval_rows_holds_back_are_asked_before_more_rows_are_labeled() -> None:
    arms = (spread("linear", 0.80, 200), spread("adapter", 0.83, 200, seed=1))
    step = verdict_on(*arms, test_rows=3000, held_back=2800).next_step
    asked = int(step.split("finetune.eval_rows: ")[1].split("`")[0])
    assert 200 < asked < 3000 and "add rows" not in step
    assert "add rows" in verdict_on(*arms, test_rows=205, held_back=5).next_step, "five more decide nothing"


def test_rows_that_max_rows_leaves_out_are_not_missing() -> None:
    found = verdict_on(LINEAR, ADAPTER, train_rows=60, undrawn=4940)
    assert (found.verdict, found.rule) == (Verdict.UNDECIDED, "too_few_rows_drawn")
    assert "from 60 training rows, the other arms from all 5,000" in found.reasons[0]
    assert "finetune.max_rows" in found.next_step


def test_a_target_that_no_model_can_be_seen_to_reach_is_named() -> None:
    arms = [share_right("linear", 800, 1000), share_right("adapter", 800, 1000)]
    noise = Estimate(value=0.05, low=0.04, high=0.06)
    found = verdict_on(*arms, noise=noise, limits={"target": 0.97})
    assert found.rule == "target_missed" and "no model can be seen above 95.0%, and 97.0% is needed" in parts(found)


def test_whether_the_target_is_reached_is_said_where_it_cannot_be_told() -> None:
    arms = [share_right("linear", 880, 1000), share_right("adapter", 880, 1000)]
    said = "Whether a linear model on TF-IDF reaches 89.0%, the score that is needed, cannot be told"
    assert said in parts(verdict_on(*arms, limits={"target": 0.89}))
    assert said not in parts(verdict_on(*arms, limits={"target": 0.88}))
