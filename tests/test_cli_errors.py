"""An error on the command line is one line that says what to do next, with its exit code."""

import io
import json
from pathlib import Path

import pytest
from cli_shop import ROWS, opened_shop
from rich.console import Console
from support import offline, row, write_dataset, write_rows
from terminal import Terminal

from flows import curate
from flows.cli.console import TerminalProgress
from flows.context import Context
from schemas.run_summary import Verb


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return opened_shop(tmp_path_factory.mktemp("shop"))


ERRORS = {
    "no dataset.yaml": (
        ("status", "missing.yaml"),
        "missing.yaml cannot be read (No such file or directory); pass the",
    ),
    "an unknown record": (
        ("explain", "zz"),
        "no record matches 'zz'; pass a record id, its beginning, file:line, or the row's key",
    ),
    "an unknown line": (
        ("explain", "data.jsonl:99"),
        "no record matches 'data.jsonl:99': rows of data.jsonl begin on lines 1 to 8; ",
    ),
    "a beginning of many": (("explain", ""), "'' matches 8 records: "),
    "an unknown version": (("verify", "questions@9.9.9"), "'questions' has no version 9.9.9; it has 1.0.0"),
    "another dataset": (("verify", "answers@1.0.0"), "dataset.yaml describes 'questions', not 'answers'"),
    "no version": (("verify", "questions"), "'questions' names no version; use questions@latest or questions@1.0.0"),
    "an existing version": (
        ("release", "--version", "1.0.0", "--json"),
        "version 1.0.0 of 'questions' already exists, with exactly these rows; use that version",
    ),
    "a wrong version": (("release", "--version", "../1.0.0"), "'../1.0.0' is not a version; use three numbers such as"),
    "an unknown version to train on": (("finetune", "--version", "9.9.9"), "'questions' has no version 9.9.9"),
    "no server to collect from": (("collect",), "Label Studio is not configured; set LABEL_STUDIO_URL"),
    "a bad query": (("sql", "select nothing from nowhere"), "the query failed: Catalog Error: "),
    "a time beyond Python's": (("sql", "select timestamp '290000-01-01'"), "cast its times to text"),
    "a line beyond all files": (("explain", f"data.jsonl:{9**30}"), "no record matches 'data.jsonl:"),
    "a version beyond all numbers": (("release", "--version", "1.0." + "9" * 5000), "is not a version; use three"),
    "a folder with a dataset": (("init", "."), "dataset.yaml already exists; choose another folder"),
    "no local server": (("label-studio",), "there is no Label Studio in "),
}


@pytest.mark.parametrize(("command", "text"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_one_line_on_stderr_and_exit_code_1(
    shop: Terminal, command: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDLEAF_LABEL_STUDIO_VENV", "nowhere")
    assert text in shop.error(*command)


@pytest.mark.parametrize(
    "command",
    [
        ("curat",),
        ("status", "--no-such-option"),
        ("explain",),
        ("curate", "--engine", "steam"),
        ("verify", "a", "b", "c"),
    ],
)
def test_misuse_ends_with_exit_code_2_and_nothing_on_stdout(shop: Terminal, command: tuple[str, ...]) -> None:
    result = shop.goldleaf(*command, exit_code=2)
    assert result.stdout == ""
    assert "Usage: " in result.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("curate", "--engine", "dask"), "Invalid value for '--engine': 'dask' is not one of 'inline', 'prefect'."),
        (("init", "--kind", "style"), "Invalid value for '--kind': 'style' is not one of 'chat', 'classification', "),
    ],
)
def test_a_choice_that_an_option_does_not_have_is_refused_in_plain_words(
    tmp_path: Path, command: tuple[str, ...], said: str
) -> None:
    assert said in Terminal(tmp_path).goldleaf(*command, exit_code=2).stderr


