"""Pushing to a real Label Studio and pulling from it, also when the connection or the server misbehaves."""

import datetime
from collections.abc import Iterator
from datetime import UTC, timedelta

import httpx
import pytest
from loopback import LATE, LOST, plan, through_a_proxy
from studio_clauses import clauses, keys_on_server, kinds, new_project, nothing, pulled

from flows.local.annotating_client import AnnotatingClient
from flows.local.studio_server import LocalStudio
from pipeline.errors import LabelStudioError, Unreachable
from pipeline.review.labeling_tasks import LabelingQuestion, labeling_task, read_result, verdict_result
from schemas.annotation import Verdict
from schemas.task import Input, Target, Task
from schemas.tasks.contract_clause import ContractClause


@pytest.fixture
def client(label_studio: LocalStudio) -> Iterator[AnnotatingClient]:
    with AnnotatingClient(label_studio.url, label_studio.token) as client:
        yield client


@pytest.fixture
def api(label_studio: LocalStudio) -> Iterator[httpx.Client]:
    """The server's own interface, for what others do to it."""
    header = {"Authorization": f"Token {label_studio.token}"}
    with httpx.Client(base_url=label_studio.url, headers=header) as api:
        yield api


@pytest.fixture
def project(client: AnnotatingClient, request: pytest.FixtureRequest) -> int:
    return new_project(client, ContractClause, request.node.name)


# --- push -----------------------------------------------------------------------------------------
def test_a_push_sends_what_is_missing_and_reports_every_task(client: AnnotatingClient, project: int) -> None:
    first = client.push(project, clauses("a", "b"), nothing)
    assert (first.pushed, first.refused) == (2, [])
    noted: list[dict[str, int]] = []
    second = client.push(project, clauses("a", "b", "c", "c"), noted.append)
    assert (second.pushed, len(second.task_ids)) == (1, 3)
    assert noted == [second.task_ids]
    assert first.task_ids.items() <= second.task_ids.items()
    assert set(second.task_ids.values()) == set(client.asked(project))
    assert keys_on_server(client, project) == ["a", "b", "c"]


