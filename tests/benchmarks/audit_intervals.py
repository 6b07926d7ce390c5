"""How often the audit's interval holds the truth, and how wide it is, next to Wilson's of as many questions.

python tests/benchmarks/audit_intervals.py    made-up datasets, 2,000 rounds; needs no file
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from tables import Results

from pipeline.estimation.audit_draw import Chances, draw, numbers
from pipeline.estimation.audit_estimate import estimate
from pipeline.evaluation.estimates import wilson

sys.path.insert(0, str(Path(__file__).parents[1]))
from audit_worlds import INFORMATIVE, MadeUp, World, made_up

_RATES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_SIZES = ((3_000, 60), (6_000, 120), (15_000, 300), (50_000, 300))
"""Rows, and how many of them are audited by default."""
_HELP = """\
Each round makes up a dataset of 3,000 to 50,000 rows, of which 0.2% to 20% are wrong, with scores; draws the audit as
curate does by default, and estimates which share of the rows is wrong once the errors found are corrected. Wilson's
interval is that of as many rows drawn uniformly, for the rows that it leaves.
  coverage   the share of the rounds in which the interval holds the truth; it should be 95%
  above      the share in which the truth is above it
  width      the mean width of the interval, divided by the mean width of Wilson's
"""
Round = tuple[bool, bool, float, bool, float]


def one(world: World, rate: float, chance: np.random.Generator) -> Round:
    """Whether the interval holds the truth, whether that is above it, its width; the first and the last of Wilson's."""
    rows, size = _SIZES[chance.integers(len(_SIZES))]
    return audited(made_up(world, rate, rows, chance), size)


def audited(made: MadeUp, size: float) -> Round:
    """The same for given rows and an expected number of questions."""
    rows = len(made.scores)
    chances = draw(numbers(made.hashes), made.scores, size, Chances.none(rows))
    asked = chances.drawn(numbers(made.hashes))
    found = estimate(chances, asked, asked & made.wrong, rows)
    if found is None:
        raise RuntimeError("nothing was drawn")
    truth = (made.wrong & ~asked).mean()
    uniform = np.argsort(made.hashes)[: asked.sum()]
    peer, left = wilson(int(made.wrong[uniform].sum()), len(uniform)), 1 - len(uniform) / rows
    remains = (made.wrong.sum() - made.wrong[uniform].sum()) / rows
    held = bool(peer.low * left <= remains <= peer.high * left)
    return (
        bool(found.low <= truth <= found.high),
        bool(truth > found.high),
        found.high - found.low,
        held,
        ((peer.high - peer.low) * left),
    )


def row(name: str, rounds: Sequence[Round]) -> tuple[str, ...]:
    """A line of the table, after its title."""
    held, above, width, peer_held, peer_width = np.array(rounds, dtype=float).T
    shares = f"{held.mean():.1%}", f"{above.mean():.1%}", f"{peer_held.mean():.1%}"
    return name, str(len(rounds)), *shares, f"{width.mean() / peer_width.mean():.2f}"


def rounds_parser(about: str) -> argparse.ArgumentParser:
    """The options of a benchmark that repeats rounds and shows a table."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    return parser


def show(title: str, first: str, rows: list[tuple[str, ...]], markdown: Path | None) -> None:
    """Show the lines of the table, of which ``first`` names the first column, and write it if there is a file."""
    results = Results(title, (first, "rounds", "coverage", "above", "Wilson's coverage", "width"), rows)
    results.show(Console())
    if markdown:
        markdown.write_text(results.markdown(), encoding="utf-8")


def main() -> None:
    """Simulate, and show the table."""
    options = rounds_parser(_HELP).parse_args()
    chance = np.random.default_rng(options.seed)
    found: dict[tuple[World, float], list[Round]] = {}
    for number in range(options.rounds):
        world, rate = list(World)[number % len(World)], _RATES[number // len(World) % len(_RATES)]
        found.setdefault((world, rate), []).append(one(world, rate, chance))
    rows = [row(world, [r for (of, _), rounds in found.items() if of is world for r in rounds]) for world in World]
    for rate in _RATES:
        some = [r for (_, of), rounds in found.items() if of == rate for r in rounds]
        rows.append(row(f"all, {rate:.1%} wrong", some))
    rows.append(
        row("all that know something", [r for (of, _), some in found.items() if of in INFORMATIVE for r in some])
    )
    rows.append(row("all", [r for some in found.values() for r in some]))
    show("The audit's interval", "scores", rows, options.markdown)


if __name__ == "__main__":
    main()
