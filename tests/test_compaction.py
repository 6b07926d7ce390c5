"""Compaction: fewer files, the same answers; what a version pins stays, and a kill in between changes nothing."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, desk_at
from fake_studio import TOKEN, FakeStudio
from forked import Point
from full_runs import must_know_its_outline
from small_runs import Night, compacted, copy_of, files_of, killed_compaction, next_night, nights, one_night, rows
from store_rows import commit
from support import row
from terminal import Terminal

from flows.engines.engine import Inline
from flows.release import release
from pipeline.curation.derived_rows import derivation_digest
from pipeline.curation.follow_answers import Followed
from pipeline.curation.small_files import DERIVED, compact
from pipeline.errors import Busy, StoreError
from pipeline.state import compaction, table_files
from pipeline.state.store import Store
from pipeline.state.table_files import Log
from pipeline.state.tables import Table
from schemas.run_summary import CurateSummary, Verb

NIGHTS = 10
LATER = 2 * 60 * 60


@pytest.fixture(scope="module")
def whole(studio: FakeStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with nights(studio, tmp_path_factory.mktemp("nights"), NIGHTS) as desk:
        yield desk


@pytest.fixture(scope="module")
def undisturbed(whole: Desk, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """What another night would look at and decide where nothing is compacted."""
    return next_night(whole, tmp_path_factory.mktemp("undisturbed") / "copy", NIGHTS)


@pytest.fixture
def desk(whole: Desk, studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    copy = Desk(copy_of(whole, tmp_path / "copy"), studio.url, studio.token)
    with copy.api, copy.client:
        yield copy


def test_small_files_become_one_and_no_answer_changes(desk: Desk, tmp_path: Path, undisturbed: Night) -> None:
    found = compacted(desk)
    for table in (Table.RECORDS, Table.DECISIONS, Table.RUNS):
        assert found[table].before >= NIGHTS and found[table].after == 1, table
    assert found[DERIVED].before >= NIGHTS and found[DERIVED].after == 1
    must_know_its_outline(desk.context)
    assert next_night(desk, tmp_path / "compacted", NIGHTS) == undisturbed


def test_files_are_deleted_once_no_reader_can_use_them(desk: Desk) -> None:
    before = files_of(desk)
    found = compacted(desk)
    assert sum(one.removed for name, one in found.items() if name != DERIVED) == 0, "a reader may still be at them"
    later = compacted(desk, time.time() + LATER)
    assert later[Table.RUNS].removed > 1 and later[Table.DECISIONS].removed > 1 and later[Table.DECISIONS].freed
    index = desk.context.store.root / "tables" / Table.SIGNATURES
    assert len(list(index.glob("*.parquet"))) == 1, "no version pins what can be recomputed"
    assert files_of(desk) < before


def test_what_only_earlier_runs_saw_is_deleted_and_what_versions_were_made_from_is_not(desk: Desk) -> None:
    store = desk.context.store
    before = store.snapshot().committed_runs(CurateSummary)[-1].inputs
    compacted(desk)
    one_night(desk, NIGHTS)
    assert compacted(desk, time.time() + LATER)[Table.RECORDS].removed
    with pytest.raises(StoreError, match="is missing"):
        store.scan(Table.RECORDS, before[Table.RECORDS]).collect()


def test_the_next_run_finds_only_what_is_new(desk: Desk) -> None:
    compacted(desk)
    still = desk.curate()
    assert (still.looked.changed, still.looked.related, still.looked.why) == (0, 0, "")
    desk.rows(*rows(NIGHTS - 1), row(7_777, "Is there a catalog of your lamps?", "billing"))
    result = desk.curate()
    assert (result.looked.changed, result.looked.why) == (1, "")
    assert result.looked.untouched > result.looked.related


def test_nights_go_on_after_a_compaction(desk: Desk) -> None:
    for night in range(NIGHTS, NIGHTS + 4):
        one_night(desk, night)
    compacted(desk)
    compacted(desk, time.time() + LATER)
    one_night(desk, NIGHTS + 4)
    must_know_its_outline(desk.context)


def test_what_came_in_since_the_last_curate_is_left_for_the_next_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    open_ones = [task for task in desk.tasks() if not task["annotations"]]
    desk.submit(open_ones[0]["id"], desk.result("returns"))
    with monkeypatch.context() as patch:
        patch.setattr("flows.collect.follow_answers", lambda context, engine: Followed())
        desk.collect()
    undisturbed = next_night(desk, tmp_path / "undisturbed", NIGHTS - 1)
    compacted(desk)
    looked, decisions = next_night(desk, tmp_path / "compacted", NIGHTS - 1)
    assert (looked, decisions) == undisturbed
    assert looked.answered and not looked.why


def test_few_files_are_left_alone(desk: Desk) -> None:
    compacted(desk)
    version = desk.context.store.version(Table.RECORDS)
    assert compacted(desk)[Table.RECORDS].after == 1
    assert desk.context.store.version(Table.RECORDS) == version


def test_a_home_that_was_never_curated_has_nothing_to_compact(tmp_path: Path) -> None:
    assert compact(Store(tmp_path, "questions")) == {}


def test_it_follows_any_verb_that_makes_a_table(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, rows(0), "review: {budget: 5, audit: 0.0}\n") as desk:
        for verb in (desk.curate, lambda: release(desk.context, Inline()), desk.collect, desk.curate, desk.collect):
            verb()
            assert compact(desk.context.store)[Table.RECORDS].after == 1


@pytest.mark.parametrize("lock", ["lock", "push_lock", "pull_lock"])
def test_it_waits_for_no_writer_and_says_who_is_at_work(desk: Desk, lock: str) -> None:
    store = desk.context.store
    taken = store.lock(Verb.CURATE) if lock == "lock" else getattr(store, lock)()
    with taken, pytest.raises(Busy, match="run compact again when it has finished"):
        compact(store)


# --- a fine-tuning, which only writes that it has run, and waits for nobody ---------------------------
def _tuned(store: Store) -> str:
    """Commit a fine-tuning; returns its run."""
    run = store.new_run(Verb.FINETUNE, "c", "0")
    commit(store, run)
    return run.id


def test_a_fine_tuning_that_ends_while_files_are_put_together_counts_beside_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry of the log that compaction was about to write was there: FileExistsError."""
    store, write = desk.context.store, compaction.write_file
    before, tuned = store.snapshot().runs["run"].to_list(), list[str]()

    def write_beside(folder: Path, *args: Any, **options: Any) -> tuple[Path, int, int]:
        written = write(folder, *args, **options)
        if folder.name == Table.RUNS:
            tuned.extend((_tuned(store), _tuned(store)))
        return written

    monkeypatch.setattr(compaction, "write_file", write_beside)
    found = compact(store)[Table.RUNS]
    assert (found.before, found.after) == (len(before), 3)
    assert store.snapshot().runs["run"].to_list() == [*before, *tuned]
    must_know_its_outline(desk.context)


