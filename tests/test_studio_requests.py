"""Requests to Label Studio: how much time and size we put up with, lists that lack something, both kinds of tokens."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from desk import desk_at
from fake_studio import FakeStudio, fake_studio
from ill_servers import HASTY
from loopback import MUTE, Reply, Talk, dripping_body, dripping_headers, mute, serving, talking
from studio_clauses import clauses, new_project, nothing
from support import row, write_dataset
from terminal import Terminal

from flows.local.studio_server import LocalStudio
from pipeline.errors import LabelStudioError, Unreachable
from pipeline.review import label_studio_batches
from pipeline.review import label_studio_pages as task_pages
from pipeline.review import label_studio_requests as studio_requests
from pipeline.review.label_studio import LabelStudio
from pipeline.review.label_studio_requests import Refused
from pipeline.review.label_studio_transport import Limits
from pipeline.time_limits import Patience
from schemas.tasks.contract_clause import ContractClause

OPEN = "review: {budget: 100, audit: 0.0}\n"
Around = Callable[[FakeStudio], Callable[[str, str, bytes], Reply]]


# --- time -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (mute, "no answer within 0.4 s"),
        (dripping_headers, "no answer within 0.4 s"),
        (dripping_body, "less than 10,000 bytes per second for 0.3 s"),
    ],
)
def test_a_server_that_keeps_us_waiting_is_unreachable(talk: Talk, reason: str) -> None:
    with (
        talking(talk) as url,
        pytest.raises(Unreachable, match=rf"^Label Studio at {url[:-1]} does not respond in time \({reason}\); see"),
        LabelStudio(url, "token", HASTY) as client,
    ):
        client.check()


def test_requests_that_are_all_slow_end_together(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_studio() as fake, LabelStudio(fake.url, fake.token, Limits(whole=-0.5, each=0.2)) as client:
        client.requests.transport.answered = 10  # a second and a half are left
        client.check()
        client.requests.transport.spent = 60.0
        with pytest.raises(Unreachable, match=r"does not respond in time \(11 requests took 60 s\)"):
            client.check()


def test_a_server_that_hangs_makes_the_questions_wait_and_collect_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio_requests, "LIMITS", HASTY)
    write_dataset(tmp_path, [row(1, "Where is my parcel?", None)], OPEN)
    with talking(mute) as url:
        terminal = Terminal(tmp_path, url, "token")
        shown = terminal.goldleaf("curate").stdout
        assert "1 question is waiting for annotators: Label Studio at" in shown
        assert "does not respond in time (no answer within 0.4 s)" in terminal.error("collect", "--json")


def test_an_import_may_take_longer_than_other_requests() -> None:
    limits = Limits(login=Patience(answer=30), usual=Patience(answer=30), imports=Patience(answer=0.3))

    def around(fake: FakeStudio) -> Callable[[str, str, bytes], Reply]:
        return lambda method, path, body: (MUTE, {}, b"") if "/import" in path else fake(method, path, body)

    with fake_studio(around) as fake, LabelStudio(fake.url, fake.token, limits) as client:
        project = new_project(client, ContractClause, "slow")
        with pytest.raises(Unreachable, match=r"^cannot push tasks: Label Studio at .* \(no answer within 0\.3 s\)"):
            client.push(project, clauses("a"), nothing)


# --- size -----------------------------------------------------------------------------------------
def test_long_texts_go_in_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_studio_batches, "BATCH_BYTES", 3_000)
    with fake_studio() as fake, LabelStudio(fake.url, fake.token) as client:
        noted: list[dict[str, int]] = []
        tasks = clauses("a", "b", "c", "d")
        for task in tasks:
            task["data"]["clause"] = "long " * (1_000 if task["data"]["push_key"] == "b" else 200)
        project = new_project(client, ContractClause, "long")
        assert client.push(project, tasks, noted.append).pushed == 4
        assert [sorted(batch) for batch in noted] == [["a"], ["b"], ["c", "d"]]


def test_a_list_that_is_too_large_comes_in_smaller_pages() -> None:
    with fake_studio() as fake:
        with LabelStudio(fake.url, fake.token) as client:
            project = new_project(client, ContractClause, "large")
            client.push(project, clauses(*(f"{number} " + "long " * 100 for number in range(40))), nothing)
            everything = client.asked(project)
        with LabelStudio(fake.url, fake.token, Limits(most=9_000)) as client:
            assert client.asked(project) == everything
        with (
            LabelStudio(fake.url, fake.token, Limits(most=600)) as client,
            pytest.raises(LabelStudioError, match=r"^cannot list tasks: .* answers with more than 600 bytes; check"),
        ):
            client.asked(project)


# --- lists that lack something --------------------------------------------------------------------
def lacking(what: str, times: int) -> Around:
    """A server that leaves the last one out of some lists."""

    def around(fake: FakeStudio) -> Callable[[str, str, bytes], Reply]:
        left = iter(range(times))

        def answer(method: str, path: str, body: bytes) -> Reply:
            status, headers, content = fake(method, path, body)
            if method == "GET" and f"/api/{what}/?" in path and fake.tasks and next(left, None) is not None:
                value = json.loads(content)
                value["tasks" if what == "tasks" else "results"].pop()
                content = json.dumps(value).encode()
            return status, headers, content

        return answer

    return around


def test_tasks_that_a_list_lacks_are_not_taken_for_deleted() -> None:
    for times in (2, 100):
        with fake_studio(lacking("tasks", times)) as fake, LabelStudio(fake.url, fake.token) as client:
            project = new_project(client, ContractClause, "lacking")
            fake._import(project, clauses("a", "b"))
            if times == 2:
                assert sorted(client.asked(project).values()) == ["a", "b"], "a passing fault is sat out"
                continue
            with pytest.raises(LabelStudioError, match=r"^cannot list tasks: .* reports 2 but sends 1; try again"):
                client.asked(project)


def test_a_project_that_a_list_lacks_is_not_made_again() -> None:
    with fake_studio(lacking("projects", 100)) as fake, LabelStudio(fake.url, fake.token) as client:
        project = new_project(client, ContractClause, "lacking")
        fake._import(project, clauses("a"))
        with pytest.raises(LabelStudioError, match=r"^cannot list the projects: .* reports 1 but sends 0; try again"):
            new_project(client, ContractClause, "lacking")
        assert len(fake.projects) == 1


def test_a_project_whose_description_was_not_sent_once_is_not_made_again() -> None:
    def around(fake: FakeStudio) -> Callable[[str, str, bytes], Reply]:
        left = iter([True])

        def answer(method: str, path: str, body: bytes) -> Reply:
            status, headers, content = fake(method, path, body)
            if fake.tasks and "/api/projects/?" in path and next(left, False):
                content = content.replace(b'"description": "', b'"description": null, "was": "')
            return status, headers, content

        return answer

    with fake_studio(around) as fake, LabelStudio(fake.url, fake.token) as client:
        project = new_project(client, ContractClause, "once")
        fake._import(project, clauses("a"))
        assert new_project(client, ContractClause, "once") == project


def test_a_server_that_does_not_heed_the_page_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would send the same tasks for ever."""
    monkeypatch.setattr(task_pages, "PAGE", 2)
    task = {"id": 3, "data": {}}
    answer = json.dumps({"total": 100, "tasks": [task, task | {"id": 4}]}).encode()
    with (
        serving(lambda *_: (200, {}, answer)) as server,
        LabelStudio(server.url, "token") as client,
        pytest.raises(
            LabelStudioError, match=r"^cannot list tasks: .* sends tasks other than those requested; see its log"
        ),
    ):
        client.asked(1)


