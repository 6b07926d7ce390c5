"""The funnel of a dataset as a page stored with a run."""

from typing import Any

from pipeline.text.wording import counted
from schemas.fate import Fate
from schemas.manifest import Funnel
from schemas.run_summary import Changed


def funnel_markdown(name: str, funnel: Funnel, change: Changed) -> str:
    """The funnel of all rows beside that of a run's change, as a page with a table and a flow chart."""
    rows = "\n".join(f"| {key} | {value:,} | {getattr(change, key):,} |" for key, value in funnel.model_dump().items())
    others = f"\n{counted(change.others, 'other row')} got another decision.\n" if change.others else ""
    edges: dict[str, Any] = {fate.value: getattr(funnel, fate.value) for fate in Fate}
    chart = "\n".join(f"  current --> {fate}[{fate}: {count:,}]" for fate, count in edges.items())
    return (
        f"# {name}\n\n| | records | new in this run |\n|---|---:|---:|\n{rows}\n{others}\n"
        f"```mermaid\nflowchart LR\n  raw[raw: {funnel.raw:,}] --> current[current: {funnel.current:,}]\n{chart}\n```\n"
    )
