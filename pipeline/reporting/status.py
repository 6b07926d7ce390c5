"""A dataset's status, and what to do next."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
from pydantic import BaseModel

from pipeline.config.workspace import HOW_TO_CONNECT, Workspace
from pipeline.evaluation.estimates import Unit
from pipeline.finetuning.checkpoints import UnfinishedTraining, unfinished_training
from pipeline.ladder.assessment import PAGE
from pipeline.ladder.judgement import Verdict
from pipeline.ladder.kept_answers import left_unfinished
from pipeline.releases.audit_result import AuditResult, audit_result
from pipeline.releases.frozen_sources import FrozenSource, frozen_sources
from pipeline.releases.versions import is_of_task, readable_versions
from pipeline.reporting.attention import Attention, attention, unread_answers
from pipeline.reporting.doubted_gold import DoubtedGold, doubted_in
from pipeline.reporting.error_outlook import ErrorOutlook, error_outlook
from pipeline.reporting.last_finetuning import Judged, last_finetuning
from pipeline.reporting.overview import (
    Rejection,
    Seats,
    Waiting,
    asked_again,
    count_waiting,
    in_review,
    nobody_left,
    open_answers,
    open_seats,
    rejections,
)
from pipeline.reporting.score_of_suggestions import SuggestionScore, score_of_suggestions
from pipeline.reporting.unreliable import unreliable
from pipeline.review.seating import redistributed
from pipeline.state.at_work import killed, stuck
from pipeline.state.runs import ahead_of
from pipeline.state.same_question import same_question
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from pipeline.text.wording import counted
from schemas.dataset import Review
from schemas.fate import ReasonCode
from schemas.manifest import Funnel
from schemas.run_summary import (
    BudgetUse,
    CollectSummary,
    CurateFacts,
    CurateSummary,
    FinetuneSummary,
    Proof,
    ReleaseSummary,
    Verb,
)

_LAST_RUNS = 5


class RunLine(BaseModel, frozen=True):
    """A committed run."""

    run: str
    verb: str
    """``suggest``, too, though it decides like a curate."""
    finished_at: datetime
    model: str = ""
    """Whose new answers it decided with; empty if it was about more than these."""
    did: str = ""
    """What came of it: what a curate looked at, what a collect pulled, which version was published or trained on."""

    def __str__(self) -> str:
        """The command as a user knows it."""
        return f"{self.verb} ({self.model})" if self.model else self.verb


class Status(BudgetUse, BaseModel, frozen=True):
    """A dataset's status; the numbers are the funnel's."""

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
    """Questions without an answer; a question is what one annotator is asked about one row, one task."""
    waiting_rows: int
    """The rows that they are about."""
    unsent: int
    """Of those, not in Label Studio yet."""
    skipped: int
    """Of those, skipped by annotators; a skip is not an answer."""
    seats: Seats | None = None
    """The tasks that wait by who is to answer; None if no annotators are named and no question is for two of them."""
    nobody_left: str = ""
    """That too few annotators are named to settle everything, and what to do about it."""
    notes: list[str] = []
    """Who hangs, whose open tasks the last curate gave to others, whose answers confirm nothing, and that a server is
    away."""
    attention: list[Attention]
    """What only annotators can settle, though Label Studio counts its task as done."""
    unreliable: list[str] = []
    """Annotators whose answers are worth a look, and why, a line each."""
    doubted_gold: list[DoubtedGold] = []
    """Known answers that annotators or models contradict: they may be wrong."""
    rejections: list[Rejection]
    """Why rows are rejected, the most frequent reason first."""
    in_review: dict[ReasonCode, int]
    """How many rows are in review, by first reason."""
    suggestions: SuggestionScore | None = None
    """How good a model's suggestions are, and how readily annotators accept them; None if no model was ever asked."""
    outlook: ErrorOutlook | None
    """What annotators found among suspect labels, and would find next; none while they have answered few."""
    audit: AuditResult | None
    """Which share of the accepted rows is wrong, by the audit; none until an audit question is answered."""
    proof: Proof | None
    """How far `review.error_rate` is proven, if it is set."""
    frozen: list[FrozenSource]
    """What is published of each frozen source, and why the rest is not; none until they are curated as frozen."""
    latest_release: str | None
    finetuned: str | None = None
    """What the last fine-tuning found, in a sentence; None before the first."""
    is_finetuning: bool = False
    """Whether one is running on this machine, so that ``finetuned`` is of the one before."""
    is_asking_baselines: bool = False
    """Whether arms that need no training are asked on this machine just now."""
    training: UnfinishedTraining | None = None
    """One that has not ended, if it is newer than the last fine-tuning."""
    killed: dict[str, datetime] = {}
    """By verb: when a run began that was killed. The next one of the verb does its work."""
    clock: str = ""
    """That a run says it was later than now."""
    damaged_releases: list[str]
    """What is wrong with each version that cannot be read."""
    runs: list[RunLine]
    """The latest first."""
    next_step: str
    """What to do now: ``next_command``, and what comes before it or why."""
    next_command: str

    def funnel(self) -> Funnel:
        """The numbers as a funnel."""
        return Funnel.model_validate({name: getattr(self, name) for name in Funnel.model_fields})


