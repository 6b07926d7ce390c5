"""What fine-tuning does once the task has changed, or an endpoint was repaired: nothing old counts as an answer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from loopback import Reply
from model_server import ModelServer, completion, model_server
from small_models import save_small_model
from support import offline, row, write_dataset
from terminal import Terminal

from flows.context import Context
from pipeline.config.price_file import Prices
from pipeline.ladder.endpoints import Access
from pipeline.ladder.plan import Plan, code_of

pytestmark = pytest.mark.usefixtures("haste")

SETTINGS = """\
review: {{budget: 0, audit: 0.0}}
finetune: {{base_model: model, max_rows: 8, eval_rows: 3, batch_size: 4, epochs: 1, max_length: 128}}
arms: [majority, {{name: frontier, endpoint: '{endpoint}', model: m, examples: 1}}, adapter]
"""


@dataclass(frozen=True)
class Shop:
    """A published version that was fine-tuned while the endpoint answered nonsense."""

    terminal: Terminal
    server: ModelServer

    @property
    def task_file(self) -> Path:
        return self.terminal.folder / "task.py"

    @property
    def version(self) -> Path:
        return self.terminal.home / "questions" / "releases" / "1.0.0"

    def plan(self, **more: Any) -> Plan:
        """With the task as its file is now."""
        loaded = Context.load(self.terminal.folder / "dataset.yaml", offline(self.terminal.home)).dataset
        given: dict[str, Any] = {
            "version": self.version,
            "task": loaded.task,
            "code": code_of(loaded.task),
            "config": loaded.config.finetune,
            "arms": loaded.config.arms,
            "limits": loaded.config.verdict,
            "run": "r",
            "goldleaf": "g",
            "work": self.terminal.folder,
            "models": self.terminal.folder,
            "access": Access({}, self.terminal.folder, Prices(), ""),
        }
        return Plan(**given | more)

    def score(self, *options: str) -> float:
        """Of the endpoint, by what the command says."""
        found = self.terminal.json("finetune", *options)
        [arm] = [arm for arm in found["assessment"]["ladder"]["arms"] if arm["name"] == "frontier"]
        return float(arm["evaluation"]["score"]["value"])


def nonsense(request: dict[str, Any], number: int) -> Reply:
    return completion("I like turtles.")


def billing(request: dict[str, Any], number: int) -> Reply:
    return completion(json.dumps({"topic": "billing"}))


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with model_server(nonsense) as started:
        yield started


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, server: ModelServer) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", ("billing", "returns")[n % 2]) for n in range(40)]
    write_dataset(folder, rows, SETTINGS.format(endpoint=server.endpoint))
    save_small_model(folder / "model")
    terminal = Terminal(folder)
    for verb in ("curate", "release", "finetune"):
        terminal.goldleaf(verb)
    return Shop(terminal, server)


@pytest.fixture
def task(shop: Shop) -> Iterator[str]:
    """The text of the task, which is put back."""
    text = shop.task_file.read_text()
    yield text
    shop.task_file.write_text(text)


# --- an endpoint that was repaired --------------------------------------------------------------
def test_what_an_endpoint_never_answered_validly_is_asked_anew_only_if_that_is_wanted(shop: Shop) -> None:
    asked = len(shop.server.asked)
    assert asked == 2 * 3, "each question twice"
    shop.server.says = billing
    assert shop.score("--again") == 0 and len(shop.server.asked) == asked, "what was answered is paid"
    assert "or repair its server and ask again with goldleaf finetune --retry-invalid" in " ".join(
        shop.terminal.goldleaf("finetune").stdout.split()
    )
    repaired = shop.score("--retry-invalid")
    assert repaired > 0 and len(shop.server.asked) == asked + 3
    assert shop.score() == repaired == shop.score("--retry-invalid"), "nothing is invalid now"
    assert len(shop.server.asked) == asked + 3


# --- a task that was changed --------------------------------------------------------------------
@pytest.mark.parametrize("choices", ['"billing", "delivery", "returns", "hours"', '"billing", "delivery"'])
def test_a_version_is_not_judged_by_a_task_with_other_choices(shop: Shop, task: str, choices: str) -> None:
    shop.task_file.write_text(task.replace('"billing", "delivery", "returns"', choices))
    for options in ((), ("--slow-rows", "2"), ("--again",)):
        assert shop.terminal.error("finetune", *options) == (
            "task.py:Question has other fields, choices or types than when questions@1.0.0 was published, so that its "
            f"rows cannot be judged by it; undo that, or run goldleaf curate {shop.terminal.folder}/dataset.yaml and "
            "goldleaf release for a version of it as it is now"
        )


def test_other_texts_of_a_task_ask_an_endpoint_anew_and_nobody_else(shop: Shop, task: str) -> None:
    before, asked = shop.plan(), len(shop.server.asked)
    shop.task_file.write_text(task.replace("Name the topic of this question.", "What is this question about?"))
    after = shop.plan()
    assert after.training_key == before.training_key
    assert after.answers_key("adapter") == before.answers_key("adapter")
    assert after.key != before.key
    alone = {"arms": [arm for arm in before.arms if arm not in before.endpoints]}
    assert shop.plan(**alone).key == replace(before, **alone).key, "nobody reads the new text"

    said = shop.terminal.goldleaf("finetune").stdout
    assert "compared with these settings before" not in said and len(shop.server.asked) == asked + 3
    assert shop.server.asked[-1]["messages"][0]["content"].startswith("What is this question about?")


def test_answers_of_a_task_with_other_code_are_not_taken_for_those_of_this_one(shop: Shop, task: str) -> None:
    before = shop.plan()
    shop.task_file.write_text(task.replace("\n\nclass", "  # as people ask\n\n\nclass", 1))
    assert shop.plan().key == before.key, "a comment"
    read = "    @classmethod\n    def task_read_answer(cls, text):\n        return super().task_read_answer(text[:9])\n"
    shop.task_file.write_text(f"{task}\n{read}")
    after = shop.plan()
    assert after.task.task_digest() == before.task.task_digest()
    for arm in ("majority", "adapter"):
        assert after.answers_key(arm) != before.answers_key(arm)
    assert after.key != before.key and after.training_key == before.training_key


def test_the_same_rows_of_another_task_are_another_version(shop: Shop, task: str) -> None:
    """Else a task that its version no longer has could never be fine-tuned."""
    shop.task_file.write_text(
        task.replace("import Literal", "import Annotated, Literal\nfrom pydantic import Field").replace(
            "Input[str]", "Input[Annotated[str, Field(max_length=1000)]]"
        )
    )
    assert "has other fields, choices or types" in shop.terminal.error("finetune")
    shop.terminal.goldleaf("curate")
    released = shop.terminal.json("release")
    assert (released["version"], released["created"]) == ("1.1.0", True)
    assert released["digest"] == shop.terminal.json("release", exit_code=0)["digest"]
    assert not shop.terminal.json("release")["created"]
    assert shop.terminal.json("finetune")["version"] == "1.1.0"
