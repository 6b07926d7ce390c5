"""The tables of a verdict: every number of every arm, the adapter against each of them, and confusions as a matrix."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.evaluation.scores import Part
from pipeline.finetuning.adapters import FinetuneRecord
from pipeline.finetuning.evaluate import Evaluation
from pipeline.ladder.assessment import Assessment
from pipeline.ladder.results import ArmResult
from pipeline.reporting.plot_axes import number, short_time
from pipeline.reporting.tuned_arm import tuned_arm
from pipeline.text.wording import shown_amount, shown_label
from schemas.arms_section import Family

_MATRIX = 8
"""Labels of a matrix of confusions, at most."""
_REACH = 4
"""So many margins are on either side of 0, at least, where differences are drawn."""


# --- all numbers ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Numbers:
    """A line of the table of all numbers."""

    title: str
    name: str
    """As in files."""
    is_chosen: bool
    cells: tuple[str, ...]
    """In the order of the columns."""


def number_columns(found: Assessment) -> list[str]:
    """The headings of the columns for which some arm has a number."""
    return [heading for heading, cells in _columns(found, 0.0) if any(cells)]


def numbers(record: FinetuneRecord, found: Assessment) -> tuple[Numbers, ...]:
    """Every arm's numbers."""
    columns = [cells for _, cells in _columns(found, record.train.seconds) if any(cells)]
    return tuple(
        Numbers(arm.heading, arm.name, arm.name == found.judgement.arm, cells)
        for arm, cells in zip(found.ladder.arms, zip(*columns, strict=True), strict=True)
    )


def _columns(found: Assessment, training: float) -> Iterator[tuple[str, list[str]]]:
    """Every column with a cell for each arm."""
    arms = found.ladder.arms
    metric = found.ladder.adapter.evaluation.metric_title
    yield metric, [_score(arm, metric) for arm in arms]
    yield "95% interval", [arm.score.interval for arm in arms]
    yield "macro F1", [_macro_f1(arm.evaluation) for arm in arms]
    for name in dict.fromkeys(one.name for arm in arms for one in arm.evaluation.measures):
        yield name, [_measure(arm.evaluation, name) for arm in arms]
    yield "questions", [f"{arm.evaluation.questions:,}" for arm in arms]
    yield "wrong format", [f"{arm.evaluation.unreadable:,}" for arm in arms]
    yield "cut", [f"{arm.evaluation.cut:,}" if any(one.evaluation.cut for one in arms) else "" for arm in arms]
    yield "ms a call", [arm.milliseconds for arm in arms]
    yield "95% interval of ms", [arm.milliseconds_interval for arm in arms]
    yield "calls a second", [number(arm.per_second) if arm.seconds else "" for arm in arms]
    fitted = [training if arm.family is Family.TUNED else arm.learning_seconds for arm in arms]
    yield "s to fit", [short_time(seconds) if seconds else "" for seconds in fitted]
    yield (
        "tokens in, out",
        [f"{number(arm.tokens_in)}, {number(arm.tokens_out)}" if arm.tokens_in else "" for arm in arms],
    )
    yield f"{found.currency} per 1,000".strip(), ["" if arm.cost is None else shown_amount(arm.cost) for arm in arms]


def _score(arm: ArmResult, metric: str) -> str:
    """With the metric, if it is another one than the column's."""
    score, own = arm.score, arm.evaluation.metric_title
    return score.unit.shown(score.value) + ("" if own == metric else f" {own}")


def _macro_f1(found: Evaluation) -> str:
    """Empty where answers have no parts that are right or wrong."""
    return f"{found.macro_f1:.1%}" if found.parts and all(part.chrf is None for part in found.parts) else ""


def _measure(found: Evaluation, name: str) -> str:
    return next((str(one.value) for one in found.measures if one.name == name), "")


# --- the tuned arm against each ---------------------------------------------------------------
@dataclass(frozen=True)
class Difference:
    """By how much the tuned arm is better than another one on the same questions."""

    title: str
    questions: int
    gain: str
    interval: str
    better: int
    worse: int
    p_value: str
    place: float
    """In percent of the scale, whose middle is 0."""
    low: float | None
    high: float | None
    """None if there is no interval."""


@dataclass(frozen=True)
class Differences:
    """The tuned arm against every other one."""

    unit: str
    rows: tuple[Difference, ...]
    margin: tuple[float, float]
    """Between these places a difference is none."""
    ends: tuple[str, str]
    """The differences at both ends of the scale."""


