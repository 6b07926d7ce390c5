"""The command duplicates: groups of duplicates, and where their words differ."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from flows.cli.app import (
    DEFAULT,
    AsJson,
    DatasetFile,
    app,
    explained,
    load_context,
    print_json,
    print_json_list,
    require_curated,
)
from flows.cli.console import out
from pipeline.text.wording import counted, shown_similarity
from schemas.run_summary import CurateSummary

if TYPE_CHECKING:
    from pipeline.reporting.duplicates import Duplicates, Group, Miss, Row

_MARKS = {"del": ("[-", "-]", "red"), "ins": ("{+", "+}", "green")}
_KEPT_CHARACTERS = 300
_PLACE_WIDTH = 30
"""A longer place is above the words, or it would leave no room for them."""


@app.command(rich_help_panel="Inspect")
@explained
def duplicates(
    dataset: DatasetFile = DEFAULT,
    of: Annotated[
        str, typer.Option("--of", help="Show only this record: an id, file:line, or its key.", metavar="ID")
    ] = "",
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            help="How many groups, copies per group, and pairs to show; --json shows all.",
            min=1,
            metavar="<int>",
        ),
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Show duplicates with the words that differ, least similar first, and similar pairs that were both kept.

    With --of: what happened to that record, its group, and the kept rows most similar to it.

    Red [-words-] are only in the kept row, green {+words+} only in the other; yellow ones differ in case, accents or
    punctuation. If the first groups do not look like duplicates, raise duplicates.threshold. If the pairs at the end,
    which are just below it, do look like duplicates, lower it. The pairs in between reach the threshold, but most
    have different answers: one of those may be wrong.

    Example: goldleaf duplicates --of clauses.jsonl:17
    """
    from pipeline.reporting.duplicates import all_groups, read_duplicates
    from pipeline.reporting.lookup import find_record

    context = load_context(dataset)
    require_curated(context)
    snapshot = context.store.snapshot().at_last_commit()
    meant = find_record(snapshot, of, context.dataset) if of else None
    task = context.dataset.task
    if as_json and meant is None:
        print_json_list(read_duplicates(snapshot, task, most=0), "groups", all_groups(snapshot, task))
        return
    found = read_duplicates(snapshot, task, meant.record_id if meant else None, None if as_json else limit)
    if as_json:
        print_json(found)
        return
    curated = snapshot.last_run(CurateSummary)
    if curated and context.dataset.has_changed_since(curated.summary):
        out.print("[yellow]dataset.yaml or the task has changed since the last curate, so this may be out of date[/]")
    if meant and meant.note:
        out.print(f"[yellow]note:[/] {escape(meant.note)}")
    if meant and not found.asked:
        out.print(
            f"record {meant.record_id} is withdrawn, so it is not a duplicate; goldleaf explain shows its history"
        )
        return
    _show(found, limit)


def _show(found: "Duplicates", limit: int) -> None:
    if found.asked:
        out.print(f"{_place(found.asked)}  {found.fate}", markup=False)
    copies = found.exact + found.near
    if copies or not found.asked:
        kept = counted(found.kept, "kept row")
        out.print(f"{counted(copies, 'duplicate')} of {kept}: {found.exact:,} exact, {found.near:,} near")
    elif not found.asked.text:
        out.print("it was not compared, because it has no valid input")
    elif not found.misses:
        out.print("it has no duplicates, and no kept row shares a word 3-gram with it")
    # Exact copies do not help to choose a threshold.
    for group in found.groups:
        _show_group(group, found.threshold, limit)
    if more := found.kept - len(found.groups):
        exact = found.kept - found.telling if found.telling else 0
        only = f", {exact:,} of them with only exact copies" if exact else ""
        out.print(f"\n… {counted(more, 'more group')}{only}; use --limit, --of, or --json for all")
    if found.asked and found.misses:
        _show_misses("the kept rows most similar to it", found.misses, found.threshold, limit)
        return
    reach = [miss for miss in found.misses if miss.similarity >= found.threshold]
    _show_misses(f"similar, and both kept: {counted(found.above, 'pair')}", reach, found.threshold, limit)
    below = f"just below the threshold of {found.threshold:g}: {counted(found.below, 'pair')}"
    _show_misses(below, found.misses[len(reach) :], found.threshold, limit)


def _show_misses(title: str, misses: "Sequence[Miss]", threshold: float, limit: int) -> None:
    if misses:
        out.print(f"\n[bold]{title}[/]")
    for miss in misses[:limit]:
        _show_miss(miss, threshold)


def _show_group(group: "Group", threshold: float, limit: int) -> None:
    near = [copy for copy in group.copies if not copy.exact]
    exact = len(group.copies) - len(near)
    table = _table()
    waits = Text(" waits for annotators", style="yellow") if group.waits else Text()
    _add(table, "kept", group.kept, Text(_shortened(group.kept.text)) + waits)
    for copy in near[:limit]:
        _add(table, shown_similarity(copy.similarity, threshold), copy, _difference(group.kept, copy))
    if len(near) > limit:
        table.add_row("…", "", Text(f"and {len(near) - limit:,} more that are at least as similar", style="dim"))
    if exact:
        table.add_row("1.00", "", Text(f"and {exact:,} exact {'copy' if exact == 1 else 'copies'}", style="dim"))
    out.print()
    out.print(table, soft_wrap=False)


def _show_miss(miss: "Miss", threshold: float) -> None:
    table = _table()
    _add(table, shown_similarity(miss.similarity, threshold), miss.one, Text(_shortened(miss.one.text)))
    _add(table, "", miss.other, _difference(miss.one, miss.other))
    out.print()
    if miss.reason:
        out.print(f"[dim]{miss.reason}")
    out.print(table, soft_wrap=False)


def _table() -> RichTable:
    table = RichTable(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", min_width=4, no_wrap=True)
    table.add_column(overflow="fold", style="dim", max_width=_PLACE_WIDTH)
    table.add_column(overflow="fold")
    return table


def _add(table: RichTable, first: str, row: "Row", words: Text) -> None:
    place = Text(_place(row), style="dim")
    if len(place) <= _PLACE_WIDTH:
        table.add_row(first, place, words)
    else:
        table.add_row(first, "", Text("\n").join([place, words]))


def _place(row: "Row") -> str:
    """As ``goldleaf explain`` takes it."""
    return f"{row.file}:{row.line}"


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _KEPT_CHARACTERS else f"{flat[: _KEPT_CHARACTERS - 1]}…"


def _difference(before: "Row", after: "Row") -> Text:
    """The words of one row, marked where they differ from another's; and the answers, if these differ."""
    found = Text.assemble(*_pieces(before.text, after.text))
    if before.answer != after.answer:
        found.append("\nanswer: ", style="dim")
        found.append_text(Text.assemble(*_pieces(before.answer, after.answer)))
    if before.setting != after.setting:
        found.append("\nthe system prompts or tools differ, too; --json and the report show them", style="dim")
    return found


def _pieces(before: str, after: str) -> Iterator[str | tuple[str, str]]:
    from pipeline.text.word_diff import word_diff

    for number, piece in enumerate(word_diff(before, after)):
        # Words in one line; at the very beginning of a text, no blank separates the old ones from the new ones.
        words = " ".join((piece.other or piece.text).split())
        yield " " if number else ""
        if piece.tag == "fold":
            yield f"… {words} …", "dim"
        elif piece.tag == "same":
            yield words
        elif piece.tag == "form":
            yield words, "yellow"
        else:
            opening, closing, style = _MARKS[piece.tag]
            yield f"{opening}{words}{closing}", style
