"""What was learned from rewritten texts judges later ones: alike in any company, after any number of runs."""

import io
import random
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import rewritten
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rewrite_rule_examples import RULES
from rewritten import Pair, rows_of
from scored_rows import score_rewrites
from test_rewrites import ROWS, SETS, other_number, rules
from tried_examples import examples

from pipeline.kinds.interface import Kept, LabeledText, LabelScore
from pipeline.kinds.registry import kind_of
from pipeline.label_errors.rewrite_pairs import Known
from pipeline.label_errors.rewrite_rules import Rule
from pipeline.label_errors.rewrites import Rewrite, RewriteScore, judge_rewrites, learn_rewrites
from schemas.field import FreeText
from schemas.task import Input, Target, Task

PLAIN = rows_of(rewritten.plainer(300))
KEPT = learn_rewrites(PLAIN)[1]
GERMAN = learn_rewrites(rows_of(rewritten.german(400)))[1]
"""Of a set in which word pairs are learned."""

DOUBTED = rows_of([(about.original, about.doubted) for about in RULES.values()])
"""A later row for every rule."""

WORD_PAIRS = st.tuples(st.integers(0, 5), st.integers(0, 5))


def judged(rows: list[Rewrite], kept: Kept = KEPT, off: tuple[Rule, ...] = ()) -> list[RewriteScore]:
    found = judge_rewrites(rows, kept, off)
    assert found is not None
    return found


def alone(original: str, answer: str, kept: Kept = KEPT, off: tuple[Rule, ...] = ()) -> RewriteScore:
    return judged([Rewrite(original, answer, "new")], kept, off)[0]


def details(score: RewriteScore, rule: Rule) -> list[str]:
    return [finding.detail for finding in score.findings if finding.rule is rule]


# --- what is found --------------------------------------------------------------------------------
@pytest.mark.parametrize("rule", Rule)
def test_a_rule_doubts_its_example_in_a_later_row_as_in_the_set(rule: Rule) -> None:
    about = RULES[rule]
    found = alone(about.original, about.doubted)
    in_set = score_rewrites([*PLAIN, Rewrite(about.original, about.doubted, "new")])[-1]
    assert details(found, rule) == [about.detail]
    assert found.findings == in_set.findings
    assert found.score == pytest.approx(in_set.score, abs=0.05)


@pytest.mark.parametrize("rule", Rule)
def test_no_rule_doubts_a_sound_later_row(rule: Rule) -> None:
    assert alone(RULES[rule].original, RULES[rule].fine) == RewriteScore(0.0)


@pytest.mark.parametrize("name", SETS)
def test_hardly_any_sound_later_row_shows_anything(name: str) -> None:
    pairs = SETS[name](500)
    kept = learn_rewrites(rows_of(pairs[:300]))[1]
    # The longest of 200 may be longer than any of 300 others.
    assert sum(score.findings != () for score in judged(rows_of(pairs[300:]), kept)) <= 2


def test_an_answer_of_another_row_is_doubted_between_languages() -> None:
    [(original, answer)] = rewritten.german(1, seed=5)
    assert alone(original, answer, GERMAN).findings == ()
    [(_, strange)] = rewritten.german(1, seed=8)
    found = alone(original, strange, GERMAN)
    assert details(found, Rule.MEANING) == ["in the other rows, its words go with other originals"]


def test_what_half_of_the_set_does_is_no_finding_in_a_later_row() -> None:
    half = [(original, original) for original, _ in rewritten.plainer(200, seed=1)]
    kept = learn_rewrites(rows_of([*rewritten.plainer(200), *half]))[1]
    assert Rule.COPIED not in rules(alone(*half[0], kept))
    assert Rule.COPIED in rules(alone(*half[0]))


def test_copies_count_as_one_row_where_a_later_one_is_judged() -> None:
    original, answer = rewritten.plainer(1, seed=7)[0]
    wrong = other_number(answer)
    copies = [Rewrite(original, wrong, "copies")] * 200
    apart = [Rewrite(original, wrong, str(row)) for row in range(1000, 1200)]
    assert Rule.NUMBERS in rules(alone(original, wrong, learn_rewrites([*PLAIN, *copies])[1]))
    assert Rule.NUMBERS not in rules(alone(original, wrong, learn_rewrites([*PLAIN, *apart])[1]))


def test_words_that_all_answers_have_are_not_named_in_a_later_row() -> None:
    original, answer = rewritten.plainer(1, seed=7)[0]
    [found] = details(alone(original, f"{answer[:-1]} by thirsty pirates."), Rule.MEANING)
    assert "'thirsty' and 'pirates' are not in the original" in found
    assert " it " not in original and " it " in answer and "'it'" not in found


