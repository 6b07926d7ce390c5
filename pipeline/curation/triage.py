"""Chooses, within a budget and at random, what annotators are asked about.

Pure: what every record is by itself comes in as a row of ``settle``, and its decision goes out. Triage is a fixed
point: the same records, with these decisions as their history, give the same decisions again, so a repeated run sends
nothing twice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.curation.choose import Candidate, Wait, choose
from pipeline.curation.error_proof import FEWEST
from pipeline.curation.personal_values import cleared, once_each
from pipeline.curation.random_checks import draw_checks
from pipeline.curation.settled_columns import ASKING, DECIDED
from pipeline.state.decisions import json_of_reasons
from pipeline.state.tables import SCHEMAS, Table
from schemas.dataset import Review, Unreviewed
from schemas.fate import Fate, Reason, ReasonCode, Routed
from schemas.run_summary import BudgetUse, Proof

_BUDGET = 0.1
_PERSONAL = 0.2
"""Questions about personal data beside each one of the budget, if it has no budget that is configured."""
_MOST_ASKED = 500
"""Records to review if no budget is configured: some hours of an annotator's work."""
_ASKED = [route.value for route in (Routed.UNCERTAIN, Routed.CONFLICT, Routed.REPAIR)]
"""Routes that use up the budget."""
TRIAGED = ["record_id", "fate", "routed", "group", "label_error_score", *ASKING]
"""The columns of settled records that are looked at."""
IS_SUSPECT = (
    pl.col("score").is_not_null() & (pl.col("wait") == Wait.NO.value) & (pl.col("route") == Routed.UNCERTAIN.value)
)
"""Whether a label is likely enough to be wrong to be worth a look, though nothing else holds its row."""


VERDICT = pl.Schema(
    {
        "record_id": pl.String(),
        "fate": pl.String(),
        "routed": pl.String(),
        # Accepted though it is suspect, since the budget does not reach it.
        "unreviewed": pl.Boolean(),
        # It waited for personal data only, all of which annotators have accepted in other rows.
        "cleared": pl.Boolean(),
        "audit_stratum": pl.Int8(),
        "audit_probability": pl.Float64(),
    }
)
"""What triage says of a record; the rest of its decision is as it was settled."""


@dataclass(frozen=True)
class Triage:
    """What becomes of the records, and how much of the budget that uses."""

    verdicts: pl.DataFrame
    """One row per record with the columns of ``VERDICT``, in the order of the settled ones."""
    use: BudgetUse
    proof: Proof | None = None
    """Of ``review.error_rate``, if it is set."""


def triage(settled: pl.DataFrame, review: Review, *, proof: Proof | None = None) -> Triage:
    """Decide about every record.

    Args:
        settled: one row per current record, with the columns of ``SETTLED`` that a choice depends on (``TRIAGED``).
        review: budget, audit rate, and what happens beyond the budget.
        proof: the state of ``review.error_rate`` after the last run.
    """
    rows = cleared(settled.select(TRIAGED)).with_columns(
        # A question that was asked and not answered remains asked, whatever the current budget.
        asked=pl.col("past_route").is_in(_ASKED).fill_null(value=False)
        & (pl.col("human").is_not_null() | pl.col("score").is_not_null()),
        suspect=IS_SUSPECT,
    )
    picked = _pick(rows, review)
    rows = _with_fates(_with_routes(rows, picked.chosen), review)
    rows, proof = draw_checks(rows, review, picked.room, proof)
    return Triage(rows.select(VERDICT.names()), _use(rows, picked), proof)


def _use(rows: pl.DataFrame, picked: "_Picked") -> BudgetUse:
    """How much of the budgets is used, and what they do not reach."""
    is_personal = pl.col("personal").is_not_null()
    # A row about whose number another one is asked waits for that answer, and for no budget.
    is_beyond = picked.within_budget & (~is_personal | pl.col("record_id").is_in(picked.personal))
    beyond = rows.filter(is_beyond, pl.col("routed").is_null())
    # Equally frequent ones stay in the order of the records.
    counts = beyond.group_by("first", maintain_order=True).len().sort("len", descending=True, maintain_order=True)
    return BudgetUse(
        budget=picked.budget,
        budget_used=picked.used,
        personal_used=rows.filter(is_personal, pl.col("asked") | pl.col("chosen")).height,
        beyond_budget=beyond.height,
        beyond_personal=beyond.filter(is_personal).height,
        beyond_accepted=beyond.filter("unreviewed").height,
        beyond_by_reason={ReasonCode(code): count for code, count in counts.iter_rows()},
    )


def decisions(settled: pl.DataFrame, verdicts: pl.DataFrame, review: Review, run: str) -> pl.DataFrame:
    """The decisions about some settled records, as rows of their table.

    Args:
        settled: with the columns of ``DECIDED``.
        verdicts: what triage says of these, in any order, and maybe of others.
        review: as it was triaged by.
        run: the deciding run.
    """
    rows = settled.select(DECIDED.names()).drop("fate", "routed", "audit_stratum", "audit_probability")
    rows = rows.join(verdicts, on="record_id", maintain_order="left")
    reasons = pl.concat_str(said_first(review), pl.col("reasons").str.slice(1))
    rows = rows.with_columns(run=pl.lit(run), reasons=reasons)
    return rows.select(pl.col(name).cast(kind) for name, kind in SCHEMAS[Table.DECISIONS].items())


