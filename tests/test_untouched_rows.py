"""Rows that a run does not look at keep their past: what they were asked, and their chance to be audited."""

from pathlib import Path

import pytest
from full_runs import must_agree_with_a_full_run
from lost_homes import rows_of
from odd import QUESTION, Odd
from support import current, row, write_rows

from pipeline.curation import audit


def asked(odd: Odd) -> set[str]:
    return {name for name, one in current(odd.context).items() if one.routed}


def conflicting(key: int) -> list[dict[str, object]]:
    return [row(key + n, f"stove{key} fridge{key} oven{key}", topic) for n, topic in enumerate(("billing", "returns"))]


def test_a_question_remains_asked_when_more_urgent_rows_come_in(tmp_path: Path) -> None:
    """The budget is spent, and a conflict would come before rows without a label."""
    rows = [*rows_of(0, 60), *(one | {"topic": None} for one in rows_of(60, 66))]
    odd = Odd(tmp_path / "odd", QUESTION, rows)
    odd.edit("budget: 0", "budget: 2")
    odd.curate()
    before = asked(odd)
    assert len(before) == 2
    for more in (conflicting(100), conflicting(200)):
        rows += more
        write_rows(odd.folder, rows)
        result = odd.curate()
        assert (result.looked.why, result.looked.changed, result.decided) == ("", 2, 2)
        assert asked(odd) == before
        must_agree_with_a_full_run(odd.context)


def test_a_chance_to_be_audited_stays_when_rows_come_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many are drawn of more rows, so that a chance that was forgotten would be smaller."""
    monkeypatch.setattr(audit, "MOST", 1)
    odd = Odd(tmp_path / "odd", QUESTION, rows_of(0, 60))
    odd.edit(", audit: 0.0", "")
    odd.curate()
    before = {name: (one.audit_probability, one.routed) for name, one in current(odd.context).items()}
    assert {chance for chance, _ in before.values() if chance}
    for count in (61, 64):
        write_rows(odd.folder, rows_of(0, count))
        result = odd.curate()
        assert (result.looked.why, result.looked.untouched) == ("", len(before))
        after = {name: (one.audit_probability, one.routed) for name, one in current(odd.context).items()}
        assert {name: after[name] for name in before} == before
        assert result.decided == count - len(before)
        must_agree_with_a_full_run(odd.context)
        before = after
