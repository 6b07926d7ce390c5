"""The command compact: puts together what many small runs have left."""

from dataclasses import asdict

from flows.cli.app import DEFAULT, AsJson, DatasetFile, app, explained, load_context, print_json, require_curated
from flows.cli.console import out, show_rows
from pipeline.text.wording import counted


@app.command(rich_help_panel="Maintenance")
@explained
def compact(dataset: DatasetFile = DEFAULT, as_json: AsJson = False) -> None:
    """Put the small files of many runs together, and delete those that nothing refers to any more.

    No answer changes: what a published version was made from stays, and so do files that a command may be reading.
    They go with a later compact, once they were replaced for an hour. It waits for nobody: while another command
    writes, it fails, and says so. Worth it about once a month for a dataset that is curated every night.
    """
    from pipeline.curation.small_files import compact as put_together

    context = load_context(dataset)
    require_curated(context)
    context.require_owner()
    found = put_together(context.store)
    if as_json:
        print_json({name: asdict(one) for name, one in found.items()})
        return
    rows = [[name, one.before, one.after, one.removed, f"{one.freed / 1e6:,.1f}"] for name, one in found.items()]
    show_rows("", ["files of", "before", "after", "deleted", "MB freed"], rows)
    before, after = (sum(getattr(one, name) for one in found.values()) for name in ("before", "after"))
    out.print(f"{counted(before, 'file')} before, {counted(after, 'file')} now")
    if after < before:
        out.print("[dim]the files that were replaced are deleted by a compact that is an hour later[/]")
