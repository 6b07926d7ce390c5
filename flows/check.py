"""Answers whether a dataset.yaml would work: tries all that a first curate needs, and changes nothing."""

import contextlib
import functools
import itertools
import shutil
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from flows.console import counted, rejection_lines
from flows.context import Context
from pipeline.adoption import named_version
from pipeline.assess import stale_answers
from pipeline.attention import Rejection, by_reason, is_optional
from pipeline.errors import GoldleafError, TaskCodeError
from pipeline.evaluation_sets import evaluation_texts
from pipeline.formats import RawRow, read_rows
from pipeline.label_studio import LabelStudio
from pipeline.labeling import labeling_config
from pipeline.measure import count_tokens
from pipeline.row_fields import Seen, field_value, has_field, misspelt, names_of, see, unmapped
from pipeline.source_files import source_files
from pipeline.validate import task_fields
from schemas.dataset import EvaluationSet, Source
from schemas.fate import Reason
from schemas.field import shown
from schemas.message import Speaker
from schemas.own_code import described, own
from schemas.task import MISSING, Parsed, Role, Task, respelt_choice

_TRIED_ROWS = 200
_TRIED = "row that was tried"
_SHOWN_CHARACTERS = 400
_LONG_FORM = 100
"""Tokens from which on the form of the answer is worth a word, where it is a large share of the prompt."""
_LARGE_SHARE = 0.5


class Finding(BaseModel):
    """One thing that was tried."""

    model_config = ConfigDict(frozen=True)

    what: str
    ok: bool
    detail: str


def check_dataset(context: Context) -> list[Finding]:
    """Try everything that a first curate would need, on the first rows of every source."""
    config, task = context.dataset.config, context.dataset.task
    targets = ", ".join(f"{field.name} ({field.type}{', many' * field.many})" for field in task.task_targets())
    findings = [
        Finding(what=f"task {task.__name__}", ok=True, detail=f"{task.task_kind()}; targets: {targets}"),
        _check_form(task),
    ]
    tried = [_Tried(context, source) for source in config.sources]
    for source in tried:
        findings += source.findings()
    findings += [_check_evaluation_set(context, one) for one in config.decontaminate.against]
    findings += [_check_adopted(context, folder) for folder in config.split.adopt]
    findings += itertools.islice((_check_chat(task, *source.example) for source in tried if source.example), 1)
    findings += _check_length(context, [parsed for source in tried if source.example for _, parsed in [source.example]])
    findings += _check_code(task, tried)
    findings += _check_grouping([row for source in tried for row in source.raw], config.split.group_by)
    try:
        count_tokens(["one two"], config.measure.encoding)
        findings.append(Finding(what="token counts", ok=True, detail=config.measure.encoding))
    except GoldleafError as error:
        findings.append(Finding(what="token counts", ok=False, detail=str(error)))
    findings += _check_what_is_there(context)
    findings += [_check_home(context.store.root), _check_label_studio(context)]
    return findings


def _check_what_is_there(context: Context) -> Iterator[Finding]:
    """Say what an edit of the file or the task would undo, before anybody is asked everything anew."""
    try:
        if not context.store.exists:
            return
        snapshot = context.store.snapshot().at_last_commit()
        answers = stale_answers(snapshot, context.dataset.task)
        known = snapshot.current_records().group_by("source").len().sort("source").collect().iter_rows()
    except GoldleafError as error:
        yield Finding(what="what was curated", ok=False, detail=str(error))
        return
    if answers:
        yield Finding(what="answers of people", ok=True, detail=f"{answers}; undo it to keep them, or label anew")
    named = {source.name for source in context.dataset.config.sources}
    for name, records in known:
        if name not in named:
            detail = f"not in the file any more: curate would withdraw its {counted(records, 'record')}"
            yield Finding(what=f"source {name}", ok=True, detail=f"{detail}; name it again to keep them")


