"""Parses raw records with their task: normalized, validated, screened, and ready to be compared.

What follows from a row alone is kept; a row that was derived before is only made ready again.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.derived_rows import write_derived
from pipeline.curation.row_facts import Facts
from pipeline.ingest.chat_layouts import Chat, Layouts, NotAChat, layouts_found
from pipeline.ingest.field_checks import Seen, see, see_groups, together
from pipeline.ingest.row_values import cleaned, row_values
from pipeline.similarity.signatures import INPUTS, SPELLING, WHOLE
from pipeline.similarity.spelling import spelled
from pipeline.similarity.text_columns import Texts
from pipeline.state.mapped_rows import read_rows, write_rows
from pipeline.text.answer_keys import Answers
from pipeline.text.field_paths import group_keys
from pipeline.text.normalize import compared_text, inputs_key
from pipeline.text.screening import screen, suspects, target_texts, texts_in
from pipeline.text.tokens import count_tokens
from schemas.conversation import turn_text
from schemas.dataset import Action, Layout, Source
from schemas.fate import Reason, ReasonCode
from schemas.field import JsonValue
from schemas.identity import content_digest
from schemas.parsed import Parsed
from schemas.repairs import with_draft
from schemas.task import Task
from schemas.task_fields import tools_field

RECORD_COLUMNS = ["record_id", "revision", "order", "source", "raw", "error"]
"""The columns needed of a record, and its position as ``order``."""
PREPARED = pl.Schema(
    {
        "record_id": pl.String(),
        "revision": pl.String(),
        "order": pl.Int64(),
        # What it shares with others of its group, as a JSON list with one entry per field of split.group_by.
        "group_keys": pl.String(),
        "fixed_split": pl.String(),
        "frozen": pl.Boolean(),
        # The form in which equal inputs are equal.
        "key": pl.String(),
        "inputs": pl.String(),
        "targets": pl.String(),
        # Of both; null if the row breaks the schema.
        "content": pl.String(),
        # For targets: the form in which equal ones are equal, the same of what is not free text, and whether any is.
        "answer": pl.String(),
        "closed": pl.String(),
        "has_free_text": pl.Boolean(),
        # For prompt and answer; null if the task's own code fails.
        "tokens": pl.Int64(),
        # JSON lists of reasons: why it is rejected, why an annotator must look.
        "rejection_reasons": pl.String(),
        "review_reasons": pl.String(),
        # Of a rejected row that a person can repair: the valid part of its answer.
        "draft": pl.String(),
        "source": pl.String(),
    }
)
STATE = pl.coalesce("content", "revision")
"""What of a row changes with what it asks and answers (``Decision.state``)."""
_WITH_TEXTS = pl.Schema(PREPARED | {"text": pl.String(), "free_text": pl.String()})
_PARSED = ["inputs", "targets", "content", "rejection_reasons", "review_reasons", "draft"]
_COMPARED = ["key", "answer", "closed", "has_free_text", "text", "free_text"]
"""The columns that follow from the inputs and targets of a row."""
_PLACED = ["fixed_split", "frozen"]
"""The columns that its source says."""
_BLOCK_ROWS = 5_000
"""Rows that are parsed before they are screened together."""


@dataclass(frozen=True)
class Prepared:
    """A shard of prepared rows on disk."""

    path: Path
    texts: Mapping[str, Path]
    """By view, the texts to compare: of each row; those with free-text answers of the rows that have any, and no file
    if none has.
    """
    facts: Facts
    derived: str = ""
    """The file in which what follows from each row alone is kept, in the same order; empty if it was kept before."""

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.facts.rows


def prepare_shard(shard: Path, out: Path, kept: Path, dataset: LoadedDataset) -> Prepared:
    """Prepare the records of one shard.

    Args:
        shard: has ``RECORD_COLUMNS``, in any order.
        out: the file of the prepared rows; their texts go beside it.
        kept: the file for what later runs need not derive again.
        dataset: configuration and task.
    """
    records = read_rows(shard).sort("order")
    blocks, grouping, readable = [], Seen(), 0
    seen: dict[str, Seen] = {}
    layouts: dict[str, Layouts] = {}
    for block in records.iter_slices(_BLOCK_ROWS):
        raws = [None if error else orjson.loads(raw) for raw, error in zip(block["raw"], block["error"], strict=True)]
        present = [raw for raw in raws if raw is not None]
        readable += len(present)
        grouping |= see_groups(present, dataset.config.split.group_by)
        seen = together([seen, _seen(block["source"], raws, dataset)])
        parsed = _parse(block["source"], raws, dataset, layouts)
        blocks.append(_prepare(block, raws, parsed, dataset))
    frame = pl.concat([pl.DataFrame(schema=_WITH_TEXTS), *blocks], rechunk=True)
    facts = Facts(frame.height, readable, grouping, seen, layouts)
    write_derived(frame, facts, kept)
    return _written(frame, out, facts, kept.name)


def prepare_again(rows: pl.DataFrame, out: Path, dataset: LoadedDataset) -> Prepared:
    """Make rows ready that were derived before; what they are like is kept with them.

    Args:
        rows: with the columns of ``DERIVED``, and ``order``.
        out: as for ``prepare_shard``.
        dataset: configuration and task.
    """
    answers, blocks = Answers(dataset.task), []
    for block in rows.iter_slices(_BLOCK_ROWS):
        read = [map(_loaded, block[name]) for name in ("inputs", "targets")]
        found = [_compared(inputs, targets, dataset.task, answers) for inputs, targets in zip(*read, strict=True)]
        blocks.append(_placed(block, dataset).hstack(_columns(_COMPARED, found)).select(_WITH_TEXTS.names()))
    frame = pl.concat([pl.DataFrame(schema=_WITH_TEXTS), *blocks], rechunk=True)
    return _written(frame, out, Facts(frame.height, 0, Seen(), {}, {}))


def _loaded(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


def _written(frame: pl.DataFrame, out: Path, facts: Facts, derived: str = "") -> Prepared:
    write_rows(frame.drop("text", "free_text"), out)
    texts = {view: out.with_suffix(f".{view}.arrow") for view in (INPUTS, WHOLE, SPELLING)}
    Texts.of(frame["text"]).write(texts[INPUTS])
    Texts.of(spelled(frame["text"])).write(texts[SPELLING])
    writing = frame.select("text", "free_text").filter(frame["has_free_text"])
    if writing.height:
        Texts.of(writing["text"], writing["free_text"]).write(texts[WHOLE])
    return Prepared(out, texts, facts, derived)


def _seen(names: Iterable[str], raws: Sequence[dict[str, Any] | None], dataset: LoadedDataset) -> dict[str, Seen]:
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, raw in zip(names, raws, strict=True):
        if raw is not None:
            rows[name].append(raw)
    sources = [source for source in dataset.config.sources if source.name in rows]
    return {source.name: see(rows[source.name], source, dataset.task) for source in sources}


def _parse(
    names: Iterable[str],
    raws: Sequence[dict[str, Any] | None],
    dataset: LoadedDataset,
    layouts: dict[str, Layouts],
) -> list[Parsed | None]:
    """Parse the rows of some sources, given their names, and count the layouts of conversations in ``layouts``."""
    sources = {source.name: source for source in dataset.config.sources}
    seen: list[Parsed | None] = []
    chats: defaultdict[str, list[Chat | NotAChat]] = defaultdict(list)
    for name, raw in zip(names, raws, strict=True):
        parsed, chat = (None, None) if raw is None else parse_row(raw, sources.get(name), dataset)
        seen.append(parsed)
        if chat is not None:
            chats[name].append(chat)
    for name, found in chats.items():
        layouts[name] = layouts.get(name, Layouts()) | layouts_found(found)
    return seen


def _prepare(
    block: pl.DataFrame,
    raws: Sequence[dict[str, Any] | None],
    seen: Sequence[Parsed | None],
    dataset: LoadedDataset,
) -> pl.DataFrame:
    """Prepare some records, given their raw rows, and these as they were parsed."""
    group_by, answers = dataset.config.split.group_by, Answers(dataset.task)
    shared = [
        orjson.dumps(group_keys(raw, group_by)).decode() if group_by and raw is not None else "[]" for raw in raws
    ]
    found = [
        (None, None, None, f"[{error}]", "[]", None) if parsed is None else _parsed(parsed, dataset.task)
        for parsed, error in zip(seen, block["error"], strict=True)
    ]
    compared = [
        _compared(None, None, dataset.task, answers)
        if parsed is None or not _is_whole(parsed)
        else _compared(parsed.inputs, parsed.targets, dataset.task, answers)
        for parsed in seen
    ]
    frame = _screened(_columns(_PARSED, found), seen, dataset)
    frame = frame.with_columns(tokens=_tokens(seen, dataset), group_keys=pl.Series(shared, dtype=pl.String))
    rows = _placed(block.select("record_id", "revision", "order", "source"), dataset)
    return rows.hstack(frame).hstack(_columns(_COMPARED, compared)).select(_WITH_TEXTS.names())


def _columns(names: Sequence[str], rows: Sequence[tuple[str | bool | None, ...]]) -> pl.DataFrame:
    # By columns: row by row, polars takes several times as long.
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pl.DataFrame(dict(zip(names, columns, strict=True)), schema={name: _WITH_TEXTS[name] for name in names})


def _placed(rows: pl.DataFrame, dataset: LoadedDataset) -> pl.DataFrame:
    """The same rows, with what their sources say of them."""
    sources = {source.name: source for source in dataset.config.sources}
    # A source that was removed from the file keeps its records until the next curate.
    places = [sources.get(name) for name in rows["source"]]
    found = [(place.split if place else None, place.frozen if place else False) for place in places]
    return rows.hstack(_columns(_PLACED, found))


def _is_whole(parsed: Parsed) -> bool:
    """Whether a row can be asked about: it is valid, or a person can repair it."""
    return not parsed.problems or parsed.draft is not None


def _parsed(parsed: Parsed, task: type[Task]) -> tuple[str | None, ...]:
    """The columns of ``_PARSED`` for a readable row before screening."""
    if not _is_whole(parsed):
        return None, None, None, _json(parsed.problems), "[]", None
    targets = orjson.dumps(parsed.targets) if parsed.targets is not None else None
    return (
        orjson.dumps(parsed.inputs).decode(),
        targets.decode() if targets is not None else None,
        None if parsed.problems else content_digest(inputs_key(task, parsed.inputs), targets),
        _json(parsed.problems),
        _json(parsed.warnings),
        orjson.dumps(parsed.draft).decode() if parsed.draft is not None else None,
    )


def _compared(
    inputs: Mapping[str, Any] | None, targets: Mapping[str, JsonValue] | None, task: type[Task], answers: Answers
) -> tuple[str | bool | None, ...]:
    """The columns of ``_COMPARED``."""
    if inputs is None:
        return "", None, "", False, "", ""
    free_text = answers.free_text(targets)
    return (
        inputs_key(task, inputs),
        answers.key(targets),
        answers.closed_key(targets) if free_text else "",
        bool(free_text),
        compared_text(task, inputs),
        free_text,
    )


def _tokens(seen: Sequence[Parsed | None], dataset: LoadedDataset) -> pl.Series:
    """The tokens of rows that can be rendered as a chat; failing to is an error only if the row is kept."""
    texts: dict[int, str] = {}
    for row, parsed in enumerate(seen):
        if parsed is not None and not parsed.problems:
            with suppress(Exception):
                texts[row] = rendered(dataset.task, parsed.inputs, parsed.targets)
    found: list[int | None] = [None] * len(seen)
    for row, tokens in zip(texts, count_tokens(list(texts.values()), dataset.config.measure.encoding), strict=True):
        found[row] = tokens
    return pl.Series(found, dtype=PREPARED["tokens"])


def rendered(task: type[Task], inputs: Mapping[str, Any], targets: Mapping[str, JsonValue] | None) -> str:
    """The prompt, and the answer if there is one, whose tokens count; with a conversation's tools and calls."""
    texts = [turn_text(message.as_json()) for message in task.task_messages(inputs, targets)]
    tools = inputs.get(tools_field(task))
    return "\n".join([*texts, *([orjson.dumps(tools).decode()] if tools else [])])


