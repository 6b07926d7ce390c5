"""How often ``review.error_rate`` accepts a dataset whose error is above the target, and how many questions it asks.

python tests/benchmarks/error_rate.py    made-up datasets, 500 of them; needs no file
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from tables import Results

from pipeline.estimation.audit_draw import Chances, draw, numbers
from pipeline.estimation.error_curve import error_curve
from pipeline.estimation.error_target import Rows, next_questions

sys.path.insert(0, str(Path(__file__).parents[1]))
from audit_worlds import INFORMATIVE, World, made_up

_TARGET = 0.02
_RATES = (0.03, 0.06, 0.1)
_ROWS = (1_000, 3_000, 10_000)
_HELP = """\
Each dataset has 1,000 to 10,000 rows, of which 3, 6 or 10% are wrong. Batches of a tenth of the rows, at most 500, are
answered by annotators who are right, until the error of the rest is proven to be below 2%.
  above      the share of the datasets in which it is not; at most 5% are allowed
  asked      the share of the rows that were asked about
  batches    how many there were
  left       the mean share of rows that is still wrong
  forecast   before each batch but the first: how often the errors in it are within the forecast's 95% band
"""
Outcome = tuple[bool, float, int, float, float]


def one(world: World, rate: float, rows: int, chance: np.random.Generator) -> Outcome:
    """Ask until the target is proven."""
    made = made_up(world, rate, rows, chance)
    spots, batch = numbers(made.hashes), min(500, rows // 10)
    chances, look, held = draw(made.hashes, made.scores, batch, Chances.none(rows)), 0, []
    while True:
        look += 1
        asked = chances.drawn(spots)
        plan = next_questions(Rows(chances, spots, asked, asked & made.wrong, rows), _TARGET, batch, look)
        if plan.proven or asked.all():
            left = float((made.wrong & ~asked).mean())
            return left > _TARGET, float(asked.mean()), look, left, float(np.mean(held)) if held else np.nan
        following = plan.chances.drawn(spots) & ~asked
        forecast = error_curve(made.scores[asked], made.wrong[asked]).forecast(made.scores[following])
        held.append(forecast.low <= made.wrong[following].sum() <= forecast.high)
        chances = plan.chances


def _row(name: str, found: list[Outcome]) -> tuple[str, ...]:
    above, asked, looks, left, held = np.array(found, dtype=float).T
    return (
        name,
        str(len(found)),
        f"{above.mean():.1%}",
        f"{asked.mean():.0%}",
        f"{looks.mean():.1f}",
        (f"{left.mean():.2%}"),
        f"{np.nanmean(held):.0%}",
    )


def main() -> None:
    """Simulate, and show the table."""
    parser = argparse.ArgumentParser(description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    chance, found = np.random.default_rng(options.seed), []
    for number in range(options.datasets):
        world, rate = list(World)[number % len(World)], _RATES[number // len(World) % len(_RATES)]
        rows = _ROWS[chance.integers(len(_ROWS))]
        found.append((world, rows, one(world, rate, rows, chance)))
    table = [_row(world, [out for of, _, out in found if of is world]) for world in World]
    table += [_row(f"all, {rows:,} rows", [out for _, of, out in found if of == rows]) for rows in _ROWS]
    table.append(_row("all that know something", [out for of, _, out in found if of in INFORMATIVE]))
    table.append(_row("all", [out for _, _, out in found]))
    columns = ("scores", "datasets", "above", "asked", "batches", "left", "forecast")
    results = Results("Until the error is below 2%", columns, table)
    results.show(Console())
    if options.markdown:
        options.markdown.write_text(results.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
