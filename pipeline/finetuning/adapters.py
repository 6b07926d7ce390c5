"""Stores finished adapters: one folder each, with its lineage, its settings and what is told of it.

A folder is written under a temporary name and renamed once all its bytes are on disk. Callers
hold the dataset's fine-tuning lock, so any other temporary folder belongs to a dead run.
"""

import json
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pipeline.errors import TrainingError
from pipeline.finetuning.train import OF_EVALUATION, TrainReport
from pipeline.releases.versions import parse_version, sha256_of
from pipeline.state.atomic import flush, is_folder, repeat, replacing
from pipeline.state.staging import put_in_place, staged
from schemas.dataset import Finetune
from schemas.identity import stable_hash
from schemas.manifest import Manifest

WEIGHTS = "adapter_model.safetensors"
RECORD = "finetune.json"
CARD = "README.md"
_SHARED = (WEIGHTS, "tokenizer.json")
"""What takes the space of an adapter, and what nobody edits: another judgement of it has the same files."""


class Lineage(BaseModel, frozen=True):
    """The published version that an adapter was trained on."""

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


class FinetuneRecord(BaseModel, frozen=True):
    """The machine-readable record of an adapter: ``finetune.json``."""

    key: str
    """From ``adapter_key``: equal keys, equal training."""
    run: str
    created_at: datetime
    goldleaf: str
    """The version of Goldleaf."""
    lineage: Lineage
    config: Finetune
    train: TrainReport
    max_new_tokens: int
    """That answers had when it was evaluated."""
    held_to_form: bool = False
    """Whether it could write only what is an answer to the task, or the beginning of one."""


def adapter_key(digest: str, config: Finetune) -> str:
    """Identify a training by the version's digest and the settings that it depends on; 32 hex digits."""
    settings = config.model_dump(mode="json", exclude=OF_EVALUATION)
    return stable_hash(digest, json.dumps(settings, sort_keys=True))


def find_adapter(models: Path, key: str, revision: str | None = None) -> Path | None:
    """The newest finished adapter; unfinished and unreadable ones are skipped.

    Args:
        models: the folder of all adapters.
        key: of the training.
        revision: of the base model; None finds any. A Hub may have another one under the same name.
    """
    found = [
        (record.created_at, folder)
        for folder in adapters_in(models)
        if (record := _readable(folder)) and key == record.key and revision in (None, record.train.base_revision)
    ]
    return max(found)[1] if found else None


def latest_adapter(models: Path) -> Path | None:
    """What ``latest`` stands for: of the adapters of the newest version that has any, the newest.

    So whoever looks back at an older version changes nothing.
    """
    found = [
        (parse_version(record.lineage.version), record.created_at, folder)
        for folder in adapters_in(models)
        if (record := _readable(folder))
    ]
    return max(found)[2] if found else None


def answers_key(folder: Path) -> str:
    """Equal keys, equal answers to the same prompt, whichever run has judged the adapter; 32 hex digits.

    Raises:
        TrainingError: the folder is not a finished adapter.
    """
    record = read_record(folder)
    try:
        digest = sha256_of(folder / WEIGHTS)
    except OSError as error:
        raise TrainingError(f"{folder} has no adapter: {WEIGHTS} cannot be read; fine-tune again") from error
    written = (str(record.max_new_tokens), str(record.held_to_form))
    return stable_hash(digest, record.key, record.train.base_revision, *written)


def adapters_in(models: Path) -> list[Path]:
    """The folders of all adapters, unfinished ones left out."""
    return [folder for folder in models.glob("*/") if not folder.name.startswith(".")]


def read_record(folder: Path) -> FinetuneRecord:
    """Read a finished adapter's record.

    Raises:
        TrainingError: the folder is not a finished adapter.
    """
    try:
        return FinetuneRecord.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError) as error:
        if not is_folder(folder):
            raise TrainingError(f"There is no adapter {folder}; name another run, or fine-tune again") from error
        raise TrainingError(f"{folder} is not a finished adapter: {RECORD} cannot be read; fine-tune again") from error


def _readable(folder: Path) -> FinetuneRecord | None:
    try:
        return read_record(folder)
    except TrainingError:
        return None


def save_adapter(
    trained: Path, models: Path, record: FinetuneRecord, beside: Mapping[str, bytes] | None = None
) -> Path:
    """Store an adapter as ``<models>/<run>``, atomically.

    Leftovers of killed runs are removed. What another run of ``models`` has trained takes no space a second time where
    the file system knows hard links; either folder may be deleted.

    Args:
        trained: the output of ``train``, or a finished adapter that is evaluated anew.
        models: the folder of all adapters.
        record: becomes ``finetune.json``.
        beside: further files by name, such as the card.

    Raises:
        TrainingError: ``trained`` has no adapter, or the run already has one.
    """
    if not (trained / WEIGHTS).is_file():
        raise TrainingError(f"{trained} has no adapter: {WEIGHTS} is missing; fine-tune again")
    final = models / record.run
    if final.exists():
        raise TrainingError(f"The run {record.run} already has an adapter, in {final}; start a new run")
    with staged(models) as folder:
        copy = _linked if trained.parent == models else shutil.copyfile
        # Without the files' modes: safetensors makes its file readable only by the owner.
        shutil.copytree(trained, folder, copy_function=copy, dirs_exist_ok=True)
        written = {RECORD: (record.model_dump_json(indent=2) + "\n").encode(), **(beside or {})}
        for name, content in written.items():
            with replacing(folder / name) as sink:
                sink.write(content)
        for path in folder.iterdir():
            flush(path)
        put_in_place(folder, final)
    return final


def _linked(source: str, destination: str) -> None:
    """Put a file of a stored adapter into another folder, too: the large ones as the same file."""
    (repeat if Path(source).name in _SHARED else shutil.copyfile)(Path(source), Path(destination))
