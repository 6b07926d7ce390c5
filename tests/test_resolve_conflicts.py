"""Equal inputs with different answers are in conflict, and each answer is asked for once."""

from dataclasses import replace

import pytest
from candidates import CLAUSE, LEASE, NEAR, NEAR_BOTH, between, resolve, row

from pipeline.dedupe.candidates import MOST_CONFLICTING_ANSWERS, Resolution
from pipeline.similarity.signatures import FULL_BUCKET
from pipeline.text.words import words
from schemas.dataset import OnConflict


@pytest.mark.parametrize("on_conflict", OnConflict)
@pytest.mark.parametrize("more", ["", " and more"])
def test_what_resembles_a_row_in_conflict_is_its_duplicate_however_long_it_is(
    on_conflict: OnConflict, more: str
) -> None:
    rows = [row("r1", answer="law"), row("r2", answer="term"), row("r3", f"{NEAR}{more}", "law")]
    result = resolve(rows, 0.7, on_conflict)
    assert result["r3"].duplicate_of == "r1"
    assert result["r1"].is_kept
    assert result["r2"].is_kept


def test_however_many_rows_of_equal_words_are_in_conflict_each_answer_is_asked_for_once() -> None:
    # Of so many rows of equal words only two are compared with all the others, here with other answers than these.
    key = " ".join(words(CLAUSE))
    answers = ["term", "rent", *["law"] * (FULL_BUCKET + 1)]
    rows = [row(f"r{n:03}", answer=answer, key=key + "." * (100 - n)) for n, answer in enumerate(answers)]
    result = resolve(rows, threshold=0.7)
    assert sorted(record_id for record_id, found in result.items() if found.is_kept) == ["r000", "r001", "r002"]
    copies = [found for record_id, found in result.items() if record_id > "r002"]
    assert {(found.duplicate_of, found.similarity) for found in copies} == {("r002", 1.0)}


def test_a_row_in_conflict_is_the_duplicate_of_the_row_that_asks_for_its_answer_and_of_no_other() -> None:
    key = " ".join(words(CLAUSE))
    like = row("r000", NEAR, human=True)
    answers = enumerate(["term", "law", "law"], start=1)
    asked = [row(f"r{n:03}", answer=answer, key=key + "." * (9 - n)) for n, answer in answers]
    result = resolve([like, *asked], threshold=0.7)
    assert result["r003"].duplicate_of == "r002"
    assert [result[name].is_kept for name in ("r000", "r001", "r002")] == [True, True, True]


def test_the_same_input_with_another_answer_is_a_conflict_and_no_duplicate() -> None:
    result = resolve([row("r1"), row("r2", answer="term"), row("r3", answer="law"), row("r4", answer=None)], 0.7)
    assert result["r1"].conflict == ("r2",)
    assert result["r2"].conflict == ("r1",)
    assert result["r2"].is_kept
    assert result["r3"].duplicate_of == "r1"
    assert result["r4"].duplicate_of == "r1"
    assert {resolution.group for resolution in result.values()} == {"r1"}


def test_an_annotator_s_answer_overrules_other_answers_to_the_same_input() -> None:
    rows = [row("r1", answer="term"), row("r2"), row("r3", human=True), row("r4", answer=None)]
    result = resolve(rows, threshold=0.7)
    assert result["r3"] == Resolution(group="r1")
    assert result["r1"] == Resolution(overridden_by="r3", group="r1")
    assert not result["r1"].is_kept
    assert result["r2"].duplicate_of == result["r4"].duplicate_of == "r3"


def test_two_annotators_who_disagree_are_in_conflict_and_still_overrule_the_others() -> None:
    rows = [row("r1", human=True), row("r2", human=True, answer="term"), row("r3", answer="rent")]
    result = resolve(rows, threshold=0.7)
    assert result["r1"].conflict == ("r2",)
    assert result["r2"].conflict == ("r1",)
    assert result["r3"].overridden_by == "r1"


QUESTION, SHOUT = "refund my order?", "refund my order!"


def test_equal_words_with_another_answer_are_a_conflict_too() -> None:
    one, other = row("r1", QUESTION, key=QUESTION), row("r2", SHOUT, "rent", key=SHOUT)
    result = resolve([one, other], threshold=0.7)
    assert (result["r1"].conflict, result["r2"].conflict) == (("r2",), ("r1",))
    assert (result["r1"].conflicting_answers, result["r2"].conflicting_answers) == (1, 1)
    assert not any(found.conflict for found in resolve([one, other], 0.7, OnConflict.ANY_OF).values())
    assert not any(found.conflict for found in resolve([one, other], threshold=1).values())


