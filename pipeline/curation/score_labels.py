"""Scores the labels of the kept cases: how likely an annotator would correct them, and why."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence

from pipeline.curation.case import Case, is_kept
from pipeline.kinds.interface import LabeledText, LabelScore, Targets
from pipeline.kinds.registry import kind_of
from pipeline.text.meaning_guards import signs
from pipeline.text.normalize import key_fields
from pipeline.text.words import words
from schemas.annotation import Verdict
from schemas.dataset import OnConflict
from schemas.fate import LABEL_ERROR_CODES, Reason
from schemas.field import comparable_targets
from schemas.task import Role, Task

_SEED = 17
_DIGITS = 6
"""Of a score: the rest differs between processors."""
_Words = tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]


def score_labels(cases: list[Case], task: type[Task], on_conflict: OnConflict, off: Collection[str] = ()) -> str:
    """Score the labels of the kept cases; returns a note for the report.

    If a model learns from all of them, old scores are kept: otherwise every annotator's answer would move other
    rows in and out of review.
    """
    kind = kind_of(task)
    # In a canonical order: neither line order nor batches affect a score.
    kept = sorted((case for case in cases if is_kept(case)), key=lambda case: case.record_id)
    for case in cases:
        if not is_kept(case):
            forget_scores(case)
    if kind.learns_labels and all(case.scored for case in kept):
        return ""
    if not kind.learns_labels:
        # Each row is scored independently: what annotators settled needs no score.
        kept = [case for case in kept if case.human is None and case.targets]
    also = _other_answers(kept) if on_conflict is OnConflict.ANY_OF else {}
    rows = [
        LabeledText(
            _text(case, task),
            case.inputs,
            case.targets,
            case.group,
            case.human is Verdict.LABELED,
            also.get(case.record_id, ()),
        )
        for case in kept
    ]
    found = kind.score_labels(task, rows, _SEED, off)
    # Splitting all rows into words takes long: only done if a reason may have to be dropped for them.
    suggested = on_conflict is OnConflict.ANY_OF and any(row.reasons and row.suggestion for row in found.rows)
    answers = _answers_by_words(kept) if suggested else {}
    for case, score in zip(kept, found.rows, strict=True):
        if not kind.learns_labels or case.label_error_score is None:
            _take_over(case, score, answers)
    return found.note


def forget_scores(case: Case) -> None:
    """Let the next scoring judge a case that earlier runs have scored."""
    case.scored, case.label_error_score, case.suggestion = False, None, None
    case.label_error_reasons = _others(case)


def _others(case: Case) -> list[Reason]:
    return [reason for reason in case.label_error_reasons if reason.code not in LABEL_ERROR_CODES]


def _take_over(case: Case, score: LabelScore, answers: dict[_Words, set[Hashable]]) -> None:
    case.label_error_score = None if score.score is None else round(score.score, _DIGITS)
    case.suggestion = score.suggestion
    case.label_error_reasons = _others(case)
    if not score.reasons or case.human is not None or not case.targets:
        return
    # If any answer to an input is right, the model may well predict another of them.
    agrees = (
        answers and score.suggestion is not None and comparable_targets(score.suggestion) in answers[_in_words(case)]
    )
    if agrees:
        # Then the score says nothing about this row.
        case.label_error_score = None
    else:
        case.label_error_reasons = [*_others(case), *score.reasons]


def _other_answers(cases: list[Case]) -> dict[str, list[Targets]]:
    """By record id: what other rows answer to the same input."""
    of_input: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        of_input[case.text_key].append(case)
    return {
        case.record_id: [other.targets for other in same if other is not case and other.targets is not None]
        for same in of_input.values()
        if len(same) > 1
        for case in same
    }


def _answers_by_words(cases: list[Case]) -> dict[_Words, set[Hashable]]:
    answers: defaultdict[_Words, set[Hashable]] = defaultdict(set)
    for case in cases:
        if case.targets:
            answers[_in_words(case)].add(comparable_targets(case.targets))
    return answers


def _in_words(case: Case) -> _Words:
    """What makes inputs the same to an annotator: their words, and signs that reverse the meaning."""
    return tuple(tuple(words(part)) for part in key_fields(case.text_key)), tuple(signs(case.text_key))


def _text(case: Case, task: type[Task]) -> str:
    return "\n".join(_texts([case.inputs.get(name) for name in task.task_names(Role.INPUT)]))


def _texts(value: object) -> Iterator[str]:
    """The texts and numbers in a value, such as those of the messages of a chat."""
    if isinstance(value, Mapping):
        # Who speaks is not part of what a message says.
        value = [part for name, part in value.items() if not (name == "role" and "content" in value)]
    if isinstance(value, str):
        yield value
    elif isinstance(value, Sequence):
        for part in value:
            yield from _texts(part)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
