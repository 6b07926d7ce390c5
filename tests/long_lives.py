"""Long lives of a dataset, large enough that nearly all of their runs look at little.

The other random lives (``random_lives.py``) have so few rows that a single new one is a tenth of them, for which labels
are learned anew by a run over everything.
"""

from contextlib import closing
from pathlib import Path
from random import Random

from chances import CHOICES, LABELS, Chance, Edit
from full_runs import must_agree_with_a_full_run
from lives import Life
from themes import Theme
from told_changes import must_say_what_changed

from schemas.run_summary import CurateSummary, Looked

ROWS = 160
"""Rows of the table to begin with, nearly all of them with a label."""
_COMPARED = 3
"""Each so many days, and on the last one, a run over everything must change nothing."""
_REVIEWS = (
    "{budget: 30, audit: 0.1}",
    "{budget: 0.2, audit: 0.05}",
    "{budget: 10, audit: 0.1, unreviewed: hold}",
    "{error_rate: 0.2}",
)


def long_life(folder: Path, theme: Theme, seed: int, days: int) -> list[Looked]:
    """Live some days; returns what the runs after the first one have looked at."""
    draw, chance = Random(seed), Chance(seed)
    with closing(Life(folder, theme)) as life:
        life.change(review=draw.choice(_REVIEWS), on_conflict=draw.choice(("any_of", "review")))
        life.compares = False
        table = _many(draw, 0, ROWS)
        life.edit([*table, *(_visitor(draw, key) for key in range(6))])
        for day in range(days):
            life.curate()
            life.check()
            if day % _COMPARED == _COMPARED - 1 or day == days - 1:
                must_agree_with_a_full_run(life.context)
            life.say(chance.sayings(6))
            life.collect()
            life.check()
            if draw.random() < 0.3:
                life.release()
            more = [
                *_many(draw, ROWS + 2 * day, 2),
                _copy(draw, 2 * ROWS + day, table),
                _visitor(draw, draw.randrange(8)),
                ("delete", draw.randrange(ROWS)),
            ]
            life.edit([*chance.edits(4), *more])
        must_say_what_changed(life.snapshot)
        return [run.summary.looked for run in life.snapshot.committed_runs(CurateSummary)][1:]


def _many(draw: Random, first: int, count: int) -> list[Edit]:
    """New rows of the table that hardly resemble each other, a few of them without a valid answer."""
    return [
        ("put", key, _text(draw), draw.choice(LABELS) if draw.random() < 0.1 else CHOICES[key % 3])
        for key in range(first, first + count)
    ]


def _copy(draw: Random, key: int, table: list[Edit]) -> Edit:
    """A new row with the text of an old one, which is related to it."""
    return "put", key, draw.choice(table)[2], draw.choice(CHOICES)


def _visitor(draw: Random, key: int) -> Edit:
    """A row of the source that comes and goes: half of them are broken, so that now too many are, now not."""
    return "visit", key, _text(draw), draw.choice(("billing", "other"))


def _text(draw: Random) -> str:
    return " ".join(f"word{draw.randrange(3_000)}" for _ in range(8)) + "."


def must_be_small(looked: list[Looked]) -> None:
    """Most runs of a life looked at a few rows only: new and edited ones, withdrawn ones, and answered ones."""
    small = [one for one in looked if not one.why]
    assert len(small) > 0.7 * len(looked)
    for change in ("changed", "withdrawn", "answered", "related"):
        assert any(getattr(one, change) for one in small), change
