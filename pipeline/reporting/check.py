"""Checks whether a dataset.yaml would work: tries everything that a first curate needs, and changes nothing."""

import contextlib
import itertools
import shutil
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pipeline.config.workspace import HOW_TO_CONNECT, Workspace
from pipeline.curation.evaluation_sets import as_source, evaluation_texts
from pipeline.curation.task_change import told_before
from pipeline.errors import GoldleafError, TaskCodeError
from pipeline.ingest.download import fetch
from pipeline.ingest.field_checks import Seen, see_groups, ungrouped
from pipeline.ingest.source_urls import Headers, is_url
from pipeline.kinds.registry import kind_of
from pipeline.releases.adoption import count_known, named_version
from pipeline.reporting.check_finetuning import check_finetuning
from pipeline.reporting.check_model import check_model
from pipeline.reporting.check_rows import TriedRows
from pipeline.reporting.check_source import CheckResult, TriedSource
from pipeline.reporting.overview import nobody_left
from pipeline.review.form import labeling_config
from pipeline.review.label_studio import LabelStudio
from pipeline.review.questions import has_known_answers
from pipeline.text.tokens import count_tokens
from pipeline.text.wording import counted
from schemas.conversation import turn_text
from schemas.cron import read_cron
from schemas.dataset import EvaluationSet, Source
from schemas.parsed import Parsed
from schemas.run_summary import Verb
from schemas.task import Role, Task
from schemas.user_code_errors import described, own

_SHOWN_CHARACTERS = 400
_LONG_FORM = 100
"""From this many tokens on, an answer format that is a large share of the prompt is reported."""
_LARGE_SHARE = 0.5


def check_dataset(
    workspace: Workspace,
    secret: Callable[[str], str] = lambda name: "",
    headers_for: Callable[[Source], Headers] = lambda source: {},
) -> list[CheckResult]:
    """Try everything that a first curate would need, on the first rows of every source.

    Args:
        workspace: the dataset.
        secret: the value of an environment variable that the file names for a key; empty if it is not set.
        headers_for: what the server of a source is to be sent.
    """
    config, task = workspace.dataset.config, workspace.dataset.task
    kind = kind_of(task)
    targets = ", ".join(f"{field.name} ({field.type}{', many' * field.many})" for field in task.task_targets())
    findings = [
        CheckResult(
            what=f"task {task.__name__}",
            ok=True,
            detail=f"{kind.name}, scored by {kind.metric_title}; targets: {targets}"
            + (f"; rewritten: {original}" if (original := kind.original(task)) else ""),
        ),
        _check_form(task),
    ]
    findings += _check_choices(task)
    if kind.limits:
        findings.append(CheckResult(what=f"kind {kind.name}", ok=True, detail=kind.limits))
    tried = [TriedSource(workspace, source, headers_for) for source in config.sources]
    for source in tried:
        findings += source.findings()
    findings += [_check_evaluation_set(workspace, one, headers_for) for one in config.decontaminate.against]
    findings += [_check_adopted(workspace, folder, tried) for folder in config.split.adopt]
    findings += itertools.islice((_check_chat(task, *source.example) for source in tried if source.example), 1)
    findings += _check_length(
        workspace, [parsed for source in tried if source.example for _, parsed in [source.example]]
    )
    rows = [part for source in tried for part in source.parts]
    findings += _check_code(task, rows)
    findings += _check_grouping(rows, config.split.group_by, {name for source in tried for name in source.later_groups})
    try:
        count_tokens(["one two"], config.measure.encoding)
        findings.append(CheckResult(what="token counts", ok=True, detail=config.measure.encoding))
    except GoldleafError as error:
        findings.append(CheckResult(what="token counts", ok=False, detail=str(error)))
    findings += check_model(workspace, secret(config.suggest.api_key_env), tried)
    findings += check_finetuning(workspace, secret)
    findings += _check_team(workspace)
    findings += _check_what_is_there(workspace)
    findings += [_check_home(workspace.store.root), check_label_studio(workspace)]
    findings += check_schedules(workspace)
    return findings


def _check_what_is_there(workspace: Workspace) -> Iterator[CheckResult]:
    """Report what an edit of the file or the task would undo, before every question is asked again."""
    try:
        if not workspace.store.exists:
            return
        snapshot = workspace.store.snapshot().at_last_commit()
        answers = told_before(snapshot, workspace.dataset)
        known = snapshot.current_records().group_by("source").len().sort("source").collect().iter_rows()
    except GoldleafError as error:
        yield CheckResult(what="what was curated", ok=False, detail=str(error))
        return
    if answers:
        yield CheckResult(
            what="annotators' answers",
            ok=True,
            warning="asked again" in answers,
            detail=answers,
        )
    named = {source.name for source in workspace.dataset.config.sources}
    for name, records in known:
        if name not in named:
            detail = f"no longer in the file: curate would withdraw its {counted(records, 'record')}"
            detail = f"{detail}; add it again to keep them"
            yield CheckResult(what=f"source {name}", ok=True, warning=True, detail=detail)


