"""The first rows of a source and of its newest file: what `goldleaf check` says about them."""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel

from pipeline.config.workspace import Workspace
from pipeline.errors import GoldleafError
from pipeline.ingest.download import fetch
from pipeline.ingest.field_checks import Seen, expected, misspelled, see, see_groups, unmapped, unread
from pipeline.ingest.formats import is_compressed, open_once, read_rows
from pipeline.ingest.raw_rows import RawRow
from pipeline.ingest.source_files import source_files
from pipeline.ingest.source_urls import Headers, is_url, shown_path
from pipeline.reporting.check_rows import MOST_TRIED, TriedRows
from pipeline.text.field_paths import field_value, has_field
from pipeline.text.wording import counted
from schemas.dataset import Source
from schemas.parsed import Parsed

_OPENED = 20
"""Of a source with thousands of files, only the newest are opened: those before were mostly curated already."""
_READ_WHOLE = 64 * 2**20
"""Bytes of compressed files that are read to their end, the newest first: a truncated one fails only there."""
_USUAL = 0.5
"""A field that more than this share of the first rows has is missed in a file where no row has it."""


class CheckResult(BaseModel, frozen=True):
    """One check."""

    what: str
    ok: bool
    warning: bool = False
    """Nothing stops a curate, but it would lose something, such as rows or answers."""
    detail: str


