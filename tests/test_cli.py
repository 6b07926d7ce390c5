"""The command line: JSON, human-readable output, help, and the whole way from `init` to a release."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main
from cli_shop import ROWS, opened_shop
from pydantic import BaseModel
from support import offline, row, write_dataset, write_rows
from terminal import Terminal

from flows.cli import verbs as cli_verbs
from flows.cli.main import app
from flows.context import Context
from flows.run import run_all
from pipeline.config.workspace import HOW_TO_CONNECT
from pipeline.errors import ReleaseError
from schemas.manifest import Funnel

GROUP = typer.main.get_group(app)
COMMANDS = sorted(GROUP.commands)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return opened_shop(tmp_path_factory.mktemp("shop"))


# --- for machines ---------------------------------------------------------------------------------
def test_status_has_the_funnel_s_numbers(shop: Terminal) -> None:
    status = shop.json("status")
    numbers = {"raw": 8, "accepted": 4, "rejected": 1, "duplicate": 1, "review": 2, "superseded": 0, "withdrawn": 0}
    assert {name: status[name] for name in numbers} == numbers
    assert set(numbers) == set(Funnel.model_fields)
    assert (status["dataset"], status["waiting"], status["unsent"]) == ("questions", 2, 2)
    assert (status["latest_release"], status["home"]) == ("1.0.0", str(shop.home / "questions"))
    assert [run["verb"] for run in status["runs"]] == ["release", "curate"]


def test_status_of_a_dataset_that_was_never_curated_is_all_zeros(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    status = Terminal(tmp_path).json("status")
    assert {status[name] for name in Funnel.model_fields} == {0}
    assert (status["latest_release"], status["runs"]) == (None, [])
    assert status["next_step"] == f"goldleaf curate {tmp_path}/dataset.yaml"
    assert not (tmp_path / "home").exists(), "looking makes nothing"


def test_curate_and_release_print_what_they_did(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    terminal = Terminal(tmp_path)
    curated = terminal.json("curate")
    assert (curated["lines"], curated["added"], curated["withdrawn"], curated["funnel"]["raw"]) == (8, 8, 0, 8)
    assert set(curated["review"]) == {
        *("waiting", "audits", "unsent", "skipped", "sent", "hidden", "withdrawn", "url", "refused", "problem"),
        *("tabs", "strangers", "rows", "nobody_left", "notes"),
    }
    released = terminal.json("release", "--version", "2.0.0")
    assert (released["dataset"], released["version"], released["created"]) == ("questions", "2.0.0", True)
    assert sum(released["splits"].values()) == 4


def test_release_names_the_splits_that_are_empty_though_they_have_a_share(tmp_path: Path) -> None:
    rows = [row(key, "Where is the parcel that I sent to my old address?" + "!" * key, "delivery") for key in (0, 1)]
    frozen = "  - {name: exam, path: data.jsonl, split: train, frozen: true}\n"
    write_dataset(tmp_path, rows, f"{frozen}split: {{fractions: {{train: 0.9, test: 0.1, extra: 0.0}}}}\n")
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    shown = terminal.goldleaf("release").stdout
    assert (
        "\nthe split 'test' is empty: split.fractions gives it 0.1, but all 2 rows are in other splits, since they are "
        "too few, belong together or had a split before; add rows, and release again\n"
    ) in shown
    assert "'extra'" not in shown
    assert terminal.json("release")["empty"] == {"test": 0.1}


def test_releases_is_a_list_with_version_digest_and_path(shop: Terminal) -> None:
    [found] = shop.json("releases")
    assert found["version"] == "1.0.0"
    assert found["digest"].startswith("sha256:") and len(found["digest"]) == 71
    assert (Path(found["path"]) / "manifest.json").is_file()
    assert sum(found["splits"].values()) == 4


def test_releases_are_listed_as_they_were_published_and_the_latest_is_the_highest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path, [])
    terminal = Terminal(tmp_path)
    # Goldleaf once published any version.
    monkeypatch.setattr("pipeline.releases.numbering._require_highest", lambda *_: None)
    for day, number in enumerate(("1.0.0", "1.1.0", "0.9.0"), start=1):
        write_rows(tmp_path, ROWS[:day])
        terminal.goldleaf("curate")
        terminal.goldleaf("release", "--version", number)
    assert [found["version"] for found in terminal.json("releases")] == ["1.0.0", "1.1.0", "0.9.0"]
    lines = terminal.goldleaf("releases").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["version", "1.0.0", "1.1.0", "0.9.0", "`latest`"]
    assert lines[-1] == "`latest` means the highest version: 1.1.0"
    assert terminal.json("verify", "questions@latest")["reference"].startswith("questions@1.1.0 ")
    monkeypatch.undo()
    assert terminal.json("release")["version"] == "1.2.0", "the highest holds other rows"


def test_explain_tells_where_a_record_comes_from_and_where_it_went(shop: Terminal) -> None:
    story = shop.json("explain", "data.jsonl:1")
    assert story["revisions"][0]["raw"] == json.dumps(ROWS[0])
    assert (story["source"], story["releases"]) == ("examples", ["1.0.0"])
    assert story["split"] in ("train", "validation", "test")
    assert [decision["fate"] for decision in story["decisions"]] == ["accepted"]


def test_sql_gives_numbers_as_numbers_and_bytes_as_text(shop: Terminal) -> None:
    assert shop.json("sql", "select sum(line) as lines, avg(line) as middle, 'nan'::double as nan from records") == [
        {"lines": 36, "middle": 4.5, "nan": None}
    ]
    [found] = shop.json("sql", "select raw, ['\\xff'::blob] as bytes, ingested_at from records where line = 1")
    assert (found["raw"], found["bytes"]) == (json.dumps(ROWS[0]), ["\\xff"])
    assert found["ingested_at"].startswith("20")
    assert shop.json("sql", "select * from records where false") == []


def test_verify_report_and_check_print_json(shop: Terminal) -> None:
    verified = shop.json("verify", "questions@latest")
    assert (verified["rows"], verified["problems"]) == (4, [])
    assert verified["reference"].startswith("questions@1.0.0 sha256:")
    assert "<html" in Path(shop.json("report")["path"]).read_text(encoding="utf-8")
    findings = shop.json("check")
    assert {finding["what"] for finding in findings} >= {"task Question", "source examples", "Label Studio"}
    assert all(finding["ok"] for finding in findings)


# --- human-readable -------------------------------------------------------------------------------
def test_status_shows_the_funnel_and_what_is_next(shop: Terminal) -> None:
    shown = shop.goldleaf("status").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert [line[:2] for line in lines if line[:1] == ["raw"]] == [["raw", "8"]]
    for fate, count in (("accepted", "4"), ("review", "2"), ("duplicate", "1"), ("rejected", "1")):
        assert [fate, count] in [line[:2] for line in lines]
    assert shown.startswith(f"questions   {shop.home}/questions\n"), "a path that can be copied"
    assert "latest release: questions@1.0.0" in shown
    assert "2 questions are waiting for annotators, 2 not sent yet" in shown
    assert f"next: {HOW_TO_CONNECT}, then goldleaf curate {shop.folder}/" in shown


def test_texts_of_users_are_never_read_as_markup(shop: Terminal, tmp_path: Path) -> None:
    shown = shop.goldleaf("explain", "data.jsonl:7").stdout
    assert json.dumps(ROWS[6]) in shown
    assert "a field breaks the task's schema (topic): " in shown
    shown = shop.goldleaf("sql", "select raw from records where line = 7").stdout
    assert "Is [bold]this[/] markup?" in shown
    folder = tmp_path / "the [old] shop"
    folder.mkdir()
    write_dataset(folder, [{"id": "[/a] \\[b]", "question": "Late?", "topic": "delivery"}])
    terminal, file = Terminal(tmp_path), folder / "dataset.yaml"
    assert f"\nnext: goldleaf curate '{file}'\n" in terminal.goldleaf("status", file).stdout
    terminal.goldleaf("curate", file)
    assert "source examples, key [/a] \\[b]\n" in terminal.goldleaf("explain", "data.jsonl:1", file).stdout
    assert f"{folder}/missing.yaml cannot be read" in terminal.error("status", folder / "missing.yaml")


def test_status_before_the_first_curate_shows_no_empty_tables_but_what_to_run(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    said = f"nothing has been curated yet\nnext: goldleaf curate {tmp_path}/dataset.yaml\n"
    assert Terminal(tmp_path).goldleaf("status").stdout == f"questions   {tmp_path}/home/questions\n{said}"


# --- where the home may be ------------------------------------------------------------------------
def test_the_home_may_have_spaces_umlauts_and_signs_in_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "Zoë's data, #1 of 100% {new}=*?"
    folder.mkdir()
    write_dataset(folder, ROWS)
    terminal = Terminal(folder)
    terminal.goldleaf("curate")
    assert terminal.json("curate")["added"] == 0
    shown = terminal.goldleaf("release").stdout
    assert f"\n{terminal.home}/questions/releases/1.0.0\n" in shown
    assert terminal.goldleaf("status").stdout.startswith(f"questions   {terminal.home}/questions\n")
    assert terminal.json("explain", "data.jsonl:1")["releases"] == ["1.0.0"]
    assert terminal.json("sql", "select count(*) as n from records") == [{"n": 8}]


@pytest.mark.parametrize(
    ("name", "found"), [("[old]", "["), ("a|b", "|"), ("a\\b", "\\"), ("a%20b", "%20"), ("a\tb", "\t")]
)
def test_a_home_where_no_tables_can_be_is_refused(tmp_path: Path, name: str, found: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    write_dataset(folder, ROWS)
    line = Terminal(folder).error("status")
    assert line.startswith(f"the home {str(folder / 'home')!r} contains {found!r}, ")
    assert line.endswith("; set GOLDLEAF_HOME to another one")


def test_a_record_is_found_by_its_id_by_the_beginning_and_by_file_and_line(shop: Terminal) -> None:
    first = shop.json("sql", "select record_id from records where line = 1")[0]["record_id"]
    ways = (first, first[:9], first[:9].upper(), "data.jsonl:1")
    assert {shop.json("explain", way)["record_id"] for way in ways} == {first}


# --- the whole way --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("folder", "name"),
    [("Ünïcode", "unicode"), ("Straße 7", "strasse-7"), ("_x_", "x"), ("数据", "dataset"), ("ﬁne.data", "fine-data")],
)
def test_a_folder_s_name_becomes_the_dataset_s(tmp_path: Path, folder: str, name: str) -> None:
    Terminal(tmp_path).goldleaf("init", folder)
    assert f'name: "{name}"' in (tmp_path / folder / "dataset.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["classification", "extraction", "rewriting"])
def test_what_init_writes_can_be_checked_curated_and_released_at_once(tmp_path: Path, kind: str) -> None:
    terminal = Terminal(tmp_path)
    shown = terminal.goldleaf("init", "My Data", "--kind", kind).stdout
    assert [Path(line).name for line in shown.splitlines()[:3]] == ["dataset.yaml", "task.py", "data.jsonl"]
    [file] = shlex.split(shown.splitlines()[-1].removeprefix("next: goldleaf check "))
    terminal.goldleaf("check", file)
    terminal.goldleaf("curate", file)
    released = terminal.json("release", file)
    assert (released["dataset"], released["version"]) == ("my-data", "1.0.0")
    status = terminal.json("status", file)
    assert status["accepted"] == sum(released["splits"].values()) == status["raw"] - 1
    assert status["review"] == 1, "the row without an answer"


class Done(BaseModel):
    """What a verb would return."""


@pytest.mark.parametrize(
    ("url", "verbs"),
    [
        ("", ["curate", "release", "finetune"]),
        ("http://127.0.0.1:9", ["curate", "collect", "release", "finetune"]),
    ],
)
def test_run_does_all_verbs_in_order_and_collects_where_there_is_a_server(
    tmp_path: Path, url: str, verbs: list[str]
) -> None:
    write_dataset(tmp_path, ROWS)
    settings = offline(tmp_path).model_copy(update={"label_studio_url": url})
    called: list[str] = []

    def verb(name: str) -> BaseModel:
        called.append(name)
        return Done()

    done = run_all(Context.load(tmp_path / "dataset.yaml", settings), verb)
    assert [(name, list(called)) for name, _ in done] == [(name, verbs[: i + 1]) for i, name in enumerate(verbs)]


def run_with(shop: Terminal, monkeypatch: pytest.MonkeyPatch, *failing: str) -> Callable[..., Any]:
    """The command ``run``, in which some verbs fail."""
    real = cli_verbs.run_verb

    def verb(context: Context, engine: Any, as_json: bool, name: str, **arguments: Any) -> Any:
        if name in failing:
            raise ReleaseError(f"{name} cannot be")
        return real(context, engine, as_json, name, **arguments)

    monkeypatch.setattr(cli_verbs, "run_verb", verb)
    return lambda *args: shop.goldleaf("run", *args, exit_code=1)


def test_run_shows_each_verb_s_result_though_the_last_one_fails(
    shop: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_with(shop, monkeypatch, "finetune")()
    assert result.stderr.endswith("error: finetune cannot be\n")
    assert "read 8 rows: 0 new or edited, 8 known\n" in result.stdout and "questions@1.0.0" in result.stdout
    assert result.stdout.index("─ curate ─") < result.stdout.index("─ release ─")
    assert "finetune" not in result.stdout


def test_run_prints_what_was_done_as_json_though_the_last_one_fails(
    shop: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_with(shop, monkeypatch, "finetune")("--json")
    assert result.stderr == "error: finetune cannot be\n"
    done = json.loads(result.stdout)
    assert list(done) == ["curate", "release"] and done["release"]["version"] == "1.0.0"


def test_run_prints_no_json_where_nothing_was_done(shop: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with(shop, monkeypatch, "curate")("--json").stdout == ""


# --- what is next ---------------------------------------------------------------------------------
def next_step(folder: Path, rows: list[dict[str, object]], more: str, studio: str = "") -> str:
    """What status says after a curate that sends nothing; the dataset's path left out."""
    write_dataset(folder, rows, more)
    terminal = Terminal(folder, studio, "token" if studio else "")
    terminal.goldleaf("curate", "--no-push")
    return str(terminal.json("status")["next_step"]).replace(f"{folder}/dataset.yaml", "FILE")


