"""Prints what `finetune` found: all arms on the same questions, and the verdict."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from flows.cli.app import DEFAULT
from flows.cli.console import out, show_figures
from pipeline.text.wording import counted, shown_amount

_OF_P = (
    "p is not corrected for the number of arms, and the best arm of each kind was picked on these same test questions."
)
_COMMAND = re.compile(r"\bgoldleaf (?:curate|collect|release|finetune|status)\b")

if TYPE_CHECKING:
    from flows.finetune import Finetuned
    from pipeline.evaluation.estimates import Unit
    from pipeline.ladder.assessment import Assessment
    from pipeline.ladder.results import ArmResult, Ladder


def show_finetuned(result: "Finetuned", dataset: Path = DEFAULT) -> None:
    """Print the ladder and the verdict; commands name the dataset.yaml, unless it is the one that is found anyway."""
    from pipeline.ladder.assessment import PAGE

    found = result.assessment
    if result.reused:
        out.print("this version was trained and compared with these settings before")
    left_out = "".join(f"; left out: {count} {reason}" for reason, count in result.left_out.items())
    out.print(f"{found.base_model}, {counted(result.train_rows, 'training row')}{left_out}", markup=False)
    not_judged = f"; not judged: {found.not_judged}" if found.not_judged else ""
    questions = found.ladder.adapter.evaluation.questions
    out.print(f"{counted(questions, 'test question')}{not_judged}", markup=False)
    show_arms(found.ladder, found.ladder.adapter, found.currency)
    if found.busy:
        out.print(f"[yellow]![/] {escape(_runnable(found.busy, dataset))}")
    _show_beside(found)
    show_others(found.ladder, found.ladder.adapter.score.unit)
    judgement = found.judgement
    out.print(f"[bold]{judgement.verdict.heading}.[/] {escape(_runnable(judgement.next_step, dataset))}")
    for reason in (*judgement.reasons, *found.beside):
        out.print(f"- {_runnable(reason, dataset)}", markup=False)
    if any(f"{found.evidence.paired_test} p " in reason for reason in judgement.reasons):
        out.print(f"[dim]{_OF_P}[/]")
    page = Path(result.path) / PAGE
    if page.is_file():
        out.print(f"with plots: {page}", markup=False)
    out.print(result.path, markup=False)


def _runnable(text: str, dataset: Path) -> str:
    """The commands in a text as they are typed where the dataset.yaml is elsewhere: a verdict knows no paths."""
    if dataset == DEFAULT:
        return text
    return _COMMAND.sub(lambda found: f"{found[0]} {shlex.quote(str(dataset))}", text)


def show_others(ladder: "Ladder", unit: "Unit") -> None:
    """Print what is not in the table of arms, and how its scores are read if that is not known to all."""
    for one in ladder.skipped:
        out.print(f"[dim]not compared:[/] {escape(one.title)} ({escape(one.why)})")
    for stated in ladder.stated:
        shown = unit.shown(stated.score)
        out.print(f"[dim]stated, not measured here:[/] {escape(stated.name)} {shown} ({escape(stated.source)})")
    if unit.note:
        out.print(unit.note)


def show_arms(ladder: "Ladder", reference: "ArmResult", currency: str) -> None:
    """Print the arms with their scores; the heading has the metric of the one that stands for what is compared."""
    arms, compared = ladder.arms, reference.evaluation
    questions = max(arm.evaluation.questions for arm in arms)
    some = any(arm.evaluation.questions != questions for arm in arms)
    unreadable, cut = (any(getattr(arm.evaluation, name) for arm in arms) for name in ("unreadable", "cut"))
    columns = ["arm", compared.metric_title, "95% interval"]
    columns += ["asked"] if some else []
    columns += ["wrong format"] if unreadable else []
    columns += ["cut"] if cut else []
    columns += ["ms a call"]
    columns += [f"{currency} per 1,000"] if currency else []
    rows = []
    for arm in arms:
        score = arm.score
        row: list[str | int] = [arm.title, score.unit.shown(score.value), score.interval]
        row += [arm.evaluation.questions] if some else []
        row += [arm.evaluation.unreadable] if unreadable else []
        row += [arm.evaluation.cut] if cut else []
        row += [arm.milliseconds]
        row += ["" if arm.cost is None else shown_amount(arm.cost)] if currency else []
        rows.append(row)
    show_figures(columns, rows)
    if any(arm.milliseconds.startswith("~") for arm in arms):
        out.print("[dim]~ a time that is only about right; --json has its interval[/]")


def _show_beside(found: "Assessment") -> None:
    names = [measure.name for measure in found.ladder.adapter.evaluation.measures]
    if not names:
        return
    rows = []
    for arm in found.ladder.arms:
        values = {measure.name: str(measure.value) for measure in arm.evaluation.measures}
        rows.append([arm.title, *(values.get(name, "") for name in names)])
    show_figures(["beside it", *names], rows)
