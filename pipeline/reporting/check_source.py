"""The first rows of a source, parsed with the task: what `goldleaf check` says about them."""

import functools
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from pipeline.config.workspace import Workspace
from pipeline.curation.prepare import task_fields
from pipeline.errors import GoldleafError
from pipeline.ingest.field_checks import Seen, expected, misspelled, names_of, see, unmapped
from pipeline.ingest.formats import read_rows
from pipeline.ingest.raw_rows import RawRow
from pipeline.ingest.row_keys import typed_key
from pipeline.ingest.source_files import source_files
from pipeline.reporting.overview import Rejection, by_reason, is_optional, rejection_lines
from pipeline.text.field_paths import field_value, has_field
from pipeline.text.normalize import inputs_key
from pipeline.text.wording import counted
from schemas.dataset import Source
from schemas.fate import Reason, ReasonCode
from schemas.field import shown
from schemas.identity import stable_hash
from schemas.parsed import Parsed
from schemas.row_problems import respelt_choice

_TRIED_ROWS = 200
TRIED = "row that was tried"
"""What was tried, in the singular."""


class CheckResult(BaseModel):
    """One check."""

    model_config = ConfigDict(frozen=True)

    what: str
    ok: bool
    warning: bool = False
    """Nothing stops a curate, but it would lose something, such as rows or answers."""
    detail: str


