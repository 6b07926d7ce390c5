"""Terminal output: progress, tables and one-line errors."""

import datetime
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as ProgressLines
from rich.segment import Segment
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from flows.cli.stdout import results, visible
from pipeline.steps import Advance, Progress, Silent
from pipeline.text.wording import counted
from schemas.fate import Fate, ReasonCode
from schemas.manifest import Funnel
from schemas.user_code_errors import in_a_line

if TYPE_CHECKING:
    from pipeline.reporting.attention import Attention
    from pipeline.reporting.overview import Rejection
    from schemas.run_summary import Changed, Proof


class Visible(Console):
    """Writes out what a terminal would obey, whoever said it: of what is printed, only our own styles are obeyed."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of what is printed."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(visible(part.text), part.style)


class _Results(Visible):
    """Writes to the destination of results, which is not always ``sys.stdout``."""

    @property
    def file(self) -> IO[str]:
        return results()

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        raise AttributeError("results go to stdout")


# Lines are never wrapped, so that a grep in a log or a copied path gets them whole; tables are.
out = _Results(highlight=False, soft_wrap=True)
err = Visible(stderr=True, highlight=False)

_SHOWN = 10
_READABLE = 12
"""Minimum width of a table's column, if not all cells fit."""
_WORD = 40
"""Words up to this length, such as e-mail addresses, are never broken; hashes may be."""
_BETWEEN = 2
"""Blanks between two columns."""
_BESIDE, _BAR, _AHEAD = 13, 25, 14
"""What stands beside the label of a progress line, its bar, and either of rate and time left."""
_LOGGED = 60
"""Seconds between two lines about a step where there is no terminal, but a log."""
_BYTES = ("kB", "MB")
_ANY_WIDTH = 1_000_000
_WHOLE = 100
"""From this rate on its decimals are not worth reading."""
FATE_STYLES = {Fate.ACCEPTED: "green", Fate.REVIEW: "yellow", Fate.DUPLICATE: "blue", Fate.REJECTED: "red"}


class _Rate(ProgressColumn):
    """How many units are done per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """The rate as text, in the end that of the whole step; empty until it is known."""
        rate = task.completed / task.elapsed if task.finished and task.elapsed else task.speed
        return Text(f"{rate:,.{0 if rate >= _WHOLE else 1}f} {self._unit}/s" if rate else "")


class _Done(ProgressColumn):
    """How many units are done, of how many; bytes are told from rows."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = f" {unit}" if unit in _BYTES else ""

    def render(self, task: Task) -> Text:
        """The numbers as text."""
        return Text(f"{task.completed:,.0f}/{task.total or 0:,.0f}{self._unit}", style="progress.download")


class _Left(TimeRemainingColumn):
    """How long a step still takes; nothing once it has ended."""

    # Else what it showed before would stay, if a step ends at once.
    max_refresh = 0.0

    def render(self, task: Task) -> Text:
        """The time as text."""
        return Text() if task.finished else super().render(task).append(" left")


