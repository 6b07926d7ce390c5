"""What differs between kinds of task has one home, and every task is of one kind."""

import ast
from pathlib import Path
from typing import Any, Literal

import kinds_named
import pytest
from support import write_rows
from terminal import Terminal

from pipeline.kinds.interface import LabeledText
from pipeline.kinds.registry import KIND_NAMES, KINDS, kind_of
from pipeline.kinds.starter_files import starter_names
from schemas.task import Input, Target, Task


def task_with(**targets: Any) -> type[Task]:
    """A task with these targets and one text."""
    annotations = {"text": Input[str], **{name: Target[annotation] for name, annotation in targets.items()}}  # type: ignore[valid-type]
    return type("Odd", (Task,), {"__doc__": "Say it.", "__annotations__": annotations, "__module__": __name__})


# --- one home -------------------------------------------------------------------------------------
def test_no_place_outside_of_the_room_names_a_kind() -> None:
    assert list(kinds_named.named()) == []


@pytest.mark.parametrize(
    "line",
    ["if kind.name == 'classification': pass", "from pipeline.kinds.extraction import Extraction", "x = Rewriting()"],
)
def test_a_place_that_names_a_kind_is_found(tmp_path: Path, line: str) -> None:
    """Otherwise the test above would say nothing."""
    file = tmp_path / "planted.py"
    file.write_text(f'"""A classification."""\n{line}\n', encoding="utf-8")
    ast.parse(file.read_text(encoding="utf-8"))
    assert {number for number, _ in kinds_named.in_code(file)} == {2}


def test_every_kind_has_its_own_name_and_a_folder_of_starter_files() -> None:
    assert len(set(KIND_NAMES)) == len(KINDS)
    assert starter_names() == sorted(KIND_NAMES)


# --- which kind -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        ({"label": Literal["a", "b"]}, "classification"),
        ({"label": Literal["a", "b"] | None}, "classification"),
        ({"wording": str}, "rewriting"),
        ({"wording": str | None}, "rewriting"),
        ({"person": str, "place": str}, "extraction"),
        ({"label": Literal["a", "b"], "place": str}, "extraction"),
        ({"amount": float}, "extraction"),
        ({"is_spam": bool}, "extraction"),
        ({"names": list[str]}, "extraction"),
    ],
)
def test_the_kind_follows_from_the_targets(targets: dict[str, Any], kind: str) -> None:
    assert kind_of(task_with(**targets)).name == kind


def test_a_task_may_name_its_kind_itself(tmp_path: Path) -> None:
    """A company's name that is read out of a text is one free text, and yet no rewriting."""

    class Company(Task):
        """Name the company."""

        text: Input[str]
        company: Target[str]

        @classmethod
        def task_kind(cls) -> str:
            return "extraction"

    kind = kind_of(Company)
    row = LabeledText("Founded as Acme Ltd.", {"company": "Bolt Inc."}, "")
    assert kind.name == "extraction"
    assert [reason.field for reason in kind.score_labels(Company, [row], 0).rows[0].reasons] == ["company"]


# --- free texts -----------------------------------------------------------------------------------
def test_a_free_text_is_not_flagged_for_words_of_its_own(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.goldleaf("init", "plain", "--kind", "rewriting")
    file = tmp_path / "plain" / "dataset.yaml"
    rows = [{"sentence": f"Kindly effect payment number {n} forthwith.", "plain": f"Pay bill {n} now."} for n in (7, 8)]
    write_rows(tmp_path / "plain", rows)
    terminal.goldleaf("curate", str(file))
    status = terminal.json("status", str(file))
    assert (status["accepted"], status["review"], status["duplicate"]) == (2, 0, 0)


def test_check_says_how_a_task_is_scored_and_what_is_not_done_for_its_kind(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    for kind in KINDS:
        terminal.goldleaf("init", kind.name, "--kind", kind.name)
        found = {one["what"]: one for one in terminal.json("check", str(tmp_path / kind.name / "dataset.yaml"))}
        [task] = [one["detail"] for what, one in found.items() if what.startswith("task ")]
        assert task.startswith(f"{kind.name}, scored by {kind.metric_title}; targets: ")
        assert (f"kind {kind.name}" in found) == bool(kind.limits)
    assert "character by character" in kind_of(task_with(wording=str)).limits
