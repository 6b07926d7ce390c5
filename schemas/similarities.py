"""How similar the records of a dataset are to each other."""

from pydantic import BaseModel

BIN = 0.02
"""Width of the bins of similarities."""


class NearPair(BaseModel, frozen=True):
    """Two records whose similarity is near the threshold."""

    one: str
    other: str
    similarity: float


class Similarities(BaseModel, frozen=True):
    """How similar the records are, among those that are similar at all."""

    threshold: float
    start: float
    """Where the first bin begins, below the threshold, where only some of the pairs are found."""
    counts: list[int]
    """Pairs by similarity, in bins of ``BIN``; the last one includes 1."""
    near: list[NearPair]
    """Pairs of kept records that just miss the threshold, and the most similar other pairs of kept records; the least
    similar first. Every template is shown once before any is shown twice."""
    below: int = 0
    """How many pairs of kept records miss the threshold by at most ``NEAR_MISS``, as far as found."""
    above: int = 0
    """How many reach it."""

    @property
    def bins(self) -> list[tuple[float, int]]:
        """The start of each bin, and its pairs."""
        return [(round(self.start + number * BIN, 4), count) for number, count in enumerate(self.counts)]
