"""The same stories as real Prefect flows: equal results, retries where a server is away, artifacts and events."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import httpx
import pytest
from desk import rename
from loopback import LOST, Reply, serving
from prefect import Flow, flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.worker import EventsWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness
from support import row, state, write_dataset
from terminal import Terminal

from flows.collect import collect
from flows.context import Context
from flows.curate import curate
from flows.deploy import prefect_flows
from flows.engines import prefect_engine
from flows.engines.engine import Inline
from flows.local.simulated_annotators import Truth, annotate
from flows.local.studio_server import LocalStudio
from flows.release import announce_unheard, release
from pipeline.config.dataset_file import name_in
from pipeline.config.workspace import Connection
from pipeline.errors import ConfigError, LabelStudioError, SourceError, VersionExists
from pipeline.releases.unannounced import unheard

ROOT = Path(__file__).parent.parent
ROWS: list[dict[str, object]] = [
    row(1, "Where is my parcel?", None),
    row(2, "Why was I charged twice?", None),
    row(3, "How do I send back shoes?", "returns"),
    row(4, "how do I send back  shoes?", "returns"),
    row(5, "Do you deliver on Sundays?", "delivery"),
    row(6, "Is there a fee?", "nonsense"),
]


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[SyncPrefectClient]:
    """A Prefect server of the tests' own, as a process on loopback."""
    quick = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_SERVER_ANALYTICS_ENABLED: False}
    with (
        temporary_settings(quick),
        prefect_test_harness(server_startup_timeout=120),
        get_client(sync_client=True) as client,
    ):
        yield client


