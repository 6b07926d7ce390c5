"""Writes the report: into the home after a release or fine-tuning, and into every published version."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.config.workspace import Workspace
from pipeline.errors import StoreError
from pipeline.releases.versions import list_versions
from pipeline.reporting.annotators import read_annotators
from pipeline.reporting.report_data import gather_report
from pipeline.reporting.report_page import render_report
from pipeline.reporting.status import read_status
from pipeline.state.atomic import replacing
from pipeline.steps import Progress
from schemas.manifest import AbsentLabel


def write_report(workspace: Workspace, *, to: Path | None = None, progress: Progress | None = None) -> Path:
    """Write the report on the committed state; the old file stays until the new one is complete.

    Args:
        workspace: the dataset.
        to: the file, or a folder for ``report.html``; without it, the home.
        progress: shows how far it is.

    Raises:
        StoreError: it cannot be written there.
    """
    html = _state_html(workspace, progress)
    path = to or workspace.store.report
    try:
        if to is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif path.is_dir():
            path /= workspace.store.report.name
        _replace(path, html)
    except OSError as error:
        other = "pass another file or folder" if to else "pass a writable file or folder with --to"
        raise StoreError(f"the report cannot be written to {path} ({error.strerror}); {other}") from error
    return path


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically; several processes may write the same report at once.

    Raises:
        StoreError: the path is not a regular file but, say, a device.
        OSError: it cannot be written.
    """
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is not a regular file, and a report would replace it; pass another file or folder")
    with replacing(path) as sink:
        sink.write(text.encode())


@dataclass(frozen=True)
class ForVersion:
    """What is told of a state in a version made from it, which may be copied anywhere: nothing about single people."""

    report: str
    """The HTML page."""
    agreement: list[str]
    """How far annotators agree, a line for each field."""

    @property
    def page(self) -> bytes:
        """The report as it is stored."""
        return self.report.encode()


def report_for_version(
    workspace: Workspace, absent: Sequence[AbsentLabel] = (), progress: Progress | None = None
) -> ForVersion:
    """The page for a version that is being made from the committed state, and what its card tells of annotators.

    Args:
        workspace: the dataset.
        absent: labels missing from some split of the version.
        progress: shows how far it is.
    """
    snapshot = workspace.store.snapshot().at_last_commit()
    team = read_annotators(workspace, datetime.now(UTC))
    data = gather_report(
        snapshot,
        workspace.dataset,
        funnel=snapshot.settled_funnel(),
        absent=absent,
        team=team,
        of_version=True,
        progress=progress,
    )
    fields = [*team.fields, *([team.whole] if team.whole else [])]
    told = [str(field) for field in fields if field.alpha is not None]
    return ForVersion(render_report(data), told)


def _state_html(workspace: Workspace, progress: Progress | None) -> str:
    """The page on the committed state, for the dataset's own team."""
    snapshot = workspace.store.snapshot().at_last_commit()
    versions = list_versions(workspace.store.releases)
    status = read_status(workspace)
    data = gather_report(
        snapshot,
        workspace.dataset,
        funnel=snapshot.settled_funnel(),
        published=versions[-1] if versions else None,
        absent=versions[-1].absent if versions else (),
        team=read_annotators(workspace, datetime.now().astimezone()),
        standing=status,
        progress=progress,
        next_steps=[status.next_step.replace(status.next_command, f"`{status.next_command}`")],
    )
    return render_report(data)
