"""Commits versions that were published by a run that was killed before it could commit."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.releases.adoption import versions_with_unknown_splits
from pipeline.releases.versions import readable_versions
from pipeline.state.runs import Run
from pipeline.state.store import Store
from schemas.manifest import Manifest
from schemas.run_summary import ReleaseSummary, Verb


def recover_unrecorded_releases(store: Store, name: str) -> list[Path]:
    """Commit versions whose release was killed before it could: they are published, and pin rows similar to theirs.

    Returns:
        The folders of those whose splits the home does not know, which the next curate must adopt.

    Raises:
        Damaged: a version that is not committed is not as it was published.
    """
    unknown = versions_with_unknown_splits(store, name)
    commit_versions(store, name, unknown)
    return unknown


def commit_versions(store: Store, name: str, unknown: Iterable[Path] = ()) -> None:
    """Commit those versions that no run has committed, except those with unknown splits."""
    passed = store.snapshot().published_versions().union(folder.name for folder in unknown)
    for manifest in readable_versions(store.releases)[0]:
        if manifest.name == name and manifest.version not in passed:
            commit_version(store, manifest)


def commit_version(store: Store, manifest: Manifest) -> None:
    """Commit the run that published a version."""
    run = Run(manifest.run, Verb.RELEASE, "", manifest.created_at, manifest.goldleaf)
    summary = ReleaseSummary(version=manifest.version, digest=manifest.digest)
    store.commit(run, inputs=manifest.inputs, funnel=manifest.funnel, summary=summary)
