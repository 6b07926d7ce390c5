"""How many planted mistakes in sets of labels the worst rows contain, next to cleanlab's default scoring.

python tests/benchmarks/label_sets.py FILE    needs a JSONL file with a text, a label and a group in every line
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from scipy.special import expit
from tables import Results

from pipeline.label_errors.group_folds import folds_by_group
from pipeline.label_errors.label_odds import calibrated, out_of_fold, rarest_labels
from pipeline.label_errors.label_sets import LabelSetScores, learn_label_sets
from pipeline.label_errors.set_model import fit_set_model, judge_sets
from pipeline.label_errors.text_features import learned_features

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_SHARE = 0.1
"""Of the rows: how many get a mistake, and how many are in the batch. Of all label bits, if every bit may flip."""
_SIMILAR = 3
_HELP = """\
Each line of FILE is a JSON object. Lines with the same text become one row, whose set consists of their labels; its
group is that of the first line. CUAD's clauses (The Atticus Project, CC BY 4.0) as {"clause", "label", "contract"}:
  python tests/benchmarks/label_sets.py clauses.jsonl

A random tenth of the rows gets a mistake: one label flipped, forgotten, added or replaced; or a tenth of all label
bits flips, so that nearly every row is wrong. The batch is the tenth of the rows with the highest scores.
  found         the share of the wrong rows that are in the batch; a random batch has 10%
  x random      wrong bits in the batch, divided by those in a random one
  named         of the wrong bits in the batch, the share that is named as missing or extra
  named right   of what is named in the batch, the share that is wrong
  flagged       rows with anything named
Labels that the file itself has wrong count as right.

cleanlab's default scoring (multilabel_classification.rank.get_label_quality_scores) gets three kinds of probabilities,
all out of fold: those of TF-IDF and one logistic regression per label, those that Goldleaf starts from, and those that
Goldleaf ends with. "Largest doubt" is Goldleaf without its model of sets: the least likely bit decides.
"""


@dataclass(frozen=True)
class Corpus:
    """Texts with sets of labels."""

    texts: list[str]
    given: Bools
    groups: list[str]
    labels: list[str]

    @classmethod
    def read(cls, place: Path, text: str, label: str, group: str) -> "Corpus":
        """The rows of a file."""
        sets: dict[str, set[str]] = {}
        groups: dict[str, str] = {}
        for line in place.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            sets.setdefault(one[text], set()).add(one[label])
            groups.setdefault(one[text], one[group])
        labels = sorted(set().union(*sets.values()))
        given = np.array([[label in some for label in labels] for some in sets.values()])
        return cls(list(sets), given, list(groups.values()), labels)

    def several(self) -> "Corpus":
        """The rows with several labels, and the labels that those have."""
        rows = np.flatnonzero(self.given.sum(axis=1) > 1)
        used = np.flatnonzero(self.given[rows].any(axis=0))
        labels = [self.labels[code] for code in used]
        return Corpus(
            [self.texts[row] for row in rows],
            self.given[np.ix_(rows, used)],
            [self.groups[row] for row in rows],
            labels,
        )

    def named(self, given: Bools) -> list[list[str]]:
        """Sets as learn_label_sets takes them."""
        return [[self.labels[code] for code in np.flatnonzero(row)] for row in given]


# --- mistakes ---------------------------------------------------------------------------------------
Mistakes = Callable[[Corpus, np.random.Generator], Bools]


def _bits(corpus: Corpus, random: np.random.Generator) -> Bools:
    return random.random(corpus.given.shape) < _SHARE


def _rows(corpus: Corpus, random: np.random.Generator) -> Ints:
    able = np.flatnonzero(corpus.given.any(axis=1))
    return random.choice(able, round(len(able) * _SHARE), replace=False)


def _one(flips: Callable[[Bools], Sequence[Bools]]) -> Mistakes:
    """One bit of each kind in some rows."""

    def mistakes(corpus: Corpus, random: np.random.Generator) -> Bools:
        wrong = np.zeros_like(corpus.given)
        for row in _rows(corpus, random):
            for able in flips(corpus.given[row]):
                wrong[row, random.choice(np.flatnonzero(able))] = True
        return wrong

    return mistakes


def _similar(keep: bool) -> Mistakes:
    """Add a label that is similar to one of the row's, and with ``keep`` false, forget that one."""

    def mistakes(corpus: Corpus, random: np.random.Generator) -> Bools:
        wrong, near = np.zeros_like(corpus.given), _most_similar(corpus)
        for row in _rows(corpus, random):
            label = random.choice(np.flatnonzero(corpus.given[row]))
            other = [code for code in near[label] if not corpus.given[row, code]]
            if other:
                wrong[row, random.choice(other)] = True
                wrong[row, label] = not keep
        return wrong

    return mistakes


