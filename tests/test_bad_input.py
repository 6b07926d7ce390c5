"""Input and names that make no sense give one clear line, or a rejected row, and costs little."""

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from odd import QUESTION, Odd
from support import row
from terminal import Terminal

from pipeline.errors import SourceError
from pipeline.ingest import formats, unpacking
from pipeline.ingest.formats import read_rows
from schemas.run_summary import Verb

ROWS = [row(1, "Where is my parcel?", "delivery"), row(2, "Why was I charged twice?", "billing")]


@pytest.fixture
def odd(tmp_path: Path) -> Odd:
    return Odd(tmp_path / "shop", QUESTION, ROWS)


def error(odd: Odd, verb: str = "curate") -> str:
    """The one line that a verb ends with."""
    return Terminal(odd.folder).error(verb, "--json").replace(f"{odd.folder}/", "")


# --- dataset.yaml -----------------------------------------------------------------------------------
TAGS = {
    '!!int ""': "'' is not a valid int",
    '!!float "x"': "'x' is not a valid float",
    '!!bool "x"': "'x' is not a valid bool",
    "0x_": "'0x_' is not a valid int",
    '!!timestamp "abc"': "!!timestamp is not a tag that a dataset.yaml can have; leave it out",
    "!!binary aGk=": "!!binary is not a tag that a dataset.yaml can have; leave it out",
    "!!set {a}": "!!set is not a tag that a dataset.yaml can have; leave it out",
    "!!omap [a: b]": "!!omap is not a tag that a dataset.yaml can have; leave it out",
    "!mine x": "could not determine a constructor for the tag '!mine'",
    '"half \\ud83d"': "'half \\ud83d' holds half a surrogate pair, which is not a character",
}


@pytest.mark.parametrize("value", TAGS)
def test_a_value_that_is_not_what_its_tag_says_is_named_with_its_line(odd: Odd, value: str) -> None:
    with (odd.folder / "dataset.yaml").open("a") as file:
        file.write(f"release:\n  title: {value}\n")
    for verb in ("curate", "release", "status"):
        assert error(odd, verb) == f"dataset.yaml:7: not valid YAML: {TAGS[value]}"


def test_merges_of_merges_cost_no_more_than_their_keys(odd: Odd) -> None:
    levels = ["a0: &a0 {k: 1}"]
    levels += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 40)]
    with (odd.folder / "dataset.yaml").open("a") as file:
        file.write("\n".join(levels) + "\n")
    lines = Terminal(odd.folder).goldleaf("status", exit_code=1).stderr.splitlines()
    assert len(lines) == 11 and lines[-1] == "… and 30 more mistakes"


def test_of_thousands_of_mistakes_the_first_are_shown_and_the_rest_counted(odd: Odd) -> None:
    with (odd.folder / "dataset.yaml").open("a") as file:
        file.write("".join(f"wrong{n}: 1\n" for n in range(3_000)))
    lines = Terminal(odd.folder).goldleaf("status", exit_code=1).stderr.splitlines()
    assert len(lines) == 11
    assert "dataset.yaml:6: 'wrong0' is not a known key; use one of " in lines[0]
    assert lines[-1] == "… and 2,990 more mistakes"


def test_an_error_that_quotes_a_megabyte_is_short_and_keeps_its_end(odd: Odd) -> None:
    odd.edit("name: questions", f"name: {'X' * 10**6}")
    line = error(odd)
    assert len(line) < 2_100 and line.endswith("is not a valid dataset name; use a-z, 0-9, - and _")


# --- names ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("url", ["http://.", "http://", "http://a..b/x.jsonl", f"http://{'a' * 300}/x.jsonl"])
def test_a_url_that_leads_nowhere_is_one_line(odd: Odd, url: str) -> None:
    odd.edit("path: data.jsonl", f"path: '{url}'")
    assert error(odd).startswith(f"source 'examples': {url} cannot be fetched (")


