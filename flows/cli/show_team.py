"""`goldleaf annotators`, and what waits for whom: a team of annotators in the terminal."""

from datetime import datetime
from typing import TYPE_CHECKING

from rich.markup import escape

from flows.cli.app import DEFAULT, AsJson, DatasetFile, app, explained, load_context, print_json, require_curated
from flows.cli.console import out, show_answer
from pipeline.text.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.reporting.annotators import AnnotatorLine, AnnotatorsTable
    from pipeline.reporting.overview import Seats

_PAIRS = 10
_CONFUSIONS = 5
_DOUBTED = 10


@app.command(rich_help_panel="Inspect")
@explained
def annotators(dataset: DatasetFile = DEFAULT, as_json: AsJson = False) -> None:
    """Show how each annotator answers: how much, how fast, how often right, and how often like the others.

    Of the answers that were collected. Gold items are tasks whose answer is known.
    """
    from pipeline.reporting.annotators import read_annotators

    context = load_context(dataset)
    require_curated(context)
    table = read_annotators(context, datetime.now().astimezone())
    if as_json:
        print_json(table)
        return
    _show(table)


def _show(table: "AnnotatorsTable") -> None:
    if not table.annotators:
        out.print("nobody has answered yet, and review.annotators names nobody")
        _show_doubted_gold(table)
        return
    show_answer(["annotator", "answers", "today", "open", "time", ""], [_work(line) for line in table.annotators])
    _show_shares(table)
    if table.pace.days:
        out.print(str(table.pace), markup=False)
    for field in table.field_lines:
        out.print(field, markup=False)
    _show_pairs(table)
    _show_labels("labels of the data that annotators corrected most often:", table.corrections)
    _show_labels("labels about which annotators contradict each other most often:", table.confusions)
    for line in table.annotators:
        for flag in line.flags:
            out.print(f"{line.annotator} {flag}", markup=False)
    _show_doubted_gold(table)


def _show_shares(table: "AnnotatorsTable") -> None:
    """What is known of the answers of whom something is known, without columns in which nothing is."""
    told = [line for line in table.annotators if any(_shares(line))]
    names = ["right on gold", "like others", "reliable", "left unchanged"]
    used = [place for place in range(len(names)) if any(_shares(line)[place] for line in told)]
    if told:
        rows = [[line.annotator, *(_shares(line)[place] for place in used)] for line in told]
        show_answer(["annotator", *(names[place] for place in used)], rows, whole=True)


def _show_pairs(table: "AnnotatorsTable") -> None:
    """The pairs that agree least; two annotators are no more than what is said of the field."""
    pairs = table.pairs
    if len({(pair.one, pair.other) for pair in pairs}) < 2:
        return
    columns = ["field", "annotator", "and", "rows", "agreed", "Cohen's kappa"]
    least = table.weakest_pairs[:_PAIRS]
    show_answer(columns, [[one.field, one.one, one.other, one.items, one.agreed, one.shown] for one in least])
    if rest := len(pairs) - len(least):
        out.print(f"{rest:,} more pairs agree better (--json has all)")


def _show_labels(title: str, pairs: "Sequence[object]") -> None:
    if pairs:
        out.print(title)
    for pair in pairs[:_CONFUSIONS]:
        out.print(f"  {pair}", markup=False)


def _show_doubted_gold(table: "AnnotatorsTable") -> None:
    """Known answers that may be wrong, those that most contradict first."""
    doubted = table.doubted_gold
    if not doubted:
        return
    out.print(
        f"[yellow]{counted(len(doubted), 'known answer')} {'is' if len(doubted) == 1 else 'are'} contradicted[/]:"
    )
    for one in doubted[:_DOUBTED]:
        out.print(f"  {one}", markup=False)
    if rest := len(doubted[_DOUBTED:]):
        out.print(f"  … {rest:,} more, all with --json")


def _work(line: "AnnotatorLine") -> list[object]:
    # Every skip there ever was: status counts open questions whose last answer is one.
    skips = "skip" if line.skips == 1 else "skips"
    beside = {
        "unusable": line.unusable,
        "unsure": line.unsure,
        skips: line.skips,
        "unread": line.unread,
        "invalid": line.invalid,
    }
    counts = ", ".join(f"{count:,} {what}" for what, count in beside.items() if count)
    time = "" if line.seconds is None else f"{line.seconds:.0f} s"
    return [line.annotator, line.answers, line.today, line.waiting, time, counts]


def _shares(line: "AnnotatorLine") -> list[str]:
    return [str(share) for share in (line.gold, line.agreement, line.reliability, line.unchanged)]


def show_seats(seats: "Seats | None") -> None:
    """For whom the open tasks are; nothing if every question has one seat."""
    if seats is None or not seats.tasks:
        return
    whose = ", ".join(f"{annotator or 'anybody'} {count:,}" for annotator, count in seats.by_annotator.items())
    kinds = {"for a second annotator": seats.seconds, "for an adjudicator": seats.adjudications}
    which = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    hidden = f"; {seats.gold:,} hidden gold beside them" if seats.gold else ""
    out.print(f"  {whose}{f'; {which}' if which else ''}{hidden}", markup=False)


def show_note(said: str) -> None:
    """What a lead should know about who is asked; nothing if it is empty."""
    if said:
        out.print(f"[yellow]note:[/] {escape(said)}", soft_wrap=True)