def test_large_pushes_go_in_batches_and_are_noted_after_each(
    client: AnnotatingClient, project: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.review.label_studio_batches.BATCH", 50)
    keys = [f"{number:032x}" for number in range(62)]
    noted: list[dict[str, int]] = []
    report = client.push(project, clauses(*keys), noted.append)
    assert [len(batch) for batch in noted] == [50, 12]
    assert report.task_ids == noted[0] | noted[1]
    assert keys_on_server(client, project) == keys


def test_an_import_whose_answer_was_lost_is_not_repeated(label_studio: LocalStudio, project: int) -> None:
    with through_a_proxy(label_studio, plan(LOST)) as (client, proxy):
        noted: list[dict[str, int]] = []
        report = client.push(project, clauses("a", "b", "c"), noted.append)
        assert (report.pushed, proxy.imports) == (3, 1)
        assert noted[0] == report.task_ids
        assert keys_on_server(client, project) == ["a", "b", "c"]


def test_an_import_that_ends_after_its_repetition_counts_once(label_studio: LocalStudio, project: int) -> None:
    with through_a_proxy(label_studio, plan(LATE)) as (client, proxy):
        noted: list[dict[str, int]] = []
        report = client.push(project, clauses("a", "b"), noted.append)
        assert proxy.imports == 2
        assert keys_on_server(client, project) == ["a", "b"]
        assert set(report.task_ids.values()) == set(client.asked(project))
        assert noted[-1] == report.task_ids


def test_a_passing_fault_is_sat_out(label_studio: LocalStudio, project: int) -> None:
    with through_a_proxy(label_studio, plan(502, LOST)) as (client, _):
        assert client.push(project, clauses("a"), nothing).pushed == 1
        assert keys_on_server(client, project) == ["a"]


def test_a_task_that_the_server_refuses_does_not_hold_up_the_others(client: AnnotatingClient, project: int) -> None:
    tasks = clauses("a", "b", "c", "d", "e")
    tasks[3]["data"]["clause"] = None
    report = client.push(project, tasks, nothing)
    assert (report.pushed, sorted(report.task_ids)) == (4, ["a", "b", "c", "e"])
    [(key, reason)] = report.refused
    assert key == "d"
    assert "data['clause']=None" in reason


def test_a_task_that_makes_the_server_fail_is_tried_three_times_and_set_aside(
    label_studio: LocalStudio, project: int
) -> None:
    with through_a_proxy(label_studio, lambda body: 500 if b'"poison"' in body else None) as (client, proxy):
        report = client.push(project, clauses("a", "poison"), nothing)
        assert report.refused == [("poison", "out of order")]
        assert keys_on_server(client, project) == ["a"]
        assert proxy.imports == 7, "both together and the bad one alone three times each, the good one once"


def test_a_server_that_refuses_everything_ends_the_push(label_studio: LocalStudio, project: int) -> None:
    with through_a_proxy(label_studio, lambda body: 400) as (client, _):
        with pytest.raises(LabelStudioError, match="refuses more than 50 tasks, the last one with: out of order"):
            client.push(project, clauses(*(str(number) for number in range(60))), nothing)
        assert set(client.asked(project)) == set()


def test_a_server_that_goes_away_ends_the_push_and_the_next_one_goes_on(
    label_studio: LocalStudio, client: AnnotatingClient, project: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.review.label_studio_batches.BATCH", 50)
    keys = [f"{number:02}" for number in range(51)]
    noted: dict[str, int] = {}
    with (
        through_a_proxy(label_studio, plan(None, LATE, LATE, LATE)) as (proxied, _),
        pytest.raises(Unreachable, match="cannot push tasks: Label Studio does not answer"),
    ):
        proxied.push(project, clauses(*keys), noted.update)
    assert len(noted) == 50
    report = client.push(project, clauses(*keys), noted.update)
    assert (report.pushed, len(report.task_ids)) == (1, 51)
    assert sorted(noted) == keys_on_server(client, project)


def test_a_lost_project_is_named(client: AnnotatingClient) -> None:
    with pytest.raises(LabelStudioError, match="has no such page; it is not Label Studio, or the project was deleted"):
        client.push(999_999, clauses("a"), nothing)


def test_reconciling_deletes_repeated_questions_but_no_work(
    client: AnnotatingClient, project: int, label_studio: LocalStudio, api: httpx.Client
) -> None:
    user = client.ensure_user(label_studio.username, "", "")
    tasks = clauses("idle", "labeled", "drafted", "both")
    ids: dict[str, list[int]] = {}
    for _ in range(3):
        api.post(f"/api/projects/{project}/import", json=tasks).raise_for_status()
    for task in client.pull(project, None).tasks:
        ids.setdefault(task.push_key, []).append(task.task_id)
    client.annotate(ids["labeled"][1], *kinds("term"), user=user)
    for task_id in ids["both"][1:]:
        client.annotate(task_id, *kinds("term"), user=user)
    draft = {"result": kinds("renewal")[0], "lead_time": 1}
    api.post(f"/api/tasks/{ids['drafted'][2]}/drafts", json=draft).raise_for_status()
    kept = client.reconcile(project, client.asked(project))
    assert (
        kept
        == client.asked(project)
        == {
            ids["idle"][0]: "idle",
            ids["labeled"][1]: "labeled",
            ids["drafted"][2]: "drafted",
            ids["both"][1]: "both",
            ids["both"][2]: "both",
        }
    )
    assert client.push(project, clauses("idle"), nothing).task_ids == {"idle": ids["idle"][0]}


# --- pull -----------------------------------------------------------------------------------------
def test_labels_skips_edits_and_deletions_are_understood(
    client: AnnotatingClient, project: int, label_studio: LocalStudio, api: httpx.Client
) -> None:
    ids = client.push(project, clauses("label", "skip", "edit", "delete", "unusable", "open"), nothing).task_ids
    user = client.ensure_user(label_studio.username, "", "")
    before = pulled(client, project)["open"]
    for key, kind in (("label", "renewal"), ("skip", "term"), ("edit", "term"), ("delete", "term")):
        client.annotate(ids[key], *kinds(kind), user=user, skipped=key == "skip")
    client.annotate(ids["unusable"], verdict_result(ContractClause, Verdict.UNUSABLE), user=user)
    first = pulled(client, project)
    edited, deleted = (first[key].annotations[0].annotation_id for key in ("edit", "delete"))
    api.patch(f"/api/annotations/{edited}/", json={"result": kinds("warranty")[0]}).raise_for_status()
    api.delete(f"/api/annotations/{deleted}/").raise_for_status()
    after = pulled(client, project)
    assert after["open"] == before
    assert after["delete"].annotations == []
    answers = {
        key: read_result(ContractClause, found.result, found.was_cancelled)
        for key, task in after.items()
        for found in task.annotations
    }
    assert {key: (answer.verdict, answer.targets) for key, answer in answers.items()} == {
        "label": (Verdict.LABELED, {"kind": "renewal"}),
        "skip": (Verdict.SKIPPED, None),
        "edit": (Verdict.LABELED, {"kind": "warranty"}),
        "unusable": (Verdict.UNUSABLE, None),
    }
    [edit] = after["edit"].annotations
    assert edit.annotator == str(user)
    assert edit.created_at < edit.updated_at
    assert (after["edit"].task_id, after["edit"].record_id) == (ids["edit"], "r-edit")


def test_the_watermark_is_the_server_s_latest_time_and_bounds_the_next_pull(
    client: AnnotatingClient, project: int
) -> None:
    assert client.pull(project, None).watermark is None
    client.push(project, clauses("a"), nothing)
    pull = client.pull(project, None)
    assert pull.watermark is not None
    assert abs(datetime.datetime.now(UTC) - pull.watermark) < timedelta(minutes=1)
    again = client.pull(project, pull.watermark)
    assert [task.push_key for task in again.tasks] == ["a"], "five minutes before the watermark are pulled again"
    soon, later = (pull.watermark + timedelta(minutes=minutes) for minutes in (4, 6))
    client.requests.transport.clock = later  # as if it were then
    assert [task.push_key for task in client.pull(project, soon).tasks] == ["a"]
    client.requests.transport.clock = later
    assert client.pull(project, later).tasks == []
    client.requests.transport.clock = later
    assert client.pull(project, later).watermark == later


def test_a_watermark_in_the_server_s_future_hides_nothing(client: AnnotatingClient, project: int) -> None:
    client.push(project, clauses("a"), nothing)
    ahead = datetime.datetime.now(UTC) + timedelta(days=400)
    pull = client.pull(project, ahead)
    assert [task.push_key for task in pull.tasks] == ["a"]
    assert pull.watermark is not None and pull.watermark < ahead
    client.requests.transport.clock = pull.watermark - timedelta(days=1)
    assert client.pull(project, None).watermark == pull.watermark - timedelta(days=1), (
        "no mark is set ahead of the clock"
    )


def test_deleted_tasks_are_missing_from_the_ids(client: AnnotatingClient, project: int, api: httpx.Client) -> None:
    ids = client.push(project, clauses("a", "b"), nothing).task_ids
    api.delete(f"/api/tasks/{ids['a']}/").raise_for_status()
    assert set(client.asked(project)) == {ids["b"]}


def test_tasks_of_others_are_left_out(client: AnnotatingClient, project: int, api: httpx.Client) -> None:
    client.push(project, clauses("ours"), nothing)
    theirs = [{"data": {"clause": "…", "why": "…", "candidates": []}}]
    api.post(f"/api/projects/{project}/import", json=theirs).raise_for_status()
    assert keys_on_server(client, project) == ["ours"]
    asked = client.asked(project)
    assert client.reconcile(project, asked) == asked
    assert sorted(asked.values()) == ["", "ours"]


def test_odd_values_survive_the_real_server(client: AnnotatingClient, label_studio: LocalStudio) -> None:
    class Odd(Task):
        """Copy it."""

        source: Input[str]
        note: Target[str]
        count: Target[int]
        ratio: Target[float]
        day: Target[datetime.date]
        tags: Target[list[str]]

    values = {
        "note": "<script>alert(1)</script> \"' \\ \x07 👩‍👩‍👧 שלום e\u0301\n\n$x {{y}} \u2028 \ufeff.",
        "count": -1234567890123456789,
        "ratio": 5e-324,
        "day": "0001-02-03",
        "tags": ["a\tb", "", "ü\r\nö", "null"],
    }
    project = new_project(client, Odd, "odd values")
    question = LabelingQuestion(
        push_key="k", record_id="r", inputs={"source": "x\x00" * 3}, why="<b>", proposal=values, score=1
    )
    client.push(project, [labeling_task(Odd, question)], nothing)
    [task] = client.unanswered(project)
    client.annotate(task.task_id, task.proposal, user=client.ensure_user(label_studio.username, "", ""))
    [annotation] = pulled(client, project)["k"].annotations
    assert read_result(Odd, annotation.result, annotation.was_cancelled).targets == Odd.task_canonical(values)
    assert client.unanswered(project) == []


def test_users_are_made_once_and_answers_carry_their_names(client: AnnotatingClient, project: int) -> None:
    ids = client.push(project, clauses("a"), nothing).task_ids
    user = client.ensure_user("second@example.com", "Second", "Annotator")
    assert client.ensure_user("second@example.com", "Second", "Annotator") == user
    client.annotate(ids["a"], *kinds("term"), user=user)
    assert pulled(client, project)["a"].annotations[0].annotator == str(user)


def test_the_sdk_says_nothing_by_itself(
    client: AnnotatingClient, project: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    client.push(project, clauses("a"), nothing)
    client.pull(project, None)
    with pytest.raises(LabelStudioError):
        AnnotatingClient(client.url, "wrong").check()
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("label_studio")] == []