def differences(found: Assessment) -> Differences:
    """The tuned arm against every other one that was judged by the same metric and asked the same questions."""
    evidence, ladder = found.evidence, found.ladder
    unit, tuned = evidence.unit, tuned_arm(found)
    compared = {
        name for pair in ladder.pairs for name in (pair.one, pair.other) if tuned.name in (pair.one, pair.other)
    }
    others = [arm for arm in ladder.comparable if arm.name in compared and arm is not tuned]
    gains = {arm.name: evidence.gain(arm, tuned) for arm in others}
    # Arms that are far away must not make the others' intervals invisible: a third of them fit for sure.
    ends = sorted(max(map(abs, (gain.low, gain.high) if gain.is_bounded else (gain.value,))) for gain in gains.values())
    reach = max(_REACH * evidence.margin, ends[len(ends) // 3] if ends else 0.0)

    def place(change: float) -> float:
        return round(50 + 50 * min(max(change / reach, -1.0), 1.0), 2)

    rows = []
    for arm in others:
        gain, pair = gains[arm.name], ladder.pair(arm.name, tuned.name)
        low, high = (unit.shown_change(end, "+") for end in (gain.low, gain.high))
        rows.append(
            Difference(
                title=arm.heading,
                questions=pair.questions,
                gain=unit.shown_change(gain.value, "+"),
                interval=f"{low} to {high}" if gain.is_bounded else "too few questions",
                better=pair.comparison.better,
                worse=pair.comparison.worse,
                p_value="< 0.001" if pair.p_value < 0.001 else f"{pair.p_value:.3f}",
                place=place(gain.value),
                low=place(gain.low) if gain.is_bounded else None,
                high=place(gain.high) if gain.is_bounded else None,
            )
        )
    return Differences(
        unit=unit.of_changes,
        rows=tuple(rows),
        margin=(place(-evidence.margin), place(evidence.margin)),
        ends=(unit.shown_change(-reach, "+"), unit.shown_change(reach, "+")),
    )


# --- confusions -------------------------------------------------------------------------------
@dataclass(frozen=True)
class Cell:
    """How often a label was answered where another one, or itself, was expected."""

    count: int | None
    """None if that is not among the most frequent confusions."""
    is_right: bool
    share: float
    """Of the rows with the expected label, from 0 to 1."""


@dataclass(frozen=True)
class MatrixRow:
    """What was answered where one label was expected."""

    label: str
    support: int
    cells: tuple[Cell, ...]


def confusion_matrix(found: Evaluation) -> tuple[MatrixRow, ...]:
    """The labels that are confused most, each with what was answered instead; empty if none were, or have no labels."""
    labels: list[str] = []
    for one in found.confusions:
        more = [label for label in dict.fromkeys((one.gold, one.answered)) if label not in labels]
        labels += more if len(labels) + len(more) <= _MATRIX else []
    counts = {(one.gold, one.answered): one.count for one in found.confusions}
    parts = {part.name: part for part in found.parts}
    return tuple(
        MatrixRow(
            shown_label(gold), parts[gold].support, tuple(_cell(gold, one, counts, parts[gold]) for one in labels)
        )
        for gold in labels
    )


@dataclass(frozen=True)
class FurtherConfusion:
    """A label that was answered where another one was expected, and has no room in the matrix."""

    label: str
    answered: str
    count: int
    support: int
    """Rows with the expected label."""


def further_confusions(found: Evaluation) -> tuple[FurtherConfusion, ...]:
    """The frequent confusions of labels that the matrix does not have, the most frequent first."""
    shown = {row.label for row in confusion_matrix(found)}
    support = {part.name: part.support for part in found.parts}
    confused = [
        (shown_label(one.gold), shown_label(one.answered), one.count, support[one.gold]) for one in found.confusions
    ]
    return tuple(FurtherConfusion(*one) for one in confused if not {one[0], one[1]} <= shown)


def _cell(gold: str, answered: str, counts: dict[tuple[str, str], int], part: Part) -> Cell:
    if gold == answered:
        return Cell(round(part.recall * part.support), True, part.recall if part.support else 0.0)
    count = counts.get((gold, answered))
    return Cell(count, False, (count or 0) / part.support if part.support else 0.0)
