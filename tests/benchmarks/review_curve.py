"""How many labels have to be reviewed until a classifier is nearly as good as with right labels: our order, or any.

python tests/benchmarks/review_curve.py TRAIN TEST    two CSV files with text and category, such as those of banking77
"""

import argparse
import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from label_errors import most_similar
from rich.console import Console
from tables import Results

from pipeline.curation.choose import Candidate, Wait, choose
from pipeline.estimation.error_curve import error_curve
from pipeline.label_errors.classifier import LabeledTexts, learn_label_errors

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Curve = list[tuple[int, float]]
"""Rows that were reviewed, and the share of TEST that is right then."""

_NOISE, _GAP = 0.3, 0.8
_ORDERS = 5
"""Random ones."""
_FLOOR = 0.1
"""`review.floor`."""
_CORRECTIONS, _SHARE = 20, 0.02
"""What calls for new scores: see `pipeline/curation/rescoring.py`."""
_HELP = """\
30% of the labels of TRAIN are flipped to one of the three most similar ones (by the TF-IDF centroids of the labels).
A review puts the right label back. The classifier, TF-IDF of words and a logistic regression with the defaults of
scikit-learn, learns from all rows as they are then, and is judged by TEST.
  ours     batch by batch as `curate` chooses, down to the default floor; scored anew as often as `curate` does it
  random   rows in random order, the mean accuracy of five such orders: the curve of a single one goes up and down, and
           reaches the aim by luck before its mean does
  labels   how many reviews close 80% of the gap between noisy and right labels; linear between batches
"""


class Review:
    """A training set whose labels are reviewed."""

    def __init__(self, texts: Sequence[str], truth: Ints, noise: float, seed: int, to: str = "similar") -> None:
        """Flip a share of the labels, to similar ones or to any."""
        self.texts, self.truth, self.seed = texts, truth, seed
        random = np.random.default_rng(seed)
        self.given = truth.copy()
        rows = random.choice(len(truth), round(noise * len(truth)), replace=False)
        similar = most_similar(texts, truth)
        self.given[rows] = similar[truth[rows], random.integers(0, similar.shape[1], len(rows))]
        if to == "random":
            self.given[rows] = (truth[rows] + random.integers(1, len(similar), len(rows))) % len(similar)
        self.reviewed: Bools = np.zeros(len(truth), dtype=np.bool_)

    def answer(self, rows: Sequence[int]) -> int:
        """Put the right labels back; returns how many were wrong."""
        wrong = int((self.given[rows] != self.truth[rows]).sum())
        self.given[rows], self.reviewed[rows] = self.truth[rows], True
        return wrong

    def at_random(self, batch: int, seed: int) -> Iterator[int]:
        """Review rows in any order; gives how many were reviewed."""
        order = np.random.default_rng((self.seed, seed)).permutation(len(self.truth))
        for first in range(0, len(order), batch):
            self.answer(order[first : first + batch].tolist())
            yield int(self.reviewed.sum())

    def in_our_order(self, batch: int) -> Iterator[int]:
        """Review the likeliest errors first."""
        scores, corrected = self.scores(), 0
        while True:
            candidates = (
                Candidate(str(row), score, Wait.NO, str(row), str(self.given[row]), row)
                for row, score in enumerate(scores)
                if not self.reviewed[row] and score >= _FLOOR
            )
            rows = sorted(map(int, choose(candidates, batch, {})))
            if rows:
                corrected += self.answer(rows)
                yield int(self.reviewed.sum())
            if corrected >= max(_CORRECTIONS, _SHARE * len(scores)):
                scores, corrected = self.scores(), 0
            elif len(rows) < batch:
                return

    def scores(self) -> list[float]:
        """How likely each label is wrong."""
        labels = [str(code) for code in self.given]
        groups = [str(row) for row in range(len(labels))]
        found, _ = learn_label_errors(LabeledTexts(self.texts, labels, groups, self.reviewed.tolist()), 17)
        return [score or 0.0 for score in found.score]


class _Judge:
    """Trains and judges the classifier."""

    def __init__(self, texts: Sequence[str], test: Sequence[str], gold: Ints) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = TfidfVectorizer()
        self._texts, self._test, self._gold = words.fit_transform(texts), words.transform(test), gold

    def accuracy(self, labels: Ints) -> float:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(max_iter=1000).fit(self._texts, labels)
        return float((model.predict(self._test) == self._gold).mean())


