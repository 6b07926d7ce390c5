"""What a fine-tuning with few rows and slow arms says of itself, on a small model: rows, questions and times."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_models import save_small_model
from support import row, write_dataset
from terminal import Terminal

SETTINGS = (
    "review: {budget: 0, audit: 0.0}\n"
    "finetune: {base_model: model, max_rows: 8, eval_rows: 6, slow_rows: 2, batch_size: 4, epochs: 1, "
    "max_length: 128}\n"
    "arms: [majority, linear, zero_shot, adapter]\n"
)
TIMED = "timing some steps"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A published version, looked at by preflight."""
    folder = tmp_path_factory.mktemp("shop")
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", ("billing", "returns")[n % 2]) for n in range(60)]
    write_dataset(folder, rows, SETTINGS)
    save_small_model(folder / "model")
    terminal = Terminal(folder)
    for command in (("curate",), ("release",), ("preflight", "questions@latest")):
        said = terminal.goldleaf(*command)
    assert TIMED in said.stderr and "of training, by the tokens of all batches: a usual step took" in said.stdout
    return terminal


@pytest.fixture(scope="module")
def first(shop: Terminal) -> tuple[str, Any]:
    """What the fine-tuning after it shows while it runs, and its verdict."""
    said = shop.goldleaf("finetune")
    return said.stderr, json.loads((Path(said.stdout.splitlines()[-1]) / "verdict.json").read_bytes())


def test_what_preflight_has_timed_is_said_and_not_timed_again(shop: Terminal, first: tuple[str, Any]) -> None:
    shown, _ = first
    assert TIMED not in shown
    assert re.search(
        r"preflight: about \d+ (second|minute)s? of training, by the tokens of all batches: a usual step took", shown
    )


def test_no_kill_has_the_steps_timed_again(shop: Terminal, first: tuple[str, Any]) -> None:
    """As if it had come before the adapter was stored."""
    models = shop.home / "questions" / "models"
    for folder in (*models.glob("*Z"), models / ".unfinished", models / ".training"):
        shutil.rmtree(folder, ignore_errors=True)
    assert TIMED not in shop.goldleaf("finetune").stderr
    assert TIMED in shop.goldleaf("finetune", "--again").stderr, "--again measures everything anew"


def test_rows_that_were_not_drawn_are_in_the_verdict(first: tuple[str, Any]) -> None:
    _, found = first
    assert (found["train_rows"], found["undrawn"] > 0) == (8, True)
    assert "max_rows" in " ".join([*found["judgement"]["reasons"], found["judgement"]["next_step"]])


def test_the_linear_model_s_curve_is_of_the_questions_of_its_score(first: tuple[str, Any]) -> None:
    """Slow arms are asked two; it takes milliseconds."""
    _, found = first
    [linear] = [arm for arm in found["ladder"]["arms"] if arm["name"] == "linear"]
    [curve] = found["curves"]
    assert curve["questions"] == linear["evaluation"]["questions"] == 6
    assert curve["measured"][-1]["score"] == linear["evaluation"]["score"]


def test_every_arm_here_has_the_load_of_its_time(first: tuple[str, Any]) -> None:
    _, found = first
    assert all(arm["load"]["cores"] >= 1 and arm["load"]["average"] >= 0 for arm in found["ladder"]["arms"])