NOT_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("path", ["'*.jsonl'", '"caf\\udce9.jsonl"'])
def test_a_file_whose_name_is_not_utf_8_is_named_and_to_be_renamed(odd: Odd, path: str) -> None:
    (odd.folder / f"{NOT_UTF8}.jsonl").write_text("{}\n")
    odd.edit("path: data.jsonl", f"path: {path}")
    said = "caf\\udce9.jsonl has a name that is not UTF-8, which no table can hold; rename it"
    assert said in error(odd) or "half a surrogate pair" in error(odd)


def test_a_folder_or_a_home_whose_name_is_not_utf_8_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / NOT_UTF8
    Odd(folder, QUESTION, ROWS)
    line = Terminal(tmp_path).error("curate", folder / "dataset.yaml")
    assert line.endswith("caf\\udce9/dataset.yaml has a name that is not UTF-8, which tables cannot hold; rename it")
    Odd(tmp_path / "shop", QUESTION, ROWS)
    (tmp_path / "shop" / "home").symlink_to(folder, target_is_directory=True)
    assert "caf\\udce9 is not UTF-8, which tables require; set GOLDLEAF_HOME to another" in Terminal(
        tmp_path / "shop"
    ).error("curate")


@pytest.mark.parametrize("verb", ["curate", "status", "check"])
def test_a_home_with_a_part_of_300_characters_or_in_a_loop_of_links_is_one_line(odd: Odd, verb: str) -> None:
    (odd.folder / "home").symlink_to(odd.folder / "home")
    assert ", which cannot be a folder (" in Terminal(odd.folder).error(verb)
    (odd.folder / "home").unlink()
    (odd.folder / "home").symlink_to("x" * 300)
    assert error(odd, verb).endswith("; set it to another one")


@pytest.mark.parametrize("name", ["x" * 300, "loop"])
def test_a_dataset_yaml_or_task_of_an_impossible_name_is_one_line(odd: Odd, name: str) -> None:
    (odd.folder / "loop").symlink_to(odd.folder / "loop")
    assert "cannot be read (" in Terminal(odd.folder).error("curate", name)
    assert f"there is no {name} to look up" in Terminal(odd.folder).error("verify", "a@1.0.0", name)
    assert "there is no dataset.yaml to look up" in Terminal(odd.folder.parent).error("verify", name)
    odd.edit("task.py:Question", f"{name}.py:Question")
    assert "there is no task file" in error(odd)
    odd.edit(f"{name}.py:Question", "task.py:Question")
    odd.edit("path: data.jsonl", f"path: {name}")
    assert error(odd).endswith("does not exist; correct its path")


def test_a_lock_file_with_other_bytes_locks_as_any_other(odd: Odd) -> None:
    odd.curate()
    with odd.context.store.lock(Verb.CURATE):
        (odd.home / "questions" / "state.lock").write_bytes(b"\xff\x00\n\n" * 1_000)
        line = error(odd, "release")
        assert line.startswith("'questions' is in use by ") and line.endswith(
            "; run release again when it has finished"
        )
    assert odd.curate().added == 0


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_not_a_file_in_the_place_of_a_lock_is_one_line(odd: Odd, make: Callable[[Path], None]) -> None:
    odd.curate()
    lock = odd.home / "questions" / "state.lock"
    lock.unlink()
    make(lock)
    for verb in ("curate", "release"):
        assert error(odd, verb) == (
            "home/questions/state.lock is not a regular file, so it cannot be the lock of 'questions'; move it away"
        )


def test_an_error_line_holds_no_control_characters(odd: Odd) -> None:
    odd.edit("path: data.jsonl", r'path: "a\0b\x1b[31mc\x07\x9b.jsonl"')
    assert error(odd).endswith(r"a\0b\x1b[31mc\x07\x9b.jsonl does not exist; correct its path")
    line = Terminal(odd.folder).error("verify", "a\x1b]0;title\x07/1.0.0")
    assert line.startswith(r"there is no folder a\x1b]0;title\x07/1.0.0; ")