def _until(curve: Curve, wanted: float) -> float:
    """How many labels it takes; infinite if the curve ends before."""
    for (few, low), (many, high) in itertools.pairwise(curve):
        if high >= wanted:
            return few + (many - few) * max(0.0, (wanted - low) / (high - low))
    return math.inf


def _curve(reviews: Sequence[Review], orders: Sequence[Iterator[int]], judge: _Judge, wanted: float) -> Curve:
    """The mean of several reviews at once, until it is what is wanted."""
    curve = [(0, judge.accuracy(reviews[0].given))]
    for asked in zip(*orders, strict=True):
        wrong = int(np.mean([(review.given != review.truth).sum() for review in reviews]))
        curve.append((asked[0], float(np.mean([judge.accuracy(review.given) for review in reviews]))))
        print(*curve[-1], f"of {wanted:.4f}, {wrong} wrong", file=sys.stderr, flush=True)
        if curve[-1][1] >= wanted:
            break
    return curve


def forecasts(texts: Sequence[str], truth: Ints, seeds: Sequence[int]) -> Results:
    """How many errors the next 100 answers find, as forecast after 30, 60, 125 and 250, and as it is."""
    found: defaultdict[str, list[tuple[float, ...]]] = defaultdict(list)
    for noise, share, seed in itertools.product(("similar", "random"), (0.05, 0.1, 0.2), seeds):
        rows = np.random.default_rng(seed).choice(len(truth), min(len(truth), 4_000), replace=False)
        corpus = Review([texts[row] for row in rows], truth[rows], share, seed, noise)
        scores = np.array(corpus.scores())
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= _FLOOR]
        ranked, wrong = scores[order], (corpus.given != corpus.truth)[order]
        for answered in (30, 60, 125, 250):
            told = error_curve(ranked[:answered], wrong[:answered]).forecast(ranked[answered : answered + 100])
            real = int(wrong[answered : answered + 100].sum())
            found[noise].append((told.found, real, told.low <= real <= told.high, told.high - told.low))
    lines = []
    for noise, several in found.items():
        told, real, held, width = np.array(several, dtype=float).T
        off = np.abs(told - real).mean()
        lines.append(
            (
                noise,
                str(len(told)),
                f"{told.mean():.1f}",
                f"{real.mean():.1f}",
                f"{off:.1f}",
                f"{held.mean():.0%}",
                f"{width.mean():.0f}",
            )
        )
    columns = ("flipped labels", "forecasts", "forecast", "found", "apart", "in the interval", "its width")
    return Results("Errors that the next 100 answers find", columns, lines)


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--batch", type=int, default=500, help="rows in each batch (default: 500)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    parser.add_argument("--forecasts", action="store_true", help="only how many errors the next answers would find")
    asked = parser.parse_args(given)
    train, test = pl.read_csv(asked.train), pl.read_csv(asked.test)
    codes = {name: code for code, name in enumerate(sorted(train["category"].unique()))}
    texts, truth = train["text"].to_list(), np.array([codes[name] for name in train["category"]])
    if asked.forecasts:
        forecasts(texts, truth, asked.seeds).show(Console())
        return
    judge = _Judge(texts, test["text"].to_list(), np.array([codes[name] for name in test["category"]]))
    clean, lines, needed = judge.accuracy(truth), [], []
    for seed in asked.seeds:
        ours, *others = (Review(texts, truth, _NOISE, seed) for _ in range(1 + _ORDERS))
        start = judge.accuracy(ours.given)
        wanted = start + _GAP * (clean - start)
        labels = _until(_curve([ours], [ours.in_our_order(asked.batch)], judge, wanted), wanted)
        orders = [other.at_random(2 * asked.batch, number) for number, other in enumerate(others)]
        any_ = _until(_curve(others, orders, judge, wanted), wanted)
        cells = (f"{start:.1%}", f"{clean:.1%}", f"{labels:,.0f}", f"{any_:,.0f}", f"{labels / any_:.2f}")
        lines.append((str(seed), *cells))
        needed.append((labels, any_))
    few, many = np.mean(needed, axis=0)
    said = f"{len(texts):,} rows. Ratio of the means: {few / many:.2f}."
    columns = ("seed", "noisy labels", "right labels", "labels, ours", "labels, random", "ratio")
    result = Results("Labels until 80% of the gap is closed", columns, lines, said)
    result.show(Console())
    if asked.markdown:
        asked.markdown.write_text(result.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
