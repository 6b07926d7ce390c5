"""What people said in Label Studio, as it was pulled."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.field import JsonValue


class Verdict(StrEnum):
    """What an annotation amounts to, or all that annotators said about a record."""

    LABELED = "labeled"
    UNUSABLE = "unusable"
    UNSURE = "unsure"
    SKIPPED = "skipped"
    DISPUTED = "disputed"
    """Annotators contradict each other about a record; no single annotation amounts to it."""
    INVALID = "invalid"
    """The answer breaks the task's schema; it waits for a correction."""


class Annotation(BaseModel):
    """One annotation of one labeling task, with the answer it holds."""

    model_config = ConfigDict(frozen=True)

    server: str
    project: int
    task_id: int
    annotation_id: int
    push_key: str
    record_id: str
    annotator: str
    """Label Studio's user id as text."""
    verdict: Verdict
    targets: dict[str, JsonValue] | None = None
    error: str = ""
    result: list[dict[str, Any]] = []
    """The regions as Label Studio has them: read again with the task as it is then, whenever people decide."""
    deleted: bool = False
    created_at: datetime
    updated_at: datetime
    """Both are the server's times."""
    lead_time: float | None = None
    """Seconds the annotator spent."""
