"""Which rows are similar, for deduplication: the found pairs, and a comparison of texts where these end."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.similarity.pairs import Pairs
from pipeline.similarity.signatures import FULL_BUCKET, INPUTS, LEADERS, SPELLING, WHOLE, Scheme
from pipeline.similarity.text_columns import Rows

Neighbors = dict[int, dict[int, float]]
"""By row: the similar rows with their similarity, 0 to 1."""


class Compared(Protocol):
    """Numbered texts that were compared with each other."""

    @property
    def pairs(self) -> Pairs:
        """The similar ones."""

    def verify(self, left: Rows, right: Rows) -> Pairs:
        """The exact similarities of pairs, similar or not."""


@dataclass(frozen=True)
class SimilarRows:
    """Which texts and which answers are similar."""

    threshold: float
    """Minimum Jaccard similarity (0 to 1) of near-duplicates; with 1, only texts of equal keys count."""
    compared: Mapping[str, Compared]
    """By view: all inputs, and as far as there are any, those with free-text answers, and the letters of short ones."""
    answers: float = 1.0
    """Minimum similarity of equivalent free-text answers."""
    _known: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)
    """For two whole texts: the similarity, and that of their answers."""

    def neighbors(self, texts: Sequence[int], free_text: Sequence[int]) -> Neighbors:
        """The similar rows among some, given by the numbers of their inputs and of their whole texts."""
        found: Neighbors = defaultdict(dict)
        if self.threshold < 1:
            _link(found, texts, self._pairs(INPUTS))
            _link(found, free_text, self._pairs(WHOLE))
        return found

    def alike(self, neighbors: Neighbors, letters: Sequence[int]) -> Neighbors:
        """Neighbors, and the rows that are spelled alike: what must not be in two splits, duplicates or not."""
        found: Neighbors = defaultdict(dict, {row: dict(others) for row, others in neighbors.items()})
        if self.threshold < 1:
            _link(found, letters, self._pairs(SPELLING))
        return found

    def alone(self, texts: Sequence[int], free_text: Sequence[int], letters: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Which of some rows have no neighbors according to ``neighbors`` and ``alike``."""
        found = np.ones(len(texts), dtype=np.bool_)
        if self.threshold < 1:
            for view, numbers in ((INPUTS, texts), (WHOLE, free_text), (SPELLING, letters)):
                found &= ~_is_linked(numbers, self._pairs(view))
        return found

    def _pairs(self, view: str) -> Pairs:
        """The pairs of a view that are similar enough."""
        if view not in self.compared:
            return Pairs.none()
        pairs = self.compared[view].pairs
        return pairs.where(pairs.similarity >= Scheme.of(view, self.threshold).similar)

    def similarities(self, pairs: Sequence[tuple[int, int]]) -> list[float]:
        """The exact similarities of pairs of inputs."""
        left, right = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
        found = np.zeros(len(left))
        worded = (left >= 0) & (right >= 0)
        found[worded] = self.compared[INPUTS].verify(left[worded], right[worded]).similarity
        return found.tolist()

    def compare_answers(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Compare the answers of many pairs of whole texts at once, since the texts are on disk."""
        whole = self.compared.get(WHOLE)
        if whole is None or self.answers >= 1:
            return
        if not self._known:
            found = whole.pairs
            self._keep(found.left.tolist(), found.right.tolist(), found)
        new = sorted({(min(pair), max(pair)) for pair in pairs} - self._known.keys())
        if new:
            left, right = np.array(new, dtype=np.int64).T
            self._keep(left.tolist(), right.tolist(), whole.verify(left, right))

    def _keep(self, left: list[int], right: list[int], pairs: Pairs) -> None:
        shares = zip(pairs.similarity.tolist(), pairs.answers.tolist(), strict=True)
        self._known.update(zip(zip(left, right, strict=True), shares, strict=True))

    def as_a_whole(self, one: int, other: int) -> float:
        """The similarity of two whole texts with equivalent answers; 0 if these differ, or the texts do."""
        if WHOLE not in self.compared or self.answers >= 1:
            return 0.0
        pair = (min(one, other), max(one, other))
        if pair not in self._known:
            self.compare_answers([pair])
        similarity, answers = self._known[pair]
        return similarity if similarity >= self.threshold and answers >= self.answers else 0.0


def _link(found: Neighbors, texts: Sequence[int], pairs: Pairs) -> None:
    """Link rows of similar texts, and rows of one text; in a dense cluster with one text only the first few with the
    others."""
    rows: defaultdict[int, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        if text >= 0:
            rows[text].append(row)
    for cluster in rows.values():
        if len(cluster) > 1:
            _link_clusters(found, cluster, cluster, 1.0)
    for left, right, similarity in zip(
        pairs.left.tolist(), pairs.right.tolist(), pairs.similarity.tolist(), strict=True
    ):
        if left in rows and right in rows:
            _link_clusters(found, rows[left], rows[right], similarity)


def _is_linked(texts: Sequence[int], pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Which rows have a text that is in a pair, or that another row has, too."""
    # A row without a text has the number -1: the last place is for these.
    numbers = np.array(texts, dtype=np.int64)
    size = 2 + max(int(numbers.max(initial=-1)), int(pairs.right.max(initial=-1)))
    linked = np.bincount(numbers[numbers >= 0], minlength=size) > 1
    linked[pairs.left] = True
    linked[pairs.right] = True
    linked[-1] = False
    found: npt.NDArray[np.bool_] = linked[numbers]
    return found


def _link_clusters(found: Neighbors, left: list[int], right: list[int], similarity: float) -> None:
    """The same limits as in a bucket of a band keep the cost linear."""
    for one, cluster in ((left, right), (right, left)):
        compared = cluster if len(cluster) <= FULL_BUCKET else cluster[:LEADERS]
        for row in one:
            for other in compared:
                if row != other and similarity > found[row].get(other, 0):
                    found[row][other] = found[other][row] = similarity
