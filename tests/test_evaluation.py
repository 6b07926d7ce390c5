"""Scores are what one gets by hand, and intervals hold what they promise."""

import datetime
import warnings
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field
from sklearn.metrics import precision_recall_fscore_support

from pipeline.errors import TrainingError
from pipeline.evaluation.estimates import Unit, bootstrap, ratio_estimate, wilson
from pipeline.evaluation.scores import PartMetric
from pipeline.finetuning.evaluate import EvalQuestion, Evaluation, compare_models, evaluate, questions
from pipeline.finetuning.examples import Example
from schemas.message import Message, Speaker
from schemas.task import Input, Target, Task


class Fruit(Task):
    """Name the fruit."""

    text: Input[str]
    kind: Target[Literal["apple", "pear", "plum"]]


class Order(Task):
    """Extract the order."""

    text: Input[str]
    city: Target[str]
    amount: Target[float]
    due: Target[datetime.date | None] = None
    tags: Target[list[str]] = Field(default_factory=list)


ASKED = (Message(role=Speaker.USER, content="?"),)


def ask(task: type[Task], *rows: dict[str, Any]) -> list[EvalQuestion]:
    return questions(task, [Example(str(number), ASKED, (), fields) for number, fields in enumerate(rows)])


def fruits(*golds: str) -> list[EvalQuestion]:
    return ask(Fruit, *({"text": f"t{number}", "kind": gold} for number, gold in enumerate(golds)))


def test_accuracy_and_the_scores_of_each_class_are_those_one_counts_by_hand() -> None:
    asked = fruits("apple", "apple", "apple", "pear", "pear", "plum")
    result = evaluate(Fruit, asked, ["apple", "apple", "pear", "pear", " pear\n", "apple"])

    assert result.metric == "accuracy"
    assert result.score == result.exact
    assert result.score.value == pytest.approx(4 / 6)
    apple, pear, plum = result.parts
    assert (apple.name, apple.precision, apple.recall, apple.support) == ("apple", 2 / 3, 2 / 3, 3)
    assert (pear.name, pear.precision, pear.recall, pear.f1) == ("pear", 2 / 3, 1.0, pytest.approx(0.8))
    assert (plum.name, plum.precision, plum.recall, plum.f1, plum.support) == ("plum", 0.0, 0.0, 0.0, 1)
    assert result.macro_f1 == pytest.approx((2 / 3 + 0.8 + 0) / 3)


def test_a_part_s_recall_and_its_f1_are_told_apart() -> None:
    apple = evaluate(Fruit, fruits("apple", "apple", "apple"), ["apple", "pear", "pear"]).parts[0]
    assert PartMetric.RECALL.of(apple) == apple.recall == pytest.approx(1 / 3)
    assert PartMetric.F1.of(apple) == apple.f1 == pytest.approx(1 / 2)


def test_the_wilson_interval_is_that_of_the_textbook() -> None:
    # 8 of 10: 0.490 to 0.943 (Wilson 1927; also in Newcombe 1998, method 3).
    result = evaluate(Fruit, fruits(*["apple"] * 10), ["apple"] * 8 + ["pear"] * 2)

    assert (round(result.score.low, 3), round(result.score.high, 3)) == (0.490, 0.943)


def test_an_interval_is_never_a_point_where_all_answers_are_right() -> None:
    result = evaluate(Fruit, fruits(*["apple"] * 20), ["apple"] * 20)

    assert result.score.high == 1.0
    assert result.score.low == pytest.approx(0.839, abs=0.001)


def test_the_most_common_confusions_come_first() -> None:
    asked = fruits("apple", "apple", "apple", "pear", "plum")
    result = evaluate(Fruit, asked, ["pear", "pear", "plum", "apple", "plum"])

    assert [(c.gold, c.answered, c.count) for c in result.confusions] == [
        ("apple", "pear", 2),
        ("apple", "plum", 1),
        ("pear", "apple", 1),
    ]


