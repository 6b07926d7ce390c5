"""The rows that a tuned model gets wrong, by the labels or fields that it gets wrong most."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.evaluation.scores import Outcome, Part, PartMetric, label_text
from pipeline.evaluation.value_pairs import matched_pairs
from pipeline.finetuning.evaluate import Evaluation
from pipeline.kinds.interface import Breakdown
from pipeline.kinds.registry import kind_of
from pipeline.ladder.assessment import Assessment
from pipeline.reporting.tuned_arm import tuned_arm
from pipeline.text.wording import shown_label
from schemas.arms_section import Family
from schemas.field import JsonValue
from schemas.message import Speaker
from schemas.task import Task

_PARTS = 5
_ROWS = 3
"""Of each part."""


@dataclass(frozen=True)
class WrongRow:
    """A test row, and what is said of it."""

    text: str
    """What was asked."""
    expected: str
    answered: str
    rival: str | None
    """What the best other arm answered; None if it was not asked."""


@dataclass(frozen=True)
class WorstPart:
    """A label or a field, or all answers of a kind that has neither."""

    name: str
    """Empty for all answers."""
    said: str
    """Its scores."""
    rows: tuple[WrongRow, ...]


def worst_parts(task: type[Task], found: Assessment) -> tuple[WorstPart, ...]:
    """The worst labels or fields first, each with the worst rows; the answers must still be there.

    Args:
        task: of the dataset.
        found: with its outcomes.
    """
    kind, tuned = kind_of(task), tuned_arm(found).evaluation
    best = found.ladder.best([Family.CLASSICAL, Family.PROMPT])
    rival = {} if best is None else {one.id: one.answer for one in best.evaluation.outcomes}
    wrong = sorted((one for one in tuned.outcomes if not one.right or one.loss), key=_worth)
    if not tuned.parts:
        return (WorstPart("", "", _rows(wrong, rival)),) if wrong else ()
    shown = []
    for part in _worst(tuned, kind.part_metric):
        concerned = [one for one in wrong if part.name in _wrong_in(one, kind.breakdown)]
        shown.append(WorstPart(shown_label(part.name), _said(part, kind.part_metric), _rows(concerned, rival)))
    return tuple(shown)


def _worth(outcome: Outcome) -> float:
    """Smaller is worse."""
    return outcome.credit.worth if outcome.loss is None else -outcome.loss.worth


def _worst(found: Evaluation, metric: PartMetric) -> list[Part]:
    missed = [part for part in found.parts if part.support and metric.of(part) < 1]
    return sorted(missed, key=lambda part: (metric.of(part), -part.support, part.name))[:_PARTS]


def _said(part: Part, metric: PartMetric) -> str:
    rows = f"{part.support:,} row{'' if part.support == 1 else 's'}"
    if metric is PartMetric.CHRF and part.chrf is not None:
        return f"chrF {part.chrf:.1%} on {rows}"
    return f"recall {part.recall:.1%}, precision {part.precision:.1%} on {rows}"


def _wrong_in(outcome: Outcome, breakdown: Breakdown) -> set[str]:
    """The labels that were expected and not given, or the fields whose values are wrong."""
    match breakdown:
        case Breakdown.LABEL:
            given = {label for value in (outcome.read or {}).values() for label in _labels(value)}
            return {label for value in outcome.gold.values() for label in _labels(value)} - given
        case Breakdown.FIELD:
            answered, expected = matched_pairs(outcome.read or {}, outcome.gold)
            return {name for name, _ in ((expected - answered) + (answered - expected))}


def _labels(value: JsonValue) -> set[str]:
    return {label_text(one) for one in (value if isinstance(value, list) else [value])}


def _rows(outcomes: Sequence[Outcome], rival: dict[str, str]) -> tuple[WrongRow, ...]:
    return tuple(
        WrongRow(_asked(one), " or ".join(one.golds), one.answer, rival.get(one.id)) for one in outcomes[:_ROWS]
    )


def _asked(outcome: Outcome) -> str:
    """The last thing that a person said."""
    said = [message.content for message in outcome.prompt if message.role is Speaker.USER]
    return said[-1] if said else ""
