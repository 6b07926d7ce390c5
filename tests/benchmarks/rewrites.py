"""How many wrong answers Goldleaf finds among rewritten texts, next to simpler measures, on Disfl-QA and made-up sets.

python tests/benchmarks/rewrites.py FOLDER                 4 to 7 minutes
python tests/benchmarks/rewrites.py FOLDER --seeds 1       3 minutes
"""

import argparse
import json
import math
import random
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from planted import FAULTS, Pair, Planted, plant
from rich.console import Console
from tables import Results

from pipeline.label_errors.rewrite_columns import read_rows
from pipeline.label_errors.rewrites import Rewrite, RewriteScore, learn_rewrites

Scores = npt.NDArray[np.float64]
Measure = Callable[[list[Pair]], Scores]
_SHARE = 0.05
_AUTHORED = 400
_SCALES = (10_000, 100_000)
_HELP = """\
FOLDER contains train.json and dev.json of Disfl-QA (github.com/google-research-datasets/Disfl-QA):
questions with a slip of the tongue, which is the original, and without it, which is the answer.

Planted in 5% of the rows each: the original instead of an answer ("copied"), an answer cut after
30 to 80% of its words, another number (only in answers that have one), a name of another row, the
answer of another row. An annotator looks at the rows with the highest scores, 25% of all: how many
of the planted faults are among them? The rules were tuned on train.json with seeds 0 and 1;
dev.json is held out. Rows that are no planted fault may be wrong as well: --natural 30 prints some.
"""


# --- measures -------------------------------------------------------------------------------------
def _rows(pairs: Sequence[Pair]) -> list[Rewrite]:
    return [Rewrite(original, answer, str(number)) for number, (original, answer) in enumerate(pairs)]


def _ours(pairs: list[Pair]) -> Scores:
    return np.array([row.score for row in learn_rewrites(_rows(pairs))[0]])


def _random(pairs: list[Pair]) -> Scores:
    return np.random.default_rng(len(pairs)).random(len(pairs))


def _length_ratio(pairs: list[Pair]) -> Scores:
    ratio = np.log([(len(answer) + 1) / (len(original) + 1) for original, answer in pairs])
    return np.abs(ratio - np.median(ratio))


def _cosine(**settings: object) -> Measure:
    def measure(pairs: list[Pair]) -> Scores:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(sublinear_tf=True, **settings)
        found = vectorizer.fit_transform([text for pair in pairs for text in pair])
        return 1 - np.asarray(found[::2].multiply(found[1::2]).sum(axis=1)).ravel()

    return measure


def _rouge(pairs: list[Pair]) -> Scores:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    return np.array([1 - scorer.score(original, answer)["rougeL"].fmeasure for original, answer in pairs])


def _rules_without_rarity(pairs: list[Pair]) -> Scores:
    """How many clues a pair has, however common they are in the set."""
    found: Scores = (read_rows(_rows(pairs), ()).verdicts > 0).sum(axis=0).astype(np.float64)
    return found + 0.5 * _ranks(_length_ratio(pairs))


def _isolation_forest(pairs: list[Pair]) -> Scores:
    from sklearn.ensemble import IsolationForest

    columns = read_rows(_rows(pairs), ())
    features = np.column_stack([_length_ratio(pairs), _cosine()(pairs), *(columns.verdicts > 0)])
    return -IsolationForest(random_state=0).fit(features).score_samples(features)


def _ranks(values: Scores) -> Scores:
    return values.argsort().argsort() / max(len(values), 1)


MEASURES: dict[str, Measure] = {
    "**Goldleaf**": _ours,
    "random": _random,
    "length ratio": _length_ratio,
    "TF-IDF cosine, words": _cosine(),
    "TF-IDF cosine, letters": _cosine(analyzer="char_wb", ngram_range=(3, 5)),
    "ROUGE-L": _rouge,
    "the same rules, without rarity": _rules_without_rarity,
    "isolation forest over them": _isolation_forest,
}


# --- faults found ---------------------------------------------------------------------------------
def _batch(scores: Scores, share: float) -> npt.NDArray[np.int64]:
    return np.lexsort((np.arange(len(scores)), -scores))[: round(share * len(scores))]


