"""Leads are not sent into tasks that somebody is still to answer alone, nor to tasks that are gone."""

from pathlib import Path

import pytest
from desk import desk_at
from fake_studio import FakeStudio
from team import ANA, BEN, CLEO, DORA, QUESTIONS, answer, review, seats, whose
from terminal import Terminal

from schemas.annotation import Verdict


@pytest.mark.parametrize(
    "said", [(Verdict.UNSURE, Verdict.UNSURE), ("billing", "delivery")], ids=["unsure", "contradicted"]
)
def test_a_row_that_one_more_annotator_is_asked_about_needs_nobody_and_its_open_task_is_not_shown(
    studio: FakeStudio, tmp_path: Path, said: tuple[str | Verdict, ...]
) -> None:
    """The address opened the first seat's task, blind and open still, beside what the others had answered."""
    names = f"annotators: [{ANA}, {BEN}, {CLEO}, {DORA}]"
    with desk_at(studio, tmp_path, QUESTIONS[:1], review(names, "overlap: 1.0", "overlap_annotators: 3")) as desk:
        desk.curate()
        others = [name for name in (ANA, BEN, CLEO, DORA) if name != whose(desk, 1)["first"]]
        for seat, one, who in zip(("second", "second 2"), said, others, strict=False):
            answer(desk, 1, seat, one, who)
        collected = desk.collect()
        assert collected.attention == []
        terminal = Terminal(tmp_path, studio.url, studio.token)
        for shown in (terminal.goldleaf("collect").stdout, terminal.goldleaf("status").stdout):
            assert "an annotator" not in shown and f"task={seats(desk, 1)['first']}" not in shown
        assert terminal.json("status")["attention"] == []
        assert "send each annotator the address of their tab" in terminal.json("status")["next_step"]


def test_an_address_leads_to_a_task_that_was_there_when_answers_were_collected_and_to_no_other(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, QUESTIONS[:2], review()) as desk:
        desk.curate()
        desk.say(1, Verdict.UNSURE)
        old = desk.project
        assert [one.url for one in desk.collect().attention] == [
            f"{studio.url}/projects/{old}/data?task={desk.task(1)}"
        ]
        desk.delete(f"projects/{old}")
        terminal = Terminal(tmp_path, studio.url, studio.token)
        for _ in range(2):  # gone, and in its place another one, in which nobody was unsure
            [found] = desk.collect().attention
            assert (found.what, found.url, found.task_id) == ("an annotator was unsure", "", None)
            assert f"/projects/{old}/" not in terminal.goldleaf("status").stdout
            desk.curate()
