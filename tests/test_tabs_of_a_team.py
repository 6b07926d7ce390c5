"""Where a team finds its tasks: tabs for all of them, for each annotator, and for what is for anybody."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from team import ANA, BEN, CLEO, DORA, NAMED, QUESTIONS, answer, go_on, review, whose
from terminal import Terminal

from pipeline.review.team_tabs import ALL_TASKS
from schemas.annotation import Verdict


@contextmanager
def team(studio: FakeStudio, folder: Path, *keys: str) -> Iterator[Desk]:
    with desk_at(studio, folder, QUESTIONS, review(*keys)) as desk:
        desk.curate()
        yield desk


@pytest.fixture
def disputed(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    """Ana says delivery about the first question, and Ben returns."""
    with team(studio, tmp_path, "overlap: 1.0", NAMED) as desk:
        answer(desk, 1, "first", "delivery", ANA)
        answer(desk, 1, "second", "returns", BEN)
        go_on(desk)
        yield desk


def test_each_annotator_has_a_tab_and_who_is_no_longer_named_has_none(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, NAMED) as desk:
        shown = desk.curate().review
        assert shown.tabs.keys() == {ANA, BEN, CLEO} and len(set(shown.tabs.values())) == 3
        assert desk.curate().review.tabs == shown.tabs
        assert DORA not in shown.strangers and set(shown.strangers) <= {ANA, BEN, CLEO}
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace(NAMED, f"annotators: [{ANA}, {DORA}]"))
        before = titles(studio, desk)
        desk.curate()
        assert (before, titles(studio, desk)) == ({ALL_TASKS, ANA, BEN, CLEO}, {ALL_TASKS, ANA, DORA})


def test_where_two_are_named_what_neither_may_settle_has_a_tab_and_is_told(studio: FakeStudio, tmp_path: Path) -> None:
    pair, nobody = f"annotators: [{ANA}, {BEN}]", "2 annotators are named: nobody is left to adjudicate"
    with team(studio, tmp_path, "overlap: 1.0", pair) as desk:
        terminal = Terminal(tmp_path, studio.url, studio.token)
        assert (
            f"! review.annotators\n  {nobody}; name a third in review.annotators" in terminal.goldleaf("check").stdout
        )
        shown = terminal.goldleaf("curate").stdout
        assert f"note: {nobody}; name a third" in shown and "anybody: " not in shown
        for seat, said in (("first", "delivery"), ("second", "returns")):
            answer(desk, 1, seat, said, whose(desk, 1)[seat])
        desk.collect()
        shown = terminal.goldleaf("curate").stdout
        page = f"{studio.url}/projects/{desk.project}/data?tab="
        assert f"  anybody: {page}" in shown
        told = f"{nobody}, and 1 question waits for somebody else; name a third in review.annotators"
        assert told in shown and told in terminal.goldleaf("status").stdout
        assert f"\nanybody: {page}" in terminal.goldleaf("invite").stdout
        answer(desk, 1, "adjudicator", "returns", DORA)
        assert "anybody" not in terminal.goldleaf("invite").stdout, "nothing is in the tab"
        go_on(desk)
        assert desk.decision(1).targets == {"topic": "returns"}
        assert "anybody" not in desk.curate().review.tabs


def test_three_are_enough_until_all_have_answered(disputed: Desk, studio: FakeStudio) -> None:
    terminal = Terminal(disputed.folder, studio.url, studio.token)
    assert "nobody is left" not in terminal.goldleaf("check").stdout + terminal.goldleaf("curate").stdout
    answer(disputed, 1, "adjudicator", Verdict.UNSURE, CLEO)
    go_on(disputed)
    told = "3 annotators are named: nobody is left to adjudicate, and 1 question waits for somebody else; name another"
    assert told in terminal.goldleaf("status").stdout


def test_a_team_is_told_to_use_its_tabs_and_the_address_of_all_tasks_opens_them(
    disputed: Desk, studio: FakeStudio
) -> None:
    terminal = Terminal(disputed.folder, studio.url, studio.token)
    shown, invited = terminal.goldleaf("curate").stdout, terminal.json("invite")
    first, *_ = sorted(
        (view for view in studio.views.values() if view["project"] == disputed.project),
        key=lambda view: view.get("order", 0),
    )
    assert first["data"]["title"] == ALL_TASKS and first["data"]["filters"]["items"] == []
    assert invited["project"] == f"{studio.url}/projects/{disputed.project}/data?tab={first['id']}"
    assert f"; 0 new at {invited['project']}\n" in shown
    assert ALL_TASKS not in [tab["title"] for tab in invited["tabs"]]
    file = disputed.folder / "dataset.yaml"
    step = f"next: send each annotator the address of their tab (goldleaf invite {file}), then goldleaf collect {file}"
    assert step in terminal.goldleaf("status").stdout


def titles(studio: FakeStudio, desk: Desk) -> set[str]:
    return {view["data"]["title"] for view in studio.views.values() if view["project"] == desk.project}
