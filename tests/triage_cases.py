"""Cases for triage, made from what is found about them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from known_cases import changed, known_case

from pipeline.curation.audit import Chance
from pipeline.curation.case import SHOWN_ANSWERS, Judged
from pipeline.curation.settle import settle
from pipeline.curation.triage import decisions, triage
from pipeline.state.decisions import from_frame
from schemas.annotation import Verdict
from schemas.dataset import Review, Screen
from schemas.decision import Decision
from schemas.fate import Reason, ReasonCode, Routed
from schemas.run_summary import BudgetUse, Proof
from schemas.task import Task
from schemas.tasks.contract_clause import ContractClause

ALL = Review(budget=1.0, audit=0.0)
NONE = Review(budget=0, audit=0.0)
FLAGGED = [Reason(code=ReasonCode.LABEL_ERROR, field="kind", detail="says 'b', not 'a'")]
HOLD = [Reason(code=ReasonCode.PERSONAL_DATA, field="text", detail="an e-mail address")]
REJECT = [Reason(code=ReasonCode.INVALID, field="kind", detail="missing or empty")]
PERSON = {
    None: [],
    Verdict.LABELED: [Reason(code=ReasonCode.REVIEWED, detail="confirmed")],
    Verdict.UNUSABLE: [Reason(code=ReasonCode.UNUSABLE)],
    Verdict.UNSURE: [Reason(code=ReasonCode.UNSURE)],
    Verdict.DISPUTED: [Reason(code=ReasonCode.DISAGREEMENT)],
}


def case(name: str, **values: Any) -> Judged:
    """A labeled case that nothing speaks against."""
    number = int(name.strip("r") or 0)
    return known_case(name, **{"order": number, "text_key": name, "targets": {"kind": "a"}} | values)


def suspected(name: str, score: float = 0.9, **values: Any) -> Judged:
    return case(name, reasons=FLAGGED, score=score, **values)


def asked(name: str, verdict: Verdict | None, **values: Any) -> Judged:
    """A case that an annotator has answered."""
    return case(name, human=verdict, human_reasons=PERSON[verdict], past_route=Routed.UNCERTAIN, **values)


def conflict(key: str, *names: str) -> list[Judged]:
    """Rows of the same input with different answers."""
    return [
        case(name, text_key=key, targets={"kind": name}, conflicting_answers=len(names) - 1,
             conflict_answers=[other for other in names if other != name][:SHOWN_ANSWERS], group=key)
        for name in names
    ]  # fmt: skip


@dataclass(frozen=True)
class Triaged:
    """What triage says of some cases."""

    decisions: list[Decision]
    use: BudgetUse
    proof: Proof | None


def run(
    cases: Sequence[Judged],
    review: Review = ALL,
    task: type[Task] = ContractClause,
    proof: Proof | None = None,
    open_seats: Collection[str] = (),
) -> Triaged:
    """Settle and triage cases; of some, another annotator can still be asked."""
    settled = settle(cases, review, Screen(), task).with_columns(open_seat=pl.col("record_id").is_in(list(open_seats)))
    found = triage(settled, review, proof=proof)
    return Triaged(list(from_frame(decisions(settled, found.verdicts, review, "run"))), found.use, found.proof)


def decide(cases: Sequence[Judged], review: Review = ALL) -> dict[str, Decision]:
    return {decision.record_id: decision for decision in run(cases, review).decisions}


def chance_of(decision: Decision) -> Chance | None:
    """The chance to be audited that the next run knows of."""
    if decision.audit_stratum is None or decision.audit_probability is None:
        return None
    return Chance(decision.audit_stratum, decision.audit_probability)


def codes(decision: Decision) -> list[ReasonCode]:
    return [reason.code for reason in decision.reasons]


def answered(cases: list[Judged], result: Triaged, wrong: set[str]) -> tuple[list[Judged], int]:
    """The cases in the next run, after annotators have answered everything, and how much that was."""
    following, asked = [], 0
    for one, decision in zip(cases, result.decisions, strict=True):
        one = changed(one, chance=chance_of(decision), past_route=one.known.past.past_route or decision.routed)
        if decision.routed and one.known.human is None:
            asked += 1
            replaced = {"kind": "wrong"} if one.known.record_id in wrong else None
            one = changed(one, human=Verdict.LABELED, human_reasons=PERSON[Verdict.LABELED], replaced=replaced)
        following.append(one)
    return following, asked
