"""How often ``review.error_rate`` accepts a dataset whose error is above the target, and how many questions it asks.

python tests/benchmarks/error_rate.py    made-up datasets, 500 of them; needs no file
"""

import argparse
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from tables import Results

from pipeline.estimation.audit_draw import Chances, draw, numbers
from pipeline.estimation.error_curve import error_curve
from pipeline.estimation.error_target import Rows, next_questions
from schemas.annotation import Verdict
from schemas.dataset import Review
from schemas.fate import Routed

sys.path.insert(0, str(Path(__file__).parents[1]))
from audit_worlds import INFORMATIVE, MadeUp, World, made_up
from known_cases import changed
from triage_cases import FLAGGED, PERSON, case, chance_of, run

_TARGET = 0.02
_RATES = (0.025, 0.03, 0.06, 0.1)
_ROWS = (1_000, 3_000, 10_000)
_OTHERS, _SUSPECT = 2_000, 0.1
"""Rows of the datasets that the whole triage decides, and from which score on a row is suspect."""
_MISSED, _OPEN = 0.5, 0.03
"""How often a wrong row is confirmed at first, and how often a question stays open for another day."""
_HELP = """\
Each dataset has 1,000 to 10,000 rows, of which 2.5, 3, 6 or 10% are wrong. Batches of a tenth of the rows, at most
500, are answered by annotators who are right, until the error of the rest is proven to be below 2%.
  above      the share of the datasets in which it is not; at most 5% are allowed
  asked      the share of the rows that were asked about
  batches    how many there were
  left       the mean share of rows that is still wrong
  forecast   before each batch but the first: how often the errors in it are within the forecast's 95% band
In some more datasets, decided by the whole triage, half of the rows are answered otherwise after the first batch, since
their source became gold, and a twentieth as conflicts; all of them are right, and of the others twice as many wrong.
In as many again rows with a score of 10% or more are suspects, so that all of them are asked about: every second one
from the first batch on, the others after it, when they have had their chance to be drawn. In as many again half of the
wrong rows are confirmed at first, and corrected after the next run, and the source takes the corrections over. In as
many again half of the rows come in later, day by day, and each open question stays open for another day with 3%; there
every day counts on which the error was said to be proven.
"""
_CONFIRMED = {"human": Verdict.LABELED, "human_reasons": PERSON[Verdict.LABELED]}
Outcome = tuple[bool, float, int, float, float]


