"""Keeps the state of an unfinished training, so that the same command goes on after a kill.

A checkpoint is a folder that appears whole, by renaming, with a list of its files and their checksums: a process that
dies while writing leaves none. The two newest are kept, since a disk may damage one.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pipeline.state.atomic import checksum_of, flush
from pipeline.state.staging import put_in_place, staged
from pipeline.text.wording import shown_duration

CHECKPOINTS = ".training"
"""The folder, among the adapters, of the states of unfinished trainings, each in its own folder."""

_KEPT = 2
_RECORD = "checkpoint.json"
_NAME = "checkpoint-"


class _Record(BaseModel, frozen=True):
    """What a checkpoint is of, and what it must consist of."""

    training: str
    step: int
    steps: int
    """Of the whole training."""
    seconds: float
    cpu_seconds: float
    checksums: dict[str, int]
    """CRC-32 by file name."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after a step."""

    folder: Path
    step: int
    seconds: float
    """That training had taken so far, in all processes."""
    cpu_seconds: float


class UnfinishedTraining(BaseModel, frozen=True):
    """How far a training is that has not ended; it may be running now."""

    step: int
    """Of its newest checkpoint."""
    steps: int
    seconds_left: float
    """From there on."""
    written_at: datetime

    def __str__(self) -> str:
        return (
            f"a training has not ended: step {self.step:,} of {self.steps:,} at {self.written_at:%F %T}, "
            f"about {shown_duration(self.seconds_left)} from its end"
        )


def unfinished_training(models: Path) -> UnfinishedTraining | None:
    """The training that has written the newest checkpoint.

    Args:
        models: the folder of the adapters.
    """
    written = []
    for file in models.glob(f"{CHECKPOINTS}/*/{_NAME}*/{_RECORD}"):
        # Another process may remove it meanwhile.
        with suppress(OSError, ValidationError):
            written.append((file.stat().st_mtime, _Record.model_validate_json(file.read_bytes())))
    if not written:
        return None
    at, record = max(written, key=lambda one: one[0])
    left = record.seconds / record.step * (record.steps - record.step)
    return UnfinishedTraining(
        step=record.step, steps=record.steps, seconds_left=left, written_at=datetime.fromtimestamp(at, UTC)
    )


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of one training."""

    folder: Path
    """Of this training alone; created when it is needed."""
    training: str
    """What identifies the training: a checkpoint of another one is never used."""
    say: Callable[[str], None]
    writes: bool = True
    """Whether this process writes and removes them; of several, only the first does."""

    def newest(self) -> Checkpoint | None:
        """The newest one that is whole; what cannot be used is removed, and that is said."""
        found = sorted(self.folder.glob(f"{_NAME}*"), key=_step_of, reverse=True)
        for folder in found:
            try:
                record = self._checked(folder)
            except (OSError, ValueError) as error:
                self.say(f"The checkpoint {folder} cannot be used ({error}); it is removed")
                self._remove(folder)
                continue
            return Checkpoint(folder, record.step, record.seconds, record.cpu_seconds)
        return None

    def _checked(self, folder: Path) -> _Record:
        try:
            record = _Record.model_validate_json((folder / _RECORD).read_bytes())
        except ValidationError as error:
            raise ValueError(f"{_RECORD} is damaged") from error
        if record.training != self.training:
            raise ValueError("it is of a training with other rows, settings or another base model")
        for name, checksum in record.checksums.items():
            if _checksum(folder / name) != checksum:
                raise ValueError(f"{name} is damaged")
        return record

    def write(self, step: int, steps: int, seconds: float, cpu_seconds: float, fill: Callable[[Path], None]) -> None:
        """Write the state after a step, and remove older ones; if the disk is full, say so and keep those.

        Args:
            step: the number of steps done.
            steps: of the whole training.
            seconds: that training has taken.
            cpu_seconds: the same of the processor.
            fill: writes the files into a folder.
        """
        from safetensors import SafetensorError

        try:
            with staged(self.folder) as unfinished:
                fill(unfinished)
                files = sorted(path for path in unfinished.iterdir())
                checksums = {path.name: _checksum(path) for path in files}
                record = _Record(
                    training=self.training,
                    step=step,
                    steps=steps,
                    seconds=seconds,
                    cpu_seconds=cpu_seconds,
                    checksums=checksums,
                )
                (unfinished / _RECORD).write_text(record.model_dump_json(), encoding="utf-8")
                for path in unfinished.iterdir():
                    flush(path)
                put_in_place(unfinished, self.folder / f"{_NAME}{step}")
        except (OSError, RuntimeError, SafetensorError) as error:
            # torch reports a full disk as a RuntimeError. The training itself is not harmed.
            reason = str(error).splitlines()[0]
            self.say(f"The checkpoint of step {step} cannot be written ({reason}); training goes on without it")
            return
        for old in sorted(self.folder.glob(f"{_NAME}*"), key=_step_of)[:-_KEPT]:
            self._remove(old)

    def remove(self) -> None:
        """Remove them all: the training has ended."""
        if self.writes:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _remove(self, folder: Path) -> None:
        if self.writes:
            shutil.rmtree(folder, ignore_errors=True)


def _step_of(folder: Path) -> int:
    step = folder.name.removeprefix(_NAME)
    return int(step) if step.isdecimal() else -1


def _checksum(path: Path) -> int:
    with path.open("rb") as file:
        return checksum_of(file, path.stat().st_size)
