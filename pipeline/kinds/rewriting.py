"""Rewriting: the answer is one or more free texts, such as a summary, a simpler wording or a translation."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.estimates import ratio_estimate
from pipeline.evaluation.scores import Credit, Measure, Outcome, Part, PartMetric, scores_by_field
from pipeline.evaluation.text_similarity import chrf, rouge_l
from pipeline.kinds.copied_values import judge_copied, learn_copied
from pipeline.kinds.interface import Kept, Kind, LabeledText, LabelScore, LabelScores, Learned, Targets
from pipeline.label_errors.kept_arrays import named, of_name
from pipeline.label_errors.rewrite_rules import Rule
from pipeline.label_errors.rewrites import Rewrite, RewriteScore, judge_rewrites, learn_rewrites
from schemas.dataset import OnConflict
from schemas.fate import Reason, ReasonCode
from schemas.field import TargetField, ValueType, comparable
from schemas.field_values import leaf_paths
from schemas.task import Task
from schemas.task_fields import original_field

_Score = Callable[[Sequence[Rewrite], str], Sequence[RewriteScore] | None]
"""Takes originals with their answers, and what the names of their arrays begin with."""


class Rewriting(Kind):
    """Free texts in new words; rules that learn what is usual in the set find odd ones."""

    name: ClassVar[str] = "rewriting"
    rules: ClassVar[Collection[str]] = (*(rule.value for rule in Rule), ReasonCode.UNGROUNDED.value)
    scores_are_chances: ClassVar[bool] = False
    on_conflict: ClassVar[OnConflict] = OnConflict.ANY_OF
    part_metric: ClassVar[PartMetric] = PartMetric.CHRF
    metric: ClassVar[str] = "chrf"
    metric_title: ClassVar[str] = "chrF"
    exact_title: ClassVar[str] = "exact texts"

    def accepts(self, targets: Sequence[TargetField]) -> bool:
        """True if one of them is a text."""
        return any(_is_text(field) for field in targets)

    def claims(self, targets: Sequence[TargetField]) -> bool:
        """True for a single text, and where one is marked as free: several texts are mostly copied from the inputs."""
        return any(field.is_free and _is_text(field) for field in targets) or (
            len(targets) == 1 and _is_text(targets[0])
        )

    def free_texts(self, task: type[Task]) -> Collection[str]:
        """The texts that are marked as free, or all texts if none is."""
        texts = [field for field in task.task_targets() if _is_text(field)]
        return [field.name for field in texts if field.is_free] or [field.name for field in texts]

    def original(self, task: type[Task]) -> str:
        """The input that is marked as ``Original``, or the first text."""
        return original_field(task)

    def strata(self, task: type[Task], targets: Targets) -> tuple[str, ...]:
        """None: the text of nearly every row is unique."""
        return ()

    def learn_labels(
        self, task: type[Task], rows: Sequence[LabeledText], seed: int, off: Collection[str] = ()
    ) -> Learned:
        """Score each free text by what is usual in all of them, and the other values as extracted ones."""
        kept: dict[str, NDArray[Any]] = {}

        def learned(pairs: Sequence[Rewrite], name: str) -> list[RewriteScore]:
            found, arrays = learn_rewrites(pairs, _rules(off), name)
            kept.update(arrays)
            return found

        scores = self._scored(task, rows, learned)
        others = self._others(task)
        if not others:
            return Learned(LabelScores(scores), kept)
        of_others = learn_copied(task, rows, _values(rows, others), others, seed, off)
        worse = [_worse(*one) for one in zip(scores, of_others.scores.rows, strict=True)]
        return Learned(LabelScores(worse, of_others.scores.note), kept | named(_COPIED, of_others.kept))

    def judge_labels(
        self, task: type[Task], rows: Sequence[LabeledText], kept: Kept, off: Collection[str] = ()
    ) -> LabelScores:
        """Score each free text by what is usual in it, and the other values as extracted ones."""
        scores = self._scored(task, rows, lambda pairs, name: judge_rewrites(pairs, kept, _rules(off), name))
        others = self._others(task)
        if not others:
            return LabelScores(scores)
        of_others = judge_copied(task, rows, _values(rows, others), others, of_name(kept, _COPIED), off)
        return LabelScores([_worse(*one) for one in zip(scores, of_others.rows, strict=True)], of_others.note)

    def _scored(self, task: type[Task], rows: Sequence[LabeledText], score: _Score) -> list[LabelScore]:
        """The scores of all free texts of the rows together."""
        scores = [LabelScore()] * len(rows)
        for name in self.free_texts(task):
            places = [place for place, row in enumerate(rows) if row.targets and row.targets.get(name) is not None]
            pairs = [_rewrite(task, rows[place], name) for place in places]
            found = score(pairs, f"{_FREE}.{name}")
            if found is not None:
                for place, one in zip(places, found, strict=True):
                    scores[place] = _worse(scores[place], _told(name, one))
        return scores

    def _others(self, task: type[Task]) -> list[TargetField]:
        """The fields whose values are copied from the inputs."""
        free = self.free_texts(task)
        return [field for field in task.task_targets() if field.name not in free]

    def credit(self, task: type[Task], answer: Targets | None, gold: Targets) -> Credit:
        """The chrF of every text, and 1 for every other value that is right, of the number of fields with a value.

        What neither answer has earns nothing and costs nothing: there would be credit for leaving fields out.
        """
        given = answer or {}
        there = [name for name, value in gold.items() if value not in _ABSENT or given.get(name) not in _ABSENT]
        texts = _texts(task)
        earned = sum(
            _similarity(chrf, given.get(name), gold[name])
            if name in texts
            else float(comparable(given.get(name)) == comparable(gold[name]))
            for name in there
        )
        return Credit(earned=earned, possible=float(max(len(there), answer is None)))

    def parts(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
        """Scores by field, of values that are right as a whole; of texts also their mean chrF."""
        parts = scores_by_field(leaf_paths(task.task_targets()), outcomes)
        texts = _texts(task)
        return tuple(
            part.model_copy(update={"chrf": _mean_chrf(part.name, outcomes)}) if part.name in texts else part
            for part in parts
        )

    def measures(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Measure, ...]:
        """ROUGE-L against the best reference: how much of the words is there, and how much is too many."""
        names = self.free_texts(task)
        ratios = [
            max((_shared_words(outcome, gold, names) for gold in _references(outcome)), key=_rank)
            for outcome in outcomes
        ]
        return (Measure(name="ROUGE-L", value=ratio_estimate(np.array(ratios))),)

    def copied(self, task: type[Task], inputs: Mapping[str, Any]) -> Targets | None:
        """The original as it is, in every free text."""
        free, original = self.free_texts(task), _text_of(task, inputs)
        return {field.name: original if field.name in free else None for field in task.task_targets()}


_ABSENT: tuple[object, ...] = (None, [])
_FREE, _COPIED = "free", "copied"
"""What the names of all arrays that are kept begin with; the field's name follows."""


