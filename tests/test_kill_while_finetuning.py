"""kill -9 during a fine-tuning, at whatever point: the same command ends as if nothing had happened."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from killed_finetunings import ASKED, LIKE, POINTS
from model_server import completion, last_user_text, model_server
from support import offline

from flows.context import Context
from pipeline.finetuning.adapters import WEIGHTS, read_record
from pipeline.ladder.assessment import PREDICTIONS
from pipeline.ladder.kept_answers import ANSWERS
from schemas.run_summary import FinetuneSummary, Verb

TIMES = {"run", "seconds", "learning_seconds", "latency", "latency_low", "latency_high", "load"}
"""Keys of a verdict that differ between two runs of the same."""


@dataclass(frozen=True)
class Lives:
    """All lives, and how often the endpoint was asked in each."""

    folder: Path
    ended: dict[str, Any]
    calls: Counter[str]

    def dataset(self, name: str) -> Path:
        return self.folder / name.replace(" ", "-")

    def context(self, name: str) -> Context:
        return Context.load(self.dataset(name) / "dataset.yaml", offline(self.dataset(name) / "home"))

    def models(self, name: str) -> Path:
        return self.context(name).store.models

    def adapter(self, name: str) -> Path:
        """The only one."""
        [found] = [path for path in self.models(name).iterdir() if not path.name.startswith(".")]
        return found

    def verdict(self, name: str) -> Any:
        return json.loads((self.adapter(name) / "verdict.json").read_bytes())


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """The same fine-tuning undisturbed, and killed at each point."""
    folder = tmp_path_factory.mktemp("lives")
    program = Path(__file__).with_name("killed_finetunings.py")
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    with model_server(
        lambda request, number: completion(json.dumps({"topic": topic(last_user_text(request))}))
    ) as server:
        done = subprocess.run(
            [sys.executable, program, folder, server.endpoint],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        ended = json.loads((folder / "lives.json").read_text())
        asked = Counter(one["authorization"].removeprefix("Bearer ") for one in server.headers_seen)
    for name in LIKE:
        wanted = {"first": -signal.SIGKILL, "again": 0} if name in POINTS else {"first": 0}
        said = done.stderr + Path(f"{folder}/{name.replace(' ', '-')}.txt").read_text()
        assert {life: ended[name][life] for life in wanted} == wanted, f"{name}: {said}"
    yield Lives(folder, ended, asked)


def topic(asked: str) -> str:
    """An answer that depends on the question."""
    return ("billing", "delivery", "returns")[len(asked) % 3]


def untimed(value: Any) -> Any:
    """Without what differs between two runs."""
    if isinstance(value, dict):
        return {name: untimed(one) for name, one in value.items() if name not in TIMES}
    return [untimed(one) for one in value] if isinstance(value, list) else value


def test_the_undisturbed_one_has_asked_all_arms(lives: Lives) -> None:
    verdict = lives.verdict("undisturbed")
    assert [arm["name"] for arm in verdict["ladder"]["arms"]] == [
        *("majority", "few_shot", "frontier", "adapter", "adapter_free"),
    ]
    assert verdict["ladder"]["skipped"] == []
    assert lives.calls["undisturbed"] == ASKED
    assert read_record(lives.adapter("undisturbed")).train.notes == ()


@pytest.mark.parametrize("name", POINTS)
def test_a_fine_tuning_that_was_killed_ends_like_an_undisturbed_one(lives: Lives, name: str) -> None:
    assert untimed(lives.verdict(name)) == untimed(lives.verdict(LIKE[name]))
    for file in (WEIGHTS, PREDICTIONS):
        assert (lives.adapter(name) / file).read_bytes() == (lives.adapter(LIKE[name]) / file).read_bytes()


@pytest.mark.parametrize("name", POINTS)
def test_there_is_one_adapter_one_committed_run_and_nothing_unfinished(lives: Lives, name: str) -> None:
    store = lives.context(name).store
    [run] = store.snapshot().committed_runs(FinetuneSummary)
    assert Path(run.summary.path) == lives.adapter(name)
    assert store.snapshot().runs.filter(pl.col("verb") == Verb.FINETUNE.value).height == 1
    left = [path for path in store.models.rglob("*") if path.is_file() and not path.is_relative_to(lives.adapter(name))]
    # What the arms on this machine have answered outlasts the run, how long steps take, and what both models know
    # beside the task; the calls of the endpoint are in its ledger.
    assert {path.parent.name for path in left} == {ANSWERS}
    kept = sorted(path.name.split("-")[0] for path in left)
    seeds = ["_seed"] if "seed" in name else []
    assert kept == [*seeds, "adapter", "adapter_free", "few_shot", "general", "general", "majority", "timing"]
    assert {path.name for path in store.root.iterdir()} == {
        path.name for path in lives.context("undisturbed").store.root.iterdir()
    }
    assert list(store.models.glob(".staging*")) == []


@pytest.mark.parametrize("name", POINTS)
def test_what_was_answered_is_not_asked_again(lives: Lives, name: str) -> None:
    assert lives.calls[name] == ASKED
    seconds = {arm["name"]: arm["seconds"] for arm in lives.verdict(name)["ladder"]["arms"]}
    kept = lives.ended[name]["kept"]
    before_training = {"majority", "few_shot"}
    expected = {
        "while an arm answers": before_training,
        "while it trains": {*before_training, "frontier"},
        "before its checkpoints are removed": {*before_training, "frontier"},
        "after the training": {*before_training, "frontier"},
        "while the adapter answers": {*before_training, "frontier"},
        "undisturbed": set[str](),
    }
    assert kept.keys() == expected.get(name, seconds.keys())
    assert kept == {arm: seconds[arm] for arm in kept}, "the times of the first life: not asked in the second"


def test_a_training_goes_on_from_its_checkpoint(lives: Lives) -> None:
    notes = {name: read_record(lives.adapter(name)).train.notes for name in POINTS}
    [resumed] = notes.pop("while it trains")
    assert resumed.startswith("The training was interrupted and resumed after step ")
    assert set(notes.values()) == {()}


def test_no_training_is_repeated_that_had_ended(lives: Lives) -> None:
    for name in POINTS.keys() - {"while an arm answers", "while it trains"}:
        said = lives.dataset(name).with_name(f"{lives.dataset(name).name}.txt").read_text()
        # What is killed within a step does not say that it is done.
        done = [] if "checkpoints" in name else ["training"]
        done += ["training on seed 18"] if "seed" in name else []
        assert re.findall(r"✓ (training(?: on seed \d+)?)", said) == done, name