def _most_similar(corpus: Corpus) -> Ints:
    features = learned_features(corpus.texts).matrix
    means = np.stack([np.asarray(features[rows].mean(axis=0)).ravel() for rows in corpus.given.T])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    alike = means @ means.T
    np.fill_diagonal(alike, -1)
    return np.argsort(-alike, axis=1)[:, :_SIMILAR]


MISTAKES: dict[str, Mistakes] = {
    "every bit, 10%": _bits,
    "one bit flipped": _one(lambda row: [np.ones_like(row)]),
    "a label forgotten": _one(lambda row: [row]),
    "a label added": _one(lambda row: [~row]),
    "a label replaced": _one(lambda row: [row, ~row]),
    "replaced by a similar one": _similar(keep=False),
    "a similar one added": _similar(keep=True),
}


# --- scores -----------------------------------------------------------------------------------------
def _regression(corpus: Corpus, given: Bools) -> Floats:
    """Out-of-fold probabilities as most people make them."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), OneVsRestClassifier(LogisticRegression(max_iter=1000)))
    with warnings.catch_warnings():
        # A fold may lack a rare label.
        warnings.simplefilter("ignore", UserWarning)
        return cross_val_predict(
            model, corpus.texts, given.astype(int), groups=corpus.groups, cv=GroupKFold(5), method="predict_proba"
        )


def _cleanlab(given: Bools, probabilities: Floats) -> Floats:
    from cleanlab.multilabel_classification.rank import get_label_quality_scores

    return 1 - get_label_quality_scores([np.flatnonzero(row).tolist() for row in given], probabilities)


def _contestants(corpus: Corpus, given: Bools, regression: bool) -> dict[str, Floats]:
    """Scores from the parts that Goldleaf's scores consist of, and from a regression."""
    folds, _ = folds_by_group(rarest_labels(given), corpus.groups, 17)
    scores = out_of_fold(learned_features(corpus.texts).matrix, given, folds, 17)
    log_odds = calibrated(scores, given).log_odds(scores)
    start = expit(log_odds)
    doubts = judge_sets(fit_set_model(log_odds, given), log_odds, given).doubts
    found = {
        "cleanlab, where Goldleaf starts": _cleanlab(given, start),
        "cleanlab, where Goldleaf ends": _cleanlab(given, np.where(given, 1 - doubts, doubts)),
        "largest doubt": np.where(given, 1 - start, start).max(axis=1),
    }
    return found | ({"cleanlab, regression": _cleanlab(given, _regression(corpus, given))} if regression else {})


def _batch(score: Floats) -> Ints:
    return np.argsort(-score, kind="stable")[: int(np.ceil(_SHARE * len(score)))]


def _found(score: Floats, wrong: Bools) -> tuple[float, float]:
    """The share of the wrong rows in the batch, and its wrong bits relative to a random batch."""
    batch, rows = _batch(score), wrong.any(axis=1)
    return rows[batch].sum() / rows.sum(), wrong[batch].sum() / wrong.sum() * len(wrong) / len(batch)


def _named(result: LabelSetScores, labels: Sequence[str]) -> Bools:
    named = [{*missing, *extra} for missing, extra in zip(result.missing, result.extra, strict=True)]
    return np.array([[label in some for label in labels] for some in named])


