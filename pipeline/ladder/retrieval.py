"""Finds the training rows that are most similar to a question, by TF-IDF."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.finetuning.evaluate import EvalQuestion
from pipeline.finetuning.examples import Example
from pipeline.releases.published_rows import published_inputs
from pipeline.text.normalize import compared_text
from schemas.message import Message, Speaker
from schemas.task import Task

_CHUNK = 256
"""Questions that are compared at a time."""


def tfidf() -> Any:
    """What the classical arms see of a text: TF-IDF of words, pairs of words, and pieces of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32)
    return FeatureUnion([("words", words), ("pieces", pieces)])


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
        self._sight = tfidf()
        self.texts = [text_of(task, published_inputs(task, row.fields), row.prompt) for row in rows]
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
