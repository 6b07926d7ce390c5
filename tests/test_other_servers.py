"""Another version of Label Studio, and one that does not take our token: one line says so, and what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import desk_at
from fake_studio import FakeStudio, fake_studio
from loopback import Reply, serving
from support import row
from terminal import Terminal

from pipeline.errors import LabelStudioError
from pipeline.review.label_studio import LabelStudio
from pipeline.review.label_studio_requests import TESTED

STUDIO_VERSION = next(
    line.removeprefix("STUDIO_VERSION := ")
    for line in (Path(__file__).parent.parent / "Makefile").read_text().splitlines()
    if line.startswith("STUDIO_VERSION")
)
JSON = {"content-type": "application/json"}


def refusal(status: int, detail: str, version: str = TESTED) -> Reply:
    """As Label Studio words it."""
    body = {"id": "5", "status_code": status, "version": version, "detail": detail, "exc_info": None}
    return status, JSON, json.dumps(body).encode()


def check(answer: Reply, version: str = TESTED) -> str:
    """The line that a first request ends in."""
    page = 200, JSON, json.dumps({"release": version}).encode()
    with (
        serving(lambda method, path, body: page if path == "/api/version" else answer) as server,
        LabelStudio(server.url, "token") as client,
        pytest.raises(LabelStudioError) as error,
    ):
        client.check()
    return str(error.value).replace(server.url, "URL")


def test_the_version_that_is_told_is_the_one_that_is_tested() -> None:
    assert TESTED == STUDIO_VERSION


@pytest.mark.parametrize("version", ["0.9.1", "1.30.0", "2.0.0.dev1+g12"])
def test_an_error_of_another_version_names_it(version: str) -> None:
    other = f"; the server is Label Studio {version}, and Goldleaf is tested with {TESTED}"
    assert check(refusal(500, "no such column", version)) == (
        f"cannot log in: Label Studio answers 500: no such column{other}"
    )
    assert check(refusal(404, "Not found.", version)).endswith(f"or the project was deleted{other}")
    assert check((200, JSON, b'{"uid": 1}'), version) == (
        f"cannot log in: URL answers, but not like Label Studio (id: Field required); check LABEL_STUDIO_URL{other}"
    )


@pytest.mark.parametrize("version", [TESTED, "", "latest", "9" * 50, "1.0\x1b[2J"])
def test_the_tested_version_and_what_is_none_are_not_told(version: str) -> None:
    assert "tested with" not in check(refusal(500, "no such column", version))
    assert "tested with" not in check((200, JSON, b"{}"), version)


def test_a_legacy_token_where_these_are_turned_off_is_told_from_a_wrong_one() -> None:
    off = "Authentication token no longer valid: legacy token authentication has been disabled for this organization"
    assert check(refusal(401, off)) == (
        "cannot log in: URL takes no legacy tokens; set LABEL_STUDIO_API_KEY to a personal access token"
    )
    assert check(refusal(401, "Invalid token.", "1.0")) == (
        "cannot log in: URL refuses the token; set LABEL_STUDIO_API_KEY (see Account & Settings)"
    )


@pytest.mark.parametrize("verb", ["curate", "collect", "invite", "reconcile"])
def test_a_user_without_rights_is_told_so_and_everything_is_sent_once_there_is_one(tmp_path: Path, verb: str) -> None:
    is_let = True

    def around(fake: FakeStudio) -> Callable[[str, str, bytes], Reply]:
        def answer(method: str, path: str, body: bytes) -> Reply:
            if not is_let and "whoami" not in path:
                return refusal(403, "You do not have permission to perform this action.")
            return fake(method, path, body)

        return answer

    with (
        fake_studio(around) as fake,
        desk_at(fake, tmp_path, [row(1, "Late?", None)], "review: {audit: 0.0}\n") as desk,
    ):
        terminal = Terminal(tmp_path, fake.url, fake.token)
        terminal.goldleaf("curate", "--no-push")
        is_let = False
        shown = terminal.goldleaf(verb, exit_code=1).stderr.splitlines()[-1]
        assert "does not let this user (You do not have permission to perform this action.)" in shown
        assert "set LABEL_STUDIO_API_KEY to another's token" in shown
        is_let = True
        assert desk.curate().review.sent == 1
