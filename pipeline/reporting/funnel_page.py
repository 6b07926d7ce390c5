"""The funnel of a dataset as a page stored with a run."""

from typing import Any

from schemas.fate import Fate
from schemas.manifest import Funnel


def funnel_markdown(name: str, funnel: Funnel) -> str:
    """The funnel as a page with a table and a flow chart."""
    rows = "\n".join(f"| {key} | {value:,} |" for key, value in funnel.model_dump().items())
    edges: dict[str, Any] = {fate.value: getattr(funnel, fate.value) for fate in Fate}
    chart = "\n".join(f"  current --> {fate}[{fate}: {count:,}]" for fate, count in edges.items())
    return (
        f"# {name}\n\n| | records |\n|---|---:|\n{rows}\n\n"
        f"```mermaid\nflowchart LR\n  raw[raw: {funnel.raw:,}] --> current[current: {funnel.current:,}]\n{chart}\n```\n"
    )
