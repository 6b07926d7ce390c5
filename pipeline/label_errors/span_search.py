"""Weighs where the values of texts stand, and what may be wrong with that, by models that have not seen the text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.span_changes import Change
from pipeline.label_errors.span_rows import SpanDoubts, SpanRows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MOST = 50.0
"""In log odds: what is likelier still would not fit a number."""


@dataclass(frozen=True)
class SpanWeights:
    """A model of spans, as in ``span_kernels.train``."""

    weights: npt.NDArray[np.float32]
    """Features x states."""
    steps: Floats


class Said(NamedTuple):
    """What is said about the spans of texts."""

    changes: Floats
    """Texts x changes: the log of how much likelier the given spans are as the result of a change."""
    fits: Floats
    """The log-likelihood of the given spans."""
    change: Ints
    """Texts x changes x 3: the likeliest one, as in ``span_edits.judge``."""

    def of(self, texts: Ints) -> "Said":
        """What is said of some of the texts."""
        return Said(self.changes[texts], self.fits[texts], self.change[texts])


@dataclass(frozen=True)
class SpanTexts:
    """Texts, and the models that judge them."""

    rows: SpanRows
    features: npt.NDArray[np.int32]
    """Tokens x features: the lines of weights; negative for a feature that is not used."""
    models: Sequence[SpanWeights]
    of_row: Ints
    """The number of the model that judges each text."""

    def placed(self) -> Ints:
        """The spans, with the likeliest of several ways to place the values of a text."""
        from pipeline.label_errors.span_edits import fit_of_paths

        found = self.rows.spans.copy()
        for number, model in enumerate(self.models):
            some = [one for one in self.rows.ambiguous if self.of_row[one.row] == number]
            paths = [(one.row, way) for one in some for way in one.ways]
            spans = np.array([span for _, way in paths for span in way], dtype=np.int64).reshape(-1, 3)
            starts = np.cumsum([0, *(len(way) for _, way in paths)])
            fits, texts = np.empty(len(paths)), np.array([row for row, _ in paths], dtype=np.int64)
            weights, steps = model.weights, model.steps
            fit_of_paths(self.features, self.rows.tokens.starts, texts, spans, starts, weights, steps, fits)
            at = 0
            for one in some:
                best = int(fits[at : at + len(one.ways)].argmax())
                at += len(one.ways)
                if best:
                    first, end = self.rows.span_starts[one.row], self.rows.span_starts[one.row + 1]
                    found[first:end] = one.ways[best]
        return found

    def said(self, spans: Ints, wanted: Ints, temperature: float) -> Said:
        """What is said about some texts.

        Args:
            spans: of all texts.
            wanted: the texts.
            temperature: what the models are multiplied by.
        """
        from pipeline.label_errors.span_edits import judge

        count = len(self.of_row)
        said, best = np.full((count, len(Change)), -np.inf), np.full((count, len(Change)), -np.inf)
        change, fits = np.zeros((count, len(Change), 3), dtype=np.int64), np.zeros(count)
        for number, model in enumerate(self.models):
            judge(
                self.features,
                self.rows.tokens.starts,
                wanted[self.of_row[wanted] == number],
                spans,
                self.rows.span_starts,
                self.rows.open_fields,
                model.weights * np.float32(temperature),
                model.steps * temperature,
                said,
                best,
                change,
                fits,
            )
        return Said(said[wanted], fits[wanted], change[wanted])

    def doubts(self, said: Said, rates: Floats, spans: Ints) -> SpanDoubts:
        """What speaks against the spans of all texts, if changes are so frequent."""
        odds = change_odds(said.changes, rates)
        return SpanDoubts(
            wrong=odds.sum(axis=1) / (1 + odds.sum(axis=1)),
            by_change=odds / (1 + odds.sum(axis=1, keepdims=True)),
            change=said.change,
            replaced=said.changes[:, Change.REPLACED],
            spans=spans,
            span_starts=self.rows.span_starts,
        )


def change_odds(changes: Floats, rates: Floats) -> Floats:
    """How likely each change is, against none: texts x changes."""
    found: Floats = np.exp(np.minimum(changes, _MOST)) * rates / (1 - rates.sum())
    return found