def test_an_unreadable_answer_is_wrong_and_is_named() -> None:
    result = evaluate(Fruit, fruits("apple", "pear"), ["apple", "It is a pear."])

    assert (result.unreadable, result.unreadable_ids) == (1, ("1",))
    assert result.score.value == 0.5
    assert result.confusions == ()  # it was taken for no other class
    assert result.outcomes[1].answer == "It is a pear."


def test_any_of_several_gold_answers_is_right_and_the_input_counts_once() -> None:
    asked = ask(
        Fruit, {"text": "same", "kind": "apple"}, {"text": "other", "kind": "plum"}, {"text": "same", "kind": "pear"}
    )

    assert [question.id for question in asked] == ["0", "1"]
    assert asked[0].golds == ({"kind": "apple"}, {"kind": "pear"})
    for answer in ("apple", "pear"):
        assert evaluate(Fruit, asked, [answer, "plum"]).score.value == 1.0
    wrong = evaluate(Fruit, asked, ["plum", "plum"])
    assert wrong.questions == 2
    assert wrong.score.value == 0.5
    assert sum(part.support for part in wrong.parts) == 2


def test_strictly_an_answer_is_right_for_only_one_of_the_rows_that_ask_alike() -> None:
    rows = [{"text": "same", "kind": kind} for kind in ("apple", "pear")] + [{"text": "other", "kind": "plum"}]
    result = evaluate(Fruit, ask(Fruit, *rows), ["apple", "plum"])
    [strict] = result.measures
    assert (strict.name, strict.value.value) == ("strict accuracy", pytest.approx(2 / 3))
    assert result.score.value == 1.0
    assert evaluate(Fruit, ask(Fruit, *rows[1:]), ["apple", "plum"]).measures == ()


def test_the_interval_of_strict_accuracy_is_as_wide_as_groups_make_it() -> None:
    rows = [{"text": f"t{number}", "kind": kind} for number in range(40) for kind in ("apple", "pear")]
    asked, answers = ask(Fruit, *rows), ["apple"] * 20 + ["plum"] * 20
    grouped = [one.model_copy(update={"group": f"g{number // 10}"}) for number, one in enumerate(asked)]
    [alone], [together] = (evaluate(Fruit, questions, answers).measures for questions in (asked, grouped))
    assert together.value.low < alone.value.low < alone.value.high < together.value.high


def test_a_repeated_row_adds_no_gold_answer() -> None:
    (question,) = ask(Fruit, {"text": "same", "kind": "apple"}, {"text": "same", "kind": "apple"})

    assert len(question.golds) == 1


def test_field_f1_counts_pairs_of_field_and_value() -> None:
    asked = ask(
        Order,
        {"text": "a", "city": "Bonn", "amount": 3.5, "due": datetime.date(2026, 5, 1), "tags": ["x", "y"]},
        {"text": "b", "city": "Ulm", "amount": 1, "due": None, "tags": []},
    )
    answers = [
        '{"city":"Bonn","amount":3.50,"due":"2026-05-02","tags":["y","z"]}',  # hits: city, amount, y of 5 and 5
        '{"city":"Ulm","amount":1}',  # 2 of 2 and 2
    ]
    result = evaluate(Order, asked, answers)

    assert result.metric == "field_f1"
    assert result.score.value == pytest.approx(2 * 5 / (7 + 7))
    assert result.exact.value == 0.5
    scores = {part.name: (part.precision, part.recall, part.support) for part in result.parts}
    assert scores == {"city": (1, 1, 2), "amount": (1, 1, 2), "due": (0, 0, 1), "tags": (0.5, 0.5, 2)}
    assert result.confusions == ()


def test_an_unreadable_extraction_misses_every_value() -> None:
    asked = ask(Order, {"text": "a", "city": "Bonn", "amount": 3.5})
    result = evaluate(Order, asked, ['{"city":"Bonn"'])

    assert (result.unreadable, result.score.value, result.exact.value) == (1, 0.0, 0.0)


