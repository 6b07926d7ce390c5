"""Work beyond one machine: on two real Dask workers, curate ends as it does inline."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dask.distributed import Client, LocalCluster
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness
from support import row, state, write_dataset

from flows.context import Context
from flows.curate import curate
from flows.deploy import prefect_flows
from flows.engines import prefect_engine
from flows.engines.engine import Inline
from pipeline.curation import shards
from pipeline.errors import ConfigError, Unreachable

CLAUSE = "the parcel of order {} was left with the neighbour at number {} who says that it went back on day {} of {}"


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    quick = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_SERVER_ANALYTICS_ENABLED: False}
    with temporary_settings(quick), prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Groups of near copies in several shards, two of them in conflict, and one that resembles an exam's row."""
    texts = [f"{CLAUSE.format(n, 7 * n, 3 * n, 11 * n)}{' ok' * copy}" for n in range(30) for copy in range(n % 4 + 1)]
    topics = ("billing", "delivery", "returns")
    rows = [row(number, text, topics[len(text) % 3]) for number, text in enumerate(texts)]
    rows += [row(900, texts[0], "returns"), row(901, texts[0], "billing")]
    write_dataset(tmp_path, rows, "decontaminate: {against: [{name: exam, path: exam.jsonl}]}\n")
    (tmp_path / "exam.jsonl").write_text(f'{{"question": "{texts[-1]} then"}}\n', encoding="utf-8")
    monkeypatch.setattr(shards, "SHARD_ROWS", 15)
    monkeypatch.setattr(shards, "FEW_ROWS", 15)
    monkeypatch.chdir(tmp_path)
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "PREFECT_API_URL"):
        monkeypatch.setenv(name, "")
    return tmp_path / "dataset.yaml"


def on_dask(dataset: Path, dask: str) -> None:
    dataset.write_text(f"{dataset.read_text(encoding='utf-8')}engine: {{dask: '{dask}'}}\n", encoding="utf-8")


def enter(home: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("GOLDLEAF_HOME", str(home))
    return Context.load(dataset)


def test_two_dask_workers_find_the_same_groups_as_one_process(
    dataset: Path, tmp_path: Path, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = enter(tmp_path / "inline", dataset, monkeypatch)
    curate(inline, Inline())
    on_dask(dataset, cluster.scheduler_address)
    context = enter(tmp_path / "dask", dataset, monkeypatch)
    prefect_flows.curate(str(dataset))
    found = state(context.store)
    assert found == state(inline.store)
    groups = {(decision["record_id"], decision["group"], decision["duplicate_of"]) for decision in found["decisions"]}
    assert sum(bool(duplicate_of) for _, _, duplicate_of in groups) > 10
    with Client(cluster.scheduler_address) as client:
        executed = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(executed) == 2
    assert min(executed.values()) >= 5, "both have worked"


def test_a_scheduler_that_does_not_answer_is_named(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_dask(dataset, "tcp://127.0.0.1:9")
    monkeypatch.setattr(prefect_engine, "_PATIENCE_S", 1.0)
    enter(tmp_path / "home", dataset, monkeypatch)
    with pytest.raises(Unreachable, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 .*fix engine.dask"):
        prefect_flows.curate(str(dataset))


def test_dask_needs_prefect(dataset: Path) -> None:
    on_dask(dataset, "local', runner: 'inline")
    with pytest.raises(ConfigError, match="dask is 'local', but the runner is inline; set `runner: prefect`, or drop"):
        Context.load(dataset)