@dataclass
class TriedSource:
    """The first rows of a source, parsed with the task."""

    workspace: Workspace
    source: Source
    raw: list[dict[str, Any]] = field(default_factory=list)
    """The rows that are objects with fields."""
    example: tuple[str, Parsed] | None = None
    """A valid row with its place, a labeled one if there is any."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """For each valid row: its record id, if it has a key, and what it asks."""
    faults: list[str] = field(default_factory=list)
    """For each row on which the task's own code failed: where, and how."""
    is_whole: bool = False
    """There are no more rows than were tried."""
    _files: int = 0
    _rows: int = 0
    _valid: int = 0
    _unlabeled: int = 0
    _refused: list[tuple[str, int, str, str, str]] = field(default_factory=list)
    """For each invalid row: file, line, and code, field and detail of the first reason."""
    _lacking: Counter[str] = field(default_factory=Counter)
    """How many rows lack which required field."""
    _respelt: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """By field: values that equal a choice except for case or white space, and the choice."""
    _lacks_field: bool = False
    """Some row is invalid because of a field that it does not have."""
    _later: set[str] = field(default_factory=set)
    """The task's fields that only occur after the rows that were tried."""
    _keys: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    """Where a key was seen, and with what content."""

    def findings(self) -> Iterator[CheckResult]:
        """Try the rows, and report on them; the attributes are filled afterwards."""
        what = f"source {self.source.name}"
        try:
            with tempfile.TemporaryDirectory() as work:
                rows = self._read(Path(work))
                for file, row in itertools.islice(rows, _TRIED_ROWS):
                    self._try(file, row)
                self.is_whole = self._rows < _TRIED_ROWS
                self._look_further(rows)
        except GoldleafError as error:
            yield CheckResult(what=what, ok=False, detail=str(error))
            return
        reasons = rejection_lines(list(self._rejections()))
        detail = "\n  ".join(["; ".join(filter(None, self._details())), *reasons])
        # Labels that are right except for their case are wanted; if most rows are invalid, the file may be another.
        loses = bool(self._respelt) or 2 * self._valid < self._rows
        yield CheckResult(what=what, ok=self._valid > 0, warning=self._valid > 0 and loses, detail=detail)
        if self.source.key and self.raw and not self._keys:
            detail = f"no row has a value in '{self.source.key}'; fix `key:`, use dots for nested fields; "
            yield CheckResult(what=f"key of {what}", ok=False, detail=detail + self._columns())
        if self.raw and (problem := misspelled(self.source, self._seen)):
            yield CheckResult(what=f"fields of {what}", ok=False, detail=problem)

    def _read(self, work: Path) -> Iterator[tuple[str, RawRow]]:
        folder = self.workspace.dataset.folder
        files = source_files(self.source, folder, work, self.workspace.store)
        self._files = len(files)
        for file in files:
            name = file.relative_to(folder) if file.is_relative_to(folder) else file
            told = self.source.path if file.is_relative_to(work) else str(name)
            for row in read_rows(file, self.source.format):
                yield told, row

    def _try(self, file: str, row: RawRow) -> None:
        self._rows += 1
        if row.row is None:
            self._refuse(file, row, row.error)
            return
        place = f"{file}:{row.line}"
        self.raw.append(row.row)
        self._note_key(place, row)
        fields = task_fields(row.row, self.source, self.workspace.dataset)
        parsed = self.workspace.dataset.task.task_parse(fields)
        self._valid += not parsed.problems
        self._unlabeled += not parsed.problems and parsed.targets is None
        if not parsed.problems:
            self.asked.append((self._record_id(row.row), inputs_key(self.workspace.dataset.task, parsed.inputs)))
        if not parsed.problems and (self.example is None or (self.example[1].targets is None and parsed.targets)):
            self.example = (place, parsed)
        self.faults += [f"{place}: {reason}" for reason in parsed.faults[:1]]
        self._refuse(file, row, parsed.problems[0] if parsed.problems else None)
        for reason in parsed.problems:
            name = reason.field.split(".")[0]
            self._lacks_field |= bool(name) and field_value(row.row, self.source.fields.get(name, name)) is None
            self._lacking[name] += reason.code is ReasonCode.MISSING
            if choice := respelt_choice(self.workspace.dataset.task, name, fields.get(name)):
                self._respelt.setdefault(name, []).append((fields[name], choice))

    def _record_id(self, row: dict[str, Any]) -> str:
        value = field_value(row, self.source.key) if self.source.key else None
        return "" if value in (None, "") else stable_hash(self.source.name, typed_key(value))

    def _look_further(self, rows: Iterator[tuple[str, RawRow]]) -> None:
        """Look for the key and the fields that none of the first rows has: a later one may have them.

        A sorted source may begin with rows that all lack a label.
        """
        task = self.workspace.dataset.task
        lacking = expected(self.source, task) - see(self.raw, self.source, task).fields
        for file, row in rows:
            if not lacking and (self._keys or not self.source.key):
                return
            if row.row is not None:
                found = {name for name in lacking if has_field(row.row, self.source.fields.get(name, name))}
                lacking -= found
                self._later |= found
                if not self._keys:
                    self._note_key(f"{file}:{row.line}", row)

    def _refuse(self, file: str, row: RawRow, reason: Reason | None) -> None:
        if reason is not None:
            self._refused.append((file, row.line, reason.code, reason.field, reason.detail))

    def _note_key(self, place: str, row: RawRow) -> None:
        value = field_value(row.row or {}, self.source.key) if self.source.key else None
        if value in (None, ""):
            return
        # As keys, 1 and 1.0 are one number.
        name = repr(int(value) if isinstance(value, float) and value.is_integer() else value)
        self._keys.setdefault(name, []).append((place, row.raw))

    def _doubled(self) -> str:
        """How many rows share their key: perhaps the field is not a key."""
        others = {
            name: [place for place, raw in rows if raw != rows[-1][1]]
            for name, rows in self._keys.items()
            if any(raw != rows[-1][1] for _, raw in rows)
        }
        if not others:
            return ""
        key, places = next(iter(others.items()))
        return (
            f"{sum(map(len, others.values()))} of {counted(self._rows, 'row')} tried share their key with a later "
            f"row that has different content, such as {places[0]} and {self._keys[key][-1][0]} with the key {key}: the "
            f"last one counts; is `{self.source.key}` a key?"
        )

    def _details(self) -> Iterator[str]:
        yield counted(self._files, "file")
        if not self._rows:
            yield "there are no rows; add some, or fix `path:`"
            return
        first = "the first " if self._rows == _TRIED_ROWS else ""
        yield f"{first}{counted(self._rows, 'row')} tried: {self._valid} valid, {self._unlabeled} of them unlabeled"
        if note := unmapped(self.source, self._seen, self.workspace.dataset.task) if self.raw else "":
            yield note
        elif self._lacks_field:
            yield self._columns()
        yield self._doubled()
        yield from self._respellings()

    def _respellings(self) -> Iterator[str]:
        for name, pairs in self._respelt.items():
            value, choice = pairs[0]
            differ = "1 row differs" if len(pairs) == 1 else f"{len(pairs)} rows differ"
            yield (
                f"{differ} from a choice of '{name}' only in case or white space, such as {shown(value)} from "
                f"{shown(choice)}: fix them, or let a validator of the task do so"
            )

    def _rejections(self) -> Iterator[Rejection]:
        """Why rows are invalid, worded as by ``curate``."""
        columns = {"file": pl.String, "line": pl.Int64, "code": pl.String, "field": pl.String, "detail": pl.String}
        task, rows = self.workspace.dataset.task, len(self.raw)
        for group in by_reason(pl.DataFrame(self._refused, schema=columns, orient="row")):
            share = self._lacking[group.field] / rows if rows else 0
            # A field that no row has is reported with the rows' field names.
            could = share < 1 and is_optional(task, group.field, share)
            yield group.model_copy(update={"optional": could})

    @functools.cached_property
    def _seen(self) -> Seen:
        """Once all rows were tried."""
        return see(self.raw, self.source, self.workspace.dataset.task) | Seen(frozenset(self._later))

    def _columns(self) -> str:
        return Seen(names=names_of(self.raw)).shown_names
