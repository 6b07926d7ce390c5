"""The scores of rows by each other, as the first curate gives them, without what is kept to judge later ones."""

from collections.abc import Collection, Sequence

import numpy as np

from pipeline.label_errors.classifier import LabeledTexts, LabelErrors, learn_label_errors
from pipeline.label_errors.extractions import Extracted, ValueScores, learn_values
from pipeline.label_errors.judged_labels import Bools, Ints, Judged
from pipeline.label_errors.kept_labels import learn_labels
from pipeline.label_errors.label_sets import LabelSetScores, learn_label_sets
from pipeline.label_errors.read_texts import LearnedTexts
from pipeline.label_errors.rewrites import Rewrite, RewriteScore, Rule, learn_rewrites
from schemas.field import TargetField

SEED = 17


def label_error_scores(
    texts: Sequence[str],
    labels: Sequence[str | None],
    groups: Sequence[str],
    seed: int = SEED,
    also: Sequence[Collection[str]] = (),
) -> LabelErrors:
    return learn_label_errors(LabeledTexts(texts, labels, groups, also=also), seed)[0]


def judged_labels(texts: Sequence[str], labels: Ints, groups: Sequence[str], verified: Bools) -> Judged:
    return learn_labels(LearnedTexts(texts), labels, groups, np.asarray(verified), SEED)[0]


def label_set_scores(
    texts: Sequence[str], sets: Sequence[Collection[str] | None], labels: Sequence[str], groups: Sequence[str]
) -> LabelSetScores:
    return learn_label_sets(texts, sets, labels, groups, SEED)[0]


def score_values(rows: Sequence[Extracted], fields: Sequence[TargetField], off: Collection[str] = ()) -> ValueScores:
    return learn_values(rows, fields, SEED, off)[0]


def score_rewrites(rows: Sequence[Rewrite], off: Collection[Rule] = ()) -> list[RewriteScore]:
    return learn_rewrites(rows, off)[0]
