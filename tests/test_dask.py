"""Work beyond one machine: on two real Dask workers and on four, curate ends as it does inline."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dask.distributed import Client, LocalCluster
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness
from support import row, state, write_dataset, write_rows

from flows.context import Context
from flows.curate import curate
from flows.deploy import prefect_flows
from flows.engines import prefect_engine
from flows.engines.engine import Inline
from pipeline.curation import chunks, shards
from pipeline.errors import ConfigError, Unreachable
from schemas.run_summary import CurateSummary

CLAUSE = "the parcel of order {} was left with the neighbour at number {} who says that it went back on day {} of {}"


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    quick = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_SERVER_ANALYTICS_ENABLED: False}
    with temporary_settings(quick), prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=0, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
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
    # Workers also score and settle.
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 15)
    monkeypatch.chdir(tmp_path)
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "PREFECT_API_URL"):
        monkeypatch.setenv(name, "")
    return tmp_path / "dataset.yaml"


def on_dask(dataset: Path, dask: str) -> None:
    dataset.write_text(f"{dataset.read_text(encoding='utf-8')}engine: {{dask: '{dask}'}}\n", encoding="utf-8")


def enter(home: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("GOLDLEAF_HOME", str(home))
    return Context.load(dataset)


def two_nights(home: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> dict[str, Any]:
    """What a home says once a first run was followed by a small one: two copies came in, and a row was edited."""
    context, data = enter(home, dataset, monkeypatch), dataset.with_name("data.jsonl")
    first = data.read_text(encoding="utf-8")
    run()
    copies = [row(910, f"{CLAUSE.format(2, 14, 6, 22)} so", "returns"), row(911, CLAUSE.format(40, 2, 3, 4), "billing")]
    rows = [
        json.loads(line) | ({"topic": "delivery"} if number == 0 else {})
        for number, line in enumerate(first.splitlines())
    ]
    write_rows(dataset.parent, [*rows, *copies])
    run()
    data.write_text(first, encoding="utf-8")
    looked = [run.summary.looked for run in context.store.snapshot().committed_runs(CurateSummary)]
    assert [(one.changed, one.why) for one in looked[1:] if one] == [(3, "")]
    return state(context.store)


def test_dask_workers_decide_like_one_process(
    dataset: Path, tmp_path: Path, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = two_nights(tmp_path / "inline", dataset, monkeypatch, lambda: curate(Context.load(dataset), Inline()))
    on_dask(dataset, cluster.scheduler_address)
    for workers in (2, 4):
        cluster.scale(workers)
        cluster.wait_for_workers(workers)
        before = executed(cluster)
        assert len(before) == workers
        home = tmp_path / f"{workers} workers"
        found = two_nights(home, dataset, monkeypatch, lambda: prefect_flows.curate(str(dataset)))
        assert found == inline, workers
        after = executed(cluster)
        assert min(after[worker] - count for worker, count in before.items()) >= 3, "all have worked"
    duplicates = {decision["record_id"] for decision in inline["decisions"] if decision["duplicate_of"]}
    assert len(duplicates) > 10


def executed(cluster: LocalCluster) -> dict[str, int]:
    """How many tasks each worker has done."""
    with Client(cluster.scheduler_address) as client:
        found: dict[str, int] = client.run(lambda dask_worker: dask_worker.state.executed_count)
    return found


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
