"""Brings what is known about each current record together: its prepared row, what runs decided, what people said."""

from dataclasses import dataclass

import orjson
import polars as pl
from pydantic import TypeAdapter

from pipeline.consensus import had_people, origins
from pipeline.decisions import about, from_frame, latest, still_valid
from pipeline.errors import ConfigError
from pipeline.store import Snapshot
from pipeline.tables import Verb
from pipeline.triage import Case, Standing
from pipeline.validate import Prepared, rendered
from schemas.fate import Fate, Reason, ReasonCode, Routed
from schemas.field import JsonValue
from schemas.record import Decision
from schemas.task import Task

_REASONS = TypeAdapter(list[Reason])


@dataclass(frozen=True)
class Past:
    """What committed runs decided about one record's present revision."""

    decision: Decision | None = None
    """The automatic one that counts, by a curate run."""
    origin: Decision | None = None
    """The last one that no person had a part in: what was doubted before anybody answered."""
    human: Decision | None = None
    """The latest outcome of people's answers, if any answer stands."""
    route: Routed | None = None
    """How people were first asked, if they were."""


def pasts(snapshot: Snapshot, prepared: list[Prepared], task: type[Task]) -> dict[str, Past]:
    """What committed runs decided, for every current record whose revision, inputs and task are unchanged."""
    if not prepared or snapshot.runs.is_empty():
        return {}
    asked_now = pl.scan_parquet([part.path for part in prepared]).select("record_id", "inputs")

    def present(verb: Verb | None = None) -> pl.LazyFrame:
        valid = still_valid(snapshot.committed_decisions(verb), snapshot, task.task_digest())
        return about(valid, asked_now, task)

    found: dict[str, Past] = {}
    automatic = {d.record_id: d for d in from_frame(latest(present(Verb.CURATE)).collect())}
    human = {d.record_id: d for d in from_frame(latest(present(Verb.COLLECT)).collect()) if standing(d)}
    asked = present().filter(
        pl.col("routed").is_in([Routed.UNCERTAIN.value, Routed.CONFLICT.value, Routed.AUDIT.value])
    )
    first = asked.unique("record_id", keep="first", maintain_order=True).select("record_id", "routed").collect()
    routes = {record_id: Routed(routed) for record_id, routed in first.iter_rows()}
    before = [decision.record_id for decision in automatic.values() if had_people(decision)]
    untouched = automatic | {decision.record_id: decision for decision in origins(snapshot, asked_now, task, before)}
    for record_id in automatic.keys() | human.keys():
        found[record_id] = Past(
            automatic.get(record_id), untouched.get(record_id), human.get(record_id), routes.get(record_id)
        )
    return found


def standing(decision: Decision | None) -> Standing:
    """What people said, by a decision of a collect run."""
    if decision is None:
        return Standing.NOTHING
    codes = {reason.code for reason in decision.reasons}
    if ReasonCode.REVIEWER in codes:
        return Standing.UNUSABLE
    if ReasonCode.UNSURE in codes:
        return Standing.UNSURE
    return Standing.LABELED if ReasonCode.REVIEWED in codes else Standing.NOTHING


def build_cases(prepared: list[Prepared], past: dict[str, Past]) -> list[Case]:
    """The prepared rows as cases, with people's answers in the place of the rows' own."""
    columns = [
        *("record_id", "revision", "order", "fixed_split"),
        *("key", "inputs", "targets", "rejects", "holds", "tokens"),
    ]
    cases = []
    for part in prepared:
        for row in pl.read_parquet(part.path, columns=columns).select(columns).iter_rows():
            case = _case(*row)
            if row[0] in past:
                _look_back(case, past[row[0]])
            cases.append(case)
    return cases


def _case(
    record_id: str,
    revision: str,
    order: int,
    fixed_split: str | None,
    key: str,
    inputs: str | None,
    targets: str | None,
    rejects: str,
    holds: str,
    tokens: int | None,
) -> Case:
    return Case(
        record_id=record_id,
        revision=revision,
        order=order,
        fixed_split=fixed_split,
        text_key=key,
        inputs=orjson.loads(inputs) if inputs is not None else {},
        targets=orjson.loads(targets) if targets is not None else None,
        rejects=_reasons(rejects),
        holds=_reasons(holds),
        tokens=tokens,
        group=record_id,
    )


def _look_back(case: Case, past: Past) -> None:
    """Take over what runs decided and people said about a row."""
    case.human, case.past_route = standing(past.human), past.route
    own = case.targets
    if past.human is not None:
        case.human_reasons = past.human.reasons
        if case.human is Standing.LABELED:
            if past.human.targets != case.targets:
                case.replaced, case.tokens = case.targets, None
            case.targets = past.human.targets
    if past.origin is not None and past.origin.targets == own:
        _remember(case, past.origin)


def _reasons(text: str) -> list[Reason]:
    # Most rows have none: skip the parser for them.
    return _REASONS.validate_json(text) if text != "[]" else []


def _remember(case: Case, past: Decision) -> None:
    """A label is judged once: an old doubt stands, and with it whether the label was doubted."""
    case.judged = past.fate in (Fate.ACCEPTED, Fate.REVIEW)
    case.doubt = past.doubt
    case.suggestion = past.suggestion
    case.doubts = [reason for reason in past.reasons if reason.code is ReasonCode.LABEL_DOUBT]


def is_candidate(case: Case) -> bool:
    """Whether a case is compared with others: neither its form nor a person speaks against it."""
    return case.human is not Standing.UNUSABLE and not case.rejects


def is_kept(case: Case) -> bool:
    """Whether a case may end in a release: neither rejected nor a copy of another."""
    return is_candidate(case) and not (case.duplicate_of or case.overruled_by or case.bridges)


def as_chat(case: Case, task: type[Task]) -> str:
    """The prompt, and the answer if there is one, whose tokens count.

    Raises:
        ConfigError: the task's own code fails.
    """
    try:
        return rendered(task, case.inputs, case.targets)
    except Exception as error:
        raise _no_chat(case, task, error) from error


def in_words(case: Case, targets: dict[str, JsonValue], task: type[Task]) -> str:
    """An answer as the model would write it.

    Raises:
        ConfigError: the task's own code fails.
    """
    try:
        return task.task_answer(targets)
    except Exception as error:
        raise _no_chat(case, task, error) from error


def _no_chat(case: Case, task: type[Task], error: Exception) -> ConfigError:
    return ConfigError(
        f"{task.__name__} cannot write record {case.record_id} as a chat ({type(error).__name__}: {error}); mend its "
        "task_prompt or task_answer"
    )
