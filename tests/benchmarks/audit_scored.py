"""The audit's interval on real rows with the scores that our own scorer gives them, next to Wilson's and ppi-python's.

python tests/benchmarks/audit_scored.py DATA --python peers/bin/python --scores scores.npz    10 minutes, later 2
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from audit_intervals import Round, audited, rounds_parser, row, show
from audit_worlds import Floats, MadeUp
from label_errors import Corpus

from pipeline.estimation.audit_draw import Bools
from pipeline.label_errors.classifier import LabeledTexts, learn_label_errors

_SHARES, _BUDGETS, _ROWS = (0.03, 0.1), (0.03, 0.1), (3_000, 5_000, 10_000)
_AUDIT, _MOST = 0.02, 300
"""As curate does by default."""
_PEER_ROUNDS = 320
_HELP = """\
DATA has banking77/train.csv and cuad/clauses.jsonl. 3 or 10% of the labels are flipped, at random or to one of the
three most similar ones, and our scorer scores all rows; PATH keeps the scores. Each round takes the rows that are left
once the 3 or 10% with the highest scores were asked about, or a random part of them, and audits 2%.
PEERS is an environment of its own: python3 -m venv peers; peers/bin/pip install ppi-python
"""
Scored = dict[str, tuple[Floats, Bools]]
"""Scores, and what is wrong."""


def scored(data: Path, file: Path | None) -> Scored:
    """The scores of both sets, from a file if there is one."""
    found: dict[str, np.ndarray] = dict(np.load(file)) if file and file.exists() else {}
    if not found:
        sets = {
            "banking77": Corpus.read(data / "banking77/train.csv", "text", "category", ""),
            "cuad": Corpus.read(data / "cuad/clauses.jsonl", "clause", "label", "contract"),
        }
        for name, corpus in sets.items():
            for noise in ("random", "similar"):
                for share in _SHARES:
                    # A tenth is flipped; some of these get their own label back.
                    kept = np.random.default_rng(1).random(len(corpus.given)) < 10 * share
                    given = np.where(kept, corpus.flipped(noise, 1), corpus.given)
                    labels = [corpus.labels[code] for code in given]
                    scores = learn_label_errors(LabeledTexts(corpus.texts, labels, corpus.groups), 17)[0].score
                    found[f"{name}-{noise}-{share}-s"] = np.array([score or 0.0 for score in scores])
                    found[f"{name}-{noise}-{share}-w"] = given != corpus.given
        if file:
            np.savez(file, **found)
    names = sorted(name.removesuffix("-s") for name in found if name.endswith("-s"))
    return {name: (found[f"{name}-s"], found[f"{name}-w"]) for name in names}


def one(scores: Floats, wrong: Bools, budget: float, chance: np.random.Generator) -> MadeUp:
    """The rows that are audited in a round."""
    left = np.argsort(-scores, kind="stable")[round(budget * len(scores)) :]
    rows = chance.choice(left, min(len(left), _ROWS[chance.integers(len(_ROWS))]), replace=False)
    return MadeUp(scores[rows], wrong[rows], chance.integers(0, 2**64, len(rows), dtype=np.uint64))


def _peer(python: str, rounds: list[tuple[MadeUp, Round]]) -> list[Round]:
    """The interval of ppi-python, from as many rows drawn uniformly, in the place of ours."""
    with tempfile.TemporaryDirectory() as place:
        uniform = [np.argsort(made.hashes)[: round(size(made))] for made, _ in rounds]
        arrays = {}
        for at, ((made, _), asked) in enumerate(zip(rounds, uniform, strict=True)):
            rest = np.setdiff1d(np.arange(len(made.scores)), asked)
            arrays |= {f"y{at}": made.wrong[asked], f"f{at}": made.scores[asked], f"rest{at}": made.scores[rest]}
        np.savez(Path(place) / "in.npz", **arrays)
        subprocess.run([python, Path(__file__).with_name("audit_peers.py"), place], check=True)
        ends = json.loads((Path(place) / "out.json").read_text(encoding="utf-8"))
    found = []
    for (made, (*_, held, width)), asked, (low, high) in zip(rounds, uniform, ends, strict=True):
        left = 1 - len(asked) / len(made.scores)
        low, high = max(low, 0.0) * left, high * left
        truth = (made.wrong.sum() - made.wrong[asked].sum()) / len(made.scores)
        found.append((bool(low <= truth <= high), bool(truth > high), high - low, held, width))
    return found


def size(made: MadeUp) -> float:
    """How many questions are expected."""
    return min(_AUDIT * len(made.scores), _MOST)


def main() -> None:
    """Audit, and show the table."""
    parser = rounds_parser(_HELP)
    parser.add_argument("data", type=Path)
    parser.add_argument("--python", help="of an environment with ppi-python")
    parser.add_argument("--scores", type=Path, metavar="PATH", help="where the scores are kept")
    options = parser.parse_args()
    chance, sets = np.random.default_rng(options.seed), scored(options.data, options.scores)
    found: dict[tuple[str, float], list[Round]] = {}
    shown: list[tuple[MadeUp, Round]] = []
    for number in range(options.rounds):
        name, budget = list(sets)[number % len(sets)], _BUDGETS[number // len(sets) % len(_BUDGETS)]
        made = one(*sets[name], budget, chance)
        round_ = audited(made, size(made))
        found.setdefault((name, budget), []).append(round_)
        shown += [(made, round_)] if len(shown) < _PEER_ROUNDS else []
    rows = [row(f"{name}, budget {budget:.0%}", rounds) for (name, budget), rounds in sorted(found.items())]
    rows.append(row("**all**", [round_ for rounds in found.values() for round_ in rounds]))
    if options.python:
        rows.append(row("ppi-python, from as many rows drawn uniformly", _peer(options.python, shown)))
    show("The audit's interval by the scores of our own scorer", "set, flipped labels", rows, options.markdown)


if __name__ == "__main__":
    main()