def test_a_compaction_that_ends_while_a_fine_tuning_commits_loses_no_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, write = desk.context.store, table_files.write_file
    before = store.snapshot().runs["run"].to_list()

    def write_beside(*args: Any, **options: Any) -> tuple[Path, int, int]:
        written = write(*args, **options)
        assert compact(store)[Table.RUNS].after == 1
        return written

    monkeypatch.setattr(table_files, "write_file", write_beside)
    tuned = _tuned(store)
    assert store.snapshot().runs["run"].to_list() == [*before, tuned]
    must_know_its_outline(desk.context)


def test_a_compaction_that_others_always_overtake_says_so_and_leaves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, log = desk.context.store, compaction.read_log
    files = set((store.root / "tables" / "runs").glob("*"))

    def read_and_lose(folder: Path, version: int | None = None) -> Log:
        found = log(folder, version)
        if folder.name == Table.RUNS and version is None:
            _tuned(store)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "read_log", read_and_lose)
        with pytest.raises(StoreError, match=r"tables/runs changed 20 times while it was compacted; run compact again"):
            compact(store)
    runs = store.snapshot().runs
    assert runs.filter(verb=Verb.FINETUNE.value).height == 21
    assert len(set((store.root / "tables" / "runs").glob("part-*")) - files) == 21
    assert compact(store)[Table.RUNS].after == 1
    assert store.snapshot().runs.equals(runs)


def test_an_entry_of_the_log_that_is_lost_is_noticed_after_a_compaction(desk: Desk) -> None:
    compacted(desk)
    desk.curate()
    entries = sorted((desk.context.store.root / "tables" / "runs" / "_delta_log").glob("*.json"))
    entries[-1].write_bytes(b"")
    with pytest.raises(StoreError, match=r"table 'runs' of .* is damaged \(its log names"):
        desk.context.store.snapshot()


def test_the_command_says_what_became_of_the_files(desk: Desk) -> None:
    terminal = Terminal(desk.folder, desk.settings.label_studio_url or "", TOKEN)
    said = terminal.json("compact")
    assert said["runs"]["before"] > said["runs"]["after"] == 1
    assert "files now" in terminal.goldleaf("compact").stdout


# --- killed -----------------------------------------------------------------------------------------
POINTS = [
    Point("pipeline.curation.small_files", "write_derived", "after", 1),
    Point("pipeline.curation.standing", "write_rows", "after", 1),
    Point("pipeline.curation.small_files", "write_standing", "after", 1),
    Point("pathlib", "Path.unlink", "before", 3),
    Point("pipeline.state.compaction", "write_file", "after", 1),
    Point("os", "link", "after", 1),
    Point("os", "link", "before", 2),
    Point("pipeline.state.compaction", "DeltaTable.create_checkpoint", "before", 1),
    Point("pipeline.ingest.read_cache", "ReadCache.renew", "before", 1),
]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.name} {point.when} {point.nth}")
def test_a_killed_compaction_changes_nothing_and_the_next_one_finishes_it(
    desk: Desk, tmp_path: Path, undisturbed: Night, point: Point
) -> None:
    killed_compaction(desk, point)
    must_know_its_outline(desk.context)
    _, decisions = next_night(desk, tmp_path / "killed", NIGHTS)
    assert decisions == undisturbed[1]
    found = compacted(desk)
    assert all(found[name].after == 1 for name in (DERIVED, Table.RECORDS, Table.DECISIONS, Table.RUNS))
    assert next_night(desk, tmp_path / "finished", NIGHTS) == undisturbed
    derived = desk.context.store.derived(derivation_digest(desk.context.dataset))
    assert sorted(path.suffix for path in derived.iterdir()) == [".arrow", ".facts"]
