"""Screens annotators' answers, counts tokens, and rejects rows that are too long."""

from pipeline.curation.case import Case, as_chat, is_kept
from pipeline.text.screening import screen, target_texts
from pipeline.text.tokens import count_tokens
from schemas.annotation import Verdict
from schemas.dataset import Action, Dataset, Screen
from schemas.fate import Reason, ReasonCode
from schemas.task import Task


def screen_answers(cases: list[Case], config: Screen) -> None:
    """Reject answers typed by annotators that no row may contain, such as a chat template's control tokens."""
    for case in cases:
        if case.human is Verdict.LABELED and case.targets:
            findings = screen(target_texts(case.targets), config)
            new = [finding.reason for finding in findings if finding.action is Action.REJECT]
            case.rejection_reasons += [reason for reason in new if reason not in case.rejection_reasons]


def reject_long(cases: list[Case], task: type[Task], config: Dataset) -> None:
    """Reject rows over ``measure.max_tokens``, before they can replace shorter copies."""
    limit = config.measure.max_tokens
    if limit is None:
        return
    _count([case for case in cases if case.human is Verdict.LABELED and not case.rejection_reasons], task, config)
    for case in cases:
        if not case.rejection_reasons and case.tokens is not None and case.tokens > limit:
            case.rejection_reasons.append(Reason(code=ReasonCode.TOO_LONG, detail=f"{case.tokens} of at most {limit}"))


def measure(cases: list[Case], task: type[Task], config: Dataset) -> None:
    """Count the prompt and answer tokens of kept cases; others have none, except those that are too long."""
    _count([case for case in cases if is_kept(case)], task, config)
    for case in cases:
        if not is_kept(case) and not any(reason.code is ReasonCode.TOO_LONG for reason in case.rejection_reasons):
            case.tokens = None


def _count(cases: list[Case], task: type[Task], config: Dataset) -> None:
    """Count the tokens of those cases whose answer was not counted with the row.

    Raises:
        ConfigError: the task's own code fails.
    """
    uncounted = [case for case in cases if case.tokens is None]
    counts = count_tokens([as_chat(case, task) for case in uncounted], config.measure.encoding)
    for case, tokens in zip(uncounted, counts, strict=True):
        case.tokens = tokens
