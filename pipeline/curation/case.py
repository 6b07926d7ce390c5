"""Everything known about one current record, from its prepared row to the results of comparison."""

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
SHOWN_ANSWERS = 3


@dataclass(slots=True)
class Case:
    """Everything known about one current record."""

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
    rejection_reasons: list[Reason] = field(default_factory=list)
    draft: dict[str, JsonValue] | None = None
    """The valid part of its answer, if a person can repair it."""
    repair: bool = False
    """Annotators may be asked to repair it."""
    review_reasons: list[Reason] = field(default_factory=list)
    replaced: dict[str, JsonValue] | None = None
    """The row's own targets, if an annotator gave others."""
    entered: bool = False
    """An annotator answered a row that had no answer."""
    corrected: dict[str, JsonValue] | None = None
    """The same, or what they were before the source took the annotator's over."""
    contradicted: bool = False
    """An annotator's answer differs from the source's current one, and predates it."""
    label_error_reasons: list[Reason] = field(default_factory=list)
    """Failed grounding and likely label errors: an annotator should look, but need not."""
    scored: bool = False
    """An earlier run could have scored it; it may have had too little data."""
    label_error_score: float | None = None
    suggestion: dict[str, JsonValue] | None = None
    model_answer: dict[str, JsonValue] | None = None
    """Of the model that `suggest` names."""
    score_alone: float | None = None
    """If there is one: the label-error score without it."""
    tokens: int | None = None
    human: Verdict | None = None
    """The combined verdict of its annotations; None if there is none that counts."""
    human_reasons: list[Reason] = field(default_factory=list)
    is_trusted: bool = False
    """A gold source vouches for its answer, or for its annotator's."""
    unconfirmed: bool = False
    """A single annotator's answer that nothing else speaks for: in a team, somebody else is asked, too."""
    has_open_seat: bool = False
    """A second annotator or an adjudicator can still be asked about it; only read for ``review.error_rate``."""
    is_in_vain: bool = False
    """Annotators have skipped its question, or the server has refused it; only read for ``review.error_rate``."""
    past_route: Routed | None = None
    """How this revision was routed before; a question that was asked remains asked."""
    chance: Chance | None = None
    """The one that an earlier run gave this revision to be audited."""
    duplicate_of: str | None = None
    exact: bool = False
    similarity: float | None = None
    threshold: float = 0.0
    """The one that the similarity reaches."""
    conflicting_answers: int = 0
    """How many other answers the same inputs have."""
    conflict_answers: Sequence[str] = ()
    """The first ``SHOWN_ANSWERS`` of them, as shown to people."""
    conflict_rows: Sequence[str] = ()
    """The records that have these."""
    overridden_by: str | None = None
    bridges: tuple[str, str] | None = None
    group: str = ""
    pinned_split: str | None = None
    """The split that the group must go to, if the record has none of its own yet."""

    @property
    def was_wrong(self) -> bool:
        """Whether an annotator gave another answer than its own, which its source may have taken over since."""
        return self.human is Verdict.LABELED and (self.replaced is not None or self.corrected is not None)

    @property
    def published_as_is(self) -> bool:
        """Whether it is published as is: valid, labeled, and without content that must not be published unseen."""
        seen = not any(reason.code in _NOT_HANDED_ON_UNSEEN for reason in self.review_reasons)
        agreed = self.human is Verdict.LABELED or (self.human is None and seen)
        return self.frozen and self.targets is not None and not self.rejection_reasons and agreed


def stands_for_others(case: Case) -> bool:
    """Whether an answered row is one of the random sample.

    Rows that are answered whether or not they are drawn, such as those of a gold source, stand for no others: they may
    be better or worse. All of them are left out, or those that happened to be drawn would speak for the rest.
    """
    if case.chance is None or case.rejection_reasons or case.is_trusted or case.past_route is not Routed.AUDIT:
        return False
    return is_drawn(case.record_id, case.chance)


def is_candidate(case: Case) -> bool:
    """Whether a case is compared with others: neither its form nor an annotator excludes it."""
    return case.human is not Verdict.UNUSABLE and not case.rejection_reasons


def is_kept(case: Case) -> bool:
    """Whether a case may end up in a release: neither rejected nor a copy of another."""
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


def in_words(case: Case, answers: Sequence[dict[str, JsonValue]], task: type[Task]) -> list[str]:
    """Answers as annotators read them, by the fields in which they differ.

    Raises:
        ConfigError: the task's own code fails.
    """
    try:
        return answers_in_words(task, answers)
    except BaseException as error:
        raise _no_chat(case, task, own(error)) from error


def _no_chat(case: Case, task: type[Task], error: BaseException) -> ConfigError:
    theirs = str(error) if isinstance(error, TaskCodeError) else f"{described(error)}; fix its task_prompt"
    return ConfigError(f"{task.__name__} cannot render record {case.record_id} as a chat: {theirs}")
