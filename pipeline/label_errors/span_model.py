"""Judges where values stand in their texts, by a model that learned from other rows where such values stand.

The model says how likely any set of spans is. The given ones may be the result of a mistake: a value was forgotten,
cut, extended, given to another field, swapped with another one, or made up. How frequent each mistake is follows from
the rows themselves, by expectation maximization; what is rare in the set, but likely right, is so told from mistakes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.span_changes import Change
from pipeline.label_errors.span_features import FeatureColumns, hashed_features
from pipeline.label_errors.span_tokens import Tokens

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_PASSES, _RATES = 2, (0.1, 0.01)
_MORE_PASSES, _MORE_RATES = 1, (0.05, 0.005)
"""Of the second training, in which a text counts the less, the less likely its values are right."""
_TRAINING_TOKENS = 500_000
_TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7)
_TEMPERATURE_ROWS = 1_500
_LONGEST = 10
"""Tokens of a value that may be missing."""
_FIRST_RATE = 0.02
_STEPS_OF_RATES = 40
_MOST = 50.0
"""In log odds: what is likelier still would not fit a number."""


@dataclass(frozen=True)
class SpanRows:
    """Texts and where their values stand."""

    tokens: Tokens
    spans: Ints
    """First token, counted from the text's first, the one behind the last, and field of every value: by text and
    place."""
    span_starts: Ints
    """Where the spans of each text begin, and where the last one's end."""
    open_fields: npt.NDArray[np.int8]
    """Texts x fields: 1 for a field that may have another value, 2 for one whose value is not in the text, else 0."""
    ambiguous: Sequence["Placements"] = ()


@dataclass(frozen=True)
class Placements:
    """Several ways to place the values of one text, of which the first is in ``SpanRows.spans``."""

    row: int
    ways: list[list[tuple[int, int, int]]]


@dataclass(frozen=True)
class SpanDoubts:
    """What speaks against the values of each text."""

    wrong: Floats
    """How likely one of the placed values is wrong, or one is missing."""
    by_change: Floats
    """Texts x changes: how likely the values are the result of this change."""
    change: Ints
    """Texts x changes x 3, as in ``span_edits.judge``."""
    replaced: Floats
    """The log of how much likelier the spans of a text are if the value that it lacks stands where ``change`` says."""
    spans: Ints
    span_starts: Ints


def judge_spans(rows: SpanRows, fields: int, folds: Ints, trust: Floats, settled: Bools, seed: int) -> SpanDoubts:
    """Judge the spans of all texts by models that did not see the text's fold.

    Args:
        rows: texts with the spans of their values.
        fields: how many there are.
        folds: of every text.
        trust: how much the values of each text can be relied on, from 0 to 1.
        settled: which texts have values that an annotator gave or confirmed.
        seed: equal arguments give equal results.
    """
    judge = _Judge(rows, fields, folds, settled, seed)
    trust = np.where(settled, 1.0, trust)
    judge.train(trust, _PASSES, _RATES)
    judge.place()
    wrong = np.where(settled, 0.0, judge.doubts().wrong)
    judge.train(trust * (1 - wrong), _MORE_PASSES, _MORE_RATES)
    return judge.doubts()


