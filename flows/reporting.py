"""Writes the report: into the home after a release or a fine-tuning, and into every published version."""

from pathlib import Path

from flows.context import Context
from flows.status import read_status
from pipeline.report import render_report
from pipeline.report_data import gather_report
from pipeline.versions import list_versions


def write_report(context: Context, *, to: Path | None = None) -> Path:
    """Write the report of the committed state; the old file stays until the new one is whole."""
    path = to or context.store.report
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(report_html(context), encoding="utf-8")
    partial.replace(path)
    return path


def report_html(context: Context) -> str:
    """The report of the committed state as one HTML page."""
    snapshot = context.store.snapshot().at_last_commit()
    versions = list_versions(context.store.releases)
    data = gather_report(
        snapshot,
        context.dataset,
        funnel=snapshot.funnel(),
        published=versions[-1] if versions else None,
        models=context.store.models,
        next_steps=[f"`{read_status(context).next_step}`"],
    )
    return render_report(data)
