"""The task of this dataset: its inputs, its target, and what is checked about them."""

from enum import StrEnum

from schemas.task import Input, Target, Task


class Aspect(StrEnum):
    """The possible labels."""

    ROOM = "room"
    FOOD = "food"
    STAFF = "staff"
    NOISE = "noise"


class GuestComment(Task):
    """Name everything about the hotel that this comment is about; none if it is about something else."""

    comment: Input[str]
    aspects: Target[set[Aspect]]
