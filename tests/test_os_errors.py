"""What goes wrong with disks, folders and servers is one line; an error of the program keeps its traceback."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from support import row, write_dataset
from terminal import Terminal

from flows.cli.os_errors import outside_fault
from pipeline.reporting import status

ELSEWHERE = ", or set GOLDLEAF_HOME to another folder"


@pytest.fixture
def shop(tmp_path: Path) -> Terminal:
    write_dataset(tmp_path, [row(1, "Where is my parcel?", "delivery")])
    return Terminal(tmp_path)


# --- the home -------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", ["curate", "collect", "release"])
def test_a_home_that_is_a_file_is_one_line(shop: Terminal, verb: str) -> None:
    shop.home.touch()
    shop = Terminal(shop.folder, "http://127.0.0.1:9", "token")
    line = shop.error(verb)
    assert line == f"{shop.home}/questions cannot be used: Not a directory; set GOLDLEAF_HOME to a usable folder"


def test_a_home_that_cannot_be_made_is_one_line(shop: Terminal) -> None:
    (shop.folder / "home").symlink_to("/proc/nowhere")
    line = shop.error("curate")
    assert line == "/proc/nowhere cannot be used: No such file or directory; set GOLDLEAF_HOME to a usable folder"


def run(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command in a process of its own, in which ``goldleaf`` is there."""
    own = {"GOLDLEAF_HOME": "home", "LABEL_STUDIO_URL": "", "PREFECT_API_URL": "", "PREFECT_HOME": str(folder / "p")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    everything = os.environ | own | {"PATH": path} | environment
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=everything, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("blocks", [1, 4])
def test_a_table_that_cannot_be_written_is_one_line(shop: Terminal, blocks: int) -> None:
    """A limit on the size of files breaks off writing as a full disk does, and needs no rights."""
    done = run(shop.folder, f"ulimit -f {blocks}; goldleaf curate --json")
    assert (done.returncode, done.stdout) == (1, "")
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: ") and "Traceback" not in done.stderr
    assert line.endswith(f" cannot be used: File too large; raise the file size limit (ulimit -f){ELSEWHERE}")
    assert str(shop.home) in line
    shop.goldleaf("curate", "--json")  # with room again, it goes on


def test_a_damaged_and_a_lost_file_of_a_table_are_one_line(shop: Terminal) -> None:
    shop.goldleaf("curate")
    for file in (shop.home / "questions" / "tables" / "decisions").glob("*.parquet"):
        file.write_bytes(file.read_bytes()[:100])
    line = shop.error("status")
    assert line.startswith("table 'decisions' of 'questions' is damaged (part-") and " has 100 of " in line
    assert line.endswith(f" bytes); restore {shop.home}/questions/tables/decisions from a backup")
    for file in (shop.home / "questions" / "tables" / "decisions").glob("*.parquet"):
        file.unlink()
    line = shop.error("status")
    assert line.startswith("table 'decisions' of 'questions' is damaged (part-") and " is missing); restore " in line


def test_a_table_replaced_by_a_file_is_one_line(shop: Terminal) -> None:
    (shop.home / "questions" / "tables").mkdir(parents=True)
    (shop.home / "questions" / "tables" / "records").touch()
    assert str(shop.home) in shop.error("curate", "--json")


def test_a_file_where_the_dataset_s_folder_should_be_is_to_be_moved_away(shop: Terminal) -> None:
    shop.home.mkdir()
    (shop.home / "questions").touch()
    line = shop.error("curate", "--json")
    assert line == f"{shop.home}/questions cannot be used: File exists; move it away, or restore it from a backup"


def test_another_place_than_the_home_is_named_as_it_is(shop: Terminal) -> None:
    assert shop.error("init", "/proc/nowhere").startswith("/proc/nowhere cannot be used: No such file or directory; ")


# --- the program ----------------------------------------------------------------------------------
@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), BrokenPipeError(errno.EPIPE, "x"), OSError("odd")])
def test_an_error_of_the_program_stays_one(shop: Terminal, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outside_fault(error, shop.home) is None

    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(status, "read_status", fail)
    result = shop.goldleaf("status", exit_code=1)
    assert "error: " not in result.stderr


# --- Prefect --------------------------------------------------------------------------------------
def test_a_prefect_server_that_does_not_answer_is_one_line(shop: Terminal) -> None:
    done = run(shop.folder, "goldleaf curate --json", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: Prefect does not answer at http://127.0.0.1:9/api (")
    assert line.endswith("fix PREFECT_API_URL, or use --engine inline")


def test_a_full_disk_is_told_as_such_whichever_library_was_writing(tmp_path: Path) -> None:
    """Ours hands Python's error to polars, which hands on its text."""
    wrapped = pl.exceptions.ComputeError("parquet: underlying IO error: [Errno 28] No space left on device")
    line = outside_fault(wrapped, tmp_path)
    assert line == (
        f"a table in the home {tmp_path} cannot be used: No space left on device; free some space there{ELSEWHERE}"
    )
