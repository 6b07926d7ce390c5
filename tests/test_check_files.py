"""Check finds the file of a source that would stop a curate, and today's rows that it would reject."""

import gzip
import os
import random
from pathlib import Path

import pytest
from checked import edit, findings
from support import row, write_dataset, write_rows
from terminal import Terminal

from pipeline.reporting import check_source


def write_parts(folder: Path, first: int = 250) -> Path:
    """A source of two files, the first with more rows than are tried; returns the second, which is newer and empty."""
    write_dataset(folder, [row(number, f"Why {number}?", "billing") for number in range(first)])
    edit(folder, "data.jsonl", '"parts/*"')
    (folder / "parts").mkdir()
    (folder / "data.jsonl").rename(folder / "parts" / "z.jsonl")
    os.utime(folder / "parts" / "z.jsonl", (1, 1))
    return folder / "parts" / "today"


def test_a_newest_file_of_which_curate_would_reject_every_row_is_a_finding(tmp_path: Path) -> None:
    today = write_parts(tmp_path).with_suffix(".jsonl")
    today.write_text('{"id": 900, "text": "Why?", "topic": "billing"}\n' * 2)
    os.utime(tmp_path / "parts" / "z.jsonl")
    os.utime(today, (1, 1))
    assert "newest file of source examples" not in findings(tmp_path), "it is the oldest one, and the first"
    today.rename(today.with_name("zz.jsonl"))
    os.utime(tmp_path / "parts" / "z.jsonl", (0, 0))
    found = findings(tmp_path, exit_code=1)
    assert found["source examples"]["ok"]
    said = found["newest file of source examples"]
    assert not said["ok"]
    assert said["detail"] == (
        "parts/zz.jsonl, of 2 files; 2 rows tried: 0 valid, 0 of them unlabeled; no row of it has 'question', as rows "
        "of other files do; the rows have the fields 'id', 'text', 'topic'\n"
        "  2  a required field is missing or empty (question), as in parts/zz.jsonl:1"
    )
    assert "✗ newest file of source examples\n" in Terminal(tmp_path).goldleaf("check", exit_code=1).stdout


def test_a_newest_file_whose_rows_are_among_the_first_and_all_invalid_is_a_finding(tmp_path: Path) -> None:
    write_parts(tmp_path, first=5).with_suffix(".jsonl").write_text('{"id": 900, "text": "Why?"}\n')
    assert not findings(tmp_path, exit_code=1)["newest file of source examples"]["ok"]
    write_rows(tmp_path / "parts", [row(900, "Why so?", "billing")], "today.jsonl")
    assert "newest file of source examples" not in findings(tmp_path)


def test_a_newest_file_that_lacks_what_others_have_or_has_no_rows_is_a_warning(tmp_path: Path) -> None:
    today = write_parts(tmp_path).with_name("zz.jsonl")
    today.write_text('{"id": 900, "question": "Why so?", "label": "billing"}\n')
    found = findings(tmp_path)["newest file of source examples"]
    assert found["ok"] and found["warning"]
    assert "1 valid, 1 of them unlabeled; no row of it has 'topic', as rows of other files do; " in found["detail"]
    today.write_text("")
    found = findings(tmp_path)["newest file of source examples"]
    assert (found["ok"], found["warning"]) == (True, True)
    assert found["detail"] == "parts/zz.jsonl, of 2 files; there are no rows in it"
    write_rows(tmp_path / "parts", [row(900, "Why so?", "billing")], "zz.jsonl")
    found = findings(tmp_path)["newest file of source examples"]
    assert (found["ok"], found["warning"]) == (True, False)


UTF_16 = (
    "has a header that cannot be decoded: byte 0 (0xff) is not UTF-8; if it is utf-16, set `csv: {encoding: utf-16}`\n"
)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("zz.csv", b"", "is empty; a CSV starts with a line of column names"),
        ("zz.csv", b"id,topic,id\n", "has two columns called 'id'"),
        ("zz.csv", "id,question,topic\n".encode("utf-16"), UTF_16),
        ("zz.parquet", b"PAR1 and no more", "cannot be read: "),
        (
            "zz.jsonl.gz",
            gzip.compress(b'{"id": 1}\n' * 100_000 + random.Random(1).randbytes(10**6))[:-9],
            "cannot be re",
        ),
        ("zz.txt", b"", "has the extension '.txt', so its format is unknown"),
    ],
)
@pytest.mark.parametrize("is_newest", [True, False])
def test_a_file_that_cannot_be_opened_is_a_finding_wherever_it_is(
    tmp_path: Path, name: str, content: bytes, said: str, is_newest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only compressed files are read to their end, and count toward how much of it is.
    monkeypatch.setattr(check_source, "_READ_WHOLE", len(content))
    today = write_parts(tmp_path).with_name(name)
    today.write_bytes(content)
    write_rows(today.parent, [row(900, "Why so?", "billing")], "zzz.jsonl")
    os.utime(today.with_name("zzz.jsonl"), (2, 2) if is_newest else None)
    found = findings(tmp_path, exit_code=1)["source examples"]
    assert not found["ok"]
    assert found["detail"].startswith(f"'parts/{name}' {said}")
    assert found["detail"].endswith("\n  3 files; the first 200 rows tried: 200 valid, 0 of them unlabeled")


def test_a_file_whose_first_row_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    today = write_parts(tmp_path).with_name("zz.jsonl")
    today.write_bytes('{"id": 1}\n'.encode("utf-16"))
    write_rows(today.parent, [row(900, "Why so?", "billing")], "zzz.jsonl")
    found = findings(tmp_path)["source examples"]
    assert found["ok"] and found["warning"]
    assert "\n  the first row of parts/zz.jsonl:1 (byte 0 (0xff) is not UTF-8; it looks like" in found["detail"]


def test_of_many_files_only_the_newest_are_opened(tmp_path: Path) -> None:
    write_parts(tmp_path).with_name("zz.csv").touch()
    for number in range(20):
        write_rows(tmp_path / "parts", [row(900 + number, f"Why so {number}?", "billing")], f"zz{number}.jsonl")
        assert findings(tmp_path, exit_code=int(number < 19))["source examples"]["ok"] == (number == 19)
