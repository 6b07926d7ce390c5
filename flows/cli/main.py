"""The command ``goldleaf``: gathers the commands of the other modules."""

from flows.cli import (
    compacting,
    inspect,
    leads,
    merging,
    scheduling,
    setup,
    show_baselines,
    show_duplicates,
    show_preflight,
    show_team,
    verbs,
)
from flows.cli.app import app

__all__ = [
    "app",
    "compacting",
    "inspect",
    "leads",
    "merging",
    "scheduling",
    "setup",
    "show_baselines",
    "show_duplicates",
    "show_preflight",
    "show_team",
    "verbs",
]
