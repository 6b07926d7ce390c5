"""A loss is judged on the tokens that there are, and its interval promises no more than the rows can tell."""

import json
import math

import numpy as np
import pytest
from assessed import evidence_of, lost

from pipeline.errors import TrainingError
from pipeline.evaluation.estimates import Estimate, bootstrap, loss_estimate, ratio_estimate
from pipeline.evaluation.estimates import Unit as Of
from pipeline.finetuning.evaluate import Evaluation, compare_models
from pipeline.ladder.judgement import Verdict
from pipeline.ladder.verdict import judge


def judged(*losses: tuple[float, float]) -> Evaluation:
    """An evaluation of as many rows, by nats and tokens of each."""
    return lost("adapter", losses).evaluation


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([(10.0, 5.0)], [(5.0, 5.0)]),
        ([(10.0, 5.0)] * 3, [(9.99, 5.0)] * 3),
        ([(10.0, 5.0)] * 30, [(5.0, 5.0)] * 30),
        ([(10.0, 5.0), (7.0, 3.0), (8.0, 2.0)], [(5.0, 5.0), (4.0, 3.0), (3.0, 2.0)]),
    ],
    ids=["one row", "three alike", "thirty alike", "three"],
)
def test_few_rows_or_rows_that_are_all_alike_prove_nothing(
    before: list[tuple[float, float]], after: list[tuple[float, float]]
) -> None:
    compared = compare_models(judged(*before), judged(*after))
    assert (compared.difference.low, compared.difference.high) == (-math.inf, math.inf)
    assert str(compared).startswith("-") and "nats per token (too few rows for an interval); " in str(compared)
    arms = [lost("zero_shot", before), lost("adapter", after)]
    found = evidence_of(*arms)
    assert not found.is_better(arms[1], arms[0]) and not found.is_enough(arms[0], arms[1])
    assert judge(found).verdict is Verdict.UNDECIDED
    assert str(judged(*before).score).endswith(" (too few rows for an interval)") == (
        len(before) < 6 or len(set(before)) == 1
    )


def test_two_models_with_the_same_losses_are_said_to_be_the_same() -> None:
    losses = [(10.0, 5.0)] * 20
    assert str(compare_models(judged(*losses), judged(*losses))) == "the same on all 20 questions"


def test_an_estimate_without_bounds_survives_json() -> None:
    score = judged((10.0, 5.0)).score
    assert score.model_dump(mode="json") == {"value": 2, "low": None, "high": None, "unit": "nats"}
    assert Estimate.model_validate_json(score.model_dump_json()) == score
    assert Evaluation.model_validate_json(judged((10.0, 5.0)).model_dump_json()).score == score
    json.loads(judged((10.0, 5.0)).model_dump_json(), parse_constant=pytest.fail)


def test_a_reason_s_interval_counts_the_way_its_difference_does() -> None:
    before = [(2.0 * tokens + tokens % 3, float(tokens)) for tokens in range(4, 44)]
    after = [(1.2 * tokens, float(tokens)) for tokens in range(4, 44)]
    better, worse = compare_models(judged(*before), judged(*after)), compare_models(judged(*after), judged(*before))
    low, high = sorted((-better.difference.low, -better.difference.high))
    value = -better.difference.value
    assert 0 < low < value < high
    assert str(better) == f"{-value:+.3f} nats per token ({-high:+.3f} to {-low:+.3f}); 40 better, 0 worse"
    assert str(worse) == f"{value:+.3f} nats per token ({low:+.3f} to {high:+.3f}); 0 better, 40 worse"
    # A verdict speaks of gains, whatever the metric counts.
    amount = f"a difference of {value:+.3f} nats per token on 40 questions (95% interval {low:+.3f} to {high:+.3f};"
    for arms in ((before, after), (after, before)):
        found = evidence_of(lost("zero_shot", arms[0]), lost("adapter", arms[1]))
        assert amount in judge(found).reasons[0]


def test_a_row_without_tokens_counts_nowhere_and_is_counted() -> None:
    rows = [(12.0, 4.0), (6.0, 3.0), (9.0, 6.0), (5.0, 4.0), (7.0, 2.0), (3.0, 1.0)]
    without, with_empty = judged(*rows), judged((0.0, 0.0), *rows, (0.0, 0.0))
    assert with_empty.score == without.score
    assert (with_empty.questions, with_empty.unjudged, without.unjudged) == (6, 2, 0)
    compared = compare_models(
        with_empty, judged((0.0, 0.0), *[(nats / 2, tokens) for nats, tokens in rows], (0.0, 0.0))
    )
    assert (compared.better, compared.worse, compared.same) == (6, 0, 0)


def test_no_row_with_tokens_is_an_error_with_a_next_step() -> None:
    with pytest.raises(
        TrainingError, match=r"No test row has a turn .* to judge within finetune\.max_length; raise it"
    ):
        judged((0.0, 0.0), (0.0, 0.0))


def test_the_interval_of_equal_tokens_is_student_s() -> None:
    from scipy import stats

    nats = np.random.default_rng(3).lognormal(size=12)
    found = loss_estimate(np.column_stack([nats, np.ones(12)]))
    peer = stats.t.interval(0.95, 11, nats.mean(), stats.sem(nats))
    assert (found.low, found.high) == pytest.approx(peer)


@pytest.mark.parametrize("rows", [6, 40])
def test_nineteen_of_twenty_intervals_hold_the_true_loss(rows: int) -> None:
    chance, held = np.random.default_rng(5), 0
    for _ in range(400):
        tokens = chance.integers(5, 60, rows).astype(float)
        before, after = tokens * chance.gamma(9, 1 / 3, rows), tokens * chance.gamma(9, 2.5 / 9, rows)
        found = loss_estimate(np.column_stack([after, tokens]), np.column_stack([before, tokens]))
        held += found.low <= -0.5 <= found.high
    assert held > 0.9 * 400


def test_a_loss_is_never_said_to_be_below_nothing() -> None:
    rows = np.array([[0.0, 5.0]] * 9 + [[40.0, 5.0]])
    found = ratio_estimate(rows, Of.NATS)
    assert found.low == 0 < found.value < found.high


def test_few_rows_tell_no_models_apart_however_they_are_scored() -> None:
    before, after = (np.column_stack([shares, np.ones(5)]) for shares in ([0.6, 0.5, 0.4, 0.5, 0.6], [0.9] * 5))
    assert not bootstrap(after, minus=before).is_bounded
    assert bootstrap(np.vstack([after] * 2), minus=np.vstack([before] * 2)).low > 0


@pytest.mark.parametrize("rows", [6, 10, 40])
def test_models_that_do_not_differ_are_seldom_told_apart(rows: int) -> None:
    chance, told_apart = np.random.default_rng(11), 0
    for _ in range(200):
        before, after = (np.column_stack([chance.beta(2, 2, rows), np.ones(rows)]) for _ in range(2))
        found = bootstrap(after, minus=before)
        told_apart += not found.low <= 0 <= found.high
    assert told_apart < 0.1 * 200
