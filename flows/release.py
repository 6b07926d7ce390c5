"""Release: turn the accepted records into an immutable version that never leaks between its splits."""

from functools import partial

from pydantic import BaseModel

from flows.context import Context
from flows.engines.engine import Engine
from flows.run_page import verb_markdown
from pipeline.curation.follow_answers import follow_answers
from pipeline.curation.shared_keys import shared_keys
from pipeline.curation.stages import without_garbage_collection
from pipeline.releases.absent_labels import empty_splits
from pipeline.releases.draft import (
    Draft,
    draft_release,
    keep_splits,
    publish_draft,
    require_curated,
    write_draft,
)
from pipeline.releases.frozen_sources import FrozenSource
from pipeline.releases.lockfile import locked_versions
from pipeline.releases.lost_rows import lost_rows, require_few_lost
from pipeline.releases.numbering import require_newest, version_to_repeat
from pipeline.releases.publish import digest_of
from pipeline.releases.recovery import commit_versions
from pipeline.releases.unannounced import forget_unheard, note_unheard, unheard
from pipeline.releases.versions import list_versions, next_version, parse_version
from pipeline.reporting.overview import open_answers, open_seats
from pipeline.reporting.write_report import report_for_version, write_report
from pipeline.review.pushing import version_seen
from pipeline.state.runs import Run
from pipeline.state.snapshot import Snapshot
from pipeline.state.staging import staged
from schemas.manifest import AbsentLabel, Manifest
from schemas.run_summary import Looked, Proof, ReleaseSummary, Verb


class Released(BaseModel, frozen=True):
    """A version, new or found."""

    dataset: str
    version: str
    digest: str
    path: str
    created: bool
    """False if the latest version already has exactly these rows."""
    note: str = ""
    """What is to be known about its number; empty if nothing is."""
    looked: Looked | None = None
    """What it looked at to let records follow answers that came in before; None if there were none."""
    splits: dict[str, int]
    """Rows by split."""
    lost: str = ""
    """How many rows of the last version it does not have, and why; empty if it has all."""
    absent: list[AbsentLabel] = []
    """Labels missing from some split."""
    empty: dict[str, float] = {}
    """The shares of the splits without rows that should have some."""
    preferences: dict[str, int] = {}
    """Preference pairs by split."""
    probably_wrong: int = 0
    """Published rows whose answer is likelier wrong than right, and about which nobody was asked."""
    proof: Proof | None = None
    """How far `review.error_rate` is proven, if it is set."""
    frozen: list[FrozenSource] = []
    """What is published of each frozen source, and why the rest is not."""


def release(context: Context, engine: Engine, *, version: str | None = None, allow_lost: bool = False) -> Released:
    """Publish the accepted records.

    Args:
        context: the dataset.
        engine: runs the steps.
        version: ``X.Y.Z``, above all others; default: the next minor version, or the latest one if nothing changed.
        allow_lost: publish however many rows of the last version it does not have.

    Raises:
        ConfigError: the home holds the dataset of another file.
        VersionExists: the version was published before.
        ReleaseError: nothing is accepted, too many rows of the last version are lost, two splits would share a group,
            the dataset was changed since it was curated, a version has splits that the tables do not know, or
            ``version`` is invalid, is not above the latest one or has nothing new.
    """
    if version is not None:
        parse_version(version)
    store, name = context.store, context.dataset.config.name
    with store.lock(Verb.RELEASE):
        context.require_owner()
        # What is published must be what was written.
        store.verify_anew()
        require_curated(store, context.dataset)
        with store.own_work(Verb.RELEASE):
            followed = follow_answers(context, engine)
            store.clear_work()
            snapshot = store.snapshot().at_last_commit()
            run = context.new_run(Verb.RELEASE)
            with without_garbage_collection():
                draft = _draft(context, engine, snapshot)
            lost = _lost(context, snapshot, draft, allow_lost=allow_lost)
            found, created, note = _published(context, engine, snapshot, draft, run, version)
            if created:
                summary = ReleaseSummary(version=found.version, digest=found.digest)
                store.commit(run, inputs=found.inputs, funnel=found.funnel, summary=summary)
                _announce(context, engine, found)
                version_seen(snapshot, context.connection, found.version)
    write_report(context, progress=engine.progress)
    splits = {split: file.rows for split, file in found.splits.items()}
    result = Released(
        dataset=name,
        version=found.version,
        digest=found.digest,
        path=str(store.releases / found.version),
        created=created,
        looked=followed.looked,
        splits=splits,
        note=note,
        lost=lost if created else "",
        absent=found.absent,
        empty=empty_splits(context.dataset.config.split.fractions, splits),
        preferences={split: file.rows for split, file in found.preferences.items()},
        probably_wrong=draft.probably_wrong,
        proof=draft.proof,
        frozen=list(draft.frozen),
    )
    if created:
        engine.artifact(f"goldleaf-{name}-release", lambda: verb_markdown(context, Verb.RELEASE, result))
    return result


