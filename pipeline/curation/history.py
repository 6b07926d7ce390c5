"""Combines what is known about each current record: its prepared row, earlier decisions, annotators' answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import orjson
import polars as pl
from pydantic import TypeAdapter

from pipeline.curation.audit import Chance
from pipeline.curation.heard_answers import ASKED, Heard, routes_of
from pipeline.curation.known import NO_DOUBT, Answered, Doubt, Known, Past, in_words
from pipeline.curation.repairable_rows import accept_answer
from pipeline.review.asked_before import involved_annotators
from pipeline.review.consensus import Said, origins
from pipeline.review.corrections import corrected
from pipeline.review.labeling_tasks import HOW_TO_CORRECT
from pipeline.review.second_looks import is_surprising
from pipeline.state.decisions import about, from_frame, latest, still_valid
from pipeline.state.same_question import same_question
from pipeline.state.snapshot import Snapshot
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import LABEL_ERROR_CODES, Fate, Reason, ReasonCode, Routed
from schemas.field import same_targets
from schemas.run_summary import Verb
from schemas.task import Task
from schemas.task_shape import shape_digest

_REASONS = TypeAdapter(tuple[Reason, ...])
_SCORED = (Fate.ACCEPTED, Fate.REVIEW)
"""The fates of rows whose labels are scored."""


@dataclass(frozen=True)
class History:
    """Committed decisions and annotations about one record."""

    origin: Decision | None = None
    """The last one without an annotator's part: what was uncertain before any answer; or else the last one."""
    curated: Decision | None = None
    """The one of the last curate, whether annotators had a part in it or not."""
    said: Said | None = None
    """The answer that decides, if any still counts."""
    lapsed: Said | None = None
    """If none does: the latest that did before the task has changed."""
    route: Routed | None = None
    """How annotators were asked about what the row says now, if they were: as an audit, or else at first."""
    answered_route: Routed | None = None
    """The same for what it said when they answered."""
    chance: Chance | None = None
    """Of its text to be audited, whatever its source has corrected in the answer since."""
    since: datetime | None = None
    """When the row came to say what it says, if no valid answer is about that."""


def read_histories(snapshot: Snapshot, rows: pl.DataFrame, task: type[Task], heard: Heard) -> dict[str, History]:
    """Committed decisions and annotations for current records whose inputs and task are unchanged.

    Args:
        snapshot: the committed state, at least of these records.
        rows: the records, with the columns ``ASKED``.
        task: as it is now.
        heard: what annotators have said about them, and maybe others.
    """
    if rows.is_empty() or snapshot.runs.is_empty():
        return {}
    asked_now = rows.lazy().select(ASKED)
    digests = same_question(snapshot, task)
    decided = about(still_valid(snapshot.committed_decisions(), asked_now, digests), asked_now, task)
    curated = latest(_by_curate(decided, snapshot))
    automatic = {decision.record_id: decision for decision in from_frame(curated.collect())}
    routes, chances = routes_of(decided), _chances(snapshot, asked_now, task)
    before = [decision.record_id for decision in automatic.values() if involved_annotators(decision)]
    untouched = automatic | {decision.record_id: decision for decision in origins(snapshot, asked_now, task, before)}
    return {
        record_id: History(
            origin=untouched.get(record_id),
            curated=automatic.get(record_id),
            said=heard.said.get(record_id),
            lapsed=heard.lapsed.get(record_id),
            route=routes.get(record_id),
            answered_route=heard.routes.get(record_id),
            chance=chances.get(record_id),
            since=heard.since.get(record_id),
        )
        for record_id in rows["record_id"]
        if any(record_id in known for known in (automatic, heard.said, heard.lapsed, chances))
    }


def of_answers(heard: Heard) -> dict[str, History]:
    """What annotators have said as histories, without what was decided before."""
    known = {record_id: History(said=said, since=heard.since.get(record_id)) for record_id, said in heard.said.items()}
    return known | {record_id: History(lapsed=said) for record_id, said in heard.lapsed.items()}


