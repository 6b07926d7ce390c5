"""Compares, measures and doubts prepared records, and brings all that is known to triage."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from pydantic import TypeAdapter

from pipeline.consensus import had_people, origins
from pipeline.dataset_file import LoadedDataset
from pipeline.decisions import about, from_frame, latest, still_valid, to_frame
from pipeline.dedupe.resolve import Candidate, Resolution, resolve
from pipeline.errors import ConfigError
from pipeline.measure import count_tokens
from pipeline.normalise import input_texts, inputs_key, match_key
from pipeline.screen import screen
from pipeline.store import Snapshot
from pipeline.tables import Table, Verb
from pipeline.triage import SHOWN_ANSWERS, Case, Standing, triage
from pipeline.uncertainty import label_doubt, ungrounded
from pipeline.validate import Prepared, partitions_of, prepare_shard, target_texts
from schemas.dataset import Action, Dataset, OnConflict, Screen
from schemas.fate import Fate, Reason, ReasonCode, Routed
from schemas.field import JsonValue, ValueType
from schemas.record import Decision, stable_hash
from schemas.task import Kind, Task

SHARD_ROWS = 250_000
_REASONS = TypeAdapter(list[Reason])
_SEED = 17


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


def write_shards(snapshot: Snapshot, folder: Path) -> list[Path]:
    """Write the current records, with their stable ``order``, to Parquet shards of about 250k rows."""
    current = snapshot.current_records().with_row_index("order").with_columns(pl.col("order").cast(pl.Int64)).collect()
    shards: list[Path] = []
    for start in range(0, current.height, SHARD_ROWS):
        shards.append(folder / f"records-{len(shards):05}.parquet")
        current.slice(start, SHARD_ROWS).write_parquet(shards[-1], compression="zstd", compression_level=1)
    return shards


def prepared_path(shard: Path) -> Path:
    """Where the prepared rows of a shard of records go."""
    return shard.with_name(shard.name.replace("records-", "prepared-"))


def prepare(shard: Path, dataset: LoadedDataset, on_rows: Callable[[int], None]) -> Prepared:
    """Prepare one shard of records."""
    return prepare_shard(shard, prepared_path(shard), dataset, on_rows)


def pasts(snapshot: Snapshot, prepared: list[Prepared], task: type[Task]) -> dict[str, Past]:
    """What committed runs decided, for every current record whose revision, inputs and task are unchanged."""
    if not prepared:
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
    cases = []
    for part in prepared:
        for row in pl.read_parquet(part.path).iter_rows(named=True):
            cases.append(_case(row, past.get(row["record_id"], Past())))
    return cases


def _case(row: dict[str, Any], past: Past) -> Case:
    case = Case(
        record_id=row["record_id"],
        revision=row["revision"],
        order=row["order"],
        fixed_split=row["fixed_split"],
        text_key=row["key"],
        inputs=orjson.loads(row["inputs"]) if row["inputs"] is not None else {},
        targets=orjson.loads(row["targets"]) if row["targets"] is not None else None,
        rejects=_reasons(row["rejects"]),
        holds=_reasons(row["holds"]),
        human=standing(past.human),
        past_route=past.route,
        group=row["record_id"],
    )
    own = case.targets
    if past.human is not None:
        case.human_reasons = past.human.reasons
        if case.human is Standing.LABELED:
            if past.human.targets != case.targets:
                case.replaced = case.targets
            case.targets = past.human.targets
    if past.decision is not None:
        case.tokens, case.rendering = past.decision.tokens, past.decision.rendering
    if past.origin is not None and past.origin.targets == own:
        _remember(case, past.origin)
    return case


def _reasons(text: str) -> list[Reason]:
    # Most rows have none: skip the parser for them.
    return _REASONS.validate_json(text) if text != "[]" else []


def _remember(case: Case, past: Decision) -> None:
    """A label is judged once: an old doubt stands, and with it whether the label was doubted."""
    case.judged = past.fate in (Fate.ACCEPTED, Fate.REVIEW)
    case.doubt = past.doubt
    case.suggestion = past.suggestion
    case.doubts = [reason for reason in past.reasons if reason.code is ReasonCode.LABEL_DOUBT]


def compare(cases: list[Case], prepared: list[Prepared], snapshot: Snapshot, dataset: LoadedDataset) -> None:
    """Find duplicates, conflicts and groups among the cases that are not rejected."""
    splits = dict(snapshot.splits().select("record_id", "split").collect().iter_rows())
    config, task = dataset.config, dataset.task
    candidates = [*_candidates(cases, prepared, splits, task), *_past_candidates(cases, snapshot, splits, dataset)]
    classified = task.task_kind() is Kind.CLASSIFICATION
    resolved = resolve(candidates, config.duplicates.threshold, config.on_conflict, answers_repeat=classified)
    by_id = {case.record_id: case for case in cases}
    for case in cases:
        if row := resolved.get(case.record_id):
            _take_over(case, row, splits.get(case.record_id))
            if row.corrected:
                case.doubts.append(_corrected(by_id[row.corrected], task))
            rivals = [by_id[record_id].targets for record_id in row.conflict[:SHOWN_ANSWERS]]
            case.conflict_answers = [_in_words(case, targets, task) for targets in rivals if targets is not None]


def _candidates(
    cases: list[Case], prepared: list[Prepared], splits: dict[str, str], task: type[Task]
) -> Iterator[Candidate]:
    columns = ["record_id", "text", "partitions"]
    texts = {row[0]: row[1:] for part in prepared for row in pl.read_parquet(part.path, columns=columns).iter_rows()}
    for case in cases:
        if not _is_candidate(case):
            continue
        text, partitions = texts[case.record_id]
        yield Candidate(
            record_id=case.record_id,
            text=text,
            key=case.text_key,
            answer=_answer(case.targets, task),
            human=case.human is Standing.LABELED,
            replaced=_answer(case.replaced, task),
            order=case.order,
            held=bool(case.holds) and case.human is Standing.NOTHING,
            partitions=tuple(partitions),
            split=splits.get(case.record_id, case.fixed_split),
            published=case.record_id in splits,
        )


def _past_candidates(
    cases: list[Case], snapshot: Snapshot, splits: dict[str, str], dataset: LoadedDataset
) -> list[Candidate]:
    """What versions hold and no case stands for any more, withdrawn, changed or refused since.

    Its likes, and the rows of its group, must not go to another split.
    """
    task = dataset.task
    present = [(case.record_id, case.revision) for case in cases if _is_candidate(case)]
    frame = pl.DataFrame(present, schema={"record_id": pl.String, "revision": pl.String}, orient="row").lazy()
    gone = snapshot.released().join(frame, on=["record_id", "revision"], how="anti", maintain_order="left").collect()
    partitions = _past_partitions(gone, snapshot, dataset.config.split.group_by)
    return [
        Candidate(
            record_id=f"{decision.record_id}@{decision.revision}",
            text="\n".join(input_texts(task, decision.inputs)),
            key=inputs_key(task, decision.inputs),
            answer=None,
            human=False,
            order=order,
            partitions=partitions.get((decision.record_id, decision.revision), ()),
            split=splits[decision.record_id],
            published=True,
            past=True,
        )
        for order, decision in enumerate(from_frame(gone))
        if decision.record_id in splits
    ]


def _past_partitions(
    decisions: pl.DataFrame, snapshot: Snapshot, group_by: list[str]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """What published rows share with others of their groups, by record and revision."""
    if not group_by or decisions.is_empty():
        return {}
    wanted = decisions.lazy().select("record_id", "revision")
    rows = snapshot.scan(Table.RECORDS).filter(~pl.col("withdrawn"), pl.col("error") == "")
    found = rows.join(wanted, on=["record_id", "revision"], how="semi").select("record_id", "revision", "raw").collect()
    return {
        (record_id, revision): tuple(partitions_of(orjson.loads(raw), group_by))
        for record_id, revision, raw in found.iter_rows()
    }


def _answer(targets: dict[str, JsonValue] | None, task: type[Task]) -> str | None:
    """The form in which equal answers are equal: texts are copied from inputs, so they are compared like these."""
    if targets is None:
        return None
    folded = {field.name: _folded(targets[field.name]) for field in task.task_targets() if field.type is ValueType.TEXT}
    return orjson.dumps(targets | folded, option=orjson.OPT_SORT_KEYS).decode()


def _folded(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [match_key(text) for text in value]
    return match_key(value) if isinstance(value, str) else value


def _corrected(like: Case, task: type[Task]) -> Reason:
    before, after = (_in_words(like, targets, task) if targets else "" for targets in (like.replaced, like.targets))
    return Reason(code=ReasonCode.CORRECTED, detail=f"'{after}', not '{before}', in record {like.record_id}")


def _take_over(case: Case, row: Resolution, known: str | None) -> None:
    case.duplicate_of = row.duplicate_of
    case.exact = row.exact
    case.similarity = row.similarity
    case.rivals = row.rivals
    # Once a version gave the record a split, that binds it; but not to call it news where its source does, too.
    case.bound = row.split if known in (None, case.fixed_split) else None
    case.overruled_by = row.overruled_by
    case.bridges = row.bridges
    case.group = row.group or case.record_id


def _is_candidate(case: Case) -> bool:
    """Whether a case is compared with others: neither its form nor a person speaks against it."""
    return case.human is not Standing.UNUSABLE and not case.rejects


def is_kept(case: Case) -> bool:
    """Whether a case may end in a release: neither rejected nor a copy of another."""
    return _is_candidate(case) and not (case.duplicate_of or case.overruled_by or case.bridges)


def doubt_labels(cases: list[Case], task: type[Task], on_conflict: OnConflict) -> str:
    """Doubt the labels of the kept cases that no run has judged yet; returns a note for people.

    The model learns from all kept cases, but an old verdict is not reopened: otherwise every
    answer of a person would move other rows in and out of review.
    """
    if task.task_kind() is not Kind.CLASSIFICATION:
        return _doubt_grounding(cases, task)
    kept = [case for case in cases if is_kept(case)]
    if all(case.judged for case in kept):
        return ""
    field = task.task_targets()[0].name
    rivals = _answers_by_input(kept, field) if on_conflict is OnConflict.ANY_OF else {}
    found = label_doubt(
        [_text(case) for case in kept],
        [_label(case.targets[field]) if case.targets else None for case in kept],
        [case.group for case in kept],
        seed=_SEED,
    )
    for index, case in enumerate(kept):
        if case.doubt is not None or (doubt := found.doubt[index]) is None:
            continue
        case.doubt = round(doubt, 4)
        predicted = found.predicted[index]
        case.suggestion = {field: predicted or None} if predicted is not None else None
        # Where any answer of an input is right, the model may well name another of them.
        agrees = predicted in rivals.get(case.text_key, ())
        if found.issue[index] and not agrees and case.human is Standing.NOTHING and case.targets:
            detail = f"'{predicted}', not '{_label(case.targets[field])}'"
            case.doubts.append(Reason(code=ReasonCode.LABEL_DOUBT, field=field, detail=detail))
    note: str = found.note
    return note


def _label(choice: JsonValue) -> str:
    """A choice as a class of its own; of an optional one, no choice is a class, too."""
    return "" if choice is None else str(choice)


def _answers_by_input(cases: list[Case], field: str) -> dict[str, set[str]]:
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.targets:
            answers[case.text_key].add(_label(case.targets[field]))
    return answers


def _doubt_grounding(cases: list[Case], task: type[Task]) -> str:
    fields = task.task_targets()
    for case in cases:
        if case.targets is not None and case.human is Standing.NOTHING and is_kept(case):
            case.doubts += ungrounded(_text(case), case.targets, fields)
    return ""


def _text(case: Case) -> str:
    return "\n".join(value for value in case.inputs.values() if isinstance(value, str))


def screen_answers(cases: list[Case], config: Screen) -> None:
    """Reject what people typed and no row may hold, such as a chat template's control tokens."""
    for case in cases:
        if case.human is Standing.LABELED and case.targets:
            findings = screen(target_texts(case.targets), config)
            new = [finding.reason for finding in findings if finding.action is Action.REJECT]
            case.rejects += [reason for reason in new if reason not in case.rejects]


