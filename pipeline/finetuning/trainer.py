"""The trainer: TRL's, with a loss that scores fewer positions, an order of rows that only the seed decides, and
checkpoints that are whole or not there."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import TrainingError
from pipeline.finetuning.attention_masks import keeps_rows_apart
from pipeline.finetuning.batches import Collate, Row, RowOrder, packed, padded, shared
from pipeline.finetuning.checkpoints import Checkpoints
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.train_table import IGNORED, TrainTable
from pipeline.finetuning.training_attention import Rests, attention_for_training, read_rests
from pipeline.finetuning.training_watch import Watch, watching
from schemas.dataset import Finetune

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer


@contextmanager
def make_trainer(
    loaded: LoadedModel,
    adapted: Any,
    rows: TrainTable,
    validation: TrainTable | None,
    config: Finetune,
    watch: Watch,
    work: Path,
) -> Iterator[Any]:
    """Prepare the training of an adapter; afterwards the model reads as before.

    Args:
        loaded: the base model.
        adapted: the PEFT model around it.
        rows: to train on.
        validation: to measure the loss on.
        config: the hyperparameters.
        watch: watches every step.
        work: a folder that nothing is written to.
    """
    from transformers import PrinterCallback

    arguments, table = _arguments(config, work, loaded), rows.dataset()
    measured = validation.dataset() if validation else None
    step = config.batch_size * config.accumulate * arguments.world_size
    # Packed rows of any lengths leave little room for padding.
    order = RowOrder(table.data.column("length").to_numpy(), step, config.seed, by_length=not config.packing)
    tables = [table, *([measured] if measured else [])]
    with _collating(loaded, adapted, config, tables) as collate:
        trainer = _answer_trainer(order)(
            model=adapted,
            args=arguments,
            train_dataset=table,
            eval_dataset=measured,
            data_collator=collate,
            processing_class=loaded.tokenizer,
            callbacks=[watching(watch, order)],
        )
        trainer.remove_callback(PrinterCallback)
        watch.validate = lambda: _validation_loss(trainer)
        yield trainer


@contextmanager
def _collating(loaded: LoadedModel, model: Any, config: Finetune, tables: Sequence["Dataset"]) -> Iterator[Collate]:
    """How rows are laid out: in the way that reads the fewest tokens, of those that the model can read.

    Raises:
        TrainingError: they are to be packed, and the model would read them as one.
    """
    padding = loaded.tokenizer.pad_token_id
    if config.packing:
        if not keeps_rows_apart(model):
            raise TrainingError(
                f"finetune.packing does not go with {loaded.name}: rows that stand in a line would see those "
                "before them; remove it"
            )
        yield packed(padding)
        return
    longest = max(int(table.data.column("length").to_numpy().max()) for table in tables)
    with attention_for_training(model, longest) as can_share:
        yield (shared if can_share else padded)(padding)


def run(trainer: Any, checkpoints: Checkpoints | None, watch: Watch) -> tuple[float, float]:
    """Train to the end, from the newest checkpoint if there is one.

    Returns the seconds, and those of the processor, that all processes took together.
    """
    if checkpoints:
        checkpoints.writes = trainer.is_world_process_zero()
    found = checkpoints.newest() if checkpoints else None
    if checkpoints and found:
        checkpoints.say(f"The training was interrupted and resumed after step {found.step}")
        watch.load_best(found.folder)
    before = (found.seconds, found.cpu_seconds) if found else (0.0, 0.0)
    began = (time.monotonic() - before[0], time.process_time() - before[1])

    def spent() -> tuple[float, float]:
        return time.monotonic() - began[0], time.process_time() - began[1]

    def write_checkpoint() -> None:
        if checkpoints and checkpoints.writes:
            done, steps = trainer.state.global_step, trainer.state.max_steps
            checkpoints.write(done, steps, *spent(), lambda folder: _fill(trainer, watch, folder))

    trainer.write_checkpoint = write_checkpoint
    trainer.train(resume_from_checkpoint=str(found.folder) if found else None)
    return spent()


def _fill(trainer: Any, watch: Watch, folder: Path) -> None:
    """Write what transformers' trainer resumes from, and the best adapter so far."""
    trainer.model.save_pretrained(folder, save_embedding_layers=False)
    trainer._save_optimizer_and_scheduler(str(folder))
    trainer._save_scaler(str(folder))
    trainer._save_rng_state(str(folder))
    trainer.state.save_to_json(str(folder / "trainer_state.json"))
    watch.save_best(folder)