def read_status(workspace: Workspace) -> Status:
    """Read the committed state; a dataset that has not been curated yet has zeros."""
    snapshot = workspace.store.snapshot().at_last_commit()
    seats = open_seats(snapshot, workspace.dataset)
    asked = count_waiting(snapshot, workspace.dataset.task, seats)
    connection = workspace.connection
    studio = connection.shown if connection else ""
    needed = attention(snapshot, workspace.dataset.task, studio, asked_again(seats))
    funnel = snapshot.settled_funnel()
    curated = snapshot.last_run(CurateSummary)
    given = redistributed(snapshot, curated.id) if curated else ""
    is_present = curated is not None and not workspace.dataset.has_changed_since(curated.summary)
    frozen = frozen_sources(snapshot, workspace.dataset.config.sources) if is_present else []
    versions, damaged = readable_versions(workspace.store.releases)
    todo = next_step(workspace, snapshot, asked, len(needed))
    now = datetime.now(UTC)
    hung = [f"{who} {said}" for who, said in stuck(workspace.store, now).items()]
    return Status(
        dataset=workspace.dataset.config.name,
        home=str(workspace.store.root),
        **funnel.model_dump(),
        waiting=asked.questions,
        waiting_rows=asked.rows,
        unsent=asked.unsent,
        skipped=asked.skipped,
        seats=asked.seats,
        nobody_left=nobody_left(workspace.dataset.config.review, asked.seats),
        notes=[*hung, *filter(None, [given, unread_answers(snapshot, asked_again(seats))])],
        attention=needed,
        unreliable=list(map(str, unreliable(snapshot, workspace.dataset))),
        doubted_gold=doubted_in(snapshot, workspace.dataset),
        rejections=rejections(snapshot, workspace.dataset.task),
        in_review=in_review(snapshot),
        **(curated.summary.of_budget if curated else {}),
        suggestions=score_of_suggestions(workspace, snapshot),
        outlook=error_outlook(snapshot, workspace.dataset.config.review.floor),
        audit=audit_result(snapshot, open_answers(snapshot, workspace.dataset, seats)),
        proof=curated.summary.proof if curated else None,
        frozen=[source.model_copy(update={"is_published": bool(versions)}) for source in frozen],
        latest_release=versions[-1].version if versions else None,
        finetuned=_finetuned(workspace, snapshot),
        is_finetuning=workspace.store.is_finetuning,
        is_asking_baselines=workspace.store.is_asking_baselines,
        training=_training(workspace, snapshot),
        killed=killed(workspace.store),
        clock=ahead_of(snapshot.runs, now),
        damaged_releases=damaged,
        runs=list(_last_runs(snapshot)),
        next_step=str(todo),
        next_command=todo.command,
    )


