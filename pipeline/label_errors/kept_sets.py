"""What judges sets of labels of rows that come later, as it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import hashed
from pipeline.label_errors.kept_folds import EVERY, KeptFolds, are_several, group_hashes
from pipeline.label_errors.kept_weights import AT_ONCE, KeptLinear, compact
from pipeline.label_errors.label_odds import Calibration, Weights, feature_counts
from pipeline.label_errors.set_model import SetModel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class KeptSets:
    """What judges sets of labels."""

    models: Sequence[KeptLinear]
    """The one that was trained on all rows, and one for each fold if there are groups."""
    folds: KeptFolds
    calibration: Calibration
    model: SetModel
    judged: Sequence[str]
    """The labels that are judged."""
    common: Sequence[str]
    """Those that nearly all rows have."""
    note: str
    """Which labels are not judged, as text for the report."""

    def columns(self, labels: Sequence[str]) -> tuple[Ints, Ints, Ints]:
        """Of labels that there are now: which columns are judged, and the codes of these and of the common ones."""
        codes = {label: code for code, label in enumerate(labels)}
        places = [place for place, label in enumerate(self.judged) if label in codes]
        judged = [codes[self.judged[place]] for place in places]
        common = [codes[label] for label in self.common if label in codes]
        return (np.array(places, np.int64), np.array(judged, np.int64), np.array(common, np.int64))

    def log_odds(self, words: Any, groups: Sequence[str]) -> Floats:
        """Rows x judged labels, by models that have not seen the row's group.

        Args:
            words: TF-IDF of the rows (sparse).
            groups: of the rows.
        """
        chosen = self.folds.of_rows(hashed(groups))
        found = np.empty((len(groups), len(self.judged)))
        for number, model in enumerate(self.models):
            rows = np.flatnonzero(chosen == number)
            for first in range(0, len(rows), AT_ONCE):
                some = rows[first : first + AT_ONCE]
                found[some] = model.scores(*compact(words[some]))
        return self.calibration.log_odds(found)


class SetKeeper:
    """Takes the models of labels while they are trained."""

    def __init__(self, seen: Any, places: Ints, given: Bools, groups: Sequence[str]) -> None:
        """Args:
        seen: TF-IDF of all labeled rows (sparse).
        places: where the vocabulary has each feature.
        given: of these rows, rows x judged labels.
        groups: of these rows.
        """
        self._seen, self._given, self._order = seen, given, np.argsort(places)
        self._groups = group_hashes(groups)
        self._grouped = are_several(self._groups)
        self._models: dict[int, KeptLinear] = {}

    def take(self, fold: int, weights: Weights, rows: Ints) -> None:
        """Keep the models of a fold, which were trained on some rows."""
        if fold == EVERY or self._grouped:
            there = feature_counts(self._seen[rows], self._given[rows])[self._order] > 0
            self._models[fold] = KeptLinear.of(weights[np.append(self._order, len(self._order))], there)

    def kept(
        self,
        folds: Ints,
        calibration: Calibration,
        model: SetModel,
        judged: Sequence[str],
        common: Sequence[str],
        note: str,
    ) -> KeptSets:
        """All of it, with what was fitted to the models' scores."""
        models = [self._models[fold] for fold in sorted(self._models)]
        return KeptSets(models, KeptFolds.of(self._groups, folds), calibration, model, judged, common, note)
