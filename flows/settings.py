"""The only place that reads the environment and ``.env``: the home, the servers and their secrets."""

import os
import re
from contextlib import suppress
from netrc import NetrcParseError, netrc
from pathlib import Path

from dotenv import dotenv_values
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.errors import ConfigError
from schemas.field import shown
from schemas.user_code_errors import in_a_line, no_json, writable

_NO_TABLES = re.compile(r"[][|^\\\x00-\x1f]|%[0-9A-Fa-f]{2}")
"""Not allowed in paths by the Delta library: it makes a URL of the path, and not always correctly."""


class Settings(BaseSettings):
    """What depends on the machine, not on the dataset."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    goldleaf_home: str = "data/store"
    """Where tables, releases and models are stored; relative paths start at the working directory."""
    label_studio_url: str = ""
    label_studio_api_key: SecretStr = SecretStr("")
    prefect_api_url: str = ""
    goldleaf_label_studio_venv: Path = Path(".venv-label-studio")
    """The virtual environment of the local Label Studio server."""
    goldleaf_cache: Path = Field(default_factory=lambda: Path.home() / ".cache" / "goldleaf")
    """Contains the migrated template of the local Label Studio."""
    annotate: str = ""
    """``me`` leaves the labeling in the demo to the user."""

    def secret(self, name: str) -> str:
        """A key that a dataset.yaml names by its variable, from the environment or ``.env``; empty if it is not set."""
        return os.environ.get(name) or dotenv_values(".env").get(name) or ""

    def login(self, host: str) -> tuple[str, str] | None:
        """Name and password at a host, by the file that NETRC names, or ``~/.netrc``; None if it does not know any.

        Raises:
            ConfigError: the file cannot be read.
        """
        file = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
        try:
            found = netrc(file).authenticators(host)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, NetrcParseError) as error:
            # What it says of a line may quote a password.
            line = f":{error.lineno}" if isinstance(error, NetrcParseError) and error.lineno else ""
            raise ConfigError(f"{file}{line} cannot be read ({type(error).__name__}); correct it") from None
        return (found[0], found[2] or "") if found else None

    @property
    def home(self) -> Path:
        """The home as an absolute path.

        Raises:
            ConfigError: it is a URL, or a path that cannot contain tables.
        """
        if "://" in self.goldleaf_home:
            raise ConfigError(
                f"GOLDLEAF_HOME is '{self.goldleaf_home}', but this version only stores its state on a local or "
                "mounted disk; set it to a folder"
            )
        try:
            home = Path(self.goldleaf_home).expanduser().resolve()
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                # A name of 300 characters only fails here.
                home.lstat()
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"GOLDLEAF_HOME is {shown(self.goldleaf_home)}, which cannot be a folder "
                f"({in_a_line(str(error), 100)}); set it to another one"
            ) from error
        if no_json(str(home)):
            raise ConfigError(
                f"the home {writable(str(home))} is not UTF-8, which tables require; set GOLDLEAF_HOME to another"
            )
        if found := _NO_TABLES.search(str(home)):
            raise ConfigError(
                f"the home {str(home)!r} contains {found[0]!r}, which a table's path must not; "
                "set GOLDLEAF_HOME to another one"
            )
        return home


def prepare_prefect(settings: Settings) -> None:
    """Set what Prefect reads from the environment when it is imported, unless the user has set it.

    Unless the user has a server, flows run on a temporary, private one.
    """
    defaults = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    if not settings.prefect_api_url:
        home = settings.home / ".prefect"
        home.mkdir(parents=True, exist_ok=True)  # Prefect only creates the last folder
        defaults |= {
            "PREFECT_HOME": str(home),
            # A new home is migrated first, which on a busy machine takes longer than the default 20 s.
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def prepare_schedules(settings: Settings) -> None:
    """The same for schedules, whose runs inherit it: what a run says is on its page, and it outlives an outage.

    When a run is done, it tells the server so up to nine times, at doubled intervals: for 8 minutes in all.
    """
    os.environ.setdefault("PREFECT_API_URL", settings.prefect_api_url)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "8")
    os.environ.setdefault("PREFECT_DEPLOYMENTS_CLEAR_SCHEDULES_ON_EMPTY", "true")
    prepare_prefect(settings)


def prepare_training() -> None:
    """Make idle training threads release their core soon; call it before torch is imported.

    Next to one other busy process, a step took 9.0 s with the OpenMP default and 5.3 s with this; on an
    idle machine 2.7 and 3.0 s.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def use_label_studio(url: str, api_key: str) -> Settings:
    """Point this process, and the flows that it runs, to a Label Studio; returns the new settings."""
    os.environ["LABEL_STUDIO_URL"] = url
    os.environ["LABEL_STUDIO_API_KEY"] = api_key
    return Settings()
