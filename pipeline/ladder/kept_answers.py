"""Keeps the answers of arms: neither after kill -9 nor for another verdict's limits is anything asked twice."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from pipeline.evaluation.scores import Credit
from pipeline.finetuning.checkpoints import CHECKPOINTS
from pipeline.finetuning.exam import Answers, Questions
from pipeline.finetuning.machine_load import Load
from pipeline.state.atomic import replacing
from schemas.identity import stable_hash

UNFINISHED = ".unfinished"
"""The folder, among the adapters, of what killed runs have left to the next one."""
ANSWERS = ".answers"
"""The one of what arms have answered in runs that ended."""
_MOST = 200
"""Files that are kept there, the newest ones."""


def left_unfinished(models: Path) -> datetime | None:
    """When the last file was written that a fine-tuning needs only until it ends; None if there is none."""
    times = []
    for left in (UNFINISHED, CHECKPOINTS):
        for file in (models / left).rglob("*"):
            # A running one may remove it meanwhile.
            with suppress(OSError):
                if file.is_file():
                    times.append(file.stat().st_mtime)
    return datetime.fromtimestamp(max(times), UTC) if times else None


class Range(NamedTuple):
    """Two ends, in seconds."""

    low: float
    high: float


class Times(BaseModel, frozen=True):
    """Seconds that an arm took."""

    learning: float
    answering: float
    alone: float | None
    """Of a question that is asked alone, the median."""
    each: tuple[float, ...] = ()
    """Of all that were asked alone here."""
    load: Load | None = None
    """Of this machine meanwhile; None if it is not known."""

    @property
    def range(self) -> "Range | None":
        """The 95% interval of the median, between two of the times; None if there are too few.

        It holds whatever their distribution: below the median is each with a chance of a half (Conover, "Practical
        Nonparametric Statistics", 1999).
        """
        from scipy.stats import binom

        place = int(binom.ppf(0.025, len(self.each), 0.5)) if self.each else 0
        ordered = sorted(self.each)
        return Range(ordered[place - 1], ordered[-place]) if place else None


class _Kept(BaseModel, frozen=True):
    title: str
    times: Times
    texts: tuple[str, ...]
    losses: tuple[Credit, ...] | None
    called: tuple[str, ...]
    tokens_in: int
    tokens_out: int
    cost: float | None
    settings: dict[str, float] = {}
    cut: tuple[int, ...] = ()


@dataclass(frozen=True)
class Earlier:
    """Answers of earlier runs, with whatever arms, prices and limits these were."""

    folder: Path
    key: Callable[[str], str]
    """Of an arm: equal keys, equal answers to equal questions. Empty if they are only for the run that asked."""
    is_read: bool = True
    """Whether they are used, too, or only replaced."""

    def file(self, name: str, questions: Questions) -> Path | None:
        """Of an arm; None if its answers are not kept."""
        key = self.key(name)
        return self.folder / f"{name}-{key[:16]}-{_digest(questions)}.json" if key else None


class KeptAnswers:
    """The answers of one experiment's arms."""

    def __init__(self, folder: Path, earlier: Earlier | None = None) -> None:
        """Take a folder of its own, which need not exist, and one that all experiments share."""
        self._folder, self._earlier = folder, earlier
        self._handed: dict[Path, Path] = {}

    def get(self, name: str, questions: Questions) -> tuple[str, Answers, Times] | None:
        """The title, answers and times of an arm that was asked these very questions; None if it was not."""
        for file in self._files(name, questions):
            with suppress(OSError, ValidationError):
                kept = _Kept.model_validate_json(file.read_bytes())
                # Most arms are not asked about calls.
                if len(kept.texts) == len(questions.asked) and len(kept.called) in (0, len(questions.steps)):
                    return kept.title, _answers(kept, questions), kept.times
        return None

    def keep(self, name: str, title: str, questions: Questions, answers: Answers, times: Times) -> None:
        """Write them down before the next arm begins."""
        kept = _Kept(
            title=title,
            times=times,
            texts=tuple(answers.texts),
            losses=None if answers.losses is None else tuple(answers.losses),
            called=tuple(text for _, text in answers.called),
            tokens_in=answers.tokens_in,
            tokens_out=answers.tokens_out,
            cost=answers.cost,
            settings=dict(answers.settings),
            cut=tuple(answers.cut),
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._file(name, questions)) as sink:
            sink.write(kept.model_dump_json().encode())

    def forget(self, name: str) -> None:
        """Remove what a killed run, or one that lacks other arms, has left of an arm."""
        for file in self._folder.glob(f"{name}-*.json"):
            file.unlink()

    def hand_on(self) -> None:
        """Leave the answers to runs with other arms, prices or limits, once all arms have answered."""
        for file, later in self._handed.items():
            with suppress(FileNotFoundError):
                later.parent.mkdir(parents=True, exist_ok=True)
                file.replace(later)
        if self._earlier and self._earlier.folder.is_dir():
            known = sorted(self._earlier.folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
            for file in known[:-_MOST]:
                file.unlink()

    def _files(self, name: str, questions: Questions) -> Iterator[Path]:
        yield self._file(name, questions)
        later = self._earlier and self._earlier.file(name, questions)
        if self._earlier and later and self._earlier.is_read:
            yield later

    def _file(self, name: str, questions: Questions) -> Path:
        file = self._folder / f"{name}-{_digest(questions)}.json"
        if self._earlier and (later := self._earlier.file(name, questions)):
            self._handed[file] = later
        return file


def _answers(kept: _Kept, questions: Questions) -> Answers:
    return Answers(
        texts=kept.texts,
        losses=kept.losses,
        called=list(zip(questions.steps, kept.called, strict=False)),
        tokens_in=kept.tokens_in,
        tokens_out=kept.tokens_out,
        cost=kept.cost,
        latency=kept.times.alone,
        settings=kept.settings,
        cut=kept.cut,
    )


def _digest(questions: Questions) -> str:
    return stable_hash(*(one.id for one in questions.asked))[:16]
