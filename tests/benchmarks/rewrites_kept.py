"""What it costs in accuracy, and saves in time, to judge rewritten texts by what was kept of others.

python tests/benchmarks/rewrites_kept.py DISFL_QA FOLDER                 4 minutes
python tests/benchmarks/rewrites_kept.py DISFL_QA FOLDER --rows 5000     1 minute
"""

import argparse
import random
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from corpus import corpus
from planted import FAULTS, Pair, plant
from rewrites import read_pairs
from rich.console import Console
from scipy.stats import spearmanr
from tables import Results

from pipeline.label_errors.rewrites import Rewrite, RewriteScore, judge_rewrites, learn_rewrites

_SHARE = 0.02
_TOP = 0.1
_KEPT_SENTENCES, _KEPT_WORDS = 0.75, 0.9
_HELP = """\
DISFL_QA contains train.json and dev.json of Disfl-QA; in FOLDER the corpus of corpus.py is written.

Each of five faults is planted in 2% of the rows. All rows are scored at once, as `curate` did before; then some are
learned from, and the others judged by what was kept. Of these others: the rank correlation of the two scores, how many
of the planted faults are among their highest tenth, and in how many rows the same rules have a finding, of all rows
and of those where any rule has one. CPU seconds are those of this process, libraries loaded.
"""
_COLUMNS = (
    "learned from, judged",
    "rank correlation",
    "found at once",
    "found by kept",
    "same rules",
    "of findings",
    "at once, a row",
    "by kept, a row",
    "kept",
)


def _prompts(folder: Path, rows: int) -> list[Pair]:
    """Prompts and responses that have nothing to do with each other: which words go together has to be learned."""
    table = pl.read_parquet(corpus(folder, rows).parts)
    return list(zip(table["prompt"], table["response"], strict=True))


def _shortened(folder: Path, rows: int) -> list[Pair]:
    """The same texts, and what is left without some of their sentences and words."""
    draw, found = random.Random(5), []
    for prompt, response in _prompts(folder, rows):
        original = f"{prompt} {response}"
        sentences = original.split(". ")
        left = [sentence for sentence in sentences if draw.random() < _KEPT_SENTENCES] or sentences
        words = ". ".join(left).split()
        found.append((original, " ".join([*(word for word in words[:-1] if draw.random() < _KEPT_WORDS), words[-1]])))
    return found


def _translated(rows: int) -> list[Pair]:
    sys.path.append(str(Path(__file__).parents[1]))
    import rewritten

    return rewritten.german(rows)


# --- comparing ------------------------------------------------------------------------------------
def _timed(score: Callable[[], Sequence[RewriteScore] | None], rows: int) -> tuple[Sequence[RewriteScore], float]:
    """The scores, and microseconds of CPU for each row."""
    began = time.process_time()
    found = score() or []
    return found, (time.process_time() - began) * 1e6 / rows


def _lines(pairs: list[Pair], learned: Sequence[int], seed: int) -> list[tuple[str, ...]]:
    planted = plant(pairs, FAULTS, _SHARE, seed)
    rows = [Rewrite(original, answer, str(number)) for number, (original, answer) in enumerate(planted.pairs)]
    is_wrong = np.array([bool(fault) for fault in planted.faults])
    # The first use of a library is not counted.
    judge_rewrites(rows[:50], learn_rewrites(rows[:100])[1])
    at_once, spent = _timed(lambda: learn_rewrites(rows)[0], len(rows))
    order = np.random.default_rng(seed).permutation(len(rows))
    return [_line(rows, at_once, spent, is_wrong, order, size) for size in learned]


def _line(
    rows: list[Rewrite],
    at_once: Sequence[RewriteScore],
    spent_at_once: float,
    is_wrong: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int64],
    size: int,
) -> tuple[str, ...]:
    kept = learn_rewrites([rows[row] for row in order[:size]])[1]
    others = [rows[row] for row in order[size:]]
    judged, spent = _timed(lambda: judge_rewrites(others, kept), len(others))
    once, wrong = [at_once[row] for row in order[size:]], is_wrong[order[size:]]
    same = np.array([_rules(one) == _rules(other) for one, other in zip(once, judged, strict=True)])
    found = np.array([bool(one.findings or other.findings) for one, other in zip(once, judged, strict=True)])
    correlation = spearmanr([one.score for one in once], [one.score for one in judged]).statistic
    return (
        f"{size:,}, {len(others):,}",
        f"{correlation:.3f}",
        f"{_found(once, wrong):.1%}",
        f"{_found(judged, wrong):.1%}",
        f"{np.mean(same):.2%}",
        f"{np.mean(same[found]):.1%}",
        f"{spent_at_once:,.0f} µs",
        f"{spent:,.0f} µs",
        f"{sum(array.nbytes for array in kept.values()) / 1e6:.1f} MB",
    )


def _rules(score: RewriteScore) -> frozenset[str]:
    return frozenset(finding.rule for finding in score.findings)


def _found(scores: Sequence[RewriteScore], is_wrong: npt.NDArray[np.bool_]) -> float:
    """How many of the planted faults are among the highest scores; of equal ones the first rows."""
    values = np.array([one.score for one in scores])
    batch = np.argsort(-values, kind="stable")[: round(_TOP * len(values))]
    return float(is_wrong[batch].sum() / is_wrong.sum())


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("disfl_qa", type=Path, help="the folder with train.json and dev.json of Disfl-QA")
    parser.add_argument("folder", type=Path, help="where the corpus is, or is written")
    parser.add_argument("--rows", type=int, default=50_000, metavar="N", help="of the corpus (default 50,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    asked = parser.parse_args(given)
    warnings.simplefilter("error")
    rows = asked.rows
    sets = {
        "Disfl-QA": read_pairs(asked.disfl_qa, "train.json") + read_pairs(asked.disfl_qa, "dev.json"),
        "translations made from templates": _translated(4_000),
        "the corpus, shortened": _shortened(asked.folder, rows),
        "the corpus, prompts and responses": _prompts(asked.folder, rows),
    }
    console, results = Console(width=max(Console().width, 150)), []
    for name, pairs in sets.items():
        size = len(pairs)
        characters = np.mean([len(original) + len(answer) for original, answer in pairs])
        lines = _lines(pairs, (size * 9 // 10, size // 10), asked.seed)
        results.append(Results(f"{name}: {size:,} rows of {characters:,.0f} characters", _COLUMNS, lines))
        results[-1].show(console)
    if asked.markdown:
        asked.markdown.write_text("\n".join(found.markdown() for found in results), encoding="utf-8")


if __name__ == "__main__":
    main()
