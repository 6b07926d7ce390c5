"""Every rule of the verdict decides where it should and nowhere else, and gives its reasons with their numbers."""

import re

import numpy as np
import pytest
from assessed import ADAPTER, LINEAR, answered, arm_of, evidence_of, share_right, spread, verdict_on

from pipeline.evaluation.estimates import Estimate, bootstrap, wilson
from pipeline.finetuning.evaluate import EvalQuestion, evaluate
from pipeline.ladder.judgement import Judgement, Verdict
from pipeline.ladder.learning_curve import Curve
from pipeline.ladder.results import Skipped
from pipeline.ladder.retrained_scores import SeedScore
from pipeline.ladder.verdict import judge
from schemas.task import Input, Target, Task


def parts(found: Judgement) -> str:
    return " ".join(found.reasons)


# --- can the test tell anything? ------------------------------------------------------------------
def test_below_a_hundred_training_rows_more_of_them_come_first() -> None:
    found = verdict_on(LINEAR, ADAPTER, train_rows=99)
    assert (found.verdict, found.rule, found.arm) == (Verdict.MORE_DATA, "too_few_rows", "")
    assert "99 training rows and 1,000 test questions" in found.reasons[0]
    assert "into a prompt" in found.next_step and "label more" in found.next_step
    assert verdict_on(LINEAR, ADAPTER, train_rows=100).rule == "compared"


def test_below_thirty_questions_nothing_is_decided() -> None:
    found = verdict_on(share_right("linear", 5, 29), share_right("adapter", 29, 29))
    assert (found.verdict, found.rule) == (Verdict.UNDECIDED, "too_few_questions")
    assert found.reasons[0].startswith("The adapter was asked 29 test questions; below 30 ")
    assert found.next_step.startswith("Add rows, and run `goldleaf curate`, `goldleaf collect` ")
    assert verdict_on(share_right("linear", 5, 30), share_right("adapter", 30, 30)).verdict is Verdict.TUNE


def test_questions_that_were_held_back_are_to_be_asked() -> None:
    found = verdict_on(share_right("linear", 5, 29), share_right("adapter", 29, 29), test_rows=400, held_back=371)
    assert found.next_step == "Raise finetune.eval_rows: the test split has 400 questions."


def test_a_test_split_that_was_trained_on_decides_nothing() -> None:
    found = verdict_on(LINEAR, ADAPTER, leaked=11)
    assert (found.verdict, found.rule) == (Verdict.UNDECIDED, "leaked_test")
    assert found.reasons[0].startswith("11 of 1,000 test questions are among the training rows, too")
    assert "decontaminate.against" in found.next_step
    assert verdict_on(LINEAR, ADAPTER, leaked=10).verdict is Verdict.TUNE


def test_an_adapter_alone_is_compared_with_nothing() -> None:
    for arms in ([ADAPTER], [ADAPTER, share_right("adapter_free", 880, 1000)]):
        found = verdict_on(*arms)
        assert (found.verdict, found.rule, found.arm) == (Verdict.UNDECIDED, "nothing_to_compare_with", "")
        assert "90.0% (88.0% to 91.7%)" in found.reasons[0] and "`linear` and `few_shot`" in found.next_step


def test_why_the_other_arms_did_not_answer_is_said() -> None:
    evidence = evidence_of(ADAPTER)
    skipped = (Skipped(name="big", title="large, prompted", why="the endpoint is down"),)
    told = judge(
        evidence.__class__(evidence.ladder.model_copy(update={"skipped": skipped}), evidence.limits, 5000, 1000)
    )
    assert told.reasons[0].endswith("large, prompted did not answer: the endpoint is down.")


# --- are the labels right? ------------------------------------------------------------------------
def test_labels_that_nothing_learns_are_to_be_looked_at() -> None:
    arms = [spread("majority", 0.5), spread("linear", 0.5, seed=1), spread("adapter", 0.52, seed=2)]
    found = verdict_on(*arms)
    assert (found.verdict, found.rule) == (Verdict.FIX_LABELS, "nothing_learned")
    assert "the most frequent answer (50.0%" in found.reasons[0]
    assert "5,000 rows, the adapter, scores 52.0%" in found.reasons[0]
    assert "100 rows" in found.next_step
    assert verdict_on(*arms[:2], spread("adapter", 0.6, seed=2)).rule == "compared"


def test_a_prompt_that_beats_the_most_frequent_answer_shows_that_there_is_something_to_learn() -> None:
    arms = [spread("majority", 0.5), spread("adapter", 0.5, seed=2)]
    assert verdict_on(*arms).rule == "nothing_learned"
    assert verdict_on(*arms, spread("few_shot", 0.8, seed=3)).verdict is Verdict.PROMPT