def _check_form(task: type[Task]) -> Finding:
    try:
        return Finding(what="labeling form", ok=True, detail=f"{len(labeling_config(task)):,} characters of XML")
    except GoldleafError as error:
        return Finding(what="labeling form", ok=False, detail=str(error))


def _check_evaluation_set(context: Context, one: EvaluationSet) -> Finding:
    what = f"evaluation set {one.name}"
    try:
        with tempfile.TemporaryDirectory() as work:
            texts = [text for _, text, _ in evaluation_texts(one, context.store, context.dataset, Path(work))]
    except GoldleafError as error:
        return Finding(what=what, ok=False, detail=str(error))
    names = context.dataset.task.task_names(Role.INPUT)
    several = "; all inputs count together, so map each that it has" if len(names) > 1 else ""
    detail = f"{counted(len(texts), 'row')}; rows that resemble one are rejected{several}"
    return Finding(what=what, ok=True, detail=detail)


def _check_adopted(context: Context, folder: str) -> Finding:
    what = f"split.adopt {folder}".replace("\0", "\\0")
    try:
        version = named_version(context.dataset.folder / folder)
    except GoldleafError as error:
        return Finding(what=what, ok=False, detail=str(error))
    rows = counted(sum(split.rows for split in version.splits.values()), "row")
    return Finding(what=what, ok=True, detail=f"{version.name}@{version.version} is sound, with the splits of {rows}")