NEXT = {
    "unsent, no server": (
        [row(1, "Why?", None)],
        "review: {budget: 9}\n",
        "",
        "set LABEL_STUDIO_URL and LABEL_STUDIO_",
    ),
    "unsent, a server": ([row(1, "Why?", None)], "review: {budget: 9}\n", "http://127.0.0.1:9", "goldleaf curate FILE"),
    "in review, unasked": (
        [row(1, "Why?", None)],
        "review: {budget: 0}\n",
        "",
        "set review.budget to more than 0, because some rows ",
    ),
    "all rejected": ([row(1, "Why?", "x")], "", "", "fix the source, its fields or the task, "),
    "accepted": ([row(1, "Why?", "billing")], "review: {audit: 0.0}\n", "", "goldleaf release FILE"),
}


@pytest.mark.parametrize(("rows", "more", "studio", "said"), NEXT.values(), ids=NEXT)
def test_the_next_step_is_one_that_leads_on(
    tmp_path: Path, rows: list[dict[str, object]], more: str, studio: str, said: str
) -> None:
    step = next_step(tmp_path, rows, more, studio)
    assert step.startswith(said)
    assert ("goldleaf curate FILE" in step) is (said != "goldleaf release FILE")


@pytest.mark.parametrize("command", [("explain", "data.jsonl:1"), ("verify", "1.0.0"), ("finetune",)])
def test_on_a_dataset_that_was_never_curated_it_is_said_what_to_run(tmp_path: Path, command: tuple[str, ...]) -> None:
    write_dataset(tmp_path, ROWS)
    terminal, hint = Terminal(tmp_path), f"run `goldleaf curate {tmp_path}/dataset.yaml`"
    assert terminal.error(*command) == f"'questions' has not been curated yet; {hint} first"
    assert terminal.goldleaf("releases").stdout.splitlines()[-1] == f"no version yet; {hint}"
    terminal.goldleaf("curate")
    assert "`goldleaf release " in terminal.goldleaf("releases").stdout


