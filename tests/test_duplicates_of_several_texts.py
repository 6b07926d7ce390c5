"""Rows of several inputs, or with written answers, are duplicates where all of their texts are equal or similar."""

from pathlib import Path

import pytest
from candidates import CLAUSE, NEAR
from odd import Odd, key

from pipeline.curation.similarity_histogram import last_similarities
from pipeline.reporting.duplicates import read_duplicates
from pipeline.text.words import jaccard
from schemas.fate import Fate, ReasonCode


def test_a_pair_of_equal_questions_with_free_text_answers_is_listed_once(tmp_path: Path) -> None:
    rows = [answered(1, "is x < y for all of them", REPLY), answered(2, "is x > y for all of them", f"{ALIKE} not")]
    odd = Odd(tmp_path, ANSWERING, rows)
    odd.curate()
    found = last_similarities(odd.context.store.snapshot())
    assert found is not None
    assert [pair.similarity for pair in found.near] == [1.0]
    assert found.above == 1


# --- several inputs ---------------------------------------------------------------------------
READING = '''
class Question(Task):
    """Answer the question about the passage."""

    passage: Input[str]
    question: Input[str]
    answer: Target[str]
'''


def asked(number: int, passage: str, question: str, answer: str = "yes") -> dict[str, object]:
    return {"id": number, "passage": passage, "question": question, "answer": answer}


def test_other_questions_about_one_passage_are_not_duplicates_and_move_together(tmp_path: Path) -> None:
    rows = [asked(1, CLAUSE, "Is there a court?"), asked(2, CLAUSE, "Are there more laws?"), asked(3, NEAR, "Is it?")]
    odd = Odd(tmp_path, READING, rows)
    odd.curate()
    assert Fate.DUPLICATE not in {odd[number].fate for number in (1, 2, 3)}
    assert len({odd[number].group for number in (1, 2, 3)}) == 1
    found = read_duplicates(odd.context.store.snapshot().at_last_commit(), odd.context.dataset.task)
    reasons = {(miss.one.line, miss.other.line): miss.reason for miss in found.misses}
    assert reasons[1, 2] == "similar as a whole, but not in 'question'"


def test_an_input_that_differs_in_a_sign_only_keeps_rows_apart(tmp_path: Path) -> None:
    rows = [asked(1, CLAUSE, "C++"), asked(2, NEAR, "C"), asked(3, f"{CLAUSE} now", "C#"), asked(4, f"{NEAR} so", "C")]
    odd = Odd(tmp_path, READING, rows)
    odd.curate()
    assert [odd[number].fate for number in (1, 2, 3, 4)].count(Fate.DUPLICATE) == 1


def test_the_same_words_in_another_input_are_no_duplicate(tmp_path: Path) -> None:
    task = READING.replace("passage: Input[str]", 'passage: Input[str] = ""')
    odd = Odd(tmp_path, task, [asked(1, CLAUSE, "Yes?"), asked(2, "Yes?", CLAUSE), asked(3, CLAUSE, "yes")])
    odd.curate()
    assert [odd[number].fate for number in (1, 2, 3)] == [Fate.ACCEPTED, Fate.ACCEPTED, Fate.DUPLICATE]


def test_the_same_question_about_nearly_the_same_passage_is_a_duplicate(tmp_path: Path) -> None:
    rows = [asked(1, CLAUSE, "Is there a court?"), asked(2, NEAR, "is there a court")]
    odd = Odd(tmp_path, READING, rows)
    odd.curate()
    assert [odd[number].fate for number in (1, 2)].count(Fate.DUPLICATE) == 1


def test_what_resembles_a_row_most_is_found_by_its_free_text_answer_too(tmp_path: Path) -> None:
    odd = Odd(tmp_path, ANSWERING, [answered(1, "Can I return it?", REPLY), answered(2, "Must it go?", f"{ALIKE} not")])
    odd.curate()
    found = read_duplicates(odd.context.store.snapshot(), odd.context.dataset.task, key(1))
    [miss] = found.misses
    assert miss.similarity == jaccard(f"Can I return it?\n{REPLY}", f"Must it go?\n{ALIKE} not")


