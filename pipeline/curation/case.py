"""One record once it was compared with others, and once this run has judged it; frozen, like what was known before."""

from dataclasses import dataclass

from pipeline.curation.known import NO_DOUBT, Doubt, Known
from schemas.fate import Reason
from schemas.field import JsonValue

SHOWN_ANSWERS = 3


@dataclass(frozen=True, slots=True)
class Matched:
    """What comparing a record with others found."""

    duplicate_of: str | None = None
    exact: bool = False
    similarity: float | None = None
    threshold: float = 0.0
    """The one that the similarity reaches."""
    conflicting_answers: int = 0
    """How many other answers the same inputs have."""
    conflict_answers: tuple[str, ...] = ()
    """The first ``SHOWN_ANSWERS`` of them, as shown to people."""
    conflict_rows: tuple[str, ...] = ()
    """The records that have these."""
    overridden_by: str | None = None
    bridges: tuple[str, str] | None = None
    corrected_elsewhere: Reason | None = None
    """It has the answer that an annotator corrected in a similar row."""
    group: str = ""
    """The earliest record of those that it moves with; empty for itself."""
    pinned_split: str | None = None
    """The split that the group must go to, if the record has none of its own yet."""

    @property
    def is_kept(self) -> bool:
        """Whether it is no copy of another record, and stands between no two splits."""
        return not (self.duplicate_of or self.overridden_by or self.bridges)


NOT_MATCHED = Matched()


@dataclass(frozen=True, slots=True)
class Case:
    """A record that was compared with others."""

    known: Known
    matched: Matched = NOT_MATCHED
    model_answer: dict[str, JsonValue] | None = None
    """Of the model that `suggest` names."""

    @property
    def is_kept(self) -> bool:
        """Whether it may end up in a release: neither rejected nor a copy of another."""
        return self.known.is_candidate and self.matched.is_kept

    @property
    def group(self) -> str:
        """The earliest record of those that it moves with."""
        return self.matched.group or self.known.record_id


@dataclass(frozen=True, slots=True)
class Judged(Case):
    """A case and what this run finds out about it by itself: all that its fate depends on, but for the budget."""

    doubt: Doubt = NO_DOUBT
    tokens: int | None = None
    """Of prompt and answer, if it is kept or too long."""
    is_offered: bool = False
    """Annotators may be asked to repair it."""
