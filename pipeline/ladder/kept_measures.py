"""Keeps what is measured beside the answers of arms, so that another run with the same models does not wait for it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.finetuning.preflight import Keep
from pipeline.finetuning.preflight_timing import Timing
from pipeline.ladder.kept_answers import ANSWERS
from pipeline.state.atomic import replacing
from schemas.identity import stable_hash

Measure = TypeVar("Measure", bound=BaseModel)


@dataclass(frozen=True)
class KeptMeasures:
    """Of all runs of a dataset."""

    folder: Path
    goldleaf: str
    """Its version: another one may measure in another way."""
    is_read: bool = True
    """Whether they are used, too, or only replaced."""

    def once(
        self, name: str, depends_on: tuple[str, ...], kind: type[Measure], measure: Callable[[], Measure]
    ) -> Measure:
        """What is kept under a name; if nothing is, or something else, it is measured and kept.

        Args:
            name: of the file.
            depends_on: equal ones, equal measures.
            kind: of the result.
            measure: does the work.
        """
        file = self.folder / f"{name}-{stable_hash(self.goldleaf, *depends_on)[:32]}.json"
        if self.is_read:
            with suppress(OSError, ValidationError):
                return kind.model_validate_json(file.read_bytes())
        found = measure()
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(file) as sink:
            sink.write(found.model_dump_json().encode())
        return found


def kept_measures(models: Path, goldleaf: str, *, is_read: bool = True) -> KeptMeasures:
    """Those of a dataset, beside the answers of its arms.

    Args:
        models: the folder of its adapters.
        goldleaf: the version that measures.
        is_read: whether they are used, too, or only replaced.
    """
    return KeptMeasures(models / ANSWERS, goldleaf, is_read)


def kept_timing(measured: KeptMeasures) -> Keep:
    """Keeps how long the steps of a training take: neither after `goldleaf preflight` nor after a kill timed again."""
    return lambda depends_on, measure: measured.once("timing", depends_on, Timing, measure)
