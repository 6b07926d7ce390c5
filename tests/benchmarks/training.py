"""How long a training takes next to a bare script with TRL: the same rows, settings and batches, in turns.

python tests/benchmarks/training.py FILE    needs a CSV file with the columns text and category, such as banking77's
"""

import argparse
import csv
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flows.settings import prepare_training

prepare_training()

from pipeline.finetuning.base_model import load_base  # noqa: E402
from pipeline.finetuning.batches import RowOrder  # noqa: E402
from pipeline.finetuning.examples import Example  # noqa: E402
from pipeline.finetuning.loaded_model import LoadedModel  # noqa: E402
from pipeline.finetuning.model_sources import BUNDLED  # noqa: E402
from pipeline.finetuning.train import train  # noqa: E402
from pipeline.finetuning.training_libraries import quiet  # noqa: E402
from schemas.dataset import Finetune  # noqa: E402
from schemas.message import Message, Speaker  # noqa: E402

_TARGET = 1.05
_HELP = """\
Each line shows seconds, and CPU seconds in brackets: of tokenizing, training and saving, with the model loaded.
  ours, with checkpoints   one after every step, to see what one costs; by default there is one a minute
  TRL, the same batches    SFTTrainer and a loop of nothing else, with our order of the rows
  TRL, its own order       the same with train_sampling_strategy="group_by_length"
  ours, packed             finetune.packing, whose batches are shuffled
The ratio is of CPU seconds, since wall time is also that of other processes.
"""
Losses = list[float]


def read_rows(file: Path, count: int) -> list[Example]:
    """Rows of a CSV file, drawn at random."""
    with file.open(encoding="utf-8") as lines:
        found = list(csv.DictReader(lines))
    rows = []
    for number, row in enumerate(random.Random(1).sample(found, count)):
        system = Message(role=Speaker.SYSTEM, content="Name the intent of this question.")
        prompt = (system, Message(role=Speaker.USER, content=row["text"]))
        answer = Message(role=Speaker.ASSISTANT, content=row["category"])
        rows.append(Example(f"r{number}", prompt, (answer,), {}))
    return rows


def ours(rows: Sequence[Example], config: Finetune, base: LoadedModel, *, checkpoints: bool = False) -> Losses:
    """Train with Goldleaf."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder, "checkpoints") if checkpoints else None
        report = train(rows, config, Path(folder, "adapter"), base=base, checkpoints=kept, checkpoint_seconds=0)
    return list(report.losses)


def bare(rows: Sequence[Example], config: Finetune, base: LoadedModel, *, our_order: bool) -> Losses:
    """Train as a script with TRL would."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    class SameBatches(SFTTrainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
            return RowOrder(np.array(lengths), config.batch_size, config.seed, by_length=True)

    table = Dataset.from_list(
        [
            {name: [turn.for_template() for turn in getattr(row, name)] for name in ("prompt", "completion")}
            for row in rows
        ]
    )
    lora = LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    with tempfile.TemporaryDirectory() as folder, quiet():
        arguments = SFTConfig(
            folder,
            num_train_epochs=config.epochs,
            per_device_train_batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            lr_scheduler_type="cosine",
            train_sampling_strategy="group_by_length",
            completion_only_loss=True,
            gradient_checkpointing=False,
            seed=config.seed,
            bf16=base.dtype == "bfloat16",
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = (SameBatches if our_order else SFTTrainer)(
            base.model, arguments, train_dataset=table, processing_class=base.tokenizer, peft_config=lora
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.save_model(folder)
        adapted: Any = trainer.model
        adapted.unload()
        base.model.__dict__.pop("forward", None)
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def measured(run: Callable[[], Losses]) -> tuple[float, float, Losses]:
    """Seconds, CPU seconds, and the losses."""
    began, cpu_began = time.monotonic(), time.process_time()
    losses = run()
    return time.monotonic() - began, time.process_time() - cpu_began, losses


def main() -> None:
    """Run all in turns, and print the median of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base", default=BUNDLED)
    given = parser.parse_args()
    rows, base = read_rows(given.file, given.rows), load_base(given.base)
    config = Finetune(epochs=1, evaluate=0)
    packed = config.model_copy(update={"packing": True})
    arms: dict[str, Callable[[], Losses]] = {
        "ours": lambda: ours(rows, config, base),
        "TRL, the same batches": lambda: bare(rows, config, base, our_order=True),
        "TRL, its own order": lambda: bare(rows, config, base, our_order=False),
        "ours, with checkpoints": lambda: ours(rows, config, base, checkpoints=True),
        "ours, packed": lambda: ours(rows, packed, base),
    }
    print(f"{given.rows} rows, batches of {config.batch_size}, {base.dtype}; {given.rounds} rounds", flush=True)
    ours(rows[: config.batch_size], config, base)  # what is loaded once
    found: dict[str, list[tuple[float, float, Losses]]] = {name: [] for name in arms}
    for _ in range(given.rounds):
        for name, run in arms.items():
            found[name].append(measured(run))
    medians = {name: np.median([one[:2] for one in runs], axis=0) for name, runs in found.items()}
    for name, (seconds, cpu) in medians.items():
        print(f"{name:24} {seconds:7.1f} s  ({cpu:.1f} s)  {cpu / medians['TRL, the same batches'][1]:.2f} x")
    ratio = medians["ours"][1] / medians["TRL, the same batches"][1]
    print(f"ratio {ratio:.2f}, target {_TARGET}: {'met' if ratio <= _TARGET else 'MISSED'}")
    pairs = zip(found["ours"][0][2], found["TRL, the same batches"][0][2], strict=True)
    print(f"largest difference between the losses of a step: {max(abs(a - b) / b for a, b in pairs):.1%}")


if __name__ == "__main__":
    main()