def test_an_unlabeled_row_is_never_in_conflict() -> None:
    rows = [row("r1", QUESTION, key=QUESTION), row("r2", SHOUT, None, key=SHOUT)]
    result = resolve(rows, threshold=0.7)
    assert result["r2"].duplicate_of == "r1"
    assert not result["r1"].conflict
    assert not any(found.conflict for found in resolve(rows, 0.7, answers_repeat=False).values())


def test_inputs_without_words_are_no_conflict() -> None:
    rows = [row("r1", "???", key="???"), row("r2", "!!!", "rent", key="!!!")]
    assert not any(found.conflict for found in resolve(rows, threshold=0.7).values())


def test_an_annotator_s_answer_to_equal_words_counts_and_overrules_nothing() -> None:
    human, other = row("r1", QUESTION, key=QUESTION, human=True), row("r2", SHOUT, "rent", key=SHOUT)
    result = resolve([human, other, row("r3", SHOUT, key=SHOUT, order=9)], threshold=0.7)
    assert result["r1"] == Resolution(group="r1")
    assert result["r2"] == Resolution(conflict=("r1",), conflicting_answers=1, group="r1")
    assert result["r3"].conflict == ("r2",)
    both = resolve([human, replace(other, human=True)], threshold=0.7)
    assert all(found.is_kept and not found.conflict for found in both.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("πότε έρχεσαι", "ποτέ έρχεσαι"),
        ("ma", "má"),
        ("a != b", "a = b"),
        ("5% off", "5 off"),
        ("2^3", "2 3"),
        ("at 3:2 or so", "at 3.2 or so"),
        ("new york\x1fcity of dreams", "new york city\x1fof dreams"),
        ("x\x1f", "\x1fx"),
        ('["a b", "c"]', '["a", "b c"]'),
        ("what is .5 plus one", "what is 5 plus one"),
        ("a 5' rope", 'a 5" rope'),
        ("what is 5!", "what is 5"),
        ("use .net now", "use net now"),
        ("what does -v do", "what does v do"),
    ],
)
def test_what_is_spelled_alike_but_means_something_else_is_not_a_conflict(one: str, other: str) -> None:
    rows = [row("r1", one, "yes", key=one), row("r2", other, "no", key=other)]
    assert rows[0].text != rows[1].text
    assert words(one) == words(other)
    assert not any(found.conflict for found in resolve(rows, threshold=0.7).values())


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ('{"to":"5 main st."}', '{"to":"5 main st"}', False),
        ('{"to":"“blue suede shoes”","many":1}', '{"to":"blue suede shoes","many":1}', False),
        ('{"to":["a book,","a pen"]}', '{"to":["a book","a pen"]}', False),
        ('{"to":"it is -5"}', '{"to":"it is 5"}', True),
        ('{"to":"great :)"}', '{"to":"great :("}', True),
        ('{"to":5}', '{"to":6}', True),
    ],
)
def test_answers_that_differ_as_the_inputs_do_are_no_conflict(one: str, other: str, conflict: bool) -> None:
    rows = [row("r1", "what is it.", one, key="what is it."), row("r2", "what is it", other, key="what is it")]
    assert any(found.conflict for found in resolve(rows, threshold=0.7).values()) is conflict


def test_a_text_in_brackets_is_not_a_list() -> None:
    one, other = "[customer] where is it?", "[customer] where is it"
    rows = [row("r1", one, "yes", key=one), row("r2", other, "no", key=other)]
    assert all(found.conflict for found in resolve(rows, threshold=0.7).values())


def test_what_annotators_replaced_once_is_asked_about_everywhere_at_once() -> None:
    marks = ["", "!", "?", "!!"]
    rows = [row(f"r{n}", f"refund{mark}", key=f"refund{mark}") for n, mark in enumerate(marks)]
    corrected = row("r9", "refund?!", "rent", key="refund?!", human=True, replaced="law")
    result = resolve([*rows, corrected], threshold=0.7)
    assert all(result[name].conflict == ("r9",) for name in ("r0", "r1", "r2", "r3"))


def test_many_answers_to_one_question_are_compared_with_the_first_few() -> None:
    rows = [row(f"r{n}", f"joke{'.' * (n % 2)}", f"law {n}", key=f"joke{'.' * (n % 2)}") for n in range(60)]
    result = resolve(rows, threshold=0.7)
    assert {found.conflicting_answers for found in result.values()} == {59}


