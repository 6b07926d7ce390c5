"""How many more wrong labels the worst rows hold once a model was heard that is right in a known share of the rows.

python tests/benchmarks/second_voice.py FILE    needs a CSV file with the columns text and category
"""

import argparse
import csv
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from pipeline.curation.audit import AuditFrame, Chance, draw_audit
from pipeline.curation.case import Judged
from pipeline.curation.second_voice import Voice, voice_of
from pipeline.label_errors.classifier import LabeledTexts, learn_label_errors
from pipeline.label_errors.text_features import learned_features
from schemas.annotation import Verdict
from schemas.dataset import Review
from schemas.fate import Routed

sys.path.insert(0, str(Path(__file__).parents[1]))
from known_cases import known_case

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_SHARE = 0.1
"""Of the rows: how many get a wrong label, and about how many annotators are asked as suspects."""
_ROUNDS = 4
"""Batches in which they are asked."""
_HELP = """\
A tenth of the labels is flipped: to any other label, or to one of the three most similar ones (by the TF-IDF centroids
of the labels).
The model gives the right label with the share named; otherwise one of the three most similar ones,
whatever the row has. It is asked about the most doubted rows, 10%, 20% or all, and about the audit. Annotators are
asked about a tenth of the rows in four batches, those with the highest scores first, and about an audit as large as
usual, drawn with the first batch. Before each batch, what the model is worth is estimated from all answers so far.
  found         the share of the wrong labels in the four batches; means of the seeds
  right         how often the model is right, and how often it repeats a wrong label: what was learned in the end,
  as wrong      and in brackets what is true
The scores without the model are those of the first run; `goldleaf curate` would compute them anew in between.
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
    table = Table("noise", "model", "asked", "found alone", "found with the model", "right", "as wrong")
    for noise in ("random", "similar"):
        found: dict[tuple[float, float], list[tuple[float, ...]]] = {}
        for seed in range(arguments.seeds):
            random = np.random.default_rng(seed)
            given = _flipped(truth, similar if noise == "similar" else None, len(names), random)
            labeled = LabeledTexts(texts, [names[code] for code in given], [str(n) for n in range(len(texts))])
            scored, _ = learn_label_errors(labeled, 17)
            alone = np.array([score or 0.0 for score in scored.score])
            for accuracy in (0.6, 0.8, 0.9):
                said = _said(truth, similar, accuracy, random)
                for asked in (0.1, 0.2, 1.0):
                    rows = Rows(given, truth, said, alone)
                    wrong, review = given != truth, rows.reviewed(asked)
                    learned = review.voice
                    found.setdefault((accuracy, asked), []).append(
                        (
                            _found(rows.reviewed(0).suspects, wrong),
                            _found(review.suspects, wrong),
                            learned.right,
                            float((said == truth).mean()),
                            learned.as_wrong,
                            float((said == given)[wrong].mean()),
                        )
                    )
        for (accuracy, asked), results in found.items():
            before, after, right, is_right, as_wrong, is_as_wrong = np.mean(results, axis=0)
            shares = (f"{right:.2f} ({is_right:.2f})", f"{as_wrong:.2f} ({is_as_wrong:.2f})")
            table.add_row(noise, f"{accuracy:.0%}", f"{asked:.0%}", f"{before:.1%}", f"{after:.1%}", *shares)
    Console().print(table)


def _similar(texts: Sequence[str], truth: Ints, labels: int) -> Ints:
    """The three most similar labels of each."""
    features = learned_features(texts).matrix
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


@dataclass(frozen=True)
class Reviewed:
    """What came of all batches."""

    suspects: list[int]
    voice: Voice


@dataclass(frozen=True)
class Rows:
    """Labels, what is right, what the model says, and the scores without it."""

    given: Ints
    truth: Ints
    said: Ints
    alone: Floats

    def reviewed(self, asked: float) -> Reviewed:
        """Have suspects reviewed batch by batch, in the order of the scores with the model's voice."""
        count = len(self.alone)
        heard = set(np.argsort(-self.alone, kind="stable")[: int(asked * count)].tolist())
        suspects: list[int] = []
        audit: dict[str, Chance] = {}
        for batch in range(_ROUNDS):
            scores = self._scores(heard, self._voice(suspects, audit, heard))
            open_ = [row for row in np.argsort(-scores, kind="stable").tolist() if f"{row}" not in audit]
            done = set(suspects)
            suspects += [row for row in open_ if row not in done][: round(_SHARE * count / _ROUNDS)]
            if not batch:
                audit = self._audited(suspects, scores)
                heard |= {int(name) for name in audit} if asked else set()
        return Reviewed(suspects, self._voice(suspects, audit, heard))

    def _audited(self, suspects: Sequence[int], scores: Floats) -> dict[str, Chance]:
        done = set(suspects)
        left = [row for row in range(len(scores)) if row not in done]
        drawn = draw_audit(AuditFrame.of([f"{row}" for row in left], scores[left].tolist()), Review())
        chances = zip(drawn.chances.stratum.tolist(), drawn.chances.probability.tolist(), strict=True)
        known = zip(left, chances, drawn.asked.tolist(), strict=True)
        return {f"{row}": Chance(*chance) for row, chance, is_asked in known if is_asked}

    def _voice(self, suspects: Sequence[int], audit: Mapping[str, Chance], heard: Collection[int]) -> Voice:
        cases = [self._case(row, Routed.UNCERTAIN) for row in suspects if row in heard]
        for name in sorted(audit):
            if int(name) in heard:
                cases.append(self._case(int(name), Routed.AUDIT, audit[name]))
        return voice_of(cases)

    def _scores(self, heard: Collection[int], voice: Voice) -> Floats:
        scores = self.alone.copy()
        for row in heard:
            scores[row] = voice.heard(float(self.alone[row]), agrees=bool(self.said[row] == self.given[row]))
        return scores

    def _case(self, row: int, route: Routed, chance: Chance | None = None) -> Judged:
        given, truth = {"label": str(self.given[row])}, {"label": str(self.truth[row])}
        return known_case(
            f"{row}",
            targets={**truth},
            replaced={**given} if given != truth else None,
            human=Verdict.LABELED,
            model_answer={"label": str(self.said[row])},
            past_route=route,
            chance=chance,
        )


def _found(suspects: Sequence[int], wrong: npt.NDArray[np.bool_]) -> float:
    return float(wrong[suspects].sum() / wrong.sum())


if __name__ == "__main__":
    main()
