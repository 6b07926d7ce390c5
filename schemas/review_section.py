"""The section ``review`` of dataset.yaml: what annotators are asked."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.fate import LEAST_DOUBT
from schemas.options import Unreviewed
from schemas.share import MOST, Share


class Review(BaseModel):
    """How many records annotators review."""

    # The configuration stands here again: a base in another file would hide from the linter that this is a model.
    model_config = ConfigDict(extra="forbid", frozen=True)

    budget: int | float | None = None
    """How many records (an integer) or which share of the current records (0.0 to 1.0) may be sent
    to annotators, including those already reviewed. Raise it to send more. Default: 10%, at most 500."""
    floor: Annotated[float, Field(ge=LEAST_DOUBT, le=1)] = 0.1
    """The chance of being wrong from which on a label is worth an annotator's look. Likelier ones beyond the budget are
    `unreviewed`; less likely ones pass."""
    audit: Share | None = None
    """Share of the accepted records that annotators check to estimate the remaining error rate. Default: 2%, at most
    300."""
    guidelines: str | None = None
    """A Markdown file for annotators, with rules and examples, which Label Studio shows behind its button
    "Instructions"; a relative path starts at the dataset.yaml."""
    unreviewed: Unreviewed = Unreviewed.ACCEPT
    """What happens to uncertain labels beyond the budget. Conflicts, failed checks, personal data and
    unlabeled rows always wait."""

    @field_validator("budget", mode="before")
    @classmethod
    def _is_count_or_share(cls, budget: object) -> object:
        # A union of constrained types would report one error for each of them.
        if budget is None or (type(budget) is int and 0 <= budget <= MOST):
            return budget
        if isinstance(budget, float) and 0 <= budget <= 1:
            return budget
        raise ValueError(f"{budget!r} is neither a whole number of records nor a share from 0.0 to 1.0")
