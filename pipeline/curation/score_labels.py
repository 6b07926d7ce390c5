"""Scores the labels of the kept cases: how likely an annotator would correct them, and why."""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.curation.case import Case, is_kept
from pipeline.kinds.interface import LEARNED_ROWS, Kept, LabeledText, LabelScore, LabelScores, Targets
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
_AT_ONCE = 20_000
"""Rows that are judged at once."""
_DIGITS = 6
"""Of a score: the rest differs between processors."""
_Words = tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]


@dataclass(frozen=True)
class Scored:
    """What a scoring brings beside the scores."""

    note: str
    """What limits them, as text for the report; empty if nothing does."""
    kept: Kept | None = None
    """What judges later rows, if this scoring has learned it."""


def score_labels(
    cases: list[Case], task: type[Task], on_conflict: OnConflict, off: Collection[str] = (), kept: Kept | None = None
) -> Scored:
    """Score the labels of the kept cases that no run has scored.

    Old scores are kept: otherwise every annotator's answer would move other rows in and out of review.

    Args:
        cases: all current records, or those that a run looks at if there is something to judge them by.
        task: of the dataset.
        on_conflict: whether any of several answers is right.
        off: rules about answers that are not used.
        kept: what an earlier run has learned; None to learn it from these cases.
    """
    kind = kind_of(task)
    for case in cases:
        if not is_kept(case):
            forget_scores(case)
    # In a canonical order: neither line order nor batches affect a score.
    present = sorted((case for case in cases if is_kept(case)), key=lambda case: case.record_id)
    if not kind.learns_labels:
        # What annotators settled needs no score.
        present = [case for case in present if case.human is None and case.targets]
    rows = _Rows(present, task, on_conflict)
    if kind.judges_alone:
        for case in present:
            forget_scores(case)
        return Scored(rows.take_over(present, kind.score_labels(task, rows.of(present), _SEED, off)))
    if kept is not None:
        new = [case for case in present if not case.scored]
        return Scored(rows.take_over(new, kind.judge_labels(task, rows.of(new), kept, off)))
    learned, others = _sample(present)
    result = kind.learn_labels(task, rows.of(learned), _SEED, off)
    note = rows.take_over(learned, result.scores)
    for start in range(0, len(others), _AT_ONCE):
        some = others[start : start + _AT_ONCE]
        rows.take_over(some, kind.judge_labels(task, rows.of(some), result.kept, off))
    return Scored(note, result.kept)


def _sample(cases: list[Case]) -> tuple[list[Case], list[Case]]:
    """The cases to learn from, as many of each answer as there is room for, and the others; both in their order."""
    if len(cases) <= LEARNED_ROWS:
        return cases, []
    seen: Counter[Hashable] = Counter()
    turns: dict[str, tuple[int, str]] = {}
    # Record ids are hashes, so their order is a random one.
    for case in cases:
        answer = comparable_targets(case.targets) if case.targets else None
        turns[case.record_id] = seen[answer], case.record_id
        seen[answer] += 1
    chosen = set(sorted(turns, key=turns.__getitem__)[:LEARNED_ROWS])
    return [case for case in cases if case.record_id in chosen], [
        case for case in cases if case.record_id not in chosen
    ]


class _Rows:
    """Cases as kinds of task score them."""

    def __init__(self, cases: list[Case], task: type[Task], on_conflict: OnConflict) -> None:
        self._cases, self._task = cases, task
        self._any_of = on_conflict is OnConflict.ANY_OF
        self._also = _other_answers(cases) if self._any_of else {}
        self._answers: dict[_Words, set[Hashable]] | None = None

    def of(self, cases: Sequence[Case]) -> list[LabeledText]:
        """What a kind needs of some of them."""
        return [
            LabeledText(
                _text(case, self._task),
                case.inputs,
                case.targets,
                case.group,
                case.human is Verdict.LABELED,
                self._also.get(case.record_id, ()),
            )
            for case in cases
        ]

    def take_over(self, cases: Sequence[Case], found: LabelScores) -> str:
        """Give cases without a score the one that was found; returns what limits the scores."""
        # Splitting all rows into words takes long: only done if a reason may have to be dropped for them.
        if self._any_of and self._answers is None and any(row.reasons and row.suggestion for row in found.rows):
            self._answers = _answers_by_words(self._cases)
        for case, score in zip(cases, found.rows, strict=True):
            if case.label_error_score is None:
                _take_over(case, score, self._answers or {})
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
