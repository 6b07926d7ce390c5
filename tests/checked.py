"""What `goldleaf check` finds in a folder with a dataset, by what was tried."""

from pathlib import Path
from typing import Any

from terminal import Terminal


def findings(folder: Path, exit_code: int = 0) -> dict[str, Any]:
    """Every finding by what was tried."""
    return {finding["what"]: finding for finding in Terminal(folder).json("check", exit_code=exit_code)}


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "dataset.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