def _last_runs(snapshot: Snapshot) -> Iterator[RunLine]:
    last = snapshot.runs.sort("run", descending=True).head(_LAST_RUNS)
    for run, verb, finished_at in last.select("run", "verb", "finished_at").iter_rows():
        curated = snapshot.committed_run(run, CurateFacts)
        model = curated.summary.heard if curated else ""
        yield RunLine(
            run=run,
            verb="suggest" if model else verb,
            finished_at=finished_at,
            model=model,
            did=_what_it_did(snapshot, run, curated.summary if curated else None),
        )


def _what_it_did(snapshot: Snapshot, run: str, curated: CurateFacts | None) -> str:
    if curated is not None:
        looked = str(curated.looked or "")
        return looked if curated.reads else f"followed answers: {looked}"
    if collected := snapshot.committed_run(run, CollectSummary):
        pulled = collected.summary
        return f"{counted(pulled.annotations, 'annotation')} about {counted(pulled.decided, 'record')}"
    if released := snapshot.committed_run(run, ReleaseSummary):
        return f"published {released.summary.version}"
    trained = snapshot.committed_run(run, FinetuneSummary)
    return f"trained on {trained.summary.version}" if trained else ""


def _finetuned(workspace: Workspace, snapshot: Snapshot) -> str | None:
    last = last_finetuning(snapshot)
    if last is None:
        return None
    found, unit = last.summary, Unit(last.summary.unit)
    rival = "" if found.rival is None else f", {found.rival_title} {unit.shown(found.rival)}"
    scores = f"{found.tuned_title} {unit.shown(found.tuned)}{rival}"
    gone = f"; {last.gone}" if last.gone else ""
    heading = Verdict(found.verdict).heading
    return f"fine-tuned on {workspace.dataset.config.name}@{found.version}: {heading} ({scores}){gone}"


def _training(workspace: Workspace, snapshot: Snapshot) -> UnfinishedTraining | None:
    found, last = unfinished_training(workspace.store.models), snapshot.last_run(FinetuneSummary)
    if found is None or last is None:
        return found
    ended_at = snapshot.runs.filter(pl.col("run") == last.id)["finished_at"].item()
    return found if found.written_at > ended_at else None


def _is_interrupted(workspace: Workspace, snapshot: Snapshot) -> bool:
    """Whether a fine-tuning has left something to the next one, which can use it, since the last that ended."""
    left, released = left_unfinished(workspace.store.models), readable_versions(workspace.store.releases)[0]
    if left is None or workspace.store.is_finetuning or not released:
        return False
    if not is_of_task(released[-1], workspace.dataset.task):
        return False
    ended = snapshot.runs.filter(pl.col("verb") == Verb.FINETUNE.value)["finished_at"].to_list()
    return not ended or left > ended[-1]


def _has_news(snapshot: Snapshot) -> bool:
    """Whether a record was decided after the latest release of this home."""
    last = snapshot.last_run(ReleaseSummary)
    if last is None:
        return False
    later = snapshot.runs.filter(pl.col("run") > last.id)["run"]
    made = snapshot.scan(Table.DECISIONS).filter(pl.col("run").is_in(later.implode()))
    return not made.select("run").head(1).collect().is_empty()


def project_address(workspace: Workspace, snapshot: Snapshot) -> str:
    """The address of the project that the last questions went to; empty if none did, or no server is configured."""
    if workspace.connection is None:
        return ""
    asked = snapshot.tasks().filter(pl.col("task_digest").is_in(list(same_question(snapshot, workspace.dataset.task))))
    last = asked.sort("pushed_at").select("project").tail(1).collect().to_series().to_list()
    return f"{workspace.connection.shown.rstrip('/')}/projects/{last[0]}/data" if last else ""


@dataclass(frozen=True)
class NextStep:
    """What to do now."""

    before: str
    """What comes before the command."""
    command: str
    after: str = ""
    """Why, or what for."""

    def __str__(self) -> str:
        return f"{self.before}{self.command}{self.after}"


def next_step(workspace: Workspace, snapshot: Snapshot, asked: Waiting, needed: int) -> NextStep:
    """What to do now.

    Args:
        workspace: the dataset.
        snapshot: the committed state.
        asked: the open questions.
        needed: how many answers only annotators can settle.
    """
    before, verb, after = _step(workspace, snapshot, asked, needed)
    return NextStep(before, f"goldleaf {verb} {shlex.quote(str(workspace.dataset.path))}", after)


