"""Wrong answers among rewritten texts stand out; sound ones do not; what is usual in a set is no finding in it."""

import random
import re
from collections import Counter
from collections.abc import Callable

import pytest
import rewritten
from hypothesis import given
from hypothesis import strategies as st
from naughty_texts import NAUGHTY
from rewritten import Pair, rows_of
from scored_rows import score_rewrites
from tried_examples import examples

from pipeline.label_errors.quotes import quoted
from pipeline.label_errors.rewrites import Finding, Rewrite, RewriteScore, Rule

SETS: dict[str, Callable[[int], list[Pair]]] = {
    "plainer": rewritten.plainer,
    "formal": rewritten.formal,
    "german": rewritten.german,
    "summaries": rewritten.summaries,
}
WORDS = """The dog saw 3 cats. Not Anna! www.a.example 日本 no 1,000 ( ß ?"""
SUBJECTS = """otters glaciers volcanoes violins beehives comets lighthouses sandwiches pyramids tractors"""
TEXTS = st.lists(st.sampled_from(WORDS.split())).map(" ".join)
ROWS = st.lists(
    st.builds(Rewrite, TEXTS | st.text(max_size=20), TEXTS | st.text(max_size=20), st.sampled_from("abcdef"))
)


def rules(score: RewriteScore) -> set[Rule]:
    return {finding.rule for finding in score.findings}


def with_fault(pairs: list[Pair], row: int, wrong: str) -> list[RewriteScore]:
    return score_rewrites(rows_of([*pairs[:row], (pairs[row][0], wrong), *pairs[row + 1 :]]))


def other_number(answer: str) -> str:
    return re.sub(r"\d+", lambda found: str(int(found.group()) + 7), answer, count=1)


# --- faults stand out -----------------------------------------------------------------------------
@pytest.mark.parametrize("size", [20, 200])
@pytest.mark.parametrize("name", SETS)
def test_a_sound_set_shows_nothing(name: str, size: int) -> None:
    assert all(score.findings == () for score in score_rewrites(rows_of(SETS[name](size))))


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (lambda original, answer: "", Rule.EMPTY),
        (lambda original, answer: original, Rule.COPIED),
        (lambda original, answer: answer[: len(answer) * 2 // 3].rsplit(" ", 1)[0], Rule.CUT),
        (lambda original, answer: " ".join([answer] * 4), Rule.LENGTH),
        (lambda original, answer: other_number(answer), Rule.NUMBERS),
        (lambda original, answer: f"{answer[:-1]} at https://a.example.", Rule.LINKS),
        (lambda original, answer: f"{answer[:-1]}, and never did.", Rule.NEGATION),
        (lambda original, answer: "Merci de me rappeler dès que vous aurez reçu cette lettre.", Rule.LANGUAGE),
    ],
)
@pytest.mark.parametrize("name", SETS)
def test_one_wrong_answer_has_the_highest_score_and_the_right_reason(
    name: str, fault: Callable[[str, str], str], rule: Rule
) -> None:
    pairs = SETS[name](200)
    row = next(row for row, (_, answer) in enumerate(pairs) if re.search(r"\d", answer))
    scores = with_fault(pairs, row, fault(*pairs[row]))
    assert rule in rules(scores[row])
    assert scores[row].score > max(score.score for at, score in enumerate(scores) if at != row)


def test_a_name_of_another_row_is_doubted_unless_all_nouns_have_capitals() -> None:
    for name in ("plainer", "summaries"):
        pairs = SETS[name](200)
        city = next(city for city in ("Porto", "Ghent") if city not in pairs[0][0])
        wrong = re.sub(r"(?<= in )[A-Z]\w+", city, pairs[0][1])
        assert Rule.NAMES in rules(with_fault(pairs, 0, wrong)[0])
    pairs = rewritten.german(200)
    assert Rule.NAMES not in rules(with_fault(pairs, 0, pairs[0][1].replace("den", "den Schrank"))[0])