def test_a_field_that_is_neither_expected_nor_answered_is_perfect() -> None:
    asked = ask(Order, {"text": "a", "city": "Bonn", "amount": 3.5})
    result = evaluate(Order, asked, ['{"city":"Bonn","amount":3.5}'])

    assert {part.f1 for part in result.parts} == {1.0}


def test_of_several_gold_extractions_the_nearest_one_counts() -> None:
    asked = ask(Order, {"text": "a", "city": "Bonn", "amount": 3.5}, {"text": "a", "city": "Ulm", "amount": 9})
    result = evaluate(Order, asked, ['{"city":"Ulm","amount":8}'])

    assert result.outcomes[0].gold["city"] == "Ulm"
    assert result.score.value == 0.5


def test_nothing_to_evaluate_on_is_an_error_with_a_next_step() -> None:
    with pytest.raises(TrainingError, match=r"no rows to evaluate on.*split\.fractions"):
        evaluate(Fruit, [], [])


def test_a_comparison_pairs_the_answers() -> None:
    asked = fruits("apple", "pear", "plum", "plum")
    before = evaluate(Fruit, asked, ["apple", "apple", "?", "plum"])
    after = evaluate(Fruit, asked, ["pear", "pear", "plum", "plum"])
    result = compare_models(before, after)

    assert (result.better, result.worse, result.same) == (2, 1, 1)
    assert result.difference.value == pytest.approx(0.25)
    assert result.difference.low < 0.25 < result.difference.high
    assert str(result).startswith("+25.0 points (")
    assert str(result).endswith("2 better, 1 worse")


def test_a_bound_is_shown_on_the_side_of_zero_that_it_is_on() -> None:
    shown = [Unit.SHARE.shown_change(change, "+") for change in (-0.00002, 0.0, 0.012, -0.00061)]
    assert shown == ["-0.002", "+0.0", "+1.2", "-0.1"]
    assert Unit.NATS.shown_change(0.00004, "+") == "+0.00004"
    assert Unit.SHARE.shown_change(0.00002) == "0.0"


def test_the_difference_has_the_95_percent_interval_of_its_standard_error() -> None:
    asked = fruits(*["apple"] * 400)
    before = evaluate(Fruit, asked, ["pear"] * 400)
    after = evaluate(Fruit, asked, ["apple", "pear"] * 200)
    difference = compare_models(before, after).difference
    assert difference.high - difference.low == pytest.approx(2 * 1.96 * (0.5 * 0.5 / 400) ** 0.5, rel=0.08)


def test_a_field_that_is_neither_expected_nor_given_does_not_count_as_perfect() -> None:
    asked = ask(Order, {"text": "x", "city": "Bonn", "amount": 1})
    assert evaluate(Order, asked, ['{"city":"Ulm","amount":2}']).macro_f1 == 0


def test_a_model_compared_with_itself_differs_by_nothing_as_far_as_one_can_tell() -> None:
    result = evaluate(Fruit, fruits(*["apple", "pear", "plum"] * 2), ["apple", "apple", "plum"] * 2)
    same = compare_models(result, result)

    assert same.difference.value == 0
    assert -1 < same.difference.low < 0 < same.difference.high < 1, "no question tells them apart, but there are few"
    assert (same.better, same.worse, same.same) == (0, 0, 6)


def test_different_questions_cannot_be_compared() -> None:
    one = evaluate(Fruit, fruits("apple"), ["apple"])
    two = evaluate(Fruit, fruits("apple", "pear"), ["apple", "pear"])

    with pytest.raises(TrainingError, match="of 1 and 2 questions cannot be compared; evaluate both on the same"):
        compare_models(one, two)


def test_an_evaluation_survives_json() -> None:
    asked = ask(Order, {"text": "a", "city": "Bonn", "amount": 3.5, "tags": ["x"]})
    result = evaluate(Order, asked, ['{"city":"Bonn","amount":4,"tags":["x"]}'])

    assert Evaluation.model_validate_json(result.model_dump_json()) == result
    assert result.model_validate_json(result.model_dump_json(exclude={"outcomes"})).outcomes == ()


