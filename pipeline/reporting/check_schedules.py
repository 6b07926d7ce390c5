"""Says when each scheduled verb runs next, and which of them can only fail."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pipeline.config.workspace import HOW_TO_CONNECT, Workspace
from pipeline.reporting.check_source import CheckResult
from schemas.cron import read_cron
from schemas.run_summary import Verb


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