def one(world: World, rate: float, rows: int, chance: np.random.Generator) -> Outcome:
    """Ask until the target is proven."""
    made = made_up(world, rate, rows, chance)
    spots, batch = numbers(made.hashes), min(500, rows // 10)
    chances, look, held = draw(numbers(made.hashes), made.scores, batch, Chances.none(rows)), 0, []
    while True:
        look += 1
        asked = chances.drawn(spots)
        plan = next_questions(Rows(chances, spots, asked, asked & made.wrong, rows, made.scores), _TARGET, batch, look)
        if plan.proven or asked.all():
            left = float((made.wrong & ~asked).mean())
            return left > _TARGET, float(asked.mean()), look, left, float(np.mean(held)) if held else np.nan
        following = plan.chances.drawn(spots) & ~asked
        forecast = error_curve(made.scores[asked], made.wrong[asked]).forecast(made.scores[following])
        held.append(forecast.low <= made.wrong[following].sum() <= forecast.high)
        chances = plan.chances


class Twist(StrEnum):
    """What happens beside the draw and its answers."""

    OTHERWISE = "some answered otherwise"
    SUSPECTED = "some suspected later"
    REVISED = "some answers corrected later"
    OPEN = "some open for days, while rows come in"


def by_triage(made: MadeUp, twist: Twist, chance: np.random.Generator) -> Outcome:
    """The same by the whole triage; *above* if it was whenever the error was said to be proven."""
    rows = len(made.scores)
    known = (np.arange(rows) < 0.55 * rows) & (twist is Twist.OTHERWISE)
    wrong, others = made.wrong & ~known, np.flatnonzero(known)
    suspect = (made.scores >= _SUSPECT) & (twist is Twist.SUSPECTED)
    cases = [
        case(f"r{made.hashes[number] >> np.uint64(1)}", score=None if np.isnan(score) else float(score))
        for number, score in enumerate(made.scores)
    ]
    present = rows // 2 if twist is Twist.OPEN else rows
    proof, looks, is_above, unsure = None, 0, False, set[int]()
    while True:
        for number in np.flatnonzero(suspect):
            if looks or number % 2:
                cases[number] = changed(cases[number], reasons=FLAGGED)
        result = run(cases[:present], Review(error_rate=_TARGET), proof=proof)
        proof, asked = result.proof, 0
        unanswered = np.array([one.known.human is None for one in cases])
        if proof is not None and proof.proven and not unsure:
            is_above |= float((wrong & unanswered)[:present].mean()) > _TARGET
        for number, decision in enumerate(result.decisions):
            before, replaced = cases[number].known, cases[number].known.answered.replaced
            now: dict[str, Any] = {
                "chance": chance_of(decision),
                "past_route": before.past.past_route or decision.routed,
            }
            if replaced and twist is Twist.REVISED:
                # The source takes it over.
                now |= {"replaced": None, "corrected": replaced}
            if decision.routed and before.human is None:
                asked += 1
                if twist is Twist.OPEN and chance.random() < _OPEN:
                    cases[number] = changed(cases[number], **now)
                    continue
                now |= _CONFIRMED | {"replaced": {"kind": "wrong"} if wrong[number] else None}
                if twist is Twist.REVISED and wrong[number] and chance.random() < _MISSED:
                    now["replaced"] = None
                    unsure.add(number)
            elif not looks and before.human is None and known[number]:
                now |= _CONFIRMED | {"past_route": None if number < rows / 2 else Routed.CONFLICT}
            elif number in unsure:
                unsure.remove(number)
                now["replaced"] = {"kind": "wrong"}
            is_answered = before.human is not None or "human" in now
            now["is_trusted"] = bool(known[number]) and number < rows / 2 and is_answered
            cases[number] = changed(cases[number], **now)
        looks += 1
        if not asked and not unsure and present == rows:
            break
        present = min(rows, present + rows // 40)
    answered = np.array([one.known.human is not None for one in cases])
    left = float((wrong & ~answered).mean())
    answered[others] &= np.array([cases[number].known.past.past_route is Routed.AUDIT for number in others], dtype=bool)
    return is_above, float(answered.mean()), looks - 1, left, np.nan


def _row(name: str, found: list[Outcome]) -> tuple[str, ...]:
    above, asked, looks, left, held = np.array(found, dtype=float).T
    return (
        name,
        str(len(found)),
        f"{above.mean():.1%}",
        f"{asked.mean():.0%}",
        f"{looks.mean():.1f}",
        (f"{left.mean():.2%}"),
        "" if np.isnan(held).all() else f"{np.nanmean(held):.0%}",
    )


def main() -> None:
    """Simulate, and show the table."""
    parser = argparse.ArgumentParser(description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=int, default=500)
    parser.add_argument("--others", type=int, default=200, help="datasets in which some rows are answered otherwise")
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
    for twist in Twist:
        others = []
        for number in range(options.others):
            world, rate = list(World)[number % len(World)], _RATES[number // len(World) % len(_RATES)]
            # Of the others twice as many are wrong, so that the rate is that of all.
            times = 2 if twist is Twist.OTHERWISE else 1
            others.append(by_triage(made_up(world, rate * times, _OTHERS, chance), twist, chance))
        if others:
            table.append(_row(twist, others))
    columns = ("scores", "datasets", "above", "asked", "batches", "left", "forecast")
    results = Results("Until the error is below 2%", columns, table)
    results.show(Console())
    if options.markdown:
        options.markdown.write_text(results.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
