"""Base models are loaded in the numbers that a machine computes fastest in, and the bundled one is unpacked once."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from small_models import save_small_model

from pipeline.finetuning import base_model
from pipeline.finetuning.base_model import BUNDLED, LoadedModel, fast_dtype, load_base
from pipeline.finetuning.examples import Example
from pipeline.finetuning.train import train
from schemas.dataset import Finetune
from schemas.message import Message, Speaker


# --- the bundled model ------------------------------------------------------------------------
def test_the_bundled_model_is_unpacked_once_and_the_same_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path))
    unpacked = base_model._unpacked(base_model._sha256([base_model._bundled_file()]), fast_dtype())
    unpacked.mkdir(parents=True)
    # Once a disk has lost a part of it.
    (unpacked / "model.safetensors").write_bytes(b"half")
    packed = load_base(BUNDLED)
    assert [path.name for path in unpacked.parent.iterdir()] == [unpacked.name]

    monkeypatch.setattr(base_model, "_bundled_file", lambda: tmp_path / "gone.gguf")
    monkeypatch.setattr(base_model, "_sha256", lambda files: packed.revision.removeprefix("sha256:"))
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
    base_model._keep(small, tmp_path / "full" / "model")
    base_model._keep(small, tmp_path / "here" / "model")
    # Another process was faster.
    base_model._keep(small, tmp_path / "here" / "model")
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
    folder: Path, tmp_path: Path, dtype: base_model.DType, least: float, most: float
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
