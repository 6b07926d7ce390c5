"""How many planted errors are found in rows that come later, by what was kept of the others, next to all at once.

python tests/benchmarks/later_rows.py labels FILE    needs a CSV or JSONL file with a text and a label in every line
python tests/benchmarks/later_rows.py sets FILE      the same; lines of one text become one row with a set of labels
python tests/benchmarks/later_rows.py slots FOLDER   needs the files of Snips
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import label_sets
import numpy as np
import numpy.typing as npt
from extraction_errors import plant, read_rows
from label_errors import Corpus
from rich.console import Console
from tables import Results

from pipeline.label_errors.classifier import LabeledTexts, judge_label_errors, learn_label_errors
from pipeline.label_errors.extractions import Extracted, judge_values, learn_values
from pipeline.label_errors.kept_arrays import Kept
from pipeline.label_errors.label_sets import judge_label_sets, learn_label_sets
from schemas.field import TargetField, ValueType

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_LATER = 0.1
_SEED = 17
_HELP = """\
A tenth of the rows, drawn at random, comes later; with --new-groups a tenth of the groups. Planted everywhere: of
labels, a tenth is flipped to one of the three most similar (label_errors.py, which also says what the options are); of
sets, a tenth has a label replaced by a similar one (label_sets.py); of rows with slots, a fifth has a fault
(extraction_errors.py).
  found    the share of the wrong later rows that are in the tenth of the later rows with the highest scores; of slots,
           in the fifth
  mean     the mean score of the later rows: how many are wrong, if scores are probabilities; next to how many are
  CPU s    in one thread: of scoring all rows by cross-validation; of learning from nine tenths, their scores included;
           of judging the later ones, the first time
  MB       of what is kept

  python tests/benchmarks/later_rows.py labels banking77/train.csv --label category
  python tests/benchmarks/later_rows.py labels cuad/clauses.jsonl --text clause --group contract --any-of
  python tests/benchmarks/later_rows.py sets cuad/clauses.jsonl --text clause --group contract
  python tests/benchmarks/later_rows.py slots snips
