"""LoRA's variants and several kinds of models: what is saved and loaded again answers as what was trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from chat_templates import HEAD, OPENS, TOKENIZER
from small_models import KINDS, questions_and_answers, save_small_model
from transformers import AutoModelForCausalLM, Qwen3MoeConfig

from pipeline.errors import TrainingError
from pipeline.finetuning import train as training
from pipeline.finetuning.base_model import load_adapter, load_base, take_off
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.lora_config import lora_config
from pipeline.finetuning.predict import predict
from pipeline.finetuning.train import train
from schemas.dataset import Finetune, Quantize

ROWS = questions_and_answers(12)
CONFIG = Finetune(epochs=1, batch_size=4, learning_rate=1e-2, max_length=128, rank=4, evaluate=0)

# The shapes of the templates that these models have, each with a mark of its own where a turn ends.
CHATS = {
    "llama": "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    "mistral": "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}",
    "qwen2": f"{HEAD}{{{{ m.content }}}}<|im_end|>\n{OPENS}",
    "qwen3": f"{HEAD}{{% if m.role == 'assistant' and loop.last %}}<think>\n\n</think>\n\n{{% endif %}}"
    f"{{{{ m.content }}}}<|im_end|>\n{OPENS}",
    "smollm3": f"<|im_start|>system\n/no_think<|im_end|>\n{HEAD}{{{{ m.content }}}}<|im_end|>\n{OPENS}",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("small")
    save_small_model(folder, num_hidden_layers=2)
    # In these numbers, models are equal or not.
    return load_base(str(folder), "float32")


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.arange(100, 130)[None]).logits
    return found


def trained(
    base: LoadedModel, config: Finetune, output: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the model computes right after its training, and what the saved adapter does on the base model."""
    seen = []
    save = training.save

    def watched(adapted: Any, *given: Any) -> None:
        adapted.eval()
        seen.append(logits(adapted))
        save(adapted, *given)

    monkeypatch.setattr(training, "save", watched)
    before = logits(base.model.eval())
    train(ROWS, config, output, base=base)
    assert torch.equal(logits(base.model.eval()), before)
    loaded = load_adapter(output, base)
    again = logits(loaded.model.eval())
    take_off(loaded.model)
    assert torch.equal(logits(base.model.eval()), before)
    assert not torch.allclose(seen[0], before, atol=1e-3)
    return seen[0], again


# --- variants ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "lora",
    [
        {},
        {"use_rslora": True},
        {"use_dora": True},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "pissa_niter_4", "use_rslora": True},
        {"init_lora_weights": "olora"},
        {"init_lora_weights": "gaussian", "target_modules": ["q_proj", "v_proj"], "layers_to_transform": [1]},
        {"rank_pattern": {"q_proj": 2}, "lora_dropout": 0.1, "bias": "none"},
        {"modules_to_save": ["lm_head"]},
        {"trainable_token_indices": [100, 101]},
    ],
    ids=str,
)
def test_a_saved_adapter_computes_what_the_trained_model_did(
    small: LoadedModel, lora: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then, now = trained(small, CONFIG.model_copy(update={"lora": lora}), tmp_path / "adapter", monkeypatch)
    assert torch.allclose(then, now, atol=2e-6)


def test_packed_rows_train_the_same_kind_of_adapter(
    small: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then, now = trained(small, CONFIG.model_copy(update={"packing": True}), tmp_path / "adapter", monkeypatch)
    assert torch.allclose(then, now, atol=2e-6)


def test_half_batches_accumulated_are_a_batch(small: LoadedModel, tmp_path: Path) -> None:
    half = CONFIG.model_copy(update={"batch_size": 2, "accumulate": 2})
    whole = train(ROWS, CONFIG, tmp_path / "whole", base=small)
    halves = train(ROWS, half, tmp_path / "half", base=small)
    assert (whole.steps, halves.steps) == (3, 3)
    assert halves.losses == pytest.approx(whole.losses, rel=1e-5)


def test_warmup_begins_slowly(small: LoadedModel, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"learning_rate": 0.05, "batch_size": 2})
    at_once = train(ROWS, config, tmp_path / "at once", base=small)
    slowly = train(ROWS, config.model_copy(update={"warmup": 0.5}), tmp_path / "slowly", base=small)
    assert slowly.losses[0] == at_once.losses[0]
    # The first step is taken at a rate of 0.
    assert slowly.losses[1:] != at_once.losses[1:]


# --- what PEFT does not take ------------------------------------------------------------------
@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"use_dorra": True}, "sets use_dorra, which PEFT's LoraConfig does not have; did you mean use_dora"),
        (
            {"colour": 1},
            "sets colour, which PEFT's LoraConfig does not have; PEFT's LoraConfig has alpha_pattern, bias, ",
        ),
        ({"r": 8}, "sets r, which finetune.rank sets; remove it, and set that"),
        ({"lora_alpha": 8}, "sets lora_alpha, which finetune.alpha sets"),
        ({"task_type": "SEQ_CLS"}, "sets task_type, which follows from what is trained; remove it"),
        ({"loftq_config": {}}, "sets loftq_config, which Goldleaf does not pass on; remove it"),
        ({"use_dora": "perhaps"}, "lora.use_dora is 'perhaps', but PEFT takes bool; correct it"),
        ({"lora_dropout": "much"}, "lora.lora_dropout is 'much', but PEFT takes float"),
        ({"init_lora_weights": "pisa"}, "init_lora_weights is 'pisa'; use true, false, gaussian, "),
        ({"init_lora_weights": "eva"}, "init_lora_weights is 'eva'; .* others need data or further objects"),
        ({"init_lora_weights": "pissa", "use_dora": True}, "pissa and use_dora: .* cannot be converted"),
        ({"layers_pattern": "layers"}, "is refused by PEFT"),
        ({"bias": "all"}, "bias is 'all', which trains the base model itself; remove it"),
        ({"layer_replication": [[0, 1], [0, 1]]}, "sets layer_replication, which Goldleaf does not pass on"),
    ],
)
def test_what_cannot_be_used_is_said_before_a_model_is_loaded(lora: dict[str, Any], said: str, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"lora": lora, "base_model": "./nowhere"})
    with pytest.raises(TrainingError, match=said) as error:
        train(ROWS, config, tmp_path / "adapter")
    assert str(error.value).startswith("finetune.lora") and "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning:peft")