def test_prompts_alone_do_not_show_that_nothing_can_be_learned() -> None:
    arms = [spread("majority", 0.5), spread("few_shot", 0.5, seed=1), spread("adapter", 0.9, seed=2)]
    assert verdict_on(*arms).verdict is Verdict.TUNE


def test_a_frequent_answer_that_is_nearly_always_right_is_no_sign_of_wrong_labels() -> None:
    arms = [share_right("majority", 985, 1000), share_right("adapter", 985, 1000)]
    assert verdict_on(*arms).verdict is Verdict.CLASSICAL


class Plain(Task):
    """Say it plainly."""

    text: Input[str]
    plain: Target[str]


def test_an_adapter_that_only_copies_is_no_sign_of_wrong_labels() -> None:
    golds = [f"The cat {number} sat on the mat." for number in range(40)]
    asked = [EvalQuestion(id=f"q{n}", prompt=(), golds=({"plain": gold},)) for n, gold in enumerate(golds)]
    copies = evaluate(Plain, asked, [gold.replace("cat", "old cat") for gold in golds])
    copying = [arm_of("majority", copies, title="the input, copied unchanged"), arm_of("adapter", copies)]
    found = verdict_on(*copying)
    assert (found.verdict, found.rule) == (Verdict.MORE_DATA, "no_better_than_copying")
    assert f"than the input, copied unchanged ({copies.score})" in found.reasons[0]
    assert verdict_on(copying[0], arm_of("adapter", evaluate(Plain, asked, golds))).verdict is Verdict.TUNE


@pytest.mark.parametrize(
    ("noise", "low", "right", "rule"),
    [
        (0.06, 0.055, 890, "wrong_labels"),
        (0.06, 0.055, 880, "compared"),
        (0.06, 0.045, 910, "compared"),
        (0.04, 0.035, 930, "compared"),
    ],
)
def test_wrong_labels_come_first_where_they_are_for_sure_half_of_what_is_wrong(
    noise: float, low: float, right: int, rule: str
) -> None:
    audited = Estimate(value=noise, low=low, high=2 * noise)
    found = verdict_on(share_right("linear", 500, 1000), share_right("adapter", right, 1000), noise=audited)
    assert found.rule == rule
    if rule == "wrong_labels":
        assert found.verdict is Verdict.FIX_LABELS
        assert f"{audited} of the answers are wrong" in found.reasons[0]
        assert "the adapter, gets 11.0% wrong" in found.reasons[0] and "above 94.0%" in found.reasons[0]
        assert "`goldleaf curate`" in found.next_step


def test_one_wrong_row_of_twenty_audited_ones_is_noted_and_decides_nothing() -> None:
    """Both arms are judged by the same rows: 52 points between them are not the test rows' errors."""
    arms, audit = (share_right("linear", 400, 1000), share_right("adapter", 920, 1000)), wilson(1, 20)
    found = verdict_on(*arms, noise=audit, audited=20)
    assert (found.verdict, found.arm, found.rule) == (Verdict.TUNE, "adapter", "compared")
    assert found.reasons[-1] == (
        f"The audit says that {audit} of the test answers are wrong, which may be at least half of the 8.0% that the "
        "best arm, the adapter, gets wrong; too few rows were audited to tell. Let annotators answer more audit "
        "questions: raise review.audit, run `goldleaf curate` and `goldleaf collect`, and then `goldleaf finetune` "
        "again."
    )
    arms = (arms[0], share_right("adapter", 900, 1000))
    told = verdict_on(*arms, noise=wilson(2, 20), audited=20)
    assert told.verdict is Verdict.TUNE and "answer about 53 more audit questions" in told.reasons[-1]
    assert verdict_on(*arms, noise=wilson(8, 73), audited=73).rule == "wrong_labels"


def test_more_rows_are_no_advice_where_the_labels_may_be_what_is_missing() -> None:
    arms = (share_right("linear", 400, 1000), share_right("adapter", 900, 1000))
    assert verdict_on(*arms, limits={"target": 0.97}).rule == "target_missed"
    found = verdict_on(*arms, limits={"target": 0.97}, noise=wilson(2, 20), audited=20)
    assert (found.verdict, found.rule, found.arm) == (Verdict.UNDECIDED, "labels_open", "")
    assert found.reasons[0].endswith("too few rows were audited to tell.")
    assert found.reasons[1].startswith("Nothing reaches 97.0%")
    assert found.next_step.startswith("Let annotators answer about 53 more audit questions: raise review.audit")


# --- how many groups? -----------------------------------------------------------------------------
def test_questions_about_five_contracts_decide_nothing() -> None:
    found = verdict_on(LINEAR, ADAPTER, groups=5)
    assert (found.verdict, found.rule, found.arm) == (Verdict.UNDECIDED, "too_few_groups", "")
    assert found.reasons[0].startswith(
        "The 1,000 test questions are of 5 groups (split.group_by, or rows that resemble"
    )
    assert "of fewer than 6" in found.reasons[0] and "split.fractions" in found.next_step
    for enough in (6, None):
        assert verdict_on(LINEAR, ADAPTER, groups=enough).verdict is Verdict.TUNE


