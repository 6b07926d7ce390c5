"""A file counts once, however many links lead to it, and what is no file is said to be none."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from ingest_home import Home, contents, rows_read
from odd import QUESTION, Odd
from support import row
from terminal import Terminal

from pipeline.errors import SourceError
from pipeline.ingest.ingest_sources import Ingested
from schemas.dataset import Source

ROWS = [row(1, "Where is my parcel?", "delivery")]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "pattern", ["**/*.jsonl", "**/**/*.jsonl", "data/**", "{}/**/data/**/*.jsonl", "d*/**/*.jsonl"]
)
def test_links_that_go_round_in_a_circle_and_other_names_of_a_file_give_its_rows_once(home: Home, pattern: str) -> None:
    data, sub = home.folder / "data", home.folder / "data" / "sub"
    sub.mkdir(parents=True)
    for number, name in enumerate(("a.jsonl", "data/b.jsonl", "data/sub/c.jsonl")):
        home.write(name, [{"x": number}])
    for name in ("up", "up2", "up3"):
        (sub / name).symlink_to(data, target_is_directory=True)
    (data / "away").symlink_to(sub, target_is_directory=True)
    (data / "a first name.jsonl").symlink_to(sub / "c.jsonl")
    os.link(data / "b.jsonl", sub / "copy.jsonl")
    source = Source(name="s", path=pattern.format(home.folder))
    rows = 3 if pattern.startswith("**") else 2
    assert home.ingest(source).lines == rows
    assert rows_read(home, source) == (Ingested(lines=rows, added=0, withdrawn=0), 0)
    places = home.current().sort("position")["file"].to_list()
    assert places == ["a.jsonl", "data/b.jsonl", "data/sub/c.jsonl"][-rows:]


def test_files_behind_a_link_are_found_and_hidden_folders_are_not(home: Home) -> None:
    for folder in ("elsewhere/deep", "data/.hidden"):
        (home.folder / folder).mkdir(parents=True)
        home.write(f"{folder}/a.jsonl", [{"in": folder}])
    (home.folder / "data" / "link").symlink_to(home.folder / "elsewhere", target_is_directory=True)
    (home.folder / "data" / "gone.jsonl").symlink_to(home.folder / "nowhere")
    home.ingest(Source(name="s", path="data/**/*.jsonl"))
    assert contents(home) == ['{"in": "elsewhere/deep"}']


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [(os.mkfifo, "a FIFO"), (_socket, "a socket"), (lambda path: path.symlink_to("/dev/zero"), "a device")],
)
def test_a_device_a_fifo_or_a_socket_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], kind: str
) -> None:
    folder, terminal = tmp_path / "shop", Terminal(tmp_path / "shop")
    odd = Odd(folder, QUESTION, ROWS)
    monkeypatch.chdir(folder)
    make(Path("odd.jsonl"))
    odd.edit("path: data.jsonl", "path: odd.jsonl")
    said = f"odd.jsonl is {kind}, not a file; name a file"
    assert terminal.error("curate", "--json") == f"source 'examples': {folder}/{said}"
    assert said in terminal.goldleaf("check", exit_code=1).stdout.replace("\n", " ")
    for verb in ("curate", "check", "status"):
        assert f" cannot be read (it is {kind}, not a file); pass the path" in terminal.error(verb, "odd.jsonl")
    odd.edit("review: {", "review: {guidelines: odd.jsonl, ")
    assert f"odd.jsonl cannot be read ([Errno 22] it is {kind}, not a file" in terminal.error("curate")
    with pytest.raises(SourceError, match="nothing matches"):
        Home(tmp_path).ingest(Source(name="s", path="shop/odd*.jsonl"))
