"""What becomes of the server, its form and annotators' tasks without a lead's doing is told, once."""

from pathlib import Path

from desk import desk_at
from fake_studio import FakeStudio
from team import ANA, BEN, CLEO, QUESTIONS, review, whose
from terminal import Terminal


def test_a_form_that_somebody_has_edited_is_restored_and_what_it_had_is_told_once(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, QUESTIONS, review()) as desk:
        assert desk.curate().review.notes == []
        project = studio.projects[desk.project]
        form = project["label_config"]
        edited = form.replace('<Choice value="returns"', '<Header value="Be quick!"/><Choice value="refunds"', 1)
        assert edited != form
        project["label_config"] = edited
        shown = Terminal(tmp_path, studio.url, studio.token).goldleaf("curate").stdout
        assert project["label_config"] == form
        said = "note: the task has changed, or its form was edited in Label Studio: it has the task's form now; with "
        assert said in shown and 'with <Choice value="returns"' in shown
        assert 'without <Header value="Be quick!"/>, <Choice value="refunds"' in shown
        assert desk.curate().review.notes == []


def test_tasks_that_are_given_to_somebody_else_are_told_with_their_number_and_both_names(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, QUESTIONS, review(f"annotators: [{ANA}, {BEN}]")) as desk:
        desk.curate()
        before = {key: whose(desk, key)["first"] for key in (1, 2, 3, 4)}
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace(BEN, CLEO))
        terminal = Terminal(tmp_path, studio.url, studio.token)
        moved = [key for key, who in before.items() if who == BEN]
        assert moved
        shown = terminal.goldleaf("curate").stdout
        after = [whose(desk, key)["first"] for key in moved]
        told = ", ".join(f"{after.count(who)} of {BEN} to {who}" for who in (ANA, CLEO) if who in after)
        assert f"note: open tasks were given to others: {told}\n" in shown
        assert f"note: open tasks were given to others: {told}\n" in terminal.goldleaf("status").stdout
        assert desk.curate().review.notes == []
        assert terminal.json("status")["notes"] == []


def test_status_says_that_a_server_at_which_something_waits_does_not_answer(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, QUESTIONS, review()) as desk:
        desk.curate()
    assert Terminal(tmp_path, studio.url, studio.token).json("status")["notes"] == []
    dead = Terminal(tmp_path, "http://127.0.0.1:9", studio.token)
    [said] = dead.json("status")["notes"]
    assert said.startswith("Label Studio does not answer at http://127.0.0.1:9 (")
    assert "start one with `goldleaf label-studio`" in said and f"note: {said}\n" in dead.goldleaf("status").stdout
