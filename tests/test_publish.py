"""Published versions never change, never appear in part, and every damaged byte is named."""

import errno
import fcntl
import os
import shutil
import signal
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from forked import PROCESSES, process
from hypothesis import given
from hypothesis import strategies as st
from release_toys import files, publish, release, tables

from pipeline.errors import Damaged, ReleaseError, VersionExists
from pipeline.releases import publish as publishing
from pipeline.releases.versions import (
    find_version,
    list_versions,
    next_version,
    parse_version,
    read_manifest,
    sealed,
    verify,
)
from pipeline.state.atomic import opened
from schemas.manifest import Manifest


# --- versions ---------------------------------------------------------------------------------
def test_a_version_never_changes(tmp_path: Path) -> None:
    publish(tmp_path / "1.2.0", tables(), release())
    before = files(tmp_path)
    with pytest.raises(VersionExists) as caught:
        publish(tmp_path / "1.2.0", tables(train=5), release())
    assert str(caught.value) == "version 1.2.0 of 'clauses' already exists and never changes; pass --version 1.3.0"
    assert files(tmp_path) == before


@pytest.mark.parametrize("text", ["1.2", "v1.2.0", "1.2.0-rc1", "01.2.0", "latest", "1.2.0\n", ""])
def test_a_version_is_three_numbers(tmp_path: Path, text: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        parse_version(text)
    assert str(caught.value) == f"'{text}' is not a version; use three numbers such as 1.2.0"


def test_not_even_an_empty_folder_in_a_version_s_place_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "1.0.0").mkdir()
    with pytest.raises(Damaged, match=r"1\.0\.0 has no manifest\.json; restore the folder from a copy$"):
        publish(tmp_path / "1.0.0", tables(), release())
    assert files(tmp_path) == {}


def test_a_folder_whose_name_is_not_a_version_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"^'latest' is not a version; use three numbers such as 1\.2\.0$"):
        publish(tmp_path / "latest", tables(), release())
    assert list(tmp_path.iterdir()) == []


def test_a_release_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"^'clauses' has no accepted rows to publish; see `goldleaf status`$"):
        publish(tmp_path / "1.0.0", tables(0, 0), release())
    assert list(tmp_path.iterdir()) == []


def test_versions_are_listed_by_number_and_nothing_else_is(tmp_path: Path) -> None:
    assert list_versions(tmp_path / "nowhere") == []
    assert next_version([]) == "1.0.0"
    for version in ("1.10.0", "1.9.0", "0.1.0"):
        publish(tmp_path / version, tables(2, 2), release())
    shutil.copytree(tmp_path / "1.9.0", tmp_path / ".staging-1")
    shutil.copytree(tmp_path / "1.9.0", tmp_path / "copy")
    (tmp_path / "2.0.0").write_text("no folder")
    listed = list_versions(tmp_path)
    assert [manifest.version for manifest in listed] == ["0.1.0", "1.9.0", "1.10.0"]
    assert next_version([manifest.version for manifest in listed]) == "1.11.0"


def test_a_reference_finds_its_folder(tmp_path: Path) -> None:
    for version in ("1.10.0", "1.9.0"):
        publish(tmp_path / version, tables(2, 2), release())
    assert find_version(tmp_path, "clauses@latest") == tmp_path / "1.10.0"
    assert find_version(tmp_path, "clauses@1.9.0") == tmp_path / "1.9.0"


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("clauses", "'clauses' names no version; use clauses@latest or clauses@1.0.0"),
        ("clauses@", "'clauses@' names no version; use clauses@latest or clauses@1.0.0"),
        ("clauses@newest", "'newest' is not a version; use three numbers such as 1.2.0"),
        ("clauses@2.0.0", "'clauses' has no version 2.0.0; it has 1.0.0, 1.1.0"),
    ],
)
def test_a_wrong_reference_says_what_to_write(tmp_path: Path, reference: str, text: str) -> None:
    for version in ("1.1.0", "1.0.0"):
        publish(tmp_path / version, tables(2, 2), release())
    with pytest.raises(ReleaseError) as caught:
        find_version(tmp_path, reference)
    assert str(caught.value) == text


def test_latest_of_nothing_says_how_to_publish(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"^'clauses' has no published version yet; run `goldleaf release`$"):
        find_version(tmp_path, "clauses@latest")