# --- help -----------------------------------------------------------------------------------------
def test_the_version_is_that_of_the_distribution(shop: Terminal) -> None:
    assert shop.goldleaf("--version").stdout == f"goldleaf {version('goldleaf')}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_that_says_what_it_does(shop: Terminal, command: str) -> None:
    shown = shop.goldleaf(command, "--help").stdout
    first_line = (GROUP.commands[command].help or "").splitlines()[0]
    assert first_line.endswith(".") and first_line in shown
    assert "<bool>" not in shown, "a flag takes no value"


def test_the_help_lists_the_commands_in_the_order_in_which_they_are_needed(shop: Terminal) -> None:
    shown = shop.goldleaf("--help").stdout
    places = [shown.index(f"─ {panel} ─") for panel in ("Options", "Setup", "Workflow", "Inspect")]
    assert places == sorted(places)
    assert "curate (annotators then label in Label Studio), collect their answers, \n" in shown, "whole lines"


_LIGHT = """
import sys
from flows.cli.main import app
for arguments in {commands!r}:
    try:
        app(arguments)
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
heavy = {heavy!r} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_and_status_start_without_the_heavy_libraries(shop: Terminal) -> None:
    heavy = {
        "torch",
        "transformers",
        "prefect",
        "sklearn",
        "scipy",
        "numba",
        "datasets",
        "label_studio_sdk",
        "cleanlab",
    }
    helps = [["--help"], *([command, "--help"] for command in COMMANDS)]
    # What looks at datasets takes half a second to import.
    code = _LIGHT.format(commands=helps, heavy=heavy | {"pipeline.reporting.status"})
    code += _LIGHT.format(commands=[["status"], ["releases"]], heavy=heavy)
    own = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    environment: dict[str, Any] = {"GOLDLEAF_HOME": str(shop.home), "PATH": "", "COLUMNS": "120"} | own
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=shop.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "latest release: questions@1.0.0" in done.stdout