FEWER = settings(max_examples=40)  # the bootstrap is slow
KINDS = st.sampled_from(["apple", "pear", "plum"])
ANSWERS = st.lists(st.tuples(KINDS, KINDS), min_size=1, max_size=30)


@FEWER
@given(ANSWERS)
def test_class_scores_agree_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    golds, answers = [gold for gold, _ in pairs], [answer for _, answer in pairs]
    result = evaluate(Fruit, fruits(*golds), answers)

    labels = [part.name for part in result.parts]
    assert labels == sorted({*golds, *answers})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that occur on one side only
        expected = precision_recall_fscore_support(golds, answers, labels=labels, zero_division=0)
    ours = [[p.precision, p.recall, p.f1, p.support] for p in result.parts]
    for mine, theirs in zip(ours, zip(*expected, strict=True), strict=True):
        assert mine == pytest.approx(theirs)


@FEWER
@given(ANSWERS)
def test_every_interval_holds_its_value_and_stays_between_0_and_1(pairs: list[tuple[str, str]]) -> None:
    result = evaluate(Fruit, fruits(*(gold for gold, _ in pairs)), [answer for _, answer in pairs])

    assert 0 <= result.score.low <= result.score.value <= result.score.high <= 1


@FEWER
@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_the_questions_does_not_matter_to_accuracy(pairs: list[tuple[str, str]], chance: Any) -> None:
    asked = fruits(*(gold for gold, _ in pairs))
    together = list(zip(asked, [answer for _, answer in pairs], strict=True))
    straight = evaluate(Fruit, asked, [answer for _, answer in together])
    chance.shuffle(together)
    shuffled = evaluate(Fruit, [question for question, _ in together], [answer for _, answer in together])

    assert shuffled.model_dump(exclude={"outcomes", "unreadable_ids"}) == straight.model_dump(
        exclude={"outcomes", "unreadable_ids"}
    )


@FEWER
@given(st.lists(st.tuples(st.sampled_from(["Bonn", "Ulm"]), st.integers(0, 3)), min_size=1, max_size=8))
def test_gold_answers_read_back_score_perfectly(orders: list[tuple[str, int]]) -> None:
    asked = ask(Order, *({"text": str(n), "city": c, "amount": a} for n, (c, a) in enumerate(orders)))
    result = evaluate(Order, asked, [Order.task_answer(question.golds[0]) for question in asked])

    score = result.score
    assert score.value == 1
    if len(asked) < 6:
        assert not score.is_bounded, "a few perfect answers prove nothing"
    else:
        assert 0 < score.low < 1 == score.high, "some perfect answers prove little"
    assert (result.exact.value, result.macro_f1, result.unreadable) == (1, 1, 0)


@FEWER
@given(ANSWERS)
def test_gains_and_losses_swap_with_the_sides(pairs: list[tuple[str, str]]) -> None:
    asked = fruits(*("apple" for _ in pairs))
    before = evaluate(Fruit, asked, [one for one, _ in pairs])
    after = evaluate(Fruit, asked, [other for _, other in pairs])
    there, back = compare_models(before, after), compare_models(after, before)

    assert (there.better, there.worse) == (back.worse, back.better)
    assert there.better + there.worse + there.same == len(pairs)
    assert there.difference.value == pytest.approx(-back.difference.value)
    assert there.difference.value == pytest.approx((there.better - there.worse) / len(pairs))


def of_changes(changes: list[float], possible: float = 1.0) -> tuple[Any, Any]:
    """Both sides of questions that earn so much more the second time, of 0.5 each."""
    before = [(0.5 * possible, possible)] * len(changes)
    return np.array([((0.5 + change) * possible, possible) for change in changes]), np.array(before)


