"""What goes between Goldleaf and a Label Studio server: what it sends, checked field by field, and our reports."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from pipeline.review.form import PUSH_KEY, RECORD_ID

_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@dataclass
class PushReport:
    """What became of a push."""

    task_ids: dict[str, int] = field(default_factory=dict)
    """Every task that the server has now, by push key."""
    pushed: int = 0
    already_there: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Push key and reason of each task that the server does not take."""


def _sane(moment: datetime) -> datetime:
    """A server's time with which we can reckon."""
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError("is no time that a server could have")
    return moment.astimezone(UTC)


Id = Annotated[int, Field(strict=True, ge=1, lt=2**63)]
Count = Annotated[int, Field(strict=True, ge=0)]
ServerTime = Annotated[AwareDatetime, Field(strict=True), AfterValidator(_sane)]


class _Sent(BaseModel):
    """What a server sends. What we count on is required: a field that is missing must not look like an empty one."""

    model_config = ConfigDict(frozen=True)


class User(_Sent):
    """A user of the server."""

    user_id: Id = Field(alias="id")
    email: str


class Made(_Sent):
    """What was made on the server."""

    made_id: Id = Field(alias="id")


class Project(_Sent):
    """A project, as the server lists it."""

    project_id: Id = Field(alias="id")
    description: str | None
    label_config: str | None
    expert_instruction: str | None


class Projects(_Sent):
    """A page of projects."""

    count: Count
    """How many there are on all pages."""
    results: list[Project]


class Dated(_Sent):
    """When something was made."""

    created_at: ServerTime


class ListedTask(_Sent):
    """A task, whoever made it."""

    task_id: Id = Field(alias="id")
    data: dict[str, Any]

    @property
    def push_key(self) -> str:
        """What it asks; empty where it is somebody else's."""
        key = self.data.get(PUSH_KEY)
        return key if isinstance(key, str) else ""

    @property
    def record_id(self) -> str:
        """The record that it asks about."""
        record = self.data.get(RECORD_ID)
        return record if isinstance(record, str) else ""


class WorkedTask(ListedTask):
    """A task with what people did about it, finished or not."""

    annotations: list[dict[str, Any]]
    drafts: list[dict[str, Any]]


class PulledAnnotation(_Sent):
    """One annotation as the server has it; ``pipeline.review.labeling_tasks`` reads its result."""

    annotation_id: Id = Field(alias="id")
    result: list[dict[str, Any]]
    was_cancelled: Annotated[bool, Field(strict=True)]
    """The annotator skipped the task; the result may be full nevertheless."""
    annotator: str = Field(alias="completed_by")
    """The user's id as text; empty where the user was deleted."""
    created_at: ServerTime
    updated_at: ServerTime
    """Both are the server's times."""
    lead_time: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    """Seconds."""

    @field_validator("annotator", mode="before")
    @classmethod
    def _user_id(cls, user: Any) -> str:
        return "" if user is None else str(user.get("id", "") if isinstance(user, dict) else user)

    @field_validator("result", mode="before")
    @classmethod
    def _regions(cls, result: Any) -> Any:
        """None where a program has submitted nothing."""
        return [] if result is None else result

    @field_validator("result")
    @classmethod
    def _can_be_kept(cls, result: list[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            orjson.dumps(result)
        except TypeError as error:
            raise ValueError(str(error)) from error
        return result


class AnsweredTask(ListedTask):
    """A task with its annotations."""

    updated_at: ServerTime
    annotations: list[PulledAnnotation]


class Prediction(_Sent):
    """What is proposed for a task."""

    result: list[dict[str, Any]] | None


class ProposedTask(ListedTask):
    """A task with what is proposed for it."""

    annotations: list[dict[str, Any]]
    predictions: list[Prediction]


L = TypeVar("L", bound=ListedTask)


class Tasks(_Sent, Generic[L]):
    """A page of tasks."""

    total: Count
    """How many pass the filters, on all pages."""
    tasks: list[L]


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
