"""What is shown of a verdict, on its own page and in the report: the same plots and tables from the same numbers."""

from dataclasses import dataclass

from pipeline.finetuning.adapters import FinetuneRecord
from pipeline.ladder.assessment import Assessment
from pipeline.ladder.results import ArmResult
from pipeline.reporting.tuned_arm import tuned_arm
from pipeline.reporting.verdict_bars import GROUPS, Bars, bars
from pipeline.reporting.verdict_plots import Plot, cost_plot, curve_plot
from pipeline.reporting.verdict_tables import (
    Differences,
    FurtherConfusion,
    MatrixRow,
    Numbers,
    confusion_matrix,
    differences,
    further_confusions,
    number_columns,
    numbers,
)
from pipeline.text.wording import shown_amount
from schemas.arms_section import ArmName, Family


@dataclass(frozen=True)
class Card:
    """The best arm of a family, in a few words."""

    family: str
    heading: str
    title: str
    value: str
    interval: str
    takes: str
    """Of a call: time and cost; empty if neither is known."""
    is_chosen: bool


@dataclass(frozen=True)
class VerdictContent:
    """A verdict with all that it rests on, ready to be drawn."""

    found: Assessment
    tuned: ArmResult
    """The arm that speaks for fine-tuning."""
    use: str
    """The recommended arm in words; empty if none is."""
    cards: tuple[Card, ...]
    bars: tuple[Bars, ...]
    costs: Plot | None
    has_prices: bool
    """Whether the plot of costs is about money; if not, about time."""
    curves: Plot | None
    has_own_curve: bool
    """Whether the adapter itself was trained on fewer rows."""
    matrix: tuple[MatrixRow, ...]
    """What the tuned arm takes for something else."""
    further: tuple[FurtherConfusion, ...]
    columns: tuple[str, ...]
    numbers: tuple[Numbers, ...]
    differences: Differences
    command: str
    """Repeats everything."""


def verdict_content(record: FinetuneRecord, found: Assessment) -> VerdictContent:
    """Everything that is shown of a verdict.

    Args:
        record: of the adapter.
        found: the arms and the verdict; their single answers are not needed.
    """
    chosen, tuned = found.ladder.arm(found.judgement.arm), tuned_arm(found)
    has_own_curve = any(curve.arm == ArmName.ADAPTER.value for curve in found.curves)
    return VerdictContent(
        found=found,
        tuned=tuned,
        use="" if chosen is None else chosen.title,
        cards=tuple(_cards(found)),
        bars=bars(found),
        costs=cost_plot(found),
        has_prices=sum(arm.cost is not None for arm in found.ladder.comparable) > 1,
        curves=curve_plot(found),
        has_own_curve=has_own_curve,
        matrix=confusion_matrix(tuned.evaluation),
        further=further_confusions(tuned.evaluation),
        columns=tuple(number_columns(found)),
        numbers=numbers(record, found),
        differences=differences(found),
        command=_command(record, found, has_own_curve),
    )


def _cards(found: Assessment) -> list[Card]:
    """The best arm of each family, and the recommended one where that is another of them."""
    shown = []
    for family in Family:
        best = found.ladder.best([family])
        chosen = found.ladder.arm(found.judgement.arm)
        arm = chosen if chosen is not None and chosen.family is family else best
        if arm is not None:
            shown.append(_card(arm, found))
    return shown


def _card(arm: ArmResult, found: Assessment) -> Card:
    takes = [
        f"{arm.milliseconds} ms a call" if arm.milliseconds else "",
        "" if arm.cost is None else f"{shown_amount(arm.cost)} {found.currency} per 1,000",
    ]
    return Card(
        family=arm.family.value,
        heading=GROUPS[arm.family],
        title=arm.heading,
        value=arm.score.unit.shown(arm.score.value),
        interval=arm.score.interval,
        takes=" · ".join(filter(None, takes)),
        is_chosen=arm.name == found.judgement.arm,
    )


def _command(record: FinetuneRecord, found: Assessment, has_own_curve: bool) -> str:
    """What repeats the training and every comparison."""
    options = [
        f"--version {record.lineage.version} --again --slow-rows {record.config.slow_rows}",
        f"--seeds {len(found.seeds)}" if len(found.seeds) > 1 else "",
        "--curve" if has_own_curve else "",
        "--ablate" if found.ablation is not None else "",
    ]
    return f"goldleaf finetune dataset.yaml {' '.join(filter(None, options))}"
