"""The report tells how a team answers, what it confuses, which errors remain, and how good suggestions are."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from report_toys import NAUGHTY, Page, empty_report, section
from support import row
from team import ANA, BEN, CLEO, NAMED, QUESTIONS, answer, review, whose
from team_toys import at_work, outlook, suggestions, team

from flows.engines.engine import Inline
from flows.release import release
from pipeline.reporting.annotators import shown_team
from pipeline.reporting.pace import Day, Pace
from pipeline.reporting.page_environment import curve_picture
from pipeline.reporting.report_page import ReviewCounts, RouteCount, render_report
from pipeline.reporting.write_report import write_report
from schemas.fate import Routed

FULL = render_report(empty_report(**at_work()))
NOBODY = render_report(empty_report())


# --- the sections -----------------------------------------------------------------------------------
def test_sections_are_there_only_where_there_is_something_to_say() -> None:
    for name in ("team", "confusions", "suggestions"):
        assert f'<section id="{name}"' in FULL and f'href="#{name}"' in FULL
        assert f'<section id="{name}"' not in NOBODY and f'href="#{name}"' not in NOBODY
    assert "No accepted record has been audited yet" in section(NOBODY, "errors")
    assert "Answers a day" not in section(NOBODY, "review")


def test_review_tells_progress_by_purpose_and_person_and_the_pace() -> None:
    routes = [RouteCount(route=Routed.AUDIT, settled=3, open=1), RouteCount(route=Routed.REPAIR, open=2)]
    said = "5 questions about 3 rows are waiting for annotators"
    counts = ReviewCounts(confirmed=3, waiting=2, again=1, routes=routes, asked=said)
    people = team().model_copy(update={"for_anybody": 5})
    text = section(render_report(empty_report(team=people, review=counts)), "review")
    assert f"3 settled, 3 not settled yet. {said}." in text
    assert "answered, and waits for a second annotator or an adjudicator 1" in text
    assert "random audit 3 of 4 answers to repair 0 of 2" in text
    assert "330 answers on 6 days, 55 a day; 18 s each (median); what is open takes about 10 minutes." in text
    assert f"Open tasks {ANA} 12 {BEN} 11 {CLEO} 10 anybody 5" in text


def test_everybody_has_a_line_with_intervals_and_what_is_worth_a_look() -> None:
    text = section(FULL, "team")
    assert f"{ANA} 120 18 s 95% 76 to 99, of 20 73% 56 to 86, of 30 80% 67 to 89, of 50" in text
    assert f"{CLEO} accepts nearly every proposal: 98.0% of 50, the others 61.0% of 90 100 18 s" in text
    assert "kind 0.79 0.64 to 0.92 \N{MIDDLE DOT} 41 rows" in text
    assert f"{ANA} and {BEN} 0.58 0.38 to 0.68 \N{MIDDLE DOT} 20 of 24 rows alike" in text


def test_labels_that_are_confused_more_than_once_are_shown_with_how() -> None:
    text = section(FULL, "confusions")
    data, _, annotators = text.partition("What two annotators of the same row say")
    assert "term \N{RIGHTWARDS ARROW} renewal 8" in data and "warranty \N{RIGHTWARDS ARROW} none 2" in data
    assert "audit_rights" not in text and data.count("1 more pair is not shown.") == 1
    assert "renewal or term 3 1 more pair is not shown." in annotators
    assert 'title="kind term became renewal: 6 rows, 2 the other way round"' in FULL
    assert 'title="kind renewal or term: 3 pairs of answers"' in FULL


def test_the_errors_that_remain_are_forecast_and_how_much_a_proof_still_takes() -> None:
    text = section(FULL, "errors")
    assert (
        "An error below 2.0% is not proven yet: it takes answers about 60 open rows that were drawn or are likely "
        "errors, and then about 60 to 100 more; at the last look, of 180 answers, it was known to be below 3.4%, more "
        "cautious than the audit's interval, since it has to hold at every look."
    ) in text
    assert "answers about drawn rows at the last look 180 and about 140 more to come, likely errors included" in text
    assert "24 of 40 suspect labels were wrong; answers about the next 100 would find about 43 (29 to 57)" in text
    assert "More answers 25 50 100 would find 14 9 to 19 26 17 to 34 43 29 to 57" in text


def test_who_leaves_more_suggestions_unchanged_than_are_right_is_told() -> None:
    text = section(FULL, "suggestions")
    assert "small-model has answered 610 records: 597 calls (1 without an answer), 74,172 tokens, cost 0.0311." in text
    assert "Right in 50 of 61 answers that annotators gave blind. right 82.0% 70.5% to 89.6%" in text
    assert f"{ANA}, 17 of 23 73.9%" in text
    assert text.endswith(f"{CLEO}, 99 of 100 99.0% 94.6% to 99.8% More than are right: look at some of these answers.")


def test_names_of_annotators_can_do_no_harm_to_the_page() -> None:
    evil = render_report(empty_report(team=team(NAUGHTY, BEN, CLEO), suggestions=suggestions(NAUGHTY)))
    good = render_report(empty_report(team=team("x" * len(NAUGHTY), BEN, CLEO), suggestions=suggestions("x")))
    assert Page(evil).skeleton == Page(good).skeleton


# --- pictures ---------------------------------------------------------------------------------------
def test_the_curve_goes_from_nothing_to_now_and_on_to_what_is_expected() -> None:
    picture = curve_picture(outlook())
    assert (picture.answers, picture.errors) == (140, 81)
    lines = [[tuple(map(float, at.split(","))) for at in line.split()] for line in (picture.so_far, picture.ahead)]
    assert lines[0][0] == (0, 100) and lines[0][-1] == lines[1][0] == pytest.approx((28.57, 70.37))
    assert lines[1][-1] == pytest.approx((100, 100 - 100 * 67 / 81), abs=0.01)
    corners = [tuple(map(float, at.split(","))) for at in picture.fan.split()]
    assert (100, 0) in corners and len(corners) == 7 and picture.now == pytest.approx(28.57, abs=0.01)


def test_when_no_label_is_left_the_curve_ends_now() -> None:
    picture = curve_picture(outlook().model_copy(update={"ahead": []}))
    assert (picture.answers, picture.now, picture.fan, picture.ahead) == (40, 100, "", "")
    text = section(render_report(empty_report(outlook=outlook().model_copy(update={"ahead": []}))), "errors")
    assert "More answers" not in text


def test_days_without_answers_are_days_and_a_long_project_shows_its_last_sixty() -> None:
    days = [Day(day=date(2026, 3, 1), answers=4), Day(day=date(2026, 3, 4), answers=1)]
    known = Pace(answers=5, days=days, seconds=None, open=0)
    assert [day.answers for day in known.calendar] == [4, 0, 0, 1]
    long = known.model_copy(update={"days": [Day(day=date(2025, 1, 1), answers=9), *days]}).calendar
    assert len(long) == 60 and long[-1] == days[-1] and sum(day.answers for day in long) == 5
    assert Pace(answers=0, days=[], seconds=None, open=3).calendar == []


# --- people -----------------------------------------------------------------------------------------
@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    """Ana, Ben and Cleo contradict each other about one of their rows."""
    with desk_at(
        studio, tmp_path, [*QUESTIONS, row(9, "Is it late?", "delivery")], review(NAMED, "overlap: 1.0")
    ) as desk:
        desk.curate()
        for key in (1, 2, 3):
            for seat, name in whose(desk, key).items():
                answer(desk, key, seat, "billing" if key < 3 or seat == "first" else "returns", name)
        desk.collect()
        yield desk


def test_a_team_reads_about_its_people_and_a_published_version_names_nobody(desk: Desk) -> None:
    state = write_report(desk.context).read_text(encoding="utf-8")
    people = {name for key in (1, 2, 3) for name in whose(desk, key).values()}
    assert all(name in section(state, "team") for name in people)
    assert "billing or returns 1" in section(state, "confusions")
    folder = Path(release(desk.context, Inline()).path)
    published = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.is_file()}
    for name, text in published.items():
        assert not re.search("|".join((ANA, BEN, CLEO, "example.com")), text), name
    told = section(published["report.html"], "team")
    assert told.startswith("Team 6 answers of annotators.") and "Krippendorff's alpha" in told
    assert "topic: Krippendorff's alpha" in published["README.md"]
    assert "Answers a day" not in published["report.html"] and "Open tasks" not in published["report.html"]


def test_of_a_version_nothing_is_left_about_single_people() -> None:
    shown = shown_team(team(), of_version=True)
    assert shown is not None and "@" not in shown.model_dump_json()
    assert shown.fields == team().fields and shown.pace.answers == 330
    assert (
        shown_team(team().model_copy(update={"pace": Pace(answers=0, days=[], seconds=None, open=2)}), of_version=False)
        is None
    )