def test_check_fails_where_a_first_curate_would(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "Late?", "nonsense")])
    terminal = Terminal(tmp_path)
    findings = {finding["what"]: finding for finding in terminal.json("check", exit_code=1)}
    assert not findings["source examples"]["ok"]
    assert "1 file; 1 row tried: 0 valid, 0 of them unlabeled" in findings["source examples"]["detail"]
    (tmp_path / "data.jsonl").unlink()
    shown = terminal.goldleaf("check", exit_code=1).stdout
    assert "✗ source examples" in shown and "✓ task Question" in shown
    assert not terminal.home.exists()


def test_a_step_that_fails_leaves_no_spinner_behind(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    (tmp_path / "data.jsonl").unlink()
    assert "data.jsonl does not exist" in Terminal(tmp_path).error("curate")
    shown = io.StringIO()
    progress = TerminalProgress(Console(file=shown, force_terminal=True, width=80))
    with pytest.raises(KeyError), progress.step("reading"):
        raise KeyError
    assert shown.getvalue().endswith("\x1b[2K"), "the line is erased"


def test_a_result_as_json_leaves_the_progress_to_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path, ROWS)
    shown = io.StringIO()
    monkeypatch.setattr("flows.cli.console.err", Console(file=shown, force_terminal=True, width=80))
    assert Terminal(tmp_path).json("curate")["lines"] == len(ROWS)
    assert "reading the sources" in shown.getvalue()


def test_a_dataset_that_is_in_use_is_left_alone_and_its_user_named(shop: Terminal) -> None:
    context = Context.load(shop.folder / "dataset.yaml", offline(shop.home))
    with context.store.lock(Verb.COLLECT):
        for verb in ("curate", "release"):
            line = shop.error(verb, "--json")
            assert line.startswith("'questions' is in use by goldleaf collect, process ")
            assert line.endswith(f"; run {verb} again when it has finished")
        assert shop.json("status")["raw"] == 8, "looking is always possible"


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(shop: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(curate, "ingest", interrupted)
    result = shop.goldleaf("curate", "--json", exit_code=130)
    assert result.stdout == ""
    assert "committed work is kept, run the command again to continue" in result.stderr


def test_a_flipped_byte_is_found_and_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    path = Path(terminal.json("release")["path"])
    assert "every byte matches what was published" in terminal.goldleaf("verify", "questions@1.0.0").stdout
    [file] = path.glob("data/train-*.parquet")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    result = terminal.json("verify", "1.0.0", exit_code=1)
    assert [problem["file"] for problem in result["problems"]] == [f"data/{file.name}"]
    shown = terminal.goldleaf("verify", "questions@latest", exit_code=1).stdout
    assert f"data/{file.name} does not have the bytes that were published" in shown
    assert "damaged" in shown


def test_a_version_whose_manifest_is_damaged_is_named_and_hides_no_other(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    path = Path(terminal.json("release")["path"])
    write_rows(tmp_path, [*ROWS, row(9, "Who pays for the way back?", "returns")])
    terminal.goldleaf("curate")
    terminal.json("release", "--version", "1.1.0")
    (path / "manifest.json").write_text("{")
    problem = f"{path / 'manifest.json'} cannot be read ("
    result = terminal.goldleaf("releases", "--json", exit_code=1)
    assert [line["version"] for line in json.loads(result.stdout)] == ["1.1.0"]
    assert result.stderr.startswith(f"error: {problem}")
    status = terminal.json("status")
    assert status["latest_release"] == "1.1.0"
    assert [text.startswith(problem) for text in status["damaged_releases"]] == [True]
    assert problem in terminal.goldleaf("status").stdout
    story = terminal.json("explain", "data.jsonl:1")
    assert story["releases"] == ["1.1.0"] and story["unsearched"] == status["damaged_releases"]


def test_a_version_that_lost_a_file_is_named_by_explain(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    path = Path(terminal.json("release")["path"])
    next(path.glob("data/train-*.parquet")).unlink()
    shown = terminal.goldleaf("explain", "data.jsonl:1").stdout
    assert "not searched: questions@1.0.0 (" in shown and "releases: none yet" in shown
