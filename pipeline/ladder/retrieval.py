"""Finds the training rows that are most similar to a question, by TF-IDF."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.finetuning.evaluate import EvalQuestion
from pipeline.finetuning.examples import Example
from pipeline.releases.published_rows import published_inputs
from pipeline.text.normalize import compared_text
from schemas.message import Message, Speaker
from schemas.task import Task

_WORD = re.compile(r"\b\w\w+\b")
"""As scikit-learn cuts texts."""
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

    def seen(self, questions: Sequence[EvalQuestion]) -> Any:
        """The questions as features, questions x terms (sparse)."""
        return self._sight.transform([text_of(self._task, one.inputs, one.prompt) for one in questions])

    def nearest(self, questions: Sequence[EvalQuestion], count: int) -> Iterator[list[int]]:
        """For each question the places of the most similar rows, the most similar first."""
        from sklearn.preprocessing import normalize

        count = min(count, len(self.rows))
        for first in range(0, len(questions), _CHUNK):
            asked = normalize(self.seen(questions[first : first + _CHUNK]), copy=False)
            likeness: npt.NDArray[np.float32] = (asked @ self._known).toarray()
            yield from np.argsort(-likeness, axis=1, kind="stable")[:, :count].tolist()
