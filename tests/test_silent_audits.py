"""What the audit says if annotators skip its questions, or a server refuses them."""

from collections.abc import Callable
from pathlib import Path

from desk import Desk, Row, desk_at
from fake_studio import FakeStudio, fake_studio, refusing
from support import row

from flows.engines.engine import Inline
from flows.release import release
from pipeline.releases.audit_result import AuditResult
from pipeline.reporting.status import read_status
from pipeline.reporting.write_report import write_report

ROWS: list[Row] = [
    row(k, f"Where is the parcel of order {k}{k}{k}?", "returns" if k % 10 == 0 else "delivery") for k in range(100)
]
AUDIT = "review: {budget: 0, audit: 0.4, floor: 1.0}\nduplicates: {threshold: 1.0}\n"
"""A tenth of the labels is wrong, and most annotators cannot tell what these rows are."""


def answer(desk: Desk, skipped: Callable[[int], bool]) -> list[int]:
    """Answer all audit questions rightly, but for some rows; returns the rows."""
    numbers = {desk.id(number): number for number in range(len(ROWS))}
    asked = []
    for task in desk.tasks():
        number = numbers[task["data"]["record_id"]]
        asked.append(number)
        desk.submit(task["id"], desk.result("delivery"), skipped=skipped(number))
    desk.collect()
    return asked


def audit_of(desk: Desk) -> AuditResult:
    found = read_status(desk.context).audit
    assert found is not None
    return found


def test_rows_that_annotators_skip_do_not_flatter_the_audit(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, ROWS, AUDIT) as desk:
        desk.curate()
        asked = answer(desk, lambda number: number % 10 == 0)
        wrong = sum(number % 10 == 0 for number in asked)
        found = audit_of(desk)
        assert (found.checked, found.wrong, found.unheard) == (len(asked) - wrong, 0, wrong) and wrong > 1
        assert (found.rate, found.low) == (0.0, 0.0)
        assert found.high > 0.1, "a tenth of the rows is wrong"
        gap = f"{wrong} more drawn rows have no final answer: the upper end counts them as wrong, the lower as right"
        assert str(found).endswith(f" audited; {gap}")
        release(desk.context, Inline())
        card = next(Path(desk.settings.goldleaf_home).glob("*/releases/*/README.md")).read_text(encoding="utf-8")
        assert f" {found.high:.1%}). The " in card and f" are taken as right. {gap}." in card
        assert gap in write_report(desk.context).read_text(encoding="utf-8")
        for number in [number for number in asked if number % 10 == 0]:
            desk.label(number, "delivery")
        desk.collect()
        done = audit_of(desk)
        assert (done.checked, done.wrong, done.unheard) == (len(asked), wrong, 0)
        assert "no final answer" not in str(done)


def test_rows_that_a_server_refuses_do_not_flatter_the_audit(tmp_path: Path) -> None:
    with (
        fake_studio(refusing(b"order 30")) as studio,
        desk_at(studio, tmp_path, ROWS, AUDIT.replace("0.4", "1.0")) as desk,
    ):
        assert desk.curate().review.refused
        assert len(answer(desk, lambda number: False)) == len(ROWS) - 1
        found = audit_of(desk)
        assert (found.checked, found.unheard) == (len(ROWS) - 1, 1)
        assert found.high >= 0.01
        assert "; 1 more drawn row has no final answer: the upper end counts it as wrong, the lower as right" in str(
            found
        )
