"""The tables of a dataset: their names, which verb writes them, and their columns."""

from enum import StrEnum

import polars as pl

_TIME: pl.DataType = pl.Datetime("us", "UTC")


class Table(StrEnum):
    """The tables of a dataset."""

    RECORDS = "records"
    DECISIONS = "decisions"
    EVALUATIONS = "evaluations"
    SIGNATURES = "signatures"
    SIMILARITIES = "similarities"
    SPLITS = "splits"
    PUSHES = "pushes"
    ANNOTATIONS = "annotations"
    RUNS = "runs"


INDEX = (Table.SIGNATURES, Table.SIMILARITIES)
"""Facts about texts that can be recomputed; the first one says which texts were compared."""
BANDS = 32
BAND_COLUMNS = [f"band_{band:02}" for band in range(BANDS)]

SCHEMAS: dict[Table, pl.Schema] = {
    Table.RECORDS: pl.Schema(
        {
            "record_id": pl.String(),
            "revision": pl.String(),
            "source": pl.String(),
            "key": pl.String(),
            "file": pl.String(),
            "line": pl.Int64(),
            "raw": pl.Binary(),
            "error": pl.String(),
            "withdrawn": pl.Boolean(),
            "batch": pl.String(),
            "position": pl.Int64(),
            "ingested_at": _TIME,
        }
    ),
    # Inputs, answers, reasons and results are JSON text: the table is the same for every task.
    Table.DECISIONS: pl.Schema(
        {
            "run": pl.String(),
            "record_id": pl.String(),
            "revision": pl.String(),
            "task_digest": pl.String(),
            "content": pl.String(),
            "fate": pl.String(),
            "reasons": pl.String(),
            "duplicate_of": pl.String(),
            "similarity": pl.Float64(),
            "routed": pl.String(),
            "inputs": pl.String(),
            "targets": pl.String(),
            "suggestion": pl.String(),
            "label_source": pl.String(),
            "label_error_score": pl.Float64(),
            "group": pl.String(),
            "pinned_split": pl.String(),
            "tokens": pl.Int64(),
            "model_answer": pl.String(),
            "score_alone": pl.Float64(),
            "replaced": pl.String(),
            "audit_stratum": pl.Int8(),
            "audit_probability": pl.Float64(),
        }
    ),
    # The rows that `decontaminate` names, as a run read them; runs that read the same rows share them by digest.
    Table.EVALUATIONS: pl.Schema(
        {
            "digest": pl.String(),
            "position": pl.Int64(),
            "name": pl.String(),
            "place": pl.String(),
            "text": pl.String(),
            "answer": pl.String(),
        }
    ),
    # Both are facts about texts, not about records: they hold whichever run found them, committed or not.
    Table.SIGNATURES: pl.Schema(
        {
            "scheme": pl.String(),
            "identity_one": pl.Int64(),
            "identity_other": pl.Int64(),
            "bytes_one": pl.Int64(),
            "bytes_other": pl.Int64(),
            "sketch": pl.Binary(),
        }
        | {name: pl.Int32() for name in BAND_COLUMNS}
    ),
    Table.SIMILARITIES: pl.Schema(
        {
            "scheme": pl.String(),
            "left_one": pl.Int64(),
            "left_other": pl.Int64(),
            "right_one": pl.Int64(),
            "right_other": pl.Int64(),
            "similarity": pl.Float64(),
            "answers": pl.Float64(),
        }
    ),
    Table.SPLITS: pl.Schema({"record_id": pl.String(), "group": pl.String(), "split": pl.String(), "run": pl.String()}),
    Table.PUSHES: pl.Schema(
        {
            "push_key": pl.String(),
            "record_id": pl.String(),
            "revision": pl.String(),
            "task_digest": pl.String(),
            "routed": pl.String(),
            "server": pl.String(),
            "project": pl.Int64(),
            "task_id": pl.Int64(),
            "run": pl.String(),
            "pushed_at": _TIME,
            # Homes of before there were seats have neither.
            "seat": pl.String(),
            "annotator": pl.String(),
        }
    ),
    Table.ANNOTATIONS: pl.Schema(
        {
            "server": pl.String(),
            "project": pl.Int64(),
            "task_id": pl.Int64(),
            "annotation_id": pl.Int64(),
            "push_key": pl.String(),
            "record_id": pl.String(),
            "annotator": pl.String(),
            "email": pl.String(),
            "verdict": pl.String(),
            "targets": pl.String(),
            "error": pl.String(),
            "result": pl.String(),
            "deleted": pl.Boolean(),
            "created_at": _TIME,
            "updated_at": _TIME,
            "lead_time": pl.Float64(),
            "run": pl.String(),
        }
    ),
    Table.RUNS: pl.Schema(
        {
            "run": pl.String(),
            "verb": pl.String(),
            "config_digest": pl.String(),
            "inputs": pl.String(),
            "funnel": pl.String(),
            "summary": pl.String(),
            # The version of each table when the run was committed.
            "tables": pl.String(),
            "started_at": _TIME,
            "finished_at": _TIME,
            "goldleaf": pl.String(),
        }
    ),
}
