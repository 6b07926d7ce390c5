"""Reading what a million rows say takes a while: it is shown how far that is, and of a few rows nothing is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from home_of_answers import home_in

from pipeline.reporting import report_state
from pipeline.reporting.report_data import gather_report
from pipeline.steps import Advance
from schemas.fate import Fate


class Watched:
    """Notes each step with its total and what was done of it."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int | None, int]] = []

    @contextmanager
    def step(self, label: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        done = 0

        def advance(units: int, note: str = "") -> None:
            nonlocal done
            done += units

        yield advance
        self.steps.append((label, total, done))

    def say(self, text: str) -> None:
        """Nothing is said."""


@pytest.mark.parametrize(("long", "steps"), [(3, [("reading answers", 3, 3)]), (4, [])])
def test_what_reads_all_rows_is_shown_if_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: int, steps: list[tuple[str, int, int]]
) -> None:
    home, watched = home_in(tmp_path), Watched()
    accepted = [home.asked(f"accepted {at}", fate=Fate.ACCEPTED, routed=None) for at in range(3)]
    home.curated(*accepted, home.asked("in review"))
    monkeypatch.setattr(report_state, "_LONG", long)
    gather_report(home.now, home.dataset, funnel=home.now.settled_funnel(), progress=watched)
    assert watched.steps == steps
