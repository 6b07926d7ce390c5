"""How well similarity measures tell a paraphrase from a different question, on the questions of Disfl-QA.

python tests/benchmarks/paraphrases.py FOLDER    includes the estimates of datasketch and rensa
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from measuring import HERE, Failed, folder, interpreter, run
from rich.console import Console
from sklearn.metrics import average_precision_score, precision_recall_curve
from tables import Results

from pipeline.similarity.pairs import similar_pairs, verify
from pipeline.similarity.text_columns import Texts
from pipeline.text.words import SHINGLE_WORDS, shingles, words

Scores = npt.NDArray[np.float64]
_SECONDS_OF_ID = 8
"""Digits of a SQuAD id that encode its time: questions about one passage were created together."""
_THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_RECALLS = (0.5, 0.7, 0.8, 0.9, 0.95)
_HELP = """\
FOLDER contains train.json and dev.json of Disfl-QA (github.com/google-research-datasets/Disfl-QA).
Each of its questions has a disfluent version, which begins with another question and then
corrects itself: "Who did no What did the government want Thoreau to do?"

Positive pairs are a disfluent version and its own question, negative ones the same version
and another question about the same passage, often the one that it begins with.

datasketch and rensa are imported by the interpreter that --python names; to install them:
  pip install datasketch rensa
