"""The funnel of a dataset as a page stored with a run."""

from collections.abc import Mapping

from schemas.fate import Fate
from schemas.manifest import Funnel


def funnel_markdown(name: str, funnel: Funnel, changed: Mapping[str, int]) -> str:
    """The funnel as a page with a table and a flow chart.

    Args:
        name: the dataset's.
        funnel: how many records have which fate.
        changed: how many of them this run has given it.
    """
    fates = {fate.value for fate in Fate}
    rows = "".join(
        f"| {key} | {value:,} | {f'{changed.get(key, 0):,}' if key in fates else ''} |\n"
        for key, value in funnel.model_dump().items()
    )
    chart = "".join(f"  current --> {fate}[{fate}: {getattr(funnel, fate):,}]\n" for fate in Fate)
    return (
        f"# {name}\n\n| | records | decided by this run |\n|---|---:|---:|\n{rows}\n"
        f"```mermaid\nflowchart LR\n  raw[raw: {funnel.raw:,}] --> current[current: {funnel.current:,}]\n{chart}```\n\n"
    )
