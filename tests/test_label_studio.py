"""A real Label Studio is found, recognized, and has one project for each dataset."""

import json
import re
from collections.abc import Iterator

import pytest
from loopback import LOST, Proxy, Reply, plan, serving, through_a_proxy
from studio_clauses import clauses, new_project, nothing

from flows.local.annotating_client import AnnotatingClient
from flows.local.studio_server import LocalStudio
from pipeline.errors import LabelStudioError, Unreachable
from pipeline.review.form import labeling_config
from pipeline.review.label_studio_models import ListedTask, Tasks
from pipeline.review.label_studio_pages import list_tasks
from pipeline.review.label_studio_projects import read_project, show_form
from schemas.tasks.contract_clause import ContractClause


@pytest.fixture
def client(label_studio: LocalStudio) -> Iterator[AnnotatingClient]:
    with AnnotatingClient(label_studio.url, label_studio.token) as client:
        yield client


# --- getting in -----------------------------------------------------------------------------------
def test_check_says_who_we_are(client: AnnotatingClient, label_studio: LocalStudio) -> None:
    assert client.check() == label_studio.username


@pytest.mark.parametrize("token", ["wrong", "0" * 40])
def test_a_wrong_token_is_refused_and_named(label_studio: LocalStudio, token: str) -> None:
    with pytest.raises(
        LabelStudioError, match=rf"cannot log in: {label_studio.url} refuses the token; set LABEL_STUDIO_API_KEY"
    ):
        AnnotatingClient(label_studio.url, token).check()


@pytest.mark.parametrize("token", ["", "  ", "tökén", "two\nlines"])
def test_what_cannot_be_a_token_is_refused_at_once(token: str) -> None:
    with pytest.raises(LabelStudioError, match="there is no access token for Label Studio; set LABEL_STUDIO_API_KEY"):
        AnnotatingClient("http://127.0.0.1:1", token)


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://localhost", "http://", "http:// x"])
def test_what_cannot_be_an_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(LabelStudioError, match="is not the address of a server; set LABEL_STUDIO_URL to http"):
        AnnotatingClient(url, "token")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.0.0.1:99999", "http://no-such-host.invalid"])
def test_if_no_server_answers_it_says_how_to_start_a_server(url: str) -> None:
    with pytest.raises(
        Unreachable,
        match=r"^Label Studio does not answer at .*; start one with `goldleaf label-studio`, or set LABEL_STUDIO_URL",
    ):
        AnnotatingClient(url, "token").check()


@pytest.mark.parametrize(
    ("status", "headers", "content", "message"),
    [
        (200, {"content-type": "text/html"}, b"<html>Welcome</html>", "answers, but not like Label Studio"),
        (
            200,
            {"content-type": "application/json"},
            b'{"name": "something else"}',
            "answers, but not like Label Studio",
        ),
        (200, {"content-type": "application/json"}, b"[1, 2]", "answers, but not like Label Studio"),
        (
            302,
            {"location": "https://elsewhere.example"},
            b"",
            "redirects to https://elsewhere.example; set LABEL_STUDIO_URL",
        ),
        (404, {}, b"not found", "has no such page; it is not Label Studio"),
        (503, {}, b"<h1>try later</h1>", "Label Studio answers 503: <h1>try later</h1>"),
    ],
)
def test_another_server_is_told_from_label_studio(
    status: int, headers: dict[str, str], content: bytes, message: str
) -> None:
    with (
        serving(lambda *_: (status, headers, content)) as server,
        pytest.raises(LabelStudioError, match=f"cannot log in: .*{message}"),
    ):
        AnnotatingClient(server.url, "token").check()


def test_a_path_beside_label_studio_is_noticed(label_studio: LocalStudio) -> None:
    with pytest.raises(LabelStudioError, match=r"/nowhere has no such page; it is not Label Studio"):
        AnnotatingClient(f"{label_studio.url}/nowhere", label_studio.token).check()


# --- projects -------------------------------------------------------------------------------------
def test_a_project_is_made_once_and_its_texts_follow(client: AnnotatingClient) -> None:
    marker, config = "goldleaf:once", labeling_config(ContractClause)
    first = client.open_project("Once", marker, config, "Name it.")
    reworded = config.replace("Why you see this", "The reason")
    assert client.open_project("Another title", marker, reworded, "Name it.") == first
    assert read_project(client.requests, first).label_config == config, "another machine may be sending questions"
    show_form(client.requests, first, reworded, "Name it & <b>quickly</b>.\nAnd well.")
    shown = read_project(client.requests, first)
    assert (shown.label_config, shown.expert_instruction) == (reworded, "Name it &amp; <b>quickly</b>.\nAnd well.")
    assert client.find_project(marker) == first
    assert client.find_project("goldleaf:on") is None, "the beginning of another's marker"


def test_tasks_of_an_earlier_form_get_what_the_new_one_shows(client: AnnotatingClient) -> None:
    """Label Studio's page cannot submit a task that lacks it."""
    marker, config = "goldleaf:earlier", labeling_config(ContractClause)
    before = re.sub(r'<View className="goldleaf-candidates">.*?</View>', "", config)
    project = client.open_project("Earlier", marker, before.replace('whenTagName="goldleaf-candidate"', ""), "…")
    tasks = clauses("k1", "k2")
    for task in tasks:
        del task["data"]["candidates"]
    client.push(project, tasks, nothing)
    show_form(client.requests, project, config, "…")
    sent = list(list_tasks(client.requests, project, Tasks[ListedTask], "id,data"))
    assert [task.data["candidates"] for task in sent] == [[], []]
    assert [task.push_key for task in sent] == ["k1", "k2"]


@pytest.mark.parametrize("title", ["x", "A title that is much longer than the fifty characters that are allowed"])
def test_titles_of_any_length_are_taken(client: AnnotatingClient, title: str) -> None:
    assert client.open_project(title, f"goldleaf:{len(title)}", labeling_config(ContractClause), "…") > 0


def test_a_project_whose_creation_was_not_confirmed_is_found_and_not_made_again(label_studio: LocalStudio) -> None:
    proxy = Proxy(label_studio, plan())
    created = []

    def answer(method: str, path: str, body: bytes) -> Reply:
        result = proxy(method, path, body)
        if method == "POST" and path.startswith("/api/projects"):
            created.append(json.loads(result[2])["id"])
            return LOST, {}, b""
        return result

    with proxy.upstream, serving(answer) as server, AnnotatingClient(server.url, label_studio.token) as client:
        assert [new_project(client, ContractClause, "unconfirmed")] == created


def test_projects_have_identities_that_do_not_depend_on_the_address(
    label_studio: LocalStudio, client: AnnotatingClient
) -> None:
    one, two = (new_project(client, ContractClause, f"identity {n}") for n in (1, 2))
    with through_a_proxy(label_studio, plan()) as (other_address, _):
        assert other_address.identity(one) == client.identity(one) != client.identity(two)