def test_of_many_that_ask_the_same_one_asks_for_each_answer() -> None:
    marks = ["", "!", "?", "!!", "?!", "...", " …", " ;"]
    rows = [row(f"r{n}", f"refund{mark}", key=f"refund{mark}") for n, mark in enumerate(marks)]
    quoted = row("r8", "“refund”", "rent", key="“refund”")
    result = resolve([*rows, quoted], threshold=0.7)
    kept = [name for name, found in result.items() if found.is_kept]
    assert len(kept) == 2
    assert "r8" in kept
    assert {result[name].conflict for name in kept} == {("r8",), tuple(set(kept) - {"r8"})}
    assert {result[name].conflicting_answers for name in kept} == {1}
    # Once annotators confirmed one of them, all of them are right; they are still asked about the other.
    result = resolve([replace(rows[0], human=True), *rows[1:], quoted], 0.7)
    assert {name for name, found in result.items() if found.is_kept} == {"r0", "r8"}
    assert not result["r0"].conflict
    assert result["r8"].conflict == ("r0",)


def test_a_row_whose_near_duplicate_in_conflict_must_be_left_out_is_in_conflict_itself() -> None:
    # The longest leads the others.
    first, second, third = "refund my order ...", "refund my order!", "refund my order?"
    left, _, right = between("a", "b")
    rows = [
        *(row("r1", left, "x", split="train"), row("r2", right, "x", split="test")),
        row("r3", first, key=first, group_keys=("p", "q")),
        *(row("r4", second, key=second), row("r5", third, "rent", key=third)),
        *(row("r6", CLAUSE, split="train", group_keys=("p",)), row("r7", LEASE, split="test", group_keys=("q",))),
    ]
    result = resolve(rows, 0.7)
    assert result["r3"].bridges
    assert result["r4"].conflict
    assert result["r5"].conflict


def test_equal_words_that_differ_in_a_sign_may_have_other_answers() -> None:
    rows = [
        row("r1", "is x < y or not", key="is x < y or not"),
        row("r2", "is x > y or not", "b", key="is x > y or not"),
    ]
    assert not any(found.conflict for found in resolve(rows, threshold=0.7).values())


def test_with_any_of_every_answer_is_kept_once_and_nothing_conflicts() -> None:
    rows = [row("r1"), row("r2", answer="term"), row("r3", answer="term"), row("r4", answer="rent", human=True)]
    result = resolve(rows, threshold=0.7, on_conflict=OnConflict.ANY_OF)
    assert [name for name in sorted(result) if result[name].is_kept] == ["r1", "r2", "r4"]
    assert result["r3"].duplicate_of == "r2"
    assert not any(resolution.conflict for resolution in result.values())
    assert {resolution.group for resolution in result.values()} == {"r1"}


def test_a_row_with_the_answer_that_an_annotator_corrected_in_a_similar_row_is_named() -> None:
    corrected = row("r1", answer="venue", human=True, replaced="law")
    result = resolve([corrected, row("r2", NEAR), row("r3", NEAR_BOTH), row("r4", LEASE)], threshold=0.7)
    assert {name: one.corrected for name, one in result.items() if one.corrected} == {"r2": "r1"}
    confirmed = resolve([replace(corrected, replaced=None), row("r2", NEAR)], threshold=0.7)
    assert confirmed["r2"].corrected is None


def test_a_conflict_names_a_few_rows_and_counts_all() -> None:
    result = resolve([row(f"r{number}", answer=f"a{number:02}") for number in range(30)], threshold=0.7)
    assert {(len(one.conflict), one.conflicting_answers) for one in result.values()} == {(MOST_CONFLICTING_ANSWERS, 29)}
    assert all(name not in one.conflict for name, one in result.items())


def test_a_row_in_conflict_is_never_a_near_duplicate() -> None:
    rows = [row("r1", text=f"{CLAUSE} hereunder"), row("r2"), row("r3", answer="term")]
    result = resolve(rows, threshold=0.7)
    assert result["r2"].is_kept
    assert result["r2"].conflict == ("r3",)


def test_any_of_drops_an_answer_that_an_annotator_replaced_unless_another_confirmed_it() -> None:
    rows = [row("r1", answer="term", human=True, replaced="law"), row("r2"), row("r3", answer="rent")]
    result = resolve(rows, 0.7, OnConflict.ANY_OF)
    assert result["r2"].overridden_by == "r1"
    assert result["r1"].is_kept and result["r3"].is_kept
    again = resolve([*rows, row("r4", human=True)], 0.7, OnConflict.ANY_OF)
    assert (again["r2"].duplicate_of, again["r4"].is_kept) == ("r4", True)
