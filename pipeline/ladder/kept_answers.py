"""Keeps the answers of arms until all is done: after kill -9, the same command asks only what is missing."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.evaluation.scores import Credit
from pipeline.finetuning.exam import Answers, Questions
from pipeline.state.atomic import replacing
from schemas.identity import stable_hash

UNFINISHED = ".unfinished"
"""The folder, among the adapters, of what killed runs have left to the next one."""


class Times(BaseModel):
    """Seconds that an arm took."""

    model_config = ConfigDict(frozen=True)

    learning: float
    answering: float
    alone: float | None
    """Of a question that is asked alone."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)

    title: str
    times: Times
    texts: tuple[str, ...]
    losses: tuple[Credit, ...] | None
    called: tuple[str, ...]
    tokens_in: int
    tokens_out: int
    cost: float | None
    settings: dict[str, float] = {}


class KeptAnswers:
    """The answers of one experiment's arms."""

    def __init__(self, folder: Path) -> None:
        """Take a folder of its own, which need not exist."""
        self._folder = folder

    def get(self, name: str, questions: Questions) -> tuple[str, Answers, Times] | None:
        """The title, answers and times of an arm that was asked these very questions; None if it was not."""
        with suppress(OSError, ValidationError):
            kept = _Kept.model_validate_json(self._file(name, questions).read_bytes())
            # Most arms are not asked about calls.
            if len(kept.texts) != len(questions.asked) or len(kept.called) not in (0, len(questions.steps)):
                return None
            answers = Answers(
                texts=kept.texts,
                losses=kept.losses,
                called=list(zip(questions.steps, kept.called, strict=False)),
                tokens_in=kept.tokens_in,
                tokens_out=kept.tokens_out,
                cost=kept.cost,
                latency=kept.times.alone,
                settings=kept.settings,
            )
            return kept.title, answers, kept.times
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
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._file(name, questions)) as sink:
            sink.write(kept.model_dump_json().encode())

    def _file(self, name: str, questions: Questions) -> Path:
        return self._folder / f"{name}-{_digest([one.id for one in questions.asked])}.json"


def _digest(ids: Sequence[str]) -> str:
    return stable_hash(*ids)[:16]
