"""All that is known about one current record, from its prepared row to what was found when it was compared."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.curation.prepare import rendered
from pipeline.errors import ConfigError, TaskCodeError
from schemas.annotation import Verdict
from schemas.fate import Reason, ReasonCode, Routed
from schemas.field import JsonValue
from schemas.task import Task
from schemas.user_code_errors import described, own

_NOT_HANDED_ON_UNSEEN = {ReasonCode.PERSONAL_DATA, ReasonCode.SECRET, ReasonCode.TEMPLATE_TOKEN}
SHOWN_ANSWERS = 3


@dataclass(slots=True)
class Case:
    """All that is known about one current record."""

    record_id: str
    revision: str
    order: int
    fixed_split: str | None = None
    """The split that its source belongs to."""
    frozen: bool = False
    """Its source is published as it is."""
    text_key: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, JsonValue] | None = None
    rejection_reasons: list[Reason] = field(default_factory=list)
    review_reasons: list[Reason] = field(default_factory=list)
    replaced: dict[str, JsonValue] | None = None
    """The row's own targets, where a person gave others."""
    contradicted: bool = False
    """A person gave another answer than the source has now, and before it had that."""
    label_error_reasons: list[Reason] = field(default_factory=list)
    """Failed grounding and doubted labels: a person should look, but need not."""
    scored: bool = False
    """An earlier run had the chance to doubt it; it may have had too little to go by."""
    label_error_score: float | None = None
    suggestion: dict[str, JsonValue] | None = None
    tokens: int | None = None
    human: Verdict | None = None
    """What annotators said about it, taken together; None where nobody said anything that counts."""
    human_reasons: list[Reason] = field(default_factory=list)
    past_route: Routed | None = None
    """How this revision was routed before; a question that was asked stays asked."""
    duplicate_of: str | None = None
    exact: bool = False
    similarity: float | None = None
    conflicting_answers: int = 0
    """How many other answers the same inputs have."""
    conflict_answers: Sequence[str] = ()
    """The first ``SHOWN_ANSWERS`` of them, as people read them."""
    overridden_by: str | None = None
    bridges: tuple[str, str] | None = None
    group: str = ""
    pinned_split: str | None = None
    """The split that the group must go to, where the record has none of its own yet."""

    @property
    def stands(self) -> bool:
        """Whether it is published as it is: valid, labeled, and nothing in it that must not be handed on unseen."""
        seen = not any(reason.code in _NOT_HANDED_ON_UNSEEN for reason in self.review_reasons)
        agreed = self.human is Verdict.LABELED or (self.human is None and seen)
        return self.frozen and self.targets is not None and not self.rejection_reasons and agreed


def is_candidate(case: Case) -> bool:
    """Whether a case is compared with others: neither its form nor a person speaks against it."""
    return case.human is not Verdict.UNUSABLE and not case.rejection_reasons


def is_kept(case: Case) -> bool:
    """Whether a case may end in a release: neither rejected nor a copy of another."""
    return is_candidate(case) and not (case.duplicate_of or case.overridden_by or case.bridges)


def as_chat(case: Case, task: type[Task]) -> str:
    """The prompt, and the answer if there is one, whose tokens count.

    Raises:
        ConfigError: the task's own code fails.
    """
    try:
        return rendered(task, case.inputs, case.targets)
    except BaseException as error:
        raise _no_chat(case, task, own(error)) from error


def in_words(case: Case, targets: dict[str, JsonValue], task: type[Task]) -> str:
    """An answer as the model would write it.

    Raises:
        ConfigError: the task's own code fails.
    """
    try:
        return task.task_answer(targets)
    except BaseException as error:
        raise _no_chat(case, task, own(error)) from error


def _no_chat(case: Case, task: type[Task], error: BaseException) -> ConfigError:
    theirs = str(error) if isinstance(error, TaskCodeError) else f"{described(error)}; fix its task_prompt"
    return ConfigError(f"{task.__name__} cannot write record {case.record_id} as a chat: {theirs}")
