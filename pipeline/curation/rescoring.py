"""Says when all label-error scores are computed anew, and not only those of rows without one.

Between two such runs scores are kept: otherwise every answer would move other rows in and out of review. But what
annotators corrected makes a better model, which finds more errors for each question.
"""

from dataclasses import dataclass

from pipeline.config.dataset_file import LoadedDataset
from pipeline.kinds.registry import kind_of
from schemas.run_summary import CurateFacts
from schemas.task_shape import shape_digest

CORRECTED = "all labels are scored anew, since annotators have corrected many"
_VERSION = 5
"""The version of what scores mean, stored with each curate; those of another version are computed anew."""
_CORRECTIONS = 20
_SHARE = 0.02
"""So many corrections since the last scoring, and such a share of the labeled rows, are worth another one."""


@dataclass(frozen=True)
class Scoring:
    """When all labels were last scored."""

    version: int
    corrections: int
    """How many labels annotators had corrected by then."""

    @classmethod
    def now(cls, corrections: int) -> "Scoring":
        """The one that a run is about to do."""
        return cls(_VERSION, corrections)


def rules_off(dataset: LoadedDataset) -> list[str]:
    """The rules about answers that are turned off."""
    return sorted(set(dataset.config.doubts.off))


def is_due(corrections: int, labeled: int, last: CurateFacts | None, dataset: LoadedDataset) -> bool:
    """Whether scores mean something else since the last curate, or enough labels were corrected.

    Scores mean something else if the task was of another kind or had other labels, or other rules were turned off.

    Args:
        corrections: how many rows have another label than their source gave them first, by an annotator.
        labeled: how many have one.
        last: the last curate run; None before the first one.
        dataset: configuration and task.
    """
    if last is None:
        return False
    other_rules = last.off is not None and last.off != rules_off(dataset)
    # What is said against a label may name one that is gone.
    other_rules |= last.shape not in ("", shape_digest(dataset.task))
    if other_rules or last.kind not in ("", kind_of(dataset.task).name) or last.scores != _VERSION:
        return True
    return corrections - last.corrections >= max(_CORRECTIONS, _SHARE * labeled)
