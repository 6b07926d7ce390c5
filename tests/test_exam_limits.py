"""What a model is asked fits into the memory and into what the model reads; what does not is said."""

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from small_models import save_small_model

from pipeline.errors import OutOfMemory
from pipeline.finetuning import preflight_estimates
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.evaluate import questions
from pipeline.finetuning.exam import Exam, Questions
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.predict import predict
from schemas.dataset import Form
from schemas.task import Input, Target, Task


class Topic(Task):
    """Name the topic."""

    text: Input[str]
    topic: Target[Literal["billing", "delivery"]]


def row(number: int, text: str) -> Example:
    inputs, targets = {"text": text}, {"topic": ("billing", "delivery")[number % 2]}
    *prompt, answer = Topic.task_messages(inputs, targets)
    return Example(f"r{number}", tuple(prompt), (answer,), inputs | targets)


ROWS = [row(number, f"lamp{number} " * (1 + number)) for number in range(20)]
ASKED = Questions(questions(Topic, ROWS), [], [], {})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("model")
    save_small_model(folder)
    return load_base(str(folder))


def short_of_memory(model: LoadedModel, monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let a model have memory for so many prompts at a time; returns how many it is then asked at a time."""
    asked, generate = [], model.model.generate

    def limited(**given: Any) -> Any:
        asked.append(len(given["input_ids"]))
        if asked[-1] > most:
            raise torch.OutOfMemoryError("out of memory")
        return generate(**given)

    monkeypatch.setattr(model.model, "generate", limited)
    return asked


def test_fewer_prompts_are_answered_at_a_time_where_memory_lacks(
    small: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, done = [one.prompt for one in ROWS], []
    expected = predict(small, prompts, max_new_tokens=6)
    sizes = short_of_memory(small, monkeypatch, 5)
    assert predict(small, prompts, max_new_tokens=6, on_progress=lambda one, _: done.append(one)) == expected
    assert sizes == [16, 8, 4, 4, 4, 4, 4]
    assert done == [4, 8, 12, 16, 20]


def test_without_memory_for_a_single_prompt_the_exam_says_what_to_lower(
    small: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of_memory(small, monkeypatch, 0)
    with pytest.raises(OutOfMemory, match=r"questions of up to \d+ tokens; give `few_shot` fewer examples .* is kept$"):
        Exam(Topic, 6).take(small, ASKED, lambda units: None, Form.FREE)


def test_another_error_of_the_model_is_no_lack_of_memory(small: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(**given: Any) -> Any:
        raise RuntimeError("an index is wrong")

    monkeypatch.setattr(small.model, "generate", failing)
    with pytest.raises(RuntimeError, match="an index is wrong"):
        Exam(Topic, 6).take(small, ASKED, lambda units: None, Form.FREE)


def test_long_prompts_share_a_batch_with_few_others(small: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = short_of_memory(small, monkeypatch, 16)
    predict(small, [row(0, "lamp " * 2500).prompt] * 9, max_new_tokens=1)
    assert len(sizes) > 1
    assert sum(sizes) == 9


@pytest.mark.parametrize("form", Form)
def test_what_a_model_cannot_read_is_answered_with_nothing(tmp_path: Path, form: Form) -> None:
    save_small_model(tmp_path, max_position_embeddings=80)
    model, done = load_base(str(tmp_path)), []
    answers = Exam(Topic, 6).take(model, ASKED, done.append, form).texts
    lengths = [len(model.token_ids(one.prompt, None, answer_follows=True)) for one in ROWS]
    assert 0 < sum(length >= 80 for length in lengths) < len(ROWS)
    beyond = {text for text, length in zip(answers, lengths, strict=True) if length >= 80}
    assert beyond == {""}
    if form is Form.HELD:
        assert all(text for text, length in zip(answers, lengths, strict=True) if length < 80)
    assert sum(done) == len(ROWS)


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": "3000", "memory.current": "2500", "memory.stat": "anon 2000\ninactive_file 500"}, 1000),
        ({"memory.max": "max", "memory.current": "2500", "memory.stat": "inactive_file 500"}, None),
        (
            {
                "memory/memory.limit_in_bytes": "3000",
                "memory/memory.usage_in_bytes": "2800",
                "memory/memory.stat": "total_inactive_file 0",
            },
            200,
        ),
        ({}, None),
    ],
    ids=["version 2", "no limit", "version 1", "no container"],
)
def test_a_container_s_limit_is_the_memory_there_is(
    small: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], left: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    monkeypatch.setattr(preflight_estimates, "_CGROUP", tmp_path)
    free = preflight_estimates.free_memory(small)
    assert free == left if left is not None else free > 10**6