# --- rules that are off ---------------------------------------------------------------------------
@pytest.mark.parametrize("rule", Rule)
def test_a_rule_that_is_off_finds_nothing_in_a_later_row(rule: Rule) -> None:
    about = RULES[rule]
    assert details(alone(about.original, about.doubted, off=(rule,)), rule) == []


@pytest.mark.parametrize("rule", Rule)
def test_a_rule_that_was_off_when_the_set_was_learned_finds_nothing_later(rule: Rule) -> None:
    about = RULES[rule]
    kept = learn_rewrites(PLAIN, [rule])[1]
    assert details(alone(about.original, about.doubted, kept), rule) == []


@pytest.mark.parametrize("kept", [KEPT, {}], ids=["some rules were on before", "all were off before"])
def test_with_all_rules_off_nothing_is_learned_and_no_later_row_is_doubted(kept: Kept) -> None:
    assert learn_rewrites(PLAIN, tuple(Rule)) == ([RewriteScore(0.0)] * len(PLAIN), {})
    assert set(judged(DOUBTED, kept, tuple(Rule))) == {RewriteScore(0.0)}


# --- laws -----------------------------------------------------------------------------------------
@given(rows=ROWS, seed=st.integers(0, 9), kept=st.sampled_from([KEPT, GERMAN]))
@examples(60)
def test_a_later_row_has_the_same_score_in_any_company(rows: list[Rewrite], seed: int, kept: Kept) -> None:
    expected = [judged([row], kept)[0] for row in rows]
    assert judged(rows, kept) == expected
    shuffled = random.Random(seed).sample(range(len(rows)), len(rows))
    assert judged([rows[at] for at in shuffled], kept) == [expected[at] for at in shuffled]


@pytest.mark.parametrize(("name", "kept"), [("plainer", KEPT), ("german", GERMAN)])
def test_more_rows_than_are_judged_at_once_have_the_scores_of_each_alone(name: str, kept: Kept) -> None:
    pairs = SETS[name](2_100)
    answers = [answer for _, answer in pairs]
    rows = rows_of([(original, answer) for (original, _), answer in zip(pairs, answers[1:] + answers[:1], strict=True)])
    scores = judged(rows, kept)
    assert len(scores) == 2_100
    for row in (0, 1_000, 1_999, 2_000, 2_099):
        assert judged(rows[row : row + 1], kept) == [scores[row]]


def test_the_group_of_a_later_row_says_nothing() -> None:
    about = RULES[Rule.NUMBERS]
    of_the_set, new = (judged([Rewrite(about.original, about.doubted, group)]) for group in ("0", "new"))
    assert of_the_set == new


@given(rows=ROWS, seed=st.integers(0, 9))
@examples(40)
def test_equal_rows_in_any_order_keep_equal_arrays(rows: list[Rewrite], seed: int) -> None:
    assert_same_arrays(learn_rewrites(rows)[1], learn_rewrites(random.Random(seed).sample(rows, len(rows)))[1])


def test_equal_rows_in_another_order_keep_equal_word_pairs() -> None:
    rows = rows_of(rewritten.german(400))
    assert_same_arrays(GERMAN, learn_rewrites(random.Random(0).sample(rows, len(rows)))[1])


def assert_same_arrays(one: Kept, other: Kept) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert array.tobytes() == other[name].tobytes(), name


@given(rows=ROWS)
@examples(40)
def test_the_scores_of_later_rows_are_shares_and_told_in_words(rows: list[Rewrite]) -> None:
    kept = learn_rewrites(rows[::2])[1] if rows else KEPT
    later = [*rows[1::2], *DOUBTED]
    scores = judged(later, kept)
    assert len(scores) == len(later)
    assert rows or all(score.findings for score in scores)
    for score in scores:
        assert 0 <= score.score < 1
        assert all(finding.detail and "\n" not in finding.detail for finding in score.findings)


def test_odd_texts_are_judged_like_others() -> None:
    odd = [
        ("\ud800 is half a character", "\udfff"),
        ("a\0b", "\0"),
        ("", ""),
        ("日本の図書館", "図書館"),
        ("x" * 50_000, "x"),
    ]
    for kept in (KEPT, GERMAN, learn_rewrites(rows_of(odd * 20))[1]):
        assert len(judged(rows_of(odd), kept)) == len(odd)


# --- files ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kept", [KEPT, GERMAN], ids=["words", "word pairs"])
def test_what_is_kept_judges_alike_once_it_was_in_a_file(kept: dict[str, NDArray[Any]]) -> None:
    file = io.BytesIO()
    np.savez(file, **kept)
    file.seek(0)
    # Without pickle, so that arrays of objects are refused.
    with np.load(file, allow_pickle=False) as found:
        read = {name: found[name] for name in found.files}
    rows = rows_of([*rewritten.german(50, seed=3), *rewritten.plainer(50, seed=3), ("a", "")])
    assert judged(rows, read) == judged(rows, kept)


