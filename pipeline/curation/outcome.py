"""What a case becomes, while triage has not looked at everything yet."""

from dataclasses import dataclass

from pipeline.curation.choose import Wait
from schemas.fate import Fate, Reason, ReasonCode, Routed

# One shared reason for all rows: most have no other.
PASSED = Reason(code=ReasonCode.PASSED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case becomes, as far as the budget has been looked at."""

    fate: Fate
    reasons: tuple[Reason, ...]
    routed: Routed | None = None
    duplicate_of: str = ""
    score: float | None = None
    """For candidates, the chance of an error or the urgency of a review; None for all others."""
    route: Routed = Routed.UNCERTAIN
    alone: float | None = None
    """Of a row that waits, the chance of an error for which it would be doubted if it did not wait."""
    wait: Wait = Wait.NO
    """Candidates in review that do not wait for an annotator follow ``review.unreviewed`` beyond the budget."""