class Shop:
    """A dataset, and the environment in which flows find their servers."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file, self.folder, self._monkeypatch = str(folder / "dataset.yaml"), folder, monkeypatch
        write_dataset(folder, ROWS, "review: {budget: 10, audit: 1.0}\n")
        rename(folder, folder.name)
        monkeypatch.chdir(folder)  # where no .env is
        self.enter("home")

    @property
    def name(self) -> str:
        """Of the dataset, and of its runs."""
        return name_in(Path(self.file))

    def enter(self, home: str, url: str = "", token: str = "") -> Context:
        """Set what flows read from the environment; returns the dataset as they see it."""
        self._monkeypatch.setenv("GOLDLEAF_HOME", str(self.folder / home))
        self._monkeypatch.setenv("LABEL_STUDIO_URL", url)
        self._monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
        self._monkeypatch.setenv("PREFECT_API_URL", "")
        return Context.load(Path(self.file))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(prefect_engine, "_RETRY_DELAYS_S", [0.0, 0.0])
    return Shop(tmp_path, monkeypatch)


# --- equal to inline ------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["curate", "collect", "release", "finetune"])
def test_the_four_verbs_are_prefect_flows_of_these_names(name: str) -> None:
    flow = getattr(prefect_flows, name)
    assert isinstance(flow, Flow)
    assert flow.name == name
    parameters = set(flow.parameters.properties)
    assert "dataset" in parameters
    assert not [parameter for parameter in parameters if "key" in parameter or "url" in parameter], "no secrets"


def test_prefect_and_inline_end_in_the_same_state(shop: Shop, label_studio: LocalStudio) -> None:
    server = Connection(label_studio.url, label_studio.token)
    context = shop.enter("prefect", server.url, server.api_key)
    sent = prefect_flows.curate(shop.file).review.sent
    inline = shop.enter("inline", server.url, server.api_key)
    assert curate(inline, Inline()).review.sent == 0, "both use one project, which has the questions by now"
    ids = context.store.snapshot().current_records().select("record_id").collect().to_series()
    truth = {record_id: Truth({"topic": "returns"}, usable=True) for record_id in ids}
    assert annotate(server, context.dataset, truth, faultless=True) == sent == 5
    collect(inline, Inline())
    # Without the server, which would tell the other home that this number is in use.
    release(shop.enter("inline"), Inline())
    shop.enter("prefect", server.url, server.api_key)
    assert prefect_flows.collect(shop.file).decided == 5
    assert prefect_flows.release(shop.file).version == "1.0.0"
    assert state(context.store) == state(inline.store)


def test_a_validator_that_ends_the_program_in_a_prefect_task_rejects_its_row(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    task = shop.folder / "task.py"
    ends = '    @field_validator("question")\n    @classmethod\n    def ends(cls, value: str) -> str:\n'
    ends += "        print('checking')\n        return value if 'parcel' in value else __import__('sys').exit(0)\n"
    task.write_text(f"from pydantic import field_validator\n{task.read_text()}{ends}")
    file = shop.folder / "dataset.yaml"
    file.write_text(file.read_text() + "engine: {runner: prefect}\n")
    result = Terminal(shop.folder).goldleaf("curate", "--json")
    assert json.loads(result.stdout)["funnel"]["rejected"] == len(ROWS) - 1
    assert "checking" in result.stderr


def test_the_command_line_runs_on_prefect_and_prints_only_its_result(
    shop: Shop, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())  # so that what the command sets goes with the test
    file = shop.folder / "dataset.yaml"
    file.write_text(file.read_text() + "engine: {runner: prefect}\n")
    result = Terminal(shop.folder).goldleaf("curate", "--json")
    assert result.stdout.startswith("{\n") and result.stdout.endswith("}\n")
    runs = [run.name for run in prefect.read_flow_runs()]
    assert f"curate-{shop.name}" in runs


@pytest.mark.parametrize("workers", [1, 2])
def test_as_many_shards_as_there_are_workers_are_prepared_at_a_time(workers: int) -> None:
    together = threading.Barrier(workers, timeout=60)  # breaks where fewer run side by side
    lock = threading.Lock()
    active: list[int] = []
    most: list[int] = []

    def step(shard: int) -> int:
        with lock:
            active.append(shard)
            most.append(len(active))
        together.wait()
        with lock:
            active.remove(shard)
        return shard * 10

    @flow
    def shards() -> list[int]:
        return prefect_engine.PrefectEngine(workers=workers).map(step, [1, 2, 3, 4])

    assert shards() == [10, 20, 30, 40]
    assert max(most) == workers


def test_ctrl_c_ends_a_run_on_prefect_s_temporary_server_without_a_traceback(tmp_path: Path) -> None:
    """The terminal sends it to the server, too."""
    asked, ended = threading.Event(), threading.Event()

    def never_answers(method: str, path: str, body: bytes) -> Reply:
        asked.set()
        ended.wait(120)
        return LOST, {}, b""

    write_dataset(tmp_path, ROWS)
    file = tmp_path / "dataset.yaml"
    with serving(never_answers) as server:
        file.write_text(file.read_text().replace("path: data.jsonl", f"path: {server.url}/data.jsonl"))
        command = [sys.executable, "-m", "flows.cli", "curate", str(file), "--engine", "prefect"]
        alone = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
        environment = alone | {"GOLDLEAF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=PIPE, stderr=PIPE, text=True, start_new_session=True
        ) as process:
            assert asked.wait(120), "the run never came to its source"
            os.killpg(process.pid, signal.SIGINT)
            output, errors = process.communicate(timeout=70)  # the client gave up after 74 s
            ended.set()
    assert process.returncode == 130, errors
    assert "interrupted; committed work is kept, run the command again to continue" in errors
    assert "Traceback" not in output + errors


def test_a_secret_of_a_source_is_in_no_state_parameter_or_log_of_prefect(
    shop: Shop, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("LOGS_TOKEN", "opensesame-3")
    file = Path(shop.file)
    with serving(lambda *_: (404, {}, b"")) as server:
        url = f"http://me:opensesame-1@{server.url.removeprefix('http://')}/data.jsonl?token=opensesame-2"
        file.write_text(file.read_text().replace("path: data.jsonl", f"path: '{url}', headers: {{X-Key: LOGS_TOKEN}}"))
        with pytest.raises(SourceError, match="the server answered 404"):
            prefect_flows.curate(shop.file)
    EventsWorker.instance().wait_until_empty()
    runs = [run for run in prefect.read_flow_runs() if shop.name in run.name]
    tasks = [run for run in prefect.read_task_runs() if run.flow_run_id in {run.id for run in runs}]
    told = [one.model_dump_json() for one in (*runs, *tasks, *prefect.read_logs())]
    assert "cannot be fetched, the server answered 404" in "".join(told)
    assert "opensesame" not in "".join(told)


# --- servers that are away ------------------------------------------------------------------------
class Gate:
    """A way to Label Studio on which the first requests get no answer."""

    def __init__(self, studio: LocalStudio, lost: int) -> None:
        self.lost, self.requests = lost, 0
        header = {"Authorization": f"Token {studio.token}", "Content-Type": "application/json"}
        self.upstream = httpx.Client(base_url=studio.url, headers=header, timeout=60)

    def __call__(self, method: str, path: str, body: bytes) -> Reply:
        self.requests += 1
        if self.requests <= self.lost:
            return LOST, {}, b""
        answer = self.upstream.request(method, path, content=body)
        return answer.status_code, {"content-type": answer.headers.get("content-type", "")}, answer.content


def test_a_step_that_gets_no_answer_is_tried_again(
    shop: Shop, prefect: SyncPrefectClient, label_studio: LocalStudio
) -> None:
    gate = Gate(label_studio, lost=2)
    with gate.upstream, serving(gate) as server:
        shop.enter("home", server.url, label_studio.token)
        result = prefect_flows.curate(shop.file)
    assert (result.review.sent, result.review.problem) == (5, "")
    assert attempts(prefect, shop, "push_questions") == 3


def test_a_server_that_stays_away_leaves_the_questions_waiting(shop: Shop, prefect: SyncPrefectClient) -> None:
    with serving(lambda method, path, body: (LOST, {}, b"")) as server:
        shop.enter("home", server.url, "token")
        result = prefect_flows.curate(shop.file)
    assert (result.review.sent, result.review.waiting) == (0, 5)
    assert "Label Studio does not answer" in result.review.problem
    assert attempts(prefect, shop, "push_questions") == 3


def test_a_refusal_is_not_tried_again_and_reaches_the_caller(shop: Shop, prefect: SyncPrefectClient) -> None:
    asked: list[str] = []

    def refuse(method: str, path: str, body: bytes) -> Reply:
        asked.append(path)
        return 401, {"content-type": "application/json"}, b'{"detail": "Invalid token."}'

    with serving(refuse) as server:
        context = shop.enter("home", server.url, "token")
        with pytest.raises(LabelStudioError, match="refuses the token; set LABEL_STUDIO_API_KEY"):
            prefect_flows.curate(shop.file)
    assert len(asked) == attempts(prefect, shop, "push_questions") == 1
    assert state(context.store)["funnel"].accepted == 2, "what was decided is committed"


def attempts(prefect: SyncPrefectClient, shop: Shop, step: str) -> int:
    """How often a step of the shop's only curate run was tried."""
    [run] = [run for run in prefect.read_flow_runs() if run.name == f"curate-{shop.name}"]
    for _ in range(100):
        # The server hears of a task by an event, which may come after the flow has ended.
        tasks = [task for task in prefect.read_task_runs() if task.flow_run_id == run.id and task.name.startswith(step)]
        if tasks and all(task.state and task.state.is_final() for task in tasks):
            break
        time.sleep(0.1)
    [task] = tasks
    return task.run_count


