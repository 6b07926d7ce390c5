"""How many labels a consensus gets right, next to the majority and crowd-kit, in real and simulated crowds.

python tests/benchmarks/consensus.py FOLDER --python peers/bin/python    10 minutes
python tests/benchmarks/consensus.py FOLDER --seeds 5                     half a minute, without crowd-kit
"""

import argparse
import csv
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from crowds import FAMILIES, MISLED, Crowd, Integers, crowd, misled
from rich.console import Console
from tables import Results

from pipeline.agreement.alpha import krippendorff
from pipeline.agreement.field_consensus import consensus_of_field

_SETS = ("rte", "d_sentiment", "web")
_PEERS = ("MajorityVote", "DawidSkene", "OneCoinDawidSkene")
_FRESH = 1000
"""The first seed: none of these crowds was looked at when settings were chosen."""
_HELP = """\
FOLDER has the folders rte, d_sentiment and web of github.com/yuan-li/truth-inference-at-scale, with label.csv (item,
worker,label) and truth.csv (item,truth). Settings were chosen on simulated crowds of other seeds.
PEERS is an environment of its own: python3 -m venv peers; peers/bin/pip install crowd-kit
Its GLAD and MACE are slow and below its DawidSkene on all three sets; Wawa and ZeroBasedSkill fail with pandas 3.
"""
Found = tuple[Integers, float]
"""Labels by item, and CPU seconds."""


def _majority(votes: Integers, labels: int) -> Integers:
    """Ties go to the first label."""
    counts = np.zeros((votes[:, 0].max() + 1, labels))
    np.add.at(counts, (votes[:, 0], votes[:, 2]), 1)
    return counts.argmax(axis=1)


def _timed(call: Callable[[], Integers]) -> Found:
    started = time.process_time()
    return call(), time.process_time() - started


def _ours(votes: Integers) -> Integers:
    found = consensus_of_field(votes)
    labels = np.zeros(votes[:, 0].max() + 1, dtype=np.int64)
    labels[found.items] = found.label
    return labels


def _peers(python: str, crowds: dict[str, Integers], names: tuple[str, ...]) -> dict[str, dict[str, Found | str]]:
    """By crowd and aggregator: its labels, or how it failed."""
    with tempfile.TemporaryDirectory() as place:
        for name, votes in crowds.items():
            np.save(Path(place) / f"{name}.npy", votes)
        script = Path(__file__).with_name("consensus_peers.py")
        subprocess.run([python, script, place, *names], check=True, capture_output=True)
        read = {name: json.loads((Path(place) / f"{name}.json").read_text(encoding="utf-8")) for name in crowds}
    found: dict[str, dict[str, Found | str]] = {}
    for crowd_name, by_name in read.items():
        found[crowd_name] = {}
        for name, (labels, seconds) in by_name.items():
            if isinstance(labels, str):
                found[crowd_name][name] = labels
                continue
            array = np.zeros(crowds[crowd_name][:, 0].max() + 1, dtype=np.int64)
            array[[int(item) for item in labels]] = list(labels.values())
            found[crowd_name][name] = array, seconds
    return found


def _read(path: Path) -> Integers:
    with path.open(encoding="utf-8") as file:
        return np.array([[int(cell) for cell in row] for row in list(csv.reader(file))[1:]])


def real(folder: Path, python: str | None) -> Results:
    """The three sets: share of right labels, and CPU seconds."""
    votes = {name: _read(folder / name / "label.csv") for name in _SETS}
    truths = {name: _read(folder / name / "truth.csv") for name in _SETS}
    rows: dict[str, list[str]] = {}

    def add(method: str, name: str, found: Found | str) -> None:
        if isinstance(found, str):
            rows.setdefault(method, []).append("fails")
            return
        truth = truths[name]
        share = (found[0][truth[:, 0]] == truth[:, 1]).mean()
        rows.setdefault(method, []).append(f"{share:.2%} ({found[1]:.2f} s)")

    found = _peers(python, votes, _PEERS) if python else {}
    for name in _SETS:
        labels = int(votes[name][:, 2].max()) + 1
        add("**Goldleaf**", name, _timed(lambda name=name: _ours(votes[name])))
        add("majority, first of ties", name, _timed(lambda name=name, labels=labels: _majority(votes[name], labels)))
        for peer, answer in found.get(name, {}).items():
            add(f"crowd-kit {peer}", name, answer)
    alphas = [krippendorff(votes[name]) for name in _SETS]
    rows["(Krippendorff's alpha)"] = [f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})" for one in alphas]
    sizes = [f"{name}: {len(truths[name]):,} items, {len(votes[name]):,} votes" for name in _SETS]
    return Results("Several annotators, one label", ("", *sizes), [(name, *cells) for name, cells in rows.items()])