class TerminalProgress:
    """Shows one line per step; it goes to stderr, so that stdout stays machine-readable."""

    def __init__(self, console: Console = err) -> None:
        self._console = console

    @contextmanager
    def step(self, label: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """Show a spinner, and a bar if the total is known, until the step ends; nothing if there is nothing to do."""
        if total == 0:
            yield lambda units, note="": None
            return
        # Before it is measured.
        label = visible(label)
        # On a narrow terminal the bar and then the end of the label give way, never a number.
        left = self._console.width - _BESIDE - 2 * len("" if total is None else f"{total:,}") - (_AHEAD if unit else 0)
        left -= 1 + len(unit) if unit in _BYTES else 0
        bar = _BAR + (_AHEAD if unit else 0)
        has_bar = left >= len(label) + bar
        room = Column(no_wrap=True, overflow="ellipsis", max_width=max(_READABLE, left - (bar if has_bar else 0)))
        columns: list[ProgressColumn] = [
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}", table_column=room),
        ]
        if total is None:
            columns += [TextColumn("{task.fields[count]}"), TimeElapsedColumn()]
            columns += [_Rate(unit)] if unit and has_bar else []
        else:
            columns += [BarColumn(bar_width=24)] if has_bar else []
            columns += [_Done(unit), TimeElapsedColumn()]
            if unit:
                # What waits for a server may take hours.
                columns += [_Rate(unit)] if has_bar else []
                columns.append(_Left())
        # A step of training may take half a minute: the time left needs several.
        progress = ProgressLines(*columns, console=self._console, speed_estimate_period=300)
        task = progress.add_task(escape(label), total=total, count="")
        done, logged = 0, progress.get_time()

        def advance(units: int, note: str = "") -> None:
            nonlocal done, logged
            done += units
            shown = escape(f"{label}: {visible(note)}" if note else label)
            count = f"{done:,} {unit}".strip() if done else ""
            progress.update(task, advance=units, count=count, description=shown)
            if not self._console.is_terminal and progress.get_time() >= logged + _LOGGED:
                logged = progress.get_time()
                so_far = _so_far(progress.tasks[0], unit, tells_time_left=not note)
                self._console.print(f"… {shown}  {so_far}", soft_wrap=True)

        progress.start()
        try:
            yield advance
        except BaseException:
            # A failed step is erased, or its spinner would remain above the error.
            progress.live.transient = True
            progress.live.stop()
            raise
        # Without the last note, which says that no time is left. A step may end early: its total is then what was done.
        ended = done or (1 if total is None else total)
        progress.update(task, description=escape(label), total=ended, completed=ended)
        progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the progress; it may quote a model's template or its name, which are not rich's markup."""
        self._console.print(text, markup=False, soft_wrap=True)


def progress_for(as_json: bool) -> Progress:
    """What shows the progress of a command that may print its result as JSON.

    Whoever reads such a result may read stderr along with it; who sits at a terminal wants to see how far an hour's
    run is.
    """
    return Silent() if as_json and not err.is_terminal else TerminalProgress(err)


def _so_far(task: Task, unit: str, *, tells_time_left: bool) -> str:
    """How far a step is that has not ended, for a log; beside a note, without the time left, which the note tells."""
    whole = "" if task.total is None else f" of {task.total:,.0f}"
    is_told = tells_time_left and task.time_remaining is not None
    left = f", {_clock(task.time_remaining or 0.0)} left" if is_told else ""
    return f"{task.completed:,.0f}{whole} {unit}".rstrip() + f"  {_clock(task.elapsed or 0.0)}{left}"


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def show_funnel(funnel: Funnel, title: str, change: "Changed | None" = None) -> None:
    """The funnel as a table that visibly adds up, beside what became of a run's new rows."""
    # Not the table's own title, which wraps at the table's width.
    out.print(title)
    table = RichTable(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    # Where all rows are new, both would say the same.
    news = change if change and change.current < funnel.current and (change.raw or change.withdrawn) else None
    if news:
        table.add_column(justify="right", style="dim")
    table.add_column()

    def add(name: str, shown: str, more: str = "") -> None:
        count = getattr(news, name) if news else 0
        table.add_row(shown, f"{getattr(funnel, name):,}", *([f"{count:,}" if count else ""] if news else []), more)

    if news:
        table.add_row("", "[dim]all", "this run's", "[dim](rows that are new, edited or gone)")
    add("raw", "raw", "" if news else "[dim]all rows ever read")
    for name in ("superseded", "withdrawn"):
        if getattr(funnel, name):
            add(name, f"  - {name}")
    add("current", "current")
    for fate, style in FATE_STYLES.items():
        width = round(30 * getattr(funnel, fate.value) / funnel.current) if funnel.current else 0
        add(fate.value, f"  [{style}]{fate}", f"[{style}]{'█' * width}")
    out.print(table, soft_wrap=False)
    if change and change.others:
        out.print(change.told_of_others)


def show_attention(items: "Sequence[Attention]") -> None:
    """What only annotators can settle, each with its row and where to answer."""
    if not items:
        return
    out.print(f"[yellow]{counted(len(items), 'answer')} {'needs' if len(items) == 1 else 'need'} an annotator[/]:")
    for item in items[:_SHOWN]:
        where = item.url or (f"task {item.task_id} of project {item.project}" if item.task_id else "")
        whose = f"{item.annotator}: " if item.annotator else ""
        out.print(f"  {item.file}:{item.line}  {whose}{item.what}", markup=False)
        if where:
            out.print(f"    {where}", markup=False)
    if len(items) > _SHOWN:
        out.print(f"  … {len(items) - _SHOWN:,} more, all with --json")


def show_rejections(groups: "Sequence[Rejection]") -> None:
    """Why rows are rejected, the most frequent reasons first, each with an example row."""
    if not groups:
        return
    from pipeline.reporting.overview import rejection_lines

    out.print(f"why rows are rejected (for details: goldleaf explain {groups[0].example}):", markup=False)
    for line in rejection_lines(groups, "; status --json lists them all"):
        out.print(f"  {line}", markup=False)


def show_proof(proof: "Proof") -> None:
    """How far ``review.error_rate`` is proven; what is not shows."""
    out.print(str(proof) if proof.proven else f"[yellow]{proof}[/]")


def show_in_review(counts: Mapping[ReasonCode, int]) -> None:
    """Why rows are in review; the report counts those with several reasons under each."""
    if counts:
        out.print("in review, by first reason: " + ", ".join(f"{count:,} {code}" for code, count in counts.items()))


def show_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A plain table; numbers are right-aligned."""
    out.print(_table(title, columns, rows), soft_wrap=False)


def show_figures(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table of named things with their figures, which are never broken, however narrow the terminal is.

    Where all do not fit, headings take several lines, and then names; if that is not enough, each row becomes lines.

    Args:
        columns: the first is of the names.
        rows: the cells of each.
    """
    table = _table("", columns, rows)
    widest = out.measure(table, options=out.options.update_width(_ANY_WIDTH)).maximum
    if widest > out.width:
        cells = [max((len(_cell(row[place])) for row in rows), default=0) for place in range(len(columns))]
        wide = [max(most, *map(len, name.split())) for most, name in zip(cells, columns, strict=True)]
        left = out.width - sum(wide[1:]) - _BETWEEN * (len(wide) - 1)
        if left < _READABLE:
            show_answer(columns, rows, whole=True)
            return
        lines = ["\n".join(textwrap.wrap(name, most)) for name, most in zip(columns, wide, strict=True)]
        table = _table("", lines, rows)
        for column in table.columns[1:]:
            column.no_wrap = True
    out.print(table, soft_wrap=False)


def show_answer(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, whole: bool = False) -> None:
    """A table with any columns; if they would be too narrow to read, each row becomes lines of name and value.

    Args:
        columns: their names.
        rows: the cells of each.
        whole: no cell may be broken.
    """
    table = _table("", columns, rows)
    widest = out.measure(table, options=out.options.update_width(_ANY_WIDTH)).maximum
    if not rows or widest <= out.width or (not whole and _least_width(columns, rows) <= out.width):
        out.print(table, soft_wrap=False)
        return
    wide = min(max(map(len, columns)), out.width // 2)
    names = [escape(in_a_line(name, wide)) for name in columns]
    for number, row in enumerate(rows):
        if number:
            out.rule(style="dim")
        lines = RichTable(box=None, pad_edge=False, show_header=False)
        lines.add_column(style="dim", min_width=wide, no_wrap=True)
        lines.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            lines.add_row(name, _cell(value))
        out.print(lines, soft_wrap=False)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> RichTable:
    table = RichTable(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        number = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        whole = _is_whole([row[index] for row in rows])
        table.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    """How wide a table must be so that its columns can be read."""
    widths = []
    for index, column in enumerate(columns):
        cells = [row[index] for row in rows]
        wide = max(len(column), *(len(_cell(value)) for value in cells))
        widths.append(wide if _is_whole(cells) else min(wide, _READABLE))
    return sum(widths) + _BETWEEN * (len(widths) - 1)


def _is_whole(cells: Sequence[Any]) -> bool:
    """Whether none of a column's cells may be broken: they are single words, and not overlong."""
    texts = [_cell(value) for value in cells]
    return all(len(text) <= _WORD and not any(map(str.isspace, text)) for text in texts)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    # Square brackets are rich's markup: users' text must not be parsed as such. Visible before its width is measured.
    return escape(visible(str(value))) if not isinstance(value, float) else f"{value:.4g}"
