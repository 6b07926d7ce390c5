"""Keeps what judges labels from run to run: between two trainings it scores new rows, which it has not seen."""

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.labeled_rows import LabeledRows
from pipeline.errors import StoreError
from pipeline.kinds.interface import Kept
from pipeline.kinds.registry import kind_of
from pipeline.state.arrays import mapped, save
from pipeline.state.atomic import replacing, sealed_bytes
from pipeline.state.own_code import code_digest
from pipeline.state.store import Store

_HEADER = "judge.json"
_TENTH = 10
"""A judge is trained anew once one in so many labeled rows has changed, come or gone."""
LEARNED_ANEW = (
    "labels are learned anew, since a tenth of the labeled rows has another label or text than when they were last "
    "learned, or has come or gone"
)
_ROWS = ("labeled records", "labeled states")


@dataclass(frozen=True)
class Judge:
    """What judges the labels of rows that come later."""

    run: str
    """The curate that trained it."""
    rows: LabeledRows
    """The labeled rows that there were."""
    rules: str
    """What it depends on beside the rows: task, rules that are off, Goldleaf itself."""
    kept: Kept

    def is_due(self, labeled: int, unlearned: int, least: int) -> bool:
        """Whether so many labeled rows have changed, come or gone that it must be trained anew.

        Args:
            labeled: how many there are by now.
            unlearned: the sum of what it does not know of them (``LabeledRows.unlearned``).
            least: so many are needed to learn anything (``Kind.least_labeled``).
        """
        return labeled >= least and _TENTH * self.rows.others(labeled, unlearned) >= max(self.rows.height, 1)

    def write(self, store: Store) -> None:
        """Keep it; a run that is killed before its commit leaves one that no run names."""
        folder = store.judges / self.run
        folder.mkdir(parents=True, exist_ok=True)
        arrays = dict(zip(_ROWS, (self.rows.records, self.rows.states), strict=True)) | dict(self.kept)
        for number, array in enumerate(arrays.values()):
            save(folder / f"{number:03}", array)
        shapes = [[name, str(array.dtype), list(array.shape)] for name, array in arrays.items()]
        header = {"run": self.run, "rules": self.rules, "arrays": shapes}
        with replacing(folder / _HEADER, sealed=True) as sink:
            sink.write(json.dumps(header).encode())


def rules_of(dataset: LoadedDataset) -> str:
    """What a judge depends on beside the rows."""
    off = sorted(set(dataset.config.doubts.off))
    return json.dumps([code_digest(), kind_of(dataset.task).name, *dataset.task_code, off])


def read_judge(store: Store, run: str, dataset: LoadedDataset) -> Judge | None:
    """The judge that a run has trained; None if it is gone, damaged, or was trained for another task."""
    folder = store.judges / run
    with suppress(StoreError, OSError, ValueError, KeyError, TypeError):
        header = json.loads(sealed_bytes(folder / _HEADER).tobytes())
        if header["rules"] != rules_of(dataset):
            return None
        arrays = {name: _array(folder, number, *one) for number, (name, *one) in enumerate(header["arrays"])}
        rows = LabeledRows(*(arrays.pop(name) for name in _ROWS))
        return Judge(header["run"], rows, header["rules"], arrays)
    return None


def _array(folder: Path, number: int, kind: str, shape: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    found = mapped(folder / f"{number:03}", np.uint8)
    return found.view(np.dtype(kind)).reshape(shape)


def forget_other_judges(store: Store, run: str) -> None:
    """Remove the judges that the last run does not name any more."""
    for folder in store.judges.glob("*"):
        if folder.name != run:
            shutil.rmtree(folder, ignore_errors=True)
