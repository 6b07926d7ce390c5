"""Judges the labels of rows that come later, by what was learned of others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.label_errors.judged_labels import UNLABELED, Bools, Ints, Judged, study_labels, verdict
from pipeline.label_errors.kept_arrays import Arrays, hashed, to_arrays
from pipeline.label_errors.kept_folds import EVERY, KeptFolds, are_several, group_hashes
from pipeline.label_errors.kept_models import KeptModel, KeptNeighbors
from pipeline.label_errors.label_models import Scores, Trained, normalized
from pipeline.label_errors.noisy_channel import Channel
from pipeline.label_errors.read_texts import LaterTexts, LearnedTexts, Sight

UNKNOWN = -2
"""The code of a label that was not learned."""


def learn_labels(
    read: LearnedTexts, labels: Ints, groups: Sequence[str], verified: Bools, seed: int, impossible: Bools | None = None
) -> tuple[Judged, Arrays]:
    """Judge labels as ``study_labels`` does, and keep what judges later ones beside what reads their texts.

    Nothing is kept if nothing could be learned.
    """
    labeled = np.flatnonzero(labels != UNLABELED)
    hashes = group_hashes([groups[row] for row in labeled.tolist()])
    grouped, models = are_several(hashes), dict[int, KeptModel]()

    def keep(fold: int, trained: Trained) -> None:
        if fold == EVERY or grouped:
            assert read.features is not None
            models[fold] = KeptModel.of(trained, np.argsort(read.features.places))

    judged, study = study_labels(read, labels, groups, verified, seed, impossible, keep)
    if study is None:
        return judged, {}
    kept = KeptLabels(
        models=[models[fold] for fold in sorted(models)],
        folds=KeptFolds.of(hashes, study.folds[labeled]),
        neighbors=KeptNeighbors.of(read.meanings[labeled], labels[labeled], hashes, len(study.channel.similar), seed),
        temperatures=study.temperatures,
        channel=replace(study.channel, similar=study.channel.similar.astype(np.float32)),
    )
    return judged, to_arrays(kept)


@dataclass(frozen=True)
class KeptLabels:
    """What judges labels."""

    models: Sequence[KeptModel]
    """The one that was trained on all rows, and one for each fold if there are groups."""
    folds: KeptFolds
    neighbors: KeptNeighbors
    temperatures: Scores
    """Those of models that judged rows which they had not seen."""
    channel: Channel

    def judge(
        self, read: LaterTexts, labels: Ints, groups: Sequence[str], verified: Bools, impossible: Bools
    ) -> Judged:
        """Judge rows that were not learned from.

        Args:
            read: what was labeled.
            labels: codes as they were learned; ``UNLABELED``, or ``UNKNOWN``, which is not judged.
            groups: of the rows.
            verified: labels that are right.
            impossible: rows x labels, which ones a row cannot have; never the given one.
        """
        known, of_rows = labels != UNKNOWN, hashed(groups)
        seen, chosen = Sight(read.words, read.meanings), self.folds.of_rows(of_rows)
        found = np.empty((len(self.temperatures), *impossible.shape), dtype=np.float32)
        unseen = impossible.copy()
        for number, model in enumerate(self.models):
            rows = np.flatnonzero(chosen == number)
            if len(rows):
                found[:-1, rows] = model.scores(seen[rows])
                unseen[rows] |= model.frequent == 0
        found[-1] = self.neighbors.scores(seen.meanings, of_rows)
        for place, temperature in enumerate(self.temperatures):
            found[place] = normalized(found[place], unseen if place + 1 < len(found) else impossible, temperature)
        labeled = np.flatnonzero(labels >= 0)
        known[labeled] = ~unseen[labeled, labels[labeled]]
        return verdict(found, self.channel, labels, known, verified)
