"""Screens annotators' answers, counts tokens, and rejects rows that are too long."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.curation.case import Case
from pipeline.curation.known import Known, as_chat
from pipeline.text.screening import screen, target_texts
from pipeline.text.tokens import count_tokens
from schemas.annotation import Verdict
from schemas.dataset import Action, Dataset, Screen
from schemas.fate import Reason, ReasonCode
from schemas.task import Task


def screen_answers(records: Sequence[Known], config: Screen) -> list[Known]:
    """Records, with those rejected for whose answer an annotator typed what no row may contain, such as a chat
    template's control tokens.
    """
    return [_screened(known, config) if known.human is Verdict.LABELED else known for known in records]


def _screened(known: Known, config: Screen) -> Known:
    if not known.targets:
        return known
    findings = screen(target_texts(known.targets), config)
    new = [finding.reason for finding in findings if finding.action is Action.REJECT]
    more = tuple(reason for reason in new if reason not in known.rejection_reasons)
    return replace(known, rejection_reasons=(*known.rejection_reasons, *more)) if more else known


def reject_long(records: Sequence[Known], task: type[Task], config: Dataset) -> list[Known]:
    """Records, with those over ``measure.max_tokens`` rejected, before they can replace shorter copies."""
    limit = config.measure.max_tokens
    if limit is None:
        return list(records)
    answered = [known.human is Verdict.LABELED and not known.rejection_reasons for known in records]
    counts = _count(records, answered, task, config)
    return [_within(known, tokens, limit) for known, tokens in zip(records, counts, strict=True)]


def _within(known: Known, tokens: int | None, limit: int) -> Known:
    reasons = known.rejection_reasons
    if not reasons and tokens is not None and tokens > limit:
        reasons = (Reason(code=ReasonCode.TOO_LONG, detail=f"{tokens} of at most {limit}"),)
    elif tokens == known.tokens:
        return known
    return replace(known, tokens=tokens, rejection_reasons=reasons)


def measure(cases: Sequence[Case], task: type[Task], config: Dataset) -> list[int | None]:
    """The prompt and answer tokens of kept cases; others have none, except those that are too long."""
    records, kept = [case.known for case in cases], [case.is_kept for case in cases]
    counts = _count(records, kept, task, config)
    return [
        tokens if is_kept or any(reason.code is ReasonCode.TOO_LONG for reason in known.rejection_reasons) else None
        for known, is_kept, tokens in zip(records, kept, counts, strict=True)
    ]


def _count(records: Sequence[Known], wanted: Sequence[bool], task: type[Task], config: Dataset) -> list[int | None]:
    """The tokens of records, counted for those wanted whose answer was not counted with the row.

    Raises:
        ConfigError: the task's own code fails.
    """
    uncounted = [known for known, is_wanted in zip(records, wanted, strict=True) if is_wanted and known.tokens is None]
    counts = iter(count_tokens([as_chat(known, task) for known in uncounted], config.measure.encoding))
    return [
        next(counts) if is_wanted and known.tokens is None else known.tokens
        for known, is_wanted in zip(records, wanted, strict=True)
    ]