def test_a_reworded_question_with_a_free_text_answer_is_a_duplicate_beside_other_inputs_too(tmp_path: Path) -> None:
    rows = [asked(1, "", "Can I return the shoes?", REPLY), asked(2, "", "May I return shoes?", ALIKE)]
    rows += [asked(3, CLAUSE, "Can I return the shoes?", REPLY), asked(4, CLAUSE, "Is it valid?", UNLIKE)]
    odd = Odd(tmp_path, READING.replace("passage: Input[str]", 'passage: Input[str] = ""'), rows)
    odd.curate()
    fates = [odd[number].fate for number in (1, 2, 3, 4)]
    assert fates[:2].count(Fate.DUPLICATE) == 1
    assert Fate.DUPLICATE not in fates[2:]


# --- written answers --------------------------------------------------------------------------
ANSWERING = '''
class Question(Task):
    """Answer the question."""

    question: Input[str]
    answer: Target[str]
    topic: Target[Literal["billing", "delivery", "returns"] | None] = None
'''
REPLY = (
    "you can send the shoes back within thirty days if they were not worn and the box is not damaged please print "
    "the label that you find in your account and bring the parcel to any post office near you"
)
ALIKE = REPLY.replace("please print the label", "please print out the label")
UNLIKE = (
    "no because shoes that were made to measure cannot be given back unless they have a fault that is not of your own"
)


def answered(number: int, question: str, answer: str, topic: str | None = None) -> dict[str, object]:
    return {"id": number, "question": question, "answer": answer, "topic": topic}


def fates(folder: Path, rows: list[dict[str, object]], more: str = "") -> list[tuple[Fate, str]]:
    odd = Odd(folder, ANSWERING, rows, more)
    odd.curate()
    lines = {key(int(str(one["id"]))): str(one["id"]) for one in rows}
    return [(odd[int(str(one["id"]))].fate, lines.get(odd[int(str(one["id"]))].duplicate_of, "")) for one in rows]


def test_similar_answers_to_one_question_in_other_punctuation_are_not_in_conflict(tmp_path: Path) -> None:
    marks = ["?", "", "!", "?!"]
    rows = [answered(n, f"Can I return the shoes{mark}", f"{REPLY} {'indeed ' * n}") for n, mark in enumerate(marks)]
    assert [fate for fate, _ in fates(tmp_path / "alike", rows)].count(Fate.DUPLICATE) == 3
    odd = Odd(tmp_path / "other", ANSWERING, [*rows, answered(9, "can I return the shoes ...", "No, you cannot.")])
    odd.curate()
    waiting = [n for n in (0, 1, 2, 3, 9) if odd[n].fate is Fate.REVIEW]
    assert len(waiting) == 2
    assert 9 in waiting
    assert [str(odd[n].reasons[0].detail) for n in waiting if n != 9] == ["'answer: No, you cannot.'"]


def test_the_same_question_with_another_free_text_answer_is_a_conflict_and_no_duplicate(tmp_path: Path) -> None:
    rows = [answered(1, "Can I return the shoes?", REPLY), answered(2, "can I return the  shoes?", UNLIKE)]
    assert fates(tmp_path, rows) == [(Fate.REVIEW, ""), (Fate.REVIEW, "")]


def test_the_same_question_with_nearly_the_same_free_text_answer_is_a_conflict_too(tmp_path: Path) -> None:
    rows = [answered(1, "Can I return the shoes?", REPLY), answered(2, "can I return the  shoes?", ALIKE)]
    assert fates(tmp_path, rows) == [(Fate.REVIEW, ""), (Fate.REVIEW, "")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("thirty days", "30 days"),
        ("within 14 days", "within 41 days"),
        ("balance is -5.0 today", "balance is 5.0 today"),
        ("write x + 1 here", "write x - 1 here"),
        ("you should do this", "you should never do this"),
        ("they do ask", "they don't ask"),
    ],
)
def test_similar_questions_with_answers_that_say_the_opposite_are_both_kept(
    tmp_path: Path, before: str, after: str
) -> None:
    rows = [
        answered(1, "Can I return the shoes?", f"{REPLY} {before} {REPLY[::-1]}"),
        answered(2, "May I return shoes?", f"{REPLY} {after} {REPLY[::-1]}"),
    ]
    assert fates(tmp_path, rows) == [(Fate.ACCEPTED, ""), (Fate.ACCEPTED, "")]