def reject_long(cases: list[Case], task: type[Task], config: Dataset) -> None:
    """Reject rows over ``measure.max_tokens``, before they could stand for shorter copies."""
    limit = config.measure.max_tokens
    if limit is None:
        return
    # No token is shorter than a byte, so most rows need no count to be known as short.
    doubtful = [case for case in cases if not case.rejects and len(_rendered(case, task).encode()) > limit]
    _count(doubtful, task, config)
    for case in doubtful:
        if case.tokens is not None and case.tokens > limit:
            case.rejects.append(Reason(code=ReasonCode.TOO_LONG, detail=f"{case.tokens} of at most {limit}"))


def measure(cases: list[Case], task: type[Task], config: Dataset) -> None:
    """Count the tokens of prompt and answer of the kept cases; others have none, but for those that are too long."""
    _count([case for case in cases if is_kept(case)], task, config)
    for case in cases:
        if not is_kept(case) and not any(reason.code is ReasonCode.TOO_LONG for reason in case.rejects):
            case.tokens, case.rendering = None, ""


def _count(cases: list[Case], task: type[Task], config: Dataset) -> None:
    """Count what was not counted before in this encoding and with these very words."""
    todo, texts = [], []
    for case in cases:
        text = _rendered(case, task)
        rendering = stable_hash(config.measure.encoding, text)
        if case.tokens is None or case.rendering != rendering:
            case.rendering = rendering
            todo.append(case)
            texts.append(text)
    counts = count_tokens(texts, config.measure.encoding, config.engine.workers)
    for case, tokens in zip(todo, counts, strict=True):
        case.tokens = tokens


