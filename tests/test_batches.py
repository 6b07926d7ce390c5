"""Batches have all rows once, in an order that the seed decides, and look the same to the model padded or packed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import KINDS, TOKENIZER, questions_and_answers, save_small_model
from transformers import AutoModelForCausalLM, BloomConfig, Lfm2Config

from pipeline.errors import TrainingError
from pipeline.finetuning.attention_masks import keeps_rows_apart
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.batches import Row, RowOrder, packed, padded
from pipeline.finetuning.train import train
from pipeline.finetuning.train_table import IGNORED
from pipeline.finetuning.trainer import summed_loss
from pipeline.finetuning.training_libraries import quiet
from schemas.dataset import Finetune

TINY: Any = {"vocab_size": len(TOKENIZER), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=300)


# --- the order --------------------------------------------------------------------------------
@given(LENGTHS, st.integers(1, 9), st.integers(0, 2**32 - 1), st.integers(0, 3), st.booleans())
def test_an_epoch_has_every_row_once(lengths: list[int], batch: int, seed: int, epoch: int, by_length: bool) -> None:
    order = RowOrder(lengths, batch, seed, by_length=by_length)
    order.set_epoch(epoch)
    assert sorted(order) == list(range(len(lengths))) == list(range(len(order)))
    again = RowOrder(lengths, batch, seed, by_length=by_length)
    again.set_epoch(epoch)
    assert list(order) == list(order) == list(again)


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = []
    for seed in (1, 2):
        order = RowOrder([5] * 50, 4, seed, by_length=True)
        for epoch in (0, 1):
            order.set_epoch(epoch)
            orders.append(tuple(order))
    assert len(set(orders)) == 4


def test_rows_of_a_batch_are_about_as_long_and_the_longest_come_first() -> None:
    lengths = np.random.default_rng(3).integers(10, 500, 1_000)
    order = np.array(list(RowOrder(lengths, 8, 1, by_length=True)))
    widest = lengths[order].reshape(-1, 8).max(axis=1)
    assert lengths[order[0]] == lengths.max()
    assert widest.sum() * 8 < 1.05 * lengths.sum()
    shuffled = np.array(list(RowOrder(lengths, 8, 1, by_length=False)))
    assert lengths[shuffled].reshape(-1, 8).max(axis=1).sum() * 8 > 1.5 * lengths.sum()
    # Batches are not sorted: the time left can be told from the first ones.
    assert abs(widest[:40].mean() - widest.mean()) < 0.1 * widest.mean()


# --- the layout -------------------------------------------------------------------------------
def row(length: int, learned: int) -> Row:
    ids = [(length * 31 + at * 7) % 5000 + 10 for at in range(length)]
    return {"input_ids": ids, "labels": [*[IGNORED] * (length - learned), *ids[length - learned :]]}


# Of the last two, everything is learned that anything predicts.
ROWS = [row(9, 2), row(30, 5), row(4, 1), row(11, 3), row(3, 2), row(6, 5)]


def test_packed_rows_fill_the_room_that_padding_would_take() -> None:
    batch = packed(0)(ROWS)
    assert batch["input_ids"].shape == (3, 30)
    assert batch["position_ids"].tolist()[1][:11] == list(range(11))
    assert "attention_mask" not in batch
    assert padded(0)(ROWS)["input_ids"].shape == (6, 30)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.nn.Module]:
    folder = tmp_path_factory.mktemp("models")
    for kind in KINDS:
        save_small_model(folder / kind, kind, num_hidden_layers=2)
    return {kind: AutoModelForCausalLM.from_pretrained(folder / kind, dtype=torch.float32) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_packed_and_padded_rows_do_not_see_each_other(models: dict[str, torch.nn.Module], kind: str) -> None:
    model = models[kind].eval()
    alone = [summed_loss(model, padded(0)([one])) for one in ROWS]
    total, learned = (sum(part.item() for part in parts) for parts in zip(*alone, strict=True))
    for collate in (packed, padded):
        loss, tokens = summed_loss(model, collate(0)(ROWS))
        assert int(tokens) == learned == 2 + 5 + 1 + 3 + 2 + 5
        assert loss.item() == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_models_of_attention_keep_packed_rows_apart(models: dict[str, torch.nn.Module], kind: str) -> None:
    assert keeps_rows_apart(models[kind])


@pytest.mark.parametrize(
    "config",
    [
        # A convolution reads on over the border, and a bias by the distance begins nothing anew.
        Lfm2Config(
            layer_types=["conv", "full_attention"],
            num_key_value_heads=2,
            intermediate_size=16,
            initializer_range=1.0,
            **TINY,
        ),
        BloomConfig(**TINY),
    ],
    ids=lambda config: config.model_type,
)
def test_a_model_that_would_read_packed_rows_as_one_is_told(config: Any, tmp_path: Path) -> None:
    torch.manual_seed(7)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    TOKENIZER.save_pretrained(tmp_path / "model")
    settings = Finetune(epochs=1, batch_size=4, max_length=128, packing=True, evaluate=0)
    with pytest.raises(TrainingError, match=r"finetune\.packing does not go with .*/model: rows that stand in a line"):
        train(questions_and_answers(4), settings, tmp_path / "adapter", base=load_base(str(tmp_path / "model")))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_and_its_gradients_are_those_of_trl(
    models: dict[str, torch.nn.Module], kind: str, tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    model = models[kind]
    # What is compared is the loss, not the numbers that it is computed in.
    with quiet():
        arguments = SFTConfig(str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_length=None)
        trainer = SFTTrainer(model, arguments, train_dataset=Dataset.from_list(ROWS), processing_class=TOKENIZER)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    total, learned = summed_loss(model, padded(TOKENIZER.pad_token_id)(ROWS))
    ours = torch.autograd.grad(total / learned, weights)
    inputs = trainer.data_collator([dict(one) for one in ROWS])
    loss = trainer.compute_loss(model, inputs, num_items_in_batch=learned)
    theirs = torch.autograd.grad(loss, weights)
    assert (total / learned).item() == pytest.approx(loss.item(), rel=1e-6)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
