"""All of `goldleaf curate` compared with data-juicer on the same rows, each by its own command line.

Both read 100,000 rows of JSONL and write which of them are worth keeping. Goldleaf does more on the
way: it validates each row with the task, looks for personal data and secrets, tells conflicts from duplicates, and
selects the review batch.
"""

import json
import sys
from pathlib import Path

import polars as pl
import yaml
from corpus import Corpus
from measuring import Failed, Spent, folder, run
from tables import Results, ratio, verdict

from pipeline.label_errors.rewrite_rules import Rule

NEEDS, INSTALL = ("data_juicer", "aiohttp", "torch", "ray"), "py-data-juicer aiohttp torch ray"
_SHARE = 1 / 10
"""The target, as a share of data-juicer's wall time."""
_PROCESSES = 2
_DATASET = """\
name: answers
task: task.py:Answering
sources:
  - {name: rows, path: rows.jsonl, key: id}
"""
_OFF = f"doubts: {{off: [{', '.join(Rule)}]}}\n"
"""data-juicer's recipe has no rules about answers either."""
_TASK = '''\
from schemas.task import Input, Target, Task


class Answering(Task):
    """Answer the question."""

    prompt: Input[str]
    response: Target[str]
'''
_STEPS: list[dict[str, dict[str, object]]] = [
    {"whitespace_normalization_mapper": {}},
    {"text_length_filter": {"min_len": 10, "max_len": 1_000_000}},
    {"document_deduplicator": {"lowercase": True, "ignore_non_character": True}},
    {
        "document_minhash_deduplicator": {
            **{"tokenization": "space", "window_size": 3, "lowercase": True, "ignore_pattern": r"[^\w\s]"},
            **{"num_permutations": 64, "jaccard_threshold": 0.7, "num_bands": 16, "num_rows_per_band": 4},
        }
    },
]


def whole_run(rows: Corpus, python: str, rounds: int) -> Results:
    """Run both in turns.

    Args:
        rows: the corpus.
        python: the interpreter of data-juicer's virtual environment; "" leaves it out.
        rounds: how often each is run.
    """
    ours, without, theirs, said = [], [], [], "data-juicer is not installed."
    for _ in range(rounds):
        ours.append(_goldleaf(rows, _DATASET))
        without.append(_goldleaf(rows, _DATASET + _OFF))
        if python:
            try:
                theirs.append(_data_juicer(rows, python))
            except Failed as failed:
                said = f"data-juicer is left out: {failed}."
    sides = [
        ("**`goldleaf curate --no-push`**", ours),
        ("the same without rules about answers", without),
        ("data-juicer, 2 processes", theirs),
    ]
    base, _ = min(ours, key=_wall)
    lines = []
    for title, taken in sides:
        if taken:
            least, kept = min(taken, key=_wall)
            spent = (f"{least.wall:.1f}", f"{least.cpu:.1f}", f"{kept:,}")
            lines.append((title, *spent, ratio(least.wall, base.wall), ratio(least.cpu, base.cpu)))
    if theirs:
        least = min(theirs, key=_wall)[0].wall
        share, fewer = base.wall / least, min(without, key=_wall)[0].wall / least
        said = (
            f"{share:.3f} of data-juicer's wall time; target {_SHARE}: {verdict(share, _SHARE)}. Without rules about "
            f"answers, of which data-juicer has none: {fewer:.3f}."
        )
    return Results(
        f"All of curate: {rows.rows:,} rows of JSONL",
        ("tool", "wall s", "CPU s", "rows kept", "wall to ours", "CPU to ours"),
        lines,
        f"From start to finish, including imports; the best of {rounds} by wall time. {said} Goldleaf's count of rows "
        "kept includes those in review.",
    )


def _wall(taken: tuple[Spent, int]) -> float:
    return taken[0].wall


def _goldleaf(rows: Corpus, dataset: str) -> tuple[Spent, int]:
    with folder() as place:
        _numbered(rows).write_ndjson(place / "rows.jsonl")
        (place / "dataset.yaml").write_text(dataset, encoding="utf-8")
        (place / "task.py").write_text(_TASK, encoding="utf-8")
        program = str(Path(sys.executable).with_name("goldleaf"))
        spent = run([program, "curate", "--no-push", "--json", str(place / "dataset.yaml")], place)
        funnel = json.loads((place / "log.txt").read_text(encoding="utf-8"))["funnel"]
        return spent, funnel["accepted"] + funnel["review"]


def _data_juicer(rows: Corpus, python: str) -> tuple[Spent, int]:
    """It only compares one column, so it gets one, which also means less to read and write."""
    with folder() as place:
        whole = pl.concat_str("prompt", pl.lit("\n"), "response").alias("text")
        _numbered(rows).select("id", whole).write_ndjson(place / "rows.jsonl")
        recipe = {
            **{"project_name": "benchmark", "np": _PROCESSES, "text_keys": "text", "process": _STEPS},
            **{"dataset_path": str(place / "rows.jsonl"), "export_path": str(place / "out" / "kept.jsonl")},
        }
        (place / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        program = str(Path(python).with_name("dj-process"))
        spent = run([program, "--config", str(place / "recipe.yaml")], place)
        return spent, pl.scan_ndjson(place / "out" / "kept.jsonl").select(pl.len()).collect().item()


def _numbered(rows: Corpus) -> pl.DataFrame:
    return pl.read_parquet(rows.parts, columns=["prompt", "response"]).with_row_index("id")
