"""What Goldleaf and a Label Studio server exchange: the server's data, validated field by field, and our reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, field_validator

from pipeline.review.form import ASSIGNED, PUSH_KEY, RECORD_ID

AS_FILLED_IN = "prediction"
"""What Label Studio says of a part of an answer that was left as it was filled in."""
_CHARACTERS = 200
"""Nobody reads as many in a second: about 2,000 words a minute, three times as fast as skimming."""
_LONGEST = 1.0
"""Seconds that are enough for any text: its first words may tell an expert the label."""
_AT_ONCE = timedelta(seconds=1)
_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@dataclass
class PushReport:
    """The result of a push."""

    task_ids: dict[str, int] = field(default_factory=dict)
    """Every task that the server has now, by push key."""
    pushed: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Push key and reason of each task that the server refused."""


def _sane(moment: datetime) -> datetime:
    """A server time that we can compute with."""
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError("is not a valid server time")
    return moment.astimezone(UTC)


Id = Annotated[int, Field(strict=True, ge=1, lt=2**63)]
Count = Annotated[int, Field(strict=True, ge=0)]
ServerTime = Annotated[AwareDatetime, Field(strict=True), AfterValidator(_sane)]


class _Sent(BaseModel, frozen=True):
    """What a server sends. Fields that we rely on are required: a missing field must not look like an empty one."""


class User(_Sent):
    """A user of the server."""

    user_id: Id = Field(alias="id")
    email: str


class TokenUser(User):
    """The user whose token requests carry."""

    organization: int | None = Field(default=0, alias="active_organization")
    """None after an administrator has removed the user from it: then nothing is to be seen, as on an empty server."""


class Invitation(_Sent):
    """How others get an account of their own."""

    invite_url: str


class Made(_Sent):
    """Something created on the server."""

    made_id: Id = Field(alias="id")


class Project(_Sent):
    """A project, as the server lists it."""

    project_id: Id = Field(alias="id")
    title: str = ""
    """As its users see and change it."""
    description: str | None
    label_config: str | None
    expert_instruction: str | None


class Projects(_Sent):
    """A page of projects."""

    count: Count
    """How many there are on all pages."""
    results: list[Project]


class Tab(_Sent):
    """A tab of a project's Data Manager."""

    tab_id: Id = Field(alias="id")
    data: dict[str, Any]

    @property
    def title(self) -> str:
        """As its users see it."""
        return str(self.data.get("title", ""))

    @property
    def filters(self) -> Any:
        """The conditions that its tasks meet, as they were sent."""
        return self.data.get("filters")


class Label(_Sent):
    """A label of the organization: one for each title."""

    label_id: Id = Field(alias="id")
    value: dict[str, Any]


class Imported(_Sent):
    """What an import created, in the order in which it was sent."""

    task_ids: list[Id]
    prediction_count: Count


class Processed(_Sent):
    """How many tasks an action has changed."""

    processed_items: Count


class Dated(_Sent):
    """When something was created."""

    created_at: ServerTime


class ListedTask(_Sent):
    """A task, whoever created it."""

    task_id: Id = Field(alias="id")
    data: dict[str, Any]

    @property
    def push_key(self) -> str:
        """What it asks; empty if Goldleaf did not create it."""
        key = self.data.get(PUSH_KEY)
        return key if isinstance(key, str) else ""

    @property
    def record_id(self) -> str:
        """The record that it asks about."""
        record = self.data.get(RECORD_ID)
        return record if isinstance(record, str) else ""

    @property
    def assigned(self) -> str:
        """For whom it is, by e-mail; empty if for anybody."""
        annotator = self.data.get(ASSIGNED)
        return annotator if isinstance(annotator, str) else ""


class AgedTask(ListedTask):
    """A task and when it was created."""

    created_at: ServerTime


class TaskState(Enum):
    """The state of a question on the server."""

    GONE = "gone"
    """Its task was deleted; its id may be reused by now."""
    IDLE = "idle"
    WORKED_ON = "worked_on"
    """It has annotations or drafts, or is open before somebody."""


class PulledAnnotation(_Sent):
    """One annotation as the server has it; ``pipeline.review.labeling_tasks`` reads its result."""

    annotation_id: Id = Field(alias="id")
    result: list[dict[str, Any]]
    was_cancelled: Annotated[bool, Field(strict=True)]
    """The annotator skipped the task; the result may still be filled in."""
    annotator: str = Field(alias="completed_by")
    """The user's id as text; empty if the user was deleted."""
    created_at: ServerTime
    updated_at: ServerTime
    """Both are server times."""
    lead_time: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    """Seconds."""
    parent_prediction: Annotated[int, Field(strict=True)] | None = None
    """What was filled in when it was begun, or what the server made it of."""

    def is_unread(self, inputs: Mapping[str, Any]) -> bool:
        """Whether nobody can have read the inputs before it was submitted as it was filled in, or with all others.

        What somebody changed counts however fast they were, and so does what a program has sent without a time.
        """
        if not self.lead_time:
            return self.parent_prediction is not None and self.updated_at - self.created_at < _AT_ONCE
        enough = min(_LONGEST, sum(len(str(one)) for one in inputs.values()) / _CHARACTERS)
        return self.lead_time < enough and {one.get("origin") for one in self.result} == {AS_FILLED_IN}

    @field_validator("annotator", mode="before")
    @classmethod
    def _user_id(cls, user: Any) -> str:
        return "" if user is None else str(user.get("id", "") if isinstance(user, dict) else user)

    @field_validator("result", mode="before")
    @classmethod
    def _regions(cls, result: Any) -> Any:
        """None if a program has submitted nothing; the server imports others, too, and then shows nothing for them."""
        if isinstance(result, list):
            return [region for region in result if isinstance(region, dict)]
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
    """A task's prediction."""

    result: list[dict[str, Any]] | None


class PredictedTask(ListedTask):
    """A task with its predictions, of which only the number matters."""

    predictions: list[dict[str, Any]]


class ProposedTask(ListedTask):
    """A task with its predictions."""

    annotations: list[dict[str, Any]]
    predictions: list[Prediction]


L = TypeVar("L", bound=ListedTask)


class Tasks(_Sent, Generic[L]):
    """A page of tasks."""

    total: Count
    """How many match the filters, on all pages."""
    tasks: list[L]


class Counted(_Sent):
    """How many tasks match the filters."""

    total: Count
    total_annotations: Count
    """How many annotations they have, without skips."""


class PulledTask(BaseModel, frozen=True):
    """A task that changed, with all of its annotations; none if they were deleted."""

    task_id: int
    push_key: str
    record_id: str
    annotations: list[PulledAnnotation]
    assigned: str = ""
    """For whom it is, by e-mail; empty if for anybody."""


class OpenTask(BaseModel, frozen=True):
    """A task without an answer."""

    task_id: int
    push_key: str
    record_id: str
    proposal: list[dict[str, Any]]
    """The regions that annotators see prefilled; ``read_result`` turns them into targets."""
    seat: str
    """What its answer is for; empty if questions have one seat only."""
    assigned: str
    """For whom it is, by e-mail; empty if for anybody."""


class Pull(BaseModel, frozen=True):
    """What changed on the server since the last watermark."""

    tasks: list[PulledTask]
    watermark: datetime | None
    """The latest server time seen: start the next pull from it."""
