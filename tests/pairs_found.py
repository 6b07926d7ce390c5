"""Finds the similar pairs of some texts in memory, by the steps that a search over files takes one by one."""

import numpy as np
import numpy.typing as npt

from pipeline.similarity.pairs import Pairs, band_pairs, distinct, most_similar, parted, verify
from pipeline.similarity.signatures import NEAR_MISS, Scheme, Signatures, in_threads, sign
from pipeline.similarity.text_columns import Rows, Texts


def similar_pairs(texts: Texts, threshold: float) -> Pairs:
    """Pairs of texts that are similar, or miss the ``threshold`` by no more than ``NEAR_MISS``.

    All listed similarities are exact. Of the pairs exactly at a threshold of 0.7, 999 in 1,000 are found, at other
    thresholds from 0.2 up at least 997; of more similar pairs more, of those below it some. Texts of equal words are
    paired only with the first of them, and in a dense cluster of more than ``FULL_BUCKET`` similar texts each is paired
    with a few others, not with all, and with at most ``MOST_NEIGHBORS`` earlier ones.
    """
    scheme = Scheme(threshold)
    signed = sign(texts, scheme)
    first, equal = distinct(signed.identities, signed.sizes)
    proposed = propose(signed, scheme, first)
    found = verify(texts, *proposed)
    return Pairs.concat([equal, found.where(found.similarity >= threshold - NEAR_MISS)])


def propose(signed: Signatures, scheme: Scheme, rows: Rows) -> tuple[Rows, Rows]:
    """Pairs of some rows that share a band and whose sketches agree."""

    def of_band(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
        return band_pairs(keys[rows], rows, signed.sketches, scheme.need, 0)

    return parted(most_similar(in_threads(of_band, list(signed.keys)), signed.sketches))
