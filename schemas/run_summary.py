"""What committed runs leave behind: one summary a verb, which later runs and reports read."""

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
    """What a run says about itself; what an older Goldleaf did not write down has its default."""

    model_config = ConfigDict(frozen=True)

    verb: ClassVar[Verb]


class CurateFacts(RunSummary):
    """What a curate went by and found, without the similarities: quick to read for many runs."""

    verb: ClassVar[Verb] = Verb.CURATE

    file: str
    """The dataset.yaml."""
    curation: str
    """Digest of all in it, and of the task, that decides about records."""
    evaluation: str = ""
    """What the rows of its evaluation sets are kept under; empty where it had none."""
    lines: int = 0
    """Rows read."""
    added: int = 0
    """Records that nobody had decided about before."""
    withdrawn: int = 0
    budget: int = 0
    budget_used: int = 0
    beyond_budget: int = 0
    """How many more rows people would be asked about if the budget were larger."""
    note: str = ""
    adopted: list[str] = []
    """Versions of this dataset, published from another home, whose splits were taken over."""


class CurateSummary(CurateFacts):
    """All of it."""

    similarities: Similarities | None = None


class CollectSummary(RunSummary):
    """What a collect pulled."""

    verb: ClassVar[Verb] = Verb.COLLECT

    watermarks: dict[str, str] = {}
    """By server: the time up to which all annotations were pulled."""
    annotations: int = 0
    """New, edited or deleted ones."""
    decided: int = 0
    """Records whose human decision changed."""


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
