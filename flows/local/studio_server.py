"""A local Label Studio in its own venv: for the demo, for tests, and for a few annotators.

The server's dependencies conflict with ours, so it is a separate program, started and stopped here.
Its first start takes a minute of database migrations; these are run once per version and copied from then on.
"""

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Self

import httpx
import psutil
from pydantic import BaseModel

from pipeline.errors import ConfigError, LabelStudioError
from pipeline.state.atomic import locked_folder, remove_unfinished, replacing

_HOST = "127.0.0.1"
_DATABASE = "label_studio.sqlite3"
_START_SECONDS = 180
_MIGRATE_SECONDS = 900
_STOP_SECONDS = 10


class Credentials(BaseModel, frozen=True):
    """How to log in to one local server; generated at its first start, and stored with its data."""

    username: str
    password: str
    token: str
    port: int


class Running(BaseModel, frozen=True):
    """The server process of a data folder."""

    pid: int
    created: float
    """When the process began: process ids are reused."""
    url: str

    @property
    def is_alive(self) -> bool:
        """Whether it is still running."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class LocalStudio:
    """One server on one data folder; it stops at the end of the ``with``, at exit and on SIGTERM.

    Args:
        venv: where ``label-studio`` is installed.
        data: the server's database, files, log and credentials.
        cache: where the migrated databases are stored, one per version of Label Studio.
        port: on the loopback interface; default: the last one if it is free, else a free one.
        say: called with a message before anything that takes time.
        share: use a server that is already running on ``data``, such as one that a killed process left, and
            leave it running at the end; otherwise it is an error.
        database: Label Studio's own variables for an empty PostgreSQL; default: SQLite in the data folder.
    """

    def __init__(
        self,
        venv: Path,
        data: Path,
        cache: Path,
        port: int | None = None,
        say: Callable[[str], None] = lambda text: None,
        *,
        share: bool = False,
        database: Mapping[str, str] | None = None,
    ) -> None:
        self._database = dict(database or {})
        self.venv, self.data, self.cache = venv.absolute(), data.absolute(), cache.expanduser().absolute()
        self._port, self._say, self._share = port, say, share
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._sigterm: Any = None
        self._credentials: Credentials | None = None

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.data / "server.log"

    @property
    def url(self) -> str:
        """The server's URL."""
        return f"http://{_HOST}:{self._known.port}"

    @property
    def username(self) -> str:
        """The e-mail address to log in with."""
        return self._known.username

    @property
    def password(self) -> str:
        """The password to log in with; the initial one, if it was changed in Label Studio."""
        return self._known.password

    @property
    def token(self) -> str:
        """The access token of the same user."""
        return self._known.token

    @property
    def _known(self) -> Credentials:
        if self._credentials is None:
            raise LabelStudioError(f"the Label Studio of {self.data} was not started")
        return self._credentials

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- start and stop -----------------------------------------------------------------------
    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ConfigError: Label Studio is not installed, or the port is taken.
            LabelStudioError: it is already running on this folder, or does not start.
        """
        program = self.venv / "bin" / "label-studio"
        if not program.is_file():
            raise ConfigError(
                f"there is no Label Studio in {self.venv}; `make label-studio` in the clone installs it, "
                "and GOLDLEAF_LABEL_STUDIO_VENV sets another place"
            )
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked_folder(self.data):
            if (running := self._running()) is not None:
                self._join(running)
                return
            if not self._database and not (self.data / _DATABASE).exists():
                # Of a start that was killed: nobody else writes here under the lock.
                remove_unfinished(self.data, time.time())
                with self._template(program).open("rb") as template, replacing(self.data / _DATABASE) as database:
                    shutil.copyfileobj(template, database)
            self._credentials = self._prepare_credentials()
            self._say(f"starting Label Studio at {self.url}")
            self._launch(program)
        self._stop_with_us()
        try:
            self._await_answer()
        except BaseException:
            self.stop()
            raise

    def serve(self) -> None:
        """Wait for as long as the server that this object started runs, which is until somebody ends it.

        Raises:
            LabelStudioError: it has ended.
        """
        if self._process is not None:
            ended = self._process.wait()
            raise LabelStudioError(
                f"Label Studio at {self.url} has ended (exit status {ended}): annotators cannot answer until it is "
                f"started again; {self.log} says: {self._last_words()}"
            )

    def stop(self) -> None:
        """Stop the server that this object started; does nothing if there is none."""
        if self._process is None or self._owner != os.getpid():
            return
        process, self._process = self._process, None
        for send, patience in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, send)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                break
        self._running_file.unlink(missing_ok=True)
        atexit.unregister(self.stop)
        if self._sigterm is not None:
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGTERM, self._sigterm)

    def _launch(self, program: Path) -> None:
        arguments = ["start", "--no-browser", "--internal-host", _HOST, "--port", str(self._known.port)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(program), *arguments],
                env=_environment(self.venv, self.data, self._known) | self._database,
                cwd=self.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C goes only to us, and the whole group can be stopped
            )
        self._owner = os.getpid()
        created = psutil.Process(self._process.pid).create_time()
        running = Running(pid=self._process.pid, created=created, url=self.url)
        with replacing(self._running_file, private=True) as file:
            file.write(running.model_dump_json().encode())

    def _stop_with_us(self) -> None:
        atexit.register(self.stop)
        # Python exits at once on SIGTERM, without leaving a `with`. Only the main thread may change that.
        with contextlib.suppress(ValueError):
            self._sigterm = signal.signal(signal.SIGTERM, _exit_on_sigterm)

    def _await_answer(self) -> None:
        """Wait until the server accepts our token: on a taken port another program would answer."""
        seconds = _MIGRATE_SECONDS if self._database else _START_SECONDS
        deadline = time.monotonic() + seconds
        header = {"Authorization": f"Token {self.token}"}
        with httpx.Client(base_url=self.url, headers=header, trust_env=False, timeout=30) as client:
            while time.monotonic() < deadline:
                if self._process is None or self._process.poll() is not None:
                    raise LabelStudioError(f"Label Studio exited while starting; {self.log} says: {self._last_words()}")
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/health").is_success:
                        answer = client.get("/api/current-user/whoami")
                        if answer.is_success and self.username in answer.text:
                            return
                        raise LabelStudioError(
                            f"the server at {self.url} does not accept our token: it is another program, or the token "
                            f"was replaced; start with another --port, or put the token in {self._credentials_file}"
                        )
                time.sleep(0.2)
        raise LabelStudioError(f"Label Studio did not answer within {seconds} s; {self.log} may say why")

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")

    # --- the data folder ----------------------------------------------------------------------
    @property
    def _running_file(self) -> Path:
        return self.data / "running.json"

    @property
    def _credentials_file(self) -> Path:
        return self.data / "credentials.json"

    def _running(self) -> Running | None:
        """The running server on this folder, whoever started it."""
        if not self._running_file.exists():
            return None
        running = Running.model_validate_json(self._running_file.read_bytes())
        return running if running.is_alive else None

    def _join(self, running: Running) -> None:
        if not self._share:
            raise LabelStudioError(
                f"a Label Studio is already running on {self.data}, at {running.url} (process {running.pid}); "
                "use that one, or stop it first"
            )
        self._credentials = Credentials.model_validate_json(self._credentials_file.read_bytes())
        self._say(f"using the Label Studio running at {running.url} (process {running.pid}), and leaving it running")

    def _prepare_credentials(self) -> Credentials:
        if self._credentials_file.exists():
            known = Credentials.model_validate_json(self._credentials_file.read_bytes())
            credentials = known.model_copy(update={"port": self._choose_port(known.port)})
        else:
            credentials = Credentials(
                username="goldleaf@example.com",
                password=secrets.token_urlsafe(12),
                token=secrets.token_hex(20),
                port=self._choose_port(None),
            )
        with replacing(self._credentials_file, private=True) as file:
            file.write(credentials.model_dump_json(indent=2).encode())
        return credentials

    def _choose_port(self, last: int | None) -> int:
        """Refuse a taken port: Label Studio itself would silently use the next one."""
        if self._port is not None:
            if not _is_free(self._port):
                raise ConfigError(f"port {self._port} is taken by another program; choose another with --port")
            return self._port
        if last is not None and _is_free(last):
            return last
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            return int(probe.getsockname()[1])

    def _template(self, program: Path) -> Path:
        """A migrated database without users or secrets, made at the first start of this version."""
        self.cache.mkdir(parents=True, exist_ok=True)
        template = self.cache / f"label-studio-{_version(self.venv)}.sqlite3"
        with locked_folder(self.cache):
            if template.exists():
                return template
            self._say("preparing Label Studio's database; this takes a minute or two, the first time only")
            with tempfile.TemporaryDirectory(dir=self.cache) as folder:
                made = subprocess.run(
                    [str(program), "version"],  # any command migrates first; this one does nothing else
                    env=_environment(self.venv, Path(folder)),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=False,
                )
                if made.returncode != 0 or not (Path(folder) / _DATABASE).exists():
                    self.log.write_bytes(made.stdout + made.stderr)
                    raise LabelStudioError(
                        f"Label Studio could not prepare its database; {self.log} says: {self._last_words()}"
                    )
                (Path(folder) / _DATABASE).replace(template)
        return template


def _environment(venv: Path, data: Path, credentials: Credentials | None = None) -> dict[str, str]:
    """A quiet, offline server on a data folder; nothing of our own environment reaches it."""
    environment = {
        "PATH": f"{venv / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(data),
        "LANG": "C.UTF-8",
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        # Read only when the first user, and so the organization, is created.
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
    if credentials is not None:
        environment |= {
            "LABEL_STUDIO_USERNAME": credentials.username,
            "LABEL_STUDIO_PASSWORD": credentials.password,
            "LABEL_STUDIO_USER_TOKEN": credentials.token,
        }
    return environment


def _version(venv: Path) -> str:
    found = next(venv.glob("lib/python*/site-packages/label_studio-*.dist-info"), None)
    if found is None:
        raise ConfigError(f"the Label Studio in {venv} is broken; delete the folder and run `make label-studio`")
    return found.name.removeprefix("label_studio-").removesuffix(".dist-info")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _exit_on_sigterm(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