def simulated(seeds: int, python: str | None) -> Results:
    """Crowds of fresh seeds: mean share of right labels."""
    rows = []
    for family in FAMILIES:
        crowds = {f"{family}{seed}": crowd(seed, family) for seed in range(_FRESH, _FRESH + seeds)}
        shares = {name: _shares(one) for name, one in crowds.items()}
        if python:
            peers = _peers(python, {name: one.votes for name, one in crowds.items()}, ("DawidSkene",))
            for name, one in crowds.items():
                answer = peers[name]["DawidSkene"]
                assert not isinstance(answer, str), answer
                shares[name]["crowd-kit DawidSkene"] = float((answer[0] == one.truth[: len(answer[0])]).mean())
        means = {
            method: np.mean([share[method] for share in shares.values()]) for method in next(iter(shares.values()))
        }
        worse = np.mean([share["**Goldleaf**"] < share["majority"] - 1e-9 for share in shares.values()])
        rows.append((family, *(f"{mean:.1%}" for mean in means.values()), f"{worse:.0%}"))
    columns = ("", *means, "Goldleaf below majority")
    return Results(f"Simulated crowds, {seeds} of each size", columns, rows)


def _shares(one: Crowd) -> dict[str, float]:
    items = np.unique(one.votes[:, 0])

    def share(labels: Integers) -> float:
        return float((labels == one.truth[items]).mean())

    return {
        "majority": share(_majority(one.votes, one.labels)[items]),
        "**Goldleaf**": share(consensus_of_field(one.votes, one.labels).label),
    }


def told_right(folder: Path, seeds: int) -> Results:
    """How often contradicted items are right by how likely they are called, and how far the majority is above."""
    rows = []
    for name in _SETS:
        truth = _read(folder / name / "truth.csv")
        rows.append((name, *_told([(_read(folder / name / "label.csv"), truth, None)])))
    for family in (*FAMILIES, *MISLED):
        crowds = [(misled if family in MISLED else crowd)(seed, family) for seed in range(_FRESH, _FRESH + seeds)]
        for known in (0, 30):
            told = [(one.votes, np.column_stack([np.arange(len(one.truth)), one.truth]), known) for one in crowds]
            rows.append((f"{family}, {known} known" if known else family, *_told(told)))
    columns = (
        "",
        "majority, lots among equals",
        "**Goldleaf**",
        "0.3 points below",
        "worst",
        "called 0.75 to 0.85",
    )
    return Results("Chances and the majority", columns, rows)


def _told(crowds: list[tuple[Integers, Integers, int | None]]) -> list[str]:
    shares, called = [], []
    for votes, truth, known in crowds:
        found = consensus_of_field(votes, int(votes[:, 2].max()) + 1, truth[: known or 0])
        counts = np.zeros((int(votes[:, 0].max()) + 1, found.probabilities.shape[1]))
        np.add.at(counts, (votes[:, 0], votes[:, 2]), 1)
        asked = truth[known or 0 :]
        asked = asked[np.isin(asked[:, 0], found.items) & (asked[:, 1] < counts.shape[1])]
        at, mine = np.searchsorted(found.items, asked[:, 0]), counts[asked[:, 0]]
        most = mine == mine.max(axis=1, keepdims=True)
        right = found.label[at] == asked[:, 1]
        shares.append(
            (float((most[np.arange(len(asked)), asked[:, 1]] / most.sum(axis=1)).mean()), float(right.mean()))
        )
        is_contradicted = mine.max(axis=1) < mine.sum(axis=1)
        is_called = is_contradicted & (np.abs(found.probability[at] - 0.8) < 0.05)
        called.append((int(right[is_called].sum()), int(is_called.sum())))
    gain = np.array([mine - majority for majority, mine in shares])
    hits, of = np.sum(called, axis=0)
    means = [f"{value:.1%}" for value in np.mean(shares, axis=0)]
    return [*means, f"{(gain < -0.003).mean():.0%}", f"{100 * gain.min():+.1f}", f"{hits / of:.0%} of {of:,} right"]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", help="of an environment with crowd-kit")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    tables = [real(given.folder, given.python), simulated(given.seeds, given.python)]
    tables.append(told_right(given.folder, given.seeds))
    for table in tables:
        table.show(Console())
    if given.markdown:
        given.markdown.write_text("\n".join(table.markdown() for table in tables), encoding="utf-8")


if __name__ == "__main__":
    main()
