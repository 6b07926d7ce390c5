"""Two reports on the same rows count their values once; a row that says something else is counted anew."""

from pathlib import Path
from typing import Any

import pytest
from home_of_answers import Home, home_in

from pipeline.reporting import report_values
from pipeline.reporting.report_data import gather_report
from schemas.fate import Fate


def values(home: Home) -> list[dict[str, int]]:
    report = gather_report(home.now, home.dataset, funnel=home.now.settled_funnel())
    return [{one.value: one.records for one in field.top} for field in report.fields]


def test_values_are_counted_anew_as_soon_as_a_decision_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, real = [], report_values.field_fills

    def counted(*args: Any) -> Any:
        passes.append(1)
        return real(*args)

    monkeypatch.setattr(report_values, "field_fills", counted)
    home = home_in(tmp_path, "place: Target[str | None] = None")

    def accepted(name: str, place: str) -> None:
        said = {"topic": "billing", "place": place}
        home.curated(home.asked(name, fate=Fate.ACCEPTED, routed=None, targets=said))

    accepted("one", "Rome")
    assert values(home) == values(home) == [{"billing": 1}, {"Rome": 1}]
    assert len(passes) == 1
    accepted("two", "Oslo")
    assert values(home)[1] == {"Oslo": 1, "Rome": 1}
    accepted("one", "Bonn")
    assert values(home)[1] == {"Bonn": 1, "Oslo": 1}, "as many rows as before, and one of them says another place"
    assert len(passes) == 3
