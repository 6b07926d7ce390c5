"""Writes the starter files of a new dataset; they run as they are."""

import re
import unicodedata
from importlib.resources import files
from pathlib import Path
from string import Template

from pipeline.errors import ConfigError
from pipeline.kinds.interface import Kind
from pipeline.state.atomic import writing
from schemas.dataset import NAME, OnConflict

_ON_CONFLICT = {
    OnConflict.REVIEW: "review           # the same input with different answers: ask an annotator",
    OnConflict.ANY_OF: "any_of           # the same input with different answers: all of them are right",
}
_TASK_CLASS = re.compile(r"^class (\w+)\(Task\)", re.MULTILINE)


def name_for(folder: Path) -> str:
    """A dataset name derived from a folder's, without accents and other characters: ``Ünïcode`` becomes ``unicode``."""
    letters = unicodedata.normalize("NFKD", folder.resolve().name.casefold())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9_-]+", "-", plain).strip("-_") or "dataset"


def scaffold(folder: Path, name: str, kind: Kind) -> list[Path]:
    """Write dataset.yaml, task.py and a few example rows into a folder.

    Raises:
        ConfigError: the name is not a valid dataset name, the folder is a file, or one of the files
            already exists; nothing is written then.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"'{name}' is not a valid dataset name; use a-z, 0-9, - and _")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a folder")
    texts = _texts(name, kind)
    folder.mkdir(parents=True, exist_ok=True)
    for file in texts:
        if (folder / file).exists():
            raise ConfigError(f"{folder / file} already exists; choose another folder, or move it away")
    for file, text in texts.items():
        with writing(folder / file) as sink:
            sink.write(text.encode())
    return [folder / file for file in texts]


def _texts(name: str, kind: Kind) -> dict[str, str]:
    """The files by name: those that all kinds share, and the kind's own."""
    own = kind.starter()
    [task] = _TASK_CLASS.findall(own["task.py"])
    common = files("pipeline.config").joinpath("starter.yaml").read_text(encoding="utf-8")
    return {
        "dataset.yaml": Template(common).substitute(name=name, task=task, on_conflict=_ON_CONFLICT[kind.on_conflict]),
        **own,
    }