def test_a_manifest_that_cannot_be_read_or_is_gone_is_damage(tmp_path: Path) -> None:
    publish(tmp_path / "1.0.0", tables(2, 2), release())
    (tmp_path / "1.0.0" / "manifest.json").write_text('{"name": "clauses"')
    with pytest.raises(Damaged, match=r"manifest.json cannot be read \(Invalid JSON.*\); restore the folder"):
        list_versions(tmp_path)
    (tmp_path / "1.0.0" / "manifest.json").unlink()
    for read in (read_manifest, verify):
        with pytest.raises(Damaged, match=r"1.0.0 has no manifest.json; restore the folder from a copy$"):
            read(tmp_path / "1.0.0")
        with pytest.raises(ReleaseError, match=r"elsewhere is not a published version: it has no manifest.json$"):
            read(tmp_path / "elsewhere")


# --- verifying --------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases") / "1.0.0"
    publish(folder, tables(), release(), {"report.html": b"<p>report"})
    return folder


def test_an_undamaged_version_verifies(published: Path) -> None:
    result = verify(published)
    assert result.problems == ()
    assert result.rows == 30
    assert result.reference == read_manifest(published).reference
    result.require_sound()


@given(data=st.data(), flip=st.integers(1, 255))
def test_one_flipped_byte_anywhere_is_found_and_named(published: Path, data: st.DataObject, flip: int) -> None:
    name = data.draw(st.sampled_from(sorted(files(published))))
    path = published / name
    sound = path.read_bytes()
    position = data.draw(st.integers(0, len(sound) - 1))
    path.write_bytes(bytes([*sound[:position], sound[position] ^ flip, *sound[position + 1 :]]))
    try:
        assert [problem.file for problem in verify(published).problems] == [name]
    finally:
        path.write_bytes(sound)


def test_missing_changed_and_foreign_files_are_all_named(tmp_path: Path) -> None:
    version = tmp_path / "1.0.0"
    manifest = publish(version, tables(), release())
    train, test = (manifest.splits[split].file for split in ("train", "test"))
    (version / train).unlink()
    (version / test).write_bytes(b"PAR1")
    (version / "data" / "notes.txt").write_text("mine")
    result = verify(version)
    assert [str(problem) for problem in result.problems] == sorted(
        [
            "data/notes.txt was not published with this version",
            f"{test} does not have the bytes that were published",
            f"{train} is missing",
        ]
    )
    assert result.rows == 0
    with pytest.raises(Damaged, match=r"^clauses@1.0.0 sha256:\w+ is damaged: data/notes.txt was .*; restore the"):
        result.require_sound()


def test_a_manifest_that_was_edited_is_named_even_where_it_still_makes_sense(tmp_path: Path) -> None:
    publish(tmp_path / "1.0.0", tables(), release())
    path = tmp_path / "1.0.0" / "manifest.json"
    for old, new in (('"raw": 40', '"raw": 41'), ('"raw": 40', '"raw":  40'), ('"run-1"', '"run-2"')):
        sound = path.read_text()
        path.write_text(sound.replace(old, new))
        assert str(verify(tmp_path / "1.0.0").problems[0]).startswith("manifest.json is not as it was published")
        path.write_text(sound)


# --- all or nothing ---------------------------------------------------------------------------
def publish_until(releases: Path, step: int) -> None:
    """Publish, and die by SIGKILL just before the given system call that writes to the disk."""
    left = step

    def dying(call: Any) -> Any:
        def counted(*args: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args)

        return counted

    os.fsync = dying(os.fsync)
    Path.rename = dying(Path.rename)
    publish(releases / "1.0.0", tables(), release(), {"report.html": b"<p>"})


def in_a_process(target: Any, *args: Any) -> int | None:
    running = process(target, *args)
    running.start()
    running.join()
    return running.exitcode


def test_a_killed_publisher_leaves_no_half_version_at_any_point(tmp_path: Path) -> None:
    seen = []
    for step in range(100):
        releases = tmp_path / str(step)
        code = in_a_process(publish_until, releases, step)
        listed = list_versions(releases)
        seen.append((code, len(listed), len(list(releases.glob(".staging-*")))))
        assert all(verify(releases / manifest.version).problems == () for manifest in listed)
        publish(releases / "1.1.0", tables(), release())
        assert list(releases.glob(".staging-*")) == []
        if code == 0:
            break
    # Killed with leftovers, then killed after the version was there, then not killed.
    assert seen == [*[(-signal.SIGKILL, 0, 1)] * (len(seen) - 2), (-signal.SIGKILL, 1, 0), (0, 1, 0)]
    assert len(seen) > 8


