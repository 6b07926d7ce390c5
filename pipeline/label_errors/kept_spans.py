"""What judges the spans of texts that come later, as it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import hashed
from pipeline.label_errors.kept_folds import KeptFolds
from pipeline.label_errors.kept_weights import KeptWeights, used_places
from pipeline.label_errors.span_features import Hashes, WordCodes, hashed_features
from pipeline.label_errors.span_model import SpanStudy
from pipeline.label_errors.span_rows import SpanDoubts, SpanRows
from pipeline.label_errors.span_search import SpanTexts, SpanWeights
from pipeline.sorted_places import places_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KeptSpans:
    """What judges spans."""

    codes: WordCodes
    used: Hashes
    """The features that have weights, sorted."""
    weights: Sequence[KeptWeights]
    """Of the model that was trained on all texts, and of one for each fold if there are groups."""
    steps: Floats
    """Of these models, as in ``SpanWeights``."""
    folds: KeptFolds
    rates: Floats
    """How frequent each change is."""
    temperature: float

    @classmethod
    def of(cls, study: SpanStudy, folds: KeptFolds) -> "KeptSpans":
        """Keep what was learned."""
        return cls(
            study.codes,
            study.used,
            [KeptWeights.of(model.weights, study.seen) for model in study.models],
            np.stack([model.steps for model in study.models]),
            folds,
            study.rates,
            study.temperature,
        )

    def judge(self, rows: SpanRows, groups: Sequence[str]) -> SpanDoubts:
        """Judge texts that were not learned from, each by a model that has not seen its group."""
        places = places_of(hashed_features(rows.tokens, self.codes), self.used)
        used, features = used_places(places, len(self.used))
        models = [
            # A copy: the compiled loops would be compiled again for arrays that cannot be written to.
            SpanWeights(weights.of_features(used), steps.copy())
            for weights, steps in zip(self.weights, self.steps, strict=True)
        ]
        texts = SpanTexts(rows, features, models, self.folds.of_rows(hashed(groups)))
        spans = texts.placed()
        said = texts.said(spans, np.arange(len(texts.of_row)), self.temperature)
        return texts.doubts(said, self.rates, spans)
