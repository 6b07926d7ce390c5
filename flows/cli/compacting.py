"""The command compact: puts together what many small runs have left."""

from dataclasses import asdict

from flows.cli.app import (
    DEFAULT,
    AsJson,
    DatasetFile,
    Wait,
    app,
    explained,
    load_context,
    print_json,
    require_curated,
    run_verb,
)
from flows.cli.console import out, show_rows
from schemas.dataset import Runner


@app.command(rich_help_panel="Maintenance")
@explained
def compact(dataset: DatasetFile = DEFAULT, wait: Wait = "0", as_json: AsJson = False) -> None:
    """Put the small files of many runs together, and delete those that nothing refers to any more.

    No answer changes: what a published version was made from stays, and so do files that a command may be reading.
    They go with a later compact, once they were replaced for an hour. Worth it about once a month for a dataset that
    is curated every night; `schedules.compact` does so by itself.
    """
    # Its imports take a third of a second: not for every command, nor for help.
    from flows.run_page import lines_about

    context = load_context(dataset)
    require_curated(context)
    found = run_verb(context, Runner.INLINE, as_json, "compact", wait=wait)
    if as_json:
        print_json({name: asdict(one) for name, one in found.items()})
        return
    rows = [[name, one.before, one.after, one.removed, f"{one.freed / 1e6:,.1f}"] for name, one in found.items()]
    show_rows("", ["files of", "before", "after", "deleted", "MB freed"], rows)
    for line in lines_about("compact", found):
        out.print(line)
    if sum(one.after - one.before for one in found.values()) < 0:
        out.print("[dim]the files that were replaced are deleted by a compact that is an hour later[/]")
