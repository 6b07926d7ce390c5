"""An endpoint that runs out of money amid a fine-tuning: the adapter is there all the same, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Reply
from model_server import ModelServer, completion, failure, model_server
from small_models import save_small_model
from support import row, write_dataset
from terminal import Terminal

from flows.finetune import Finetuned
from pipeline.ladder.assessment import Assessment, read_assessment

KEY = "sk-live/0123456789abcdefghijklmnopqrstuvwxyz"
SETTINGS = (
    "review: {budget: 0, audit: 0.0}\n"
    "finetune: {base_model: MODEL, eval_rows: 6, slow_rows: 4, batch_size: 4, epochs: 0.2, max_length: 256, "
    "max_new_tokens: 3}\n"
    "arms: [majority, {name: frontier, endpoint: 'URL', model: m, examples: 1, parallel: 1, api_key_env: FRUIT_KEY}, "
    "adapter]\n"
)
TOPICS = ("billing", "delivery", "returns")


class Bench:
    """A published version whose ladder has an endpoint that runs out of money, and then has some again."""

    def __init__(self, folder: Path, server: ModelServer) -> None:
        self.home, self.server = folder / "home", server
        save_small_model(folder / "model")
        rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(40)]
        write_dataset(folder, rows, SETTINGS.replace("MODEL", str(folder / "model")).replace("URL", server.endpoint))
        self.terminal = Terminal(folder)
        self.terminal.goldleaf("curate")
        self.terminal.goldleaf("release")
        server.says = self.broke
        self.first = self.terminal.goldleaf("finetune").output
        self.calls = [len(server.asked)]
        self.unfinished = self.found()
        server.says = lambda request, number: completion('{"topic": "billing"}')
        self.second = self.terminal.goldleaf("finetune").output
        self.calls.append(len(server.asked))
        self.third = Finetuned.model_validate(self.terminal.json("finetune"))
        self.calls.append(len(server.asked))

    def broke(self, request: dict[str, Any], number: int) -> Reply:
        """Two answers, and then a refusal that repeats the key."""
        return completion('{"topic": "billing"}') if number < 2 else failure(402, f"pay first, {KEY}")

    def found(self) -> list[Assessment]:
        """The verdicts so far, the oldest first."""
        folders = [path for path in (self.home / "questions" / "models").iterdir() if path.name[0] != "."]
        return [read_assessment(folder) for folder in sorted(folders)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with model_server(lambda request, number: failure(500, "not yet")) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRUIT_KEY", KEY)
        yield Bench(tmp_path_factory.mktemp("bench"), server)


def test_an_endpoint_without_money_does_not_stop_a_fine_tuning_and_is_told(bench: Bench) -> None:
    [found] = bench.unfinished
    assert [arm.name for arm in found.ladder.arms] == ["majority", "adapter"]
    [skipped] = found.ladder.skipped
    assert skipped.why == (
        f"{bench.server.endpoint} refuses: 402 (pay first, $FRUIT_KEY); its account has no money left, or has spent as "
        "much as it may; top it up or raise its limit; the same command asks the 2 of 4 questions that have no answer, "
        "and pays for no other again"
    )
    assert " ".join(skipped.why.split()) in " ".join(bench.first.split())


def test_the_same_command_asks_only_that_arm_and_only_what_has_no_answer(bench: Bench) -> None:
    assert bench.calls == [3, 5, 5]
    first, second = bench.found()
    assert [arm.name for arm in second.ladder.arms] == ["majority", "frontier", "adapter"]
    assert second.ladder.skipped == ()
    for name in ("majority", "adapter"):
        before, after = (one.ladder.arm(name) for one in (first, second))
        assert before == after, "with the times of the first run: it was not asked again"
    assert "✓ training" not in bench.second and "✓ training" in bench.first
    assert bench.third.reused and bench.third.assessment == second


def test_after_that_nothing_is_left_of_what_was_kept(bench: Bench) -> None:
    unfinished = bench.home / "questions" / "models" / ".unfinished"
    assert not unfinished.exists() or not list(unfinished.iterdir())


def test_a_key_stands_in_no_file_and_in_nothing_that_is_printed(bench: Bench) -> None:
    assert [one["authorization"] for one in bench.server.headers_seen] == [f"Bearer {KEY}"] * 5
    files = [path for path in bench.home.rglob("*") if path.is_file()]
    assert any(path.name == "verdict.json" for path in files) and any(path.suffix == ".sqlite" for path in files)
    texts = [*(path.read_bytes() for path in files), bench.first.encode(), bench.second.encode()]
    assert not any(b"0123456789abcdef" in text or b"sk-live" in text for text in texts)
