"""The whole ladder on real rows, by the commands that users give: curate, release, finetune.

python tests/benchmarks/ladders.py banking77 FOLDER    needs train.csv and test.csv of banking77 in it
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from classical_extraction import requests
from rich.console import Console
from tables import Results

from pipeline.ladder.assessment import Assessment
from schemas.arms_section import ArmName

_SEED = 17
_CLASSIFICATION: dict[str, Any] = {"epochs": 3, "batch_size": 16, "evaluate": 0, "lora": {"lora_dropout": 0.1}}
"""The recipe that was found for 3,000 rows (docs/decisions.md)."""
_SAMPLES = Path(__file__).parents[2] / "data" / "samples"
_HELP = """\
Cases:
  banking77  77 intents: 3,000 rows to learn from, all 3,080 test questions    FOLDER of PolyAI's files
  cuad       37 kinds of contract clauses, split by contract                   FOLDER with clauses.jsonl
  snips      an intent and 39 slots, 3,000 rows, 697 test questions            FOLDER of sonos/nlu-benchmark
  disfl_qa   disfluent questions made fluent, 2,000 rows, 1,000 test questions FOLDER of train.json and dev.json
  assistant, clauses, invoices, plain, support   the samples of this repository, as they are; no FOLDER

Nobody reviews: rows that wait for an annotator are left out. The settings are those of the case, and --set changes
them. With --work the home stays there, and the same command goes on where a killed one was.
"""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A dataset and what is claimed of it."""

    task: str
    """Python."""
    splits: dict[str, list[Row]]
    finetune: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)
    """Other sections of the dataset.yaml."""


# --- cases ----------------------------------------------------------------------------------------
def banking77(folder: Path) -> dict[str, list[Row]]:
    """The rows of both files."""
    splits = {}
    for split in ("train", "test"):
        with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as lines:
            splits[split] = [{"text": row["text"].strip(), "intent": row["category"]} for row in csv.DictReader(lines)]
    return splits


def banking77_case(splits: dict[str, list[Row]]) -> Case:
    """The intents as choices, and the recipe that was found for 3,000 rows."""
    labels = sorted({row["intent"] for row in splits["train"]})
    task = f'''\
from enum import StrEnum

from schemas.task import Input, Target, Task

Intent = StrEnum("Intent", {{label.upper(): label for label in {labels!r}}})


class BankingIntent(Task):
    """Name the intent of this message to a bank."""

    text: Input[str]
    intent: Target[Intent]

    @classmethod
    def task_answer_form(cls) -> str:
        """Nothing: 77 choices would make prompts long."""
        return ""
'''
    return Case(task, splits, _CLASSIFICATION)


def _banking77(folder: Path, rows: int) -> Case:
    splits = banking77(folder)
    # A few more: some are near-duplicates of others, or of test questions.
    case = banking77_case({**splits, "train": balanced(splits["train"], "intent", round(1.1 * rows))})
    return replace(case, finetune={**case.finetune, "max_rows": rows})


def balanced(rows: Sequence[Row], label: str, count: int) -> list[Row]:
    """A random sample in which every label has its share."""
    chance = random.Random(_SEED)
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(row[label], []).append(row)
    shuffled = [
        (place / len(some), row) for some in by_label.values() for place, row in enumerate(_mixed(some, chance))
    ]
    return [row for _, row in sorted(shuffled, key=lambda one: one[0])[:count]]


def _mixed(rows: Sequence[Row], chance: random.Random) -> list[Row]:
    return chance.sample(rows, len(rows))


