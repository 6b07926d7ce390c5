"""Combines what is known about each current record: its prepared row, earlier decisions, annotators' answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson
import polars as pl
from pydantic import TypeAdapter

from pipeline.curation.audit import Chance
from pipeline.curation.case import Case, in_words
from pipeline.curation.prepare import Prepared
from pipeline.curation.repairable_rows import accept_answer
from pipeline.review.consensus import Said, deciding, involved_annotators, origins, said_about, said_before
from pipeline.review.corrections import corrected
from pipeline.review.second_looks import is_surprising
from pipeline.state.decisions import about, from_frame, latest, still_valid
from pipeline.state.snapshot import Snapshot
from pipeline.state.work_files import read_work
from pipeline.text.wording import counted
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import LABEL_ERROR_CODES, Fate, Reason, ReasonCode, Routed
from schemas.field import same_targets
from schemas.repairs import awaits_repair
from schemas.run_summary import Verb
from schemas.task import Task

_REASONS = TypeAdapter(list[Reason])
_ASKED = [route.value for route in Routed if route is not Routed.ADJUDICATE]
"""The routes of a first question."""


@dataclass(frozen=True)
class History:
    """Committed decisions and annotations about one record."""

    origin: Decision | None = None
    """The last one without an annotator's part: what was uncertain before any answer."""
    curated: Decision | None = None
    """The one of the last curate, whether annotators had a part in it or not."""
    said: Said | None = None
    """The answer that decides, if any still counts."""
    route: Routed | None = None
    """How annotators were asked about what the row says now, if they were: as an audit, or else at first."""
    answered_route: Routed | None = None
    """The same for what it said when they answered."""
    chance: Chance | None = None
    """Of its text to be audited, whatever its source has corrected in the answer since."""
    since: datetime | None = None
    """When the current revision came in, if they answered about another answer of the row."""


def read_histories(
    snapshot: Snapshot, prepared: list[Prepared], task: type[Task], beside: pl.DataFrame | None = None
) -> dict[str, History]:
    """Committed decisions and annotations for every current record whose inputs and task are unchanged.

    Args:
        snapshot: the committed state.
        prepared: the records.
        task: as it is now.
        beside: others that annotators have answered, with their ``record_id``, ``revision``, ``inputs`` and
            ``content``: how much a vote weighs depends on all of its annotator's.
    """
    if not prepared or snapshot.runs.is_empty():
        return {}
    columns = ["record_id", "revision", "inputs", "content"]
    asked_now = pl.concat([read_work(part.path, columns) for part in prepared]).lazy()
    digest = task.task_digest()
    decided = about(still_valid(snapshot.committed_decisions(), asked_now, digest), asked_now, task)
    curated = latest(_by_curate(decided, snapshot))
    automatic = {decision.record_id: decision for decision in from_frame(curated.collect())}
    answered = asked_now if beside is None else pl.concat([asked_now, beside.lazy().select(columns)])
    said = {record_id: answer for record_id, items in said_about(snapshot, task, answered).items()
            if (answer := deciding(items))}  # fmt: skip
    said |= _handed_on(snapshot, prepared, task, said)
    routes, of_answers = _routes(decided), _routes_of_answers(snapshot, said)
    chances = _chances(snapshot, asked_now, task)
    since = _changed_since(snapshot, said)
    before = [decision.record_id for decision in automatic.values() if involved_annotators(decision)]
    untouched = automatic | {decision.record_id: decision for decision in origins(snapshot, asked_now, task, before)}
    return {
        record_id: History(
            origin=untouched.get(record_id),
            curated=automatic.get(record_id),
            said=said.get(record_id),
            route=routes.get(record_id),
            answered_route=of_answers.get(record_id),
            chance=chances.get(record_id),
            since=since.get(record_id),
        )
        for record_id in automatic.keys() | said.keys() | chances.keys()
    }


def _by_curate(decisions: pl.LazyFrame, snapshot: Snapshot) -> pl.LazyFrame:
    curates = snapshot.runs.lazy().filter(verb=Verb.CURATE.value).select("run")
    return decisions.join(curates, on="run", how="semi", maintain_order="left")