"""


@dataclass(frozen=True)
class Questions:
    """Pairs of questions, and whether they ask the same."""

    texts: list[str]
    """All questions, then all disfluent versions."""
    left: npt.NDArray[np.int64]
    """Disfluent versions, by index."""
    right: npt.NDArray[np.int64]
    """Questions."""
    same: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, place: Path) -> "Questions":
        """The questions of Disfl-QA."""
        rows: dict[str, dict[str, str]] = {}
        for name in ("train.json", "dev.json"):
            rows |= json.loads((place / name).read_text(encoding="utf-8"))
        ids = sorted(rows)
        passages = defaultdict(list)
        for number, name in enumerate(ids):
            passages[name[:_SECONDS_OF_ID]].append(number)
        pairs = [(one, other) for together in passages.values() for one in together for other in together]
        own, other = np.array(pairs, dtype=np.int64).T
        texts = [rows[name][form] for form in ("original", "disfluent") for name in ids]
        return cls(texts, own + len(ids), other, own == other)


# --- measures -------------------------------------------------------------------------------------
def _word_grams(*sizes: int) -> Callable[[list[str]], set[object]]:
    def grams(found: list[str]) -> set[object]:
        return {tuple(found[at : at + size]) for size in sizes for at in range(max(len(found) - size, 0) + 1)}

    return grams


def _letter_grams(size: int) -> Callable[[list[str]], set[object]]:
    def grams(found: list[str]) -> set[object]:
        text = f" {' '.join(found)} "
        return {text[at : at + size] for at in range(max(len(text) - size, 0) + 1)}

    return grams


_OTHER_GRAMS = {
    "words": _word_grams(1),
    "2 words": _word_grams(2),
    "3 words": _word_grams(3),
    "1 and 2 words": _word_grams(1, 2),
    "3 letters": _letter_grams(3),
    "4 letters": _letter_grams(4),
    "5 letters": _letter_grams(5),
}


def _exact(questions: Questions) -> Scores:
    return verify(Texts.of(questions.texts), questions.left, questions.right).similarity


def _others(questions: Questions) -> dict[str, Scores]:
    """Measures that Goldleaf does not have."""
    cut, found = [words(text) for text in questions.texts], {}
    for name, grams_of in _OTHER_GRAMS.items():
        grams = [grams_of(some) for some in cut]
        size = np.array(list(map(len, grams)))
        pairs = zip(questions.left.tolist(), questions.right.tolist(), strict=True)
        common = np.array([len(grams[left] & grams[right]) for left, right in pairs])
        left, right = size[questions.left], size[questions.right]
        jaccard, contained = common / (left + right - common), common / np.minimum(left, right)
        found[f"{name}, Jaccard"] = jaccard
        found[f"{name}, share of the shorter text"] = contained
        found[f"{name}, 1/4 Jaccard + 3/4 share"] = jaccard / 4 + contained * 3 / 4
    return found


def _found(questions: Questions) -> dict[str, npt.NDArray[np.bool_]]:
    """What Goldleaf finds among all texts."""
    found, texts = {}, Texts.of(questions.texts)
    for threshold in _THRESHOLDS:
        pairs = similar_pairs(texts, threshold)
        near = pairs.where(pairs.similarity >= threshold)
        codes = near.left * len(texts) + near.right
        found[f"**Goldleaf, threshold {threshold}**"] = np.isin(questions.right * len(texts) + questions.left, codes)
    return found


def _estimates(questions: Questions, python: str) -> tuple[dict[str, Scores], dict[str, npt.NDArray[np.bool_]]]:
    sets = [sorted(map(" ".join, shingles(words(text)))) for text in questions.texts]
    pairs = np.stack([questions.left, questions.right], axis=1).tolist()
    with folder() as place:
        given, out = place / "in.json", place / "out.json"
        given.write_text(json.dumps({"sets": sets, "pairs": pairs}), encoding="utf-8")
        run([python, str(HERE / "estimates.py"), str(given), str(out)], place)
        made = json.loads(out.read_text(encoding="utf-8"))
    scores = {name: np.array(row, dtype=np.float64) for name, row in made["scores"].items()}
    return scores, {name: np.array(row, dtype=np.bool_) for name, row in made["found"].items()}


# --- tables ---------------------------------------------------------------------------------------
def _curves(title: str, scores: dict[str, Scores], same: npt.NDArray[np.bool_], note: str) -> Results:
    lines = []
    for name, score in scores.items():
        precision, recall, thresholds = precision_recall_curve(same, score)
        # The last point, at recall 0, has no threshold.
        precision, recall = precision[:-1], recall[:-1]
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        best = int(np.argmax(f1))
        at = (f"{f1[best]:.4f}", f"{thresholds[best]:.3f}", f"{precision[best]:.3f}", f"{recall[best]:.3f}")
        curve = [f"{precision[recall >= least].max():.3f}" for least in _RECALLS]
        lines.append((name, f"{average_precision_score(same, score):.4f}", *at, *curve))
    heads = ("measure", "area", "best F1", "at", "precision", "recall", *(f"P at R {least}" for least in _RECALLS))
    return Results(title, heads, lines, note)


def _index_table(found: dict[str, npt.NDArray[np.bool_]], same: npt.NDArray[np.bool_]) -> Results:
    lines = []
    for name, row in found.items():
        right = np.count_nonzero(row & same)
        precision, recall = right / max(np.count_nonzero(row), 1), right / np.count_nonzero(same)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        lines.append((name, f"{f1:.4f}", f"{precision:.3f}", f"{recall:.3f}"))
    note = (
        "Goldleaf verifies exactly what its index finds. For the others: bands x MinHash values per band, 128 in total."
    )
    return Results("What an index finds", ("index", "F1", "precision", "recall"), lines, note)


def _sections(questions: Questions, python: str) -> list[Results]:
    same = questions.same
    scores, found = {f"**Goldleaf: exact Jaccard of {SHINGLE_WORDS} words**": _exact(questions)}, _found(questions)
    try:
        estimated, met = _estimates(questions, python)
    except Failed as failed:
        print(
            f"datasketch and rensa are left out ({failed}); to include them: {python} -m pip install datasketch rensa"
        )
    else:
        scores |= estimated
        found |= met
    counts = f"{np.count_nonzero(same):,} positive and {np.count_nonzero(~same):,} negative pairs."
    others = "These are not in the engine. Share of the shorter text: how many of its n-grams the other text also has."
    return [
        _curves("Paraphrase or different question?", scores, same, f"{counts} Area: average precision."),
        _index_table(found, same),
        _curves("Other measures on the same pairs", _others(questions), same, others),
    ]


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder with train.json and dev.json of Disfl-QA")
    parser.add_argument(
        "--python", type=interpreter, default=sys.executable, help="the interpreter that has datasketch and rensa"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    asked = parser.parse_args(given)
    console = Console(width=max(Console().width, 150))
    results = _sections(Questions.read(asked.folder), asked.python)
    for found in results:
        found.show(console)
    if asked.markdown:
        asked.markdown.write_text("\n".join(found.markdown() for found in results), encoding="utf-8")


if __name__ == "__main__":
    main()
