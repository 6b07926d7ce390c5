"""What the page of a run links: the dataset's project in Label Studio, and the report with its age."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import fake_studio
from support import row

from flows.run_page import links_markdown


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with fake_studio() as studio, desk_at(studio, tmp_path, [row(1, "Where is my parcel?", None)]) as desk:
        yield desk


def test_it_links_the_server_until_there_is_a_project_and_then_the_project(desk: Desk) -> None:
    assert desk.context.connection
    server = desk.context.connection.shown.rstrip("/")
    assert f"- Label Studio: [{server}]({server})\n" in links_markdown(desk.context)
    desk.curate()
    project = f"{server}/projects/{desk.project}/data"
    assert f"- Label Studio: [{project}]({project})\n" in links_markdown(desk.context)


def test_it_says_when_the_report_was_written(desk: Desk) -> None:
    report = desk.context.store.report
    assert "the report" not in links_markdown(desk.context)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("a report")
    written = datetime(2026, 1, 2, 3, 4, tzinfo=UTC).timestamp()
    os.utime(report, (written, written))
    line = f"- the report, written 2026-01-02 03:04 UTC: [{report}]({report.as_uri()})\n"
    assert line in links_markdown(desk.context)