def _cuad(folder: Path, rows: int) -> Case:
    lines = (folder / "clauses.jsonl").read_text(encoding="utf-8").splitlines()
    every = [json.loads(line) for line in lines]
    contracts = _mixed(sorted({row["contract"] for row in every}), random.Random(_SEED))  # type: ignore[arg-type]
    held = {contract: split for split, part in _parts(contracts) for contract in part}
    splits: dict[str, list[Row]] = {"train": [], "validation": [], "test": []}
    for row in every:
        kept = {"contract": row["contract"], "clause": row["clause"], "kind": row["label"]}
        splits[held[row["contract"]]].append(kept)
    splits["train"] = _mixed(splits["train"], random.Random(_SEED))[:rows]
    labels = tuple(sorted({row["label"] for row in every}))
    task = f'''\
from typing import Literal

from schemas.task import Input, Target, Task


class Clause(Task):
    """Name the kind of this contract clause."""

    clause: Input[str]
    kind: Target[Literal[{", ".join(map(repr, labels))}]]

    @classmethod
    def task_answer_form(cls) -> str:
        """Nothing: 37 choices would make prompts long."""
        return ""
'''
    # One clause in twenty is longer.
    recipe = {**_CLASSIFICATION, "max_length": 256, "fix": ["drop", "shorten"]}
    return Case(task, splits, recipe, {"split": {"group_by": ["contract"]}, "on_conflict": "any_of"})


def _parts(contracts: Sequence[Any]) -> Iterable[tuple[str, Sequence[Any]]]:
    first, second = round(0.75 * len(contracts)), round(0.8 * len(contracts))
    return (("train", contracts[:first]), ("validation", contracts[first:second]), ("test", contracts[second:]))


def _snips(folder: Path, rows: int) -> Case:
    splits: dict[str, list[Row]] = {}
    for split, pattern in (("train", "train_*_full.json"), ("test", "validate_*.json")):
        splits[split] = [
            {name.removeprefix("slot_"): value for name, value in row.items()} for row in requests(folder, pattern)
        ]
    names = sorted({name for row in splits["train"] for name in row} - {"text", "intent"})
    intents = sorted({row["intent"] for row in splits["train"]})
    fields = "\n".join(f"    {name}: Target[str | None] = None" for name in names)
    task = f'''\
from typing import Literal

from schemas.task import Input, Target, Task


class Request(Task):
    """Name the intent of this request, and fill its slots with its own words."""

    text: Input[str]
    intent: Target[Literal[{", ".join(map(repr, intents))}]]
{fields}
'''
    splits["train"] = balanced(splits["train"], "intent", round(1.1 * rows))
    return Case(task, splits, {"epochs": 2, "batch_size": 16, "evaluate": 0, "max_rows": rows})


def _disfl_qa(folder: Path, rows: int) -> Case:
    splits: dict[str, list[Row]] = {}
    for split, name in (("train", "train.json"), ("test", "dev.json")):
        pairs = json.loads((folder / name).read_text(encoding="utf-8")).values()
        splits[split] = [{"question": one["disfluent"], "fluent": one["original"]} for one in pairs]
    splits["train"] = _mixed(splits["train"], random.Random(_SEED))[: round(1.2 * rows)]
    task = '''\
from schemas.task import Input, Target, Task


class Fluent(Task):
    """Write down the question that the speaker means, without the slips and corrections."""

    question: Input[str]
    fluent: Target[str]
'''
    return Case(task, splits, {"epochs": 2, "batch_size": 16, "evaluate": 0, "max_rows": rows})


CASES = {
    "banking77": (_banking77, 3_000),
    "cuad": (_cuad, 10_000),
    "snips": (_snips, 3_000),
    "disfl_qa": (_disfl_qa, 2_000),
}
SAMPLES = ("assistant", "clauses", "invoices", "plain", "support")


# --- the dataset ----------------------------------------------------------------------------------
def write_dataset(case: Case, name: str, place: Path, settings: Mapping[str, Any]) -> Path:
    """Write task, rows and dataset.yaml; returns the last one's path."""
    task = case.task.split("class ")[-1].split("(")[0]
    sources = []
    for split, rows in case.splits.items():
        lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        (place / f"{split}.jsonl").write_text(lines, encoding="utf-8")
        frozen = {"frozen": True} if split == "test" else {}
        sources.append({"name": split, "path": f"{split}.jsonl", "split": split, **frozen})
    (place / "task.py").write_text(case.task, encoding="utf-8")
    content = {
        "name": name,
        "task": f"task.py:{task}",
        "sources": sources,
        "review": {"budget": 0, "audit": 0.0},
        "screen": {"personal_data": "allow"},
        **case.more,
        "finetune": {**case.finetune, **settings},
    }
    return _written(content, place)


