"""Rows whose common beginning is read once have the loss and the gradients of rows that are padded."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from chat_templates import TEMPLATES, TOKENIZER
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from small_models import KINDS
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3TextConfig,
    Lfm2Config,
    LlamaConfig,
    MistralConfig,
    Qwen3Config,
)

from pipeline.finetuning import batches
from pipeline.finetuning.attention_masks import follows_masks
from pipeline.finetuning.batches import Row, padded, shared
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_tokens import as_tokens
from pipeline.finetuning.train_table import IGNORED, table_writer
from pipeline.finetuning.trainer import make_trainer, summed_loss
from pipeline.finetuning.training_attention import attention_for_training
from pipeline.finetuning.training_libraries import quiet
from pipeline.finetuning.training_watch import Watch
from schemas.dataset import Finetune, Turns
from schemas.message import Message, Speaker

PADDING = TOKENIZER.pad_token_id
COMMON = [100 + at * 13 % 4000 for at in range(40)]
"""What the rows of most tests begin with."""
SIZE: dict[str, Any] = {"vocab_size": len(TOKENIZER), "hidden_size": 16, "pad_token_id": PADDING}
HEADS: dict[str, Any] = {
    **SIZE,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}


def model_of(config: Any, **options: Any) -> Any:
    """A model with an adapter that has an effect already, so that all of its weights have gradients."""
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(config, **options)
    with torch.no_grad():
        for weight in model.parameters():
            # Sure of itself: what it sees makes a difference.
            weight.mul_(8 if weight.dim() > 1 else 1)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    with quiet():
        return get_peft_model(model, lora)


@cache
def small(kind: str) -> Any:
    return model_of(KINDS[kind](**HEADS))


def row(*tail: int, learned: Sequence[int] = (), beginning: Sequence[int] = COMMON) -> Row:
    """The beginning and a tail, of which the tokens at some places are learned; the last three if none is named."""
    ids = [*beginning, *tail]
    places = [len(beginning) + at for at in learned] or range(len(ids) - 3, len(ids))
    return {"input_ids": ids, "labels": [one if at in places else IGNORED for at, one in enumerate(ids)]}


def loss_and_gradients(model: Any, batch: dict[str, torch.Tensor]) -> tuple[float, int, list[torch.Tensor]]:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    total, learned = summed_loss(model, batch)
    return total.item(), int(learned), list(torch.autograd.grad(total / learned, weights))


def assert_alike(model: Any, rows: Sequence[Row]) -> None:
    """The loss, how many tokens it is of, and the gradient of every weight of the adapter."""
    wide = loss_and_gradients(model, padded(PADDING)(list(rows)))
    with attention_for_training(model, max(len(one["input_ids"]) for one in rows)) as can:
        assert can
        tight = loss_and_gradients(model, shared(PADDING)(list(rows)))
    assert tight[1] == wide[1] == sum(label != IGNORED for one in rows for label in one["labels"])
    assert tight[0] == pytest.approx(wide[0], rel=1e-5)
    assert len(wide[2]) == 2 * sum("lora_A" in name for name, _ in model.named_parameters())
    for one, other in zip(wide[2], tight[2], strict=True):
        assert one.abs().max() > 0
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


def is_shared(batch: dict[str, torch.Tensor]) -> bool:
    return "rests" in batch


TAILS = [
    row(11, 12, 13, 14, 15),
    row(21, 22, 23, 24),
    row(11, 12, 33, 34, 35, 36, 37, 38, 39),
    row(*range(200, 230)),
]


# --- equal to padded rows -----------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_rows_with_a_long_common_beginning_have_the_loss_and_gradients_of_padded_ones(kind: str) -> None:
    assert is_shared(shared(PADDING)(TAILS))
    assert_alike(small(kind), TAILS)


@pytest.mark.parametrize("kind", KINDS)
def test_afterwards_the_model_reads_as_before(kind: str) -> None:
    model, batch = small(kind), padded(PADDING)(TAILS)
    before = loss_and_gradients(model, batch)[0]
    with attention_for_training(model, 70):
        summed_loss(model, shared(PADDING)(TAILS))
        assert loss_and_gradients(model, batch)[0] == pytest.approx(before, rel=1e-5), "padded rows among shared ones"
        summed_loss(model, shared(PADDING)(TAILS))
    assert model.config.get_text_config()._attn_implementation == "sdpa"
    assert loss_and_gradients(model, batch)[0] == before


def test_the_first_learned_token_may_come_right_behind_the_beginning() -> None:
    # The last common token predicts it, which differs from row to row: so that token is not shared.
    rows = [row(1000 + at, 2, learned=(0, 1)) for at in range(3)]
    batch = shared(PADDING)(rows)
    assert batch["input_ids"].shape == (1, 39 + 3 * 3)
    assert_alike(small("llama"), rows)


def test_what_is_learned_within_the_common_beginning_is_not_shared() -> None:
    turn = [*COMMON[:30], 7, 8, 9]
    rows = [
        {"input_ids": [*turn, tail, 5], "labels": [*[IGNORED] * 30, 7, 8, 9, IGNORED, 5]} for tail in (300, 301, 302)
    ]
    assert shared(PADDING)(rows)["input_ids"].shape == (1, 29 + 3 * 6)
    assert_alike(small("llama"), rows)


def test_rows_that_are_equal_as_a_whole_count_once_each() -> None:
    rows = [row(11, 12, 13, 14)] * 3
    batch = shared(PADDING)(rows)
    assert batch["input_ids"].shape == (1, 40 + 3 * 4), "what is learned, and the token before it, thrice"
    assert_alike(small("llama"), rows)


def test_a_row_that_another_one_begins_with_is_no_part_of_it() -> None:
    short = row(11, 12, 13)
    long = {"input_ids": [*short["input_ids"], 14, 15], "labels": [*[IGNORED] * 43, 14, 15]}
    assert is_shared(shared(PADDING)([long, short]))
    assert_alike(small("llama"), [long, short])


@pytest.mark.parametrize(
    "rows",
    [
        [row(1, 2, 3, 4)],
        [row(1, 2, 3, beginning=[at + 50 * one for at in range(20)]) for one in range(1, 4)],
        # Fifteen tokens alike: not worth it.
        [row(one, 2, 3, 4, beginning=COMMON[:15]) for one in (6, 7)],
        # Nothing is learned of one of them.
        [row(1, 2, 3, 4), {"input_ids": [*COMMON, 9], "labels": [IGNORED] * 41}],
    ],
    ids=["one row", "nothing alike", "little alike", "a row of which nothing is learned"],
)
def test_rows_that_share_little_are_padded(rows: list[Row]) -> None:
    found, plain = shared(PADDING)(rows), padded(PADDING)(rows)
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)


@settings(max_examples=25)
@given(
    tails=st.lists(st.lists(st.integers(1, 3), min_size=2, max_size=9), min_size=1, max_size=6),
    common=st.integers(10, 40),
    data=st.data(),
)
def test_whatever_the_rows_the_loss_and_the_gradients_are_those_of_padded_ones(
    tails: list[list[int]], common: int, data: st.DataObject
) -> None:
    rows = []
    for tail in tails:
        places = st.sets(st.integers(0, len(tail) - 1), min_size=1)
        rows.append(row(*tail, learned=sorted(data.draw(places)), beginning=COMMON[:common]))
    assert_alike(small("qwen3"), rows)


@pytest.mark.parametrize("template", ["smollm2", "hermes", "trims and joins"])
def test_chats_of_which_several_turns_are_learned_are_alike_too(template: str) -> None:
    loaded = LoadedModel(None, TOKENIZER, template, "r")
    before, TOKENIZER.chat_template = TOKENIZER.chat_template, TEMPLATES[template]
    try:
        rows = [
            as_row(loaded, turns) for turns in (("Hello", "Hi."), ("Hello", "Hi.", "Bye", "So long."), ("No", "Oh"))
        ]
    finally:
        TOKENIZER.chat_template = before
    assert sum(label != IGNORED for label in rows[1]["labels"]) > sum(label != IGNORED for label in rows[0]["labels"])
    assert is_shared(shared(PADDING)(rows))
    assert_alike(small("smollm3"), rows)


def as_row(loaded: LoadedModel, turns: Sequence[str]) -> Row:
    system = Message(role=Speaker.SYSTEM, content="You help people who have lost a parcel. " * 3)
    said = [Message(role=(Speaker.USER, Speaker.ASSISTANT)[at % 2], content=text) for at, text in enumerate(turns)]
    tokens = as_tokens(Example("r1", (system, *said[:-1]), (said[-1],), {}), loaded, Turns.EVERY)
    labels = [one if learned else IGNORED for one, learned in zip(tokens.ids, tokens.learned, strict=True)]
    return {"input_ids": tokens.ids, "labels": labels}


def test_whatever_else_a_table_of_rows_has_is_left_alone() -> None:
    rows: list[Any] = [one | {"length": len(one["input_ids"])} for one in TAILS]
    found, plain = shared(PADDING)(rows), shared(PADDING)(TAILS)
    assert all(torch.equal(found[name], plain[name]) for name in plain) and found.keys() == plain.keys()


def test_a_beginning_is_read_once() -> None:
    batch = shared(PADDING)(TAILS)
    assert batch["input_ids"].shape == (1, 40 + 5 + 4 + 9 + 30)
    assert batch["input_ids"][0, :40].tolist() == COMMON
    assert padded(PADDING)(TAILS)["input_ids"].numel() == 4 * 70


# --- which models can read that -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("config", "options", "can"),
    [
        (LlamaConfig(**HEADS), {}, True),
        (MistralConfig(**HEADS, sliding_window=70), {}, True),
        (MistralConfig(**HEADS, sliding_window=69), {}, False),
        (Qwen3Config(**HEADS, use_sliding_window=True, sliding_window=8, max_window_layers=1), {}, False),
        (Gemma3TextConfig(**HEADS, sliding_window=8), {}, False),
        (Gemma3TextConfig(**HEADS, sliding_window=70), {}, True),
        (LlamaConfig(**HEADS), {"attn_implementation": "eager"}, False),
        (BloomConfig(**SIZE, n_layer=2, n_head=2), {}, False),
        (Lfm2Config(**HEADS, layer_types=["conv", "full_attention"]), {}, False),
    ],
    ids=[
        *("llama", "a window as long as the longest row", "a shorter window"),
        *("a window in some layers", "a window in every other layer", "there a long one", "eager attention"),
        *("distances instead of positions", "convolutions"),
    ],
)
def test_rows_share_their_beginning_only_where_the_model_goes_by_the_mask(
    config: Any, options: dict[str, Any], can: bool, tmp_path: Path
) -> None:
    model = model_of(config, **options)
    assert follows_masks(model, max(len(one["input_ids"]) for one in TAILS)) is can
    collate = collate_of(model, tmp_path, Finetune(max_length=128))
    batch = collate(TAILS)
    assert is_shared(batch) is can
    if can:
        assert_alike(model, TAILS)


def test_packing_comes_before_sharing_where_it_is_wanted(tmp_path: Path) -> None:
    batch = collate_of(small("llama"), tmp_path, Finetune(max_length=128, packing=True))(TAILS)
    assert "attention_mask" not in batch


def test_a_validation_row_may_be_what_is_longer_than_the_window(tmp_path: Path) -> None:
    model = model_of(MistralConfig(**HEADS, sliding_window=70))
    assert is_shared(collate_of(model, tmp_path, Finetune(max_length=128))(TAILS))
    longer = [row(*range(200, 231))]
    assert not is_shared(collate_of(model, tmp_path, Finetune(max_length=128), longer)(TAILS))


def collate_of(model: Any, folder: Path, config: Finetune, validation: Sequence[Row] = ()) -> batches.Collate:
    """How a training lays out rows."""
    from pipeline.finetuning.row_tokens import Tokens

    tables = []
    for name, rows in (("train", TAILS), ("validation", validation)):
        with table_writer(folder / name) as writer:
            for one in rows:
                writer.add(Tokens(one["input_ids"], [label != IGNORED for label in one["labels"]]))
            tables.append(writer.finish())
    watch = Watch.__new__(Watch)
    with quiet():
        preparing = make_trainer(
            LoadedModel(model, TOKENIZER, "tiny", "r"),
            model,
            tables[0],
            tables[1] if validation else None,
            config,
            watch,
            folder / "work",
        )
        with preparing as trainer:
            collate: batches.Collate = trainer.data_collator
    return collate
