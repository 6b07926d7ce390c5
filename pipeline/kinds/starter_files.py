"""The starter files of each kind, one folder per kind; cheap to import, for the command line."""

from importlib.resources import files

_FOLDER = files("pipeline.kinds").joinpath("starters")
DEFAULT_STARTER = "classification"
"""The kind that a new dataset is started from if none is named."""
_NAMES = ("task.py", "data.jsonl")


def starter_names() -> list[str]:
    """The kinds that a dataset can start from, without importing what the kinds need."""
    return sorted(folder.name for folder in _FOLDER.iterdir() if folder.joinpath(_NAMES[0]).is_file())


def starter_files(kind: str) -> dict[str, str]:
    """The task file and the first rows of a kind, by name."""
    return {name: _FOLDER.joinpath(kind, name).read_text(encoding="utf-8") for name in _NAMES}
