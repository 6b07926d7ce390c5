"""Some rows of a source, parsed with the task: what `goldleaf check` says about them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from pipeline.config.workspace import Workspace
from pipeline.curation.prepare import parse_row
from pipeline.errors import GoldleafError
from pipeline.ingest.chat_layouts import Layouts, layouts_found
from pipeline.ingest.field_checks import Seen, names_of
from pipeline.ingest.raw_rows import RawRow
from pipeline.ingest.row_keys import Integers, integers_of, is_no_key, typed_key
from pipeline.reporting.overview import Rejection, by_reason, is_optional, rejection_lines
from pipeline.state.tables import Table
from pipeline.text.field_paths import field_value
from pipeline.text.normalize import inputs_key
from pipeline.text.wording import counted
from schemas.dataset import Csv, Layout, Mode, Source
from schemas.fate import Reason, ReasonCode
from schemas.identity import stable_hash
from schemas.parsed import Parsed

MOST_TRIED = 200
_SOME, _FEW = 10, 0.05
"""So many invalid rows, if they are that share of all, are worth a look before they are rejected."""


@dataclass
class TriedRows:
    """Rows of a source, parsed with the task."""

    workspace: Workspace
    source: Source
    raw: list[dict[str, Any]] = field(default_factory=list)
    """The rows that are objects with fields."""
    example: tuple[str, Parsed] | None = None
    """A valid row with its place, a labeled one if there is any."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """For each valid row: its record id, if it has a key, and what it asks."""
    inputs: list[Mapping[str, Any]] = field(default_factory=list)
    """Of the valid rows."""
    faults: list[str] = field(default_factory=list)
    """For each row on which the task's own code failed: where, and how."""
    rows: int = 0
    valid: int = 0
    valid_in: Counter[str] = field(default_factory=Counter)
    """How many rows of each file are valid."""
    layouts: Layouts = field(default_factory=Layouts)
    """How the conversations are laid out."""
    lacks_field: bool = False
    """Some row is invalid because of a field that it does not have."""
    keys: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    """Where a key was seen, and with what content."""
    _unlabeled: int = 0
    _refused: list[tuple[str, int, str, str, str]] = field(default_factory=list)
    """For each invalid row: file, line, and code, field and detail of the first reason."""
    _lacking: Counter[str] = field(default_factory=Counter)
    """How many rows lack which required field."""

    def try_all(self, rows: Iterable[tuple[str, RawRow]]) -> None:
        """Parse rows, each with the name of its file."""
        for file, row in rows:
            self._try(file, row)

    def _try(self, file: str, row: RawRow) -> None:
        self.rows += 1
        self.valid_in[file] += 0
        if row.row is None:
            self._refuse(file, row, row.error)
            return
        place = f"{file}:{row.line}"
        self.raw.append(row.row)
        self.note_key(place, row)
        parsed, chat = parse_row(row.row, self.source, self.workspace.dataset)
        self.layouts |= layouts_found([chat] if chat else [])
        self.valid += not parsed.problems
        self.valid_in[file] += not parsed.problems
        self._unlabeled += not parsed.problems and parsed.targets is None
        if not parsed.problems:
            self.inputs.append(parsed.inputs)
            self.asked.append((self._record_id(row.row), inputs_key(self.workspace.dataset.task, parsed.inputs)))
        if not parsed.problems and (self.example is None or (self.example[1].targets is None and parsed.targets)):
            self.example = (place, parsed)
        self.faults += [f"{place}: {reason}" for reason in parsed.faults[:1]]
        self._refuse(file, row, parsed.problems[0] if parsed.problems else None)
        for reason in parsed.problems:
            name = reason.field.split(".")[0]
            self.lacks_field |= bool(name) and field_value(row.row, self.source.fields.get(name, name)) is None
            self._lacking[name] += reason.code is ReasonCode.MISSING

    def _record_id(self, row: dict[str, Any]) -> str:
        value = field_value(row, self.source.key) if self.source.key else None
        return "" if value in (None, "") else stable_hash(self.source.name, typed_key(value, self._integers))

    @cached_property
    def _integers(self) -> Integers:
        # That a table is damaged is a finding of its own.
        with suppress(GoldleafError):
            records = self.workspace.store.snapshot().at_last_commit().scan(Table.RECORDS)
            return integers_of(records).get(self.source.name, Integers.NUMBERS)
        return Integers.NUMBERS

    def _refuse(self, file: str, row: RawRow, reason: Reason | None) -> None:
        if reason is not None:
            self._refused.append((file, row.line, reason.code, reason.field, reason.detail))

    def note_key(self, place: str, row: RawRow) -> None:
        """Remember a row's key, if it has one."""
        value = field_value(row.row or {}, self.source.key) if self.source.key else None
        if value in (None, ""):
            return
        # As keys, 1, 1.0 and "1" are one number.
        number = typed_key(value).removeprefix("int:")
        name = number if number.removeprefix("-").isdecimal() else repr(value)
        self.keys.setdefault(name, []).append((place, row.raw))

    # --- what is said about them --------------------------------------------------------------
    @property
    def loses(self) -> bool:
        """Whether curate would lose rows that are wanted."""
        # Labels that are right except for their case are wanted; if many rows are invalid, some are likely to be.
        invalid = self.rows - self.valid
        are_many = 2 * invalid > self.rows or (invalid >= _SOME and invalid >= self.rows * _FEW)
        return are_many or any(code == ReasonCode.RESPELLED for _, _, code, *_ in self._refused)

    @property
    def columns(self) -> str:
        """The names of the rows' fields, as text for the user."""
        return Seen(names=names_of(self.raw)).shown_names

    def described(self, *before: str, note: str = "") -> str:
        """How many rows are valid, and why others are not.

        Args:
            before: goes first.
            note: about fields that no row has.
        """
        first = "the first " if self.rows == MOST_TRIED else ""
        tried = f"{first}{counted(self.rows, 'row')} tried: {self.valid} valid, {self._unlabeled} of them unlabeled"
        note = note or (self.columns if self.lacks_field or self.source.csv != Csv() else "")
        chats = f"conversations: {self.layouts}" if self.layouts.rows else ""
        advice = self.layouts.advice if self.source.layout is Layout.AUTO else ""
        said = [*before, tried, chats, advice, note, self._hint(), self._doubled()]
        return "\n  ".join(["; ".join(filter(None, said)), *rejection_lines(list(self._rejections()))])

    def _hint(self) -> str:
        """What to do if the rows are those of a table that is separated otherwise, unless a row's reason says it."""
        hint = Seen(names=names_of(self.raw)).separator_hint
        return "" if any(hint in detail for *_, detail in self._refused) else hint

    @property
    def no_key(self) -> str:
        """Why the key identifies no row, as ``curate`` finds; empty if it may."""
        files: dict[str, dict[str, bytes]] = defaultdict(dict)
        replaced = 0
        for name, place, raw in reversed([(name, *one) for name, rows in self.keys.items() for one in rows]):
            table = "" if self.source.mode is Mode.SNAPSHOT else place.rpartition(":")[0]
            replaced += files[table].setdefault(name, raw) != raw
        return self._doubled() if not self.source.updates and is_no_key(replaced, self.rows) else ""

    def _doubled(self) -> str:
        """How many rows share their key: perhaps the field is not a key."""
        others = {
            name: [place for place, raw in rows if raw != rows[-1][1]]
            for name, rows in self.keys.items()
            if any(raw != rows[-1][1] for _, raw in rows)
        }
        if not others or self.source.updates:
            return ""
        key, places = next(iter(others.items()))
        return (
            f"{sum(map(len, others.values()))} of {counted(self.rows, 'row')} tried share their key with a later "
            f"row that has different content, such as {places[0]} and {self.keys[key][-1][0]} with the key {key}: the "
            f"last one counts; is `{self.source.key}` a key?"
        )

    def _rejections(self) -> Iterator[Rejection]:
        """Why rows are invalid, worded as by ``curate``."""
        columns = {"file": pl.String, "line": pl.Int64, "code": pl.String, "field": pl.String, "detail": pl.String}
        refused = pl.DataFrame(self._refused, schema=columns, orient="row")
        task, rows = self.workspace.dataset.task, len(self.raw)
        for group in by_reason(refused.with_columns(record_id=pl.lit(""), gone=pl.lit(False))):
            share = self._lacking[group.field] / rows if rows else 0
            # A field that no row has is reported with the rows' field names.
            could = share < 1 and is_optional(task, group.field, share)
            yield group.model_copy(update={"optional": could})
