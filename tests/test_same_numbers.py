"""Status, the report, a version's card and `goldleaf annotators` say the same numbers of one home."""

import re
from pathlib import Path

from desk import Desk, desk_at
from fake_studio import FakeStudio
from report_toys import section
from team import ANA, BEN, review
from test_error_outlook import TEXTS, labeled
from test_error_rate_told import card, of_version, said_by

from pipeline.reporting.annotators import read_annotators
from pipeline.reporting.status import Status, read_status
from pipeline.reporting.write_report import write_report

ROWS = 300


def at_work(desk: Desk) -> None:
    """Two annotators answer all tasks by what the text says; some of the audited ones need a second look."""
    desk.curate()
    numbers = {desk.id(number): number for number in range(ROWS)}
    for task in desk.tasks():
        right = list(TEXTS)[numbers[task["data"]["record_id"]] % len(TEXTS)]
        desk.submit(task["id"], desk.result(right), task["data"]["assigned"])
    desk.collect()
    desk.curate()


def test_everybody_reads_the_same_numbers(studio: FakeStudio, tmp_path: Path) -> None:
    keys = review("audit: 0.2", "overlap: 0.2", f"annotators: [{ANA}, {BEN}]").replace("budget: 100", "budget: 30")
    with desk_at(studio, tmp_path, labeled(ROWS), keys) as desk:
        at_work(desk)
        standing, shown = read_status(desk.context), said_by(desk, "status")
        team = said_by(desk, "annotators")
        pages = [write_report(desk.context, to=tmp_path / "page.html").read_text()]
        lines = read_annotators(desk.context, standing.runs[0].finished_at).annotators
        answers = {line.annotator: line.answers for line in lines}
        said_by(desk, "release")
        pages.append(of_version(desk))
        told = card(desk)
    the_audit_is_the_same(standing, shown, pages, told)
    # Suspects that are left.
    outlook = standing.outlook
    assert outlook is not None and outlook.answered == outlook.found == 30
    assert outlook.ahead[-1].answers == standing.beyond_budget > 0
    assert str(outlook) in shown and str(outlook)[1:] in section(pages[0], "errors")
    # Answers.
    team_section = section(pages[0], "team")
    assert f"2 annotators, {sum(answers.values())} answers" in team_section
    assert f"{sum(answers.values())} answers of annotators" in section(pages[1], "team")
    for name, number in answers.items():
        assert re.search(rf"{name} +{number} ", team) and f"{name} {number} " in team_section


def the_audit_is_the_same(standing: Status, shown: str, pages: list[str], told: str) -> None:
    audit = standing.audit
    assert audit is not None and audit.checked > 20 and audit.wrong
    percent = [f"{share:.1%}" for share in (audit.rate, audit.low, audit.high)]
    estimate, interval = percent[0], f"{percent[1]} to {percent[2]}"
    assert f"wrong among the accepted rows: {estimate} ({interval}) by {audit.checked} audited" in shown
    wrong = f"{audit.wrong} of {audit.checked} randomly sampled accepted records were wrong"
    left = [round(share * audit.rows) for share in (audit.low, audit.high)]
    for page in pages:
        text = section(page, "errors")
        assert wrong in text and f"{estimate} {interval}" in text
        assert f"that is {left[0]} to {left[1]} of {audit.rows} accepted records." in text
    assert f"{audit.checked} were drawn at random and checked; {audit.wrong} were wrong" in told
    assert f"{estimate} of the {audit.rows} accepted answers are wrong (95% interval: {interval})" in told
    preliminary = f"preliminary, since {audit.waiting}"
    assert [preliminary in text for text in (shown, *pages, told)] == [bool(audit.pending)] * 4
