"""A version is verified wherever it was copied to, against the line that pins it, with nothing else around."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from support import row, write_dataset
from terminal import Terminal

from pipeline.releases.versions import read_manifest, verify
from schemas.manifest import Manifest

ROWS = [row(1, "Where is my parcel?", "delivery"), row(2, "Why was I charged twice?", "billing")]
OTHER = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a version."""
    folder = tmp_path_factory.mktemp("published")
    write_dataset(folder, ROWS)
    terminal = Terminal(folder)
    terminal.goldleaf("curate")
    return Path(terminal.json("release")["path"])


@pytest.fixture
def elsewhere(published: Path, tmp_path: Path) -> Terminal:
    """Another repository: a copy of the version, and nothing else."""
    shutil.copytree(published, tmp_path / "data" / "1.0.0")
    return Terminal(tmp_path)


def line_of(version: Path) -> str:
    return read_manifest(version).reference


def lock(terminal: Terminal, *lines: str) -> None:
    (terminal.folder / "goldleaf.lock").write_text("".join(f"{line}\n" for line in lines))


def test_the_card_s_own_command_works_in_an_empty_folder(published: Path, tmp_path: Path) -> None:
    card = (published / "README.md").read_text()
    found = re.search(r"to its `goldleaf\.lock`:\n\n```\n(.+)\n```\n(?s:.*?)```sh\ngoldleaf (.+)\n```", card)
    assert found is not None
    line, command = found.groups()
    shutil.copytree(published, tmp_path / "path" / "to" / "1.0.0")
    terminal = Terminal(tmp_path)
    lock(terminal, line)
    shown = terminal.goldleaf(*shlex.split(command)).stdout
    assert shown == f"{line}\nevery byte matches what was published\n"


@pytest.mark.parametrize("folder", ["data/1.0.0", "data/1.0.0/", "data/../data/1.0.0"])
def test_a_folder_needs_no_dataset(elsewhere: Terminal, folder: str) -> None:
    assert elsewhere.json("verify", folder)["rows"] == 2


def test_a_line_among_several_or_the_line_itself_pins_a_version(elsewhere: Terminal) -> None:
    line = line_of(elsewhere.folder / "data" / "1.0.0")
    lock(
        elsewhere, "# what we train on", f"others@2.0.0 {OTHER}", "", f"{line}  # since May", f"questions@1.1.0 {OTHER}"
    )
    assert elsewhere.json("verify", "data/1.0.0", "--lock", "goldleaf.lock")["problems"] == []
    assert elsewhere.json("verify", "data/1.0.0", "--lock", f" {line}\n")["problems"] == []


def test_another_digest_than_the_pinned_one_fails(elsewhere: Terminal) -> None:
    line = line_of(elsewhere.folder / "data" / "1.0.0")
    lock(elsewhere, f"questions@1.0.0 {OTHER}")
    [problem] = elsewhere.json("verify", "data/1.0.0", "--lock", "goldleaf.lock", exit_code=1)["problems"]
    assert problem == {"file": "goldleaf.lock", "detail": f"pins questions@1.0.0 as {OTHER}, not {line.split()[1]}"}
    shown = elsewhere.goldleaf("verify", "data/1.0.0", "--lock", f"questions@1.0.0 {OTHER}", exit_code=1).stdout
    assert shown.startswith("lock pins questions@1.0.0 as ") and shown.endswith(
        "\nevery byte matches what was published\n"
    )


def test_a_damaged_version_fails_whatever_its_lock_says(elsewhere: Terminal) -> None:
    version = elsewhere.folder / "data" / "1.0.0"
    lock(elsewhere, line_of(version))
    (version / "manifest.json").write_text((version / "manifest.json").read_text().replace("questions", "answers"))
    result = elsewhere.json("verify", "data/1.0.0", "--lock", "goldleaf.lock", exit_code=1)
    assert [problem["file"] for problem in result["problems"]] == ["manifest.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "goldleaf.lock cannot be read (No such file or directory); name a file such as goldleaf.lock, or pass"),
        (b"\xff\xfe", "goldleaf.lock cannot be read (it is not UTF-8 text); name a file"),
        (
            b"# ours\nquestions 1.0.0\n",
            "goldleaf.lock:2 is not a lock line; write name@1.0.0 sha256: and 64 hex digits",
        ),
    ],
)
def test_a_lock_that_cannot_be_read_is_a_line_of_error(elsewhere: Terminal, content: bytes | None, said: str) -> None:
    if content is not None:
        (elsewhere.folder / "goldleaf.lock").write_bytes(content)
    assert elsewhere.error("verify", "data/1.0.0", "--lock", "goldleaf.lock").startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has no line for questions@1.0.0; it pins nothing: add the line questions@1.0.0 sha256:"),
        (f"questions@1.1.0 {OTHER}", "has no line for questions@1.0.0; it pins questions@1.1.0: add the line "),
    ],
)
def test_a_lock_of_another_version_is_a_problem_in_json_too(elsewhere: Terminal, content: str, said: str) -> None:
    lock(elsewhere, content)
    command = ("verify", "data/1.0.0", "--lock", "goldleaf.lock")
    [problem] = elsewhere.json(*command, exit_code=1)["problems"]
    assert problem["file"] == "goldleaf.lock" and problem["detail"].startswith(said)
    shown = elsewhere.goldleaf(*command, exit_code=1).stdout
    assert shown.startswith(f"goldleaf.lock {said}") and "every byte matches what was published" in shown


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("data/2.0.0", "there is no folder data/2.0.0; name a version's folder, or name@version"),
        ("data", "data is not a published version: it has no manifest.json"),
        (
            "questions@1.0.0",
            "there is no dataset.yaml to look up 'questions@1.0.0' in; pass the path of a dataset.yaml, or a version's "
            "folder, as in `goldleaf verify path/to/1.0.0`",
        ),
    ],
)
def test_what_is_not_a_version_s_folder_is_a_line_of_error(elsewhere: Terminal, reference: str, said: str) -> None:
    assert said in elsewhere.error("verify", reference)


@pytest.mark.parametrize("end", ["…", "...", ""])
def test_a_line_as_release_shows_it_is_told_to_be_shortened(elsewhere: Terminal, published: Path, end: str) -> None:
    short = f"{line_of(published)[:35]}{end}"
    said = (
        " has a shortened digest; the full line is in the version's README.md, and "
        "`goldleaf verify questions@1.0.0` prints it"
    )
    assert elsewhere.error("verify", "data/1.0.0", "--lock", short) == f"'{short}'{said}"
    lock(elsewhere, "# pinned", short)
    assert elsewhere.error("verify", "data/1.0.0", "--lock", "goldleaf.lock") == f"goldleaf.lock:2{said}"


def test_a_reference_to_a_dataset_s_version_may_be_locked_too(published: Path) -> None:
    terminal = Terminal(published.parents[3])
    assert terminal.json("verify", "questions@latest", "--lock", line_of(published))["problems"] == []


# --- the manifest ---------------------------------------------------------------------------------
def test_the_manifest_says_which_fields_are_inputs_and_which_are_targets(published: Path) -> None:
    manifest = json.loads((published / "manifest.json").read_text())
    assert (manifest["input_fields"], manifest["target_fields"]) == (["question"], ["topic"])


def test_a_manifest_from_before_it_said_so_can_still_be_read(published: Path) -> None:
    old = json.loads((published / "manifest.json").read_text())
    del old["input_fields"], old["target_fields"]
    assert Manifest.model_validate(old).target_fields == []
    assert verify(published).problems == ()
