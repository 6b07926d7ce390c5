"""The commands for those who lead annotators: invite and reconcile."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows.cli.app import DEFAULT, AsJson, DatasetFile, app, explained, load_context, print_json
from flows.cli.console import out, progress_for, show_rows
from flows.cli.verbs import REFUSED, show_review
from flows.engines.engine import Inline
from pipeline.config.workspace import HOW_TO_CONNECT
from pipeline.errors import ConfigError
from pipeline.text.wording import counted

if TYPE_CHECKING:
    from flows.context import Context
    from pipeline.review.reconciliation import Comparison

_FOUND = {
    "unsent": ("open question", "not sent yet", "sent"),
    "missing": ("open question", "whose task is gone", "sent again"),
    "missing_gold": ("hidden gold item", "without a task", "sent"),
    "unproposed": ("open question", "whose proposal is gone", "filled in again"),
    "refused": ("question", "refused by the server", f"nothing: {REFUSED}"),
    "doubled": ("question", "asked twice", "left with one copy; none with work is deleted"),
    "outdated": ("task", "whose question is closed", "deleted"),
    "unseen": ("annotation", "not collected yet", "collected"),
    "lost": ("annotation", "gone from the server", "kept in the table, but no longer counted"),
    "answered_twice": ("question", "answered in two tasks", "nothing: both answers count for the question"),
    "orphaned": ("annotation", "about nothing that is asked now", "nothing: kept, and counted if that returns"),
    "reused": ("task id", "given to another question", "nothing: no id is believed without its question"),
    "foreign": ("task", "that this home did not create", "nothing"),
}
"""What may be found, and what is done about it."""
_EXAMPLES = 3


@app.command(rich_help_panel="Inspect")
@explained
def invite(dataset: DatasetFile = DEFAULT, as_json: AsJson = False) -> None:
    """Show how annotators join: the link to make an account, who has one, and the tabs of the project.

    Whoever opens the link can make an account: send it to those only who shall annotate. Label Studio's page
    Organization resets it.
    """
    from pipeline.review.accounts import read_team

    context = load_context(dataset)
    if context.connection is None:
        raise ConfigError(f"Label Studio is not configured; {HOW_TO_CONNECT}")
    team = read_team(context.dataset, context.connection)
    if as_json:
        print_json(team)
        return
    out.print(f"join at [bold]{escape(team.invite)}[/]", soft_wrap=True)
    show_rows("accounts", ["id", "e-mail"], [[str(one.id), one.email] for one in team.accounts])
    if team.missing:
        out.print(f"[yellow]no account yet:[/] {escape(', '.join(team.missing))}; send them the link", soft_wrap=True)
    if not team.project:
        out.print("no project yet: the next curate with open questions creates it")
        return
    out.print(f"all tasks: {escape(team.project)}", soft_wrap=True)
    for tab in team.tabs:
        out.print(f"{escape(tab.title)}: {escape(tab.url)}", soft_wrap=True)


@app.command(rich_help_panel="Workflow")
@explained
def reconcile(
    dataset: DatasetFile = DEFAULT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what differs, and change nothing.")] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Send the questions from this home from now on, and from no other.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare all of the project in Label Studio with this home, and repair what differs.

    Sends open questions that have no task, deletes tasks that ask a question twice or one that is closed, and reads all
    annotations again. Nothing that a person has worked on is deleted: of two copies with answers both stay, and both
    answers count for the question. Curate and collect do all of this by what has changed; this reads everything, which
    takes about ten seconds per thousand tasks. Run it after a server was restored from a backup, or if numbers look
    wrong; running it again does nothing.
    """
    from flows.reconcile import reconcile

    context = load_context(dataset)
    result = reconcile(context, Inline(progress_for(as_json)), dry_run=dry_run, take_over=take_over)
    if as_json:
        print_json(result)
        return
    _show(result.before, context, will_act=not dry_run)
    if result.review is not None:
        # What was deleted is told above.
        told = len(result.before.outdated)
        show_review(result.review.model_copy(update={"withdrawn": max(0, result.review.withdrawn - told)}))
    if result.after is not None:
        refused = counted(len(result.after.refused), "question")
        but = f", except for {refused} that the server refused" if result.after.refused else ""
        left = f"now both agree{but}" if result.after.agrees else "some of it is left: run it again, or see above"
        out.print(left)


def _in_place(entries: list[str], context: "Context") -> list[str]:
    """What is found about records, by the file and line of each instead of its id."""
    from pipeline.reporting.lookup import places_of

    named = {entry: entry.removeprefix("record ").split()[0].rstrip(":") for entry in entries}
    records = {record_id for entry, record_id in named.items() if entry.startswith("record ")}
    places = places_of(context.store.snapshot().at_last_commit(), records) if records else {}
    return [
        entry.replace(f"record {record_id}", places.get(record_id, f"record {record_id}"), 1)
        for entry, record_id in named.items()
    ]


def _show(found: "Comparison", context: "Context", will_act: bool) -> None:
    """Print how a project differs, and what is done about it."""
    if found.project is None:
        out.print("the server has no project of this dataset")
    else:
        out.print(f"{counted(found.tasks, 'task')} with {counted(found.annotations, 'annotation')} on the server")
    for name, (what, how, action) in _FOUND.items():
        entries: list[str] = getattr(found, name)
        if entries:
            more = ", …" if len(entries) > _EXAMPLES else ""
            done = action if will_act or action.startswith("nothing") else f"to be {action}"
            which = escape(", ".join(_in_place(entries[:_EXAMPLES], context)))
            out.print(f"{counted(len(entries), what)} {how}: {done} ({which}{more})", soft_wrap=True)
    if found.agrees:
        out.print("the server and this home agree")