def said_first(review: Review) -> pl.Expr:
    """How the reasons of a decision begin, over ``unreviewed`` and ``cleared``: in JSON, with the opening bracket."""
    reasons = {"unreviewed": unreviewed(review), "cleared": Reason(code=ReasonCode.CLEARED)}
    given = [
        pl.when(name).then(pl.lit(f"{json_of_reasons([one])[1:-1]},")).otherwise(pl.lit(""))
        for name, one in reasons.items()
    ]
    return pl.concat_str(pl.lit("["), *given)


def unreviewed(review: Review) -> Reason:
    """The reason of a suspect row that is accepted, since nobody is asked about it."""
    later = "annotators are asked about it in a later batch" if review.error_rate is not None else ""
    return Reason(code=ReasonCode.UNREVIEWED, detail=later)


# --- the budget -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Picked:
    """What annotators are asked about, as far as it is not drawn at random."""

    chosen: set[str]
    """Records that nobody was asked about before."""
    budget: int
    used: int
    within_budget: pl.Expr
    """Whether a row is a candidate that may use up the budget, whatever it is routed to."""
    personal: Sequence[str]
    """Those that wait for personal data only, as far as each number or address is asked about once."""
    room: int = 0
    """With an error rate, how many rows of a batch are drawn at random."""


def _pick(rows: pl.DataFrame, review: Review) -> _Picked:
    """Choose within the budget. With an error rate it is only for rows that wait: suspects come batch by batch."""
    from pipeline.estimation.error_target import least_sample

    budget, asked = _budget(review.budget, rows.height), rows.filter("asked")
    of_group = dict(asked["group"].value_counts().iter_rows())
    is_new = pl.col("score").is_not_null() & pl.col("past_route").is_null()
    each, room = once_each(rows, is_new), _personal_budget(review, budget, rows.height)
    personal = set(each[: max(0, room - asked.filter(pl.col("personal").is_not_null()).height)])
    new, asked = (some.filter(pl.col("personal").is_null()) for some in (rows.filter(is_new), asked))
    if review.error_rate is None:
        chosen = _chosen(new, budget - asked.height, of_group)
        return _Picked(chosen | personal, budget, asked.height + len(chosen), is_new, each)
    waiting, before = new.filter(~pl.col("suspect")), asked.filter(_WAS_SUSPECT)
    unanswered = before.filter(pl.col("human").is_null(), ~pl.col("in_vain")).height
    batch = max(FEWEST, budget)
    least = least_sample(batch)
    likely = _chosen(new.filter("suspect"), batch - least - unanswered, of_group)
    used = asked.height - before.height
    chosen = _chosen(waiting, budget - used, of_group)
    room = max(least, batch - unanswered - len(likely))
    return _Picked(likely | chosen | personal, budget, used + len(chosen), is_new & ~pl.col("suspect"), each, room)


_WAS_SUSPECT = (
    pl.when(pl.col("human").is_null())
    .then(pl.col("suspect"))
    .otherwise((pl.col("past_route") == Routed.UNCERTAIN.value) & ~(pl.col("entered") | pl.col("held")))
)
"""Whether a row was asked about since it was likely wrong, and for no other reason, as far as that can be seen."""


def _budget(given: int | float | None, current: int) -> int:
    if isinstance(given, int):
        return given
    share = _BUDGET if given is None else given
    # Rounded first, since 0.07 of 100 is 7.000000000000001; up, so that a share of a small set is not zero.
    budget = math.ceil(round(share * current, 6))
    return min(budget, _MOST_ASKED) if given is None else budget


def _personal_budget(review: Review, budget: int, current: int) -> int:
    if review.personal_budget is None:
        return math.ceil(round(_PERSONAL * budget, 6))
    return _budget(review.personal_budget, current)


def _chosen(rows: pl.DataFrame, room: int, of_group: Mapping[str, int]) -> set[str]:
    columns = rows.select("record_id", "score", "wait", "group", "sort", "order").iter_rows()
    return choose(
        (Candidate(name, score, Wait(wait), group, sort, order) for name, score, wait, group, sort, order in columns),
        room,
        of_group,
    )


# --- what follows ---------------------------------------------------------------------------------
def _with_routes(rows: pl.DataFrame, chosen: set[str]) -> pl.DataFrame:
    """Route what was chosen now, and what nobody has answered yet."""
    is_repair = (pl.col("past_route") == Routed.REPAIR.value) | (pl.col("route") == Routed.REPAIR.value)
    # What broke the task's schema may be valid now, and the reverse: the task's own validators change.
    again = pl.when(is_repair).then(pl.col("route")).otherwise(pl.col("past_route"))
    rows = rows.with_columns(chosen=pl.col("record_id").is_in(list(chosen)))
    routed = (
        pl.when(pl.col("asked") & pl.col("human").is_null())
        .then(again)
        .when(~pl.col("asked") & pl.col("chosen"))
        .then(pl.col("route"))
        .otherwise(pl.col("routed"))
    )
    return rows.with_columns(routed=routed)


def _with_fates(rows: pl.DataFrame, review: Review) -> pl.DataFrame:
    """Accept what need not wait for an annotator, and is beyond the budget."""
    may_pass = (
        pl.lit(review.unreviewed is Unreviewed.ACCEPT)
        & (pl.col("fate") == Fate.REVIEW.value)
        & pl.col("suspect")
        & ~pl.col("asked")
        & ~pl.col("chosen")
    )
    return rows.with_columns(
        fate=pl.when(may_pass).then(pl.lit(Fate.ACCEPTED.value)).otherwise(pl.col("fate")),
        unreviewed=may_pass,
        passed=pl.col("passed") & ~may_pass,
    )