# --- which arm is enough? -------------------------------------------------------------------------
def test_an_adapter_that_is_better_by_enough_was_worth_it() -> None:
    found = verdict_on(LINEAR, ADAPTER)
    assert (found.verdict, found.rule, found.arm) == (Verdict.TUNE, "compared", "adapter")
    said = found.reasons[0]
    assert said.startswith("The adapter scores 90.0% (88.0% to 91.7%), a linear model on TF-IDF 80.0% (77.4% to 82.4%)")
    assert "a difference of +10.0 points on 1,000 questions (95% interval +8.0 to +11.8; McNemar p < 0.001)" in said
    assert found.next_step == "Serve the adapter; its card shows how."


def test_few_rows_make_an_adapter_worth_a_second_look() -> None:
    found = verdict_on(LINEAR, ADAPTER, train_rows=999)
    assert found.verdict is Verdict.TUNE
    assert found.reasons[-1].startswith("It has learned from 999 rows; fine-tuning usually pays from thousands on")
    assert "999" not in parts(verdict_on(share_right("linear", 950, 1000), ADAPTER, train_rows=999))
    assert len(verdict_on(LINEAR, ADAPTER, train_rows=1000).reasons) == len(found.reasons) - 1
    assert "`goldleaf finetune --curve --seeds 3`" in found.reasons[-1]
    untold = Curve(arm="adapter", title="the adapter", measured=(), is_untold=True)
    again = verdict_on(LINEAR, ADAPTER, train_rows=999, curve=untold).reasons[-1]
    assert "`goldleaf finetune --seeds 3`" in again, "the curve is there, and has no forecast"


def test_an_adapter_whose_other_seeds_are_no_better_is_not_better_for_sure() -> None:
    def seeds(*values: float) -> tuple[SeedScore, ...]:
        scores = (Estimate(value=value, low=value, high=value) for value in values)
        return tuple(SeedScore(seed=17 + number, score=score) for number, score in enumerate(scores))

    assert verdict_on(LINEAR, ADAPTER, seeds=seeds(0.90, 0.81)).verdict is Verdict.TUNE
    assert verdict_on(LINEAR, ADAPTER, seeds=seeds(0.90, 0.79)).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("cheap", "verdict"),
    [("linear", Verdict.CLASSICAL), ("nearest", Verdict.CLASSICAL), ("few_shot", Verdict.PROMPT)],
)
def test_a_cheaper_arm_that_is_as_good_is_enough(cheap: str, verdict: Verdict) -> None:
    found = verdict_on(share_right(cheap, 900, 1000), ADAPTER)
    assert (found.verdict, found.arm, found.rule) == (verdict, cheap, "compared")
    assert (
        found.next_step
        == {
            "linear": "Use it: the adapter's card shows how to fit it in a few lines.",
            "nearest": "Use the nearest training row; it needs no model.",
            "few_shot": "Keep the prompt and the retrieved examples; train nothing.",
        }[cheap]
    )
    assert "a difference of +0.0 points on 1,000 questions" in found.reasons[0]


def test_an_adapter_that_is_worse_was_not_worth_it() -> None:
    found = verdict_on(share_right("linear", 950, 1000), ADAPTER)
    assert (found.verdict, found.arm) == (Verdict.CLASSICAL, "linear")
    assert "a difference of +5.0 points" in found.reasons[0]


def test_a_gain_below_the_margin_is_none() -> None:
    arms = (share_right("linear", 2700, 3000), share_right("adapter", 2730, 3000))
    assert verdict_on(*arms).verdict is Verdict.CLASSICAL
    assert verdict_on(*arms, limits={"margin": 0.01}).verdict is Verdict.TUNE


def test_the_best_of_each_family_speaks_for_it() -> None:
    rights = {"majority": 60, "linear": 160, "nearest": 140, "zero_shot": 20, "adapter": 180, "adapter_free": 170}
    found = verdict_on(*(share_right(name, right, 200) for name, right in rights.items()))
    assert found.arm == "adapter"
    assert "a linear model" in parts(found) and "nearest" not in parts(found) and "freely" not in parts(found)


