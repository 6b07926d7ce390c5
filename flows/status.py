"""Answers how a dataset stands, and whether its dataset.yaml would work."""

import itertools
import shlex
import tempfile
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from flows.context import Context
from pipeline.decisions import question_key
from pipeline.errors import GoldleafError
from pipeline.formats import read_rows
from pipeline.ingest import source_files
from pipeline.label_studio import LabelStudio
from pipeline.labeling import labeling_config
from pipeline.measure import count_tokens
from pipeline.review import open_questions
from pipeline.tables import Table, Verb
from pipeline.validate import task_fields
from pipeline.versions import readable_versions
from schemas.dataset import Source
from schemas.manifest import Funnel

_LAST_RUNS = 5
_TRIED_ROWS = 200


class RunLine(BaseModel):
    """A committed run."""

    model_config = ConfigDict(frozen=True)

    run: str
    verb: str
    finished_at: datetime


class Status(BaseModel):
    """How a dataset stands; the numbers are the funnel's."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    home: str
    raw: int
    superseded: int
    withdrawn: int
    accepted: int
    rejected: int
    duplicate: int
    review: int
    waiting: int
    """Questions to people without an answer."""
    unsent: int
    """Of those, not in Label Studio yet."""
    latest_release: str | None
    damaged_releases: list[str]
    """What is wrong with each version that cannot be read."""
    runs: list[RunLine]
    """The latest first."""
    next_step: str

    def funnel(self) -> Funnel:
        """The numbers as a funnel."""
        return Funnel.model_validate({name: getattr(self, name) for name in Funnel.model_fields})


def read_status(context: Context) -> Status:
    """Read the committed state; a dataset that was never curated has zeros."""
    snapshot = context.store.snapshot().at_last_commit()
    questions = open_questions(snapshot)
    sent = set(snapshot.scan(Table.PUSHES).select("push_key").collect().to_series())
    unsent = sum(question_key(asked, context.dataset.task) not in sent for asked in questions)
    versions, damaged = readable_versions(context.store.releases)
    runs = snapshot.runs.sort("run", descending=True).head(_LAST_RUNS)
    return Status(
        dataset=context.dataset.config.name,
        home=str(context.store.root),
        **snapshot.funnel().model_dump(),
        waiting=len(questions),
        unsent=unsent,
        latest_release=versions[-1].version if versions else None,
        damaged_releases=damaged,
        runs=[RunLine.model_validate(row) for row in runs.select("run", "verb", "finished_at").iter_rows(named=True)],
        next_step=_next_step(
            context,
            curated=snapshot.last_run(Verb.CURATE) is not None,
            waiting=len(questions),
            unsent=unsent,
            released=bool(versions),
        ),
    )


def _next_step(context: Context, *, curated: bool, waiting: int, unsent: int, released: bool) -> str:
    file = shlex.quote(str(context.dataset.path))
    if not curated:
        return f"goldleaf curate {file}"
    if unsent:
        return f"set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, then goldleaf curate {file}"
    if waiting:
        return f"label in Label Studio, then goldleaf collect {file}"
    return f"goldleaf finetune {file}" if released else f"goldleaf release {file}"


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
        Finding(what="labeling form", ok=True, detail=f"{len(labeling_config(task)):,} characters of XML"),
    ]
    findings += [_check_source(context, source) for source in config.sources]
    try:
        count_tokens(["one two"], config.measure.encoding)
        findings.append(Finding(what="token counts", ok=True, detail=config.measure.encoding))
    except GoldleafError as error:
        findings.append(Finding(what="token counts", ok=False, detail=str(error)))
    findings.append(_check_label_studio(context))
    return findings


def _check_source(context: Context, source: Source) -> Finding:
    what = f"source {source.name}"
    try:
        with tempfile.TemporaryDirectory() as work:
            files = source_files(source, context.dataset.folder, Path(work))
            read = (row for file in files for row in read_rows(file, source.format))
            rows = list(itertools.islice(read, _TRIED_ROWS))
    except GoldleafError as error:
        return Finding(what=what, ok=False, detail=str(error))
    if not rows:
        return Finding(what=what, ok=False, detail=f"{len(files)} files, no row in them")
    valid, unlabeled, first_problem = 0, 0, ""
    for row in rows:
        if row.row is None:
            first_problem = first_problem or f"line {row.line}: {row.error}"
            continue
        parsed = context.dataset.task.task_parse(task_fields(row.row, source, context.dataset))
        valid += not parsed.problems
        unlabeled += not parsed.problems and parsed.targets is None
        if parsed.problems:
            first_problem = first_problem or f"line {row.line}: {parsed.problems[0]}"
    detail = f"{len(files)} files; of the first {len(rows)} rows {valid} are valid, {unlabeled} of them unlabeled"
    return Finding(what=what, ok=valid > 0, detail=detail + (f"; {first_problem}" if first_problem else ""))


def _check_label_studio(context: Context) -> Finding:
    connection = context.connection
    if connection is None:
        hint = "not set: review items will wait; set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY to send them"
        return Finding(what="Label Studio", ok=True, detail=hint)
    try:
        user = LabelStudio(connection.url, connection.api_key).check()
    except GoldleafError as error:
        return Finding(what="Label Studio", ok=False, detail=str(error))
    return Finding(what="Label Studio", ok=True, detail=f"{connection.url} as {user}")
