"""Trains a LoRA adapter on the rows of a published version: supervised, on the answers only.

A row is never truncated: rows that do not fit are left out and counted. torch, peft and trl are imported
inside the functions (see ``base_model``).
"""

import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from pipeline.errors import TrainingError
from pipeline.finetuning.base_model import DType, LoadedModel, load_base, quiet
from pipeline.finetuning.examples import Example, read_examples
from pipeline.finetuning.row_tokens import Tokens
from pipeline.finetuning.training_rows import LeftOut, TrainingRows, check_examples, training_rows
from schemas.dataset import Finetune

if TYPE_CHECKING:
    import torch
    from transformers import TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

_IGNORED = -100  # the label of a token that is excluded from the loss
_TREND = 0.1
"""The last loss is the mean over this share of the steps."""


class StepReport(BaseModel):
    """What is known after one optimizer step."""

    model_config = ConfigDict(frozen=True)

    step: int
    """From 1."""
    steps: int
    loss: float
    """Mean negative log-likelihood of the batch's answer tokens, in nats."""
    seconds: float
    """Since training began."""


class TrainReport(BaseModel):
    """What a training run did, and what it used."""

    model_config = ConfigDict(frozen=True)

    base_model: str
    base_revision: str
    device: str
    dtype: DType = "bfloat16"
    """Of the base model's weights; it was always this one at first."""
    rows: int
    """Rows trained on."""
    left_out: dict[LeftOut, int]
    """``rows`` and these sum to the rows that were given."""
    unrendered: str = ""
    """What the chat template said of the first row that it cannot render."""
    tokens: int
    """Of one epoch, including prompts, without padding."""
    answer_tokens: int
    """Of one epoch: those that the loss is computed on."""
    steps: int
    losses: tuple[float, ...]
    """One per step."""
    first_loss: float
    last_loss: float
    """Mean of the last tenth of the steps."""
    trainable_parameters: int
    parameters: int
    """Of the base model."""
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Of the process's resident memory."""


# --- training ---------------------------------------------------------------------------------
def train(
    source: Path | Sequence[Example] | TrainingRows,
    config: Finetune,
    output: Path,
    on_step: Callable[[StepReport], None] | None = None,
    base: LoadedModel | None = None,
) -> TrainReport:
    """Train an adapter, and write it with its tokenizer to ``output``.

    Args:
        source: the folder of a published version, whose ``train`` split is used, or rows, tokenized or not.
        config: base model, rows and hyperparameters.
        output: an empty or absent folder.
        on_step: called after every step.
        base: ``config.base_model``, if already loaded; it is restored afterwards.

    Raises:
        TrainingError: there is nothing to train on, the batch is larger than the number of rows, the model's template
            gives an empty answer no tokens to learn, or the loss is not a number.
    """
    given = read_examples(source, "train") if isinstance(source, Path) else source
    if not isinstance(given, TrainingRows):
        check_examples(given, config)
    loaded = base or load_base(config.base_model)
    began, cpu_began = time.monotonic(), time.process_time()
    with quiet():
        found = given if isinstance(given, TrainingRows) else training_rows(given, config, loaded)
        rows = found.rows
        losses, trainable, parameters = _fit(loaded, rows, config, output, on_step)
    tail = losses[-max(1, round(len(losses) * _TREND)) :]
    return TrainReport(
        base_model=loaded.name,
        base_revision=loaded.revision,
        device=str(loaded.model.device),
        dtype=loaded.dtype,
        rows=len(rows),
        left_out=found.left_out,
        unrendered=found.unrendered,
        tokens=sum(map(len, rows)),
        answer_tokens=sum(row.answer_tokens for row in rows),
        steps=len(losses),
        losses=tuple(losses),
        first_loss=losses[0],
        last_loss=sum(tail) / len(tail),
        trainable_parameters=trainable,
        parameters=parameters,
        seconds=time.monotonic() - began,
        cpu_seconds=time.process_time() - cpu_began,
        peak_bytes=_peak_bytes(),
    )


def expected_steps(found: TrainingRows, config: Finetune) -> int:
    """How many steps the training will take."""
    return math.ceil(math.ceil(len(found.rows) / config.batch_size) * config.epochs)


def _fit(
    loaded: LoadedModel,
    rows: list[Tokens],
    config: Finetune,
    output: Path,
    on_step: Callable[[StepReport], None] | None,
) -> tuple[list[float], int, int]:
    """Train, save, and remove the adapter again; returns the losses, and the parameter counts of adapter and base."""
    losses: list[float] = []
    trainer = _trainer(loaded, rows, config, output, _recorder(losses, on_step))
    adapted: Any = trainer.model
    trainable, total = adapted.get_nb_trainable_parameters()
    try:
        trainer.train()
        adapted.save_pretrained(output, save_embedding_layers=False)
    finally:
        adapted.unload()
    loaded.tokenizer.save_pretrained(output)
    return losses, trainable, total - trainable