# --- tokens ---------------------------------------------------------------------------------------
FOR_EVER = 2**32


def personal(**claims: object) -> str:
    """A token that looks as if it had to be exchanged."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"token_type": "refresh"} | claims)
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*texts, "c2ln"])


class Spoiling(httpx.HTTPTransport):
    """Takes requests to the network; one may be spoilt, so that the server does not know its token."""

    spoils = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.spoils:
            self.spoils = False
            request.headers["authorization"] = request.headers["authorization"][:-3] + "AAA"
        return super().handle_request(request)


def test_a_personal_access_token_is_exchanged_and_again_when_the_server_takes_it_no_more(
    label_studio: LocalStudio, tmp_path: Path
) -> None:
    header = {"Authorization": f"Token {label_studio.token}"}
    with httpx.Client(base_url=label_studio.url, headers=header) as api:
        made = api.post("/api/token/")
        assert made.is_success, made.text
        token = made.json()["token"]
    transport = Spoiling()
    with desk_at(label_studio, tmp_path, [row(1, "Where is my parcel?", None)], OPEN):
        with LabelStudio(label_studio.url, token, transport=transport) as client:
            assert client.check() == label_studio.username
            transport.spoils = True
            assert client.check() == label_studio.username
            assert not transport.spoils
        assert Terminal(tmp_path, label_studio.url, token).json("curate")["review"]["sent"] == 1


def exchanging(fake: FakeStudio, answer: object, exchanged: list[str]) -> Callable[[str, str, bytes], Reply]:
    """A server that answers a personal token with a given response."""

    def reply(method: str, path: str, body: bytes) -> Reply:
        if not path.startswith("/studio/api/token/"):
            return fake(method, path.removeprefix("/studio"), body)
        exchanged.append(json.loads(body)["refresh"])
        return 200, {}, json.dumps(answer).encode()

    return reply


@pytest.mark.parametrize(("exp", "times"), [(FOR_EVER, 1), (1, 3)])
def test_a_token_that_requests_carry_is_used_until_it_expires(exp: int, times: int) -> None:
    """At an address with a path, too."""
    exchanged: list[str] = []
    key = personal(exp=FOR_EVER)
    with (
        serving(exchanging(FakeStudio(), {"access": personal(exp=exp)}, exchanged)) as server,
        LabelStudio(f"{server.url}/studio", key) as client,
    ):
        for _ in range(3):
            assert client.check() == "admin@example.com"
    assert exchanged == [key] * times


@pytest.mark.parametrize("answer", [None, [], {}, "x", {"access": None}, {"access": "tökén"}, {"access": "two\nlines"},
    {"access": personal()}, {"access": personal(exp="soon")}, {"access": personal(exp=1e300)}])  # fmt: skip
def test_what_is_not_a_token_to_carry_is_one_line(answer: object) -> None:
    with (
        serving(exchanging(FakeStudio(), answer, [])) as server,
        LabelStudio(f"{server.url}/studio", personal(exp=FOR_EVER)) as client,
        pytest.raises(LabelStudioError, match=r"^(cannot log in: )?[^\n]+; [^\n]+ LABEL_STUDIO_URL(; if /studio .*)?$"),
    ):
        client.check()
        client.check()


def test_a_personal_access_token_that_is_refused_is_named() -> None:
    with (
        serving(lambda *_: (401, {}, b'{"detail": "Token is invalid or expired"}')) as server,
        LabelStudio(server.url, personal(exp=FOR_EVER)) as client,
        pytest.raises(Refused, match=r"^cannot log in: .* refuses the token; set LABEL_STUDIO_API_KEY"),
    ):
        client.check()


@pytest.mark.parametrize("claims", [{"exp": 1}, {}, {"exp": "soon"}, {"exp": 1e300}, {"exp": None}])
def test_a_personal_access_token_that_is_good_no_more_is_refused_at_once(claims: dict[str, object]) -> None:
    with pytest.raises(LabelStudioError, match=r"^the access token .* is expired or invalid; set LABEL_STUDIO_API_KEY"):
        LabelStudio("http://127.0.0.1:1", personal(**claims))


@pytest.mark.parametrize("url", ["http://.", "http://a..b", "http://" + "a" * 70])
def test_what_is_not_a_name_of_a_host_is_one_line(url: str) -> None:
    with pytest.raises(LabelStudioError, match=r"^(Label Studio does not answer at|'http).*set LABEL_STUDIO_URL"):
        LabelStudio(url, "token").check()


@pytest.mark.parametrize("page", ["/projects/1", "/projects/7/data?task=3", "/user/account"])
def test_the_address_of_a_page_in_the_browser_is_told_from_that_of_the_server(page: str) -> None:
    answers = {404: b"", 200: b"<html>a page</html>"}
    for status, content in answers.items():
        with (
            serving(lambda *_, status=status, content=content: (status, {}, content)) as server,
            pytest.raises(LabelStudioError) as error,
        ):
            LabelStudio(f"{server.url}{page}", "token").check()
        assert str(error.value).endswith(f"; if {page} is one of its pages, set LABEL_STUDIO_URL to {server.url}")


def test_https_to_a_server_of_plain_http_says_so() -> None:
    with serving(lambda *_: (200, {}, b"")) as server, pytest.raises(Unreachable) as error:
        LabelStudio(server.url.replace("http:", "https:"), "token").check()
    assert str(error.value).endswith(f"; if it speaks plain http, set LABEL_STUDIO_URL to {server.url}")


def test_a_password_in_the_address_is_shown_nowhere(tmp_path: Path, studio: FakeStudio) -> None:
    write_dataset(tmp_path, [row(1, "Where is my parcel?", None)], OPEN)
    address = studio.url.removeprefix("http://")
    urls = [f"http://me:hunter2@{place}" for place in (address, "127.0.0.1:9", ".", address + "/nowhere")]
    for url in (*urls, "http://me:hun/ter2@a..b", "me:hunter2@127.0.0.1:9"):
        terminal = Terminal(tmp_path, url, "token")
        for verb in ("check", "curate", "collect", "status"):
            said = terminal.goldleaf(verb, exit_code=None).output
            assert "hun" not in said and "ter2" not in said and "me:" not in said, (verb, url)
    terminal = Terminal(tmp_path, f"http://me:hunter2@{address}", "token")
    [found] = [one["detail"] for one in terminal.json("check") if one["what"] == "Label Studio"]
    assert found == f"{studio.url} as admin@example.com"
    assert terminal.json("curate")["review"]["url"].startswith(f"{studio.url}/projects/")


def test_a_transport_may_be_given_instead_of_the_network() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Token token"
        return httpx.Response(200, json={"id": 1, "email": "me@example.com"})

    with LabelStudio("http://studio.example", "token", transport=httpx.MockTransport(answer)) as client:
        assert client.check() == "me@example.com"
