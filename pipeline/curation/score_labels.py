"""Scores the labels of the kept cases: how likely an annotator would correct them, and why."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import polars as pl

from pipeline.curation.case import Case, is_kept
from pipeline.curation.relations import hashed
from pipeline.kinds.interface import LEARNED_ROWS, Kept, Kind, LabeledText, LabelScore, Targets
from pipeline.kinds.registry import kind_of
from pipeline.text.answer_keys import Answers
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
class Scores:
    """What the labels of cases are scored by; pickled, it takes the same to another process."""

    kept: Kept | None
    """What was learned; None if each row is judged by itself, or nothing is to be learned."""
    learned: Mapping[str, LabelScore]
    """The scores of the cases that it was learned from, by record id."""
    is_new: bool
    """Whether it was learned in this run: then all cases are scored, not only those that no run has scored."""

    def give(
        self, cases: Sequence[Case], task: type[Task], on_conflict: OnConflict, off: Collection[str] = ()
    ) -> Collection[str]:
        """Score cases that were compared with each other.

        Args:
            cases: of a chunk.
            task: of the dataset.
            on_conflict: whether any of several answers is right.
            off: rules about answers that are not used.

        Returns:
            What limits the scores, as texts for the report.
        """
        kind = kind_of(task)
        present = sorted((case for case in cases if _counts(case, kind)), key=lambda case: case.record_id)
        rows = _Rows(present, task, on_conflict)
        if kind.judges_alone:
            for case in present:
                forget_scores(case)
            found = kind.score_labels(task, rows.of(present), _SEED, off)
            rows.take_over(present, found.rows)
            return _said(found.note)
        learned = [case for case in present if case.record_id in self.learned]
        rows.take_over(learned, [self.learned[case.record_id] for case in learned])
        others = [case for case in present if case.record_id not in self.learned and (self.is_new or not case.scored)]
        notes: set[str] = set()
        for start in range(0, len(others), _AT_ONCE):
            assert self.kept is not None
            some = others[start : start + _AT_ONCE]
            found = kind.judge_labels(task, rows.of(some), self.kept, off)
            rows.take_over(some, found.rows)
            notes.update(_said(found.note))
        # What limits new scores was said when they were learned.
        return () if self.is_new else notes


def _said(note: str) -> Collection[str]:
    return (note,) if note else ()


class Scoring:
    """Finds out by what the labels of the kept cases are scored, chunk by chunk.

    Old scores are kept: otherwise every annotator's answer would move other rows in and out of review. First ``see``
    every chunk, once its cases were compared; then ``learn``, if there is something to learn.
    """

    def __init__(self, task: type[Task], on_conflict: OnConflict, off: Collection[str] = (), kept: Kept | None = None):
        """Take what stays the same.

        Args:
            task: of the dataset.
            on_conflict: whether any of several answers is right.
            off: rules about answers that are not used.
            kept: what an earlier run has learned; None to learn it from these cases.
        """
        self._task, self._on_conflict, self._off = task, on_conflict, off
        self._kind, self._answers = kind_of(task), Answers(task)
        self._seen: list[pl.DataFrame] = []
        self.scores = Scores(kept, {}, is_new=False)
        self.note = ""
        """What limits the scores that were learned, as text for the report; empty if nothing does."""

    @property
    def learns(self) -> bool:
        """Whether these cases are learned from."""
        return self.scores.kept is None and not self._kind.judges_alone

    def see(self, cases: Sequence[Case], chunk: int) -> None:
        """Forget the scores of cases that are left out, and note from which of the others something can be learned."""
        for case in cases:
            if not is_kept(case):
                forget_scores(case)
        if not self.learns:
            return
        present = [(place, case) for place, case in enumerate(cases) if _counts(case, self._kind)]
        columns = {
            "record_id": [case.record_id for _, case in present],
            "answer": hashed([self._answers.key(case.targets) or "" for _, case in present]),
            "key": hashed([case.text_key for _, case in present]),
            "place": [place for place, _ in present],
        }
        self._seen.append(pl.DataFrame(columns, schema=_SEEN).with_columns(chunk=pl.lit(chunk)))

    def learn(self, read: Callable[[int, Sequence[int]], list[Case]]) -> Kept:
        """Learn from a sample of the cases; returns what is to be kept for later runs.

        Args:
            read: the cases of a chunk at some places.
        """
        seen = pl.concat(self._seen)
        chosen = _sample(seen)
        texts: dict[str, LabeledText] = {}
        # Beside them those that answer the same inputs.
        near = seen.join(chosen.select("chunk", "key").unique(), on=["chunk", "key"], how="semi")
        for (chunk,), some in near.group_by("chunk", maintain_order=True):
            cases = sorted(read(cast("int", chunk), some["place"].to_list()), key=lambda case: case.record_id)
            wanted = set(chosen.filter(pl.col("chunk") == chunk)["record_id"])
            mine = [case for case in cases if case.record_id in wanted]
            rows = _Rows(cases, self._task, self._on_conflict)
            texts |= zip((case.record_id for case in mine), rows.of(mine), strict=True)
        # In a canonical order: neither line order nor batches affect a score.
        ids = sorted(texts)
        result = self._kind.learn_labels(self._task, [texts[name] for name in ids], _SEED, self._off)
        self.note = result.scores.note
        self.scores = Scores(result.kept, dict(zip(ids, result.scores.rows, strict=True)), is_new=True)
        return result.kept


def _counts(case: Case, kind: Kind) -> bool:
    # What annotators settled needs no score, unless others are learned from it.
    return is_kept(case) and (kind.learns_labels or (case.human is None and bool(case.targets)))


_SEEN = pl.Schema({"record_id": pl.String(), "answer": pl.UInt64(), "key": pl.UInt64(), "place": pl.Int64()})


def _sample(seen: pl.DataFrame) -> pl.DataFrame:
    """The cases to learn from: as many of each answer as there is room for."""
    if seen.height <= LEARNED_ROWS:
        return seen
    # Record ids are hashes, so their order is a random one.
    turns = seen.sort("record_id").with_columns(turn=pl.int_range(pl.len()).over("answer"))
    return turns.sort("turn", "record_id").head(LEARNED_ROWS)


class _Rows:
    """Cases as kinds of task score them."""

    def __init__(self, cases: Sequence[Case], task: type[Task], on_conflict: OnConflict) -> None:
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

    def take_over(self, cases: Sequence[Case], found: Sequence[LabelScore]) -> None:
        """Give cases without a score the one that was found."""
        # Splitting all rows into words takes long: only done if a reason may have to be dropped for them.
        if self._any_of and self._answers is None and any(row.reasons and row.suggestion for row in found):
            self._answers = _answers_by_words(self._cases)
        for case, score in zip(cases, found, strict=True):
            if case.label_error_score is None:
                _take_over(case, score, self._answers or {})


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


def _other_answers(cases: Sequence[Case]) -> dict[str, list[Targets]]:
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


def _answers_by_words(cases: Sequence[Case]) -> dict[_Words, set[Hashable]]:
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
