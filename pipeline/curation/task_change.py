"""Says what a change of the task or the field map makes of annotators' answers, before anything is done."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.history import verdict_of
from pipeline.curation.prepare import parse_row
from pipeline.errors import ConfigError
from pipeline.review.consensus import Said, deciding, said_about
from pipeline.review.labeling_tasks import HOW_TO_CORRECT
from pipeline.state.decisions import from_frame, json_of
from pipeline.state.snapshot import Snapshot
from pipeline.text.normalize import inputs_key
from pipeline.text.wording import counted
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import LabelSource
from schemas.identity import content_digest
from schemas.renamed_labels import with_new_names
from schemas.run_summary import CurateFacts
from schemas.task import Task

_OTHERS = "the task asks for something else"
_SHOWN = 3


@dataclass(frozen=True)
class Outlook:
    """What becomes of the rows that annotators have decided about."""

    kept: int
    """Their answers count, as they are or by another name of a label."""
    mapped: int
    """Of these, with another name of a label."""
    again: int
    """They are asked again, as far as the budget goes."""
    why: tuple[tuple[str, int], ...] = ()
    """Why, and how many of them, the most frequent first."""

    @property
    def is_news(self) -> bool:
        """Whether anything changes."""
        return bool(self.mapped or self.again)

    def __str__(self) -> str:
        """The numbers in words."""
        kept, again = self.kept, self.again
        renamed = f", {self.mapped:,} of them by a label's new name" if self.mapped else ""
        counts = f"{kept:,} {'counts' if kept == 1 else 'count'} on{renamed}"
        asked = f"{again:,} {'is' if again == 1 else 'are'} asked again within the budget"
        why = "; ".join(f"{text}: {count:,}" for text, count in self.why[:_SHOWN])
        told = ", ".join(([counts] if kept else []) + ([f"{asked} ({why})"] if again else []))
        return f"of annotators' answers about {counted(kept + again, 'row')} {told}"


def outlook(snapshot: Snapshot, dataset: LoadedDataset) -> Outlook:
    """What becomes of annotators' answers once a curate has read the rows by the file and the task as they are now.

    Rows of sources that are no longer in the file are left out: they are withdrawn.

    Raises:
        ConfigError: a label has the name of one that is called otherwise now, and would get its answers.
    """
    snapshot = snapshot.answered
    answered = [one for one in from_frame(snapshot.current_decisions().collect()) if verdict_of(one) is not None]
    if not answered:
        return Outlook(0, 0, 0)
    now = _as_read_now(snapshot, dataset, [one.record_id for one in answered])
    said = said_about(snapshot, dataset.task, now.lazy())
    here, kept, mapped = dict(now.select("record_id", "inputs").iter_rows()), 0, 0
    why: Counter[str] = Counter()
    crossed: Counter[tuple[str, str]] = Counter()
    for before in answered:
        items = said.get(before.record_id, [])
        if before.record_id not in here:
            continue
        if (answer := deciding(items)) is None:
            why[_reason(items)] += 1
        else:
            kept += 1
            mapped += _is_mapped(before, dataset.task)
            # About another text, or where none counted before, it is another answer that counts.
            if before.label_source is LabelSource.HUMAN and json_of(before.inputs) == here[before.record_id]:
                crossed.update(_crossed(dataset.task, before, answer, items))
    for (meant, counts_as), count in crossed.most_common(1):
        raise ConfigError(
            f"{counted(count, 'answer')} that counted as '{meant}' would count as '{counts_as}' now, since a label of "
            f"before had that name; nothing was changed. Give the new label a name that none had before, or let "
            f"`renamed` of {dataset.task.__name__} lead there"
        )
    return Outlook(kept, mapped, why.total(), tuple(why.most_common()))


def told_before(snapshot: Snapshot, dataset: LoadedDataset) -> str:
    """What a curate says of it before it begins; empty if nothing that answers depend on has changed since the last."""
    last = snapshot.last_run(CurateFacts)
    if last is None or last.summary.curation == dataset.curation_digest:
        return ""
    found = outlook(snapshot, dataset)
    is_other_class = found.kept and dataset.task.task_digest() not in last.summary.asked_as
    return str(found) if found.is_news or is_other_class else ""


def _as_read_now(snapshot: Snapshot, dataset: LoadedDataset, records: list[str]) -> pl.DataFrame:
    """``record_id``, ``revision``, ``content`` and ``inputs`` of some rows."""
    sources = {source.name: source for source in dataset.config.sources}
    wanted = pl.col("record_id").is_in(records) & pl.col("source").is_in(list(sources))
    names = ["record_id", "revision", "source", "raw", "error"]
    rows: list[tuple[str, str, str | None, str | None]] = []
    for record_id, revision, source, raw, error in (
        snapshot.everything.current_records().filter(wanted).select(names).collect().iter_rows()
    ):
        parsed = None if error else parse_row(orjson.loads(raw), sources[source], dataset)[0]
        if parsed is None or (parsed.problems and parsed.draft is None):
            rows.append((record_id, revision, None, None))
            continue
        targets = None if parsed.targets is None else orjson.dumps(parsed.targets)
        content = None if parsed.problems else content_digest(inputs_key(dataset.task, parsed.inputs), targets)
        rows.append((record_id, revision, content, json_of(parsed.inputs)))
    schema = dict.fromkeys(("record_id", "revision", "content", "inputs"), pl.String())
    return pl.DataFrame(rows, schema=schema, orient="row")


def _reason(said: list[Said]) -> str:
    invalid = [one.annotation.error for one in said if one.annotation.verdict is Verdict.INVALID]
    return invalid[-1].partition(HOW_TO_CORRECT)[0] if invalid else _OTHERS


def _crossed(task: type[Task], before: Decision, answer: Said, said: list[Said]) -> Iterator[tuple[str, str]]:
    """A label that somebody has meant, and another one that the answer would count as, though both are there."""
    for field in task.task_targets():
        meant = with_new_names(task.renamed, field, (before.targets or {}).get(field.name))
        if field.choices and {*_labels(meant)} and {*_labels(meant)} <= {*field.choices}:
            found = [_labels((one.annotation.targets or {}).get(field.name)) for one in (answer, *said)]
            if found[0] and not any({*labels} == {*_labels(meant)} for labels in found):
                yield ", ".join(_labels(meant)), ", ".join(found[0])


def _labels(value: Any) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value]) if one is not None]


def _is_mapped(before: Decision, task: type[Task]) -> bool:
    said = before.targets if before.label_source is LabelSource.HUMAN else None
    fields = [(field, said[field.name]) for field in task.task_targets() if said and field.name in said]
    return any(with_new_names(task.renamed, field, value) != value for field, value in fields)