# --- errors, artifacts, events --------------------------------------------------------------------
def test_errors_of_the_story_reach_the_caller_as_they_are(shop: Shop) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml cannot be read"):
        prefect_flows.curate("missing.yaml")
    with pytest.raises(ConfigError, match="Label Studio is not configured"):
        prefect_flows.collect(shop.file)
    prefect_flows.curate(shop.file)
    prefect_flows.release(shop.file, version="1.0.0")
    with pytest.raises(VersionExists, match=r"with exactly these rows; use that version$"):
        prefect_flows.release(shop.file, version="1.0.0")
    (shop.folder / "data.jsonl").unlink()
    with pytest.raises(SourceError, match=r"^source 'examples': .*data\.jsonl does not exist"):
        prefect_flows.curate(shop.file)


def test_the_funnel_is_an_artifact_and_runs_are_events(shop: Shop, prefect: SyncPrefectClient) -> None:
    funnel = prefect_flows.curate(shop.file).funnel
    released = prefect_flows.release(shop.file)
    name = shop.enter("home").dataset.config.name
    [artifact] = [found for found in prefect.read_artifacts() if found.key == f"goldleaf-{name}-funnel"]
    page = str(artifact.data)
    assert f"| accepted | {funnel.accepted} | {funnel.accepted} |" in page
    assert f"| raw | {funnel.raw} | {funnel.raw} |" in page
    assert "| invalid (topic) | a field breaks the task's schema | 1 |" in page
    assert "- looked at all 6 rows: it is the first run\n" in page
    assert f"`{shop.file}`" in page
    assert "nonsense" not in page and "parcel" not in page, "no row's text"
    events = emitted(prefect, f"goldleaf.dataset.{name}", count=2)
    assert events["dataset.curated"]["raw"] == funnel.raw == 6
    assert events["dataset.published"]["version"] == released.version
    assert events["dataset.published"]["digest"] == released.digest
    assert {event["file"] for event in events.values()} == {shop.file}, "what `finetune` takes"


def test_a_version_whose_release_was_killed_is_announced_by_the_next_run_and_only_once(
    shop: Shop, prefect: SyncPrefectClient
) -> None:
    context = shop.enter("home")
    prefect_flows.curate(shop.file)

    class Killed(Inline):
        def emit(self, event: str, payload: dict[str, Any]) -> bool:
            raise SystemExit("as if it were killed after its commit")

    with pytest.raises(SystemExit):
        release(context, Killed())
    [manifest] = unheard(context.store)
    assert manifest.version == "1.0.0"
    resource = f"goldleaf.dataset.{shop.name}"
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        announce_unheard(context, prefect_engine.PrefectEngine())
    assert unheard(context.store) == [manifest], "no server has heard of it"
    prefect_flows.curate(shop.file)
    assert unheard(context.store) == []
    events = emitted(prefect, resource, count=2)
    assert events["dataset.published"]["version"] == "1.0.0"
    prefect_flows.curate(shop.file)
    assert emitted(prefect, resource, count=2).keys() == events.keys()


def emitted(prefect: SyncPrefectClient, resource: str, count: int) -> dict[str, dict[str, Any]]:
    """The payloads of a resource's events by name, once the server has written them down."""
    EventsWorker.drain_all(timeout=30)
    query = {"filter": {"resource": {"id": [resource]}}}
    deadline = time.monotonic() + 60
    while True:
        answer = prefect._client.post("/events/filter", json=query).raise_for_status()
        found = {event["event"]: event["payload"] for event in answer.json()["events"]}
        if len(found) == count or time.monotonic() > deadline:
            return found
        time.sleep(0.1)  # the server writes them down in batches
