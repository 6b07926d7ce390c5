"""Sources that are URLs are fetched before the dataset's lock is taken: others need not wait for their servers."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import gethostname

import pytest
from loopback import Reply, serving
from odd import QUESTION, Odd
from support import Steps, current, row, write_rows
from terminal import Terminal

from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.errors import Busy, ConfigError, SourceError
from schemas.run_summary import Verb

FIRST, SECOND, EXAM = (
    row(1, "Where is my parcel?", "delivery"),
    row(2, "Why was I charged twice?", "billing"),
    row(3, "How do I send back the shoes that I bought?", "returns"),
)


class Depot:
    """A server of data files, on which something happens while it is asked for the second of them."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        self.asked: list[str] = []
        self.padding = 0
        """Bytes of whitespace before a file's rows."""

    def __call__(self, method: str, path: str, body: bytes) -> Reply:
        self.asked.append(path)
        file = path.partition("?")[0]
        if file == "/two.jsonl":
            happens, self.meanwhile = self.meanwhile, lambda: None
            happens()
        rows = {"/one.jsonl": FIRST, "/two.jsonl": SECOND}.get(file, EXAM)
        return 200, {}, b" " * self.padding + json.dumps(rows).encode() + b"\n"


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Odd, Depot]]:
    """Two sources and an evaluation set that are fetched."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    depot = Depot()
    with serving(depot) as server:
        against = f"decontaminate: {{against: [{{name: exam, path: '{server.url}/exam.jsonl'}}]}}\n"
        odd = Odd(tmp_path, QUESTION, [], against)
        two = f"  - {{name: more, path: '{server.url}/two.jsonl', key: id, mode: snapshot}}\n"
        odd.edit("path: data.jsonl, key: id, license: MIT}\n", f"path: '{server.url}/one.jsonl', key: id}}\n{two}")
        yield odd, depot


def test_while_sources_are_fetched_the_dataset_is_free(depot: tuple[Odd, Depot]) -> None:
    odd, server = depot
    store = odd.context.store
    tried: list[str] = []

    def others() -> None:
        with store.lock(Verb.RELEASE):
            store.clear_work()
        tried.append("release")

    server.meanwhile = others
    result = odd.curate()
    assert tried == ["release"]
    assert (result.lines, result.funnel.accepted) == (2, 2)
    assert server.asked == ["/one.jsonl", "/two.jsonl", "/exam.jsonl"], "each is fetched once"
    assert not store.downloads.exists()


def test_a_second_curate_that_would_fetch_ends_at_once_and_says_who_is_at_work(depot: tuple[Odd, Depot]) -> None:
    """It might read a newer file first, and the one that began earlier would undo it."""
    odd, server = depot
    lines: list[str] = []
    server.meanwhile = lambda: lines.append(Terminal(odd.folder).error("curate", "--json"))
    assert odd.curate().lines == 2
    assert lines[0].startswith("'questions' is in use by goldleaf curate (fetching sources), process ")
    assert lines[0].endswith("; run curate again when it has finished")


def test_a_curate_that_fetches_nothing_goes_by(depot: tuple[Odd, Depot]) -> None:
    odd, server = depot
    before = (odd.folder / "dataset.yaml").read_text(encoding="utf-8")

    def others() -> None:
        (odd.folder / "dataset.yaml").write_text(
            "name: questions\ntask: task.py:Question\nsources: [{name: own, path: data.jsonl, key: id}]\n"
        )
        write_rows(odd.folder, [row(9, "May I change the address?", "delivery")])
        assert odd.curate().lines == 1
        (odd.folder / "dataset.yaml").write_text(before)

    server.meanwhile = others
    assert odd.curate().lines == 2


def test_a_curate_that_fetched_by_an_older_file_does_not_undo_one_that_went_by_a_newer_one(
    depot: tuple[Odd, Depot],
) -> None:
    odd, server = depot

    def others() -> None:
        (odd.folder / "dataset.yaml").write_text(
            "name: questions\ntask: task.py:Question\nsources: [{name: own, path: data.jsonl, key: id}]\n"
        )
        write_rows(odd.folder, [row(9, "May I change the address?", "delivery")])
        odd.curate()
        assert release(odd.context, Inline()).version == "1.0.0"

    server.meanwhile = others
    with pytest.raises(ConfigError, match="was changed and curated while sources were fetched; nothing was decided"):
        odd.curate()
    assert len(current(odd.context)) == 1
    assert odd.context.store.snapshot().funnel().withdrawn == 0
    assert not release(odd.context, Inline()).created


def test_a_curate_that_finds_the_dataset_in_use_fetches_nothing(depot: tuple[Odd, Depot]) -> None:
    odd, server = depot
    with odd.context.store.lock(Verb.RELEASE), pytest.raises(Busy, match="in use by goldleaf release, process"):
        odd.curate()
    assert server.asked == []


def test_a_curate_that_has_fetched_waits_for_who_is_at_work_and_says_for_whom(depot: tuple[Odd, Depot]) -> None:
    """All that was fetched would be fetched again otherwise."""
    odd, server = depot
    watched = Steps()
    with ExitStack() as other:

        def release_begins() -> None:
            other.enter_context(odd.context.store.lock(Verb.RELEASE))
            threading.Timer(0.3, other.close).start()

        server.meanwhile = release_begins
        assert curate(odd.context, Inline(watched)).lines == 2
    assert f"waiting for goldleaf release, process {os.getpid()} on {gethostname()}" in watched.steps
    assert server.asked == ["/one.jsonl", "/two.jsonl", "/exam.jsonl"], "each is fetched once"


def test_a_curate_that_has_fetched_does_not_wait_longer_than_its_patience(
    depot: tuple[Odd, Depot], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, server = depot
    monkeypatch.setattr("flows.curate.LOCK_PATIENCE", 0.3)
    with ExitStack() as other:
        server.meanwhile = lambda: other.enter_context(odd.context.store.lock(Verb.RELEASE))
        with pytest.raises(
            Busy, match=r"in use by goldleaf release, process \d+ on .+; run curate again when it has finished"
        ):
            odd.curate()
    assert odd.curate().lines == 2


def test_what_a_killed_or_failed_fetch_has_left_is_not_read(depot: tuple[Odd, Depot]) -> None:
    odd, server = depot
    store = odd.context.store

    def fail() -> None:
        left = next(store.downloads.glob("download-*"))
        left.write_text("{")
        (store.root / "kept").write_text(left.name)
        raise OSError("the server goes away")

    server.meanwhile = fail
    with pytest.raises(SourceError, match=r"source 'more': .*two\.jsonl cannot be fetched"):
        odd.curate()
    assert not store.downloads.exists()
    store.downloads.mkdir()
    (store.downloads / (store.root / "kept").read_text()).write_text("{")
    assert odd.curate().funnel.accepted == 2


def test_the_lock_of_a_fetch_is_free_after_a_curate_and_keeps_another_one_out(depot: tuple[Odd, Depot]) -> None:
    odd, _ = depot
    odd.curate()
    with odd.context.store.fetching():
        pass
    with odd.context.store.fetching(), pytest.raises(Busy, match=r"goldleaf curate \(fetching sources\)"):
        odd.curate()


def test_progress_says_how_many_megabytes_came_and_nothing_that_the_url_holds(depot: tuple[Odd, Depot]) -> None:
    odd, server = depot
    server.padding = 2_600_000
    text = (odd.folder / "dataset.yaml").read_text(encoding="utf-8")
    odd.edit(text, text.replace("http://", "http://user:password@").replace(".jsonl", ".jsonl?token=x"))
    watched = Steps()
    curate(odd.context, Inline(watched))
    where = text.partition("http://")[2].partition("/")[0]
    assert watched.steps[:3] == [
        f"fetching {what} from {where} 2 MB" for what in ("source 'examples'", "source 'more'", "evaluation set 'exam'")
    ]