def _rendered(case: Case, task: type[Task]) -> str:
    try:
        messages = [message.content for message in task.task_prompt(case.inputs)]
        return "\n".join([*messages, task.task_answer(case.targets)] if case.targets is not None else messages)
    except Exception as error:
        raise _no_chat(case, task, error) from error


def _in_words(case: Case, targets: dict[str, JsonValue], task: type[Task]) -> str:
    try:
        return task.task_answer(targets)
    except Exception as error:
        raise _no_chat(case, task, error) from error


def _no_chat(case: Case, task: type[Task], error: Exception) -> ConfigError:
    return ConfigError(
        f"{task.__name__} cannot write record {case.record_id} as a chat ({type(error).__name__}: {error}); mend its "
        "task_prompt or task_answer"
    )


@dataclass(frozen=True)
class Assessed:
    """The decisions of a run that is not committed yet."""

    path: Path
    note: str
    """What people should know about the doubts; empty where there is nothing to say."""
    budget: int
    used: int
    beyond_budget: int


def assess(
    prepared: list[Prepared], snapshot: Snapshot, dataset: LoadedDataset, run: str, folder: Path, rejudge: bool
) -> Assessed:
    """Decide about all current records and write the decisions to a Parquet file in ``folder``.

    Args:
        prepared: every current record.
        snapshot: the committed past.
        dataset: configuration and task.
        run: the deciding run.
        folder: for the file.
        rejudge: doubt all labels anew, not only those that no run has judged.

    Raises:
        ConfigError: no row has a field that splits are grouped by.
    """
    config, task = dataset.config, dataset.task
    _check_grouping(prepared, config)
    cases = build_cases(prepared, pasts(snapshot, prepared, task))
    if rejudge:
        for case in cases:
            case.judged, case.doubt, case.doubts = False, None, []
    screen_answers(cases, config.screen)
    reject_long(cases, task, config)
    compare(cases, prepared, snapshot, dataset)
    notes = [doubt_labels(cases, task, config.on_conflict), _stale_answers(snapshot, task)]
    measure(cases, task, config)
    result = triage(cases, config.review, run=run, task_digest=task.task_digest())
    path = folder / "decisions.parquet"
    to_frame(result.decisions).write_parquet(path)
    note = "; ".join(filter(None, notes))
    return Assessed(path, note, result.budget, result.used, result.waiting)


def _stale_answers(snapshot: Snapshot, task: type[Task]) -> str:
    """Say how many answers of people no longer count because the task asks for others now.

    *Unusable* is among them: whether a row can be used is another question where the answers are others.
    """
    current = snapshot.current_records().select("record_id", "revision")
    said = latest(snapshot.committed_decisions(Verb.COLLECT).join(current, on=["record_id", "revision"], how="semi"))
    stale = said.filter(pl.col("task_digest") != task.task_digest()).collect()
    count = sum(standing(decision) is not Standing.NOTHING for decision in from_frame(stale))
    if not count:
        return ""
    return f"{task.__name__} asks for something else than before, so {count:,} answers of people do not count any more"


def _check_grouping(prepared: list[Prepared], config: Dataset) -> None:
    """A field that is misspelt would group nothing, and the card would promise what is not so."""
    found = frozenset[str]().union(*(part.grouping for part in prepared))
    missing = [name for name in config.split.group_by if name not in found]
    if missing and any(part.readable for part in prepared):
        raise ConfigError(
            f"split.group_by names '{missing[0]}', which no row has; correct it (dots reach into objects)"
        )