def _check_team(workspace: Workspace) -> Iterator[CheckResult]:
    """Warn of keys of a team that do not do what they say."""
    config, task = workspace.dataset.config, workspace.dataset.task
    if problem := nobody_left(config.review):
        yield CheckResult(what="review.annotators", ok=True, warning=True, detail=problem)
    problem = ""
    if config.review.gold and not has_known_answers(task):
        problem = f"two right answers of {task.__name__} may be worded differently, so it has no gold items; remove it"
    elif config.review.gold and not config.gold_sources:
        problem = (
            "no source has `gold: true`, so only rows that an adjudicator decides become gold items; add a source of "
            "rows whose answers are known"
        )
    if problem:
        yield CheckResult(what="review.gold", ok=True, warning=True, detail=problem)


def _check_form(task: type[Task]) -> CheckResult:
    try:
        return CheckResult(what="labeling form", ok=True, detail=f"{len(labeling_config(task)):,} characters of XML")
    except GoldleafError as error:
        return CheckResult(what="labeling form", ok=False, detail=str(error))


def _check_choices(task: type[Task]) -> Iterator[CheckResult]:
    """Warn of a target that can have one value only: curate and training work, and mean nothing."""
    for field in task.task_targets():
        # A set with or without the label: these are two answers.
        if len(field.choices) == 1 and not field.optional and not field.is_label_set:
            detail = (
                f"'{field.choices[0]}' is its only choice, so a model has nothing to learn, and every answer scores as "
                f"right; add the other choices to {task.__name__}, or remove the target"
            )
            yield CheckResult(what=f"target {field.name}", ok=True, warning=True, detail=detail)


def _check_evaluation_set(
    workspace: Workspace, one: EvaluationSet, headers_for: Callable[[Source], Headers]
) -> CheckResult:
    what = f"evaluation set {one.name}"
    try:
        with tempfile.TemporaryDirectory() as work:
            if one.release is None and is_url(source := as_source(one)):
                fetch(source, Path(work), headers=headers_for(source))
            texts = [text for _, text, _ in evaluation_texts(one, workspace.store, workspace.dataset, Path(work))]
    except GoldleafError as error:
        return CheckResult(what=what, ok=False, detail=str(error))
    names = workspace.dataset.task.task_names(Role.INPUT)
    several = "; all inputs count together, so map each that it has" if len(names) > 1 else ""
    detail = f"{counted(len(texts), 'row')}; rows similar to one are rejected{several}"
    return CheckResult(what=what, ok=True, detail=detail)


# --- what was tried -------------------------------------------------------------------------------
def _check_adopted(workspace: Workspace, folder: str, tried: list[TriedSource]) -> CheckResult:
    what = f"split.adopt {folder}".replace("\0", "\\0")
    path, dataset = workspace.dataset.folder / folder, workspace.dataset
    try:
        version = named_version(path)
    except GoldleafError as error:
        return CheckResult(what=what, ok=False, detail=str(error))
    asked = [row for source in tried for part in source.parts for row in part.asked]
    known = count_known(path, version, dataset.task, asked)
    rows = counted(sum(split.rows for split in version.splits.values()), "row")
    said = [f"{version.name}@{version.version} is undamaged, with the splits of {rows}"]
    if version.name != dataset.config.name:
        said.append(f"it is a version of '{version.name}', so '{dataset.config.name}' is numbered independently")
    if asked:
        said.append(
            f"{known or 'none'} of {counted(len(asked), 'valid row')} tried {'is' if known <= 1 else 'are'} in it"
        )
    if asked and not known:
        said.append("curate refuses a version without any of these rows; fix the folder, or the sources and fields")
    is_known = known > 0 or not all(source.is_whole for source in tried)
    return CheckResult(what=what, ok=is_known, detail="; ".join(said))


def _check_code(task: type[Task], tried: list[TriedRows]) -> Iterator[CheckResult]:
    """A check that itself fails finds nothing, and holds or rejects rows that are fine."""
    faults = [fault for rows in tried for fault in rows.faults]
    if faults:
        every = counted(sum(len(rows.raw) for rows in tried), "row")
        detail = f"it failed on {len(faults)} of {every} tried, such as {faults[0]}; fix it"
        yield CheckResult(what=f"code of {task.__name__}", ok=False, detail=detail)


