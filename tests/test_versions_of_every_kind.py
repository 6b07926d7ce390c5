"""A version of every kind is what other tools take: it loads, trains with plain TRL, and comes back as it was."""

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from generated_values import task_and_rows
from hypothesis import given
from terminal import Terminal
from tried_examples import examples

from pipeline.finetuning.base_model import load_base
from pipeline.ingest.formats import read_rows
from pipeline.ingest.row_values import row_values
from pipeline.kinds.registry import KIND_NAMES
from pipeline.releases.published_rows import PublishedRow, published_inputs, published_targets, rows_table
from schemas.dataset import Layout
from schemas.task import Input, Target, Task


@pytest.fixture(scope="module", params=KIND_NAMES)
def version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version made of a kind's starter files."""
    terminal = Terminal(tmp_path_factory.mktemp(request.param))
    terminal.goldleaf("init", "new", "--kind", request.param)
    file = terminal.folder / "new" / "dataset.yaml"
    text = file.read_text(encoding="utf-8").replace("{train: 0.8, validation: 0.1, test: 0.1}", "{train: 1.0}")
    file.write_text(f"{text}\nreview: {{audit: 0.0}}\n", encoding="utf-8")
    terminal.goldleaf("curate", str(file), "--no-push")
    return Path(terminal.json("release", str(file))["path"])


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_base("smollm2-135m-instruct").tokenizer


def fields(version: Path) -> list[str]:
    rows = [row for file in version.glob("data/*.parquet") for row in pq.read_table(file).to_pylist()]
    return sorted(json.dumps(row["fields"], sort_keys=True) for row in rows)


def test_its_rows_are_the_same_once_they_were_read_and_published_again(version: Path, tmp_path: Path) -> None:
    before = version.parents[3] / "new"
    names = json.loads((version / "manifest.json").read_text(encoding="utf-8"))
    paths = {name: f"fields.{name}" for name in {*names["input_fields"], *names["target_fields"]}}
    (tmp_path / "task.py").write_bytes((before / "task.py").read_bytes())
    task = yaml.safe_load((before / "dataset.yaml").read_text(encoding="utf-8"))["task"]
    (tmp_path / "dataset.yaml").write_text(
        f"name: again\ntask: {task}\nsources: [{{name: version, path: '{version}/data/*.parquet', "
        f"fields: {json.dumps(paths)}}}]\nreview: {{audit: 0.0}}\nsplit: {{fractions: {{train: 1.0}}}}\n",
        encoding="utf-8",
    )
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate", "--no-push")
    assert fields(Path(terminal.json("release")["path"])) == fields(version)


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_it_loads_offline_and_plain_trl_trains_on_its_answers_only(
    version: Path, tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    rows: Any = datasets.load_dataset(str(version), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(rows) == len(fields(version))
    tiny = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    trainer = SFTTrainer(
        model=LlamaForCausalLM(tiny),
        args=SFTConfig(
            output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=2, report_to="none", use_cpu=True,
            bf16=False, disable_tqdm=True,
        ),
        train_dataset=rows,
        processing_class=tokenizer,
    )  # fmt: skip
    assert trainer.train().training_loss > 0
    batch = next(iter(trainer.get_train_dataloader()))
    learned = [[token for token in labels.tolist() if token != -100] for labels in batch["labels"]]
    answers = {"".join(message["content"] for message in row["completion"]) for row in rows}
    for text in tokenizer.batch_decode(learned, skip_special_tokens=True):
        assert text.strip() in {answer.strip() for answer in answers}


@examples(100)
@given(task_and_rows(2))
def test_a_row_of_any_task_is_the_same_after_export_and_import(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[type[Task], list[dict[str, Any]]]
) -> None:
    task, rows = case
    parsed = [task.task_parse({"source_": f"text {n}"} | row) for n, row in enumerate(rows)]
    published = [
        PublishedRow(f"r{n}", one.inputs, one.targets, "s", "l", "source", "g", 1)
        for n, one in enumerate(parsed)
        if one.targets is not None
    ]
    file = tmp_path_factory.mktemp("version") / "train.parquet"
    pq.write_table(rows_table(task, published), file)
    paths = {name: f"fields.{name}" for name in task.model_fields}
    for raw, before in zip(read_rows(file), published, strict=True):
        assert raw.row is not None
        values, _ = row_values(raw.row, task, task.model_fields, paths, Layout.AUTO)
        again = task.task_parse(values)
        assert (again.problems, again.inputs, again.targets) == ([], before.inputs, before.targets)
        fields = raw.row["fields"]
        assert (published_inputs(task, fields), published_targets(task, fields)) == (before.inputs, before.targets)


class Anything(Task):
    """Inputs of types that no column has."""

    one: Input[str | int]
    more: Input[dict[str, int] | None] = None
    topic: Target[str]


PLAIN = ["Send rope", "[1", "NaN", 'it\'s \\ "so"']


@pytest.mark.parametrize("one", [*PLAIN, "123", 123, '"123"', "true", "null", '{"a": 1}'])
def test_an_input_without_a_column_is_the_same_after_export(tmp_path: Path, one: str | int) -> None:
    inputs = {"one": one, "more": {"b": 1, "a": 2}}
    row = PublishedRow("r", inputs, {"topic": "x"}, "s", "l", "source", "g", 1)
    pq.write_table(rows_table(Anything, [row]), tmp_path / "train.parquet")
    [raw] = read_rows(tmp_path / "train.parquet")
    assert raw.row is not None
    fields = raw.row["fields"]
    assert published_inputs(Anything, fields) == inputs
    again = Anything.task_parse(fields)
    assert again.inputs["more"] == inputs["more"]
    # Of what looks like JSON, a source cannot know what it was.
    assert (again.inputs["one"] == one) is (one in PLAIN)


def test_a_version_of_before_a_field_was_widened_is_read(tmp_path: Path) -> None:
    fields = {"one": "Send rope", "more": None, "topic": "x"}
    assert published_inputs(Anything, fields) == {"one": "Send rope", "more": None}
