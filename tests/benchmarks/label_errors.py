"""How many planted label errors are found in a classification: by ranking, and in the batch that curate really sends.

python tests/benchmarks/label_errors.py FILE    needs a CSV or JSONL file with a text and a label in every line
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from measuring import folder, run
from rich.console import Console
from sent_batch import QUERY, Batch
from tables import Results

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SHARE = 0.1
"""Of the labels: how many are flipped, and how many rows the batch has."""
_SIMILAR = 3
_NOISES = ("random", "similar")
_HELP = """\
A tenth of the labels is flipped: to any other one, or to one of the three most similar (by the TF-IDF centroids of the
labels as they are in FILE). Labels that the file itself has wrong count as right.
  found   the share of the flipped labels among the tenth of the rows with the highest scores; a random tenth has 10%
  sent    the share of them that `goldleaf curate --no-push` in a new home routes to annotators, with `review.budget:
          0.1`, or holds until a row of the batch is answered that has the same text; rows in conflict and copies use up
          budget or are no longer there, so that it can be below or above
  errors  the same among those that are errors: with --any-of, a label that FILE gives the same text in another row is
          right, whoever wrote it there; no model can know better, and no annotator would change it
  mean    the mean score: how many labels are wrong, if scores are probabilities
  CPU s   of the scoring, features included, everything in this process and in one thread, after each has scored 300
          rows; the regressions are scikit-learn's TfidfVectorizer (words, or words and pairs of words) and
          LogisticRegression(max_iter=1000) with its other defaults, in five folds

The banking77 and CUAD sets:
  python tests/benchmarks/label_errors.py banking77/train.csv --label category
  python tests/benchmarks/label_errors.py cuad/clauses.jsonl --text clause --label label --group contract --any-of
