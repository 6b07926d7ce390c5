"""Gathers the report's content from the store."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.history import verdict_of
from pipeline.curation.similarity_histogram import last_similarities
from pipeline.kinds.registry import kind_of
from pipeline.releases.absent_labels import in_words
from pipeline.releases.audit_result import audit_result
from pipeline.reporting.annotators import AnnotatorsTable, shown_team
from pipeline.reporting.doubts import IS_BELOW_FLOOR
from pipeline.reporting.duplicates import why_both
from pipeline.reporting.last_finetuning import judged
from pipeline.reporting.overview import asked_again, open_answers, open_seats
from pipeline.reporting.report_finetuning import shown_finetuning
from pipeline.reporting.report_page import (
    AnswerInConflict,
    Change,
    Conflict,
    DuplicatePair,
    NearMiss,
    Published,
    ReasonCount,
    ReportData,
    ReviewCounts,
    RouteCount,
    ShownRecord,
)
from pipeline.reporting.report_state import Examples, State
from pipeline.reporting.report_suspects import suspects
from pipeline.reporting.report_values import broken_down
from pipeline.reporting.status import Status
from pipeline.review.consensus import Said, deciding, said_about
from pipeline.review.queue import is_open
from pipeline.state.decisions import codes, named_records, with_reason
from pipeline.state.snapshot import Snapshot
from pipeline.steps import Progress, Silent
from pipeline.text.meaning_guards import question
from pipeline.text.normalize import inputs_key, shown_inputs
from pipeline.text.screening import target_texts
from pipeline.text.token_lengths import TokenLengths
from pipeline.text.wording import questions_wait
from schemas.annotation import Verdict
from schemas.conversation import named_turn
from schemas.dataset import OnConflict
from schemas.decision import Decision
from schemas.fate import Fate, ReasonCode, Routed
from schemas.field import same_targets
from schemas.field_values import differences, value_in_words
from schemas.manifest import AbsentLabel, Funnel, Manifest
from schemas.run_summary import Changed, CurateFacts

_EXAMPLES = 2
_PAIRS = 12
_CONFLICTS = 10
_KEPT = (Fate.ACCEPTED, Fate.REVIEW)
_OPEN = ("waiting", "skipped", "invalid", "unsure", "disputed", "again")
"""Outcomes that still take an answer."""


def gather_report(
    snapshot: Snapshot,
    dataset: LoadedDataset,
    *,
    funnel: Funnel,
    published: Manifest | None = None,
    absent: Sequence[AbsentLabel] = (),
    next_steps: Iterable[str] = (),
    team: AnnotatorsTable | None = None,
    standing: Status | None = None,
    of_version: bool = False,
    progress: Progress | None = None,
) -> ReportData:
    """Collect everything that the report shows of a state.

    Args:
        snapshot: the committed state.
        dataset: configuration and task.
        funnel: of that state.
        published: the version that the page describes.
        absent: labels missing from some of its splits.
        next_steps: commands that are due.
        team: how annotators have answered.
        standing: the status, whose audit, forecast, proof and suggestions are shown.
        of_version: for a version, which may be copied anywhere: no text of a record that is not accepted is shown.
        progress: shows how far what reads all rows is.
    """
    state = State(snapshot, dataset, of_version, progress or Silent())
    kind = kind_of(dataset.task)
    return ReportData(
        dataset=dataset.config.name,
        config=dataset.path.name,
        task=dataset.task.__name__,
        kind=kind.name,
        breakdown=kind.breakdown,
        limits=kind.limits,
        instruction=dataset.task.task_instruction(),
        generated_at=datetime.now(UTC),
        of_version=of_version,
        funnel=funnel,
        change=None if of_version else _change(snapshot),
        published=_published(published),
        splits=state.dataset.config.split.in_order(set(state.splits["split"])),
        next_steps=list(next_steps),
        reasons=list(_reasons(state)),
        absent=in_words(absent),
        **broken_down(state, kind.breakdown),
        tokens=_tokens(state.accepted, dataset),
        similarities=last_similarities(snapshot),
        duplicates=list(_pairs(state)),
        misses=list(_misses(state)),
        conflicts=list(_conflicts(state)),
        any_of=dataset.config.on_conflict is OnConflict.ANY_OF,
        review=_review(state, standing),
        team=shown_team(team, of_version=of_version),
        **_expected(standing),
        **_tuned(state),
        suspects=list(suspects(state)),
        below_floor=state.accepted.filter(IS_BELOW_FLOOR).select(pl.len()).collect().item(),
    )


def _change(snapshot: Snapshot) -> Changed | None:
    last = snapshot.last_run(CurateFacts)
    return last.summary.change if last else None


def _expected(standing: Status | None) -> dict[str, Any]:
    """What the status says of errors that remain and of suggestions."""
    return {name: getattr(standing, name, None) for name in ("outlook", "proof", "suggestions")}


def _tuned(state: State) -> dict[str, Any]:
    """What is known of adapters."""
    rounds = judged(state.snapshot)
    last = rounds[-1] if rounds else None
    gone = last.gone if last else ""
    shown = shown_finetuning(last.folder, state.task, Examples(state)) if last and not gone else None
    return {"finetuning": shown, "adapter_gone": gone, "rounds": rounds}


def _published(manifest: Manifest | None) -> Published | None:
    if manifest is None:
        return None
    splits = {name: file.rows for name, file in manifest.splits.items()}
    return Published(name=manifest.name, version=manifest.version, digest=manifest.digest, splits=splits)


def _reasons(state: State) -> Iterator[ReasonCount]:
    each = _first_of_each(state.outline)
    state.to_show(each["record_id"].explode(empty_as_null=False).unique(maintain_order=True))
    for fate, name, records, first in each.iter_rows():
        code = ReasonCode(name)
        examples = [_example(state, decision, code) for decision in state.to_show(first)]
        yield ReasonCount(fate=Fate(fate), code=code, records=records, examples=examples)


def _first_of_each(outline: pl.DataFrame) -> pl.DataFrame:
    """The codes of reasons by fate, the most frequent first, each with the number of its records and the first ones."""
    # Most rows share a few reasons.
    same = outline.with_row_index("row").group_by("fate", "reasons")
    groups = same.agg(pl.len().alias("records"), pl.col("row", "record_id").head(_EXAMPLES)).with_columns(code=codes())
    each = groups.drop("reasons").with_columns(place=pl.int_ranges(pl.col("code").list.len())).explode("code", "place")
    counts = each.group_by("fate", "code").agg(pl.col("records").sum())
    rows = each.drop("records").explode("row", "record_id").sort("row", "place")
    first = rows.group_by("fate", "code", maintain_order=True).agg(pl.col("record_id").head(_EXAMPLES))
    # Those that are equally frequent in the order in which they come up.
    ordered = first.join(counts, on=["fate", "code"], maintain_order="left")
    ordered = ordered.sort("fate", "records", descending=[False, True], maintain_order=True)
    return ordered.select("fate", "code", "records", "record_id")


def _example(state: State, decision: Decision, code: ReasonCode) -> ShownRecord:
    reason = state.say(next(reason for reason in decision.reasons if reason.code is code))
    detail = ": ".join(part for part in (reason.field, reason.detail) if part)
    shown = state.judged(decision, detail, named_turn(reason.detail))
    head = shown.head
    if shown.withheld:
        return shown
    if reason.field in target_texts(decision.targets or {}):
        # What was screened in an answer is not at the beginning of the inputs.
        head = shown.answer
    elif not decision.inputs and reason.detail:
        # The beginning of a row that could not be read says less than what is wrong with it.
        head = detail
    return shown.model_copy(update={"head": head})


def _tokens(accepted: pl.LazyFrame, dataset: LoadedDataset) -> TokenLengths | None:
    tokens = accepted.select("tokens").collect().to_series()
    lengths = dict(tokens.drop_nulls().value_counts().iter_rows())
    if not lengths:
        return None
    return TokenLengths(encoding=dataset.config.measure.encoding, records_by_length=lengths)


def _pairs(state: State) -> Iterator[DuplicatePair]:
    """Near-duplicates closest to the threshold first: they show whether it is right."""
    is_exact = with_reason(ReasonCode.EXACT_DUPLICATE)
    copies = state.outline.lazy().filter(fate=Fate.DUPLICATE.value)
    told = copies.select("record_id", pl.col("similarity").fill_null(0.0), exact=is_exact).collect()
    near = told.filter(~pl.col("exact")).sort("similarity", maintain_order=True)
    exact = told.filter("exact")["record_id"].head(_EXAMPLES).to_list()
    shown = state.to_show([*near["record_id"].head(_PAIRS - _EXAMPLES), *exact])
    for decision, kept in zip(shown, state.to_show(one.duplicate_of for one in shown), strict=True):
        yield DuplicatePair(
            kept=state.compared(kept),
            dropped=state.compared(decision),
            exact=decision.record_id in exact,
            similarity=decision.similarity if decision.similarity is not None else 1.0,
            answer="" if state.withholds(kept) else state.answer(kept.targets),
        )


def _misses(state: State) -> Iterator[NearMiss]:
    """Pairs near the threshold that are both kept, the most similar first."""
    counted = last_similarities(state.snapshot)
    # Many are read as fast as one.
    state.to_show(name for pair in (counted.near if counted else ()) for name in (pair.one, pair.other))
    for pair in reversed(counted.near) if counted else ():
        both = state.read([pair.one, pair.other])
        kept = [one for one in both if one.fate in _KEPT and not state.withholds(one)]
        if counted and len(kept) == 2:
            one, other = map(state.compared, kept)
            reason = why_both(kept[0], kept[1], pair.similarity, counted.threshold, state.task)
            answers = (state.answer(kept[0].targets), state.answer(kept[1].targets))
            yield NearMiss(one=one, other=other, similarity=pair.similarity, reason=reason, answers=answers)


def _conflicts(state: State) -> Iterator[Conflict]:
    """Rows of one input, up to formatting, with different answers, including those that annotators overrode."""
    sets: defaultdict[tuple[tuple[str, ...], ...], list[str]] = defaultdict(list)
    rows = state.snapshot.current_decisions(with_reason(ReasonCode.CONFLICT, ReasonCode.OVERRIDDEN))
    for record_id, inputs in rows.select("record_id", "inputs").collect().iter_rows():
        sets[question(inputs_key(state.task, orjson.loads(inputs)))].append(record_id)
    for decisions in (list(_with_upheld(state, ids)) for ids in itertools.islice(sets.values(), _CONFLICTS)):
        text = shown_inputs(state.task, decisions[0].inputs)
        answers: defaultdict[str, list[Decision]] = defaultdict(list)
        for decision in decisions:
            answers["" if state.withholds(decision) else state.answer(decision.targets)].append(decision)
        yield Conflict(
            text="" if any(map(state.withholds, decisions)) else text,
            answers=[
                AnswerInConflict(
                    answer=answer, records=len(rows), example=state.example(rows[0], str(state.say(rows[0].reasons[0])))
                )
                for answer, rows in answers.items()
            ],
        )


def _with_upheld(state: State, record_ids: Iterable[str]) -> Iterable[Decision]:
    """Rows in conflict; the annotators' answer is shown with those that it overrode."""
    found: dict[str, Decision] = {}
    for decision in state.to_show(record_ids):
        if any(reason.code is ReasonCode.OVERRIDDEN for reason in decision.reasons):
            found |= {one.record_id: one for one in state.to_show(named_records(decision))}
        found[decision.record_id] = decision
    return found.values()


