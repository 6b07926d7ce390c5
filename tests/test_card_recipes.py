"""The lines of Python on an adapter's card do what they say: who runs them gets the scores of the ladder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import save_small_model
from support import offline, row, write_dataset

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.finetune import Finetuned, finetune
from flows.release import release
from pipeline.finetuning.base_model import load_adapter, load_base
from pipeline.finetuning.examples import read_examples
from pipeline.finetuning.predict import predict

TOPICS = {"billing": "invoice charged card", "delivery": "courier parcel street", "returns": "refund broken label"}
SETTINGS = """\
review: {{budget: 0, audit: 0.0}}
split: {{fractions: {{train: 0.7, validation: 0.0, test: 0.3}}}}
finetune: {{base_model: {model}, batch_size: 4, epochs: 1, max_length: 256, max_new_tokens: 4}}
arms: [linear, adapter, adapter_linear]
"""


class Bench:
    """A version, and an adapter that was trained on it."""

    def __init__(self, folder: Path) -> None:
        save_small_model(folder / "model")
        rows = []
        for number in range(120):
            topic = list(TOPICS)[number % 3]
            # Of every fourth row the words are another topic's, so that not all can be right.
            words = TOPICS[topic if number % 4 else list(TOPICS)[(number + 1) % 3]].split()
            rows.append(row(number, f"{words[number % 3]} no{number} {words[number // 3 % 3]} x{number * 7}", topic))
        write_dataset(folder, rows, SETTINGS.format(model=folder / "model"))
        context = Context.load(folder / "dataset.yaml", offline(folder / "home"))
        curate(context, Inline())
        self.version = Path(release(context, Inline()).path)
        self.found: Finetuned = finetune(context, Inline())
        card = (Path(self.found.path) / "README.md").read_text(encoding="utf-8")
        self.blocks = {
            part.partition("\n")[0]: "".join(re.findall(r"```python\n(.*?)```", part, re.S))
            for part in card.split("\n## ")
        }

    def run(self, *headings: str) -> str:
        """What the code under some headings prints, run one after another in the adapter's folder."""
        names = f"FOLDER, VERSION = {self.found.path!r}, {str(self.version)!r}"
        code = "\n".join([names, *(self.blocks[heading] for heading in headings)])
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.found.path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("cards"))


def test_both_recipes_print_the_scores_of_their_arms(bench: Bench) -> None:
    ladder = bench.found.assessment.ladder
    expected = [arm.score.value for name in ("linear", "adapter_linear") if (arm := ladder.arm(name))]
    printed = bench.run("The linear model", "The adapter and the linear model together")
    assert [float(line) for line in printed.split()] == pytest.approx(expected)
    assert 0.4 < expected[0] < 1


def test_the_lines_under_use_print_what_the_adapter_answers_to_a_published_row(bench: Bench) -> None:
    tuned = load_adapter(Path(bench.found.path), load_base(bench.found.assessment.base_model))
    [expected] = predict(tuned, [read_examples(bench.version, "test")[0].prompt], max_new_tokens=4)
    assert bench.run("Use") == f"{expected}\n"
