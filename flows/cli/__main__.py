"""The same command, as ``python -m flows.cli``."""

from flows.cli.main import app

app()
