"""The state of all datasets in a home, by their tables and locks alone: a scheduler's pages may be wrong about runs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel

from pipeline.config.dataset_file import check_without_code, schedules_in
from pipeline.errors import ConfigError, GoldleafError
from pipeline.releases.versions import readable_versions
from pipeline.state.at_work import at_work, is_by, killed, stuck
from pipeline.state.runs import ahead_of
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tries import Tries, noted_since, tries_of
from schemas.cron import read_cron
from schemas.durations import seconds_of
from schemas.run_summary import CurateFacts, Verb

_COMMITS = (Verb.CURATE, Verb.COLLECT)
"""The verbs that commit a run even if there was nothing to do; of others there is a note."""
_NOBODY = "-"
"""The name of no dataset."""


class DatasetLine(BaseModel, frozen=True):
    """What a home knows about a dataset."""

    dataset: str
    file: str = ""
    """The dataset.yaml of the last curate."""
    current: int = 0
    accepted: int = 0
    review: int = 0
    last: dict[str, datetime] = {}
    """By verb: when its last committed run ended."""
    latest_release: str | None = None
    at_work: list[str] = []
    """Who is using it, or waits for that."""
    stuck: list[str] = []
    """Who of these shows no sign of life, and since when."""
    skipped: list[str] = []
    """Scheduled verbs that were skipped again and again, and why."""
    killed: dict[str, datetime] = {}
    """By verb: when a run began that was killed. The next one of the verb does its work."""
    overdue: list[str] = []
    """What its schedule wanted, and no run has done."""
    clock: str = ""
    """That a run says it was later than now."""
    problem: str = ""
    """Why nothing else, or nothing about its schedule, can be said."""

    @property
    def is_well(self) -> bool:
        """Whether nobody needs to look after it."""
        return not (self.stuck or self.skipped or self.overdue or self.clock or self.problem)


def all_datasets(home: Path, now: datetime | None = None) -> list[DatasetLine]:
    """Every dataset in a home, by name; one that cannot be read does not hide the others.

    Args:
        home: has the datasets.
        now: when something is overdue; the time of the clock if it is not given.
    """
    stores = [Store(home, name) for name in Store(home, _NOBODY).siblings()]
    return [_line(store, now or datetime.now(UTC)) for store in stores]


def _line(store: Store, now: datetime) -> DatasetLine:
    try:
        return _read(store, now)
    except GoldleafError as error:
        return DatasetLine(dataset=store.dataset, at_work=at_work(store), problem=str(error))


def _read(store: Store, now: datetime) -> DatasetLine:
    snapshot = store.snapshot().at_last_commit()
    curated = snapshot.last_run(CurateFacts)
    funnel = snapshot.settled_funnel()
    versions, damaged = readable_versions(store.releases)
    file = curated.summary.file if curated else ""
    now_at_work, silent, tries = at_work(store), stuck(store, now), tries_of(store)
    alive = [holder for holder in now_at_work if holder not in silent]
    last = {verb.value: at for verb in Verb if (at := snapshot.runs_that_did(verb)["finished_at"].max()) is not None}
    overdue, wrong = list[str](), list[str]()
    if not curated and not now_at_work:
        wrong = ["no curate has come to its end yet, so nobody knows what is due; `goldleaf curate` says why"]
    try:
        overdue = _overdue(snapshot, Path(file), now, alive, tries, has_version=bool(versions)) if file else []
        if file:
            check_without_code(Path(file))
    except (ConfigError, OSError) as error:
        wrong = ["; ".join(str(error).splitlines()) if Path(file).exists() else _gone(store, file)]
    return DatasetLine(
        dataset=store.dataset,
        file=file,
        current=funnel.current,
        accepted=funnel.accepted,
        review=funnel.review,
        last=last,
        latest_release=versions[-1].version if versions else None,
        at_work=now_at_work,
        stuck=[f"{holder} {found}" for holder, found in silent.items()],
        skipped=[f"{verb} was {told}" for verb, one in tries.items() if (told := one.told(timedelta()))],
        killed=killed(store),
        overdue=overdue,
        clock=ahead_of(snapshot.runs, now),
        problem=" ".join([*damaged, *wrong]),
    )


def _gone(store: Store, file: str) -> str:
    return (
        f"{file} is gone, so nobody knows what is due; restore it, curate the dataset.yaml that has taken its place, "
        f"or move {store.root} away if the dataset is not needed any more"
    )


def _overdue(
    snapshot: Snapshot,
    file: Path,
    now: datetime,
    now_at_work: Sequence[str],
    tries: Mapping[str, Tries],
    *,
    has_version: bool,
) -> list[str]:
    """What the schedule of a dataset.yaml has wanted since the verb last ran, longer ago than a run would wait.

    Raises:
        ConfigError: the schedule cannot be read.
        OSError: the file went away just now.
    """
    schedules = schedules_in(file)
    patience = timedelta(seconds=seconds_of(schedules.wait))
    found, first = [], min(snapshot.runs["started_at"].to_list())
    for verb in Verb:
        times, noted = schedules.of(verb), first if verb in _COMMITS else noted_since(tries)
        if times is None or noted is None or (verb is Verb.FINETUNE and not has_version):
            continue
        if any(is_by(verb, holder) for holder in now_at_work):
            continue
        # Nothing was due in a dataset that was not there, or by times that may not have been there.
        began = snapshot.runs_that_did(verb)["started_at"].to_list()
        began += [tries[verb].done_at] if verb in tries and tries[verb].done_at else []
        cron, zone = read_cron(times.cron), times.timezone or schedules.timezone
        # What says that it was later than now had a wrong clock.
        due_at = cron.next(max((at for at in (*began, noted, _written_at(file)) if at <= now), default=now), zone)
        if now - due_at > patience:
            last = cron.last(now, zone)
            again = f", and last at {last:%F %T}" if last > due_at else ""
            found.append(f"{verb} was due at {due_at:%F %T} UTC{again}")
    return found


def _written_at(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)
