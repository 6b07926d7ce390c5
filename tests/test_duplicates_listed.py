"""``duplicates --json`` prints all groups as they are read: a third of a million rows may be copies."""

import json
from pathlib import Path

import pytest
from support import row, write_dataset
from terminal import Terminal

from flows.context import Context
from pipeline.reporting import duplicates
from pipeline.reporting.duplicates import read_duplicates


def listed(folder: Path, copies: int) -> tuple[str, str]:
    """What is printed, and what it would be if all groups were one result."""
    rows = [
        row(10 * n + copy, f"Where is parcel {n} of {n * 7}?", "delivery") for n in range(5) for copy in range(copies)
    ]
    rows += [row(90, "Which of the boxes came first, the red one or the blue one?", "returns")]
    write_dataset(folder, rows, "duplicates: {threshold: 0.5}\nreview: {budget: 0, audit: 0}\n")
    terminal = Terminal(folder)
    terminal.goldleaf("curate")
    context = Context.load(folder / "dataset.yaml")
    settings = context.settings.model_copy(update={"goldleaf_home": str(terminal.home)})
    context = Context.load(folder / "dataset.yaml", settings)
    whole = read_duplicates(context.store.snapshot().at_last_commit(), context.dataset.task)
    return terminal.goldleaf("duplicates", "--json").stdout, whole.model_dump_json(indent=2) + "\n"


@pytest.mark.parametrize("at_once", [1, 2, 1_000])
@pytest.mark.parametrize("copies", [1, 2, 3])
def test_groups_are_printed_as_they_come_and_as_if_they_were_one_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, copies: int
) -> None:
    monkeypatch.setattr(duplicates, "_GROUPS_AT_ONCE", at_once)
    printed, whole = listed(tmp_path, copies)
    assert printed == whole
    assert bool(json.loads(printed)["groups"]) == (copies > 1)