def _chances(snapshot: Snapshot, asked_now: pl.LazyFrame, task: type[Task]) -> dict[str, Chance]:
    """The chances to be audited that the last curate gave to the rows, if they still have the same texts.

    They stay when the source has another answer: a row that left the sample because the source took its correction
    over would leave behind those that were found right.
    """
    of_task = snapshot.committed_decisions().filter(pl.col("task_digest") == task.task_digest())
    # The newest first: most rows have not changed since, and need not be compared.
    last = about(latest(_by_curate(of_task, snapshot)), asked_now, task)
    rows = last.select("record_id", "audit_stratum", "audit_probability").drop_nulls().collect()
    return {record_id: Chance(stratum, probability) for record_id, stratum, probability in rows.iter_rows()}


def _handed_on(
    snapshot: Snapshot, prepared: list[Prepared], task: type[Task], said: Mapping[str, Said]
) -> dict[str, Said]:
    """Annotations about the texts of records without an answer, if the record that was asked about is gone."""
    before = said_before(snapshot, task)
    if not before:
        return {}
    texts = {text for _, text in before}
    keys = pl.concat([read_work(part.path, ["record_id", "key"]) for part in prepared]).filter(
        pl.col("key").is_in(texts), ~pl.col("record_id").is_in(list(said))
    )
    sources = snapshot.current_records().select("record_id", "source")
    found = keys.lazy().join(sources, on="record_id").select("record_id", "source", "key").collect()
    answers = {record_id: deciding(before.get((source, key), ())) for record_id, source, key in found.iter_rows()}
    return {record_id: answer for record_id, answer in answers.items() if answer is not None}


def _routes(decided: pl.LazyFrame) -> dict[str, Routed]:
    """How annotators were asked about each record, from decisions given oldest first: as an audit, or else at first.

    What was drawn stays in the sample, whatever the row was asked for before or is since.
    """
    asked = decided.filter(pl.col("routed").is_in(_ASKED)).with_columns(is_other=pl.col("routed") != Routed.AUDIT.value)
    first = asked.sort("is_other", maintain_order=True).unique("record_id", keep="first", maintain_order=True)
    return {
        record_id: Routed(routed) for record_id, routed in first.select("record_id", "routed").collect().iter_rows()
    }


def _routes_of_answers(snapshot: Snapshot, said: Mapping[str, Said]) -> dict[str, Routed]:
    """How annotators were asked if they answered about an earlier revision: that question still counts."""
    earlier = {record_id: answer.asked for record_id, answer in said.items() if not answer.is_present}
    if not earlier:
        return {}
    asked = [(decision.record_id, decision.revision) for decision in earlier.values()]
    of = pl.LazyFrame(asked, schema={"record_id": pl.String, "revision": pl.String}, orient="row")
    decided = snapshot.committed_decisions().join(of, on=["record_id", "revision"], how="semi", maintain_order="left")
    routes = _routes(decided)
    return {name: routes[one.record_id] for name, one in earlier.items() if one.record_id in routes}


def _changed_since(snapshot: Snapshot, said: Mapping[str, Said]) -> dict[str, datetime]:
    """When the current revisions came in of the records that annotators answered about before."""
    earlier = [record_id for record_id, answer in said.items() if not answer.is_present]
    if not earlier:
        return {}
    rows = snapshot.current_records().filter(pl.col("record_id").is_in(earlier)).select("record_id", "ingested_at")
    return dict(rows.collect().iter_rows())


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


def build_cases(prepared: list[Prepared], past: dict[str, History], task: type[Task]) -> list[Case]:
    """The prepared rows as cases, with annotators' answers replacing the rows' own."""
    columns = [
        *("record_id", "revision", "order", "content", "fixed_split", "frozen"),
        *("key", "inputs", "targets", "rejection_reasons", "review_reasons", "draft", "tokens"),
    ]
    cases = []
    for part in prepared:
        for row in read_work(part.path, columns).iter_rows():
            case = _case(*row)
            if row[0] in past:
                _look_back(case, past[row[0]], task)
            cases.append(case)
    return cases


def _case(
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
) -> Case:
    return Case(
        record_id=record_id,
        revision=revision,
        order=order,
        content=content or "",
        fixed_split=fixed_split,
        frozen=frozen,
        text_key=key,
        inputs=orjson.loads(inputs) if inputs is not None else {},
        targets=orjson.loads(targets) if targets is not None else None,
        rejection_reasons=_reasons(rejection_reasons),
        review_reasons=_reasons(review_reasons),
        draft=orjson.loads(draft) if draft is not None else None,
        tokens=tokens,
        group=record_id,
    )


