"""Scores the labels of the kept cases: how likely an annotator would correct them, and why."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import polars as pl

from pipeline.curation.case import Case
from pipeline.curation.known import NO_DOUBT, Doubt
from pipeline.curation.relations import hashed
from pipeline.kinds.interface import LEARNED_ROWS, Kept, Kind, LabeledText, LabelScore, Targets
from pipeline.kinds.registry import kind_of
from pipeline.text.answer_keys import Answers
from pipeline.text.meaning_guards import signs
from pipeline.text.normalize import key_fields
from pipeline.text.words import words
from schemas.annotation import Verdict
from schemas.dataset import OnConflict
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
    """The labels of some cases once they are scored."""

    doubts: Sequence[Doubt]
    """What speaks against each, in the order of the cases."""
    notes: Collection[str] = ()
    """What limits the scores, as texts for the report."""


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
    ) -> Scored:
        """Score the labels of cases that were compared with each other.

        Args:
            cases: of a chunk.
            task: of the dataset.
            on_conflict: whether any of several answers is right.
            off: rules about answers that are not used.
        """
        kind = kind_of(task)
        present = sorted((case for case in cases if _counts(case, kind)), key=lambda case: case.known.record_id)
        rows = _Rows(present, task, on_conflict)
        if kind.judges_alone:
            found = kind.judge_labels(task, rows.of(present), {}, off)
            return Scored(_in_order(cases, rows.doubts(present, found.rows)), _said(found.note))
        learned = [case for case in present if case.known.record_id in self.learned]
        doubts = rows.doubts(learned, [self.learned[case.known.record_id] for case in learned])
        others = [
            case
            for case in present
            if case.known.record_id not in self.learned and (self.is_new or not case.known.past.scored)
        ]
        notes: set[str] = set()
        for start in range(0, len(others), _AT_ONCE):
            assert self.kept is not None
            some = others[start : start + _AT_ONCE]
            found = kind.judge_labels(task, rows.of(some), self.kept, off)
            doubts |= rows.doubts(some, found.rows)
            notes.update(_said(found.note))
        for case in present:
            if case.known.past.doubt.score is not None:
                # An old score is kept.
                doubts.pop(case.known.record_id, None)
        # What limits new scores was said when they were learned.
        return Scored(_in_order(cases, doubts), () if self.is_new else notes)


def _said(note: str) -> Collection[str]:
    return (note,) if note else ()


def _in_order(cases: Sequence[Case], scored: Mapping[str, Doubt]) -> list[Doubt]:
    return [scored.get(case.known.record_id) or _stays(case) for case in cases]


def _stays(case: Case) -> Doubt:
    """What earlier runs have found against a label that is not scored now; a case that is left out is not doubted."""
    doubt, corrected = case.known.past.doubt if case.is_kept else NO_DOUBT, case.matched.corrected_elsewhere
    return doubt if corrected is None else replace(doubt, reasons=(corrected, *doubt.reasons))


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
        """Note from which cases of a chunk something can be learned."""
        if not self.learns:
            return
        present = [(place, case) for place, case in enumerate(cases) if _counts(case, self._kind)]
        columns = {
            "record_id": [case.known.record_id for _, case in present],
            "answer": hashed([self._answers.key(case.known.targets) or "" for _, case in present]),
            "key": hashed([case.known.text_key for _, case in present]),
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
            cases = sorted(read(cast("int", chunk), some["place"].to_list()), key=lambda case: case.known.record_id)
            wanted = set(chosen.filter(pl.col("chunk") == chunk)["record_id"])
            mine = [case for case in cases if case.known.record_id in wanted]
            rows = _Rows(cases, self._task, self._on_conflict)
            texts |= zip((case.known.record_id for case in mine), rows.of(mine), strict=True)
        # In a canonical order: neither line order nor batches affect a score.
        ids = sorted(texts)
        result = self._kind.learn_labels(self._task, [texts[name] for name in ids], _SEED, self._off)
        self.note = result.scores.note
        self.scores = Scores(result.kept, dict(zip(ids, result.scores.rows, strict=True)), is_new=True)
        return result.kept


def _counts(case: Case, kind: Kind) -> bool:
    # What annotators settled needs no score, unless others are learned from it.
    return case.is_kept and (kind.learns_labels or (case.known.human is None and bool(case.known.targets)))


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
                case.known.inputs,
                case.known.targets,
                case.group,
                case.known.human is Verdict.LABELED,
                self._also.get(case.known.record_id, ()),
            )
            for case in cases
        ]

    def doubts(self, cases: Sequence[Case], found: Sequence[LabelScore]) -> dict[str, Doubt]:
        """By record id: what speaks against the labels of cases, by the scores that were found."""
        # Splitting all rows into words takes long: only done if a reason may have to be dropped for them.
        if self._any_of and self._answers is None and any(row.reasons and row.suggestion for row in found):
            self._answers = _answers_by_words(self._cases)
        answers = self._answers or {}
        return {case.known.record_id: _doubt(case, score, answers) for case, score in zip(cases, found, strict=True)}


def _doubt(case: Case, found: LabelScore, answers: dict[_Words, set[Hashable]]) -> Doubt:
    known, score = case.known, None if found.score is None else round(found.score, _DIGITS)
    reasons = () if case.matched.corrected_elsewhere is None else (case.matched.corrected_elsewhere,)
    if not found.reasons or known.human is not None or not known.targets:
        return Doubt(score, found.suggestion, reasons)
    # If any answer to an input is right, the model may well predict another of them.
    agrees = (
        answers and found.suggestion is not None and comparable_targets(found.suggestion) in answers[_in_words(case)]
    )
    # Then the score says nothing about this row.
    return (
        Doubt(None, found.suggestion, reasons) if agrees else Doubt(score, found.suggestion, (*reasons, *found.reasons))
    )


def _other_answers(cases: Sequence[Case]) -> dict[str, list[Targets]]:
    """By record id: what other rows answer to the same input."""
    of_input: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        of_input[case.known.text_key].append(case)
    return {
        case.known.record_id: [
            other.known.targets for other in same if other is not case and other.known.targets is not None
        ]
        for same in of_input.values()
        if len(same) > 1
        for case in same
    }


def _answers_by_words(cases: Sequence[Case]) -> dict[_Words, set[Hashable]]:
    answers: defaultdict[_Words, set[Hashable]] = defaultdict(set)
    for case in cases:
        if case.known.targets:
            answers[_in_words(case)].add(comparable_targets(case.known.targets))
    return answers


def _in_words(case: Case) -> _Words:
    """What makes inputs the same to an annotator: their words, and signs that reverse the meaning."""
    key = case.known.text_key
    return tuple(tuple(words(part)) for part in key_fields(key)), tuple(signs(key))


def _text(case: Case, task: type[Task]) -> str:
    return "\n".join(_texts([case.known.inputs.get(name) for name in task.task_names(Role.INPUT)]))


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
