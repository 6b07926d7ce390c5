"""Which questions are sent to annotators first, and what each of them says."""

from pathlib import Path

import pytest
from test_attention import committed

from pipeline.review.queue import open_questions, question
from pipeline.state.decisions import question_key
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.tasks.contract_clause import ContractClause

LABEL_ERROR = Reason(code=ReasonCode.LABEL_ERROR, field="kind", detail="'term', not 'renewal'")
PERSONAL = Reason(code=ReasonCode.PERSONAL_DATA, field="clause", detail="an e-mail address")
SECRET = Reason(code=ReasonCode.SECRET, field="clause", detail="a key")
AUDIT = "Picked at random, to estimate how many errors remain: please confirm or correct the answer."
SENSITIVE = ". If you answer, the row goes into the dataset unchanged; choose unusable to keep it out"


def asked(name: str, routed: Routed | None, score: float | None = None, fate: Fate = Fate.REVIEW) -> Decision:
    return Decision(
        run="", record_id=name, revision="v1", task_digest="t", fate=fate, reasons=[LABEL_ERROR], routed=routed,
        inputs={"clause": f"clause {name}"}, targets={"kind": "renewal"}, label_error_score=score,
    )  # fmt: skip


def order(folder: Path, *decisions: Decision) -> list[str]:
    return [decision.record_id for decision in open_questions(committed(folder, decisions))]


# --- their order ------------------------------------------------------------------------------------
def test_conflicts_come_first_and_then_the_likeliest_label_errors(tmp_path: Path) -> None:
    assert order(
        tmp_path,
        asked("a", Routed.UNCERTAIN, 0.2),
        asked("b", Routed.UNCERTAIN, 0.9),
        asked("c", Routed.CONFLICT, 0.1),
        asked("d", Routed.UNCERTAIN),
        asked("e", Routed.UNCERTAIN, 0.6),
        asked("f", Routed.UNCERTAIN, 0.0),
    ) == ["c", "b", "e", "d", "a", "f"], "nobody knows about the fourth, and the last is surely right"


def test_equally_urgent_questions_have_one_order(tmp_path: Path) -> None:
    decisions = [asked(name, Routed.UNCERTAIN, 0.5) for name in "cab"]
    assert order(tmp_path, *decisions) == ["a", "b", "c"]


def test_audits_are_spread_evenly_among_the_other_questions(tmp_path: Path) -> None:
    others = [asked(f"u{number}", Routed.UNCERTAIN, 1 - number / 100) for number in range(8)]
    audits = [asked(f"a{number}", Routed.AUDIT, fate=Fate.ACCEPTED) for number in range(4)]
    found = order(tmp_path, *audits, *others)
    assert [name for name in found if name in {one.record_id for one in others}] == [one.record_id for one in others]
    halves = found[:6], found[6:]
    assert [sum(name.startswith("a") for name in half) for half in halves] == [2, 2]
    assert [name for name in found if name.startswith("a")] != [one.record_id for one in audits], "in random order"


def test_answered_and_adjudicated_and_rejected_rows_are_asked_about_no_more(tmp_path: Path) -> None:
    answered = asked("a", Routed.UNCERTAIN, fate=Fate.ACCEPTED).model_copy(update={"label_source": LabelSource.HUMAN})
    gone = [asked("b", Routed.ADJUDICATE), asked("c", None), asked("d", Routed.UNCERTAIN, fate=Fate.REJECTED)]
    copied = asked("e", Routed.CONFLICT, fate=Fate.DUPLICATE)
    assert order(tmp_path, answered, *gone, copied, asked("f", Routed.AUDIT)) == ["f"]


# --- what they say ----------------------------------------------------------------------------------
def test_a_question_shows_the_row_s_own_answer_and_how_sure_the_model_is_of_it() -> None:
    decision = asked("a", Routed.UNCERTAIN, 0.75)
    shown = question(decision, ContractClause)
    assert (shown.record_id, shown.inputs, shown.proposal) == ("a", {"clause": "clause a"}, {"kind": "renewal"})
    assert (shown.push_key, shown.score) == (question_key(decision, ContractClause), 0.25)
    assert question(asked("a", Routed.UNCERTAIN), ContractClause).score is None
    assert question(asked("a", Routed.UNCERTAIN, 0.0), ContractClause).score == 1.0


def test_a_suggestion_is_proposed_only_where_the_row_has_no_answer() -> None:
    suggested = {"suggestion": {"kind": "term"}}
    own = asked("a", Routed.UNCERTAIN).model_copy(update=suggested)
    unlabeled = own.model_copy(update={"targets": None})
    assert question(own, ContractClause).proposal == {"kind": "renewal"}
    assert question(unlabeled, ContractClause).proposal == {"kind": "term"}


def test_a_question_tells_all_reasons_as_one_sentence() -> None:
    two = asked("a", Routed.UNCERTAIN).model_copy(
        update={"reasons": [Reason(code=ReasonCode.UNLABELED), Reason(code=ReasonCode.CONFLICT, detail="'term'")]}
    )
    assert question(two, ContractClause).why == (
        "It has no answer yet; the same input has another answer elsewhere in the data: 'term'"
    )


def test_only_an_audited_row_that_nothing_speaks_against_is_said_to_be_picked_at_random() -> None:
    fates = Fate.ACCEPTED, Fate.REVIEW
    why = {fate: question(asked("a", Routed.AUDIT, fate=fate), ContractClause).why for fate in fates}
    assert why[Fate.ACCEPTED] == AUDIT
    assert why[Fate.REVIEW] == (
        "A model trained on the other rows would answer differently (kind): 'term', not 'renewal'"
    )


@pytest.mark.parametrize("sensitive", [PERSONAL, SECRET])
def test_an_annotator_of_a_sensitive_row_is_told_that_an_answer_lets_it_in(sensitive: Reason) -> None:
    held = asked("a", Routed.UNCERTAIN)
    for reasons, warned in (([LABEL_ERROR, sensitive], True), ([LABEL_ERROR], False)):
        shown = question(held.model_copy(update={"reasons": reasons}), ContractClause)
        assert shown.why.endswith(SENSITIVE) == warned
