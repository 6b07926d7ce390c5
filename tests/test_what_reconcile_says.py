"""What goldleaf reconcile tells a lead: refused questions by name, hidden gold items apart, and where the tabs are."""

from pathlib import Path

from desk import desk_at
from fake_studio import FakeStudio, fake_studio
from loopback import Reply
from support import row
from team import ANA, BEN, NAMED, QUESTIONS, answer, review, whose
from terminal import Terminal
from test_gold_items import OPEN, gold, shop

POISON = "Which parcel makes the server fail?"
JSON = {"content-type": "application/json"}


class Choosy:
    """A server that takes no task with some text."""

    def __init__(self, fake: FakeStudio) -> None:
        self.fake, self.imports, self.takes_all = fake, 0, False

    def __call__(self, method: str, path: str, body: bytes) -> Reply:
        if "/import" in path:
            self.imports += 1
            if POISON.encode() in body and not self.takes_all:
                return 400, JSON, b'{"detail": "this text is not for us"}'
        return self.fake(method, path, body)


def test_a_refused_question_is_named_with_the_reason_and_reconcile_ends_in_agreement(tmp_path: Path) -> None:
    choosy: list[Choosy] = []

    def around(fake: FakeStudio) -> Choosy:
        choosy.append(Choosy(fake))
        return choosy[0]

    with (
        fake_studio(around) as server,
        desk_at(server, tmp_path, [*QUESTIONS, row(9, POISON, None)], review()) as desk,
    ):
        terminal = Terminal(tmp_path, server.url, server.token)
        curated = terminal.goldleaf("curate")
        reason = f"record {desk.id(9)}: this text is not for us"
        assert f"Label Studio refused {reason}" in curated.stderr
        assert "correct the row, or what the server objects to; the next curate sends it again" in curated.stdout
        [way] = choosy
        way.imports = 0
        found = terminal.json("reconcile", "--dry-run")["before"]
        assert found["missing"] == [] and found["refused"] == [reason]
        desk.delete(f"tasks/{desk.task(1)}")
        said = terminal.goldleaf("reconcile").stdout
        assert "1 open question whose task is gone: sent again (data.jsonl:1)" in said
        assert "1 question refused by the server: nothing: correct the row, or what the server objects" in said
        assert "now both agree, except for 1 question that the server refused" in said
        sent = way.imports
        for _ in range(2):
            again = terminal.json("reconcile")
            assert again["after"] is None and again["before"]["refused"] == [reason]
        assert way.imports == sent, "it is not sent each time"
        way.takes_all = True
        assert terminal.json("curate")["review"]["sent"] == 1
        assert terminal.json("reconcile")["before"]["refused"] == []


def test_what_was_refused_is_forgotten_without_harm(tmp_path: Path) -> None:
    """A damaged note is written again by the next push."""
    with (
        fake_studio(Choosy) as server,
        desk_at(server, tmp_path, [*QUESTIONS, row(9, POISON, None)], review()) as desk,
    ):
        desk.curate()
        terminal = Terminal(tmp_path, server.url, server.token)
        desk.context.store.refused.write_bytes(b"?")
        first = terminal.json("reconcile")
        assert (first["before"]["unsent"], first["before"]["missing"]) == ([f"record {desk.id(9)}"], [])
        assert first["after"]["refused"] and first["after"]["missing"] == []
        assert terminal.json("reconcile")["after"] is None