def _trainer(
    loaded: LoadedModel, rows: list[Tokens], config: Finetune, output: Path, recorder: "TrainerCallback"
) -> "SFTTrainer":
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PrinterCallback

    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        revision=loaded.revision,
    )
    table = Dataset.from_list(
        [
            {
                "input_ids": row.ids,
                "labels": [
                    token if is_learned else _IGNORED for token, is_learned in zip(row.ids, row.learned, strict=True)
                ],
            }
            for row in rows
        ]
    )
    trainer = _answer_trainer()(
        model=loaded.model,
        args=_arguments(config, output, loaded),
        train_dataset=table,
        data_collator=_collator(loaded.tokenizer.pad_token_id),
        processing_class=loaded.tokenizer,
        peft_config=lora,
        callbacks=[recorder],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(config: Finetune, output: Path, loaded: LoadedModel) -> "SFTConfig":
    from trl.trainer.sft_config import SFTConfig

    on_gpu = loaded.model.device.type == "cuda"
    return SFTConfig(
        output_dir=str(output),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        max_length=None,  # rows that are too long were left out; none may be truncated
        train_sampling_strategy="group_by_length",
        seed=config.seed,
        bf16=loaded.dtype == "bfloat16",
        gradient_checkpointing=on_gpu,  # it saves memory at a third more compute; a CPU has memory enough
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would hide a loss that is not a number
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def _answer_trainer() -> type["SFTTrainer"]:
    """An SFTTrainer that computes the same loss from fewer positions.

    On a CPU, TRL scores every position against the whole vocabulary and then masks the prompts: 8.9
    CPU seconds for a step of 8 rows of up to 112 tokens, where this takes 6.1. Rows are padded on the
    left, so the answers are at the end of all rows, and only the positions from the first of them on are scored.
    """
    import torch
    from trl.trainer.sft_trainer import SFTTrainer

    class AnswerTrainer(SFTTrainer):
        def compute_loss(
            self,
            model: torch.nn.Module,
            inputs: dict[str, torch.Tensor],
            return_outputs: bool = False,
            num_items_in_batch: torch.Tensor | int | None = None,
        ) -> torch.Tensor:
            labels = inputs.pop("labels")
            # The first that any row learns: in a chat with several turns, others lie between the learned ones.
            width, first = labels.shape[1], max(1, int((labels != _IGNORED).int().argmax(dim=1).min()))
            longest = width - first
            # Each position predicts the next token.
            positions = torch.arange(width - longest - 1, width - 1, device=labels.device)
            logits = model(**inputs, logits_to_keep=positions, use_cache=False).logits.float()
            answers = labels[:, -longest:]
            total = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), answers.flatten(), ignore_index=_IGNORED, reduction="sum"
            )
            return total / (num_items_in_batch or int((answers != _IGNORED).sum()))

    return AnswerTrainer


def _collator(padding: int) -> Callable[[list[dict[str, list[int]]]], dict[str, "torch.Tensor"]]:
    """Make a batch of left-padded rows."""
    import torch

    def collate(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        width = max(len(row["input_ids"]) for row in rows)

        def padded(values: list[int], fill: int) -> list[int]:
            return [fill] * (width - len(values)) + values

        mask = torch.tensor([padded([1] * len(row["input_ids"]), 0) for row in rows])
        return {
            "input_ids": torch.tensor([padded(row["input_ids"], padding) for row in rows]),
            "labels": torch.tensor([padded(row["labels"], _IGNORED) for row in rows]),
            "attention_mask": mask,
            "position_ids": (mask.cumsum(dim=1) - 1).clamp(min=0),
        }

    return collate


def _recorder(losses: list[float], on_step: Callable[[StepReport], None] | None) -> "TrainerCallback":
    """A callback that records every step's loss, calls ``on_step``, and stops a run that has diverged."""
    from transformers import TrainerCallback

    began = time.monotonic()

    class Recorder(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs is None or "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise TrainingError(f"The loss is {loss} at step {state.global_step}; lower finetune.learning_rate")
            losses.append(loss)
            if on_step is not None:
                seconds = time.monotonic() - began
                on_step(StepReport(step=state.global_step, steps=state.max_steps, loss=loss, seconds=seconds))

    return Recorder()


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
