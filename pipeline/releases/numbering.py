"""Which version number a release gets, and when it only repeats a version that is already published."""

from collections.abc import Collection, Sequence

from pipeline.errors import ReleaseError, VersionExists
from pipeline.releases.versions import next_version, parse_version
from schemas.manifest import Manifest


def version_to_repeat(
    published: Sequence[Manifest],
    digest: str,
    task_digest: str,
    version: str | None,
    *,
    taken: Sequence[str],
    committed: Collection[str],
) -> Manifest | None:
    """The published version that this release would repeat, or whose commit a killed run still owes.

    Args:
        published: the versions in the home, lowest first.
        digest: of the rows to release.
        task_digest: of the task that they are of: the same rows of another one are another version.
        version: the number that was asked for, ``X.Y.Z``; None for the next one.
        taken: all numbers in use, including those of versions that were only adopted.
        committed: the numbers that a run has committed.

    Returns:
        None if a new version is due.

    Raises:
        VersionExists: the requested version is there and committed, or has other rows.
        ReleaseError: it is not above the latest one, or has nothing new.
    """
    same = [one for one in published if (one.digest, one.task_digest) == (digest, task_digest)]
    if version is None:
        return same[-1] if same and same[-1] == published[-1] else None
    there = next((manifest for manifest in published if manifest.version == version), None)
    if there is None:
        _require_new_rows(published, same)
        _require_highest(version, taken)
        return None
    if there not in same:
        hint = f"pass --version {next_version(taken)}"
        raise VersionExists(f"version {version} of '{there.name}' already exists and never changes; {hint}")
    if there.version in committed:
        use = "use that version" + ("" if there == published[-1] else f", or pass --version {next_version(taken)}")
        raise VersionExists(f"version {version} of '{there.name}' already exists, with exactly these rows; {use}")
    return there


def require_newest(seen: str, taken: Sequence[str], project: str) -> None:
    """Refuse to number a version of a home that is older than its project in Label Studio.

    Raises:
        ReleaseError: the project has seen a higher version than those that are taken here.
    """
    if max([seen, *taken], key=parse_version) in taken:
        return
    latest = max(taken, key=parse_version)
    raise ReleaseError(
        f"{project} has seen version {seen}, and the latest of this home is {latest}, as in a backup that was "
        f"restored; release from the newer home, or from now on from this one: name a copy of that version in "
        f"`split.adopt` and curate, or rows may change their splits; release with --version {next_version([seen])}"
    )


def _require_new_rows(published: Sequence[Manifest], same: Sequence[Manifest]) -> None:
    if published and published[-1] in same:
        latest = published[-1]
        raise ReleaseError(f"nothing is new: {latest.name}@{latest.version} has exactly these rows; use that version")


def _require_highest(version: str, taken: Sequence[str]) -> None:
    """Versions count up, or ``latest`` would not be the one published last."""
    highest = max(taken, key=parse_version, default="")
    if highest and parse_version(version) <= parse_version(highest):
        raise ReleaseError(
            f"version {version} is not above {highest}, the latest one; "
            f"pass --version {next_version(taken)}, or leave it out"
        )
