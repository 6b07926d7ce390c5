"""What a lead types: invite says who is missing, and reconcile says what differs, in words that fit any number."""

from pathlib import Path

import pytest
from desk import desk_at
from fake_studio import FakeStudio
from support import row
from team import ANA, review
from terminal import Terminal

from flows.local.studio_server import LocalStudio


def test_invite_shows_the_link_the_accounts_who_has_none_yet_and_the_tabs(
    label_studio: LocalStudio, tmp_path: Path
) -> None:
    keys = f"annotators: [{ANA.upper()}, nobody@example.com]"
    with desk_at(label_studio, tmp_path, [row(1, "Late?", None)], review(keys)) as desk:
        desk.client.ensure_user(ANA, "", "")
        terminal = Terminal(tmp_path, label_studio.url, label_studio.token)
        before = terminal.goldleaf("invite").stdout
        assert "no project yet: the next curate with open questions creates it" in before
        assert "no account yet: nobody@example.com; send them the link" in before
        desk.curate()
        shown, told = terminal.goldleaf("invite").stdout, terminal.json("invite")
        assert told["invite"].startswith(f"{label_studio.url}/user/signup/?token=") and told["invite"] in shown
        assert {"email": ANA, "id": desk.client.ensure_user(ANA, "", "")} in told["accounts"]
        assert told["missing"] == ["nobody@example.com"]
        assert told["project"].startswith(f"{label_studio.url}/projects/{desk.project}/data?tab=")
        assert f"all tasks: {told['project']}" in shown
        assert {tab["title"] for tab in told["tabs"]} == {ANA.upper(), "nobody@example.com"}
        for tab in told["tabs"]:
            assert f"{tab['title']}: {tab['url']}" in shown


@pytest.mark.parametrize("verb", ["invite", "reconcile"])
def test_without_a_server_leads_are_told_what_to_set(tmp_path: Path, studio: FakeStudio, verb: str) -> None:
    with desk_at(studio, tmp_path, [row(1, "Late?", None)]):
        assert Terminal(tmp_path).error(verb).startswith("Label Studio is not configured; set LABEL_STUDIO_URL and")
        Terminal(tmp_path).goldleaf("curate")
        told = Terminal(tmp_path, "http://127.0.0.1:9", "token").goldleaf(verb, exit_code=1).stderr
        assert told.splitlines()[-1].startswith("error: ") and "http://127.0.0.1:9" in told


def test_a_dry_run_says_what_would_be_done_about_each_difference(label_studio: LocalStudio, tmp_path: Path) -> None:
    rows = [row(key, f"Question {key}?", None) for key in (1, 2, 3)]
    with desk_at(label_studio, tmp_path, rows, review()) as desk:
        desk.curate()
        gone = desk.label(1, "billing")
        desk.collect()
        desk.delete(f"annotations/{gone}")
        desk.label(2, "billing")
        desk.delete(f"tasks/{desk.task(3)}")
        terminal = Terminal(tmp_path, label_studio.url, label_studio.token)
        shown = terminal.goldleaf("reconcile", "--dry-run").stdout
        for line in (
            "1 open question whose task is gone: to be sent again (data.jsonl:3)",
            "1 annotation not collected yet: to be collected (annotation ",
            "1 annotation gone from the server: to be kept in the table, but no longer counted (annotation ",
        ):
            assert line in shown
        assert terminal.goldleaf("reconcile", "--dry-run").stdout == shown, "nothing was changed"
        assert "now both agree" in terminal.goldleaf("reconcile").stdout
        assert "the server and this home agree" in terminal.goldleaf("reconcile").stdout
        assert terminal.json("reconcile")["after"] is None
