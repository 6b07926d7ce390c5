"""What goes between Goldleaf and a Label Studio server, apart from the tasks: reports and pulled answers."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


@dataclass
class PushReport:
    """What became of a push."""

    task_ids: dict[str, int] = field(default_factory=dict)
    """Every task that the server has now, by push key."""
    pushed: int = 0
    already_there: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Push key and reason of each task that the server does not take."""


class PulledAnnotation(BaseModel):
    """One annotation as the server has it; ``pipeline.labeling`` reads its result."""

    model_config = ConfigDict(frozen=True)

    annotation_id: int = Field(alias="id")
    result: list[dict[str, Any]]
    was_cancelled: bool
    """The annotator skipped the task; the result may be full nevertheless."""
    annotator: str = Field(alias="completed_by")
    """The user's id as text; empty where the user was deleted."""
    created_at: datetime
    updated_at: datetime
    """Both are the server's times."""
    lead_time: float | None
    """Seconds."""

    @field_validator("annotator", mode="before")
    @classmethod
    def _user_id(cls, user: Any) -> str:
        return "" if user is None else str(user["id"] if isinstance(user, dict) else user)


class PulledTask(BaseModel):
    """A task that changed, with all of its annotations; none where they were deleted."""

    model_config = ConfigDict(frozen=True)

    task_id: int
    push_key: str
    record_id: str
    annotations: list[PulledAnnotation]


class OpenTask(BaseModel):
    """A task that nobody has answered."""

    model_config = ConfigDict(frozen=True)

    task_id: int
    push_key: str
    record_id: str
    proposal: list[dict[str, Any]]
    """The regions that annotators see prefilled; ``read_result`` makes targets of them."""


class Pull(BaseModel):
    """What changed on the server since the last watermark."""

    model_config = ConfigDict(frozen=True)

    tasks: list[PulledTask]
    watermark: datetime | None
    """The latest server time seen: start the next pull from it."""