def _screened(found: pl.DataFrame, seen: Sequence[Parsed | None], dataset: LoadedDataset) -> pl.DataFrame:
    """The same rows, with reasons for screening's findings.

    All that a version publishes is screened, what is not compared included: system prompts, tools, context.
    """
    rejection_reasons, review_reasons = found["rejection_reasons"].to_list(), found["review_reasons"].to_list()
    published = [suspects(found[part].fill_null("")) for part in ("inputs", "targets")]
    for row in (published[0] | published[1]).arg_true():
        if parsed := seen[row]:
            texts = {name: "\n".join(texts_in(value)) for name, value in parsed.inputs.items()}
            findings = screen(texts | target_texts(parsed.targets or {}), dataset.config.screen)
            rejected = [finding.reason for finding in findings if finding.action is Action.REJECT]
            rejection_reasons[row] = _json([*parsed.problems, *rejected])
            held = [finding.reason for finding in findings if finding.action is Action.REVIEW]
            review_reasons[row] = _json([*parsed.warnings, *held])
    return found.with_columns(
        rejection_reasons=pl.Series(rejection_reasons, dtype=pl.String),
        review_reasons=pl.Series(review_reasons, dtype=pl.String),
    )


def parse_row(
    raw: dict[str, Any], source: Source | None, dataset: LoadedDataset
) -> tuple[Parsed, Chat | NotAChat | None]:
    """Parse a raw row by the task, with texts normalized; and the conversation that was read for it, or why none was;
    None if the task needs none.
    """
    task, names = dataset.task, dataset.task.model_fields
    try:
        if source is None:
            row, chat = row_values(raw, task, names, {}, Layout.AUTO)
        else:
            how = (source.fields, source.layout, source.roles, source.csv.list_delimiter)
            row, chat = row_values(raw, task, names, *how)
    except NotAChat as error:
        reason = Reason(code=ReasonCode.INVALID, field=error.field, detail=str(error))
        return Parsed(problems=[reason]), error
    given = cleaned(row, task, dataset.config.normalize)
    return with_draft(task, given, task.task_parse(given)), chat


def _json(reasons: list[Reason]) -> str:
    # Most rows have none.
    return orjson.dumps([reason.model_dump(mode="json") for reason in reasons]).decode() if reasons else "[]"
