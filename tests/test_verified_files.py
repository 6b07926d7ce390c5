"""A table's file is read whole once to see that it holds what was written, and again only if it may have changed."""

import json
import time
from pathlib import Path

import pytest
from support import offline, row, write_dataset

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.errors import StoreError
from pipeline.state import table_files
from pipeline.state.file_stamps import stamp_of
from pipeline.state.store import Store
from pipeline.state.tables import Table
from pipeline.state.verified_files import VerifiedFiles

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    write_dataset(tmp_path, [row(1, "Where is my parcel?", "delivery")])
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    curate(context, Inline())
    records(context.store)
    return context


def records(store: Store) -> int:
    """Read the records as another process would."""
    table_files._has_its_checksum.cache_clear()
    return store.scan(Table.RECORDS).collect().height


def file_of(store: Store) -> Path:
    [path] = (store.root / "tables" / Table.RECORDS).glob("*.parquet")
    return path


def damaged(store: Store) -> Path:
    """The file with a byte in the middle that nobody wrote."""
    path = file_of(store)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path


def test_what_was_verified_is_not_read_whole_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "checksum_of", None)
    assert records(context.store) == 1


def test_what_other_versions_of_a_table_need_stays_known(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_bytes(b"")
    for name in ("old", "new"):
        verified, stamp = VerifiedFiles(tmp_path), stamp_of(tmp_path / name)
        assert stamp is not None
        verified.note(name, stamp, time.time_ns())
        verified.keep()
    (tmp_path / "old").unlink()
    assert VerifiedFiles(tmp_path).knows("new", stamp)
    assert set(json.loads((tmp_path / ".verified").read_bytes())) == {"old", "new"}
    verified.note("new", stamp, time.time_ns())
    verified.keep()
    assert set(json.loads((tmp_path / ".verified").read_bytes())) == {"new"}, "what is gone is forgotten"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": [1]}'])
def test_a_damaged_memory_is_as_good_as_none(context: Context, content: str) -> None:
    (file_of(context.store).parent / ".verified").write_text(content)
    assert records(context.store) == 1
    damaged(context.store)
    with pytest.raises(StoreError):
        records(context.store)


def test_a_file_that_has_changed_is_read_whole(context: Context) -> None:
    damaged(context.store)
    with pytest.raises(StoreError, match="does not hold the bytes that were written"):
        records(context.store)


def test_what_a_disk_has_changed_is_found_by_a_full_run_and_by_a_release(context: Context) -> None:
    path = damaged(context.store)
    stamp = stamp_of(path)
    assert stamp is not None
    for verb in (lambda: curate(context, Inline(), full=True), lambda: release(context, Inline())):
        (path.parent / ".verified").write_text(json.dumps({path.name: stamp}))
        table_files._has_its_checksum.cache_clear()
        context.store.scan(Table.RECORDS)
        with pytest.raises(StoreError, match="does not hold the bytes that were written"):
            verb()
