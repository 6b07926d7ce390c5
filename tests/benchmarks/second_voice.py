"""How many more wrong labels the worst rows hold once a model was heard that is right in a known share of the rows.

python tests/benchmarks/second_voice.py FILE    needs a CSV file with the columns text and category
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from pipeline.curation.case import Case
from pipeline.curation.second_voice import voice_of
from pipeline.label_errors.classifier import label_error_scores
from pipeline.label_errors.text_features import text_features
from schemas.annotation import Verdict

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_SHARE = 0.1
"""Of the rows: how many get a wrong label, and how many are in the batch."""
_VERIFIED = 200
"""Random rows that annotators have answered: all that is known of the model."""
_HELP = """\
A tenth of the labels is flipped: to any other label, or to one of the three most similar ones (by the TF-IDF centroids
of the labels). The model gives the right label with the share named; otherwise one of the three most similar ones,
whatever the row has. It is asked about the most doubted rows, 10%, 20% or all. What it is worth is estimated from 200
random rows, never from the truth of the others.
  found    the share of the wrong labels among the 10% of the rows with the highest scores; means of the seeds
"""


def main() -> None:
    """Run the comparison and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=_HELP, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    with arguments.file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts, names = [row["text"] for row in rows], sorted({row["category"] for row in rows})
    truth = np.array([names.index(row["category"]) for row in rows])
    similar = _similar(texts, truth, len(names))
    table = Table("noise", "model", "asked", "found alone", "found with the model")
    for noise in ("random", "similar"):
        found: dict[tuple[float, float], list[tuple[float, float]]] = {}
        for seed in range(arguments.seeds):
            random = np.random.default_rng(seed)
            given = _flipped(truth, similar if noise == "similar" else None, len(names), random)
            scored = label_error_scores(texts, [names[code] for code in given], [str(n) for n in range(len(texts))])
            alone = np.array([score or 0.0 for score in scored.score])
            for accuracy in (0.6, 0.8, 0.9):
                said = _said(truth, similar, accuracy, random)
                for asked in (0.1, 0.2, 1.0):
                    heard = _heard(alone, given, truth, said, asked, random)
                    pair = (_found(alone, given != truth), _found(heard, given != truth))
                    found.setdefault((accuracy, asked), []).append(pair)
        for (accuracy, asked), pairs in found.items():
            before, after = np.mean(pairs, axis=0)
            table.add_row(noise, f"{accuracy:.0%}", f"{asked:.0%}", f"{before:.1%}", f"{after:.1%}")
    Console().print(table)


def _similar(texts: Sequence[str], truth: Ints, labels: int) -> Ints:
    """The three most similar labels of each."""
    features = text_features(texts)
    centroids = np.vstack([np.asarray(features[truth == code].mean(axis=0)).ravel() for code in range(labels)])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    likeness = centroids @ centroids.T
    np.fill_diagonal(likeness, -1)
    return np.argsort(-likeness, axis=1)[:, :3]


def _flipped(truth: Ints, similar: Ints | None, labels: int, random: np.random.Generator) -> Ints:
    given = truth.copy()
    for row in random.choice(len(truth), int(_SHARE * len(truth)), replace=False):
        others = similar[truth[row]] if similar is not None else np.delete(np.arange(labels), truth[row])
        given[row] = random.choice(others)
    return given


def _said(truth: Ints, similar: Ints, accuracy: float, random: np.random.Generator) -> Ints:
    wrong = similar[truth, random.integers(0, 3, len(truth))]
    return np.where(random.random(len(truth)) < accuracy, truth, wrong)


def _heard(alone: Floats, given: Ints, truth: Ints, said: Ints, asked: float, random: np.random.Generator) -> Floats:
    """The scores once the model was heard about the most doubted rows."""
    verified = random.choice(len(truth), _VERIFIED, replace=False)
    voice = voice_of([_case(int(given[row]), int(truth[row]), int(said[row])) for row in verified])
    scores = alone.copy()
    for row in np.argsort(-alone, kind="stable")[: int(asked * len(alone))]:
        scores[row] = voice.heard(float(alone[row]), agrees=bool(said[row] == given[row]))
    return scores


def _case(given: int, truth: int, said: int) -> Case:
    targets = {"label": str(truth)}
    return Case(
        record_id="",
        revision="",
        order=0,
        targets=targets,
        replaced={"label": str(given)} if given != truth else None,
        human=Verdict.LABELED,
        model_answer={"label": str(said)},
    )


def _found(scores: Floats, wrong: npt.NDArray[np.bool_]) -> float:
    worst = np.argsort(-scores, kind="stable")[: int(_SHARE * len(scores))]
    return float(wrong[worst].sum() / wrong.sum())


if __name__ == "__main__":
    main()
