"""Decisions as rows of their table, and back."""

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
import polars as pl
from pydantic import TypeAdapter

from pipeline.state.tables import SCHEMAS, Table
from pipeline.text.normalize import inputs_key
from schemas.decision import Decision
from schemas.fate import Reason, ReasonCode
from schemas.identity import push_key
from schemas.seat import FIRST, Seat
from schemas.task import Task

_REASONS = TypeAdapter(list[Reason])
_REASON_TYPE = pl.List(pl.Struct({"code": pl.String, "field": pl.String, "detail": pl.String}))

MEANING = ("record_id", "revision", "task_digest", "fate", "reasons", "duplicate_of", "routed", "inputs", "targets",
           "label_source", "group", "pinned_split", "tokens", "suggestion", "model_answer", "replaced", "audit_stratum",
           "audit_probability")  # fmt: skip
"""The columns that make two decisions different, beside the label-error score."""
_SCORE_DIGITS = 2
"""Of a label-error score; a smaller change makes no other decision."""


def to_frame(decisions: Iterable[Decision]) -> pl.DataFrame:
    """Decisions as rows of the ``decisions`` table."""
    schema = SCHEMAS[Table.DECISIONS]
    # By columns: row by row, polars takes several times as long.
    columns = list(zip(*map(_row, decisions), strict=True)) or [()] * len(schema)
    return pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema)


def from_frame(frame: pl.DataFrame) -> Iterator[Decision]:
    """Rows of the ``decisions`` table as decisions."""
    for row in frame.iter_rows(named=True):
        yield from_row(row)


def from_row(row: dict[str, Any]) -> Decision:
    """One row of the ``decisions`` table as a decision."""
    return Decision.model_validate(
        row
        | {
            "reasons": _REASONS.validate_json(row["reasons"]),
            "inputs": orjson.loads(row["inputs"]),
            "targets": orjson.loads(row["targets"]) if row["targets"] is not None else None,
            "suggestion": orjson.loads(row["suggestion"]) if row["suggestion"] is not None else None,
            "model_answer": orjson.loads(row["model_answer"]) if row["model_answer"] is not None else None,
            "replaced": orjson.loads(row["replaced"]) if row["replaced"] is not None else None,
            "content": row["content"] or "",
        }
    )


def still_valid(decisions: pl.LazyFrame, now: pl.LazyFrame, digests: Collection[str]) -> pl.LazyFrame:
    """Those of some decisions, oldest first, that apply to what the rows ask and answer now, and to the task.

    A row may be changed and changed back; decisions about what it says now then count again. A change of columns that
    the task does not read is none.

    Args:
        decisions: oldest first.
        now: ``record_id``, ``revision`` and ``content`` of the current records.
        digests: under which the same was asked as now (``same_question``).
    """
    current = now.select("record_id", now_revision="revision", now_content="content")
    same_task = decisions.filter(pl.col("task_digest").is_in(list(digests)))
    found = same_task.join(current, on="record_id", how="inner", maintain_order="left")
    # Rows that break the schema, and decisions of earlier versions of Goldleaf, have no digest.
    same_row = pl.col("content").is_null() & (pl.col("revision") == pl.col("now_revision"))
    same = (pl.col("content") == pl.col("now_content")).fill_null(value=False) | same_row
    return found.filter(same).drop("now_revision", "now_content")


def about(decisions: pl.LazyFrame, asked: pl.LazyFrame, task: type[Task]) -> pl.LazyFrame:
    """Those of some decisions that apply to what their records ask now; a different field map asks something else.

    Args:
        decisions: in any order, which is kept.
        asked: ``record_id`` and the current ``inputs`` as JSON.
        task: decides which inputs ask the same thing.
    """
    # A row that breaks the schema has no inputs.
    now = asked.select("record_id", now=pl.col("inputs").fill_null("{}"))
    joined = decisions.join(now, on="record_id", how="inner", maintain_order="left")
    differ = joined.filter(pl.col("inputs") != pl.col("now")).select("inputs", "now").unique().collect()
    # A difference in whitespace or case does not make another question.
    equal = [pair for pair in differ.iter_rows() if len({inputs_key(task, orjson.loads(text)) for text in pair}) == 1]
    same = pl.LazyFrame(equal, schema={"inputs": pl.String, "now": pl.String}, orient="row").with_columns(same=True)
    found = joined.join(same, on=["inputs", "now"], how="left", maintain_order="left")
    return found.filter((pl.col("inputs") == pl.col("now")) | pl.col("same").fill_null(value=False)).drop("now", "same")


