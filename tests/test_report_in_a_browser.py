"""A report fits every screen, complains of nothing, and copies the line that pins its version."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from report_toys import DIGEST, REPORTS, extraction_report, full_report

from pipeline.reporting.report_page import Change, FieldFill, ReportData, ReviewCounts, ValueCount, render_report


def written(data: ReportData, folder: Path) -> str:
    file = folder / "report.html"
    file.write_text(render_report(data), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("width", [375, 1440])
@pytest.mark.parametrize("name", REPORTS)
def test_the_page_fits_the_screen_without_a_complaint(browser: Browser, tmp_path: Path, name: str, width: int) -> None:
    complaints: list[str] = []
    with browser.new_context(viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if "http" in request.url else None)
        page.goto(written(REPORTS[name](), tmp_path))
        page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []


def test_on_a_phone_values_and_changes_are_wholly_in_sight(browser: Browser, tmp_path: Path) -> None:
    values = [ValueCount(value=f"Pinto & Vaz Limitada {n}", records=3) for n in range(5)]
    filled = [FieldFill(name=f"a_long_field_{n}", filled=9, records=10, distinct=46, top=values) for n in range(4)]
    changed = [Change(field=field.name, before="FGT-8181", after="FGT-8184", records=1) for field in filled]
    parts = {"fields": filled, "review": ReviewCounts(changed=4, changes=changed)}
    with browser.new_context(viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        page.goto(written(extraction_report().model_copy(update=parts), tmp_path))
        for table in (page.locator("#labels .scroll"), page.locator("#review .scroll")):
            assert table.evaluate("box => box.scrollWidth <= box.clientWidth"), "nothing to scroll to"
            for cell in table.locator("tbody th, tbody td").all():
                box = cell.bounding_box()
                assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
            heights = table.locator("tbody tr").evaluate_all("rows => rows.map(row => row.offsetHeight)")
            assert len(heights) == 4 and max(heights) < 200
        assert page.locator("#review tbody tr").first.evaluate("row => row.firstElementChild.offsetHeight") < 40


def test_the_copy_button_gives_the_line_that_pins_the_version(browser: Browser, tmp_path: Path) -> None:
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
        page = context.new_page()
        page.goto(written(full_report(), tmp_path))
        page.get_by_role("button", name="Copy").click()
        page.get_by_text("copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == f"contract-clauses@1.2.0 {DIGEST}"