def _found(planted: Planted, scores: Scores, share: float, fault: str) -> float:
    batch = _batch(scores, share)
    return sum(planted.faults[row] == fault for row in batch) / max(planted.count(fault), 1)


def _one_at_a_time(name: str, pairs: list[Pair], seeds: Sequence[int], measures: dict[str, Measure]) -> list[Results]:
    """A set for every fault."""
    shares: dict[float, list[tuple[str, ...]]] = {0.25: [], 0.1: []}
    counts = ""
    for title, measure in measures.items():
        cells: dict[float, list[str]] = {share: [] for share in shares}
        for fault in FAULTS:
            sets = [plant(pairs, [fault], _SHARE, seed) for seed in seeds]
            scores = [measure(planted.pairs) for planted in sets]
            for share, line in cells.items():
                line.append(_percent([_found(p, s, share, fault) for p, s in zip(sets, scores, strict=True)]))
            counts += "" if title != next(iter(measures)) else f"{fault} {sets[0].count(fault):,}, "
        for share, line in cells.items():
            shares[share].append((title, *line))
    note = (
        f"{len(pairs):,} rows; planted: {counts.rstrip(', ')}. Mean of the seeds {_listed(seeds)}; the worst of them."
    )
    return [
        Results(f"{name}: one fault at a time, {share:.0%} of the rows looked at", ("measure", *FAULTS), lines, note)
        for share, lines in shares.items()
    ]


def _all_at_once(name: str, pairs: list[Pair], seeds: Sequence[int], measures: dict[str, Measure]) -> Results:
    """All faults in one set: then a quarter of its rows is wrong, and a batch of a quarter has no room for more."""
    sets = [plant(pairs, FAULTS, _SHARE, seed) for seed in seeds]
    lines = []
    for title, measure in measures.items():
        scores = [measure(planted.pairs) for planted in sets]
        for share in (0.25, 0.3):
            found = [[_found(p, s, share, fault) for p, s in zip(sets, scores, strict=True)] for fault in FAULTS]
            wrong = [
                np.mean([bool(p.faults[row]) for row in _batch(s, share)]) for p, s in zip(sets, scores, strict=True)
            ]
            lines.append((f"{title}, {share:.0%}", *map(_percent, found), _percent(wrong)))
    note = f"A quarter of the rows is planted. Mean of the seeds {_listed(seeds)}; the worst of them."
    return Results(f"{name}: all five faults at once", ("measure, looked at", *FAULTS, "planted in batch"), lines, note)


def _percent(shares: Sequence[float]) -> str:
    mean, worst = f"{np.mean(shares):.1%}", f"{min(shares):.1%}"
    return mean if mean == worst else f"{mean}; {worst}"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


# --- sets made up for this ------------------------------------------------------------------------
def _authored(seeds: Sequence[int]) -> Results:
    sys.path.append(str(Path(__file__).parents[1]))
    import rewritten

    lines = []
    for name in ("plainer", "formal", "german", "summaries"):
        for size in (40, _AUTHORED):
            pairs = getattr(rewritten, name)(size)
            cells = []
            for fault in FAULTS:
                sets = [plant(pairs, [fault], _SHARE, seed) for seed in seeds]
                cells.append(_percent([_found(planted, _ours(planted.pairs), 0.1, fault) for planted in sets]))
            lines.append((f"{name}, {size} rows", *cells, _shown(learn_rewrites(_rows(pairs))[0])))
    note = "Made from templates (tests/rewritten.py). German nouns have capitals, so its planted names are other nouns."
    columns = ("set", *FAULTS, "shown without a fault")
    return Results("Other sets: one fault at a time, 10% of the rows looked at", columns, lines, note)


def _shown(scores: Sequence[RewriteScore]) -> str:
    return f"{np.mean([bool(row.findings) for row in scores]):.1%}"


