"""The keys of ``review`` about a team of annotators: who they are, and how their answers check each other."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from schemas.field import shown
from schemas.share import Share


def _has_an_at(address: str) -> str:
    if not re.fullmatch(r"[^\s@]+@[^\s@]+", address):
        raise ValueError(f"write the e-mail address of an account in Label Studio, got {shown(address)}")
    return address


class Team(BaseModel, extra="forbid", frozen=True):
    """Several annotators; without any of these keys every question is for whoever answers it first."""

    annotators: list[Annotated[str, AfterValidator(_has_an_at)]] = []
    """E-mail addresses, as in Label Studio: each question is for one of them, and each has a tab with their own."""
    overlap: Share = 0.0
    """Share of the questions that several annotators answer independently."""
    overlap_annotators: Annotated[int, Field(ge=2, le=5)] = 2
    """How many they are. From three on their votes are weighed; two who contradict each other need an adjudicator."""
    gold: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of each annotator's tasks whose answer is known: of sources with ``gold: true``, and adjudicated ones."""

    @model_validator(mode="after")
    def _has_annotators_enough(self) -> Self:
        known = {one.casefold() for one in self.annotators}
        if len(known) < len(self.annotators):
            raise ValueError("annotators names somebody twice; name each once")
        if self.overlap and 0 < len(known) < self.overlap_annotators:
            missing = self.overlap_annotators - len(known)
            more = "another" if missing == 1 else f"{missing} more"
            raise ValueError(
                f"overlap needs {self.overlap_annotators} annotators; name {more}, or none to leave open who answers"
            )
        if self.gold and not known:
            raise ValueError("gold needs annotators: each of them gets a copy of every gold item, so name them")
        return self

    @property
    def has_seats(self) -> bool:
        """Whether a question may have more than one seat."""
        return bool(self.annotators or self.overlap)

    @property
    def has_second(self) -> bool:
        """Whether somebody else can be asked about an answer."""
        return self.has_seats and len(self.annotators) != 1

    @property
    def has_third(self) -> bool:
        """Whether there is an adjudicator if two contradict each other."""
        return self.has_second and len(self.annotators) != 2

    @property
    def can_adjudicate(self) -> bool:
        """Whether somebody is left to decide where all who answer the same question contradict each other."""
        asked = self.overlap_annotators if self.overlap else 2
        return not self.annotators or len(self.annotators) > asked

    def without_people(self) -> Self:
        """The same for publication."""
        return self.model_copy(update={"annotators": [], "gold": 0.0})
