"""Keys within objects that no model of the task reads are told, unless code of the task may read them."""

from collections.abc import Callable
from typing import Annotated, Any, Self

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)

from pipeline.ingest.field_checks import see
from schemas.dataset import Source
from schemas.task import Input, Target, Task


def _renamed(value: Any) -> Any:
    return value


class Line(BaseModel):
    title: str


class Lines(BaseModel):
    lines: list[Line] = []


class Named(Lines):
    @field_validator("lines", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return _renamed(value)


class Aliased(BaseModel):
    title: str = Field(alias="name")


class Kept(BaseModel):
    model_config = ConfigDict(extra="allow")
    title: str


class Whole(BaseModel):
    title: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        return self


def task_of(lines: Any, more: type[BaseModel] = Lines) -> type[Task]:
    return create_model(
        "Of", __base__=Task, __doc__="Read.", question=(Input[str], ...), lines=(Target[lines], []),
        more=(Target[more | None], None),
    )  # fmt: skip


class Bill(Task):
    """Read the bill."""

    question: Input[str]
    lines: Target[list[Line]] = Field(default_factory=list)
    more: Target[Lines | None] = None


class ByName(Bill):
    @field_validator("lines", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return _renamed(value)


class ByStar(Bill):
    @field_validator("*", mode="wrap")
    @classmethod
    def _read(cls, value: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(value)


class ByWhole(Bill):
    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return _renamed(value)


class Checked(Bill):
    @field_validator("lines")
    @classmethod
    def _read(cls, value: list[Line]) -> list[Line]:
        return value


@pytest.mark.parametrize(
    ("task", "unread"),
    [
        (Bill, ["lines.titel", "more.lines.titel"]),
        (Checked, ["lines.titel", "more.lines.titel"]),
        (ByName, ["more.lines.titel"]),
        (ByStar, []),
        (ByWhole, []),
        (task_of(Annotated[list[Line], BeforeValidator(_renamed)]), ["more.lines.titel"]),
        (task_of(Annotated[list[Line], AfterValidator(_renamed)]), ["lines.titel", "more.lines.titel"]),
        (task_of(list[Line], Named), ["lines.titel"]),
        (task_of(list[Aliased]), ["more.lines.titel"]),
        (task_of(list[Kept]), ["more.lines.titel"]),
        (task_of(list[Whole]), ["more.lines.titel"]),
    ],
)
def test_keys_that_code_of_the_task_may_read_are_not_said_to_be_unread(task: type[Task], unread: list[str]) -> None:
    source = Source(name="s", path="data.jsonl", license="MIT")
    row = {"question": "x", "lines": [{"titel": "rope"}], "more": {"lines": [{"titel": "rope"}]}}
    assert list(see([row], source, task).unread) == unread