@pytest.mark.parametrize("size", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("asked", [30, 100, 400])
def test_a_difference_is_sure_where_as_many_answers_differ_as_a_test_of_signs_needs(size: float, asked: int) -> None:
    """Six better ones and none worse have p = 0.03, four p = 0.13: whatever they are worth, and of how many."""
    four, eight = (bootstrap(*of_changes([size / 2] * some + [0.0] * (asked - some))) for some in (4, 8))
    assert four.low <= 0 < eight.low
    assert four.high < 0.5 * size, "the interval is as wide as the differences, not as all that is possible"


def test_a_difference_of_all_questions_is_hardly_wider_for_the_two_that_are_added() -> None:
    changes = np.random.default_rng(3).normal(0.05, 0.1, 400)
    found = bootstrap(*of_changes(changes.tolist(), possible=7.0))
    reach = 1.96 * changes.std() / np.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.1)
    assert (found.high + found.low) / 2 == pytest.approx(changes.mean(), abs=0.1 * reach)


def in_documents(right: list[bool], size: int) -> Evaluation:
    """Answers about documents, so many about each, one after another."""
    asked = fruits(*("apple" for _ in right))
    grouped = [one.model_copy(update={"group": f"document {place // size}"}) for place, one in enumerate(asked)]
    return evaluate(Fruit, grouped, ["apple" if one else "pear" for one in right])


def test_questions_about_one_document_count_as_far_as_they_say_more_than_one() -> None:
    """40 documents that are answered rightly or wrongly as a whole say as much as 40 questions."""
    right = [place % 40 < 30 for place in range(400)]
    whole = in_documents(sorted(right), 10)
    alone = wilson(30, 40)
    assert whole.score.value == pytest.approx(0.75)
    assert (whole.score.low, whole.score.high) == (
        pytest.approx(alone.low, abs=0.01),
        pytest.approx(alone.high, abs=0.01),
    )
    assert in_documents(right, 10).score.low < in_documents(right, 1).score.low == wilson(300, 400).low
    # Where documents differ less than chance would have it, that is chance.
    even, every = in_documents([place % 4 > 0 for place in range(400)], 10).score, wilson(300, 400)
    assert (even.low, even.high) == (pytest.approx(every.low, abs=0.002), pytest.approx(every.high, abs=0.002))


def test_a_difference_that_comes_from_few_documents_is_less_sure() -> None:
    before = [place % 2 == 0 for place in range(400)]
    after = [one or place < 20 for place, one in enumerate(before)]
    sure, unsure = (compare_models(in_documents(before, size), in_documents(after, size)) for size in (1, 20))
    assert sure.difference.value == unsure.difference.value == pytest.approx(0.025)
    assert sure.difference.low > 0 > unsure.difference.low, "all ten better answers are about one document"


def test_the_group_of_a_row_is_that_of_its_question() -> None:
    rows = [Example("a", ASKED, (), {"text": "t", "kind": "apple"}, group="contract 1")]
    assert [one.group for one in questions(Fruit, rows)] == ["contract 1"]


def test_arms_that_are_equally_good_are_seldom_told_apart_where_few_answers_differ() -> None:
    chance, apart = np.random.default_rng(4), 0
    for _ in range(150):
        draws = chance.random(120)
        before, after = (np.stack([right, np.ones(120)], 1) for right in ((draws > 0.02) * 1.0, (draws < 0.98) * 1.0))
        found = bootstrap(after, minus=before)
        apart += found.low > 0 or found.high < 0
    assert apart <= 4, "without the two questions more it were 9"


@pytest.mark.parametrize("earned", [[1.0, 1.0], [1.0, 0.99], [1.0, 0.0]])
def test_two_rows_have_an_interval_only_as_a_share_of_right_answers(earned: list[float]) -> None:
    """Whether a mean of similarities has one does not depend on whether they happen to be 0 and 1."""
    assert not ratio_estimate(np.array([(one, 1.0) for one in earned])).is_bounded
    assert wilson(1, 2).is_bounded