def _step(workspace: Workspace, snapshot: Snapshot, asked: Waiting, needed: int) -> tuple[str, Verb, str]:
    """What comes before the next verb, the verb, and what comes after it."""
    curated, review = snapshot.last_run(CurateSummary), workspace.dataset.config.review
    if curated is None:
        return "", Verb.CURATE, ""
    if workspace.dataset.has_changed_since(curated.summary):
        return "", Verb.CURATE, ", since the file or its task was changed"
    if Verb.CURATE in killed(workspace.store):
        return "", Verb.CURATE, ", since the last one was killed"
    if _is_interrupted(workspace, snapshot):
        return "", Verb.FINETUNE, ", with the options that it had, to go on with the fine-tuning that was interrupted"
    connection = workspace.connection
    connect = "" if connection and connection.api_key else f"{HOW_TO_CONNECT}, "
    if asked.questions and _is_gone(snapshot):
        return f"{connect}then " if connect else "", Verb.CURATE, " to create the project again: it was gone"
    if asked.unsent:
        return f"{connect}then " if connect else "", Verb.CURATE, f" to send {counted(asked.unsent, 'question')}"
    if needed:
        which = "the answer that needs" if needed == 1 else f"the {needed:,} answers that need"
        return f"{connect}settle {which} an annotator in Label Studio, then ", Verb.COLLECT, ""
    if asked.questions and review.annotators and not connect:
        file = shlex.quote(str(workspace.dataset.path))
        return f"send each annotator the address of their tab (goldleaf invite {file}), then ", Verb.COLLECT, ""
    if asked.questions:
        project = project_address(workspace, snapshot)
        return f"{connect}label in Label Studio{f' at {project}' if project else ''}, then ", Verb.COLLECT, ""
    funnel, released = snapshot.settled_funnel(), readable_versions(workspace.store.releases)[0]
    if not funnel.accepted:
        way_out = _if_nothing_is_accepted(funnel, review, curated.summary.budget)
        return f"{way_out}, then ", Verb.CURATE, ""
    if released and _has_news(snapshot):
        return "", Verb.RELEASE, ", since rows were decided after the latest release"
    if not released:
        return "", Verb.RELEASE, ""
    tuned = last_finetuning(snapshot)
    is_tuned = tuned is not None and tuned.summary.version == released[-1].version
    return _after_finetuning(tuned) if tuned and is_tuned else ("", Verb.FINETUNE, "")


def _after_finetuning(last: Judged) -> tuple[str, Verb, str]:
    """What comes after the latest version was fine-tuned on."""
    found = last.assessment
    if found is None:
        return "", Verb.FINETUNE, f", since {last.gone}"
    if not found.ladder.is_complete:
        return "", Verb.FINETUNE, " to ask the arms that did not answer"
    return f"read {last.folder / PAGE}; for another round, add or correct rows, then ", Verb.CURATE, ""


def _is_gone(snapshot: Snapshot) -> bool:
    """Whether the last collect found no project, and nothing was sent since."""
    last = snapshot.last_run(CollectSummary)
    if last is None or not last.summary.is_gone:
        return False
    # Not by run: reconcile sends in the name of the last curate.
    found_at = snapshot.runs.filter(pl.col("run") == last.id)["finished_at"].item()
    return snapshot.scan(Table.PUSHES).filter(pl.col("pushed_at") > found_at).head(1).collect().is_empty()


def _if_nothing_is_accepted(funnel: Funnel, review: Review, budget: int) -> str:
    """What helps if nothing can be released and no question is open: only other rows or settings."""
    if funnel.review and review.error_rate is not None:
        return "replace review.error_rate by a review.budget, because some rows in review were not sent"
    if funnel.review:
        return f"set review.budget to more than {budget:,}, because some rows in review were not sent"
    if funnel.rejected:
        return "fix the source, its fields or the task, because all rows are rejected"
    return "add rows, since there are none"