def _check_chat(task: type[Task], place: str, parsed: Parsed) -> CheckResult:
    """A row as the model will see it, so that the prompt is known before a version is published."""
    what = f"{place} as a chat"
    try:
        messages = task.task_messages(parsed.inputs, parsed.targets)
        said = [(one.role.value, turn_text(one.as_json())) for one in messages]
    except BaseException as error:  # of the user's own code
        theirs = isinstance(own(error), TaskCodeError)
        detail = str(error) if theirs else f"{described(error)}; fix {task.__name__}'s task_prompt or task_answer"
        return CheckResult(what=what, ok=False, detail=detail)
    lines = (f"{role}: {textwrap.shorten(text, _SHOWN_CHARACTERS, placeholder=' …')}" for role, text in said)
    return CheckResult(what=what, ok=True, detail="\n  ".join(lines))


def _check_length(workspace: Workspace, examples: list[Parsed]) -> Iterator[CheckResult]:
    """Report if most of every prompt is a list of choices: it costs tokens in every row, in training and inference."""
    task, encoding = workspace.dataset.task, workspace.dataset.config.measure.encoding
    # Failures of the task's own code or the encoding are reported separately.
    with contextlib.suppress(Exception):
        prompts = ["\n".join(message.content for message in task.task_messages(one.inputs)) for one in examples]
        form, *whole = count_tokens([task.task_answer_form(), *prompts], encoding)
        if form < _LONG_FORM or not whole or form < _LARGE_SHARE * min(whole):
            return
        choices = sum(len(field.choices) for field in task.task_targets())
        # Those of nested fields are not counted.
        told = f", with {choices:,} choices," if choices else ""
        detail = (
            f"the answer format{told} takes {form:,} of {min(whole):,} tokens; a tuned "
            f"model knows them anyway: to leave it out, let task_answer_form in {task.__name__} return an empty string"
        )
        yield CheckResult(what="length of the prompts", ok=True, detail=detail)


def _check_grouping(tried: list[TriedRows], group_by: list[str], later: set[str]) -> Iterator[CheckResult]:
    rows = [row for part in tried for row in part.raw]
    seen = see_groups(rows, group_by) | Seen(frozenset(later))
    if rows and (problem := ungrouped(group_by, seen)):
        yield CheckResult(what="split.group_by", ok=False, detail=problem)


def check_schedules(workspace: Workspace) -> Iterator[CheckResult]:
    """Check the section ``schedules``; nothing is said where there is none.

    Args:
        workspace: the dataset, and its Label Studio.
    """
    schedules, now, told = workspace.dataset.config.schedules, datetime.now(UTC), []
    for verb in Verb:
        if (times := schedules.of(verb)) is not None:
            zone = ZoneInfo(times.timezone or schedules.timezone)
            told.append(f"{verb} at {read_cron(times.cron).next(now, zone.key).astimezone(zone):%F %T %Z}")
    if told:
        how = "by `goldleaf serve` or `goldleaf deploy`"
        yield CheckResult(what="schedules", ok=True, detail=f"next: {', '.join(told)}, {how}")
    if schedules.collect is not None and workspace.connection is None:
        problem = f"each can only fail: Label Studio is not configured; {HOW_TO_CONNECT}"
        yield CheckResult(what="schedules.collect", ok=True, warning=True, detail=problem)


# --- the machine ----------------------------------------------------------------------------------
def _check_home(root: Path) -> CheckResult:
    """Write a little where the tables would be, and leave nothing behind."""
    made = []
    try:
        made = [folder for folder in (root, *root.parents) if not folder.exists()]
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"goldleaf" * 1024)
        free = shutil.disk_usage(root).free
    except OSError as error:
        detail = f"{root} cannot be written: {error.strerror}; set GOLDLEAF_HOME to a writable folder"
        return CheckResult(what="home", ok=False, detail=detail)
    finally:
        for folder in made:
            # Another process may have begun to use it.
            with contextlib.suppress(OSError):
                folder.rmdir()
    return CheckResult(what="home", ok=True, detail=f"{root} is writable, {free / 1e9:.1f} GB free")


def check_label_studio(workspace: Workspace) -> CheckResult:
    """Whether the server answers, and knows us."""
    connection = workspace.connection
    if connection is None:
        hint = f"not configured, so questions for annotators will wait; to send them, {HOW_TO_CONNECT}"
        return CheckResult(what="Label Studio", ok=True, detail=hint)
    try:
        user = LabelStudio(connection.url, connection.api_key).check()
    except GoldleafError as error:
        return CheckResult(what="Label Studio", ok=False, detail=str(error))
    return CheckResult(what="Label Studio", ok=True, detail=f"{connection.shown} as {user}")