def test_the_similarity_of_free_text_duplicates_is_that_of_question_and_answer_together(tmp_path: Path) -> None:
    question = "can I return the shoes that I bought in your shop on the second of may if I have worn them just once"
    other = f"please {question}"
    odd = Odd(tmp_path, ANSWERING, [answered(1, question, REPLY), answered(2, other, ALIKE)])
    odd.curate()
    found = odd[1].similarity or odd[2].similarity
    assert found == pytest.approx(jaccard(f"{question}\n{REPLY}", f"{other}\n{ALIKE}"))
    assert found < jaccard(question, other)


def test_of_free_text_duplicates_the_longer_answer_is_kept(tmp_path: Path) -> None:
    rows = [answered(1, "Can I return shoes?", REPLY), answered(2, "May I return shoes?", f"{REPLY} and that is all")]
    assert fates(tmp_path, rows) == [(Fate.DUPLICATE, "2"), (Fate.ACCEPTED, "")]


def test_free_text_answers_in_scripts_without_spaces_need_only_be_similar(tmp_path: Path) -> None:
    answer = "鞋子没有穿过且包装盒完好的情况下可以在三十天之内退回请打印账户里的标签并把包裹带到附近的任何邮局"
    rows = [answered(1, "我可以退鞋吗", answer), answered(2, "可以退鞋子吗", answer.replace("任何", ""))]
    assert [fate for fate, _ in fates(tmp_path, rows)] == [Fate.ACCEPTED, Fate.DUPLICATE]


def test_questions_too_short_to_compare_are_duplicates_where_question_and_answer_together_are(tmp_path: Path) -> None:
    rows = [answered(1, "Can I return the shoes?", REPLY), answered(2, "May I return shoes?", ALIKE)]
    assert fates(tmp_path, rows) == [(Fate.ACCEPTED, ""), (Fate.DUPLICATE, "1")]


def test_a_choice_beside_a_free_text_answer_must_be_equal(tmp_path: Path) -> None:
    rows = [
        answered(1, "Can I return the shoes?", REPLY, "returns"),
        answered(2, "May I return shoes?", ALIKE, "billing"),
    ]
    assert fates(tmp_path, rows) == [(Fate.ACCEPTED, ""), (Fate.ACCEPTED, "")]


def test_with_answers_1_free_text_answers_must_be_equal_too(tmp_path: Path) -> None:
    rows = [answered(1, "Can I return the shoes?", REPLY), answered(2, "can I return the  shoes?", ALIKE)]
    assert fates(tmp_path, rows, "duplicates: {answers: 1}\n") == [(Fate.REVIEW, ""), (Fate.REVIEW, "")]


def test_short_answers_must_be_equal_however_similar_they_are(tmp_path: Path) -> None:
    text = "the parcel with my order went to street 12 in the old town but nobody was there to take it in"
    rows = [answered(1, text, "12 Main Street in Old Town"), answered(2, f"{text} then", "12 Main Street in Old Tower")]
    assert [fate for fate, _ in fates(tmp_path, rows)].count(Fate.DUPLICATE) == 0


def test_a_free_text_answer_is_not_flagged_for_not_occurring_in_the_text(tmp_path: Path) -> None:
    odd = Odd(tmp_path, ANSWERING, [answered(1, "Can I return the shoes?", REPLY), answered(2, "Where is it?", "Rome")])
    odd.curate()
    assert odd.codes(1) == [ReasonCode.PASSED]
    assert ReasonCode.UNGROUNDED in odd.codes(2)