def _lost(context: Context, snapshot: Snapshot, draft: Draft, *, allow_lost: bool) -> str:
    """What is not published of the last version, in words; empty if nothing is missing.

    Raises:
        ReleaseError: it is more than is allowed.
    """
    found = lost_rows(context.store, snapshot, draft.rows)
    if found and not allow_lost:
        require_few_lost(found, context.dataset.config.release.most_lost)
    return str(found or "")


def announce_unheard(context: Context, engine: Engine) -> None:
    """Announce versions whose release was killed, or could not reach the server, before anybody heard of them."""
    for manifest in unheard(context.store):
        _announce(context, engine, manifest)


def _announce(context: Context, engine: Engine, found: Manifest) -> None:
    """Tell the engine of a new version."""
    if engine.emit("dataset.published", context.event(version=found.version, digest=found.digest)):
        forget_unheard(context.store, found.version)


def _published(
    context: Context, engine: Engine, snapshot: Snapshot, draft: Draft, run: Run, version: str | None
) -> tuple[Manifest, bool, str]:
    """The version with the rows of a draft, whether its run is still to be committed, and a note on its number."""
    store, dataset = context.store, context.dataset
    published = list_versions(store.releases)
    committed = store.snapshot().published_versions()
    # Also of versions that are no longer there, or not there again: who has one must not get another one by its number.
    elsewhere = committed | snapshot.adopted_versions() | set(locked_versions(dataset.folder, dataset.config.name))
    taken = list(dict.fromkeys([manifest.version for manifest in published] + sorted(elsewhere)))
    project = f"the project of '{dataset.config.name}' in Label Studio"
    seen = version_seen(snapshot, context.connection, max(taken, key=parse_version, default=""))
    note = f"{project} could not be asked which versions it has seen" if seen is None else ""
    if seen and not taken:
        note = f"{project} has seen version {seen}, and this home has none: it goes on above that, and only a copy of "
        note += "it in `split.adopt` would keep its rows in their splits"
    elif seen and version is None:
        require_newest(seen, taken, project)
    taken += [seen] if seen else []
    task_digest = dataset.task.task_digest()
    work = store.work(run.id)
    with staged(store.releases) as folder:
        with (
            engine.progress.step("writing the rows", draft.rows.height, "rows") as advance,
            without_garbage_collection(),
        ):
            files = engine.run(write_draft, draft, snapshot, dataset, folder, work, advance)
        found = version_to_repeat(published, digest_of(files), task_digest, version, taken=taken, committed=committed)
        if found is not None:
            return found, found.version not in committed, note
        commit_versions(store, dataset.config.name)
        chosen = version or next_version(taken)
        engine.run(keep_splits, store, draft, run.id)
        note_unheard(store, chosen)
        with engine.progress.step(f"publishing {chosen}"):
            told = report_for_version(context, draft.absent, engine.progress)
            more = (run, chosen, told.page, told.agreement)
            return engine.run(publish_draft, store, dataset, draft, folder, files, *more), True, note


def _draft(context: Context, engine: Engine, snapshot: Snapshot) -> Draft:
    with engine.progress.step("preparing the release"):
        left = open_answers(snapshot, context.dataset, open_seats(snapshot, context.dataset))
        shared = partial(shared_keys, snapshot, context.dataset)
        return engine.run(draft_release, snapshot, context.dataset, shared, left)
