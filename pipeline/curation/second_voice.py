"""Adds what a model says to what is known about the cases: a proposal for unlabeled ones, one more voice about others.

The voice moves the odds that a label is wrong, by as much as the model has been right where annotators have answered.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import Case
from pipeline.curation.known import Doubt, Known, in_words
from pipeline.suggestions.asker import Asker
from schemas.annotation import Verdict
from schemas.dataset import OnConflict
from schemas.fate import LEAST_DOUBT, Reason, ReasonCode
from schemas.field import JsonValue, same_targets
from schemas.task import Task

_UNSCORED = 0.1
"""How likely a label is wrong that no score is known of."""
_MODEST = 1e-6
"""No score is nearer to 0 or 1."""
_WEIGHT = 4
"""How many answers of annotators what we expect of an unknown model counts as."""
_USUALLY_RIGHT, _USUALLY_AS_WRONG = 0.5, 0.25
"""What we expect of it: how often it gives the right answer, and how often the given answer if that is wrong."""
_DIGITS = 6


@dataclass(frozen=True)
class Voice:
    """How much a model's word counts."""

    right: float = _USUALLY_RIGHT
    """How often it gives the right answer."""
    as_wrong: float = _USUALLY_AS_WRONG
    """How often it gives the same answer as the row, where that is wrong."""

    def heard(self, score: float, *, agrees: bool) -> float:
        """How likely an answer is wrong, once the model was heard; a model that knows nothing changes nothing."""
        if self.right <= self.as_wrong:
            return score
        likelier = self.as_wrong / self.right if agrees else (1 - self.as_wrong) / (1 - self.right)
        within = min(max(score, _MODEST), 1 - _MODEST)
        odds = math.log(within / (1 - within)) + math.log(likelier)
        return max(_MODEST, min(round(1 / (1 + math.exp(-odds)), _DIGITS), 1 - _MODEST))


def voice_of(cases: Iterable[Case], learned_gold: bool = False) -> Voice:
    """How often a model was right, by annotators' answers about labeled rows; the fewer, the more cautious.

    Suspect rows are asked about all the more if the model differs, so among these alone it would look wrong, and as if
    it never repeated a wrong label. So each row counts as its inverse chance to be asked: an audited one for all that
    it was drawn from, a suspect for itself. Rows without a label do not count: there, annotators start from what the
    model says.

    Args:
        cases: those that it was heard about.
        learned_gold: it may have learned the rows of gold sources, which then say nothing about it.
    """
    rows = [
        case
        for case in cases
        if case.model_answer is not None
        and case.known.human is Verdict.LABELED
        and not case.known.answered.entered
        and not (learned_gold and case.known.answered.is_trusted)
    ]
    drawn = [
        1 / case.known.past.chance.probability
        for case in rows
        if case.known.past.chance and case.known.stands_for_others
    ]
    usual = sum(drawn) / len(drawn) if drawn else 1.0
    right, as_wrong = _Share(_USUALLY_RIGHT), _Share(_USUALLY_AS_WRONG)
    for case in rows:
        known, weight = case.known, 1.0
        if known.past.chance and known.stands_for_others:
            weight = 1 / known.past.chance.probability
        elif known.answered.is_trusted:
            # Blind as well, and drawn by nobody.
            weight = usual
        right.add(weight, same_targets(case.model_answer, known.targets))
        if known.answered.replaced is not None:
            as_wrong.add(weight, same_targets(case.model_answer, known.answered.replaced))
    return Voice(right.value, as_wrong.value)


@dataclass(slots=True)
class _Share:
    """A share among weighted answers, which begins as ``_WEIGHT`` answers of what is expected."""

    expected: float
    total: float = 0.0
    squares: float = 0.0
    hits: float = 0.0

    def add(self, weight: float, hit: bool) -> None:
        self.total += weight
        self.squares += weight**2
        self.hits += weight * hit

    @property
    def value(self) -> float:
        if not self.total:
            return self.expected
        # As many even answers as these are worth (L. Kish, "Survey Sampling", 1965).
        worth = self.total**2 / self.squares
        return (self.hits / self.total * worth + self.expected * _WEIGHT) / (worth + _WEIGHT)


class SecondVoice:
    """The model that `suggest` names: what it says of each record, as far as the ledger has it, and what that is worth.

    ``hear`` it about every chunk of the cases; then its word can be weighed against any score.
    """

    def __init__(self, dataset: LoadedDataset, calls: Path) -> None:
        """Take the ledger of all calls."""
        self._dataset, self._calls = dataset, calls
        self._is_on = dataset.config.suggest.is_on and calls.exists()
        self._answered: list[Case] = []

    def answers(self, records: Sequence[Known]) -> Sequence[dict[str, JsonValue] | None]:
        """Its answer to each of some records; None where there is none."""
        if not self._is_on:
            return [None] * len(records)
        # Imported here: its client takes half a second.
        from pipeline.suggestions.model_answers import ModelAnswers

        with ModelAnswers(Asker(self._dataset.config.suggest, self._dataset.task), self._calls) as answers:
            return [answers.about(known.record_id, known.text_key, known.inputs) for known in records]

    def hear(self, cases: Sequence[Case]) -> None:
        """Note where annotators have answered what it has."""
        self._answered += [case for case in cases if _is_heard(case) and case.known.human is Verdict.LABELED]

    def voice(self) -> Voice | None:
        """How much its word counts; None if there is no model."""
        if not self._is_on:
            return None
        if self._dataset.config.on_conflict is OnConflict.ANY_OF:
            # Where any answer is right, another one says nothing against a row's.
            return Voice(0, 0)
        # Sums of fractions depend on their order.
        answered = sorted(self._answered, key=lambda case: case.known.order)
        return voice_of(answered, bool(self._dataset.config.suggest.adapter))


def weigh(cases: Sequence[Case], doubts: Sequence[Doubt], voice: Voice, task: type[Task]) -> list[Doubt]:
    """What speaks against the labels of cases, once a model's answers were weighed with what did so before."""
    return [
        _weighed(case, doubt, voice, task) if _is_heard(case) else doubt
        for case, doubt in zip(cases, doubts, strict=True)
    ]


def _is_heard(case: Case) -> bool:
    return case.model_answer is not None and case.is_kept


def _weighed(case: Case, before: Doubt, voice: Voice, task: type[Task]) -> Doubt:
    known, doubt = case.known, replace(before, score_alone=before.score)
    if known.targets is None or case.model_answer is None or known.human is not None or voice.right <= voice.as_wrong:
        return doubt
    agrees = same_targets(case.model_answer, known.targets)
    if agrees and doubt.score is None:
        # Nothing speaks against it.
        return doubt
    score = voice.heard(_UNSCORED if doubt.score is None else doubt.score, agrees=agrees)
    if agrees or score < LEAST_DOUBT:
        return replace(doubt, score=score)
    theirs, own = in_words(known, [case.model_answer, known.targets], task)
    reason = Reason(code=ReasonCode.SECOND_OPINION, detail=f"'{theirs}', not '{own}'")
    return replace(doubt, score=score, reasons=(*doubt.reasons, reason))