# --- sources --------------------------------------------------------------------------------------
@dataclass
class _Tried:
    """The first rows of a source, seen through the task."""

    context: Context
    source: Source
    raw: list[dict[str, Any]] = field(default_factory=list)
    """The rows that are objects with fields."""
    example: tuple[str, Parsed] | None = None
    """A valid row with its place, a labeled one if there is any."""
    _files: int = 0
    _rows: int = 0
    _valid: int = 0
    _unlabeled: int = 0
    _refused: list[tuple[str, int, str, str, str]] = field(default_factory=list)
    """Of each row that is not valid: file, line, and code, field and detail of the first reason."""
    _lacking: Counter[str] = field(default_factory=Counter)
    """How many rows lack which required field."""
    _respelt: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """By field: values that are a choice but for case or white space, and the choice."""
    faults: list[str] = field(default_factory=list)
    """For each row at which the task's own code failed: where, and how."""
    _lacks_field: bool = False
    """Some row is invalid for a field that it does not have."""
    _later: set[str] = field(default_factory=set)
    """The mapped fields that only a row behind those that were tried has."""
    _keys: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    """Where a key was seen, and with what content."""

    def findings(self) -> Iterator[Finding]:
        what = f"source {self.source.name}"
        try:
            with tempfile.TemporaryDirectory() as work:
                rows = self._read(Path(work))
                for file, row in itertools.islice(rows, _TRIED_ROWS):
                    self._try(file, row)
                self._look_further(rows)
        except GoldleafError as error:
            yield Finding(what=what, ok=False, detail=str(error))
            return
        reasons = rejection_lines(list(self._rejections()))
        detail = "\n  ".join(["; ".join(filter(None, self._details())), *reasons])
        yield Finding(what=what, ok=self._valid > 0, detail=detail)
        if self.source.key and self.raw and not self._keys:
            detail = f"no row has a value in '{self.source.key}'; correct `key:`, dots reach into objects; "
            yield Finding(what=f"key of {what}", ok=False, detail=detail + self._columns())
        if self.raw and (problem := misspelt(self.source, self._seen)):
            yield Finding(what=f"fields of {what}", ok=False, detail=problem)

    def _read(self, work: Path) -> Iterator[tuple[str, RawRow]]:
        folder = self.context.dataset.folder
        files = source_files(self.source, folder, work, self.context.store)
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
        fields = task_fields(row.row, self.source, self.context.dataset)
        parsed = self.context.dataset.task.task_parse(fields)
        self._valid += not parsed.problems
        self._unlabeled += not parsed.problems and parsed.targets is None
        if not parsed.problems and (self.example is None or (self.example[1].targets is None and parsed.targets)):
            self.example = (place, parsed)
        self.faults += [f"{place}: {reason}" for reason in parsed.faults[:1]]
        self._refuse(file, row, parsed.problems[0] if parsed.problems else None)
        for reason in parsed.problems:
            name = reason.field.split(".")[0]
            self._lacks_field |= bool(name) and field_value(row.row, self.source.fields.get(name, name)) is None
            self._lacking[name] += reason.detail == MISSING
            if choice := respelt_choice(self.context.dataset.task, name, fields.get(name)):
                self._respelt.setdefault(name, []).append((fields[name], choice))

    def _look_further(self, rows: Iterator[tuple[str, RawRow]]) -> None:
        """Look for the key and the mapped fields that none of the first rows has: a later one may have them."""
        lacking = set(self.source.fields) - see(self.raw, self.source, self.context.dataset.task).fields
        for file, row in rows:
            if not lacking and (self._keys or not self.source.key):
                return
            if row.row is not None:
                found = {name for name in lacking if has_field(row.row, self.source.fields[name])}
                lacking -= found
                self._later |= found
                if not self._keys:
                    self._note_key(f"{file}:{row.line}", row)

    def _refuse(self, file: str, row: RawRow, reason: Reason | None) -> None:
        if reason is not None:
            # A CSV's unreadable line names itself, since a row may have several.
            detail = reason.detail.removeprefix(f"line {row.line}: ")
            self._refused.append((file, row.line, reason.code, reason.field, detail))

    def _note_key(self, place: str, row: RawRow) -> None:
        value = field_value(row.row or {}, self.source.key) if self.source.key else None
        if value in (None, ""):
            return
        # To the key, 1 and 1.0 are one number.
        name = repr(int(value) if isinstance(value, float) and value.is_integer() else value)
        self._keys.setdefault(name, []).append((place, row.raw))

    def _doubled(self) -> str:
        """How many rows have a key that others have, too: perhaps it is none."""
        others = {
            name: [place for place, raw in rows if raw != rows[-1][1]]
            for name, rows in self._keys.items()
            if any(raw != rows[-1][1] for _, raw in rows)
        }
        if not others:
            return ""
        key, places = next(iter(others.items()))
        return (
            f"{sum(map(len, others.values()))} of {counted(self._rows, 'row')} tried have a key that a later row has, "
            f"too, with other content, such as {places[0]} and {self._keys[key][-1][0]} with the key {key}: the last "
            f"one counts; is `{self.source.key}` a key?"
        )

    def _details(self) -> Iterator[str]:
        yield counted(self._files, "file")
        if not self._rows:
            yield "no row is there; bring some in, or correct `path:`"
            return
        first = "the first " if self._rows == _TRIED_ROWS else ""
        yield f"{first}{counted(self._rows, 'row')} tried: {self._valid} valid, {self._unlabeled} of them unlabeled"
        if note := unmapped(self.source, self._seen, self.context.dataset.task, _TRIED) if self.raw else "":
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
                f"{differ} from a choice of '{name}' by nothing but case or white space, such as {shown(value)} from "
                f"{shown(choice)}: correct them, or let a validator of the task do so"
            )

    def _rejections(self) -> Iterator[Rejection]:
        """Why rows are not valid, as ``curate`` says it."""
        columns = {"file": pl.String, "line": pl.Int64, "code": pl.String, "field": pl.String, "detail": pl.String}
        task, rows = self.context.dataset.task, len(self.raw)
        for group in by_reason(pl.DataFrame(self._refused, schema=columns, orient="row")):
            share = self._lacking[group.field] / rows if rows else 0
            # What no row has is said of the names of the rows.
            could = share < 1 and is_optional(task, group.field, share)
            yield group.model_copy(update={"optional": could})

    @functools.cached_property
    def _seen(self) -> Seen:
        """Once all rows were tried."""
        return see(self.raw, self.source, self.context.dataset.task) | Seen(frozenset(self._later))

    def _columns(self) -> str:
        return Seen(names=names_of(self.raw)).shown_names