"""
_TASK = '''\
from typing import Literal

from schemas.task import Input, Target, Task


class Labeled(Task):
    """Which label is it?"""

    text: Input[str]
    label: Target[Literal[{labels}]]
'''


@dataclass(frozen=True)
class Corpus:
    """Labeled texts."""

    texts: list[str]
    labels: list[str]
    given: Ints
    groups: list[str]
    similar: Ints
    """The three labels that are most like each one."""
    any_of: bool = False
    """Whether a text may have several labels, each in its own row."""

    @classmethod
    def read(cls, place: Path, text: str, label: str, group: str, any_of: bool = False) -> "Corpus":
        """The rows of a file."""
        frame = pl.read_csv(place) if place.suffix == ".csv" else pl.read_ndjson(place)
        texts, labels = frame[text].to_list(), sorted(frame[label].unique())
        codes = {name: code for code, name in enumerate(labels)}
        given = np.array([codes[one] for one in frame[label]])
        groups = frame[group].to_list() if group else [str(row) for row in range(len(texts))]
        return cls(texts, labels, given, groups, most_similar(texts, given), any_of)

    def flipped(self, noise: str, seed: int) -> Ints:
        """The labels, a tenth of them wrong."""
        random, found = np.random.default_rng(seed), self.given.copy()
        rows = random.choice(len(found), round(len(found) * _SHARE), replace=False)
        if noise == "random":
            found[rows] = (found[rows] + random.integers(1, len(self.labels), len(rows))) % len(self.labels)
        else:
            found[rows] = self.similar[found[rows], random.integers(0, self.similar.shape[1], len(rows))]
        return found

    def errors(self, given: Ints) -> Bools:
        """Which of these labels are wrong: not those that the text has in another row, if it may have several."""
        right = set(zip(self.texts, self.given.tolist(), strict=True)) if self.any_of else set()
        fits = [pair in right for pair in zip(self.texts, given.tolist(), strict=True)]
        return (given != self.given) & ~np.array(fits)

    def also(self, given: Ints) -> list[set[str]]:
        """The labels that other rows give the text of each row."""
        of_text: defaultdict[str, set[str]] = defaultdict(set)
        for text, code in zip(self.texts, given, strict=True):
            of_text[text].add(self.labels[code])
        return [of_text[text] - {self.labels[code]} for text, code in zip(self.texts, given, strict=True)]


def most_similar(texts: Sequence[str], given: Ints) -> Ints:
    """Labels x 3: the labels that are most like each one."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    features = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
    means = np.stack([np.asarray(features[given == label].mean(axis=0)).ravel() for label in range(given.max() + 1)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    alike = means @ means.T
    np.fill_diagonal(alike, -1)
    return np.argsort(-alike, axis=1)[:, :_SIMILAR]


# --- scores: the higher, the likelier is the label wrong ----------------------------------------------
def _goldleaf(corpus: Corpus, given: Ints) -> Floats:
    from pipeline.label_errors.classifier import LabeledTexts, learn_label_errors

    labels, also = [corpus.labels[code] for code in given], corpus.also(given) if corpus.any_of else ()
    found, _ = learn_label_errors(LabeledTexts(corpus.texts, labels, corpus.groups, also=also), 17)
    return np.array([value or 0.0 for value in found.score])


def _probabilities(corpus: Corpus, given: Ints, model: Any, features: Any) -> Floats:
    """Out-of-fold, as most people make them."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    grouped = len(set(corpus.groups)) < len(corpus.groups)
    folds = (StratifiedGroupKFold if grouped else StratifiedKFold)(5, shuffle=True, random_state=0)
    pipe = make_pipeline(features, model)
    method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
    return cross_val_predict(pipe, corpus.texts, given, groups=corpus.groups, cv=folds, method=method)


def _regression(words: int) -> Callable[[Corpus, Ints], Floats]:
    def scores(corpus: Corpus, given: Ints) -> Floats:
        from cleanlab.rank import get_label_quality_scores
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        features = TfidfVectorizer(ngram_range=(1, words))
        found = _probabilities(corpus, given, LogisticRegression(max_iter=1000), features)
        return 1 - get_label_quality_scores(given, found, method="self_confidence")

    return scores


def _vectors(corpus: Corpus, given: Ints) -> Floats:
    """A linear support vector machine alone: how far the best other label is ahead."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    features = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2))
    found, rows = _probabilities(corpus, given, LinearSVC(C=0.3), features), np.arange(len(given))
    own = found[rows, given]
    found[rows, given] = -np.inf
    return found.max(axis=1) - own


def _contestants(peers: bool) -> dict[str, Callable[[Corpus, Ints], Floats]]:
    found = {"**Goldleaf**": _goldleaf}
    if peers:
        found["linear SVM, margin"] = _vectors
        found["cleanlab self-confidence, logistic regression on words"] = _regression(1)
        found["the same, on words and pairs of words"] = _regression(2)
    return found


def _warm_up(corpus: Corpus, score: Callable[[Corpus, Ints], Floats]) -> None:
    """Let a contestant import and compile what it needs."""
    few = np.arange(min(300, len(corpus.texts)))
    texts, groups = [corpus.texts[row] for row in few], [str(row) for row in few]
    score(Corpus(texts, corpus.labels[:3], few % 3, groups, corpus.similar[:3]), few % 3)


@dataclass(frozen=True)
class Line:
    """What came of one planting."""

    found: float
    errors: float
    spent: float = np.nan
    mean: float = np.nan
    asked: int = 0


def _shares(batch: Ints, corpus: Corpus, given: Ints) -> tuple[float, float]:
    """The shares of the flipped labels, and of those that are errors, in a batch."""
    flipped, errors = given != corpus.given, corpus.errors(given)
    return float(flipped[batch].sum() / flipped.sum()), float(errors[batch].sum() / errors.sum())


def _ranked(score: Floats) -> Ints:
    return np.argsort(-score, kind="stable")[: int(np.ceil(_SHARE * len(score)))]


# --- what is sent -------------------------------------------------------------------------------------
def _sent(corpus: Corpus, given: Ints) -> Batch:
    """What the product asks about."""
    with folder() as place:
        rows = {"id": range(len(given)), "text": corpus.texts, "label": [corpus.labels[code] for code in given]}
        pl.DataFrame(rows | {"group": corpus.groups}).write_ndjson(place / "rows.jsonl")
        (place / "task.py").write_text(_TASK.format(labels=json.dumps(corpus.labels)[1:-1]), encoding="utf-8")
        grouped = "split: {group_by: group}\n" if len(set(corpus.groups)) < len(given) else ""
        (place / "dataset.yaml").write_text(
            "name: planted\ntask: task.py:Labeled\nsources:\n  - {name: rows, path: rows.jsonl, key: id}\n"
            f"review: {{budget: {_SHARE}}}\non_conflict: {'any_of' if corpus.any_of else 'review'}\n{grouped}",
            encoding="utf-8",
        )
        program = str(Path(sys.executable).with_name("goldleaf"))
        run([program, "curate", "--no-push", "--json", str(place / "dataset.yaml")], place)
        run([program, "sql", "--json", QUERY, str(place / "dataset.yaml")], place)
        return Batch.read(json.loads((place / "log.txt").read_bytes()), corpus.texts)


def _compare(corpus: Corpus, seeds: Sequence[int], peers: bool, sent: bool) -> list[Results]:
    lines: dict[tuple[str, str], list[Line]] = {}
    for score in _contestants(peers).values():
        _warm_up(corpus, score)
    for noise in _NOISES:
        for seed in seeds:
            given = corpus.flipped(noise, seed)
            for name, score in _contestants(peers).items():
                started = time.process_time()
                found = score(corpus, given)
                spent = time.process_time() - started
                line = Line(*_shares(_ranked(found), corpus, given), spent, float(found.mean()))
                lines.setdefault((noise, name), []).append(line)
                print(noise, seed, name, f"{lines[noise, name][-1]}", file=sys.stderr, flush=True)
            if sent:
                asked = _sent(corpus, given)
                line = Line(*_shares(np.array(sorted(asked.decided)), corpus, given), asked=len(asked.sent))
                lines.setdefault((noise, _SENT), []).append(line)
                print(noise, seed, _SENT, f"{lines[noise, _SENT][-1]}", file=sys.stderr, flush=True)
    return [_table(noise, lines, len(seeds), len(corpus.texts)) for noise in _NOISES]


_SENT = "**really sent by `goldleaf curate`**"


def _table(noise: str, lines: dict[tuple[str, str], list[Line]], seeds: int, rows: int) -> Results:
    cells = []
    for (kind, name), taken in lines.items():
        if kind == noise:
            shares = [f"{np.mean([getattr(line, what) for line in taken]):.1%}" for what in ("found", "errors")]
            spent, mean = (float(np.mean([getattr(line, what) for line in taken])) for what in ("spent", "mean"))
            last = (f"{spent:.1f}", f"{mean:.1%}" if "Goldleaf" in name else "") if name != _SENT else ("", "")
            cells.append((name, *shares, *last))
    asked = [line.asked for line in lines.get((noise, _SENT), [])]
    said = f" Asked: {', '.join(f'{count:,}' for count in asked)} of {rows:,}." if asked else ""
    title = "any other label" if noise == "random" else "one of the three most similar labels"
    columns = ("score", "found", "errors", "CPU s", "mean")
    return Results(f"10% flipped to {title}", columns, cells, f"{seeds} seeds.{said}")


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="a CSV or JSONL file with a text and a label in every line")
    parser.add_argument("--text", default="text", help="the key of the text (default: text)")
    parser.add_argument("--label", default="label", help="the key of the label (default: label)")
    parser.add_argument(
        "--group", default="", help="the key of what rows belong to, such as a contract (default: none)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="of the flips (default: 1 to 5)")
    parser.add_argument("--any-of", action="store_true", help="a text may have several labels, each in its own row")
    parser.add_argument("--no-peers", action="store_true", help="leave out all but Goldleaf")
    parser.add_argument("--no-sent", action="store_true", help="leave out what the product really sends")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    asked = parser.parse_args(given)
    warnings.simplefilter("ignore", UserWarning)
    corpus = Corpus.read(asked.file, asked.text, asked.label, asked.group, asked.any_of)
    results = _compare(corpus, asked.seeds, not asked.no_peers, not asked.no_sent)
    console = Console(width=max(Console().width, 120))
    for found in results:
        found.show(console)
    if asked.markdown:
        asked.markdown.write_text("\n".join(found.markdown() for found in results), encoding="utf-8")


if __name__ == "__main__":
    # Threads of a library for matrices would count as CPU seconds, and wait for each other.
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(
            sys.executable,
            [sys.executable, *sys.argv],
            {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    main()
