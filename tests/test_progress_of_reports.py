"""Reading what a million rows say takes a while: it is shown how far that is, and of a few rows nothing is."""

from pathlib import Path

import pytest
from home_of_answers import home_in
from watched import Watched

from pipeline.reporting import report_state
from pipeline.reporting.report_data import gather_report
from schemas.fate import Fate


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
