"""What is known of one current record before it is compared with others: its row, what annotators said, its past.

Everything is frozen: a stage that finds out more returns a new value, or a result of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.curation.audit import Chance, is_drawn
from pipeline.curation.prepare import rendered
from pipeline.errors import ConfigError, TaskCodeError
from schemas.annotation import Verdict
from schemas.answers_in_words import answers_in_words
from schemas.fate import Reason, ReasonCode, Routed
from schemas.field import JsonValue
from schemas.task import Task
from schemas.user_code_errors import described, own

_NOT_HANDED_ON_UNSEEN = {ReasonCode.PERSONAL_DATA, ReasonCode.SECRET, ReasonCode.TEMPLATE_TOKEN}


@dataclass(frozen=True, slots=True)
class Doubt:
    """What speaks against a label: an annotator should look, but need not."""

    score: float | None = None
    """From 0 to 1, how likely an annotator would correct it; None if unknown."""
    suggestion: dict[str, JsonValue] | None = None
    reasons: tuple[Reason, ...] = ()
    """Failed grounding and likely label errors."""
    score_alone: float | None = None
    """If there is an answer of the model that `suggest` names: the score without it."""


NO_DOUBT = Doubt()


@dataclass(frozen=True, slots=True)
class Answered:
    """What annotators, or a gold source, say of a record."""

    human: Verdict | None = None
    """The combined verdict of its annotations; None if there is none that counts."""
    human_reasons: tuple[Reason, ...] = ()
    replaced: dict[str, JsonValue] | None = None
    """The row's own targets, if an annotator gave others."""
    entered: bool = False
    """An annotator answered a row that had no answer."""
    corrected: dict[str, JsonValue] | None = None
    """The row's own targets, or what they were before the source took the annotator's over."""
    contradicted: bool = False
    """An annotator's answer differs from the source's current one, and predates it."""
    is_trusted: bool = False
    """A gold source vouches for its answer, or for its annotator's."""
    unconfirmed: bool = False
    """A single annotator's answer that nothing else speaks for: in a team, somebody else is asked, too."""


UNANSWERED = Answered()


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier runs have made of a record as it is now."""

    past_route: Routed | None = None
    """How this revision was routed before; a question that was asked remains asked."""
    chance: Chance | None = None
    """The one that an earlier run gave this revision to be audited."""
    scored: bool = False
    """An earlier run could have scored its label; it may have had too little data."""
    asked_as: str = ""
    """The digest under which they asked; empty if they have not."""
    doubt: Doubt = NO_DOUBT
    """What they found against its label."""


NO_PAST = Past()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one current record before it is compared with others."""

    record_id: str
    revision: str
    order: int
    content: str = ""
    """Digest of its inputs and own targets; empty if it breaks the schema."""
    fixed_split: str | None = None
    """The split that its source belongs to."""
    frozen: bool = False
    """Its source is published as is."""
    text_key: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, JsonValue] | None = None
    """An annotator's answer, or else its own."""
    draft: dict[str, JsonValue] | None = None
    """The valid part of its answer, if a person can repair it."""
    tokens: int | None = None
    rejection_reasons: tuple[Reason, ...] = ()
    review_reasons: tuple[Reason, ...] = ()
    answered: Answered = UNANSWERED
    past: Past = NO_PAST

    @property
    def human(self) -> Verdict | None:
        """The combined verdict of its annotations; None if there is none that counts."""
        return self.answered.human

    @property
    def is_candidate(self) -> bool:
        """Whether it is compared with others: neither its form nor an annotator excludes it."""
        return self.answered.human is not Verdict.UNUSABLE and not self.rejection_reasons

    @property
    def was_wrong(self) -> bool:
        """Whether an annotator gave another answer than its own, which its source may have taken over since."""
        said = self.answered
        return said.human is Verdict.LABELED and (said.replaced is not None or said.corrected is not None)

    @property
    def published_as_is(self) -> bool:
        """Whether it is published as is: valid, labeled, and without content that must not be published unseen."""
        if not self.frozen or self.targets is None or self.rejection_reasons:
            return False
        seen = not any(reason.code in _NOT_HANDED_ON_UNSEEN for reason in self.review_reasons)
        return self.human is Verdict.LABELED or (self.human is None and seen)

    @property
    def stands_for_others(self) -> bool:
        """Whether an answered row is one of the random sample.

        Rows that are answered whether or not they are drawn, such as those of a gold source, stand for no others: they
        may be better or worse. All of them are left out, or those that happened to be drawn would speak for the rest.
        """
        chance, is_audit = self.past.chance, self.past.past_route is Routed.AUDIT
        if chance is None or self.rejection_reasons or self.answered.is_trusted or not is_audit:
            return False
        return is_drawn(self.record_id, chance)


def as_chat(known: Known, task: type[Task]) -> str:
    """The prompt, and the answer if there is one, whose tokens count.

    Raises:
        ConfigError: the task's own code fails.
    """
    try:
        return rendered(task, known.inputs, known.targets)
    except BaseException as error:
        raise _no_chat(known, task, own(error)) from error


def in_words(known: Known, answers: Sequence[dict[str, JsonValue]], task: type[Task]) -> list[str]:
    """Answers as annotators read them, by the fields in which they differ.

    Raises:
        ConfigError: the task's own code fails.
    """
    try:
        return answers_in_words(task, answers)
    except BaseException as error:
        raise _no_chat(known, task, own(error)) from error


def _no_chat(known: Known, task: type[Task], error: BaseException) -> ConfigError:
    theirs = str(error) if isinstance(error, TaskCodeError) else f"{described(error)}; fix its task_prompt"
    return ConfigError(f"{task.__name__} cannot render record {known.record_id} as a chat: {theirs}")
