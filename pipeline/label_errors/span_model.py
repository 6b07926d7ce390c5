"""Judges where values stand in their texts, by a model that learned from other rows where such values stand.

The model says how likely any set of spans is. The given ones may be the result of a mistake: a value was forgotten,
cut, extended, given to another field, swapped with another one, or made up. How frequent each mistake is follows from
the rows themselves, by expectation maximization; what is rare in the set, but likely right, is so told from mistakes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.span_changes import Change
from pipeline.label_errors.span_features import FeatureColumns, Hashes, WordCodes, hashed_features
from pipeline.label_errors.span_rows import SpanDoubts, SpanRows
from pipeline.label_errors.span_search import Said, SpanTexts, SpanWeights, change_odds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_PASSES, _RATES = 2, (0.1, 0.01)
_MORE_PASSES, _MORE_RATES = 1, (0.05, 0.005)
"""Of the second training, in which a text counts the less, the less likely its values are right."""
_TRAINING_TOKENS = 500_000
_TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7)
_TEMPERATURE_ROWS = 1_500
_FIRST_RATE = 0.02
_STEPS_OF_RATES = 40


@dataclass(frozen=True)
class SpanStudy:
    """What was learned while spans were judged."""

    codes: WordCodes
    used: Hashes
    """The features that have weights, in their order."""
    models: Sequence[SpanWeights]
    """The one that was trained on all texts, and one for each fold if there are groups."""
    seen: Bools
    """Features x states: whether a token with the feature had the state."""
    rates: Floats
    temperature: float


class SpanLearner:
    """Judges the spans of all texts, each by a model that did not see the text's fold."""

    def __init__(self, rows: SpanRows, fields: int, folds: Ints, settled: Bools, seed: int) -> None:
        """Args:
        rows: texts with the spans of their values.
        fields: how many there are.
        folds: of every text.
        settled: which texts have values that an annotator gave or confirmed.
        seed: equal arguments give equal results.
        """
        self._fields, self._seed, self._settled = fields, seed, settled
        self._random = np.random.default_rng(seed)
        self._codes = WordCodes.of(rows.tokens)
        hashes = hashed_features(rows.tokens, self._codes)
        self._columns = FeatureColumns.of(hashes, 2 * fields + 1)
        self._folds, of_row = np.unique(folds, return_inverse=True)
        models = [self._untrained() for _ in self._folds]
        self._texts = SpanTexts(rows, self._columns.places[hashes], models, of_row)
        self._spans = rows.spans

    def _untrained(self) -> SpanWeights:
        weights = np.zeros((len(self._columns.used), 2 * self._fields + 1), dtype=np.float32)
        return SpanWeights(weights, np.zeros((self._fields + 2, self._fields + 1)))

    def judge(self, trust: Floats) -> SpanDoubts:
        """Train the models and judge the texts by them.

        ``trust`` is how much the values of each text can be relied on, from 0 to 1.
        """
        self._trust = np.where(self._settled, 1.0, trust)
        self._train(self._trust, _PASSES, _RATES)
        self._spans = self._texts.placed()
        wrong = np.where(self._settled, 0.0, self._doubts().wrong)
        self._later_trust = self._trust * (1 - wrong)
        self._train(self._later_trust, _MORE_PASSES, _MORE_RATES)
        return self._doubts()

    def study(self, grouped: bool) -> SpanStudy:
        """What was learned, after ``judge``: trains one more model, on all texts.

        Args:
            grouped: whether to keep those of the folds as well.
        """
        every, states, random = self._untrained(), self._states(), np.random.default_rng(self._seed)
        for trust, passes, rates in (
            (self._trust, _PASSES, _RATES),
            (self._later_trust, _MORE_PASSES, _MORE_RATES),
        ):
            self._train_one(every, np.flatnonzero(trust > 0), states, trust, passes, rates, random)
        return SpanStudy(
            self._codes,
            self._columns.used,
            [every, *(self._texts.models if grouped else [])],
            self._seen(states),
            self._fit.rates,
            self._temperature,
        )

    def _seen(self, states: Ints) -> Bools:
        found = np.zeros((len(self._columns.used), 2 * self._fields + 1), dtype=np.bool_)
        for features in self._texts.features.T:
            there = features >= 0
            found[features[there], states[there]] = True
        return found

    def _train(self, trust: Floats, passes: int, rates: tuple[float, float]) -> None:
        states = self._states()
        for number, model in enumerate(self._texts.models):
            outside = np.flatnonzero((self._texts.of_row != number) & (trust > 0))
            self._train_one(model, outside, states, trust, passes, rates, self._random)

    def _train_one(
        self,
        model: SpanWeights,
        texts: Ints,
        states: Ints,
        trust: Floats,
        passes: int,
        rates: tuple[float, float],
        random: np.random.Generator,
    ) -> None:
        # Imported here: numba takes half a second to import.
        from pipeline.label_errors.span_kernels import train

        order, starts = random.permutation(texts), self._texts.rows.tokens.starts
        lengths = np.diff(starts)[order]
        order = order[np.cumsum(lengths) <= _TRAINING_TOKENS]
        orders = np.array([random.permutation(order) for _ in range(passes)])
        train(self._texts.features, starts, states, trust, orders, np.array(rates), model.weights, model.steps)

    def _states(self) -> Ints:
        rows = self._texts.rows
        states = np.zeros(len(self._texts.features), dtype=np.int64)
        texts = np.repeat(rows.tokens.starts[:-1], np.diff(rows.span_starts))
        for text, (first, end, field) in zip(texts.tolist(), self._spans.tolist(), strict=True):
            states[text + first] = 1 + field
            states[text + first + 1 : text + end] = 1 + self._fields + field
        return states

    def _doubts(self) -> SpanDoubts:
        count = len(self._texts.of_row)
        # What annotators settled says nothing about how frequent mistakes are.
        open_rows = np.flatnonzero(~self._settled) if not self._settled.all() else np.arange(count)
        some = np.sort(self._random.permutation(open_rows)[:_TEMPERATURE_ROWS])
        tried = [(_Fit.of(self._said(some, temperature)), temperature) for temperature in _TEMPERATURES]
        self._temperature = max(tried, key=lambda one: one[0].likelihood)[1]
        said = self._said(np.arange(count), self._temperature)
        self._fit = _Fit.of(said.of(open_rows))
        return self._texts.doubts(said, self._fit.rates, self._spans)

    def _said(self, rows: Ints, temperature: float) -> Said:
        return self._texts.said(self._spans, rows, temperature)


@dataclass(frozen=True)
class _Fit:
    """How frequent each change is."""

    rates: Floats
    likelihood: float
    """Of the given spans, as a mean of logs, if changes are so frequent."""

    @classmethod
    def of(cls, said: Said) -> "_Fit":
        rates: Floats = np.full(len(Change), _FIRST_RATE)
        rates[Change.REPLACED] = 0
        for _ in range(_STEPS_OF_RATES):
            odds = change_odds(said.changes, rates)
            shares = odds / (1 + odds.sum(axis=1, keepdims=True))
            # One more of each kind than was seen: what did not stand out in this set is not impossible.
            rates = (shares.sum(axis=0) + 1) / (len(shares) + 2 * len(Change))
            rates[Change.REPLACED] = 0
        with_changes = np.log(1 - rates.sum()) + np.log1p(change_odds(said.changes, rates).sum(axis=1))
        return cls(rates, float((said.fits + with_changes).mean()))
