"""A terminal without a window: commands run in this process, as a user would type them in a folder."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from flows.cli.main import app

_RUNNER = CliRunner()


@dataclass(frozen=True)
class Terminal:
    """Where commands run: a folder with a home of its own, and the servers that its environment names."""

    folder: Path
    studio_url: str = ""
    studio_token: str = ""
    columns: int = 120

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def goldleaf(self, *args: object, exit_code: int | None = 0) -> Result:
        """Run a command; its exit code must be the expected one, if one is."""
        environment = {
            "GOLDLEAF_HOME": str(self.home),
            "LABEL_STUDIO_URL": self.studio_url,
            "LABEL_STUDIO_API_KEY": self.studio_token,
            "PREFECT_API_URL": "",
            "COLUMNS": str(self.columns),
        }
        # In the folder, as a .env where the tests were started must not count.
        with contextlib.chdir(self.folder):
            result = _RUNNER.invoke(app, [str(arg) for arg in args], env=environment)
        assert exit_code is None or result.exit_code == exit_code, f"{result.output}\n{result.exception!r}"
        return result

    def json(self, *args: object, exit_code: int = 0) -> Any:
        """Run a command with ``--json``; nothing but JSON may be on stdout, nor anything on stderr."""
        result = self.goldleaf(*args, "--json", exit_code=exit_code)
        assert result.stderr == ""
        return json.loads(result.stdout)

    def error(self, *args: object) -> str:
        """Run a command that must fail with one line on stderr and nothing on stdout; returns the line."""
        result = self.goldleaf(*args, exit_code=1)
        assert result.stdout == ""
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
        return result.stderr.removeprefix("error: ").rstrip()

    def not_sent(self, *args: object) -> tuple[Any, str]:
        """Run a curate whose questions Label Studio refuses, with ``--json``; returns its result and the error line."""
        result = self.goldleaf(*args, "--json", exit_code=1)
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
        return json.loads(result.stdout), result.stderr.removeprefix("error: ").rstrip()
