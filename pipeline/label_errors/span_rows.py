"""Texts with the spans of their values, and what is said against these."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.span_tokens import Tokens

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


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
