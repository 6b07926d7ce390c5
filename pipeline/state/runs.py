"""Runs: each is one execution of a verb, and counts once it is committed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from schemas.run_summary import RunSummary, Verb

Summary = TypeVar("Summary", bound=RunSummary)


@dataclass(frozen=True)
class Run:
    """One execution of a verb; it counts once it is committed."""

    id: str
    verb: Verb
    config_digest: str
    started_at: datetime
    goldleaf: str


@dataclass(frozen=True)
class CommittedRun(Generic[Summary]):
    """A committed run."""

    id: str
    inputs: dict[str, int]
    """The version of each table that it read."""
    summary: Summary
