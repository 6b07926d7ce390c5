"""Seats: a question is asked once for each annotator who is to answer it independently of the others."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, Field


class SeatKind(StrEnum):
    """What an answer is for."""

    FIRST = "first"
    SECOND = "second"
    """Asked independently of the first one, for a share of the questions."""
    ADJUDICATOR = "adjudicator"
    """Asked where annotators contradict each other, or one was unsure: this answer decides."""
    GOLD = "gold"
    """The right answer is known, and the annotator's is compared with it; annotators cannot tell it from an audit."""


class Seat(BaseModel, frozen=True):
    """One of the seats of a question; each has a labeling task of its own."""

    kind: SeatKind = SeatKind.FIRST
    attempt: int = Field(default=1, ge=1)
    """Above 1 if the tasks before were answered by somebody whose answer does not count in this seat."""
    annotator: str = ""
    """Of a gold item: for whom the copy is."""

    def __str__(self) -> str:
        """As it stands in tables: ``first``, ``second 2``, ``gold ana@example.com``."""
        more = self.annotator or (str(self.attempt) if self.attempt > 1 else "")
        return f"{self.kind.value} {more}".rstrip()

    @classmethod
    def read(cls, text: str | None) -> Self:
        """What ``str`` wrote; homes of before there were seats have nothing."""
        kind, _, more = (text or SeatKind.FIRST).partition(" ")
        is_number = more.isdecimal()
        return cls(kind=SeatKind(kind), attempt=int(more) if is_number else 1, annotator="" if is_number else more)


FIRST = Seat()