@pytest.mark.parametrize("kept", [KEPT, GERMAN], ids=["words", "word pairs"])
def test_arrays_that_are_mapped_from_files_judge_alike(kept: Kept, tmp_path: Path) -> None:
    mapped = {}
    for number, (name, array) in enumerate(kept.items()):
        np.save(tmp_path / f"{number}.npy", array)
        mapped[name] = np.load(tmp_path / f"{number}.npy", mmap_mode="r" if array.size else None)
    rows = rows_of(rewritten.german(50, seed=3))
    assert judged(rows, mapped) == judged(rows, kept)


def test_where_nothing_was_kept_there_is_no_score() -> None:
    assert learn_rewrites([]) == ([], {})
    assert judge_rewrites(PLAIN, {}) is None
    assert judge_rewrites(PLAIN, KEPT, name="another") is None


@given(known=st.sets(WORD_PAIRS), asked=WORD_PAIRS)
def test_a_pair_of_words_is_found_where_it_is_kept(known: set[tuple[int, int]], asked: tuple[int, int]) -> None:
    pairs = sorted(known)
    left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    [found] = Known.of(left, right, 6).places(np.array([asked[0]]), np.array([asked[1]]))
    assert found == (pairs.index(asked) if asked in known else -1)


# --- through the kind -----------------------------------------------------------------------------
class Notes(Task):
    """Say it plainly, and briefly."""

    text: Input[str]
    plain: Target[FreeText[str]]
    brief: Target[FreeText[str] | None] = None
    tone: Target[Literal["calm", "harsh"]] = "calm"


def labeled(pair: Pair, number: int, **targets: Any) -> LabeledText:
    answers = {"plain": pair[1], "brief": None, "tone": "calm"} | targets
    return LabeledText(pair[0], {"text": pair[0]}, answers, str(number))


NOTES = [
    labeled(pair, number, brief=f"{pair[1].split('. ')[0]}.") for number, pair in enumerate(rewritten.plainer(120))
]


def test_each_free_text_is_judged_by_what_was_kept_of_it() -> None:
    kind = kind_of(Notes)
    kept = kind.learn_labels(Notes, NOTES, 17).kept
    [(original, answer)] = rewritten.plainer(1, seed=7)
    short = f"{answer.split('. ')[0]}."
    sound, plain, brief, both = kind.judge_labels(
        Notes,
        [
            labeled((original, answer), 1, brief=short),
            labeled((original, other_number(answer)), 2, brief=short),
            labeled((original, answer), 3, brief=other_number(short)),
            labeled((original, other_number(answer)), 4, brief=other_number(short)),
        ],
        kept,
    ).rows
    assert sound.reasons == ()
    assert {reason.field for reason in plain.reasons} == {"plain"}
    assert {reason.field for reason in brief.reasons} == {"brief"}
    assert {reason.field for reason in both.reasons} == {"plain", "brief"}
    assert both.score == max(plain.score or 0, brief.score or 0)


def test_a_later_row_without_an_answer_or_without_anything_kept_has_no_score() -> None:
    kind = kind_of(Notes)
    kept = kind.learn_labels(Notes, NOTES, 17).kept
    unlabeled = LabeledText("It is.", {"text": "It is."}, None, "1")
    assert kind.judge_labels(Notes, [unlabeled], kept).rows == [LabelScore()]
    assert kind.judge_labels(Notes, NOTES[:1], {}).rows == [LabelScore()]


def test_a_free_text_that_no_row_had_has_no_score_later() -> None:
    kind = kind_of(Notes)
    kept = kind.learn_labels(Notes, [labeled(pair, row) for row, pair in enumerate(rewritten.plainer(60))], 17).kept
    only_brief = LabeledText("It is 3.", {"text": "It is 3."}, {"plain": None, "brief": "4."}, "1")
    assert kind.judge_labels(Notes, [only_brief], kept).rows == [LabelScore()]


def test_a_rule_that_is_off_is_off_for_every_text() -> None:
    kind = kind_of(Notes)
    kept = kind.learn_labels(Notes, NOTES, 17).kept
    row = labeled(("In 1986 it was opened.", "In 1968 it was opened."), 1, brief="It was opened in 1968.")
    assert "numbers" in {reason.code for reason in kind.judge_labels(Notes, [row], kept).rows[0].reasons}
    assert "numbers" not in {
        reason.code for reason in kind.judge_labels(Notes, [row], kept, ["numbers"]).rows[0].reasons
    }
