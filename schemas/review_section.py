"""The section ``review`` of dataset.yaml: what annotators are asked."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from schemas.fate import LEAST_DOUBT
from schemas.options import Unreviewed
from schemas.share import MOST, Share
from schemas.team import Team


class Review(Team):
    """How many records annotators review."""

    budget: int | float | None = None
    """How many records (an integer) or which share of the current records (0.0 to 1.0) may be sent
    to annotators, including those already reviewed. Raise it to send more. Default: 10%, at most 500."""
    personal_budget: int | float | None = None
    """The same for rows that wait for personal data only, which are not part of the budget. Each number or address is
    asked about once, in one of its rows. Default: a fifth of the budget."""
    floor: Annotated[float, Field(ge=LEAST_DOUBT, le=1)] = 0.1
    """The chance of being wrong from which on a label is worth an annotator's look. Likelier ones beyond the budget are
    `unreviewed`; less likely ones pass."""
    audit: Share | None = None
    """Share of the accepted records that annotators check to estimate the remaining error rate. Default: 2%, at most
    300."""
    error_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Instead of a budget and an audit: ask about all suspect labels and a random sample of the other accepted rows,
    batch by batch, until with 95% confidence a smaller share is wrong. A batch is 10% of the records, at most 500."""
    guidelines: str | None = None
    """A Markdown file for annotators, with rules and examples, which Label Studio shows behind its button
    "Instructions"; a relative path starts at the dataset.yaml."""
    unreviewed: Unreviewed = Unreviewed.ACCEPT
    """What happens to uncertain labels beyond the budget. Conflicts, failed checks, personal data and
    unlabeled rows always wait."""

    repair: bool = True
    """Whether annotators are asked, within the budget, to repair rows whose answer breaks the task's schema."""

    @field_validator("budget", "personal_budget", mode="before")
    @classmethod
    def _is_count_or_share(cls, budget: object) -> object:
        # A union of constrained types would report one error for each of them.
        if budget is None or (type(budget) is int and 0 <= budget <= MOST):
            return budget
        if isinstance(budget, float) and 0 <= budget <= 1:
            return budget
        raise ValueError(f"{budget!r} is neither a whole number of records nor a share from 0.0 to 1.0")

    @model_validator(mode="after")
    def _asks_in_one_way(self) -> "Review":
        if self.error_rate is not None and (self.budget is not None or self.audit is not None):
            other = "budget" if self.budget is not None else "audit"
            raise ValueError(f"error_rate asks as many as it takes; remove it, or '{other}'")
        return self
