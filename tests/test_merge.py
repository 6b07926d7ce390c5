"""A merged model computes what base and adapter do, and needs neither PEFT nor Goldleaf."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import questions_and_answers, save_small_model
from support import row, write_dataset
from terminal import Terminal
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.errors import TrainingError
from pipeline.finetuning.base_model import load_adapter, load_base
from pipeline.finetuning.merge import merge_adapter
from pipeline.finetuning.train import train
from schemas.dataset import Finetune

IDS = torch.arange(100, 130)[None]


def trained(
    folder: Path, dtype: torch.dtype, rope: dict[str, Any] | None = None, tied: bool = False, **lora: object
) -> Path:
    """An adapter on a base model that is stored in these numbers."""
    options = {"rope_parameters": rope} if rope else {}
    save_small_model(folder / "model", dtype=dtype, tie_word_embeddings=tied, **options)
    base = load_base(str(folder / "model"), "float32")
    config = Finetune(epochs=1, batch_size=4, learning_rate=1e-2, max_length=128, evaluate=0, lora=lora)
    train(questions_and_answers(12), config, folder / "adapter", base=base)
    return folder / "adapter"


def logits(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found


@pytest.mark.parametrize(
    ("dtype", "name", "close"), [(torch.float32, "float32", 1e-5), (torch.bfloat16, "bfloat16", 0.05)]
)
@pytest.mark.parametrize("dora", [False, True])
def test_a_merged_model_computes_what_the_adapter_does(
    dtype: torch.dtype, name: str, close: float, dora: bool, tmp_path: Path
) -> None:
    adapter = trained(tmp_path, dtype, use_dora=dora)
    loaded = load_adapter(adapter, dtype="float32")
    with torch.inference_mode():
        expected, untuned = loaded.model(input_ids=IDS).logits, logits(tmp_path / "model")
    merged = merge_adapter(adapter, tmp_path / "merged")
    assert (merged.path, merged.dtype) == (str(tmp_path / "merged"), name)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "merged").dtype == dtype
    found = logits(tmp_path / "merged")
    assert torch.allclose(found, expected, atol=close)
    assert (found - expected).abs().mean() < (untuned - expected).abs().mean() / 4
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert tokenizer.chat_template == loaded.tokenizer.chat_template
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"} <= {
        path.name for path in (tmp_path / "merged").iterdir()
    }
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"target_modules": ["embed_tokens", "q_proj"]}, "the sum of the weights computes something else, as it does"),
        ({"lora_bias": True}, r"\(Impossible to merge LoRA with `lora_bias=True` .*\); serve it on its base model"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::UserWarning:peft")
def test_an_adapter_that_no_sum_of_weights_can_be_is_not_merged(
    lora: dict[str, Any], said: str, tmp_path: Path
) -> None:
    adapter = trained(tmp_path, torch.float32, tied=True, **lora)
    with pytest.raises(TrainingError, match=rf"The adapter in .* cannot be merged.*{said}"):
        merge_adapter(adapter, tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "model"]


@pytest.mark.parametrize(
    "scaled", [{"rope_type": "default"}, {"rope_type": "linear", "factor": 4.0}], ids=lambda scaled: scaled["rope_type"]
)
def test_a_merged_model_is_read_by_transformers_before_5_too(scaled: dict[str, Any], tmp_path: Path) -> None:
    adapter = trained(tmp_path, torch.float32, {"rope_theta": 500.0, **scaled})
    with torch.inference_mode():
        expected = load_adapter(adapter, dtype="float32").model(input_ids=IDS).logits
    merge_adapter(adapter, tmp_path / "merged")
    config, tokenizer = (
        json.loads((tmp_path / "merged" / name).read_text()) for name in ("config.json", "tokenizer_config.json")
    )
    # Its names: it refuses the new one's tokenizer class, and takes a base of 10,000 where it finds none.
    assert (config["rope_theta"], config["architectures"]) == (500.0, ["LlamaForCausalLM"])
    assert config.get("rope_scaling") == (scaled if "factor" in scaled else None)
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert tokenizer["model_input_names"] == ["input_ids", "attention_mask"]
    # Both names together mean the same to the new one.
    assert torch.allclose(logits(tmp_path / "merged"), expected, atol=1e-5)


def test_nothing_is_overwritten_and_a_folder_without_an_adapter_is_named(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(TrainingError, match=r"there exists already and is not overwritten; name another folder"):
        merge_adapter(tmp_path, tmp_path / "there")
    with pytest.raises(TrainingError, match=r"has no adapter: adapter_config\.json cannot be read"):
        merge_adapter(tmp_path, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_command_merges_an_adapter_by_its_folder_and_says_which_a_dataset_has(tmp_path: Path) -> None:
    adapter = trained(tmp_path, torch.float32)
    terminal = Terminal(tmp_path)
    said = terminal.json("merge", adapter, tmp_path / "merged")
    assert said == {"path": str(tmp_path / "merged"), "base_model": str(tmp_path / "model"), "dtype": "float32"}
    write_dataset(tmp_path, [row(1, "a lamp", "billing")])
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    failed = terminal.error("merge", adapter, tmp_path / "new")
    assert failed.startswith(f"The adapter {adapter} is damaged (") and failed.endswith(
        "; restore or remove the folder"
    )
    failed = terminal.error("merge", "latest", tmp_path / "new")
    assert failed == "'questions' has no adapter 'latest': it has none; run `goldleaf finetune` first"