def _arguments(config: Finetune, work: Path, loaded: LoadedModel) -> "SFTConfig":
    from trl.trainer.sft_config import SFTConfig

    on_gpu = loaded.model.device.type == "cuda"
    arguments = SFTConfig(
        output_dir=str(work),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulate,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup,
        max_length=None,  # rows that are too long were left out; none may be truncated
        seed=config.seed,
        router_aux_loss_coef=0.0,  # of experts, which an adapter does not choose
        bf16=loaded.dtype == "bfloat16",
        gradient_checkpointing=on_gpu,  # it saves memory at a third more compute; a CPU has memory enough
        use_cpu=not on_gpu,
        ddp_find_unused_parameters=False,  # of several processes; every weight of an adapter is used in every step
        dataloader_pin_memory=on_gpu,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would hide a loss that is not a number
        save_strategy="no",  # Watch says when
        report_to="none",
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:
        # Without `accelerate launch` this process uses one GPU; the trainer would split batches among all of them.
        arguments._n_gpu = 1
    return arguments


def _answer_trainer(order: RowOrder) -> type["SFTTrainer"]:
    """An SFTTrainer that computes the same loss from fewer positions, and whose rows come in an order."""
    import torch
    from trl.trainer.sft_trainer import SFTTrainer

    class AnswerTrainer(SFTTrainer):
        write_checkpoint: Callable[[], None]
        """Set before the training."""

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return order

        def compute_loss(
            self,
            model: torch.nn.Module,
            inputs: dict[str, torch.Tensor],
            return_outputs: bool = False,
            num_items_in_batch: torch.Tensor | int | None = None,
        ) -> torch.Tensor:
            total, learned = summed_loss(model, inputs)
            if num_items_in_batch is None:
                return total / learned
            # Counted over all processes, whose gradients are averaged.
            processes: int = self.accelerator.num_processes
            return total / num_items_in_batch * processes

        def evaluate(
            self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
        ) -> dict[str, float]:
            metrics = {f"{metric_key_prefix}_loss": _validation_loss(self)}
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            self.write_checkpoint()

    return AnswerTrainer


def summed_loss(model: Any, inputs: "dict[str, torch.Tensor]") -> "tuple[torch.Tensor, torch.Tensor]":
    """The loss of all answer tokens of a batch together, and how many there are.

    Only positions that predict an answer's token in any of the rows are scored against the whole vocabulary. On a CPU
    a step takes 2.6 CPU seconds for 8 rows of 50 tokens and 4.9 for 110, where TRL's own head (1.16), which scores the
    same positions in tiles, takes 3.7 and 7.5.

    Args:
        model: the adapted model.
        inputs: the batch, as a ``Collate`` makes it.
    """
    import torch

    # Each position predicts the next token.
    answers = inputs["labels"][:, 1:]
    positions = (answers != IGNORED).any(dim=0).nonzero().flatten()
    given = {name: value for name, value in inputs.items() if name not in ("labels", "rests")}
    if "rests" in inputs:
        read_rests(Rests.of(inputs["rests"], answers.shape[1] + 1))
        # Of four dimensions: a mask that models take as it is; nobody looks at it.
        given["attention_mask"] = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=answers.device)
    else:
        read_rests(None)
    logits = model(**given, logits_to_keep=positions, use_cache=False).logits.float()
    answers = answers[:, positions]
    total = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), answers.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total, (answers != IGNORED).sum()


def _validation_loss(trainer: Any) -> float:
    """The loss per answer token on the validation rows; of several processes each takes a part."""
    import torch

    sums = torch.zeros(2, dtype=torch.float64, device=trainer.args.device)
    trainer.model.eval()
    for rows in _validation_batches(trainer):
        inputs = trainer._prepare_inputs(trainer.data_collator(rows))
        with torch.no_grad(), trainer.compute_loss_context_manager():
            sums += torch.stack([one.double() for one in summed_loss(trainer.model, inputs)])
    total, learned = trainer.accelerator.reduce(sums).tolist()
    loss: float = total / learned
    return loss


def _validation_batches(trainer: Any) -> Iterator[list[Row]]:
    """The validation rows of this process, rows of about equal length together."""
    rows, size, args = trainer.eval_dataset, trainer.args.per_device_train_batch_size, trainer.args
    by_length = rows.data.column("length").to_numpy().argsort(kind="stable").tolist()
    for start in range(args.process_index * size, len(by_length), size * args.world_size):
        yield [rows[place] for place in by_length[start : start + size]]