def _look_back(case: Case, past: History, task: type[Task]) -> None:
    """Add earlier decisions and annotations to a row's case."""
    case.past_route = past.route
    case.chance = past.chance
    own = case.targets
    if past.said is not None and _listen(case, past.said, past.since, task):
        case.past_route = past.route or past.answered_route
        accept_answer(case)
    if past.origin is not None and past.origin.targets == own:
        _remember(case, past.origin)
        if case.human is not None and past.curated is not None and not awaits_repair(past.curated):
            # The label that it had by then may have been scored anew.
            case.label_error_score, case.suggestion = _score_alone(past.curated), past.curated.suggestion


def _listen(case: Case, said: Said, since: datetime | None, task: type[Task]) -> bool:
    """Add an annotator's answer; if the source has since changed to a different label, annotators are asked again.

    Returns whether the answer counts. One given or edited after the change does.
    """
    answer = said.annotation
    reason = said.reason_for(case.targets) if said.is_of_another else said.reason
    if reason is None:
        return False
    if said.against is not None:
        case.human, case.human_reasons = Verdict.DISPUTED, [reason]
        return True
    agrees = any(same_targets(case.targets, known) for known in (None, said.asked.targets, answer.targets))
    is_older = since is not None and answer.updated_at < since
    if answer.verdict is Verdict.LABELED and answer.targets and is_older and not agrees:
        of_annotators, of_source = in_words(case, [answer.targets, case.targets or {}], task)
        detail = f"an annotator answered '{of_annotators}', and since then the source has '{of_source}'"
        case.review_reasons.append(Reason(code=ReasonCode.CONFLICT, detail=detail))
        case.contradicted = True
        return False
    case.human = answer.verdict
    case.human_reasons = [reason]
    case.unconfirmed = said.is_alone and is_surprising(said.asked, answer, task)
    if answer.verdict is Verdict.LABELED:
        if answer.targets != case.targets:
            case.tokens = None
        if not same_targets(answer.targets, case.targets):
            case.replaced = case.targets
        case.entered = case.targets is None
        case.corrected = corrected(answer, said.asked, case.targets)
        case.targets = answer.targets
    return True


def _reasons(text: str) -> list[Reason]:
    # Most rows have none: skip the parser for them.
    return _REASONS.validate_json(text) if text != "[]" else []


def _remember(case: Case, past: Decision) -> None:
    """A label is scored once: an old score is kept, and with it whether the label was flagged."""
    was_frozen = any(reason.code is ReasonCode.FROZEN for reason in past.reasons)
    if past.fate not in (Fate.ACCEPTED, Fate.REVIEW) or (was_frozen and not case.frozen):
        # Such a decision does not say whether the label was flagged.
        return
    case.scored = True
    case.label_error_score = _score_alone(past)
    case.suggestion = past.suggestion
    case.label_error_reasons = [reason for reason in past.reasons if reason.code in LABEL_ERROR_CODES]


def _score_alone(past: Decision) -> float | None:
    """The label-error score without the model of `suggest`, whose word every run weighs anew."""
    return past.label_error_score if past.model_answer is None else past.score_alone


def stale_answers(snapshot: Snapshot, task: type[Task]) -> str:
    """Say of how many rows the annotators' answers no longer count because the task asks for something else now.

    Empty if all do.

    Only while there are decisions by the earlier task: it is reported once, by the run that finds the change.
    *Unusable* is included: whether a row is usable is another question if the answers are different.
    """
    earlier = snapshot.current_decisions().filter(pl.col("task_digest") != task.task_digest())
    decided = earlier.select("record_id", "revision", "task_digest")
    if decided.head(1).collect().is_empty():
        return ""
    # An answer to a still earlier form of the task did not count before either.
    said = snapshot.committed_decisions(Verb.COLLECT).join(decided, on=decided.collect_schema().names(), how="semi")
    stale = latest(said).collect()
    count = sum(verdict_of(decision) is not None for decision in from_frame(stale))
    if not count:
        return ""
    rows = counted(count, "row")
    return (
        f"{task.__name__} has changed what it asks for, so annotators' answers about {rows} no longer count, unless it "
        "is changed back"
    )