# --- natural errors -------------------------------------------------------------------------------
def _natural(pairs: list[Pair], count: int, seed: int) -> None:
    """Print rows of the batch that have no planted fault."""
    planted = plant(pairs, FAULTS, _SHARE, seed)
    scores = learn_rewrites(_rows(planted.pairs))[0]
    batch = _batch(np.array([row.score for row in scores]), 0.25).tolist()
    rows = [row for row in batch if not planted.faults[row]]
    print(f"{len(rows)} of {len(batch)} rows in the batch have no planted fault; {min(count, len(rows))} of them:\n")
    for row in sorted(random.Random(seed).sample(rows, min(count, len(rows)))):
        print(*planted.pairs[row], sep="\n  ")
        print(*(f"    {finding.rule}: {finding.detail}" for finding in scores[row].findings), sep="\n")


# --- cost -----------------------------------------------------------------------------------------
def _many(pairs: list[Pair], rows: int, *, translated: bool) -> list[Rewrite]:
    """Rows of two questions each, so that hardly any two are alike; or translations."""
    if translated:
        sys.path.append(str(Path(__file__).parents[1]))
        import rewritten

        return _rows(rewritten.german(rows))
    draw = random.Random(0)
    joined = ((draw.choice(pairs), draw.choice(pairs)) for _ in range(rows))
    return _rows([(f"{one[0]} {other[0]}", f"{one[1]} {other[1]}") for one, other in joined])


def _measure_cost(pairs: list[Pair], rows: int, *, translated: bool) -> None:
    """Score so many rows in this process, and print seconds and megabytes as JSON."""
    learn_rewrites(_rows(pairs[:100]))
    some = _many(pairs, rows, translated=translated)
    began = time.process_time()
    learn_rewrites(some)
    spent = time.process_time() - began
    # The peak that the system reports for a child begins with that of its parent.
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s+(\d+)", status.read_text(encoding="utf-8")) if status.exists() else None
    print(json.dumps([spent, int(peak.group(1)) / 1024 if peak else math.nan]))


def _cost(folder: Path) -> Results:
    lines = []
    for translated in (False, True):
        for rows in _SCALES:
            command = [sys.executable, __file__, str(folder), "--cost", str(rows), *(["--translated"] * translated)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, memory = json.loads(done.stdout)
            kind = "translations" if translated else "pairs of two questions"
            lines.append((f"{rows:,} {kind}", f"{seconds:.1f} s", f"{rows / seconds:,.0f}", f"{memory:,.0f} MB"))
    note = (
        "CPU time of one process, without imports; peak memory of the process, with Python, the rows and all libraries."
    )
    return Results("Cost", ("rows", "CPU", "rows per second", "memory"), lines, note)


def read_pairs(folder: Path, name: str) -> list[Pair]:
    """The originals and answers of a file of Disfl-QA."""
    found = json.loads((folder / name).read_text(encoding="utf-8"))
    return [(row["disfluent"], row["original"]) for row in found.values()]


def _sections(folder: Path, seeds: Sequence[int]) -> list[Results]:
    train, dev = read_pairs(folder, "train.json"), read_pairs(folder, "dev.json")
    results = []
    for name, pairs in (("train.json", train), ("dev.json, held out", dev)):
        results += _one_at_a_time(name, pairs, seeds, MEASURES)
        results.append(_all_at_once(name, pairs, seeds, MEASURES))
    return [*results, _authored(seeds), _cost(folder)]


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder with train.json and dev.json of Disfl-QA")
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="how many seeds to plant with (default 4)")
    parser.add_argument("--natural", type=int, metavar="N", help="only print N rows of the batch without planted fault")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("--cost", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--translated", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(given)
    warnings.simplefilter("error")
    if asked.cost:
        _measure_cost(read_pairs(asked.folder, "train.json"), asked.cost, translated=asked.translated)
    elif asked.natural:
        _natural(read_pairs(asked.folder, "train.json"), asked.natural, seed=0)
    else:
        console = Console(width=max(Console().width, 150))
        results = _sections(asked.folder, range(asked.seeds))
        for found in results:
            found.show(console)
        if asked.markdown:
            asked.markdown.write_text("\n".join(found.markdown() for found in results), encoding="utf-8")


if __name__ == "__main__":
    main()
