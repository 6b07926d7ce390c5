"""When a training has failed: an adapter that is worse than none says nothing about what fine-tuning can do."""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel

from pipeline.evaluation.estimates import Z
from pipeline.finetuning.train import TrainReport
from schemas.dataset import Finetune

_USUAL_RATE: float = Finetune().learning_rate
_LOWER = 5
"""So many times lower is a learning rate that is tried next, where it is a usual one already."""


class FailedTraining(BaseModel, frozen=True):
    """What went wrong, and what to change."""

    why: str
    """In a sentence."""
    then: str


def failed_training(report: TrainReport, config: Finetune) -> FailedTraining | None:
    """Judge a training by its losses; None if they do not say that it failed."""
    rate = config.learning_rate
    lower = f"finetune.learning_rate from {rate:g} to {_USUAL_RATE if rate > _USUAL_RATE else rate / _LOWER:g}"
    if _ends_above_start(report.losses, report.last_loss):
        return FailedTraining(
            why=f"The training failed: its loss rose from {report.first_loss:.2f} to {report.last_loss:.2f}.",
            then=f"Lower {lower}, and run `goldleaf finetune`.",
        )
    kept = min((one.loss for one in report.validation), default=None)
    if kept is None or report.untuned_loss is None or kept <= report.untuned_loss:
        return None
    return FailedTraining(
        why=(
            f"The training failed: on the validation rows the loss of the adapter is {kept:.2f}, and that of the "
            f"untuned model {report.untuned_loss:.2f}."
        ),
        then=(
            f"Lower {lower}, or keep the adapter of an earlier step by measuring more often (finetune.evaluate: "
            f"{4 * max(1, config.evaluate)}), and run `goldleaf finetune`."
        ),
    )


def _ends_above_start(losses: Sequence[float], last: float) -> bool:
    """Whether the last losses are higher than the first one by more than single batches differ."""
    if len(losses) < 2:
        return False
    tail = np.array(losses[len(losses) // 2 :])
    # Of a training that learned nothing, one first batch lies below the mean of the last ones half of the time.
    return last - losses[0] > Z * float(tail.std()) * math.sqrt(1 + 1 / len(tail))