@pytest.mark.parametrize("name", SETS)
def test_an_answer_of_another_row_is_doubted_even_between_languages(name: str) -> None:
    pairs = SETS[name](400)
    known = set(" ".join(pairs[0]).split())
    other = min((answer for _, answer in pairs), key=lambda answer: len(known.intersection(answer.split())))
    scores = with_fault(pairs, 0, other)
    assert scores[0].findings
    assert scores[0].score > max(score.score for score in scores[1:])


@pytest.mark.parametrize("name", ["plainer", "summaries"])
def test_words_out_of_nowhere_are_named(name: str) -> None:
    pairs = SETS[name](200)
    scores = with_fault(pairs, 0, f"{pairs[0][1][:-1]} by thirsty pirates.")
    assert [finding.detail for finding in scores[0].findings if finding.rule is Rule.MEANING] == [
        "'thirsty' and 'pirates' are not in the original"
    ]


def test_the_original_that_an_answer_fits_better_is_quoted() -> None:
    pairs = [
        (f"So, um, what do {subject} number {n} need?", f"What do {subject} number {n} need?")
        for n in range(20)
        for subject in SUBJECTS.split()
    ]
    scores = with_fault(pairs, 0, "Why were the famous Breton sailors afraid of krakens?")
    assert rules(scores[0]) >= {Rule.MEANING}
    pairs.append(
        ("Erm, why were the famous Breton sailors, no, afraid of krakens?", "Why were sailors afraid of krakens?")
    )
    scores = with_fault(pairs, 0, "Why were the famous Breton sailors afraid of krakens?")
    found = [finding.detail for finding in scores[0].findings if finding.rule is Rule.MEANING]
    assert found == [f"it fits another row's original better: {quoted(pairs[-1][0])}"]


def test_other_names_in_answers_about_something_else_do_not_hide_those_in_others() -> None:
    pairs, others = rewritten.plainer(200), rewritten.formal(12)
    # Twelve answers belong to other originals, and so have other names; five more have one name changed.
    astray = [(pair[0], other[1]) for pair, other in zip(pairs[:12], others, strict=True)]
    changed = [(original, re.sub(r"in \w+ was", "in Osnabrueck was", answer)) for original, answer in pairs[12:17]]
    scores = score_rewrites(rows_of([*astray, *changed, *pairs[17:]]))
    assert all(Rule.NAMES in rules(score) for score in scores[12:17])


# --- what is usual --------------------------------------------------------------------------------
def test_what_half_of_a_set_does_is_no_finding() -> None:
    sound = rewritten.plainer(200)
    half = [(original, original) for original, _ in rewritten.plainer(200, seed=1)]
    assert not any(Rule.COPIED in rules(score) for score in score_rewrites(rows_of([*sound, *half])))
    assert not any(score.findings for score in score_rewrites(rows_of(half)))


@pytest.mark.parametrize("answers", [["Yes."], ["", "N/A"], ["yes", "no"], ["1", "2", "3"]])
def test_answers_that_are_all_alike_are_no_finding(answers: list[str]) -> None:
    pairs = [(original, answers[row % len(answers)]) for row, (original, _) in enumerate(rewritten.plainer(60))]
    assert all(score.findings == () for score in score_rewrites(rows_of(pairs)))


def test_summaries_may_drop_numbers_and_names_but_not_change_them() -> None:
    pairs = rewritten.summaries(100)
    scores = with_fault(pairs, 0, other_number(pairs[0][1]))
    assert [score.findings != () for score in scores] == [True, *[False] * 99]
    year = re.findall(r"\d+", pairs[0][1])[0]
    assert any(f"'{int(year) + 7}' is not in the original" in finding.detail for finding in scores[0].findings)


def test_an_unreadable_answer_among_three_is_doubted_but_three_odd_ones_are_not() -> None:
    assert rules(score_rewrites(rows_of([("How are you?", ""), ("Who is it?", "Who?"), ("Why so?", "Why?")]))[0]) == {
        Rule.EMPTY
    }
    odd = [("How are you, Sir?", "9 apples"), ("Who is it?", "Yes"), ("Why 3 of them?", "https://a.example")]
    assert all(score.findings == () for score in score_rewrites(rows_of(odd)))


