"""The keys of ``review`` about a team of annotators: who they are, and how their answers check each other."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.share import Share

Email = Annotated[str, Field(pattern=r"^[^\s@]+@[^\s@]+$")]


class Team(BaseModel):
    """Several annotators; without any of these keys every question is for whoever answers it first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    annotators: list[Email] = []
    """E-mail addresses, as in Label Studio: each question is for one of them, and each has a tab with their own."""
    overlap: Share = 0.0
    """Share of the questions that two annotators answer independently."""
    gold: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of each annotator's tasks whose answer is known: of sources with ``gold: true``, and adjudicated ones."""

    @model_validator(mode="after")
    def _has_annotators_enough(self) -> Self:
        known = {one.casefold() for one in self.annotators}
        if len(known) < len(self.annotators):
            raise ValueError("annotators names somebody twice; name each once")
        if self.overlap and len(known) == 1:
            raise ValueError("overlap needs two annotators; name another, or none to leave open who answers")
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

    def without_people(self) -> Self:
        """The same for publication."""
        return self.model_copy(update={"annotators": [], "gold": 0.0})
