"""Gathers the accepted records whose answer is in doubt."""

from collections.abc import Iterator
from itertools import islice

import polars as pl

from pipeline.reporting.doubts import IS_FOUND_AGAINST, differs, found_against, why_not_asked
from pipeline.reporting.report_page import Suspect
from pipeline.reporting.report_state import State
from pipeline.state.decisions import with_reason
from schemas.conversation import named_turn
from schemas.dataset import OnConflict
from schemas.decision import Decision
from schemas.fate import LabelSource, Reason, ReasonCode

_SHOWN = 12
_AT_ONCE = 50
"""Rows that are read at a time."""
_LIKELY = 0.5
"""From this label-error score on, an answer is likelier wrong than right."""


def suspects(state: State) -> Iterator[Suspect]:
    """The likeliest errors first: a correction of a similar record comes before a finding, and that before a score."""
    # If any answer to an input is right, a model may well predict another one.
    by_score = state.dataset.config.on_conflict is not OnConflict.ANY_OF
    for decision, reasons in islice(_doubted(state, by_score=by_score), _SHOWN):
        turns = [turn for reason in reasons if (turn := named_turn(reason.detail)) is not None]
        yield Suspect(
            record=state.judged(decision, turn=turns[0] if turns else None),
            found=[_sentence(state, reason) for reason in reasons],
            suggestion=state.answer(decision.suggestion) if differs(decision) else "",
            label_error_score=decision.label_error_score if differs(decision) else None,
            asked=why_not_asked(decision, in_batches=state.dataset.config.review.error_rate is not None),
        )


def _doubted(state: State, *, by_score: bool) -> Iterator[tuple[Decision, list[Reason]]]:
    """Records in doubt with what was found, the likeliest errors first."""
    score = pl.col("label_error_score").fill_null(0.0)
    doubt = IS_FOUND_AGAINST | (pl.lit(by_score) & pl.col("suggested") & (score >= _LIKELY))
    rows = state.accepted.filter(pl.col("label_source").ne_missing(LabelSource.HUMAN.value), doubt)
    is_corrected = with_reason(ReasonCode.CORRECTED)
    told = rows.select("record_id", first=~is_corrected, second=~IS_FOUND_AGAINST, third=-score).collect()
    ranked = told.sort("first", "second", "third", maintain_order=True)["record_id"]
    for start in range(0, len(ranked), _AT_ONCE):
        for decision in state.to_show(ranked[start : start + _AT_ONCE]):
            # Only the whole row says whether a model would give another answer.
            if (reasons := found_against(decision)) or differs(decision):
                yield decision, reasons


def _sentence(state: State, reason: Reason) -> str:
    """What was found; the field is named only where there are several."""
    told = state.say(reason)
    text = str(told if len(state.task.task_targets()) > 1 else told.model_copy(update={"field": ""}))
    return text[:1].upper() + text[1:]