def test_the_work_of_a_living_publisher_is_not_collected(tmp_path: Path) -> None:
    (tmp_path / ".staging-dead" / "data").mkdir(parents=True)
    (tmp_path / ".staging-alive").mkdir()
    alive = os.open(tmp_path / ".staging-alive", os.O_RDONLY)
    fcntl.flock(alive, fcntl.LOCK_EX)
    publish(tmp_path / "1.0.0", tables(), release())
    assert [path.name for path in sorted(tmp_path.iterdir())] == [".staging-alive", "1.0.0"]
    os.close(alive)
    publish(tmp_path / "1.1.0", tables(), release())
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["1.0.0", "1.1.0"]


def test_no_publisher_is_taken_for_dead_between_making_its_folder_and_locking_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever collects what nobody has locked, or makes a folder, holds the lock on the folder of all versions."""
    (tmp_path / ".staging-dead").mkdir()
    lock, held = fcntl.flock, 0

    def while_held(descriptor: int, operation: int) -> None:
        nonlocal held
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(".staging-"):
            held += 1
            with opened(tmp_path) as another, pytest.raises(BlockingIOError):
                lock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", while_held)
    publish(tmp_path / "1.0.0", tables(), release())
    assert held == 2, "to collect the dead one and to lock its own"
    with opened(tmp_path) as another:
        lock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)


def publish_together(releases: Path, barrier: Barrier, rows: int) -> None:
    """Exit with 3 where the other one won; both are ready before either renames."""
    rename = Path.rename

    def together(self: Path, target: Path) -> Path:
        barrier.wait(timeout=60)
        return rename(self, target)

    Path.rename = together
    try:
        publish(releases / "1.0.0", tables(train=rows), release())
    except VersionExists:
        raise SystemExit(3) from None


def test_of_two_publishers_exactly_one_wins(tmp_path: Path) -> None:
    barrier = PROCESSES.Barrier(2)
    both = [process(publish_together, tmp_path, barrier, rows) for rows in (20, 21)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(str(one.exitcode) for one in both) == ["0", "3"]
    assert [path.name for path in tmp_path.iterdir()] == ["1.0.0"]
    assert verify(tmp_path / "1.0.0").problems == ()


def test_a_failure_while_publishing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(manifest: Manifest) -> Manifest:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publishing, "sealed", full)
    with pytest.raises(OSError, match="No space left"):
        publish(tmp_path / "1.0.0", tables(), release())
    assert list(tmp_path.iterdir()) == []


def test_publishing_leaves_no_folder_open(tmp_path: Path) -> None:
    """Its locks would block the next release, and a long-lived process would run out of files."""
    publish(tmp_path / "1.0.0", tables(), release())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for minor in range(1, 4):
        publish(tmp_path / f"1.{minor}.0", tables(), release())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_version_that_appears_while_another_one_is_written_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(manifest: Manifest) -> Manifest:
        monkeypatch.undo()
        publish(tmp_path / "1.0.0", tables(train=5), release())
        return sealed(manifest)

    monkeypatch.setattr(publishing, "sealed", slow)
    with pytest.raises(VersionExists, match="already exists and never changes"):
        publish(tmp_path / "1.0.0", tables(), release())
    assert [path.name for path in tmp_path.iterdir()] == ["1.0.0"]
    assert read_manifest(tmp_path / "1.0.0").splits["train"].rows == 5
    assert verify(tmp_path / "1.0.0").problems == ()


def test_a_folder_that_cannot_be_renamed_is_not_a_version_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(PermissionError, match="Permission denied"):
        publish(tmp_path / "1.0.0", tables(), release())
    assert list(tmp_path.iterdir()) == []


def test_a_version_has_its_name_only_when_all_of_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a loss of power could leave a version with empty files."""
    flushed: list[str] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        published = (tmp_path / "1.0.0").exists()
        flushed.append("after" if published else path.name if path.is_dir() else "file")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    manifest = publish(tmp_path / "1.0.0", tables(), release())
    assert flushed.count("file") == len(manifest.files) + len(manifest.splits)
    *_, data, folder, releases = flushed
    assert data == "data" and folder.startswith(".staging-") and releases == "after"