def _by_curate(decisions: pl.LazyFrame, snapshot: Snapshot) -> pl.LazyFrame:
    curates = snapshot.runs.lazy().filter(verb=Verb.CURATE.value).select("run")
    return decisions.join(curates, on="run", how="semi", maintain_order="left")


def _chances(snapshot: Snapshot, asked_now: pl.LazyFrame, task: type[Task]) -> dict[str, Chance]:
    """The chances to be audited that the last curate gave to the rows, if they still have the same texts.

    They stay when the source has another answer: a row that left the sample because the source took its correction
    over would leave behind those that were found right.
    """
    of_task = snapshot.committed_decisions().filter(pl.col("task_digest").is_in(list(same_question(snapshot, task))))
    # The newest first: most rows have not changed since, and need not be compared.
    last = about(latest(_by_curate(of_task, snapshot)), asked_now, task)
    rows = last.select("record_id", "audit_stratum", "audit_probability").drop_nulls().collect()
    return {record_id: Chance(stratum, probability) for record_id, stratum, probability in rows.iter_rows()}


def verdict_of(decision: Decision | None) -> Verdict | None:
    """The annotators' answer in a decision of a collect run."""
    if decision is None:
        return None
    codes = {reason.code for reason in decision.reasons}
    if ReasonCode.UNUSABLE in codes:
        return Verdict.UNUSABLE
    if ReasonCode.UNSURE in codes:
        return Verdict.UNSURE
    if ReasonCode.DISAGREEMENT in codes:
        return Verdict.DISPUTED
    return Verdict.LABELED if ReasonCode.REVIEWED in codes else None


ROW_COLUMNS = [
    *("record_id", "revision", "order", "content", "fixed_split", "frozen"),
    *("key", "inputs", "targets", "rejection_reasons", "review_reasons", "draft", "tokens"),
]
"""The columns of prepared rows that are known of a record."""


def read_known(
    rows: pl.DataFrame, past: Mapping[str, History], task: type[Task], *, forgets: bool = False
) -> list[Known]:
    """What is known of records before they are compared; annotators' answers replace their own.

    Args:
        rows: prepared ones, with the columns ``ROW_COLUMNS``.
        past: of those that have one.
        task: as it is now.
        forgets: whether what earlier runs have found against labels counts no more.
    """
    found = []
    for row in rows.select(ROW_COLUMNS).iter_rows():
        known = _known(*row)
        found.append(_with_past(known, past[row[0]], task, forgets) if row[0] in past else known)
    return found


def _known(
    record_id: str,
    revision: str,
    order: int,
    content: str | None,
    fixed_split: str | None,
    frozen: bool,
    key: str,
    inputs: str | None,
    targets: str | None,
    rejection_reasons: str,
    review_reasons: str,
    draft: str | None,
    tokens: int | None,
) -> Known:
    return Known(
        record_id=record_id,
        revision=revision,
        order=order,
        content=content or "",
        fixed_split=fixed_split,
        frozen=frozen,
        text_key=key,
        inputs=orjson.loads(inputs) if inputs is not None else {},
        targets=orjson.loads(targets) if targets is not None else None,
        draft=orjson.loads(draft) if draft is not None else None,
        tokens=tokens,
        rejection_reasons=_reasons(rejection_reasons),
        review_reasons=_reasons(review_reasons),
    )


