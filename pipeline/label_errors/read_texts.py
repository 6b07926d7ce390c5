"""Texts as the models of labels see them: those that are learned from, and later ones by what the former had."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import Arrays, Kept, from_arrays, to_arrays
from pipeline.label_errors.static_embeddings import Vectors, around, text_directions
from pipeline.label_errors.text_features import TextFeatures, learned_features
from pipeline.label_errors.vocabulary import Vocabulary

Ints = npt.NDArray[np.int64]
_WORDS, _CENTER = "words", "center"


@dataclass(frozen=True)
class Sight:
    """What the models see of texts."""

    words: Any
    """TF-IDF of words and of pieces of words (sparse)."""
    meanings: Vectors
    """Embeddings of length 1."""

    def __getitem__(self, rows: Ints) -> "Sight":
        return Sight(self.words[rows], self.meanings[rows])


class LearnedTexts:
    """Texts that are learned from; what several judgments need of them is read once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    @cached_property
    def features(self) -> TextFeatures | None:
        """None if the texts share nothing."""
        return learned_features(self.texts)

    @cached_property
    def _directions(self) -> Vectors:
        return text_directions(self.texts)

    @cached_property
    def _center(self) -> Vectors:
        found: Vectors = self._directions.mean(axis=0)
        return found

    @cached_property
    def meanings(self) -> Vectors:
        """Embeddings of length 1, around the mean of all texts."""
        return around(self._directions, self._center)

    def kept_words(self) -> Arrays:
        """What reads the words of later texts."""
        return {} if self.features is None else to_arrays(self.features.vocabulary, _WORDS)

    def kept_meanings(self) -> Arrays:
        """What reads the meanings of later texts."""
        return {_CENTER: self._center}


class LaterTexts:
    """Texts that are read by what was kept of others."""

    def __init__(self, texts: Sequence[str], kept: Kept) -> None:
        """Args:
        texts: any.
        kept: of ``kept_words``, and of ``kept_meanings`` if meanings are asked for.
        """
        self.texts = texts
        self._kept = kept

    @cached_property
    def words(self) -> Any:
        """TF-IDF by the words of the learned texts."""
        return from_arrays(Vocabulary, self._kept, _WORDS).features(self.texts)

    @cached_property
    def meanings(self) -> Vectors:
        """Embeddings of length 1, around the mean of the learned texts."""
        return around(text_directions(self.texts), np.asarray(self._kept[_CENTER]))
