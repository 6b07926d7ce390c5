"""Finds the training rows that are most similar to a question: by TF-IDF, and by embeddings from a table."""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.finetuning.evaluate import EvalQuestion
from pipeline.finetuning.examples import Example
from pipeline.label_errors.static_embeddings import Vectors, around, text_directions
from pipeline.ladder.mentioned_choices import Words, words_of
from pipeline.releases.published_rows import published_inputs
from pipeline.text.normalize import compared_text
from schemas.message import Message, Speaker
from schemas.task import Task

_WORD = re.compile(r"\b\w\w+\b")
"""As scikit-learn cuts texts."""
_MEANING = 2.0
"""Of embeddings beside TF-IDF, to a linear model: found on banking77's and CUAD's training rows."""
_CHUNK = 256
"""Questions that are compared at a time."""


def has_words(texts: Iterable[str]) -> bool:
    """Whether scikit-learn finds a word in some of the texts: at least two letters or digits in a row."""
    return any(_WORD.search(text) for text in texts)


def tfidf(*, words: bool = True) -> Any:
    """What the classical arms see of a text: TF-IDF of words, pairs of words, and pieces of words.

    Args:
        words: whether the texts to fit have any (``has_words``); without, there are only the pieces.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    whole = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32)
    return FeatureUnion([*([("words", whole)] if words else []), ("pieces", pieces)])


def text_of(task: type[Task], inputs: Mapping[str, Any], prompt: Sequence[Message]) -> str:
    """What a question asks: its inputs as they are compared, else what users said before the answer."""
    said = (message.content for message in prompt if message.role is Speaker.USER)
    return compared_text(task, inputs).strip() or "\n".join(said)


class Memory:
    """The training rows, to be found by their inputs."""

    def __init__(self, task: type[Task], rows: Sequence[Example]) -> None:
        """Take the rows; at least one."""
        from sklearn.preprocessing import normalize

        self.rows, self._task = rows, task
        self.texts = [text_of(task, published_inputs(task, row.fields), row.prompt) for row in rows]
        self.has_words = has_words(self.texts)
        self._sight = tfidf(words=self.has_words)
        self.features = self._sight.fit_transform(self.texts)
        # Of length 1, so that a product is a cosine.
        self._known = normalize(self.features, copy=True).T.tocsr()

    @functools.cached_property
    def words(self) -> list[Words]:
        """Of the rows' texts."""
        return [words_of(text) for text in self.texts]

    @functools.cached_property
    def _embedded(self) -> Vectors:
        return text_directions(self.texts)

    @functools.cached_property
    def _center(self) -> Vectors:
        found: Vectors = self._embedded.mean(axis=0)
        return found

    @functools.cached_property
    def embedded_features(self) -> Any:
        """The features of the rows with those of their embeddings."""
        return _beside(self.features, around(self._embedded, self._center))

    def asked_texts(self, questions: Sequence[EvalQuestion]) -> list[str]:
        """What questions ask."""
        return [text_of(self._task, one.inputs, one.prompt) for one in questions]

    def seen(self, questions: Sequence[EvalQuestion], *, embedded: bool = False) -> Any:
        """The questions as features, questions x terms (sparse)."""
        texts = self.asked_texts(questions)
        found = self._sight.transform(texts)
        return _beside(found, around(text_directions(texts), self._center)) if embedded else found

    def likeness(self, questions: Sequence[EvalQuestion], meaning: float = 0.0) -> Iterator[npt.NDArray[np.float32]]:
        """For each question how similar every row is.

        Args:
            questions: to be answered.
            meaning: the share of embeddings in it; the rest is of TF-IDF.
        """
        from sklearn.preprocessing import normalize

        for first in range(0, len(questions), _CHUNK):
            some = questions[first : first + _CHUNK]
            found: npt.NDArray[np.float32] = (normalize(self.seen(some), copy=False) @ self._known).toarray()
            if meaning:
                texts = around(text_directions(self.asked_texts(some)), self._center)
                known = around(self._embedded, self._center)
                found = np.asarray((1 - meaning) * found + meaning * (texts @ known.T), dtype=np.float32)
            yield from found

    def nearest(self, questions: Sequence[EvalQuestion], count: int) -> Iterator[list[int]]:
        """For each question the places of the most similar rows, the most similar first."""
        for found in self.likeness(questions):
            yield np.argsort(-found, kind="stable")[:count].tolist()


def _beside(features: Any, vectors: Vectors) -> Any:
    from scipy.sparse import csr_matrix, hstack

    return hstack([features, csr_matrix(_MEANING * vectors)], format="csr", dtype=np.float32)