def _review(state: State, standing: Status | None) -> ReviewCounts:
    seats = open_seats(state.snapshot, state.dataset)
    again = asked_again(seats)
    audited = (
        standing.audit if standing else audit_result(state.snapshot, open_answers(state.snapshot, state.dataset, seats))
    )
    said = said_about(state.snapshot, state.task)
    answers = {record_id: deciding(items) for record_id, items in said.items()}
    counts: Counter[str] = Counter()
    routes: defaultdict[Routed, Counter[str]] = defaultdict(Counter)
    changed: list[tuple[Decision, Said]] = []
    pushed = set(state.snapshot.tasks().select("record_id").collect().to_series())
    sent, audits_waiting = 0, 0
    for decision in state.read(state.outline["record_id"].filter(state.outline["routed"].is_not_null())):
        if decision.routed is None:
            continue
        answer = answers.get(decision.record_id)
        outcome = _outcome(decision, answer, said.get(decision.record_id, []))
        if outcome is None:
            continue
        if outcome == "changed" and answer is not None:
            changed.append((decision, answer))
        if outcome not in _OPEN and decision.record_id in again:
            outcome = "again"
        counts[outcome] += 1
        routes[decision.routed]["open" if outcome in _OPEN else "settled"] += 1
        sent += decision.record_id in pushed
        audits_waiting += decision.routed is Routed.AUDIT and outcome == "waiting"
    return ReviewCounts(
        **counts,
        asked=_questions(standing),
        routes=[RouteCount(route=route, **routes[route]) for route in Routed if route in routes],
        sent=sent,
        changes=list(_changes(state, changed)),
        audit=audited,
        audits_waiting=audits_waiting,
    )


