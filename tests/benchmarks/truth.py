"""Finds which rows of a corpus are similar by an exact all-pairs join, and evaluates clusters against it.

None of the product's code is used: words are found by a regular expression, and n-grams counted in sparse matrices.
Two texts with a Jaccard similarity of at least t share one of the rarest n-grams of each: a text of n must
be found by its n - ceil(t * n) + 1 rarest (prefix filtering), and every pair that these bring together is compared.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from corpus import CONFLICT, Corpus
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Numbers = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
GRAM_WORDS = 3
FLOOR = 0.6
"""Pairs below this similarity are not listed."""
_WORD = re.compile(r"[^\W_]+")
_ROWS_AT_ONCE, _PAIRS_AT_ONCE = 5_000, 100_000


@dataclass(frozen=True)
class Rule:
    """When two rows are duplicates."""

    whole: float
    """Minimum Jaccard similarity of prompt and response together."""
    response: float
    """Minimum Jaccard similarity of the responses."""


RULE, LOOSER_RULE, TEXT_ALONE = Rule(0.7, 0.5), Rule(0.6, 0.4), Rule(0.7, 0.0)


@dataclass(frozen=True)
class Truth:
    """All pairs of rows whose similarity is at least ``FLOOR``."""

    rows: int
    left: Numbers
    right: Numbers
    whole: Shares
    response: Shares

    def pairs(self, rule: Rule) -> tuple[Numbers, Numbers]:
        """Both sides of the pairs that are duplicates by a rule."""
        true = (self.whole >= rule.whole) & (self.response >= rule.response)
        return self.left[true], self.right[true]


@dataclass(frozen=True)
class Judgement:
    """The quality of clusters."""

    recall: float
    """Share of the true pairs that are in one cluster."""
    precision: float
    """Share of the pairs within clusters that true pairs connect, directly or through other rows."""
    precision_text: float
    """The same if only the similarity of the whole texts counts."""
    lost: int
    """Texts left without any similar text if one row per cluster is kept, by the similarity of whole texts."""
    conflicts: int
    """Planted conflicts that are in one cluster with their counterparts."""
    found: dict[str, float]
    """By kind of planted copy, the share that is in one cluster with its original."""


def policy(labels: Numbers, truth: Truth, plants: pl.DataFrame, rule: Rule = RULE) -> Judgement:
    """Evaluate clusters, given as a label for each row."""
    left, right = truth.pairs(rule)
    similar = components(truth.rows, *truth.pairs(Rule(rule.whole, 0)))
    together = plants.with_columns(together=labels == labels[plants["source"].to_numpy()])
    shares = together.filter(pl.col("row") != pl.col("source")).group_by("kind").agg(pl.col("together").mean())
    return Judgement(
        recall=float(np.mean(labels[left] == labels[right])),
        precision=_precision(labels, components(truth.rows, left, right)),
        precision_text=_precision(labels, similar),
        lost=len(np.unique(np.stack([labels, similar]), axis=1).T) - len(np.unique(labels)),
        conflicts=int(together.filter(kind=CONFLICT)["together"].sum()),
        found=dict(shares.iter_rows()),
    )


def components(rows: int, left: Numbers, right: Numbers) -> Numbers:
    """A label for each row: connected rows have the same."""
    graph = sparse.coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(rows, rows))
    labels: Numbers = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def _precision(labels: Numbers, true: Numbers) -> float:
    clusters = pl.DataFrame({"label": labels, "true": true})
    claimed = _pairs_within(clusters.group_by("label").len())
    return _pairs_within(clusters.group_by("label", "true").len()) / claimed if claimed else 1.0


def _pairs_within(sizes: pl.DataFrame) -> int:
    size = sizes["len"].cast(pl.Int64)
    return int((size * (size - 1) // 2).sum())


def truth_of(corpus: Corpus) -> Truth:
    """The ground truth about a corpus; cached next to it. Takes a minute and 6 GB for 100,000 rows."""
    kept = corpus.folder / "truth.npz"
    if not kept.is_file():
        print(f"comparing all {corpus.rows:,} rows with all, exactly", flush=True)
        started = time.perf_counter()
        frame = pl.read_parquet(corpus.parts, columns=["prompt", "response"])
        asked, answered = ([_WORD.findall(text.lower()) for text in column] for column in frame.iter_columns())
        left, right, whole = _join(_grams(map(list.__add__, asked, answered)))
        response = _similarities(_grams(answered), left, right)
        unfinished = kept.with_name("unfinished.npz")
        np.savez(unfinished, left=left, right=right, whole=whole, response=response)
        unfinished.rename(kept)
        print(f"{len(left):,} pairs at {FLOOR} or more in {time.perf_counter() - started:.0f} s", flush=True)
    with np.load(kept) as file:
        return Truth(corpus.rows, file["left"], file["right"], file["whole"], file["response"])


def _grams(texts: Iterable[list[str]]) -> sparse.csr_array:
    """Texts x n-grams: 1 if a text has an n-gram; the rarest n-grams come first."""
    numbers: dict[tuple[str, ...], int] = {}
    columns: list[Numbers] = []
    for words in texts:
        grams = (
            {tuple(words[at : at + GRAM_WORDS]) for at in range(max(len(words) - GRAM_WORDS, 0) + 1)} if words else ()
        )
        columns.append(np.array([numbers.setdefault(gram, len(numbers)) for gram in grams], dtype=np.int64))
    found = np.concatenate(columns)
    frequent = np.bincount(found, minlength=len(numbers))
    rank = np.empty(len(numbers), dtype=np.int64)
    rank[np.argsort(frequent, kind="stable")] = np.arange(len(numbers))
    ends = np.cumsum([0, *map(len, columns)])
    table = sparse.csr_array((np.ones(len(found), np.int32), rank[found], ends), shape=(len(columns), len(numbers)))
    table.sort_indices()
    return table


def _join(grams: sparse.csr_array) -> tuple[Numbers, Numbers, Shares]:
    """All pairs of rows that are similar enough, with their similarities."""
    size = np.diff(grams.indptr)
    owner = np.repeat(np.arange(len(size)), size)
    place = np.arange(grams.nnz) - grams.indptr[owner]
    # Slightly less, so that rounding never makes a prefix too short.
    rare = place < (size - np.ceil(size * FLOOR - 1e-9) + 1)[owner]
    prefixes = sparse.csr_array((grams.data[rare], (owner[rare], grams.indices[rare])), shape=grams.shape)
    columns = prefixes.T.tocsr()
    lefts, rights, shares = [], [], []
    for start in range(0, len(size), _ROWS_AT_ONCE):
        met = (prefixes[start : start + _ROWS_AT_ONCE] @ columns).tocoo()
        left, right = met.coords[0].astype(np.int64) + start, met.coords[1].astype(np.int64)
        left, right = left[left < right], right[left < right]
        share = _similarities(grams, left, right)
        lefts.append(left[share >= FLOOR])
        rights.append(right[share >= FLOOR])
        shares.append(share[share >= FLOOR])
    return np.concatenate(lefts), np.concatenate(rights), np.concatenate(shares)


def _similarities(grams: sparse.csr_array, left: Numbers, right: Numbers) -> Shares:
    """The Jaccard similarities of pairs of rows."""
    size, found = np.diff(grams.indptr), np.empty(len(left))
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        common = grams[left[part]].multiply(grams[right[part]]).sum(axis=1)
        found[part] = common / np.maximum(size[left[part]] + size[right[part]] - common, 1)
    return found
