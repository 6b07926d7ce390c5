"""Release: turn the accepted records into an immutable version that never leaks between its splits."""

from pydantic import BaseModel, ConfigDict

from flows.context import Context
from flows.engines.engine import Engine
from pipeline.curation.decide import follow_answers
from pipeline.errors import ReleaseError, VersionExists
from pipeline.releases.adoption import strange_versions
from pipeline.releases.draft import Draft, commit_versions, draft_release, keep_splits, publish_draft
from pipeline.releases.frozen_sources import FrozenSource
from pipeline.releases.versions import list_versions, next_version, parse_version
from pipeline.reporting.write_report import report_html, write_report
from schemas.manifest import AbsentLabel, Manifest
from schemas.run_summary import CurateSummary, ReleaseSummary, Verb


class Released(BaseModel):
    """A version, new or found."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    version: str
    digest: str
    path: str
    created: bool
    """False if the latest version already has exactly these rows."""
    splits: dict[str, int]
    """Rows by split."""
    absent: list[AbsentLabel] = []
    """Labels missing from some split."""
    frozen: list[FrozenSource] = []
    """What is published of each frozen source, and why the rest is not."""


def release(context: Context, engine: Engine, *, version: str | None = None) -> Released:
    """Publish the accepted records.

    Args:
        context: the dataset.
        engine: runs the steps.
        version: ``X.Y.Z``, above all others; default: the next minor version, or the latest one if nothing changed.

    Raises:
        ConfigError: the home holds the dataset of another file.
        VersionExists: the version was published before.
        ReleaseError: nothing is accepted, two splits would share a group, the dataset was changed since it was
            curated, a version has splits that the tables do not know, or ``version`` is invalid, is not above the
            latest one or has nothing new.
    """
    if version is not None:
        parse_version(version)
    store, name = context.store, context.dataset.config.name
    with store.lock(Verb.RELEASE):
        context.require_owner()
        _require_curated(context)
        follow_answers(context, engine)
        store.clear_work()
        snapshot = store.snapshot().at_last_commit()
        run = context.new_run(Verb.RELEASE)
        with engine.progress.step("preparing the release"):
            draft = engine.run(draft_release, snapshot, context.dataset)
        published = list_versions(store.releases)
        earlier = [manifest.version for manifest in published] + sorted(snapshot.adopted_versions())
        found = _found(published, draft, version, earlier, committed=store.snapshot().published_versions())
        if found is None:
            commit_versions(store, name)
            chosen = version or next_version(earlier)
            engine.run(keep_splits, store, draft, run.id)
            with engine.progress.step(f"publishing {chosen}"):
                report = report_html(context, draft.absent).encode()
                found = engine.run(publish_draft, store, context.dataset, draft, run, chosen, report)
            created = True
        else:
            created = found.version not in store.snapshot().published_versions()
        if created:
            summary = ReleaseSummary(version=found.version, digest=found.digest)
            store.commit(run, inputs=found.inputs, funnel=found.funnel, summary=summary)
    write_report(context)
    if created:
        engine.emit("dataset.published", context.event(version=found.version, digest=found.digest))
    return Released(
        dataset=name,
        version=found.version,
        digest=found.digest,
        path=str(store.releases / found.version),
        created=created,
        splits={split: file.rows for split, file in found.splits.items()},
        absent=found.absent,
        frozen=list(draft.frozen),
    )


def _require_curated(context: Context) -> None:
    """Refuse to publish what the last curate did not decide.

    Raises:
        ReleaseError: there was none, the dataset was changed since, or versions have splits that no table knows.
    """
    store, name, curate = context.store, context.dataset.config.name, f"`goldleaf curate {context.dataset.path}`"
    last = store.snapshot().at_last_commit().last_run(CurateSummary)
    if last is None:
        raise ReleaseError(f"'{name}' was never curated; run {curate} first")
    if context.dataset.has_changed_since(last.summary):
        raise ReleaseError(
            f"{context.dataset.path} or its task was changed since the last curate, so the version would not match "
            f"them; run {curate} first"
        )
    if strange := strange_versions(store, name):
        raise ReleaseError(
            f"the splits of {strange[0]} are not in the tables, which were lost or are older; run {curate} first, "
            "which adopts them"
        )


def _found(
    published: list[Manifest], draft: Draft, version: str | None, earlier: list[str], committed: set[str]
) -> Manifest | None:
    """The version that this release would only repeat, or whose commit a killed run still owes.

    Raises:
        VersionExists: the requested version exists and is committed, or has other rows.
        ReleaseError: it is not above the latest one, or has nothing new.
    """
    same = [manifest for manifest in published if manifest.digest == draft.digest]
    if version is None:
        return same[-1] if same and same[-1] == published[-1] else None
    there = next((manifest for manifest in published if manifest.version == version), None)
    if there is None:
        _require_something_new(published, version, earlier, same)
        return None
    if there.version not in committed and there in same:
        return there
    if there in same:
        use = "use that version" + ("" if there == published[-1] else f", or pass --version {next_version(earlier)}")
        raise VersionExists(f"Version {version} of '{there.name}' already exists, with exactly these rows; {use}.")
    hint = f"pass --version {next_version(earlier)}"
    raise VersionExists(f"Version {version} of '{there.name}' already exists and never changes; {hint}.")


def _require_something_new(published: list[Manifest], version: str, earlier: list[str], same: list[Manifest]) -> None:
    """Versions count up and differ, or `latest` would not be the one published last.

    Raises:
        ReleaseError: the version is not above the latest one, or that one has the same rows.
    """
    if published and published[-1] in same:
        latest = published[-1]
        raise ReleaseError(f"nothing is new: {latest.name}@{latest.version} has exactly these rows; use that version")
    highest = max(earlier, key=parse_version, default="")
    if highest and parse_version(version) <= parse_version(highest):
        raise ReleaseError(
            f"version {version} is not above {highest}, the latest one; "
            f"pass --version {next_version(earlier)}, or leave it out"
        )