def _questions(standing: Status | None) -> str:
    if standing is None or not standing.waiting:
        return ""
    return questions_wait(standing.waiting, standing.skipped, standing.waiting_rows)


def _changes(state: State, changed: list[tuple[Decision, Said]]) -> Iterator[Change]:
    """What annotators replaced, the most frequent first."""
    found: defaultdict[tuple[str, str, str], list[tuple[Decision, Said]]] = defaultdict(list)
    for decision, answer in changed:
        for field, old, new in differences(answer.asked.targets or {}, answer.annotation.targets or {}):
            if state.may_quote(field):
                found[field, value_in_words(old), value_in_words(new)].append((decision, answer))
    several = len(state.task.task_targets()) > 1
    for (field, old, new), rows in sorted(found.items(), key=lambda item: -len(item[1])):
        shown = [(decision, map(state.say_of_replaced, answer.asked.reasons)) for decision, answer in rows[:_EXAMPLES]]
        yield Change(
            field=field if several else "",
            before=old,
            after=new,
            records=len(rows),
            examples=[state.example(decision, "; ".join(map(str, why))) for decision, why in shown],
        )


def _outcome(decision: Decision, answer: Said | None, said: list[Said]) -> str | None:
    """Which count of ``ReviewCounts`` a routed record belongs to; none if it no longer needs review.

    An answer counts whatever became of the record since: a corrected row that turned out to be a copy was wrong.
    """
    if verdict_of(decision) is Verdict.UNSURE:
        return "unsure"
    if decision.fate is Fate.REVIEW and decision.routed is Routed.ADJUDICATE:
        return "disputed"
    if is_open(decision):
        return _open_outcome(said)
    if answer is None:
        return None
    if answer.annotation.verdict is not Verdict.LABELED:
        return answer.annotation.verdict.value
    if answer.asked.targets is None:
        return "entered"
    return "confirmed" if same_targets(answer.asked.targets, answer.annotation.targets) else "changed"


def _open_outcome(said: list[Said]) -> str:
    """The verdict of the newest answer to a question that still counts as open."""
    given = [item.annotation for item in said if item.is_present and not item.annotation.deleted]
    newest = max(given, key=lambda item: (item.updated_at, item.annotation_id), default=None)
    return newest.verdict.value if newest and newest.verdict in (Verdict.SKIPPED, Verdict.INVALID) else "waiting"
