"""What committed runs leave behind: one summary per verb, read by later runs and reports."""

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from schemas.similarities import Similarities


class Verb(StrEnum):
    """What a run does."""

    CURATE = "curate"
    COLLECT = "collect"
    RELEASE = "release"
    FINETUNE = "finetune"


class RunSummary(BaseModel):
    """A run's own summary; fields that an older Goldleaf did not write have their defaults."""

    model_config = ConfigDict(frozen=True)

    verb: ClassVar[Verb]


class Proof(BaseModel):
    """How far it is proven that the accepted rows' error is below ``review.error_rate``."""

    model_config = ConfigDict(frozen=True)

    target: float
    looks: int
    """How often the answers were compared with it; each makes the next one stricter."""
    answers: int
    """The answers at the last of these."""
    unheard: int = 0
    """Rows that annotators skipped or the server refused, so that they counted as wrong."""
    bound: float | None = None
    """The error is below this, with what is left of 95% confidence; None before the first look."""
    proven: bool = False
    more: int = 0
    """About how many more answers it took then; 0 if it is proven, or nothing is known yet."""

    def __str__(self) -> str:
        """The state in words."""
        lost = f"; rows that were skipped or refused count as wrong: {self.unheard:,}" if self.unheard else ""
        if self.proven:
            return f"proven: fewer than {self.target:.1%} of the accepted rows are wrong (95% confidence){lost}"
        known = "" if self.bound is None else f"; so far it is known to be below {self.bound:.1%}"
        more = f"about {self.more:,} more answers" if self.more else "answers to the first batch"
        return f"an error below {self.target:.1%} is not proven yet: it takes {more}{known}{lost}"


class CurateFacts(RunSummary):
    """The configuration and counts of a curate, without the similarities: quick to read for many runs."""

    verb: ClassVar[Verb] = Verb.CURATE

    file: str
    """The dataset.yaml."""
    curation: str
    """Digest of everything in it, and in the task, that affects decisions."""
    evaluation: str = ""
    """What the rows of its evaluation sets are stored under; empty if it had none."""
    lines: int = 0
    """Rows read."""
    kind: str = ""
    """The task's kind; empty in runs that did not record it."""
    off: list[str] | None = None
    """The rules about answers that were turned off; None in runs that did not record it."""
    scores: int = 1
    """The version of what label-error scores mean."""
    corrections: int = 0
    """How many labels annotators had corrected when all were last scored."""
    added: int = 0
    """Records without an earlier decision."""
    withdrawn: int = 0
    budget: int = 0
    budget_used: int = 0
    beyond_budget: int = 0
    """How many more rows would be sent to annotators if the budget were larger."""
    note: str = ""
    proof: Proof | None = None
    """Of `review.error_rate`, if it is set."""
    adopted: list[str] = []
    """Versions of this dataset, published from another home, whose splits were adopted."""


class CurateSummary(CurateFacts):
    """The complete summary."""

    similarities: Similarities | None = None


class Settled(BaseModel):
    """The older tasks of a project when a collect listed them: they can only become fewer, and a number shows it."""

    model_config = ConfigDict(frozen=True)

    newest: int = 0
    """The highest id of them."""
    until: str = ""
    """All were created until this time of the server, as a filter takes it."""
    tasks: int = 0
    """How many of them Goldleaf created."""
    odd: int = 0
    """How many more annotations the server counted than a complete pull brought; 0, as far as we know."""


class CollectSummary(RunSummary):
    """What a collect pulled."""

    verb: ClassVar[Verb] = Verb.COLLECT

    watermarks: dict[str, str] = {}
    """By server: the time up to which all annotations were pulled."""
    settled: dict[str, Settled] = {}
    """By server: the older tasks."""
    annotations: int = 0
    """New, edited or deleted ones."""
    decided: int = 0
    """Records whose annotator decision changed."""


class ReleaseSummary(RunSummary):
    """What a release published."""

    verb: ClassVar[Verb] = Verb.RELEASE

    version: str
    digest: str = ""


class FinetuneSummary(RunSummary):
    """What a fine-tuning trained."""

    verb: ClassVar[Verb] = Verb.FINETUNE

    version: str
    path: str
    """The adapter's folder."""
    tuned: float
    """The tuned model's score."""
