"""The likeliest of a list of answers is what scoring every one by itself finds, for every kind of model."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from chat_templates import OPENS, TEMPLATES, TOKENIZER
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from pipeline.errors import TrainingError
from pipeline.finetuning import answer_search, closed_answers, token_tree
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.closed_answers import ClosedAnswer, likeliest
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.model_sources import BUNDLED
from pipeline.finetuning.training_libraries import quiet
from schemas.message import Message, Speaker

SIZE: dict[str, Any] = {"vocab_size": len(TOKENIZER), "hidden_size": 16, "eos_token_id": TOKENIZER.eos_token_id}
LAYERS: dict[str, Any] = {**SIZE, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
HEADS: dict[str, Any] = {**LAYERS, "num_key_value_heads": 1, "head_dim": 8}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**LAYERS)),
    "attention that adds the mask": lambda: LlamaForCausalLM._from_config(
        LlamaConfig(**LAYERS), attn_implementation="eager"
    ),
    "qwen": lambda: Qwen3ForCausalLM(Qwen3Config(**HEADS)),
    "learned positions": lambda: GPT2LMHeadModel(GPT2Config(**SIZE, n_embd=16, n_layer=2, n_head=2)),
    "a window longer than all texts": lambda: MistralForCausalLM(MistralConfig(**HEADS, sliding_window=4096)),
    "a window of a few tokens": lambda: MistralForCausalLM(MistralConfig(**HEADS, sliding_window=6)),
    "a window in every other layer": lambda: Gemma2ForCausalLM(Gemma2Config(**HEADS, sliding_window=6)),
    "distances instead of positions": lambda: BloomForCausalLM(BloomConfig(**SIZE, n_layer=2, n_head=2)),
}
READ_PLAINLY = {
    "attention that adds the mask",
    "a window of a few tokens",
    "a window in every other layer",
    "distances instead of positions",
}
TURNED = {
    **TEMPLATES,
    "a space before the answer": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    ),
    "thinks in every answer": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n"
        f"{{% endif %}}{{{{ m.content }}}}<|im_end|>\n{OPENS}"
    ),
    "ends no answer": (
        "{% for m in messages %}{{ m.role }}\n{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}assistant\n{% endif %}"
    ),
}
END = TOKENIZER.eos_token
WRITTEN = {
    "trims and joins": " {}</s>" + END,
    "the last two": "{}\n" + END,
    "thinks in every answer": "<think>\n\n</think>\n\n{}" + END,
}
"""What a template writes for an answer, if it is more than the answer and its end."""
LABELS = ["card", "card_arrival", "card_arrival_late", "top_up", "Überweisung", "top up by bank", "取消", "ca"]
TEXTS = ["Where is my card?", "Where is it", "Top up failed, why?", "Wo ist meine Überweisung? 🙈", "Where is my card?"]


@cache
def small(kind: str = "llama", template: str = "smollm2") -> LoadedModel:
    """A model that has learned nothing but is sure of itself."""
    torch.manual_seed(11)
    model: PreTrainedModel = MODELS[kind]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.chat_template = TURNED[template]
    return LoadedModel(model.eval(), tokenizer, kind, "r")


def prompts_of(texts: Sequence[str], system: str = "Name the intent.") -> list[list[Message]]:
    return [[Message(role=Speaker.SYSTEM, content=system), Message(role=Speaker.USER, content=one)] for one in texts]


@torch.inference_mode()
def one_by_one(
    loaded: LoadedModel, prompts: Sequence[Sequence[Message]], labels: Sequence[str], written: str = "{}" + END
) -> np.ndarray:
    """The log-likelihoods, each by a forward pass of its own."""
    found = np.zeros((len(prompts), len(labels)))
    for row, prompt in enumerate(prompts):
        opening = loaded.text(prompt, answer_follows=True)
        texts = [opening, *(opening + written.format(label) for label in labels)]
        before, *whole = (loaded.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts)
        # What any answer joins with the prompt's last token, all answers have to say.
        start = min(next(at for at, token in enumerate(ids) if before[at : at + 1] != [token]) for ids in whole)
        for place, ids in enumerate(whole):
            scores = loaded.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().log_softmax(dim=1)
            found[row, place] = sum(float(scores[at - 1, ids[at]]) for at in range(start, len(ids)))
    return found


def agrees(found: Sequence[ClosedAnswer], labels: Sequence[str], known: np.ndarray) -> None:
    """Check answers against the log-likelihoods of all labels."""
    for one, row in zip(found, known, strict=True):
        order = np.argsort(-row)
        assert one.answer == labels[order[0]]
        assert one.log_likelihood == pytest.approx(row[order[0]], abs=1e-3)
        assert 0 <= one.margin <= (row[order[0]] - row[order[1]] if len(row) > 1 else math.inf) + 1e-3


@pytest.mark.parametrize("kind", MODELS)
def test_all_kinds_of_models_find_what_scoring_every_answer_by_itself_finds(kind: str) -> None:
    loaded, prompts = small(kind), prompts_of(TEXTS)
    known = one_by_one(loaded, prompts, LABELS)
    agrees(likeliest(loaded, prompts, LABELS), LABELS, known)
    assert isinstance(token_tree.token_tree(loaded, 100), token_tree._PlainTree) == (kind in READ_PLAINLY)


@pytest.mark.parametrize("template", TURNED)
def test_answers_are_scored_as_the_template_writes_them(template: str) -> None:
    loaded, prompts = small(template=template), prompts_of(TEXTS)
    known = one_by_one(loaded, prompts, LABELS, WRITTEN.get(template, "{}" + END))
    agrees(likeliest(loaded, prompts, LABELS), LABELS, known)


_WORDS = st.sampled_from(
    ["card", "card_", "arrival", " ", "top", "up", "ü", "取", "消", "🙈", "-", "1", "Card", "\n", "a"]
)
_LABELS = st.lists(
    st.lists(_WORDS, min_size=1, max_size=6).map(lambda words: "".join(words).strip()).filter(bool),
    min_size=1,
    max_size=12,
    unique=True,
)


@hypothesis_settings(max_examples=15)
@given(labels=_LABELS, texts=st.lists(st.text(max_size=12), min_size=1, max_size=5))
def test_any_set_of_labels_is_searched_without_a_mistake(labels: list[str], texts: list[str]) -> None:
    loaded, prompts = small(), prompts_of(texts)
    known = one_by_one(loaded, prompts, labels)
    agrees(likeliest(loaded, prompts, labels), labels, known)


@hypothesis_settings(max_examples=15)
@given(labels=_LABELS, seed=st.integers(0, 1000), weight=st.sampled_from([0.1, 3.0, 100.0]))
def test_what_another_model_says_is_added_to_every_answer(labels: list[str], seed: int, weight: float) -> None:
    loaded, prompts = small(), prompts_of(TEXTS)
    beside = weight * np.random.default_rng(seed).normal(size=(len(prompts), len(labels)))
    known = one_by_one(loaded, prompts, labels) + beside
    agrees(likeliest(loaded, prompts, labels, beside=beside), labels, known)


def test_a_search_that_is_cut_short_says_that_it_proves_nothing() -> None:
    loaded, prompts = small(), prompts_of(TEXTS)
    known = one_by_one(loaded, prompts, LABELS)
    found = likeliest(loaded, prompts, LABELS, most_tokens=1)
    for one, row in zip(found, known, strict=True):
        mine = row[LABELS.index(one.answer)]
        assert one.log_likelihood == pytest.approx(mine, abs=1e-3)
        assert one.margin <= mine - max(value for label, value in zip(LABELS, row, strict=True) if label != one.answer)
    assert min(one.margin for one in found) < 0
    agrees(likeliest(loaded, prompts, LABELS, most_tokens=1000), LABELS, known)


def test_two_thousand_labels_are_searched_like_two() -> None:
    labels = [f"{word}_{number:02}" for word in ("card", "loan", "fee", "rate", "cash") for number in range(400)]
    loaded, prompts = small(), prompts_of(TEXTS[:1])
    agrees(likeliest(loaded, prompts, labels), labels, one_by_one(loaded, prompts, labels))


def test_memory_that_runs_out_costs_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, prompts = small(), prompts_of([*TEXTS, "One more " * 40])
    known = one_by_one(loaded, prompts, LABELS)
    monkeypatch.setattr(answer_search, "_KEPT", 0)
    for module in (answer_search, closed_answers, token_tree):
        monkeypatch.setattr(module, "READ_AT_ONCE", 5)
    agrees(likeliest(loaded, prompts, LABELS), LABELS, known)


def test_what_prompts_and_answers_share_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plainly = token_tree._CachedTree._read

    def counted(self: Any, tokens: Sequence[int], *others: Any) -> Any:
        read.append(len(tokens))
        return plainly(self, tokens, *others)

    monkeypatch.setattr(token_tree._CachedTree, "_read", counted)
    loaded, prompts = small(), prompts_of([f"Question {number}?" for number in range(40)], "Do as you are told. " * 30)
    lengths = [len(loaded.token_ids(prompt, answer_follows=True)) for prompt in prompts]
    likeliest(loaded, prompts, ["yes", "yes, but"])
    # Beyond the instructions: digits, question mark and the opening of the answer; then "yes" and ", but".
    assert sum(read) < min(lengths) + 40 * 14 < sum(lengths) / 5


def test_a_single_answer_has_no_rival() -> None:
    loaded, prompts = small(), prompts_of(TEXTS[:2])
    known = one_by_one(loaded, prompts, ["top_up"])
    for one, likelihood in zip(likeliest(loaded, prompts, ["top_up"]), known[:, 0], strict=True):
        assert one == ClosedAnswer("top_up", pytest.approx(likelihood, abs=1e-3), math.inf)


def test_the_adapter_speaks_unless_it_is_not_to() -> None:
    base = small()
    before = one_by_one(base, prompts_of(TEXTS), LABELS)
    torch.manual_seed(3)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    with quiet():
        loaded = replace(base, model=get_peft_model(copy.deepcopy(base.model), config))
    prompts = prompts_of(TEXTS)
    known = one_by_one(loaded, prompts, LABELS)
    assert np.abs(known - before).max() > 0.1
    agrees(likeliest(loaded, prompts, LABELS), LABELS, known)
    with loaded.model.disable_adapter():
        agrees(likeliest(loaded, prompts, LABELS), LABELS, before)


def test_tools_are_part_of_the_prompt_they_belong_to() -> None:
    loaded = small(template="hermes")
    tool = {"type": "function", "function": {"name": "block_card", "parameters": {}}}
    prompts = prompts_of(["Block it", "Block it"])
    plain, offered = likeliest(loaded, prompts, LABELS, tools=[None, [tool]])
    [alone] = likeliest(loaded, prompts[:1], LABELS)
    assert (plain.answer, plain.log_likelihood) == (alone.answer, pytest.approx(alone.log_likelihood, abs=1e-3))
    assert abs(plain.log_likelihood - offered.log_likelihood) > 0.01


def test_progress_ends_with_all_prompts_and_no_prompts_are_no_work() -> None:
    told: list[tuple[int, int]] = []
    likeliest(small(), prompts_of(TEXTS), LABELS, on_progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (5, 5)
    assert likeliest(small(), [], LABELS) == []


@pytest.mark.parametrize(
    ("labels", "template", "said"),
    [
        ([], "smollm2", "There are no answers to choose from; give the task's field at least one choice"),
        (["a", "b", "a"], "smollm2", "The answers 'a' and 'a' are the same to llama; remove one, or rename it"),
        (["a ", "a"], "trims and joins", "The answers 'a ' and 'a' are the same to llama; remove one, or rename it"),
        (
            ["a", "very " * 2100],
            "smollm2",
            f"The answer '{'very ' * 12}' has 2,102 tokens, but llama reads no more than 2,048; shorten it, or use "
            "another finetune.base_model",
        ),
    ],
    ids=["none", "twice", "the same once trimmed", "longer than the model reads"],
)
def test_answers_that_cannot_be_chosen_from_are_refused(labels: list[str], template: str, said: str) -> None:
    with pytest.raises(TrainingError) as caught:
        likeliest(small(template=template), prompts_of(TEXTS), labels)
    assert str(caught.value) == said


def test_a_template_that_does_not_show_answers_is_refused() -> None:
    loaded = small()
    mute = copy.deepcopy(TOKENIZER)
    mute.chat_template = "{% for m in messages %}{{ m.role }}{% endfor %}"
    with pytest.raises(TrainingError, match="The chat template of llama does not show the answer 'card'; use another"):
        likeliest(replace(loaded, tokenizer=mute), prompts_of(TEXTS), LABELS)


def test_the_real_model_finds_what_scoring_every_answer_by_itself_finds() -> None:
    loaded, labels = load_base(BUNDLED, "float32"), ["card arrival", "card", "top up", "refund", "refund not shown"]
    prompts = prompts_of(["Where is the card that I ordered?", "My refund is missing.", "How do I add money?"])
    known = one_by_one(loaded, prompts, labels)
    agrees(likeliest(loaded, prompts, labels), labels, known)
