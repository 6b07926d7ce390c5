"""A tab of a real Label Studio's Data Manager shows the tasks of its filter, and is set as often as one likes."""

from collections.abc import Iterator

import httpx
import pytest
from studio_clauses import clauses, new_project, nothing

from flows.local.annotating_client import AnnotatingClient
from flows.local.studio_server import LocalStudio
from pipeline.review.label_studio_tabs import ensure_tab, remove_tab, tabs
from pipeline.review.team_tabs import ALL_TASKS, ANYBODY, parts, set_tabs, tab_of_all
from schemas.tasks.contract_clause import ContractClause


@pytest.fixture
def client(label_studio: LocalStudio) -> Iterator[AnnotatingClient]:
    with AnnotatingClient(label_studio.url, label_studio.token) as client:
        yield client


def project_of_seats(client: AnnotatingClient, name: str, **seats: str) -> int:
    """A project whose tasks name a seat."""
    project = new_project(client, ContractClause, name)
    tasks = clauses(*seats)
    for task in tasks:
        task["data"]["seat"] = seats[task["data"]["push_key"]]
    client.push(project, tasks, nothing)
    return project


def shown_in(studio: LocalStudio, tab: int) -> list[str]:
    """The push keys of a tab's tasks."""
    header = {"Authorization": f"Token {studio.token}"}
    answer = httpx.get(f"{studio.url}/api/tasks?view={tab}&page_size=100&fields=task_only", headers=header, timeout=60)
    return sorted(task["data"]["push_key"] for task in answer.raise_for_status().json()["tasks"])


def test_a_tab_shows_the_tasks_of_its_filter_and_no_others(client: AnnotatingClient, label_studio: LocalStudio) -> None:
    project = project_of_seats(client, "tabs", a="anna@example.com", b="ben@example.com", c="anna@example.com", d="ann")
    one, other, all_tasks = (
        ensure_tab(client.requests, project, title, data)
        for title, data in [
            ("anna@example.com", {"seat": "anna@example.com"}),
            ("nobody", {"seat": "nobody"}),
            ("everything", {}),
        ]
    )
    assert shown_in(label_studio, one) == ["a", "c"]
    assert shown_in(label_studio, other) == []
    assert shown_in(label_studio, all_tasks) == ["a", "b", "c", "d"]


def test_a_tab_is_made_once_and_its_filter_follows_while_its_columns_stay(
    client: AnnotatingClient, label_studio: LocalStudio
) -> None:
    project = project_of_seats(client, "one tab", a="first", b="second")
    tab = ensure_tab(client.requests, project, "Part", {"seat": "first"})
    assert ensure_tab(client.requests, project, "Part", {"seat": "first"}) == tab
    header = {"Authorization": f"Token {label_studio.token}"}
    nothing_filtered: dict[str, object] = {"conjunction": "and", "items": []}
    columns = {"explore": ["tasks:created_at"], "labeling": ["tasks:id"]}
    hidden = {"title": "Part", "hiddenColumns": columns, "filters": nothing_filtered}
    changed = httpx.patch(
        f"{label_studio.url}/api/dm/views/{tab}/", json={"data": hidden, "project": project}, headers=header, timeout=60
    )
    assert changed.is_success
    assert shown_in(label_studio, tab) == ["a", "b"], "somebody has removed its filter"
    assert ensure_tab(client.requests, project, "Part", {"seat": "second"}) == tab
    assert shown_in(label_studio, tab) == ["b"]
    [left] = tabs(client.requests, project)
    assert left.data["hiddenColumns"] == columns
    remove_tab(client.requests, tab)
    assert (tabs(client.requests, project), len(client.asked(project))) == ([], 2)


def test_a_team_has_all_tasks_first_and_a_tab_for_what_is_for_anybody(
    client: AnnotatingClient, label_studio: LocalStudio
) -> None:
    project = new_project(client, ContractClause, "team")
    # The first task is of another kind: Label Studio asks it what "empty" means.
    tasks = clauses("foreign", "anas", "nobodys")
    for task, whose in zip(tasks, (None, "ana@example.com", ""), strict=True):
        task["data"] |= {} if whose is None else {"assigned": whose}
    client.push(project, tasks, nothing)
    own = ensure_tab(client.requests, project, "ana@example.com", {"assigned": "ana@example.com"}, only_open=True)
    found = set_tabs(client.requests, project, ["ana@example.com"], for_anybody=True)
    assert found.own.keys() == {"ana@example.com", ANYBODY} and found.own["ana@example.com"] == own
    shown = tabs(client.requests, project)
    assert [tab.title for tab in shown] == [ALL_TASKS, "ana@example.com", ANYBODY], (
        "a project of before had no such tab"
    )
    assert tab_of_all(shown) == found.all_tasks == shown[0].tab_id
    assert shown_in(label_studio, found.all_tasks) == ["anas", "foreign", "nobodys"]
    assert shown_in(label_studio, found.own["ana@example.com"]) == ["anas"]
    assert shown_in(label_studio, found.own[ANYBODY]) == ["nobodys"]
    assert [tab.title for tab in parts(client.requests, project, shown)] == ["ana@example.com", ANYBODY]
    for key, task in client.asked(project).items():
        if task == "nobodys":
            client.requests.tell("delete", lambda sdk, key=key: sdk.tasks.delete(id=str(key)))
    assert [tab.title for tab in parts(client.requests, project, shown)] == ["ana@example.com"], "nothing is in it"
    assert set_tabs(client.requests, project, ["ana@example.com"], for_anybody=False).all_tasks == found.all_tasks