def test_what_cannot_be_told_apart_is_undecided_and_the_questions_that_would_decide_are_named() -> None:
    arms = (spread("linear", 0.80, 200), spread("adapter", 0.83, 200, seed=1))
    found = verdict_on(*arms)
    assert (found.verdict, found.rule, found.arm) == (Verdict.UNDECIDED, "too_close", "")
    assert found.reasons[0] == (
        "Whether the adapter is better than a linear model on TF-IDF cannot be told on these test questions: the gain "
        "is not below the 2.0 points that matter, but its interval does not lie above 0."
    )
    assert "+3.0 points on 200 questions" in found.reasons[1]
    needed = int(found.next_step.split()[1].replace(",", ""))
    assert found.next_step.startswith(f"About {needed:,} test questions would decide, instead of 200: add rows")
    assert 1000 < needed < 5000
    many = verdict_on(spread("linear", 0.80, needed * 2), spread("adapter", 0.83, needed * 2, seed=1))
    assert many.verdict is Verdict.TUNE, "with these it is decided"


def test_what_is_certain_of_an_undecided_verdict_comes_first() -> None:
    cheap, dear = spread("linear", 0.80, 200), spread("adapter", 0.83, 200, seed=1)
    found = verdict_on(cheap.model_copy(update={"latency": 0.0005}), dear.model_copy(update={"latency": 0.5}))
    assert found.rule == "too_close" and found.reasons[1].startswith("Whether the adapter is better")
    [high] = re.findall(r"95% interval -[\d.]+ to \+([\d.]+)", found.reasons[2])
    assert found.reasons[0] == (
        f"The gain of the adapter over a linear model on TF-IDF is at most {high} points, at 1,000 times the latency: "
        "unless that is worth it to you, take a linear model on TF-IDF."
    )


@pytest.mark.parametrize(
    ("questions", "better", "worse", "least", "most"),
    # Of few answers that differ, two more are taken into each interval, so that more questions help twice.
    [(112, 5, 0, 45, 60), (400, 24, 12, 42, 56), (200, 10, 9, 42, 56)],
)
def test_as_many_questions_as_are_named_decide_four_times_in_five(
    questions: int, better: int, worse: int, least: int, most: int
) -> None:
    """Five more right answers among 112: other 124 would decide half of the time only."""
    place, asked = np.arange(questions), np.ones(questions)
    after = np.column_stack([place >= worse, asked])
    before = np.column_stack([(place < worse) | (place >= worse + better), asked])
    evidence = evidence_of(share_right("linear", questions - better, questions), share_right("adapter", 1, questions))
    needed = evidence.questions_needed(bootstrap(after, before), questions)
    assert needed is not None
    chance = np.random.default_rng(17)
    gains = [bootstrap(after[drawn], before[drawn]) for drawn in chance.integers(0, questions, (60, needed))]
    margin = evidence.margin
    decided = sum((gain.is_sure and gain.value >= margin) or gain.high < margin for gain in gains)
    assert least <= decided <= most


def test_questions_that_slow_arms_were_not_asked_can_be_asked() -> None:
    arms = (spread("few_shot", 0.80, 200), spread("adapter", 0.83, 1000, seed=1))
    assert verdict_on(*arms, test_rows=300).next_step == (
        "`goldleaf finetune --slow-rows 300` asks all arms about 300 questions instead of 200."
    )
    asked = int(verdict_on(*arms, test_rows=30_000).next_step.split("--slow-rows ")[1].split("`")[0])
    assert 300 < asked < 30_000, "as many as would decide, and not all"


def test_questions_that_nothing_can_be_asked_are_not_promised() -> None:
    """Of 400 test rows 200 are left out, for all arms alike: a larger sample for slow arms would change nothing."""
    arms = (spread("few_shot", 0.80, 200), spread("adapter", 0.83, 200, seed=1))
    step = verdict_on(*arms, test_rows=400).next_step
    assert "--slow-rows" not in step and "test questions would decide, instead of 200: add rows" in step


def test_more_questions_than_there_are_are_never_asked_for_in_vain() -> None:
    """Where the gain is what matters and hardly more, no usual test split decides."""
    found = verdict_on(spread("linear", 0.800, 1000), spread("adapter", 0.8199, 1000, seed=1))
    assert found.rule == "too_close"
    near = verdict_on(
        answered("linear", [n % 50 != 0 for n in range(1000)]),
        answered("adapter", [n >= 1 for n in range(1000)]),
        limits={"margin": 0.0195},
    )
    assert "verdict.margin" in near.next_step and "as large as the one that matters" in near.next_step


def test_an_adapter_that_beats_the_linear_model_must_beat_a_prompt_that_may_be_as_good() -> None:
    linear, adapter = spread("linear", 0.80, 1000), spread("adapter", 0.90, 1000, seed=1)
    prompt = spread("few_shot", 0.86, 60, seed=2)
    found = verdict_on(linear, prompt, adapter)
    assert (found.verdict, found.rule) == (Verdict.UNDECIDED, "too_close")
    assert "the adapter is better than the base model, prompted" in found.reasons[0]
    assert verdict_on(linear, adapter).verdict is Verdict.TUNE
    weak = verdict_on(linear, spread("few_shot", 0.4, 60, seed=2), adapter)
    assert weak.verdict is Verdict.TUNE
