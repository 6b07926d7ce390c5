"""The committed state as the report reads it: an outline of all records, whole ones only where the page shows them, and
of these only what it may show."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.ingest.row_places import in_place
from pipeline.reporting.report_page import ShownRecord
from pipeline.reporting.shown_rows import setting_in_words, turn_in_question
from pipeline.state.decisions import from_frame
from pipeline.state.snapshot import Snapshot
from pipeline.steps import Progress, Silent
from pipeline.text.normalize import shown_inputs
from pipeline.text.screening import screen
from schemas.answers_in_words import answer_in_words
from schemas.dataset import public_place
from schemas.decision import Decision
from schemas.fate import Fate, Reason, ReasonCode
from schemas.field import JsonValue, TargetField, ValueType
from schemas.repairs import is_repair
from schemas.task import Task

_LONG = 100_000
"""Rows from which on reading what they say takes seconds."""
_SENSITIVE = {ReasonCode.PERSONAL_DATA, ReasonCode.SECRET, ReasonCode.UNUSABLE}
"""An annotator may have marked a row unusable because it must not be read."""
_CLOSED = (ValueType.CHOICE, ValueType.BOOLEAN)
_CITING = {ReasonCode.CONFLICT, ReasonCode.CORRECTED, ReasonCode.MEANING}
"""Reasons that show what other records ask or answer."""


@dataclass(frozen=True)
class State:
    """The committed state."""

    snapshot: Snapshot
    dataset: LoadedDataset
    of_version: bool
    """Whether the page becomes part of a version, which may be copied anywhere."""
    progress: Progress = field(default_factory=Silent)
    """Shows how far what reads all rows is."""
    _known: dict[str, Decision] = field(default_factory=dict)
    _places: dict[str, tuple[str, int, bytes]] = field(default_factory=dict)
    """File, line and raw bytes."""

    @property
    def outline(self) -> pl.DataFrame:
        """Of the decision that counts for every current record."""
        return self.snapshot.outline

    @property
    def accepted(self) -> pl.LazyFrame:
        """The same of accepted records; who selects a few columns copies no others."""
        return self.outline.lazy().filter(fate=Fate.ACCEPTED.value)

    @cached_property
    def splits(self) -> pl.DataFrame:
        """``record_id`` and ``split`` of every record that has one."""
        return self.snapshot.splits().select("record_id", "split").collect()

    def read(self, record_ids: Iterable[str]) -> list[Decision]:
        """The decisions that count for some records, in this order; records that are not current have none."""
        ids = list(record_ids)
        if missing := [one for one in ids if one not in self._known]:
            rows = self.snapshot.current_decisions(pl.col("record_id").is_in(missing)).collect()
            self._known.update((decision.record_id, decision) for decision in from_frame(rows))
        return [self._known[one] for one in ids if one in self._known]

    def in_batches(self, where: pl.Expr, *columns: str) -> Iterator[pl.DataFrame]:
        """Columns of the decisions that meet a condition over the outline, a piece at a time."""
        total = self.outline.lazy().filter(where).select(pl.len()).collect().item()
        shown = self.progress if total >= _LONG else Silent()
        with shown.step("reading answers", total, "rows") as advance:
            for rows in self.snapshot.in_batches(where, *columns):
                yield rows
                advance(rows.height)

    def to_show(self, record_ids: Iterable[str]) -> list[Decision]:
        """The same with their rows, which ``example`` needs: many are read as fast as one."""
        found = self.read(record_ids)
        if missing := [one.record_id for one in found if one.record_id not in self._places]:
            rows = in_place(self.snapshot).filter(pl.col("record_id").is_in(missing))
            told = rows.select("record_id", "file", "line", "raw").collect()
            self._places.update((row[0], row[1:]) for row in told.iter_rows())
        return found

    @property
    def task(self) -> type[Task]:
        """Of the dataset."""
        return self.dataset.task

    def answer(self, targets: dict[str, JsonValue] | None) -> str:
        """Targets as shown; empty if there are none."""
        return answer_in_words(self.task, targets) if targets is not None else ""

    def withholds(self, decision: Decision) -> bool:
        """Whether the page, as part of a version, may show only a record's place."""
        return self.of_version and decision.fate is not Fate.ACCEPTED

    def may_quote(self, field: str) -> bool:
        """Whether the page may show what annotators replaced in a field.

        In a version only choices: a text may have been replaced because it must not be read.
        """
        return not self.of_version or field in {target.name for target in self._closed}

    @property
    def _closed(self) -> list[TargetField]:
        return [target for target in self.task.task_targets() if target.type in _CLOSED]

    def example(self, decision: Decision, detail: str = "") -> ShownRecord:
        """A record as the page may show it."""
        if decision.record_id not in self._places:
            self.to_show([decision.record_id])
        file, line, raw = self._places[decision.record_id]
        if self.withholds(decision):
            # Not even the id: it is a hash of the row or of its key, and so would confirm a guess.
            return ShownRecord(file=public_place(file), line=line, withheld=True)
        text = shown_inputs(self.task, decision.inputs) or setting_in_words(self.task, decision.inputs)
        text = text or raw.decode("utf-8", "backslashreplace")
        return ShownRecord(
            record_id=decision.record_id,
            file=public_place(file) if self.of_version else file,
            line=line,
            text=text,
            detail=detail,
            sensitive=self._is_sensitive(decision, text),
        )

    def judged(self, decision: Decision, detail: str = "", turn: int | None = None) -> ShownRecord:
        """A record with its answer; of a conversation in which a turn is doubted, that turn."""
        record = self.example(decision, detail)
        if record.withheld:
            return record
        asked = turn_in_question(self.task, decision, turn)
        answer = "" if asked else self.answer(decision.targets)
        is_sensitive = record.sensitive or self._is_sensitive(decision, str(asked or answer))
        more = {"text": str(asked), "head": asked.text} if asked else {"answer": answer}
        return record.model_copy(update=more | {"sensitive": is_sensitive})

    def compared(self, decision: Decision) -> ShownRecord:
        """A record beside another, whose system prompt and tools may be others."""
        record = self.example(decision)
        if record.withheld:
            return record
        setting = setting_in_words(self.task, decision.inputs)
        is_sensitive = record.sensitive or self._is_sensitive(decision, setting)
        return record.model_copy(update={"setting": setting, "sensitive": is_sensitive})

    def _is_sensitive(self, decision: Decision, text: str) -> bool:
        if decision.fate is Fate.ACCEPTED:
            return False
        # A copy or an unreadable line has another reason, whatever else it contains.
        found = (finding.reason for finding in screen({"": text}, self.dataset.config.screen))
        return any(reason.code in _SENSITIVE for reason in (*decision.reasons, *found))

    def say(self, reason: Reason) -> Reason:
        """A reason without what the page must not show."""
        # An annotator's answer is told with those that it replaced.
        is_citing = reason.code in _CITING or (reason.code is ReasonCode.REVIEWED and not self._is_closed)
        # In the place of a choice there may have been any text.
        is_citing |= is_repair(reason)
        return Reason(code=reason.code) if self.of_version and is_citing else reason

    def say_of_replaced(self, reason: Reason) -> Reason:
        """The same of a reason to doubt an answer that annotators replaced, which it may quote."""
        return self.say(reason) if self._is_closed or not self.of_version else Reason(code=reason.code)

    @property
    def _is_closed(self) -> bool:
        return len(self._closed) == len(self.task.task_targets())


class Examples(Mapping[str, ShownRecord]):
    """The records that have a split, as the page may show them; only those that are asked for are read."""

    def __init__(self, state: State) -> None:
        self._state = state
        placed = state.outline.join(state.splits, on="record_id", how="semi")
        may_show = placed.filter(fate=Fate.ACCEPTED.value) if state.of_version else placed
        self._ids = set(may_show["record_id"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._ids

    def __getitem__(self, record_id: str) -> ShownRecord:
        [decision] = self._state.to_show([record_id])
        return self._state.example(decision)