"""


class Rows(Protocol):
    """Rows with planted errors."""

    wrong: Bools
    groups: Sequence[str]
    budget: float
    """Of the later rows, the share whose highest scores are looked at."""

    def all_at_once(self) -> Floats:
        """The scores of all rows by each other."""

    def learn(self, rows: Ints) -> Kept:
        """What is kept of some rows."""

    def judge(self, rows: Ints, kept: Kept) -> Floats:
        """The scores of others by that."""


# --- rows -----------------------------------------------------------------------------------------
class Labels:
    """Texts with a label each."""

    budget = 0.1

    def __init__(self, corpus: Corpus, seed: int) -> None:
        self._corpus, self._given = corpus, corpus.flipped("similar", seed)
        self._also = corpus.also(self._given) if corpus.any_of else [set()] * len(self._given)
        self.wrong, self.groups = self._given != corpus.given, corpus.groups

    def all_at_once(self) -> Floats:
        return _numbers(learn_label_errors(self._rows(np.arange(len(self.wrong))), _SEED)[0].score)

    def learn(self, rows: Ints) -> Kept:
        return learn_label_errors(self._rows(rows), _SEED)[1]

    def judge(self, rows: Ints, kept: Kept) -> Floats:
        return _numbers(judge_label_errors(self._rows(rows), kept).score)

    def _rows(self, rows: Ints) -> LabeledTexts:
        texts, groups, also = (_some(column, rows) for column in (self._corpus.texts, self.groups, self._also))
        return LabeledTexts(texts, [self._corpus.labels[code] for code in self._given[rows]], groups, also=also)


class Sets:
    """Texts with sets of labels."""

    budget = 0.1

    def __init__(self, corpus: label_sets.Corpus, seed: int) -> None:
        mistakes = label_sets.MISTAKES["replaced by a similar one"](corpus, np.random.default_rng(seed))
        self._corpus, self._sets = corpus, corpus.named(corpus.given ^ mistakes)
        self.wrong, self.groups = mistakes.any(axis=1), corpus.groups

    def all_at_once(self) -> Floats:
        return _numbers(learn_label_sets(*self._columns(np.arange(len(self.wrong))), _SEED)[0].score)

    def learn(self, rows: Ints) -> Kept:
        return learn_label_sets(*self._columns(rows), _SEED)[1]

    def judge(self, rows: Ints, kept: Kept) -> Floats:
        return _numbers(judge_label_sets(*self._columns(rows), kept).score)

    def _columns(self, rows: Ints) -> tuple[Any, ...]:
        texts, sets, groups = (_some(column, rows) for column in (self._corpus.texts, self._sets, self.groups))
        return texts, sets, self._corpus.labels, groups


class Slots:
    """Texts with values that are copied from them."""

    budget = 0.2

    def __init__(self, rows: Sequence[dict[str, Any]], seed: int) -> None:
        mixed = list(rows)
        random.Random(seed).shuffle(mixed)
        planted = plant(mixed, seed)
        self._fields = [TargetField(name=slot, type=ValueType.TEXT, optional=True) for slot in planted.slots]
        values = [{name: value for name, value in row.items() if name != "text"} for row in planted.rows]
        self.groups = [str(number) for number in range(len(values))]
        self._rows = [Extracted(row["text"], *one) for row, *one in zip(planted.rows, values, self.groups, strict=True)]
        self.wrong = np.array([fault != "" for fault in planted.faults])

    def all_at_once(self) -> Floats:
        return _numbers([row.score for row in learn_values(self._rows, self._fields, _SEED)[0].rows])

    def learn(self, rows: Ints) -> Kept:
        return learn_values(_some(self._rows, rows), self._fields, _SEED)[1]

    def judge(self, rows: Ints, kept: Kept) -> Floats:
        return _numbers([row.score for row in judge_values(_some(self._rows, rows), self._fields, kept).rows])


def _some(column: Sequence[Any], rows: Ints) -> list[Any]:
    return [column[row] for row in rows.tolist()]


def _numbers(scores: Sequence[float | None]) -> Floats:
    return np.array([score or 0.0 for score in scores])


# --- what is measured -----------------------------------------------------------------------------
@dataclass(frozen=True)
class Line:
    """What came of one seed."""

    found: float
    found_later: float
    mean: float
    mean_later: float
    wrong: float
    cpu: float
    cpu_learning: float
    cpu_judging: float
    rows: int
    size: float
    """Of what is kept, in MB."""


def measured(rows: Rows, seed: int, new_groups: bool) -> Line:
    """Compare both ways of judging the later rows."""
    learned, later = _divided(rows, seed, new_groups)
    scores, cpu = _timed(rows.all_at_once)
    kept, cpu_learning = _timed(lambda: rows.learn(learned))
    judged, cpu_judging = _timed(lambda: rows.judge(later, kept))
    wrong, before = rows.wrong[later], scores[later]
    return Line(
        _found(before, wrong, rows.budget),
        _found(judged, wrong, rows.budget),
        float(before.mean()),
        float(judged.mean()),
        float(wrong.mean()),
        cpu,
        cpu_learning,
        cpu_judging,
        len(later),
        sum(array.nbytes for array in kept.values()) / 1e6,
    )


def _divided(rows: Rows, seed: int, new_groups: bool) -> tuple[Ints, Ints]:
    """The rows that are learned from, and the later ones."""
    chance = np.random.default_rng(seed)
    of_row = np.unique(rows.groups, return_inverse=True)[1] if new_groups else np.arange(len(rows.wrong))
    drawn = chance.permutation(of_row.max() + 1)
    is_later = np.isin(of_row, drawn[: round(_LATER * len(drawn))])
    return chance.permutation(np.flatnonzero(~is_later)), chance.permutation(np.flatnonzero(is_later))


def _found(scores: Floats, wrong: Bools, budget: float) -> float:
    first = np.argsort(-scores, kind="stable")[: int(np.ceil(budget * len(scores)))]
    return float(wrong[first].sum() / wrong.sum())


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    found = work()
    return found, time.process_time() - started


def _table(lines: Sequence[Line], title: str) -> Results:
    def mean(name: str) -> float:
        return float(np.mean([getattr(line, name) for line in lines]))

    rate = sum(line.rows for line in lines) / sum(line.cpu_judging for line in lines)
    cells = [
        ("all at once", f"{mean('found'):.1%}", f"{mean('mean'):.1%}", f"{mean('cpu'):.1f}", ""),
        (
            "**by what was kept**",
            f"{mean('found_later'):.1%}",
            f"{mean('mean_later'):.1%}",
            f"{mean('cpu_learning'):.1f} + {mean('cpu_judging'):.2f}",
            f"{mean('size'):.1f}",
        ),
    ]
    spread = [100 * (line.found_later - line.found) for line in lines]
    differences = f"{min(spread):+.1f} to {max(spread):+.1f} points"
    note = (
        f"{len(lines)} seeds, differences of found {differences}. Of {mean('rows'):,.0f} later rows, "
        f"{mean('wrong'):.1%} are wrong; {rate:,.0f} are judged in a CPU second."
    )
    return Results(title, ("scores", "found", "mean", "CPU s", "MB"), cells, note)


def _reader(asked: argparse.Namespace) -> Callable[[int], Rows]:
    if asked.what == "labels":
        corpus = Corpus.read(asked.place, asked.text, asked.label, asked.group, asked.any_of)
        return lambda seed: Labels(corpus, seed)
    if asked.what == "sets":
        sets = label_sets.Corpus.read(asked.place, asked.text, asked.label, asked.group)
        return lambda seed: Sets(sets, seed)
    requests = read_rows(asked.place, [])
    return lambda seed: Slots(requests, seed)


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("labels", "sets", "slots"))
    parser.add_argument("place", type=Path, help="a file, or a folder with those of Snips")
    parser.add_argument("--text", default="text", help="the key of the text (default: text)")
    parser.add_argument("--label", default="label", help="the key of the label (default: label)")
    parser.add_argument("--group", default="", help="the key of what rows belong to (default: none)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="(default: 1 to 5)")
    parser.add_argument("--any-of", action="store_true", help="a text may have several labels, each in its own row")
    parser.add_argument("--new-groups", action="store_true", help="later rows are of groups that come later")
    asked = parser.parse_args(given)
    read, lines = _reader(asked), list[Line]()
    for seed in asked.seeds:
        lines.append(measured(read(seed), seed, asked.new_groups))
        print(seed, lines[-1], file=sys.stderr, flush=True)
    _table(lines, f"{asked.what} of {asked.place}").show(Console(width=max(Console().width, 120)))


if __name__ == "__main__":
    # Threads of a library for matrices would count as CPU seconds, and wait for each other.
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(
            sys.executable,
            [sys.executable, *sys.argv],
            {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    main()