def test_after_a_project_was_deleted_the_addresses_of_the_new_tabs_are_shown(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        hidden = gold(desk).height
        desk.delete(f"projects/{desk.project}")
        terminal = Terminal(tmp_path, studio.url, studio.token)
        before = terminal.json("reconcile", "--dry-run")["before"]
        assert (len(before["missing"]), len(before["missing_gold"])) == (len(OPEN), hidden)
        shown = terminal.goldleaf("reconcile").stdout
        page = f"{studio.url}/projects/{desk.project}/data"
        assert f"{len(OPEN)} open questions whose task is gone: sent again" in shown
        assert f"{hidden} hidden gold items without a task: sent" in shown
        waits = f"{len(OPEN)} questions are waiting for annotators; {len(OPEN)} new, and {hidden} hidden gold items at"
        assert f"{waits} {page}" in shown
        for name in (ANA, BEN):
            assert f"{name}: {page}?tab=" in shown
        assert f"{len(OPEN)} questions are waiting for annotators" in terminal.goldleaf("status").stdout
        assert "to create the project again" not in terminal.goldleaf("status").stdout


def test_what_a_collect_brought_is_not_sent_yet_and_a_deleted_task_is_told_once(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, QUESTIONS, review("overlap: 1.0", NAMED)) as desk:
        desk.curate()
        answer(desk, 2, "first", "delivery", whose(desk, 2)["first"])
        answer(desk, 2, "second", "returns", whose(desk, 2)["second"])
        terminal = Terminal(tmp_path, studio.url, studio.token)
        assert ", 1 disagreement\n" in terminal.goldleaf("collect").stdout
        found = terminal.json("reconcile", "--dry-run")["before"]
        assert (found["unsent"], found["missing"]) == ([f"record {desk.id(2)} (adjudicator)"], [])
        shown = terminal.goldleaf("reconcile").stdout
        assert "1 open question not sent yet: sent (data.jsonl:2 (adjudicator))" in shown
        desk.rows(*QUESTIONS[1:])
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
        terminal.goldleaf("curate", "--no-push")
        closed = terminal.goldleaf("reconcile").stdout
        assert "2 tasks whose question is closed: deleted" in closed and "withdrawn" not in closed


def test_a_project_that_collect_found_gone_is_to_be_created_again_and_its_address_is_printed_no_more(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, QUESTIONS, review()) as desk:
        desk.curate()
        page, file = f"{studio.url}/projects/{desk.project}/data", tmp_path / "dataset.yaml"
        terminal = Terminal(tmp_path, studio.url, studio.token)
        assert page in terminal.goldleaf("status").stdout
        desk.delete(f"projects/{desk.project}")
        step = f"next: goldleaf curate {file} to create the project again: it was gone"
        collected = terminal.goldleaf("collect").stdout
        assert "is gone from" in collected and step in collected
        shown = terminal.goldleaf("status").stdout
        assert step in shown and page not in shown
        terminal.goldleaf("curate")
        assert "to create the project again" not in terminal.goldleaf("status").stdout
        assert "next: label in Label Studio at" in terminal.goldleaf("collect").stdout


def test_collect_says_which_of_the_open_questions_are_not_sent_and_what_to_do(
    studio: FakeStudio, tmp_path: Path
) -> None:
    """Second seats and adjudications only go out with the next curate."""
    with desk_at(studio, tmp_path, QUESTIONS, review("overlap: 1.0", NAMED)) as desk:
        desk.curate()
        for seat, said in (("first", "delivery"), ("second", "returns")):
            answer(desk, 1, seat, said, whose(desk, 1)[seat])
        terminal = Terminal(tmp_path, studio.url, studio.token)
        shown = terminal.goldleaf("collect").stdout
        left, file = 2 * len(QUESTIONS) - 1, tmp_path / "dataset.yaml"
        assert f"{left} questions about {len(QUESTIONS)} rows are waiting for annotators, 1 not sent yet" in shown
        assert f"next: goldleaf curate {file} to send 1 question" in shown
        terminal.goldleaf("curate")
        again = terminal.json("collect")
        assert again["unsent"] == 0 and "goldleaf invite" in again["next_step"]


def test_an_answer_that_counts_on_is_about_its_row_though_the_label_beside_it_is_none_any_more(tmp_path: Path) -> None:
    rows = [row(1, "Where is my parcel?", "returns"), *QUESTIONS[1:]]
    with fake_studio() as server, desk_at(server, tmp_path, rows, review("audit: 1.0")) as desk:
        terminal = Terminal(tmp_path, server.url, server.token)
        desk.curate()
        desk.label(1, "delivery")
        desk.collect()
        task = tmp_path / "task.py"
        task.write_text(task.read_text().replace(', "returns"', ""))
        desk.curate()
        assert desk.decision(1).targets == {"topic": "delivery"}
        assert terminal.json("reconcile")["before"]["orphaned"] == []
        desk.rows(row(1, "Another question?", "billing"), *QUESTIONS[1:])
        desk.curate()
        assert len(terminal.json("reconcile")["before"]["orphaned"]) == 1