def question_key(decision: Decision, task: type[Task], seat: Seat = FIRST) -> str:
    """The push key of the question that a decision's record asks annotators, in one of its seats."""
    more = () if seat == FIRST else (str(seat),)
    asked = inputs_key(task, decision.inputs)
    return push_key(decision.record_id, decision.state, decision.task_digest, asked, *more)


def named_records(decision: Decision) -> Iterator[str]:
    """The ids of other records that a decision names."""
    yield decision.duplicate_of
    for reason in decision.reasons:
        if reason.code is not ReasonCode.CONTAMINATED:
            yield from reason.refs


def with_reason(*codes: ReasonCode, **values: str) -> pl.Expr:
    """Whether any reason of a decision has one of these codes and these values: over the column ``reasons``."""
    if not values:
        # Within a text quotes have backslashes: found so, it is always a code.
        return pl.col("reasons").str.contains_any([f'"code":"{code.value}"' for code in codes])
    reason = pl.element().struct
    fits = reason.field("code").is_in([code.value for code in codes])
    for name, value in values.items():
        fits &= reason.field(name).fill_null("") == value
    return pl.col("reasons").str.json_decode(_REASON_TYPE).list.eval(fits).list.any()


def codes() -> pl.Expr:
    """The different codes of a decision's reasons, in their order: over the column ``reasons``."""
    named = pl.col("reasons").str.extract_all(r'"code":"[^"]*"')
    code = pl.element().str.strip_prefix('"code":"').str.strip_suffix('"')
    return named.list.eval(code).list.unique(maintain_order=True)


def begins_with(*codes: ReasonCode) -> pl.Expr:
    """Whether a decision's first reason has one of these codes; to parse the reasons takes many times as long."""
    return pl.any_horizontal(pl.col("reasons").str.starts_with(f'[{{"code":"{code.value}"') for code in codes)


def first_reason(name: str) -> pl.Expr:
    """The code, field or detail of a decision's first reason: over the column ``reasons``."""
    return pl.col("reasons").str.json_path_match(f"$[0].{name}").fill_null("").alias(name)


def latest(decisions: pl.LazyFrame) -> pl.LazyFrame:
    """The newest decision of every record, from decisions given oldest first."""
    return decisions.unique("record_id", keep="last", maintain_order=True)


def changed_decisions(decisions: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """The decisions that differ in substance from those that count already."""
    score = pl.col("label_error_score").round(_SCORE_DIGITS).alias("score")
    after, before = decisions.with_columns(score), before.with_columns(score)
    changed = after.join(before, on=[*MEANING, "score"], how="anti", nulls_equal=True, maintain_order="left")
    return changed.drop("score")


def _row(decision: Decision) -> tuple[Any, ...]:
    return (
        decision.run,
        decision.record_id,
        decision.revision,
        decision.task_digest,
        decision.content or None,
        decision.fate.value,
        json_of_reasons(decision.reasons),
        decision.duplicate_of,
        decision.similarity,
        decision.routed.value if decision.routed else None,
        json_of(decision.inputs),
        json_of(decision.targets),
        json_of(decision.suggestion),
        decision.label_source.value if decision.label_source else None,
        decision.label_error_score,
        decision.group,
        decision.pinned_split,
        decision.tokens,
        json_of(decision.model_answer),
        decision.score_alone,
        json_of(decision.replaced),
        decision.audit_stratum,
        decision.audit_probability,
    )


def json_of(value: Mapping[str, Any] | None) -> str | None:
    """Inputs or an answer as they are stored; None stays None."""
    return None if value is None else orjson.dumps(value).decode()


def json_of_reasons(reasons: Sequence[Reason]) -> str:
    """Reasons as they are stored."""
    # Nearly all rows have one of a few reasons without details.
    if len(reasons) == 1 and not (reasons[0].detail or reasons[0].field or reasons[0].refs):
        return _plain(reasons[0].code)
    return _REASONS.dump_json(list(reasons), exclude_defaults=True).decode()


@functools.cache
def _plain(code: ReasonCode) -> str:
    return _REASONS.dump_json([Reason(code=code)], exclude_defaults=True).decode()
