"""Annotators' answers in Label Studio, as pulled."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from schemas.field import JsonValue


class Verdict(StrEnum):
    """What an annotation, or all annotations of a record together, amounts to."""

    LABELED = "labeled"
    UNUSABLE = "unusable"
    UNSURE = "unsure"
    SKIPPED = "skipped"
    DISPUTED = "disputed"
    """Annotators contradict each other about a record; never the verdict of a single annotation."""
    INVALID = "invalid"
    """The answer breaks the task's schema; it must be corrected."""
    UNREAD = "unread"
    """What was filled in was submitted without the time to read it: it confirms nothing."""


class Annotation(BaseModel, frozen=True):
    """One annotation of one labeling task, with its answer."""

    server: str
    project: int
    task_id: int
    annotation_id: int
    push_key: str
    record_id: str
    annotator: str
    """Label Studio's user id as text."""
    email: str = ""
    """The user's; empty if the server no longer knows, or a Goldleaf of before it was asked pulled the answer."""
    verdict: Verdict
    targets: dict[str, JsonValue] | None = None
    error: str = ""
    result: list[dict[str, Any]] = []
    """The regions as Label Studio stores them: parsed again with the current task whenever decisions are made."""
    deleted: bool = False
    created_at: datetime
    updated_at: datetime
    """Both are server times."""
    lead_time: float | None = None
    """Seconds the annotator spent."""

    @property
    def whose(self) -> str:
        """The annotator as people know them."""
        return self.email or f"user {self.annotator}"

    @property
    def who(self) -> tuple[str, str]:
        """The annotator: the same one in all projects, if the address is known. The first user of every server has the
        id 1.
        """
        return ("", self.email.casefold()) if self.email else (self.server, self.annotator)
