"""A file is there as a whole or not at all, also on a disk that takes a write without an error and loses it."""

import mmap
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import xxhash

from pipeline.errors import StoreError
from pipeline.state.atomic import replacing, sealed_bytes, sealed_checksum, writing
from pipeline.state.work_files import read_work, write_work

FRAME = pl.DataFrame({"number": list(range(1000))})


def test_a_file_whose_end_the_disk_lost_is_an_error_and_does_not_stay(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(OSError, match=r"10 bytes were written, but the file has 4: '.*/file'"), writing(path) as sink:
        sink.write(b"0123456789")
        sink.flush()
        os.truncate(path, 4)
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_end_the_disk_lost_does_not_replace_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"older")
    with pytest.raises(OSError, match=r"10 bytes were written, but the file has 0: '.*/file'"), replacing(path) as sink:
        sink.write(b"0123456789")
        sink.flush()
        os.truncate(next(tmp_path.glob("*.partial")), 0)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"older")]


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda path: _flip(path, 1000), "its checksum does not match"),
        (lambda path: _flip(path, -1), "its checksum does not match"),
        (lambda path: os.truncate(path, 5000), "its checksum does not match"),
        (lambda path: os.truncate(path, 7), "it has 7 bytes"),
    ],
    ids=["a byte changed", "the seal changed", "cut off", "almost empty"],
)
def test_a_sealed_file_with_other_bytes_than_were_written_is_not_read(
    tmp_path: Path, damage: Callable[[Path], None], problem: str
) -> None:
    path = tmp_path / "rows.parquet"
    write_work(FRAME, path)
    assert read_work(path).equals(FRAME)
    damage(path)
    with pytest.raises(StoreError) as caught:
        read_work(path)
    assert str(caught.value) == (
        f"{path} is corrupt ({problem}); check whether the disk is full or failing, then run it again"
    )


def test_the_checksum_of_a_sealed_file_is_that_of_the_file_that_was_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may replace it just then."""
    path = tmp_path / "file"

    def write(content: bytes) -> None:
        with replacing(path, sealed=True) as sink:
            sink.write(content)

    def map_and_replace(descriptor: int, length: int, access: int) -> mmap.mmap:
        mapped = map_file(descriptor, length, access=access)
        write(b"later")
        return mapped

    map_file = mmap.mmap
    write(b"earlier")
    with monkeypatch.context() as patch:
        patch.setattr(mmap, "mmap", map_and_replace)
        assert sealed_checksum(path) == xxhash.xxh3_64_intdigest(b"earlier")
    assert sealed_bytes(path).tobytes() == b"later"