# --- copies ---------------------------------------------------------------------------------------
def test_copies_of_a_row_are_no_evidence_that_it_is_sound() -> None:
    pairs = rewritten.plainer(100)
    wrong = [Rewrite(pairs[0][0], other_number(pairs[0][1]), "copies") for _ in range(60)]
    scores = score_rewrites([*rows_of(pairs), *wrong])
    assert all(Rule.NUMBERS in rules(score) for score in scores[100:])
    apart = [Rewrite(row.original, row.answer, f"apart {number}") for number, row in enumerate(wrong)]
    assert not any(Rule.NUMBERS in rules(score) for score in score_rewrites([*rows_of(pairs), *apart])[100:])


def test_a_translation_is_not_learned_from_its_own_copies() -> None:
    pairs = rewritten.german(200)
    strange = Rewrite("Anna sees the zebra.", "Boris malt nachts zu Hause den alten Baum, wie 1950.", "copies")
    alone = score_rewrites([*rows_of(pairs), strange])[-1]
    copied = score_rewrites([*rows_of(pairs), *[strange] * 20])[-1]
    assert Rule.MEANING in rules(alone)
    assert rules(copied) == rules(alone)


# --- laws -----------------------------------------------------------------------------------------
@given(rows=ROWS, seed=st.integers(0, 9))
@examples(60)
def test_the_order_of_the_rows_does_not_matter(rows: list[Rewrite], seed: int) -> None:
    shuffled = random.Random(seed).sample(range(len(rows)), len(rows))
    expected = score_rewrites(rows)
    assert score_rewrites([rows[at] for at in shuffled]) == [expected[at] for at in shuffled]


def test_the_order_does_not_matter_where_word_pairs_are_learned() -> None:
    rows = rows_of([*rewritten.german(200), ("Anna sees it.", "Paul kauft heute am See den roten Ring, wie 1950.")])
    shuffled = random.Random(0).sample(range(len(rows)), len(rows))
    expected = score_rewrites(rows)
    assert score_rewrites([rows[at] for at in shuffled]) == [expected[at] for at in shuffled]


@given(rows=ROWS)
@examples(60)
def test_scores_are_shares_and_findings_are_told_in_words(rows: list[Rewrite]) -> None:
    scores = score_rewrites(rows)
    assert len(scores) == len(rows)
    for score in scores:
        assert 0 <= score.score < 1
        assert len(rules(score)) == len(score.findings)
        assert all(finding.detail and "\n" not in finding.detail for finding in score.findings)
        assert score.findings == () or score.score >= 0.5


@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=40))
@examples(60)
def test_no_rule_doubts_a_small_set_as_a_whole(pairs: list[Pair]) -> None:
    scores = score_rewrites(rows_of(pairs))
    counts = Counter(finding.rule for score in scores for finding in score.findings)
    # An empty answer is wrong unless most are. Rows that are about something else do not count for the other rules.
    assert all(count <= 2 + len(pairs) / 5 for rule, count in counts.items() if rule is not Rule.EMPTY)


def test_no_rows_have_no_scores_and_one_row_is_beyond_doubt() -> None:
    assert score_rewrites([]) == []
    assert score_rewrites([Rewrite("How are you?", "9", "a")]) == [RewriteScore(0.0)]


def test_odd_texts_are_scored_like_others() -> None:
    pairs = [(one, other) for one in NAUGHTY for other in NAUGHTY]
    assert len(score_rewrites(rows_of(pairs))) == len(pairs)
    lone = [("\ud800 is half a character", "\udfff"), ("a\0b", "\0")]
    assert len(score_rewrites(rows_of(lone * 20))) == 40


@pytest.mark.parametrize("piece", ["word ", "x", "a1", "1.", "a'", "@", "(", "日本", "No. 7! ", "://"])
def test_texts_of_fifty_thousand_characters_are_scored(piece: str) -> None:
    long = (piece * 50_000)[:50_000]
    rows = rows_of([(long, long[: 20_000 + row]) for row in range(8)])
    assert len(score_rewrites(rows)) == 8


def test_findings_are_what_they_say() -> None:
    pairs = rewritten.plainer(200)
    assert with_fault(pairs, 0, pairs[0][0])[0].findings == (Finding(Rule.COPIED, quoted(pairs[0][0])),)
