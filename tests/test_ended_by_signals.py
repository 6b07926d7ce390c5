"""A command that SIGTERM ends says what is kept and how to go on; after kill -9 the status says it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from loopback import Reply
from model_server import completion, model_server
from small_models import save_small_model
from support import row, write_dataset
from terminal import Terminal

from pipeline.state.store import Store
from schemas.run_summary import Verb

ROOT = Path(__file__).parent.parent
TOPICS = ("billing", "delivery", "returns")
ROWS = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(40)]
FINETUNE = """\
review: {{budget: 0, audit: 0.0}}
finetune: {{base_model: model, max_rows: 8, eval_rows: 3, batch_size: 4, epochs: 1, max_length: 128}}
arms: [majority, {{name: frontier, endpoint: '{endpoint}', model: m, examples: 1}}, adapter]
"""
SUGGEST = "suggest: {{endpoint: '{endpoint}', model: m, parallel: 1}}\n"


@contextmanager
def silent_model() -> Iterator[tuple[str, threading.Event]]:
    """An endpoint that does not answer before the test ends, and whether it was asked."""
    asked, ended = threading.Event(), threading.Event()

    def silent(request: dict[str, Any], number: int) -> Reply:
        asked.set()
        ended.wait(300)
        return completion("{}")

    with model_server(silent) as server:
        try:
            yield server.endpoint, asked
        finally:
            ended.set()


def ended_by(number: signal.Signals, terminal: Terminal, asked: threading.Event, verb: str) -> tuple[int, str]:
    """Run a command in a process of its own until it waits for the endpoint; its exit code and stderr."""
    environment = os.environ | {"GOLDLEAF_HOME": str(terminal.home), "PREFECT_API_URL": "", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "flows.cli", verb, str(terminal.folder / "dataset.yaml")]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=terminal.folder, env=environment, text=True, **streams) as process:
        assert asked.wait(300), "it never asked"
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A dataset that is to be curated."""
    write_dataset(tmp_path, ROWS)
    return Terminal(tmp_path)


def configure(terminal: Terminal, section: str, endpoint: str) -> None:
    file = terminal.folder / "dataset.yaml"
    file.write_text(file.read_text() + section.format(endpoint=endpoint))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "kill -9"])
def test_after_an_interrupted_fine_tuning_the_same_command_is_what_comes_next(
    terminal: Terminal, number: signal.Signals
) -> None:
    save_small_model(terminal.folder / "model")
    with silent_model() as (endpoint, asked):
        configure(terminal, FINETUNE, endpoint)
        for verb in ("curate", "release"):
            terminal.goldleaf(verb)
        code, errors = ended_by(number, terminal, asked, "finetune")
    if number is signal.SIGTERM:
        assert code == 143
        assert errors.splitlines()[-1] == (
            "ended by SIGTERM; what arms have answered and the training up to its newest checkpoint are kept, run the "
            "command again to continue"
        )
    else:
        assert code == -signal.SIGKILL
    command = f"goldleaf finetune {terminal.folder}/dataset.yaml"
    status = terminal.json("status")
    assert status["next_step"] == (
        f"{command}, with the options that it had, to go on with the fine-tuning that was interrupted"
    )
    with Store(terminal.home, "questions").lock(Verb.FINETUNE):
        assert terminal.json("status")["next_step"] == command, "it runs, as far as anybody can tell"


def test_a_suggest_that_is_ended_by_sigterm_says_that_its_answers_are_kept(terminal: Terminal) -> None:
    with silent_model() as (endpoint, asked):
        configure(terminal, SUGGEST, endpoint)
        terminal.goldleaf("curate", "--no-suggest")
        code, errors = ended_by(signal.SIGTERM, terminal, asked, "suggest")
    assert code == 143
    assert errors.splitlines()[-1] == ("ended by SIGTERM; what was answered is kept, run the command again to continue")
    assert "Traceback" not in errors
