"""The funnel of a dataset as a page stored with a run."""

from schemas.fate import Fate
from schemas.manifest import Funnel
from schemas.run_summary import Changed


def funnel_markdown(name: str, funnel: Funnel, change: Changed) -> str:
    """The funnel as a page with a table and a flow chart.

    Args:
        name: the dataset's.
        funnel: how many records have which fate.
        change: how many of them a run was the first to see.
    """
    rows = "".join(f"| {key} | {value:,} | {getattr(change, key):,} |\n" for key, value in funnel.model_dump().items())
    others = f"{change.told_of_others}\n\n" if change.others else ""
    chart = "".join(f"  current --> {fate}[{fate}: {getattr(funnel, fate):,}]\n" for fate in Fate)
    return (
        f"# {name}\n\n| | records | of this run's rows |\n|---|---:|---:|\n{rows}\n{others}"
        f"```mermaid\nflowchart LR\n  raw[raw: {funnel.raw:,}] --> current[current: {funnel.current:,}]\n{chart}```\n\n"
    )
