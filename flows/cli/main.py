"""The command ``goldleaf``: gathers the commands of the other modules."""

from flows.cli import inspect, setup, show_duplicates, show_team, team, verbs
from flows.cli.app import app

__all__ = ["app", "inspect", "setup", "show_duplicates", "show_team", "team", "verbs"]