class TriedSource:
    """The first rows of a source, and those of its newest file, parsed with the task."""

    def __init__(
        self, workspace: Workspace, source: Source, headers_for: Callable[[Source], Headers] = lambda source: {}
    ) -> None:
        self.workspace = workspace
        self._headers_for = headers_for
        self.source = source
        self.is_whole = False
        """There are no more rows than were tried."""
        self._first = TriedRows(workspace, source)
        self._newest = TriedRows(workspace, source)
        """Empty unless the newest file has none of the first rows."""
        self.later_groups: set[str] = set()
        """The fields of ``split.group_by`` that only occur after these rows."""
        self._later: set[str] = set()
        """The task's fields that only occur after the rows that were tried."""
        self._unusable: dict[Path, str] = {}
        """The files that cannot be opened or read, and why."""
        self._unreadable: dict[Path, str] = {}
        """The files whose first row cannot be read, with the place and why; the newest one's rows are all tried."""

    @property
    def parts(self) -> tuple[TriedRows, TriedRows]:
        """The first rows, and those of the newest file."""
        return self._first, self._newest

    @property
    def example(self) -> tuple[str, Parsed] | None:
        """A valid row with its place, a labeled one if there is any."""
        return self._first.example or self._newest.example

    def findings(self) -> Iterator[CheckResult]:
        """Try the rows, and report on them; the attributes are filled afterwards."""
        what = f"source {self.source.name}"
        with tempfile.TemporaryDirectory() as work:
            try:
                if is_url(self.source):
                    fetch(self.source, Path(work), headers=self._headers_for(self.source))
                files = source_files(self.source, self.workspace.dataset.folder, Path(work), self.workspace.store)
            except GoldleafError as error:
                yield CheckResult(what=what, ok=False, detail=str(error))
                return
            newest = sorted(files, key=lambda file: (file.stat().st_mtime_ns, file), reverse=True)
            self._open(newest[:_OPENED], Path(work))
            self._try_first(files, Path(work))
            yield self._about_first(what, files, Path(work))
            if not self._unusable:
                yield from self._about_fields(what)
            if len(files) > 1 and newest[0] not in self._unusable:
                yield from self._about_newest(what, newest[0], len(files), Path(work))

    # --- reading ------------------------------------------------------------------------------
    def _open(self, newest: Sequence[Path], work: Path) -> None:
        """Find the files that cannot be used at all, or not from their first row on."""
        left = _READ_WHOLE
        for file in newest:
            left -= file.stat().st_size if is_compressed(file, self.source.format) else 0
            try:
                row = open_once(file, self.source.format, self.source.csv, whole=left >= 0)
            except GoldleafError as error:
                self._unusable[file] = str(error).replace(str(file), self._told(file, work))
            else:
                if row is not None and row.error is not None and file != newest[0]:
                    self._unreadable[file] = f"{self._told(file, work)}:{row.line} ({row.error.detail})"

    def _try_first(self, files: Sequence[Path], work: Path) -> None:
        rows = self._read(files, work)
        self._first.try_all(itertools.islice(rows, MOST_TRIED))
        self.is_whole = self._first.rows < MOST_TRIED and not self._unusable
        self._look_further(rows)

    def _read(self, files: Sequence[Path], work: Path) -> Iterator[tuple[str, RawRow]]:
        """The rows of the files that can be used, up to where they cannot."""
        for file in files:
            if file in self._unusable:
                continue
            told = self._told(file, work)
            try:
                for row in read_rows(file, self.source.format, csv=self.source.csv):
                    yield told, row
            except GoldleafError as error:
                self._unusable[file] = str(error).replace(str(file), told)

    def _told(self, file: Path, work: Path) -> str:
        """A file's name for the user; a download has an internal one."""
        folder = self.workspace.dataset.folder
        if file.is_relative_to(work):
            return shown_path(self.source)
        return str(file.relative_to(folder) if file.is_relative_to(folder) else file)

    def _look_further(self, rows: Iterator[tuple[str, RawRow]]) -> None:
        """Look for the key and the fields that none of the first rows has: a later one may have them.

        ``split.group_by`` needs a field in some row of any source.
        A sorted source may begin with rows that all lack a label.
        """
        task = self.workspace.dataset.task
        lacking = expected(self.source, task) - see(self._first.raw, self.source, task).fields
        groups = self.workspace.dataset.config.split.group_by
        ungrouped = set(groups) - see_groups(self._first.raw, groups).fields
        for file, row in rows:
            if not lacking and not ungrouped and (self._first.keys or not self.source.key):
                return
            if row.row is not None:
                grouped = {name for name in ungrouped if field_value(row.row, name) is not None}
                ungrouped -= grouped
                self.later_groups |= grouped
                found = {name for name in lacking if has_field(row.row, self.source.fields.get(name, name))}
                lacking -= found
                self._later |= found
                if not self._first.keys:
                    self._first.note_key(f"{file}:{row.line}", row)

    # --- what is said -------------------------------------------------------------------------
    def _seen(self) -> Seen:
        return see(self._first.raw, self.source, self.workspace.dataset.task) | Seen(frozenset(self._later))

    def _about_first(self, what: str, files: Sequence[Path], work: Path) -> CheckResult:
        first, unusable = self._first, list(self._unusable.values())
        tried = {file for file in files if self._told(file, work) in first.valid_in}
        odd = [place for file, place in self._unreadable.items() if file not in tried]
        seen = self._seen()
        notes = (unmapped(self.source, seen, self.workspace.dataset.task), unread(seen)) if first.raw else ()
        note = "; ".join(filter(None, notes))
        if not first.rows:
            said = ["" if unusable else f"{counted(len(files), 'file')}; there are no rows; add some, or fix `path:`"]
        else:
            said = [first.described(counted(len(files), "file"), note=note)]
        said += [f"the first row of {place} cannot be read" for place in odd]
        ok = first.valid > 0 and not unusable
        detail = "\n  ".join(filter(None, [*unusable, *said]))
        return CheckResult(what=what, ok=ok, warning=ok and (first.loses or bool(odd or note)), detail=detail)

    def _about_fields(self, what: str) -> Iterator[CheckResult]:
        first = self._first
        if self.source.key and first.raw and not first.keys:
            detail = f"no row has a value in '{self.source.key}'; fix `key:`, use dots for nested fields; "
            yield CheckResult(what=f"key of {what}", ok=False, detail=detail + first.columns)
        if problem := first.no_key:
            detail = f"{problem} name another field or none, or set `updates: true` if later rows replace earlier ones"
            yield CheckResult(what=f"key of {what}", ok=False, detail=detail)
        if first.raw and (problem := misspelled(self.source, self._seen())):
            yield CheckResult(what=f"fields of {what}", ok=False, detail=problem)

    def _about_newest(self, what: str, file: Path, files: int, work: Path) -> Iterator[CheckResult]:
        """Report on the newest file, of which the first rows may say nothing: they are those of the oldest."""
        told = self._told(file, work)
        if self._first.valid_in[told]:
            return
        newest = TriedRows(self.workspace, self.source)
        newest.try_all(itertools.islice(self._read([file], work), MOST_TRIED))
        if told not in self._first.valid_in:
            self._newest = newest
        what, place = f"newest file of {what}", f"{told}, of {counted(files, 'file')}"
        if file in self._unusable:
            yield CheckResult(what=what, ok=False, detail=self._unusable[file])
            return
        if not newest.rows:
            yield CheckResult(what=what, ok=True, warning=True, detail=f"{place}; there are no rows in it")
            return
        missed = self._missed(newest)
        detail = newest.described(place, note=missed)
        warning = newest.loses or bool(missed)
        yield CheckResult(what=what, ok=newest.valid > 0, warning=newest.valid > 0 and warning, detail=detail)

    def _missed(self, newest: TriedRows) -> str:
        """What most of the first rows have and none of the newest file's: perhaps its columns have other names."""
        source, dataset = self.source, self.workspace.dataset
        paths = [source.fields.get(name, name) for name in dataset.task.model_fields]
        paths += [*([source.key] if source.key else []), *dataset.config.split.group_by]
        missed = [
            path
            for path in dict.fromkeys(paths)
            if sum(has_field(row, path) for row in self._first.raw) > _USUAL * len(self._first.raw)
            and not any(has_field(row, path) for row in newest.raw)
        ]
        if not missed or not newest.raw:
            return ""
        return f"no row of it has {' or '.join(map(repr, missed))}, as rows of other files do; {newest.columns}"