# --- the home is not a source -----------------------------------------------------------------------
def test_a_glob_that_covers_the_home_leaves_it_out(odd: Odd) -> None:
    odd.edit("path: data.jsonl", "path: '**/*.parquet'")
    pl.DataFrame(ROWS).write_parquet(odd.folder / "data.parquet")
    for _ in range(3):
        assert odd.curate().funnel.raw == 2
    (odd.folder / "data.parquet").unlink()
    assert "is one of Goldleaf's own files, in its home; name a file outside it" in error(odd)


def test_a_path_into_the_home_is_an_error_also_through_a_link_and_for_an_evaluation_set(odd: Odd) -> None:
    odd.curate()
    [table] = (odd.home / "questions" / "tables" / "records").glob("*.parquet")
    (odd.folder / "link.parquet").symlink_to(table)
    odd.edit("path: data.jsonl", "path: link.parquet")
    assert error(odd).startswith("source 'examples': link.parquet is one of Goldleaf's own files")
    odd.edit("path: link.parquet", "path: data.jsonl")
    odd.edit("review:", f"decontaminate: {{against: [{{name: old, path: '{table}'}}]}}\nreview:")
    assert "is one of Goldleaf's own files, in its home; name a file outside it; to use the rows of a version" in error(
        odd
    )


def test_a_home_that_is_the_folder_of_the_data_hides_no_source(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, ROWS, home=tmp_path)
    odd.edit("path: data.jsonl", "path: '**/*.jsonl'")
    for _ in range(2):
        assert odd.curate().funnel.raw == 2


# --- what costs too much ----------------------------------------------------------------------------
def test_a_cell_of_megabytes_is_shown_short_and_told_so(tmp_path: Path) -> None:
    Odd(tmp_path, QUESTION, [row(1, "line\n" * 400_000, "delivery"), ROWS[1]]).curate()
    terminal = Terminal(tmp_path)
    shown = terminal.goldleaf("sql", "select * from latest").stdout
    assert len(shown.splitlines()) < 100
    assert "cells that end in … are cut to 500 characters or 10 lines; --json shows all" in shown
    [whole] = terminal.json("sql", "select decode(raw) as raw from latest where line = 1")
    assert len(whole["raw"]) > 2_000_000
    assert "cells that end" not in terminal.goldleaf("sql", "select line from latest").stdout


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.zst", "data.csv", "data.csv.gz"])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_lines_after_many_blank_ones_keep_their_numbers(tmp_path: Path, name: str, ends: bytes) -> None:
    head, body = (b"a\n", b"1\n") if "csv" in name else (b'{"a": 0}\n', b'{"a": 1}\n')
    blank = ends * 2_500_000
    content = head + blank + body + ends + body + blank + b"\r" + body
    compression = formats._COMPRESSIONS.get(Path(name).suffix)
    with pa.output_stream(str(tmp_path / name), compression=compression) as file:
        file.write(content)
    numbers = [item.line for item in read_rows(tmp_path / name)]
    expected = [2_500_002, 2_500_004, 5_000_005]
    assert numbers == (expected if "csv" in name else [1, *expected])


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.json.zst", "a.csv.zst"])
def test_a_few_bytes_that_unpack_to_very_many_are_refused(tmp_path: Path, name: str) -> None:
    with pa.output_stream(str(tmp_path / name), compression="zstd") as file:
        file.write(b"a\n" if "csv" in name else b"[")
        for _ in range(70):
            file.write(b"\n" * 2**20)
    with pytest.raises(
        SourceError, match=r"unpacks to more than 1,000 times its size; if that is intended, decompress it"
    ):
        list(read_rows(tmp_path / name))


def test_a_parquet_file_of_a_few_bytes_with_very_many_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "UNPACKED_FLOOR", 2**20)
    pl.DataFrame({"a": ["x" * 1_000]}).select(pl.col("a").repeat_by(10_000).explode()).write_parquet(
        tmp_path / "a.parquet"
    )
    with pytest.raises(SourceError, match="unpacks to more than 1,000 times its size"):
        list(read_rows(tmp_path / "a.parquet"))
