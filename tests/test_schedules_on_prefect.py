"""Schedules on a real Prefect server: what is deployed, what becomes of a backlog, and that one automation suffices."""

import asyncio
import json
import math
import os
import re
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from cli_shop import ROWS
from prefect.client.orchestration import SyncPrefectClient
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Pending
from scheduled import ROOT, Team, due, free_port, happens, log_of, runs_of, state_of, wait_until
from support import offline, write_dataset

from flows.context import Context
from flows.curate import curate
from flows.deploy import page_log, serving
from flows.deploy.deployments import SLUG, TAG, planned
from flows.deploy.page_log import SKIPPED, ThisRun
from flows.deploy.serving import deploy, register
from flows.engines.engine import Inline
from pipeline.errors import ConfigError
from pipeline.state.tries import tries_of
from schemas.run_summary import Verb


def test_two_files_of_one_name_are_not_deployed(team: Team, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_dataset(other, ROWS)
    (other / "dataset.yaml").write_text(team.file.read_text())
    twice = [team.context, Context.load(other / "dataset.yaml", offline(tmp_path / "home"))]
    with pytest.raises(ConfigError, match=r"other/dataset\.yaml both describe"):
        planned(twice)
    assert len(planned([team.context, team.context])) == len(Verb)


def test_serve_registers_the_times_of_the_file_and_removes_what_is_gone_and_keeps_what_was_switched_off(
    team: Team, prefect: SyncPrefectClient
) -> None:
    runner = Runner(name="test", pause_on_shutdown=False)

    def registered(verb: Verb) -> Any:
        return prefect.read_deployment(register(runner, team.plan()[verb]))

    curate, release = registered(Verb.CURATE), registered(Verb.RELEASE)
    assert (curate.name, set(curate.tags)) == (
        team.context.dataset.config.name,
        {TAG, team.context.dataset.config.name},
    )
    assert curate.parameters == {"dataset": str(team.file)}
    [times] = curate.schedules
    assert (times.slug, times.schedule.cron, times.schedule.timezone) == (SLUG, "0 2 * * *", "Europe/Berlin")
    assert release.schedules == []
    prefect._client.patch(f"/deployments/{curate.id}/schedules/{times.id}", json={"active": False}).raise_for_status()
    team.file.write_text(team.file.read_text().replace("curate: 0 2 * * *", "curate: 0 3 * * *, release: 0 5 * * *"))
    [later] = registered(Verb.CURATE).schedules
    assert (later.schedule.cron, later.active) == ("0 3 * * *", False)
    assert len(registered(Verb.RELEASE).schedules) == 1
    team.file.write_text(team.file.read_text().replace("curate: 0 3 * * *, ", ""))
    assert registered(Verb.CURATE).schedules == []


def test_a_dataset_is_compacted_by_its_schedule(team: Team, prefect: SyncPrefectClient, prefect_url: str) -> None:
    team.file.write_text(team.file.read_text().replace("curate: 0 2 * * *", "compact: 0 4 1 * *"))
    deployment = register(Runner(name="test", pause_on_shutdown=False), team.plan()[Verb.COMPACT])
    assert [times.schedule.cron for times in prefect.read_deployment(deployment).schedules] == ["0 4 1 * *"]
    curate(team.context, Inline(), push=False)
    run = prefect.create_flow_run_from_deployment(deployment)
    with team.start(run.id, prefect_url) as process:
        assert process.communicate(timeout=120) and state_of(prefect, run.id).is_completed()
    wait_until(
        lambda: any(
            re.fullmatch(r"\d+ files before, \d+ files now, 0 deleted", line) for line in log_of(prefect, str(run.id))
        )
    )
    assert tries_of(team.context.store)[Verb.COMPACT].done_at


def test_deploy_writes_a_file_applies_it_and_removes_a_schedule_that_is_gone(
    team: Team, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_DEPLOYMENTS_CLEAR_SCHEDULES_ON_EMPTY", "true")  # as the command sets it
    file = team.folder / "prefect.yaml"
    with pytest.raises(ConfigError, match="create it with `prefect work-pool create nowhere --type process`"):
        deploy(list(team.plan().values()), "nowhere", team.folder, file)
    prefect._client.post("/work_pools/", json={"name": "team", "type": "process"}).raise_for_status()
    done = team.deploy("--pool", "team", "--json")
    assert done.returncode == 0, done.stderr
    name = team.context.dataset.config.name
    assert [one["deployment"] for one in json.loads(done.stdout)] == [f"{verb}/{name}" for verb in Verb]
    written = yaml.safe_load(file.read_text())
    assert [one["schedules"] for one in written["deployments"]][2:] == [[], [], []]
    found = prefect.read_deployment_by_name(f"collect/{name}")
    assert (found.work_pool_name, found.parameters) == ("team", {"dataset": str(team.file)})
    assert found.pull_steps == [{"prefect.deployments.steps.set_working_directory": {"directory": str(team.folder)}}]
    assert str(found.entrypoint) == f"{ROOT / 'flows' / 'deploy' / 'entrypoints.py'}:collect"
    assert [one.slug for one in found.schedules] == [SLUG]
    team.file.write_text(team.file.read_text().replace(', collect: "*/5 * * * *"', ""))
    deploy(list(team.plan().values()), "team", team.folder, file)
    assert prefect.read_deployment_by_name(f"collect/{name}").schedules == []
    assert len(prefect.read_deployment_by_name(f"curate/{name}").schedules) == 1
    file.write_text("name: ours\n")
    with pytest.raises(ConfigError, match="was not written by `goldleaf deploy`; name another file with --to"):
        deploy(list(team.plan().values()), "team", team.folder, file)


def test_a_backlog_is_one_run_and_the_others_are_skipped_and_say_why(
    team: Team, prefect: SyncPrefectClient, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs are processes of their own, in a folder with a team's own `flows`."""
    name = team.context.dataset.config.name
    plan = team.plan()[Verb.CURATE]
    runner = Runner(name="test", pause_on_shutdown=False, limit=2)
    often = RunnerDeployment.from_entrypoint(
        plan.entrypoint, "often", interval=0.5, parameters={"dataset": str(plan.file)}
    )
    deployment = runner.add_deployment(often)
    assert isinstance(deployment, UUID)
    wait_until(lambda: len(due(prefect, deployment)) >= 5)
    [times] = prefect.read_deployment(deployment).schedules
    path = f"/deployments/{deployment}/schedules/{times.id}"
    prefect._client.patch(path, json={"active": False}).raise_for_status()
    # As if serve had been killed just when it started one of them.
    left = UUID(due(prefect, deployment)[0]["id"])
    prefect.set_flow_run_state(left, Pending(name="Submitting"), force=True)
    now = time.time()
    # A runner keeps SIGTERM for itself.
    before = signal.getsignal(signal.SIGTERM)
    try:
        asyncio.run(runner.start(run_once=True))
    finally:
        signal.signal(signal.SIGTERM, before)
    due_at = datetime.fromtimestamp(now, UTC)
    assert state_of(prefect, left).is_pending(), "it might have been about to start"
    monkeypatch.setattr(page_log, "_STARTED", timedelta(0))
    # The server may have scheduled more of them while their schedule was switched off.
    told = ThisRun(None, deployment, due_at).skip_backlog("curate", name)[1][0]
    assert re.match(r"\d+ other runs? that w(as|ere) due (is|are) skipped: this one does (its|their) work$", told), told
    assert state_of(prefect, left).name == SKIPPED
    found = runs_of(prefect, deployment, now)
    assert Counter(run["state"]["name"] for run in found) == {"Completed": 1, "Skipped": len(found) - 1}
    assert len(found) >= 5
    skipped = {run["state"]["type"] for run in found if run["state"]["name"] == "Skipped"}
    assert skipped == {"CANCELLED"}, "neither green nor red"
    whys = {run["state"]["message"] for run in found if run["state"]["name"] == "Skipped"}
    left_to = rf"^the curate of {name} that was due at .* UTC does its work$"
    assert all(re.search(f"{left_to}|has done its work$|waits for it already$", why) for why in whys), whys
    assert team.context.store.snapshot().runs.height == 1
    [did] = [run for run in found if run["state"]["name"] == "Completed"]
    assert {run["name"] for run in found} == {f"curate-{name}"}
    lines = log_of(prefect, did["id"])
    looked = "looked at all 8 rows: it is the first run"
    assert looked in lines
    assert f"goldleaf - curate {name}: {looked}" in "".join(capfd.readouterr())
    assert not [line for line in lines if "parcel" in line or "nonsense" in line], "no row's text"


def test_runs_have_their_names_from_when_they_are_scheduled(team: Team, prefect: SyncPrefectClient) -> None:
    name = team.context.dataset.config.name
    with team.serve() as process:
        assert process.stderr
        while not process.stderr.readline().startswith("the runs: http"):
            pass
        deployment = prefect.read_deployment_by_name(f"curate/{name}").id
        wait_until(lambda: {run["name"] for run in runs_of(prefect, deployment, math.inf)} == {f"curate-{name}"})


def test_ctrl_c_at_a_terminal_cancels_the_runs_of_serve_which_do_not_hear_it(
    team: Team, prefect: SyncPrefectClient
) -> None:
    team.file.write_text(team.file.read_text().replace(', collect: "*/5 * * * *"', ""))
    curate = f"curate/{team.context.dataset.config.name}"
    with team.context.store.lock(Verb.RELEASE), team.serve() as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("serving "):
                break
        run = prefect.create_flow_run_from_deployment(prefect.read_deployment_by_name(curate).id)
        wait_until(lambda: state_of(prefect, run.id).is_running())
        [own] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert "flows/deploy/start.py" in Path(f"/proc/{own}/cmdline").read_text(), "which waits for a server"
        assert os.getpgid(int(own)) != process.pid, "it leaves the end to serve"
        # As a terminal does.
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 0, said
    state = state_of(prefect, run.id)
    assert (state.name, state.message) == ("Cancelled", "Runner is shutting down."), said
    assert "stopping: active runs are cancelled" in said
    assert "Traceback" not in said


def test_serve_says_which_server_it_waits_for_and_every_minute_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    slept, told = [0.0], list[str]()
    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr(serving, "time", clock)
    monkeypatch.setattr(serving, "_PAUSE", 30.0)

    def say(text: str) -> None:
        told.append(text)
        if len(told) == 3:
            raise KeyboardInterrupt

    with (
        temporary_settings({PREFECT_API_URL: f"http://ann:secret@127.0.0.1:{free_port()}/api"}),
        pytest.raises(KeyboardInterrupt),
    ):
        serving.serve([], say)
    assert sum(slept) == 120
    first, *later = told
    assert re.match(r"waiting for Prefect's server at http://127\.0\.0\.1:\d+/api \(.*Connection refused\)$", first)
    assert [re.search(r"^still waiting .*/api, for (.*) \(", line)[1] for line in later] == ["1 min", "2 min"]  # type: ignore[index]


def test_one_automation_fine_tunes_on_whatever_is_published(team: Team, prefect: SyncPrefectClient) -> None:
    """By the guide's own file: only the id of a deployment is put in."""
    [text] = re.findall(r"^```yaml automation\n(.*?)^```$", (ROOT / "docs" / "data-teams.md").read_text(), re.M | re.S)
    runner = Runner(name="test", pause_on_shutdown=False)
    finetune = register(runner, team.plan()[Verb.FINETUNE])
    automation = yaml.safe_load(text)
    automation["actions"][0]["deployment_id"] = str(finetune)
    prefect._client.post("/automations/", json=automation).raise_for_status()
    other = {"dataset": "another", "file": "/data/another/dataset.yaml", "version": "1.2.0"}
    event = {
        "event": "dataset.published", "resource": {"prefect.resource.id": "goldleaf.dataset.another"},
        "payload": other, "occurred": "2026-11-29T00:00:00Z",
    }  # fmt: skip
    for _ in range(12):
        # What comes before the server's triggers know of the automation starts nothing.
        prefect._client.post("/events", json=[event | {"id": str(uuid4())}]).raise_for_status()
        if happens(lambda: bool(runs_of(prefect, finetune)), 10):
            break
    [run] = runs_of(prefect, finetune)
    assert run["parameters"] == {"dataset": other["file"], "version": "1.2.0"}