# --- tables -----------------------------------------------------------------------------------------
def _compare(corpus: Corpus, title: str, seeds: int, regression: bool) -> list[Results]:
    ranked, reasons = [], []
    for kind, mistakes in MISTAKES.items():
        shares: dict[str, list[tuple[float, float]]] = {}
        rows = []
        for seed in range(1, seeds + 1):
            wrong = mistakes(corpus, np.random.default_rng(seed))
            given = corpus.given ^ wrong
            result, _ = learn_label_sets(corpus.texts, corpus.named(given), corpus.labels, corpus.groups, 17)
            score = np.array([value or 0.0 for value in result.score])
            found = {"Goldleaf": score} | _contestants(corpus, given, regression)
            for name, one in found.items():
                shares.setdefault(name, []).append(_found(one, wrong))
            rows.append(_reasons(score, _named(result, corpus.labels), wrong))
        means = {name: np.mean(some, axis=0) for name, some in shares.items()}
        ranked.append((kind, *(f"{found:.1%}, {bits:.2f} x" for found, bits in means.values())))
        reasons.append((kind, *(f"{value:.1%}" for value in np.mean(rows, axis=0))))
        print(title, *ranked[-1], *reasons[-1], sep=" | ", flush=True)
    heads = ("mistakes", *means)
    note = "Share of the wrong rows found, and wrong bits x random. Means of " + f"{seeds} seeds."
    return [
        Results(f"{title}: wrong rows in the worst tenth", heads, ranked, note),
        Results(
            f"{title}: what is said about them",
            ("mistakes", "wrong rows", "mean score", "named", "named right", "flagged", "wrong rows flagged"),
            reasons,
        ),
    ]


def _reasons(score: Floats, named: Bools, wrong: Bools) -> tuple[float, ...]:
    batch, flagged, rows = _batch(score), named.any(axis=1), wrong.any(axis=1)
    right = (named & wrong)[batch].sum()
    return (
        float(rows.mean()),
        float(score.mean()),
        right / wrong[batch].sum(),
        right / max(named[batch].sum(), 1),
        float(flagged.mean()),
        float(flagged[rows].mean()),
    )


def _clean(corpus: Corpus, title: str) -> Results:
    started = time.process_time()
    result, _ = learn_label_sets(corpus.texts, corpus.named(corpus.given), corpus.labels, corpus.groups, 17)
    seconds = time.process_time() - started
    score = np.array([value or 0.0 for value in result.score])
    flagged = _named(result, corpus.labels).any(axis=1)
    line = (
        f"{len(score):,}",
        f"{len(corpus.labels)}",
        f"{flagged.mean():.1%}",
        f"{score.mean():.3f}",
        f"{seconds:.0f}",
    )
    heads = ("rows", "labels", "flagged", "mean score", "CPU s")
    return Results(f"{title}: nothing planted", heads, [line], result.note)


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="a JSONL file with a text, a label and a group in every line")
    for name, usual in (("text", "clause"), ("label", "label"), ("group", "contract")):
        parser.add_argument(f"--{name}", default=usual, help=f"the key of the {name} (default: {usual})")
    parser.add_argument("--seeds", type=int, default=3, help="how often mistakes are planted (default: 3)")
    parser.add_argument("--no-regression", action="store_true", help="leave out the regression, which takes longest")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    asked = parser.parse_args(given)
    console, results = Console(width=max(Console().width, 190)), []
    everything = Corpus.read(asked.file, asked.text, asked.label, asked.group)
    for title, corpus in (("All rows", everything), ("Rows with several labels", everything.several())):
        results += [_clean(corpus, title), *_compare(corpus, title, asked.seeds, not asked.no_regression)]
    for found in results:
        found.show(console)
    if asked.markdown:
        asked.markdown.write_text("\n".join(found.markdown() for found in results), encoding="utf-8")


if __name__ == "__main__":
    main()
