"""The command ``goldleaf``: gathers the commands of the ``cli_*`` modules."""

from flows import cli_duplicates, cli_questions, cli_setup, cli_verbs
from flows.cli_app import app

__all__ = ["app", "cli_duplicates", "cli_questions", "cli_setup", "cli_verbs"]

if __name__ == "__main__":
    app()
