"""Changes texts in all files of a table, also in those that only its earlier versions name.

Tables are append-only, and so secrets that once were written would stay. The log is made to name the changed files in
place of the others, entry by entry and the newest first: killed in between, every version still names whole files.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from pipeline.state.atomic import replacing
from pipeline.state.table_files import Log, read_log, read_pieces, write_file

Change = Callable[[pl.DataFrame], pl.DataFrame]


def rewrite_table(folder: Path, schema: pl.Schema, column: str, change: Change, *, compressed: bool) -> bool:
    """Change the texts of a column.

    Args:
        folder: of the table; nobody else may write to it.
        schema: its columns.
        column: in which texts may have to change.
        change: a piece of the table, with the texts as they are to be.
        compressed: whether compression makes its files smaller.

    Returns:
        Whether any had to.

    Raises:
        ValueError: a file is damaged.
    """
    log, changed = read_log(folder), dict[str, tuple[str, int]]()
    for path in sorted(folder.glob("*.parquet")):
        one = Log(0, log.columns, ((path.name, path.stat().st_size),))
        narrow = read_pieces(one, folder, {column: schema[column]})
        if all(piece.equals(change(piece)) for piece in narrow):
            continue
        pieces = map(change, read_pieces(one, folder, schema))
        new, size, _ = write_file(folder, pieces, schema, compressed=compressed, name=_unchecked(path))
        changed[path.name] = new.name, size
    if not changed:
        return False
    entries = sorted((folder / "_delta_log").glob("*.json"), reverse=True)
    # They name files, too, and only save reading the entries.
    for path in (folder / "_delta_log" / "_last_checkpoint", *(folder / "_delta_log").glob("*.checkpoint*.parquet")):
        path.unlink(missing_ok=True)
    for entry in entries:
        before = [json.loads(line) for line in entry.read_text(encoding="utf-8").splitlines()]
        after = [action for one in before for action in _renamed(one, changed)]
        if after != before:
            with replacing(entry, lasting=True) as sink:
                sink.write("\n".join(map(json.dumps, after)).encode())
    for name in changed:
        (folder / name).unlink()
    return True


def _unchecked(path: Path) -> str:
    """The beginning of a file's name, to which its checksum is added."""
    name, _, _ = path.stem.rpartition("-")
    return f"{name.rpartition('-')[0]}-{uuid.uuid4().hex}" if name.startswith("part-") else f"part-{uuid.uuid4().hex}"


def _renamed(action: dict[str, Any], changed: Mapping[str, tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """What takes the place of an action of the log."""
    for kind in ("add", "remove"):
        file = action.get(kind)
        if file and (new := changed.get(unquote(file["path"]))):
            if kind == "remove":
                # As long as an entry before it may name either of them.
                yield action
            yield {kind: file | {"path": new[0], "size": new[1]}}
            return
    yield action