def _check_code(task: type[Task], tried: list[_Tried]) -> Iterator[Finding]:
    """A check that fails itself finds nothing, and holds or rejects rows that are as they should be."""
    faults = [fault for source in tried for fault in source.faults]
    if faults:
        rows = counted(sum(len(source.raw) for source in tried), "row")
        detail = f"it failed itself on {len(faults)} of {rows} tried, as on {faults[0]}; mend it"
        yield Finding(what=f"code of {task.__name__}", ok=False, detail=detail)


def _check_chat(task: type[Task], place: str, parsed: Parsed) -> Finding:
    """A row as the model will see it: nobody should meet their prompt in the published version first."""
    what = f"{place} as a chat"
    try:
        said = [(message.role.value, message.content) for message in task.task_prompt(parsed.inputs)]
        if parsed.targets is not None:
            said.append((Speaker.ASSISTANT.value, task.task_answer(parsed.targets)))
    except BaseException as error:  # of the user's own code
        theirs = isinstance(own(error), TaskCodeError)
        detail = str(error) if theirs else f"{described(error)}; mend {task.__name__}'s task_prompt or task_answer"
        return Finding(what=what, ok=False, detail=detail)
    lines = (f"{role}: {textwrap.shorten(text, _SHOWN_CHARACTERS, placeholder=' …')}" for role, text in said)
    return Finding(what=what, ok=True, detail="\n  ".join(lines))


def _check_length(context: Context, examples: list[Parsed]) -> Iterator[Finding]:
    """Say where most of every prompt is a list of choices: every row pays for it, whenever the model reads it."""
    task, encoding = context.dataset.task, context.dataset.config.measure.encoding
    # What the task's own code or the encoding does not let through has a finding of its own.
    with contextlib.suppress(Exception):
        prompts = ["\n".join(message.content for message in task.task_prompt(one.inputs)) for one in examples]
        form, *whole = count_tokens([task.task_answer_form(), *prompts], encoding)
        if form < _LONG_FORM or not whole or form < _LARGE_SHARE * min(whole):
            return
        choices = sum(len(field.choices) for field in task.task_targets())
        detail = (
            f"the form of the answer, with {choices:,} choices, makes {form:,} of {min(whole):,} tokens; a tuned "
            f"model knows them anyway: to leave it out, let task_answer_form in {task.__name__} return an empty text"
        )
        yield Finding(what="length of the prompts", ok=True, detail=detail)


def _check_grouping(rows: list[dict[str, Any]], group_by: list[str]) -> Iterator[Finding]:
    for name in group_by:
        if rows and all(field_value(row, name) is None for row in rows):
            detail = f"no row that was tried has '{name}'; correct it, dots reach into objects"
            yield Finding(what="split.group_by", ok=False, detail=detail)


# --- the machine ----------------------------------------------------------------------------------
def _check_home(root: Path) -> Finding:
    """Write a little where the tables would lie, and leave nothing behind."""
    made = []
    try:
        made = [folder for folder in (root, *root.parents) if not folder.exists()]
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"goldleaf" * 1024)
        free = shutil.disk_usage(root).free
    except OSError as error:
        detail = f"{root} cannot be written: {error.strerror}; set GOLDLEAF_HOME to a folder that can"
        return Finding(what="home", ok=False, detail=detail)
    finally:
        for folder in made:
            # Another process may have begun to use it.
            with contextlib.suppress(OSError):
                folder.rmdir()
    return Finding(what="home", ok=True, detail=f"{root} can be written, {free / 1e9:.1f} GB are free")


def _check_label_studio(context: Context) -> Finding:
    connection = context.connection
    if connection is None:
        hint = "not set: review items will wait; set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY to send them"
        return Finding(what="Label Studio", ok=True, detail=hint)
    try:
        user = LabelStudio(connection.url, connection.api_key).check()
    except GoldleafError as error:
        return Finding(what="Label Studio", ok=False, detail=str(error))
    return Finding(what="Label Studio", ok=True, detail=f"{connection.shown} as {user}")
