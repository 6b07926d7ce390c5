"""How long rows are in tokens: percentiles and a histogram."""

import itertools
from collections import Counter
from typing import Annotated

from pydantic import BaseModel, Field

Count = Annotated[int, Field(ge=0)]
BINS = 25


class Bin(BaseModel, extra="forbid", frozen=True):
    """One bar of the histogram; both lengths are inclusive."""

    low: Count
    high: Count
    records: Count
    is_rest: bool = False
    """It holds everything longer than usual, so it is wider than the others."""


class TokenLengths(BaseModel, extra="forbid", frozen=True):
    """How long the accepted records are, prompt and answer together."""

    encoding: str
    records_by_length: Annotated[dict[Count, Annotated[int, Field(gt=0)]], Field(min_length=1)]
    """Tokens -> number of records with exactly that many: small even for millions of records."""

    def at(self, share: float) -> int:
        """Return the smallest length that at least this share of the records does not exceed."""
        lengths = sorted(self.records_by_length)
        running = itertools.accumulate(self.records_by_length[length] for length in lengths)
        # Rounding may put the requested rank slightly above a count that it equals.
        wanted = share * sum(self.records_by_length.values()) - 1e-6
        return next(length for length, records in zip(lengths, running, strict=True) if records >= wanted)

    @property
    def tokens(self) -> int:
        """Of all records."""
        return sum(length * records for length, records in self.records_by_length.items())

    @property
    def bins(self) -> list[Bin]:
        """The histogram of the report."""
        return self.binned(BINS)

    def binned(self, about: int) -> list[Bin]:
        """About so many bins of a round width; anything longer than 99% of the records shares the last."""
        lowest, usual, highest = min(self.records_by_length), self.at(0.99), max(self.records_by_length)
        widths = (digit * 10**power for power in itertools.count() for digit in (1, 2, 5))
        width = next(width for width in widths if width * about > usual - lowest)
        start = lowest // width * width
        last = (usual - start) // width + 1
        counts: Counter[int] = Counter()
        for length, records in self.records_by_length.items():
            counts[min((length - start) // width, last)] += records
        lows = [start + number * width for number in range(max(counts) + 1)]
        bins = [Bin(low=low, high=low + width - 1, records=counts[number]) for number, low in enumerate(lows)]
        if highest > bins[-1].high:
            bins[-1] = bins[-1].model_copy(update={"high": highest, "is_rest": True})
        return bins