class _Judge:
    """The models of all folds."""

    def __init__(self, rows: SpanRows, fields: int, folds: Ints, settled: Bools, seed: int) -> None:
        self._rows, self._fields = rows, fields
        self._of_fold, self._settled = folds, settled
        self._spans, self._span_starts = rows.spans, rows.span_starts
        self._random = np.random.default_rng(seed)
        hashes = hashed_features(rows.tokens)
        states = 2 * fields + 1
        columns = FeatureColumns.of(hashes, states)
        self._features = columns.places[hashes]
        self._folds = np.unique(folds).tolist()
        self._weights = [np.zeros((columns.size, states), dtype=np.float32) for _ in self._folds]
        self._steps = [np.zeros((fields + 2, fields + 1)) for _ in self._folds]

    def train(self, trust: Floats, passes: int, rates: tuple[float, float]) -> None:
        # Imported here: numba takes half a second to import.
        from pipeline.label_errors.span_kernels import train

        states = self._states()
        for number, fold in enumerate(self._folds):
            order = self._random.permutation(np.flatnonzero((self._of_fold != fold) & (trust > 0)))
            lengths = np.diff(self._rows.tokens.starts)[order]
            order = order[np.cumsum(lengths) <= _TRAINING_TOKENS]
            orders = np.array([self._random.permutation(order) for _ in range(passes)])
            starts, weights, steps = self._rows.tokens.starts, self._weights[number], self._steps[number]
            train(self._features, starts, states, trust, orders, np.array(rates), weights, steps)

    def _states(self) -> Ints:
        states = np.zeros(len(self._features), dtype=np.int64)
        texts = np.repeat(self._rows.tokens.starts[:-1], np.diff(self._span_starts))
        for text, (first, end, field) in zip(texts.tolist(), self._spans.tolist(), strict=True):
            states[text + first] = 1 + field
            states[text + first + 1 : text + end] = 1 + self._fields + field
        return states

    def place(self) -> None:
        """Choose the likeliest of several ways to place the values of a text."""
        from pipeline.label_errors.span_edits import fit_of_paths

        chosen: dict[int, list[tuple[int, int, int]]] = {}
        for number, fold in enumerate(self._folds):
            some = [one for one in self._rows.ambiguous if self._of_fold[one.row] == fold]
            paths = [(one.row, way) for one in some for way in one.ways]
            spans = np.array([span for _, way in paths for span in way], dtype=np.int64).reshape(-1, 3)
            starts = np.cumsum([0, *(len(way) for _, way in paths)])
            fits, texts = np.empty(len(paths)), np.array([row for row, _ in paths], dtype=np.int64)
            weights, steps = self._weights[number], self._steps[number]
            fit_of_paths(self._features, self._rows.tokens.starts, texts, spans, starts, weights, steps, fits)
            at = 0
            for one in some:
                best = int(fits[at : at + len(one.ways)].argmax())
                at += len(one.ways)
                if best:
                    chosen[one.row] = one.ways[best]
        self._spans = self._spans.copy()
        for row, way in chosen.items():
            self._spans[self._span_starts[row] : self._span_starts[row + 1]] = way

    def doubts(self) -> SpanDoubts:
        count = len(self._of_fold)
        # What annotators settled says nothing about how frequent mistakes are.
        open_rows = np.flatnonzero(~self._settled) if not self._settled.all() else np.arange(count)
        some = np.sort(self._random.permutation(open_rows)[:_TEMPERATURE_ROWS])
        tried = [(_Fit.of(*self._said(some, temperature)[:2]), temperature) for temperature in _TEMPERATURES]
        temperature = max(tried, key=lambda one: one[0].likelihood)[1]
        said, fits, change = self._said(np.arange(count), temperature)
        fit = _Fit.of(said[open_rows], fits[open_rows])
        odds = fit.odds(said)
        return SpanDoubts(
            wrong=odds.sum(axis=1) / (1 + odds.sum(axis=1)),
            by_change=odds / (1 + odds.sum(axis=1, keepdims=True)),
            change=change,
            replaced=said[:, Change.REPLACED],
            spans=self._spans,
            span_starts=self._span_starts,
        )

    def _said(self, rows: Ints, temperature: float) -> tuple[Floats, Floats, Any]:
        """For some texts: what the changes say, how likely the given spans are, and the likeliest changes."""
        from pipeline.label_errors.span_edits import judge

        count = len(self._of_fold)
        said, best = np.full((count, len(Change)), -np.inf), np.full((count, len(Change)), -np.inf)
        change, fits = np.zeros((count, len(Change), 3), dtype=np.int64), np.zeros(count)
        longest = min(int((self._spans[:, 1] - self._spans[:, 0]).max(initial=1)), _LONGEST)
        for number, fold in enumerate(self._folds):
            judge(
                self._features,
                self._rows.tokens.starts,
                rows[self._of_fold[rows] == fold],
                self._spans,
                self._span_starts,
                self._rows.open_fields,
                self._weights[number] * np.float32(temperature),
                self._steps[number] * temperature,
                longest,
                said,
                best,
                change,
                fits,
            )
        return said[rows], fits[rows], change[rows]


@dataclass(frozen=True)
class _Fit:
    """How frequent each change is."""

    rates: Floats
    likelihood: float
    """Of the given spans, as a mean of logs, if changes are so frequent."""

    @classmethod
    def of(cls, said: Floats, fits: Floats) -> "_Fit":
        rates: Floats = np.full(said.shape[1], _FIRST_RATE)
        rates[Change.REPLACED] = 0
        for _ in range(_STEPS_OF_RATES):
            odds = cls(rates, 0.0).odds(said)
            shares = odds / (1 + odds.sum(axis=1, keepdims=True))
            # One more of each kind than was seen: what did not stand out in this set is not impossible.
            rates = (shares.sum(axis=0) + 1) / (len(said) + 2 * said.shape[1])
            rates[Change.REPLACED] = 0
        found = cls(rates, 0.0)
        with_changes = np.log(1 - rates.sum()) + np.log1p(found.odds(said).sum(axis=1))
        return cls(rates, float((fits + with_changes).mean()))

    def odds(self, said: Floats) -> Floats:
        """How likely each change is, against none."""
        found: Floats = np.exp(np.minimum(said, _MOST)) * self.rates / (1 - self.rates.sum())
        return found