def test_a_model_of_experts_is_trained_and_answers_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(7)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "moe_intermediate_size": 8, "head_dim": 8}
    config = Qwen3MoeConfig(
        vocab_size=len(TOKENIZER), num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, num_experts=4,
        num_experts_per_tok=2, output_router_logits=False, **sizes,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    TOKENIZER.save_pretrained(tmp_path / "model")
    base = load_base(str(tmp_path / "model"), "float32")
    before = [base.model.config.to_dict(), base.model.generation_config.to_dict()]
    then, now = trained(base, CONFIG, tmp_path / "adapter", monkeypatch)
    assert torch.allclose(then, now, atol=2e-6)
    assert [base.model.config.to_dict(), base.model.generation_config.to_dict()] == before
    assert len(predict(base, [row.prompt for row in ROWS], max_new_tokens=2)) == len(ROWS)


def test_tied_embeddings_that_are_trained_as_a_whole_are_taken_off_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_small_model(tmp_path / "model", tie_word_embeddings=True)
    lora = {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}
    base = load_base(str(tmp_path / "model"), "float32")
    then, now = trained(base, CONFIG.model_copy(update={"lora": lora}), tmp_path / "adapter", monkeypatch)
    assert torch.allclose(then, now, atol=2e-6)


def test_an_adapter_on_the_layer_that_scores_words_is_refused(small: LoadedModel, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"lora": {"target_modules": ["q_proj", "lm_head"]}})
    with pytest.raises(TrainingError, match=r"finetune\.lora puts an adapter on .* take it out of target_modules"):
        train(ROWS, config, tmp_path / "adapter", base=small)
    assert not [name for name, _ in small.model.named_parameters() if "lora" in name]


def test_layers_that_a_model_does_not_have_are_said(small: LoadedModel, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"lora": {"target_modules": ["query"]}})
    with pytest.raises(TrainingError, match=r"The adapter does not fit .*query.*; correct finetune\.lora"):
        train(ROWS, config, tmp_path / "adapter", base=small)


def test_four_bits_without_a_gpu_are_an_error(tmp_path: Path) -> None:
    assert not torch.cuda.is_available(), "where there is a GPU, this test has nothing to say"
    config = CONFIG.model_copy(update={"base_model": "org/any", "quantize": Quantize.FOUR_BIT})
    with pytest.raises(TrainingError, match=r"quantize: 4bit needs a CUDA GPU, and there is none here; remove it"):
        train(ROWS, config, tmp_path / "adapter")


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({}, r"batches of 4 rows of up to 128 tokens; lower finetune\.batch_size to 2 \(with finetune\.accumulate: 2 "),
        ({"batch_size": 1}, r"batches of 1 row of up to 128 tokens; lower finetune\.max_length to 64, or choose"),
    ],
)
def test_too_little_memory_says_what_to_lower(
    small: LoadedModel, sizes: dict[str, int], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        torch.empty(2**55, dtype=torch.int8)

    monkeypatch.setattr(training, "run", full)
    with pytest.raises(TrainingError, match=f"The memory does not suffice for {said}"):
        train(ROWS, CONFIG.model_copy(update=sizes), tmp_path / "adapter", base=small)


def test_the_revision_of_the_base_stands_in_the_configuration() -> None:
    lora = lora_config(CONFIG, "sha256:ab")
    assert (lora.r, lora.lora_alpha, lora.revision, lora.target_modules) == (4, 32, "sha256:ab", "all-linear")


# --- kinds of models --------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_models_of_several_kinds_are_trained_saved_and_loaded(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_small_model(tmp_path / "model", kind)
    (tmp_path / "model" / "chat_template.jinja").write_text(CHATS[kind])
    base = load_base(str(tmp_path / "model"), "float32")
    assert base.model.config.model_type == kind
    then, now = trained(base, CONFIG, tmp_path / "adapter", monkeypatch)
    assert torch.allclose(then, now, atol=2e-6)
    assert load_adapter(tmp_path / "adapter").tokenizer.chat_template == CHATS[kind]
