"""What the docs say is so: sessions and code are run, tables are compared with the code, links lead somewhere."""

import ast
import contextlib
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import datasets.config
import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from support import SAMPLES, offline
from typer.main import get_command
from typer.testing import CliRunner

from flows.cli.main import app
from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from flows.settings import Settings
from pipeline.config.plain_yaml import read_yaml
from pipeline.review.form import labeling_config
from pipeline.review.offered_answers import KEYS, NO_KEY
from pipeline.review.questions import BLIND_WHY, JUDGED_WHY, PARTLY_WHY, question
from pipeline.review.seat_questions import DIFFERENT, OTHER_ROWS, UNSURE
from schemas.arms_section import DEFAULT_ARMS, EndpointArm, LocalArm, StatedArm
from schemas.dataset import Dataset
from schemas.decision import Decision
from schemas.fate import EXPLANATIONS, Fate, Reason, ReasonCode, Routed
from schemas.task import Task
from schemas.tasks.contract_clause import ContractClause
from schemas.tasks.plain_sentence import PlainSentence

ROOT = Path(__file__).parent.parent
README, DATA_TEAMS = "README.md", "docs/data-teams.md"
ANNOTATORS, ML_ENGINEERS = "docs/annotators.md", "docs/ml-engineers.md"
PAGES = (README, "CONTRIBUTING.md", "docs/architecture.md", DATA_TEAMS, ANNOTATORS, ML_ENGINEERS, "docs/rules.md")
LINKED = sorted({*PAGES, "CHANGELOG.md", "data/samples/README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))})
PACKAGES = ("schemas", "pipeline", "flows")
COMMANDS: dict[str, Any] = get_command(app).commands


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    body: str


def blocks(page: str, *languages: str) -> list[Block]:
    """The page's blocks of some languages, in order."""
    found = re.findall(r"^```(.+)\n((?s:.*?))^```$", text(page), re.MULTILINE)
    return [Block(language, body) for language, body in found if language in languages]


def table(page: str, head: str) -> list[list[str]]:
    """The rows of the table whose first column is called ``head``; cells without the space around them."""
    lines = text(page).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {head} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def codes(cell: str) -> list[str]:
    """The text between backticks."""
    return re.findall(r"`([^`]+)`", cell)


# --- what is run ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has: the samples and the Makefile, nothing curated."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(SAMPLES, folder / "data" / "samples")
    shutil.copy(ROOT / "Makefile", folder)
    return folder


@pytest.fixture(scope="module")
def published(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the sample clauses are curated and published."""
    folder = tmp_path_factory.mktemp("published") / "clone"
    shutil.copytree(clone, folder)
    dataset = folder / "data" / "samples" / "clauses" / "dataset.yaml"
    context = Context.load(dataset, offline(folder / "data" / "store"))
    curate(context, Inline())
    release(context, Inline())
    return folder


@pytest.fixture
def folder(page: str, clone: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a page's reader is: the README's at the start, the guides' after a release."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    here = tmp_path / "clone"
    shutil.copytree(clone if page == README else published, here)
    with contextlib.chdir(here):
        yield here


def output_of(command: str) -> str:
    """Run a command of a console block, in the working directory; it must succeed."""
    # Bash splits the words, as the reader's shell does.
    split = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    program, *args = split.stdout.rstrip("\0").split("\0")
    if program == "goldleaf":
        servers = dict.fromkeys(("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "PREFECT_API_URL"), "")
        result = CliRunner().invoke(app, args, env={"GOLDLEAF_HOME": "data/store", "COLUMNS": "120", **servers})
        assert result.exit_code == 0, f"{command}\n{result.output}"
        return result.output
    assert program == "python" or (program == "make" and {"-n", "help"} & set(args)), f"{command}: only sh blocks may"
    real = [sys.executable if program == "python" else program, *args]
    # A `make test` around this test tells the makes below it to report their folders: a reader's make does not.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(real, capture_output=True, text=True, check=False, env=alone | {"MFLAGS": ""})
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def sessions(body: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each with the output that the page shows."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, *shown = part.rstrip("\n").split("\n")
        yield command, shown


def is_shown_truly(shown: list[str], output: str) -> bool:
    """Whether the shown lines are the output; ``…`` matches any text in a line, or for any lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n" for line in shown
    )
    real = "".join(f"{line.rstrip()}\n" for line in output.strip("\n").splitlines())
    return re.fullmatch(pattern, real if output.strip() else "") is not None


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("folder")
def test_sessions_are_real(page: str) -> None:
    for block in blocks(page, "console"):
        for command, shown in sessions(block.body):
            output = output_of(command)
            assert is_shown_truly(shown, output), f"$ {command}\nprints\n{output}\nbut {page} shows\n" + "\n".join(
                shown
            )


def test_a_session_that_has_rotted_is_noticed() -> None:
    """Otherwise the test above would say nothing."""
    assert all(blocks(page, "console") for page in (README, DATA_TEAMS, ML_ENGINEERS))
    output = "read 7 rows\n\n  accepted   6  ██\n"
    for true in (["read 7 rows", "", "  accepted   6  ██"], ["…", "  accepted   6  …"], ["read … rows", "…"]):
        assert is_shown_truly(true, output), true
    for false in (["read 8 rows", "…"], ["read 7 rows"], ["read 7 rows", "  accepted   6  ██"], ["… files", "…"]):
        assert not is_shown_truly(false, output), false


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("folder")
def test_python_in_the_docs_runs(page: str) -> None:
    names: dict[str, Any] = {"__name__": "docs"}
    for block in blocks(page, "python"):
        exec(compile(block.body, page, "exec"), names)


def test_python_that_needs_an_adapter_imports_what_is_there() -> None:
    for block in blocks(ML_ENGINEERS, "python adapter"):
        for node in ast.walk(ast.parse(block.body)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@pytest.mark.parametrize("page", PAGES)
def test_yaml_in_the_docs_is_a_dataset_yaml_or_a_part_of_one(page: str) -> None:
    least = {"name": "x", "task": "task.py:X", "sources": [{"name": "x", "path": "x.jsonl"}]}
    for block in blocks(page, "yaml"):
        _, given = read_yaml(block.body)
        Dataset.model_validate(least | given)


def lines_to_type(page: str) -> Iterator[list[str]]:
    """The words of every line of the page's sh blocks, comments left out."""
    for block in blocks(page, "sh"):
        for line in block.body.replace("\\\n", " ").splitlines():
            yield shlex.split(line, comments=True)


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_only_a_reader_runs_exist(page: str) -> None:
    inline = [code.split() for code in re.findall(r"`((?:goldleaf|make|ANNOTATE=me make) [^`]+)`", text(page))]
    for words in (*inline, *lines_to_type(page)):
        if words[:1] == ["goldleaf"]:
            assert words[1] in COMMANDS, words
        elif "make" in words:
            assert re.search(rf"^{words[-1]}:", text("Makefile"), re.MULTILINE), words
    for words in lines_to_type(page):
        if words[:1] == ["goldleaf"]:
            COMMANDS[words[1]].make_context(words[1], words[2:])


# --- what is compared -------------------------------------------------------------------------------
def modules_in_rooms() -> dict[str, str]:
    """The modules that the page of a room lists, with what is said about each; the room is the heading."""
    found: dict[str, str] = {}
    for room, body in re.findall(r"^### `([a-z_/]+)`$(.*?)(?=^##|\Z)", text("docs/architecture.md"), re.M | re.S):
        for line in re.findall(r"^[a-z0-9_]+\.py .*$", body, re.M):
            name, about = line.split(maxsplit=1)
            folder = "schemas/tasks" if (ROOT / "schemas" / "tasks" / name).exists() else room
            assert f"{folder}/{name}" not in found, f"{room} lists {name} twice"
            found[f"{folder}/{name}"] = about
    return found


def test_every_module_is_on_the_page_of_its_room_with_what_it_is_for() -> None:
    real = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py" and "starters" not in path.parts
    }
    assert modules_in_rooms().keys() == real


def test_the_readme_shows_every_room_with_what_it_is_for() -> None:
    [tree] = [block.body for block in blocks(README, "text") if block.body.startswith("schemas/ ")]
    shown, package = set(), ""
    for line in tree.splitlines():
        name, _, about = line.strip().partition(" ")
        package = package if line.startswith(" ") else name
        shown.add(name if name == package else package + name)
        assert about.strip() or name == "pipeline/", line
    rooms = {
        f"{folder.relative_to(ROOT).as_posix()}/"
        for package in ("pipeline", "flows")
        for folder in (ROOT / package).iterdir()
        if (folder / "__init__.py").exists()
    }
    assert shown == rooms | {f"{package}/" for package in PACKAGES}


def options_of(command: str) -> set[str]:
    parameters = COMMANDS[command].params
    return {name for p in parameters if p.param_type_name == "option" for name in (*p.opts, *p.secondary_opts)}


def test_every_command_and_option_is_in_the_table_of_commands() -> None:
    rows = {codes(row[0])[0].split()[1]: set(codes(row[1])) for row in table(DATA_TEAMS, "command")}
    assert rows == {command: options_of(command) for command in COMMANDS}


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of a dataset.yaml by its dotted name; ``sources`` and ``arms`` are lists of sections."""
    for name, info in model.model_fields.items():
        if name == "arms":
            yield name, info
            for kind in (LocalArm, EndpointArm, StatedArm):
                yield from ((f"arms[].{key}", of_arm) for key, of_arm in kind.model_fields.items())
            continue
        inner = get_args(info.annotation)[:1] if get_origin(info.annotation) is list else (info.annotation,)
        section = next((kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if section is None:
            yield prefix + name, info
        else:
            yield from keys_of(section, f"{prefix}{name}{'[]' * (section is not info.annotation)}.")


def default_of(info: FieldInfo) -> str:
    """A key's default as the table writes it."""
    if info.is_required():
        return "required"
    if info.default is None:
        return "none"
    value = info.default.value if isinstance(info.default, Enum) else info.default
    if value == DEFAULT_ARMS:
        value = [arm.name for arm in DEFAULT_ARMS]
    if isinstance(value, str):
        return f"`{value}`" if value else '`""`'
    written = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=200).removesuffix("\n")
    return f"`{written.removesuffix('...').strip()}`"


def test_every_key_of_dataset_yaml_is_in_the_table_with_its_default() -> None:
    rows = {codes(row[0])[0]: row[1] for row in table(DATA_TEAMS, "key") if row[0].startswith("`")}
    # Each kind of arm has a key of its own that is required, so that of all of them one is.
    either = dict.fromkeys((f"arms[].{key}" for key in ("arm", "endpoint", "stated")), "one of three")
    assert rows == {name: default_of(info) for name, info in keys_of(Dataset)} | either


def choices_of(annotation: Any) -> list[str]:
    """The values of an enum or Literal, even if None is another one."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [member.value for member in annotation]
    return [value for part in get_args(annotation) for value in choices_of(part)]


def test_every_value_that_a_key_can_have_is_named_beside_it() -> None:
    rows = {codes(row[0])[0]: codes(" ".join(row[1:]).replace(":`", "`")) for row in table(DATA_TEAMS, "key")}
    for name, info in keys_of(Dataset):
        assert set(choices_of(info.annotation)) <= set(rows[name]), name


def test_every_reason_is_in_the_table_in_the_words_that_annotators_see() -> None:
    rows = {codes(row[0])[0]: row[2] for row in table(DATA_TEAMS, "reason")}
    assert rows == {code.value: explanation for code, explanation in EXPLANATIONS.items()}


def test_every_method_of_a_task_that_can_be_overridden_is_named() -> None:
    named = [name for row in table(DATA_TEAMS, "method") for name in codes(row[0])]
    assert sorted(named) == sorted(name for name in vars(Task) if name.startswith("task_"))


def test_every_setting_from_the_environment_is_named() -> None:
    named = [codes(row[0])[0] for row in table(DATA_TEAMS, "variable")]
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_the_hotkeys_that_annotators_read_about_are_those_of_the_form() -> None:
    keys = {key.lower() for row in table(ANNOTATORS, "key") for key in codes(row[0])}
    form = re.findall(r'hotkey="([^"]+)"', labeling_config(ContractClause))
    assert {key for key in form if not key.removeprefix("shift+").isdigit()} - {NO_KEY} <= keys, "no keyboard has it"
    assert set(KEYS) <= keys
    assert {"1", "shift+4"} <= set(form) & keys


def test_the_yellow_box_is_quoted_in_its_own_words() -> None:
    audited = Decision(
        run="",
        record_id="",
        revision="",
        task_digest="",
        fate=Fate.ACCEPTED,
        reasons=[],
        routed=Routed.AUDIT,
        inputs={"clause": "This Agreement ends."},
    )
    broken = audited.model_copy(
        update={"fate": Fate.REJECTED, "routed": Routed.REPAIR, "reasons": [Reason(code=ReasonCode.INVALID)]}
    )
    asked = [question(decision, ContractClause).why for decision in (audited, broken)]
    asked.append(question(audited, PlainSentence).why)
    texts = (*asked, BLIND_WHY, JUDGED_WHY, PARTLY_WHY, DIFFERENT, OTHER_ROWS, UNSURE, *EXPLANATIONS.values())
    said = [text[0].upper() + text[1:] for text in texts]
    for row in table(ANNOTATORS, "it says"):
        for quoted in re.findall(r"\*([^*]+)\*", row[0]):
            assert any(text.startswith(quoted) for text in said), quoted


# --- where links lead -------------------------------------------------------------------------------
def anchors(page: Path) -> set[str]:
    """The page's headings as link anchors."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_somewhere(page: str) -> None:
    prose = re.sub(r"^```.*?^```$|`[^`\n]+`", "", text(page), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), f"{page} links to {target}"
        assert not anchor or anchor in anchors(path), f"{page} links to {target}"
