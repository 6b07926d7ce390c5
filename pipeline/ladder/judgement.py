"""What a verdict is: what to do, by which rule, and the reasons for it."""

from enum import StrEnum

from pydantic import BaseModel


class Verdict(StrEnum):
    """What to do."""

    TUNE = "tune"
    PROMPT = "prompt_instead"
    CLASSICAL = "classical_is_enough"
    MORE_DATA = "more_data_first"
    FIX_LABELS = "fix_the_labels_first"
    FAILED = "training_failed"
    UNDECIDED = "undecided"

    @property
    def heading(self) -> str:
        """In words."""
        match self:
            case Verdict.TUNE:
                return "Fine-tuning was worth it"
            case Verdict.PROMPT:
                return "Prompt a model instead"
            case Verdict.CLASSICAL:
                return "The classical model is enough"
            case Verdict.MORE_DATA:
                return "More data first"
            case Verdict.FIX_LABELS:
                return "Fix the labels first"
            case Verdict.FAILED:
                return "The training failed"
            case Verdict.UNDECIDED:
                return "Undecided"


class Judgement(BaseModel, frozen=True):
    """The verdict and why."""

    verdict: Verdict
    arm: str = ""
    """The arm to use; empty if none is recommended."""
    rule: str
    """The name of the rule that decided."""
    reasons: tuple[str, ...]
    """Sentences with their numbers, the deciding one first."""
    next_step: str
    """What to do, or what would decide."""
