"""Base models are loaded in the numbers that a machine computes fastest in, whole or not at all; the bundled one is
unpacked once."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from small_models import save_small_model
from transformers import AutoModelForCausalLM

from pipeline.errors import TrainingError
from pipeline.finetuning import model_sources
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.dtypes import DType, fast_dtype
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.model_sources import BUNDLED
from pipeline.finetuning.train import train
from schemas.dataset import Finetune
from schemas.message import Message, Speaker


# --- the bundled model ------------------------------------------------------------------------
def test_the_bundled_model_is_unpacked_once_and_the_same_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path))
    unpacked = model_sources._unpacked(model_sources._sha256([model_sources.bundled_file()]), fast_dtype())
    unpacked.mkdir(parents=True)
    # Once a disk has lost a part of it.
    (unpacked / "model.safetensors").write_bytes(b"half")
    packed = load_base(BUNDLED)
    assert [path.name for path in unpacked.parent.iterdir()] == [unpacked.name]

    monkeypatch.setattr(model_sources, "bundled_file", lambda: tmp_path / "gone.gguf")
    monkeypatch.setattr(model_sources, "_sha256", lambda files: packed.revision.removeprefix("sha256:"))
    again = load_base(BUNDLED)
    assert (again.name, again.revision, again.dtype) == (BUNDLED, packed.revision, packed.dtype)
    assert again.model.name_or_path == packed.model.name_or_path == BUNDLED
    weights = packed.model.state_dict()
    assert again.model.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in again.model.state_dict().items())
    assert again.model.generation_config.to_dict() == packed.model.generation_config.to_dict()
    chat = [Message(role=Speaker.USER, content="Is 3 > 2? — Yes!"), Message(role=Speaker.ASSISTANT, content="é")]
    assert again.token_ids(chat, answer_follows=True) == packed.token_ids(chat, answer_follows=True)
    assert again.tokenizer.pad_token_id == packed.tokenizer.pad_token_id
    assert again.tokenizer.eos_token_id == packed.tokenizer.eos_token_id


def test_without_a_place_for_it_the_unpacked_model_is_not_kept(tmp_path: Path, small: LoadedModel) -> None:
    (tmp_path / "full").write_bytes(b"")
    model_sources._keep(small, tmp_path / "full" / "model")
    model_sources._keep(small, tmp_path / "here" / "model")
    # Another process was faster.
    model_sources._keep(small, tmp_path / "here" / "model")
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["model"]
    assert load_base(str(tmp_path / "here" / "model")).dtype == fast_dtype()


# --- the numbers ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("instructions", "dtype"),
    [
        ({"avx2": True, "avx512_bf16": False}, "float32"),
        ({"avx512_f": True}, "float32"),
        ({"avx512_f": True, "avx512_bf16": True}, "bfloat16"),
        ({"neon": True, "bf16": True}, "bfloat16"),
        ({"neon": True, "bf16": False}, "float32"),
    ],
)
def test_a_processor_that_has_no_instructions_for_bfloat16_computes_in_float32(
    instructions: dict[str, bool], dtype: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert load_base(str(folder)).dtype == dtype


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a few weights."""
    folder = tmp_path_factory.mktemp("base")
    save_small_model(folder, initializer_range=0.5)
    return folder


@pytest.fixture(scope="module")
def small(folder: Path) -> LoadedModel:
    return load_base(str(folder))


@pytest.mark.parametrize(("dtype", "least", "most"), [("float32", 0, 1e-5), ("bfloat16", 1e-5, 0.05)])
def test_training_computes_in_the_numbers_of_the_base_model(
    folder: Path, tmp_path: Path, dtype: DType, least: float, most: float
) -> None:
    asked = (Message(role=Speaker.USER, content="A ripe and very sweet cherry"),)
    rows = [
        Example(name, asked, (Message(role=Speaker.ASSISTANT, content=name),), {}) for name in ("red", "green", "blue")
    ]
    report = train(rows, Finetune(batch_size=3, epochs=1, max_length=99), tmp_path, base=load_base(str(folder), dtype))

    exact = load_base(str(folder), "float32")
    losses: list[float] = []
    for row in rows:
        start = len(exact.token_ids(row.prompt, answer_follows=True))
        whole = torch.tensor([exact.token_ids([*row.prompt, *row.completion], answer_follows=False)])
        with torch.inference_mode():
            guesses = exact.model(input_ids=whole).logits[0, :-1].log_softmax(dim=-1)
        losses += [-float(guesses[at - 1, whole[0, at]]) for at in range(start, whole.shape[1])]
    assert report.dtype == dtype
    assert len(losses) == report.answer_tokens
    assert least <= abs(report.first_loss / (sum(losses) / len(losses)) - 1) < most


# --- what is wrong with a model's files -------------------------------------------------------
def halved(model: Path) -> None:
    file = model / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def of_another_size(model: Path) -> None:
    config = (model / "config.json").read_text()
    (model / "config.json").write_text(config.replace('"hidden_size": 16', '"hidden_size": 32'))


def of_another_architecture(model: Path) -> None:
    known = json.loads((model / "config.json").read_text())
    small = {"n_embd": known["hidden_size"], "n_layer": 1, "n_head": 2, "vocab_size": known["vocab_size"]}
    (model / "config.json").write_text(json.dumps(small | {"model_type": "gpt2"}))


def without_words(model: Path) -> None:
    (model / "tokenizer.json").write_text('{"a": 1}')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (halved, r"The files of the base model .* are damaged .* \(SafetensorError: .*\); fetch it again"),
        (of_another_size, r"The files of the base model .* do not belong together \(RuntimeError: .*; fetch it again"),
        (without_words, r"The files of the base model .* are damaged .* \(KeyError: 'added_tokens'\); fetch it again"),
        (
            of_another_architecture,
            r"no weights for \d+ of its tensors, such as .*; fetch it again, or set",
        ),
    ],
)
def test_files_that_make_no_model_are_told_in_one_line(
    folder: Path, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    shutil.copytree(folder, tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(TrainingError, match=said) as error:
        load_base(str(tmp_path / "model"))
    assert "\n" not in str(error.value)


def test_a_model_for_which_the_memory_does_not_suffice_is_told_from_a_damaged_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object, **named: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", full)
    with pytest.raises(TrainingError, match=r"The memory does not suffice .* smaller finetune\.base_model"):
        load_base(str(folder))


def test_a_name_that_no_folder_can_have_is_no_model() -> None:
    with pytest.raises(TrainingError, match="cannot be loaded"):
        load_base("a" * 300)


def test_another_chat_template_makes_another_base_model(small: LoadedModel, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "model")
    assert load_base(str(tmp_path / "model")).revision == small.revision
    template = tmp_path / "model" / "chat_template.jinja"
    template.write_text(template.read_text().replace("helpful", "terse"))
    assert load_base(str(tmp_path / "model")).revision != small.revision