def _with_past(row: Known, history: History, task: type[Task], forgets: bool) -> Known:
    """What is known of a row with earlier decisions and annotations about it."""
    known, route = row, history.route
    if history.said is not None:
        known = _listened(row, history.said, history.since, task)
        if known.human is not None:
            known, route = accept_answer(known), history.route or history.answered_route
    elif history.lapsed is not None:
        known = _asked_again(row, history.lapsed)
    scored, doubt = False, NO_DOUBT
    # Of a label that the source took over from annotators there is no automatic decision.
    if history.origin and not forgets and (known.human or history.origin.targets == row.targets):
        found, curated = _found_before(history.origin, is_frozen=row.frozen), history.curated
        scored, doubt = found is not None, found or NO_DOUBT
        if known.human is not None and curated is not None and curated.fate in _SCORED:
            # The label that it had by then may have been scored anew.
            doubt = replace(doubt, score=_score_alone(curated), suggestion=curated.suggestion)
    digest = history.curated.task_digest if history.curated else ""
    if history.said is None and history.lapsed is not None:
        # Another question: the task of the one before is answered.
        digest = shape_digest(task)
    return replace(known, past=Past(route, history.chance, scored, digest, doubt))


def _asked_again(row: Known, said: Said) -> Known:
    """A row whose answer the task does not have any more: its own, which annotators have replaced, is no better."""
    what = said.annotation.error.partition(HOW_TO_CORRECT)[0]
    reason = Reason(code=ReasonCode.CONFLICT, detail=f"an annotator's answer is not valid any more ({what})")
    return replace(row, review_reasons=(*row.review_reasons, reason), answered=Answered(contradicted=True))


def _listened(row: Known, said: Said, since: datetime | None, task: type[Task]) -> Known:
    """A row with an annotator's answer; if the source has since changed to a different label, annotators are asked
    again.

    It has a verdict if the answer counts. One given or edited after the change does.
    """
    answer = said.annotation
    reason = said.reason_for(row.targets) if said.is_of_another else said.reason
    if reason is None:
        return row
    if said.against is not None:
        return replace(row, answered=Answered(human=Verdict.DISPUTED, human_reasons=(reason,)))
    agrees = any(same_targets(row.targets, one) for one in (None, said.asked.targets, answer.targets))
    is_older = since is not None and answer.updated_at < since
    if answer.verdict is Verdict.LABELED and answer.targets and is_older and not agrees:
        of_annotators, of_source = in_words(row, [answer.targets, row.targets or {}], task)
        detail = f"an annotator answered '{of_annotators}', and since then the source has '{of_source}'"
        conflict = Reason(code=ReasonCode.CONFLICT, detail=detail)
        return replace(row, review_reasons=(*row.review_reasons, conflict), answered=Answered(contradicted=True))
    unconfirmed = said.is_alone and is_surprising(said.asked, answer, task)
    if answer.verdict is not Verdict.LABELED:
        return replace(row, answered=Answered(human=answer.verdict, human_reasons=(reason,), unconfirmed=unconfirmed))
    answered = Answered(
        human=answer.verdict,
        human_reasons=(reason,),
        replaced=None if same_targets(answer.targets, row.targets) else row.targets,
        entered=row.targets is None,
        corrected=corrected(answer, said.asked, row.targets),
        unconfirmed=unconfirmed,
    )
    tokens = row.tokens if answer.targets == row.targets else None
    return replace(row, targets=answer.targets, tokens=tokens, answered=answered)


def _reasons(text: str) -> tuple[Reason, ...]:
    # Most rows have none: skip the parser for them.
    return _REASONS.validate_json(text) if text != "[]" else ()


def _found_before(past: Decision, *, is_frozen: bool) -> Doubt | None:
    """A label is scored once: an old score is kept, and with it whether the label was flagged.

    None if the decision does not say.
    """
    was_frozen = any(reason.code is ReasonCode.FROZEN for reason in past.reasons)
    if past.fate not in _SCORED or (was_frozen and not is_frozen):
        return None
    reasons = tuple(reason for reason in past.reasons if reason.code in LABEL_ERROR_CODES)
    return Doubt(score=_score_alone(past), suggestion=past.suggestion, reasons=reasons)


def _score_alone(past: Decision) -> float | None:
    """The label-error score without the model of `suggest`, whose word every run weighs anew."""
    return past.label_error_score if past.model_answer is None else past.score_alone