def _text_of(task: type[Task], inputs: Mapping[str, Any]) -> str:
    """The original of a row."""
    return str(inputs.get(original_field(task)) or "")


def _rules(names: Collection[str]) -> list[Rule]:
    return [rule for rule in Rule if rule.value in names]


def _rewrite(task: type[Task], row: LabeledText, name: str) -> Rewrite:
    answer = (row.targets or {}).get(name)
    return Rewrite(original=_text_of(task, row.inputs), answer=str(answer), group=row.group)


def _values(rows: Sequence[LabeledText], fields: Sequence[TargetField]) -> list[Targets | None]:
    """Of each row, the values of some fields."""
    return [
        None if row.targets is None else {field.name: row.targets.get(field.name) for field in fields} for row in rows
    ]


def _references(outcome: Outcome) -> Sequence[Targets]:
    return outcome.right_answers or (outcome.gold,)


def _pairs(outcome: Outcome, gold: Targets, names: Collection[str]) -> Iterator[tuple[Any, Any]]:
    """The fields' values in the answer and in a gold one; of a field that neither has, nothing."""
    pairs = (((outcome.read or {}).get(name), gold[name]) for name in names)
    return (pair for pair in pairs if any(value not in _ABSENT for value in pair))


def _shared_words(outcome: Outcome, gold: Targets, names: Collection[str]) -> tuple[float, float]:
    """The ROUGE-L of all texts of an answer, and their number."""
    found = [_similarity(rouge_l, answer, expected) for answer, expected in _pairs(outcome, gold, names)]
    return sum(found), float(len(found))


def _rank(sums: tuple[float, float]) -> tuple[float, float]:
    """The best one is the greatest, in whatever order they come."""
    shared, texts = sums
    return (shared / texts if texts else 1.0), -texts


def _mean_chrf(name: str, outcomes: Sequence[Outcome]) -> float:
    pairs = (pair for outcome in outcomes for pair in _pairs(outcome, outcome.gold, [name]))
    found = [_similarity(chrf, answer, gold) for answer, gold in pairs]
    return sum(found) / len(found) if found else 1.0


def _is_text(field: TargetField) -> bool:
    return field.type is ValueType.TEXT and not field.many


def _texts(task: type[Task]) -> list[str]:
    return [field.name for field in task.task_targets() if _is_text(field)]


def _told(field: str, score: RewriteScore) -> LabelScore:
    reasons = (
        Reason(code=ReasonCode(finding.rule.value), field=field, detail=finding.detail) for finding in score.findings
    )
    return LabelScore(score.score, None, tuple(reasons))


def _worse(one: LabelScore, other: LabelScore) -> LabelScore:
    """What two fields of a row say together, the reasons of the likelier error first."""
    more, less = sorted((one, other), key=lambda score: -(score.score or 0.0))
    score = less.score if more.score is None else more.score
    return LabelScore(score, more.suggestion or less.suggestion, (*more.reasons, *less.reasons))


def _similarity(of: Callable[[str, str], float], answer: Any, gold: Any) -> float:
    if isinstance(answer, str) and isinstance(gold, str):
        return of(answer, gold)
    return float(answer == gold)