def sample(name: str, place: Path, settings: Mapping[str, Any]) -> Path:
    """A copy of a sample with other settings."""
    shutil.copytree(_SAMPLES / name, place, dirs_exist_ok=True)
    content = yaml.safe_load((place / "dataset.yaml").read_text(encoding="utf-8"))
    return _written({**content, "finetune": {**content.get("finetune", {}), **settings}}, place)


def _written(content: Mapping[str, Any], place: Path) -> Path:
    file = place / "dataset.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file


# --- the run --------------------------------------------------------------------------------------
def judged(file: Path, home: Path, more: Sequence[str]) -> tuple[Assessment, float]:
    """Give the commands, and return what came out and the seconds that training took."""
    if not home.exists():
        _goldleaf(home, "curate", str(file), "--no-push")
        _goldleaf(home, "release", str(file))
    said = json.loads(_goldleaf(home, "finetune", str(file), "--json", *more))
    return Assessment.model_validate(said["assessment"]), float(said["seconds"])


def _goldleaf(home: Path, *words: str) -> str:
    """Give a command; its progress and errors are shown, and what it prints is returned."""
    environment = {**os.environ, "GOLDLEAF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "flows.cli", *words]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def shown(name: str, found: Assessment, seconds: float) -> Results:
    """The ladder as a table, each arm compared with the adapter."""
    ladder, rows = found.ladder, []
    for arm in ladder.arms:
        against = ""
        if arm.name != ArmName.ADAPTER.value and arm in ladder.comparable:
            against = str(ladder.pair(arm.name, ArmName.ADAPTER.value).comparison)
        ms = "" if arm.latency is None else f"{1000 * arm.latency:,.0f}"
        rows.append((arm.title, str(arm.score), f"{arm.evaluation.questions:,}", against, ms, f"{arm.per_second:.1f}"))
    metric = ladder.adapter.evaluation.metric_title
    reasons = " ".join(found.judgement.reasons)
    return Results(
        f"{name}: {found.train_rows:,} rows, trained for {seconds / 60:.1f} minutes",
        ("arm", metric, "questions", "the adapter's gain", "ms a call", "answers/s"),
        rows,
        f"{found.judgement.verdict.heading} (rule {found.judgement.rule}). {reasons} {found.judgement.next_step}",
    )


def main() -> None:
    """Run a case, and show the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", choices=[*CASES, *SAMPLES])
    parser.add_argument("folder", type=Path, nargs="?", help="of the files; none for a sample")
    parser.add_argument("--rows", type=int, help="to learn from, at most (default: those of the case)")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of finetune, in YAML")
    parser.add_argument("--work", type=Path, help="an empty folder that is kept, or that of a killed run")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    options, more = parser.parse_known_args()
    settings = {key: yaml.safe_load(value) for key, value in (one.split("=", 1) for one in options.set)}
    with tempfile.TemporaryDirectory() as scratch:
        place = options.work or Path(scratch)
        dataset = place / "dataset"
        dataset.mkdir(parents=True, exist_ok=True)
        if options.case in SAMPLES:
            file = sample(options.case, dataset, settings)
        else:
            make, rows = CASES[options.case]
            file = write_dataset(make(options.folder, options.rows or rows), options.case, dataset, settings)
        found, seconds = judged(file, place / "home", more)
    results = shown(options.case, found, seconds)
    results.show(Console(width=max(Console().width, 140)))
    if options.markdown:
        options.markdown.write_text(results.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
