"""Downloads the file of a source that is a URL, within limits of time and size, and without telling secrets."""

import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import httpx

from pipeline.errors import SourceError
from pipeline.ingest.formats import is_page
from pipeline.ingest.source_urls import Headers, shown_path
from pipeline.state.atomic import replacing
from pipeline.text.wording import shown_duration
from pipeline.time_limits import Patience, Patient, Response, Retries, seconds_asked
from schemas.dataset import Source
from schemas.fetched import without_credentials
from schemas.identity import stable_hash
from schemas.options import Format
from schemas.user_code_errors import in_a_line

LONGEST = 2 * 60 * 60.0
"""Maximum duration of a download in seconds."""
PATIENCE = Patience(connect=10, answer=60, window=60, least_rate=10_000, whole=LONGEST)
MEGABYTE = 1_000_000
LARGEST = 50_000 * MEGABYTE
"""Bytes of a file, unpacked; an endless answer ends here, if the disk has room for so much."""
KEPT_FREE = 1_000 * MEGABYTE
"""Bytes of the disk that a download leaves to others."""
_LOOK_AFTER = 64 * MEGABYTE
"""Bytes between two looks at the disk."""
_WITH_FILE = (200, 203)
"""Status codes of responses with content; the second comes from a proxy that modified it."""
_LATER = {408, 425, 429}
"""Refusals that may pass, as any 5xx may."""
_UNKNOWN = {401, 403, 407}
_HEAD = 512
_OF_PAGES = ("text/html", "application/xhtml+xml")
_LEAST_SECRET = 4
"""Characters; shorter values of a query stand in many texts by chance."""


class _MayPass(SourceError):
    """The server may have the file later."""

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds
        """How long it asks to wait, if it says so."""


def fetch(
    source: Source,
    folder: Path,
    on_megabytes: Callable[[int], None] = lambda megabytes: None,
    headers: Headers | None = None,
    patience: float = 0.0,
    say: Callable[[str], object] = lambda text: None,
) -> Path:
    """Fetch a source's URL into a folder, unless it is already there, and return the file.

    Args:
        source: a URL.
        folder: for downloads.
        on_megabytes: called with how many more megabytes have come.
        headers: what the server wants to see; other servers, which it may redirect to, do not get them.
        patience: for how many seconds it is tried again, if the server may have the file later.
        say: told before each wait.

    Raises:
        SourceError: the URL is invalid, the server does not answer, refuses, breaks off or is too slow, sends a page
            instead of data, or more than there is room for.
    """
    retries = Retries(patience)
    while True:
        try:
            return _Download(source, folder, headers or {}, on_megabytes).file()
        except _MayPass as error:
            pause = retries.pause(error.seconds)
            if pause is None:
                raise SourceError(str(error)) from None
            say(f"{error}; the next attempt is in {shown_duration(pause)}")
            time.sleep(pause)


class _Download:
    """One attempt."""

    def __init__(self, source: Source, folder: Path, headers: Headers, on_megabytes: Callable[[int], None]) -> None:
        self._source, self._folder, self._on_megabytes = source, folder, on_megabytes
        self._headers = {name: value.get_secret_value() for name, value in headers.items()}
        self._last: httpx.URL | None = None

    def file(self) -> Path:
        """The file, which is fetched unless it is there."""
        source = self._source
        try:
            # The extensions tell the format; the rest of the name may be anything. Who is asked by somebody else may
            # give something else.
            extensions = "".join(Path(httpx.URL(source.path).path).suffixes[-2:])
            asked = stable_hash(
                source.path, source.auth or "", *(part for pair in source.headers.items() for part in pair)
            )
            target = self._folder / f"download-{asked}{extensions}"
            if not target.exists():
                with closing(Patient(follow_redirects=True, event_hooks={"request": [self._follow]})) as client:
                    self._fetch(client, target)
            return target
        except httpx.TransportError as error:
            raise _MayPass(self._failed(str(error) or type(error).__name__)) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            # A host such as "." cannot even be looked up, which raises a ValueError.
            raise SourceError(self._failed(str(error) or type(error).__name__)) from None

    def _fetch(self, client: Patient, target: Path) -> None:
        with client.stream("GET", self._source.path, PATIENCE, headers=self._headers) as answer:
            self._require_file(answer)
            self._require_room(int(answer.headers.get("content-length") or 0))
            head, looked = b"", 0
            with replacing(target, private=True) as file:
                for part in answer.parts():
                    before = file.size
                    file.write(part)
                    head += part[: _HEAD - len(head)]
                    self._on_megabytes(file.size // MEGABYTE - before // MEGABYTE)
                    if file.size - looked >= _LOOK_AFTER or file.size > LARGEST:
                        self._require_room(0 if file.size <= LARGEST else file.size)
                        looked = file.size
                self._require_data(answer, head)

    # --- where it leads ---------------------------------------------------------------------------
    def _follow(self, request: httpx.Request) -> None:
        """Refuse to go on without encryption, and to show our secrets to other servers; called before each request."""
        before, self._last = self._last, request.url
        if before is None:
            return
        if before.scheme == "https" and request.url.scheme != "https":
            raise SourceError(
                self._failed(
                    f"it redirects from https to {without_credentials(str(request.url))}, which anybody on "
                    "the way could read and change",
                    "name an https address",
                )
            )
        if not _is_same_server(before, request.url):
            for name in self._headers:
                request.headers.pop(name, None)

    # --- what comes -------------------------------------------------------------------------------
    def _require_file(self, answer: Response) -> None:
        status = answer.status
        if status in _WITH_FILE:
            return
        said = self._failed(f"the server answered {status} {answer.reason}".rstrip(), "", ", {}")
        if status >= 500 or status in _LATER:
            raise _MayPass(f"{said}; try again", seconds_asked(answer.headers))
        remedy = "set its `auth`, or correct its path" if status in _UNKNOWN else "correct its path"
        raise SourceError(f"{said}; {remedy}")

    def _require_room(self, coming: int) -> None:
        free = shutil.disk_usage(self._folder).free - KEPT_FREE
        if coming > LARGEST:
            most = f"{LARGEST // MEGABYTE:,} MB, the most that is fetched"
        elif coming > free or free < 0:
            most = f"the disk has room for, with {max(0, free) // MEGABYTE:,} MB to spare"
        else:
            return
        raise SourceError(self._failed(f"it is larger than {most}", "download it yourself, and name the file"))

    def _require_data(self, answer: Response, head: bytes) -> None:
        """Refuse a page for people, such as one to log in: its lines would be rejected rows."""
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_sure = is_page(head) or (kind in _OF_PAGES and head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"))
        # Some programs call all that they send a page: then the user must say what it is.
        if is_sure or (kind in _OF_PAGES and self._source.format is Format.AUTO):
            what = f"the server sends a page ({kind or 'HTML or XML'}) instead of data"
            remedy = "set its `auth` if it asks to log in, or correct its path"
            raise SourceError(self._failed(what, remedy if is_sure else f"{remedy}; if it is data, set its `format`"))

    # --- what is told -----------------------------------------------------------------------------
    def _failed(self, problem: str, remedy: str = "correct its path or try again", how: str = " ({})") -> str:
        """A failure in a line, without any secret that a server may repeat."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            problem = problem.replace(secret, "…")
        what = f"{self._source.told}: {shown_path(self._source)} cannot be fetched"
        said = f"{what}{how.format(in_a_line(problem))}"
        return f"{said}; {remedy}" if remedy else said

    def _secrets(self) -> set[str]:
        found = {part for value in self._headers.values() for part in (value, value.rpartition(" ")[2])}
        address, _, query = self._source.path.partition("#")[0].partition("?")
        found |= {part for pair in parse_qsl(query) for part in pair[1:]}
        found |= {part.partition("=")[2] for part in query.split("&")}
        user = address.partition("://")[2].partition("/")[0].rpartition("@")[0]
        found |= {part for whole in (user, unquote(user)) for part in (whole, whole.partition(":")[2])}
        return {secret for secret in found if len(secret) >= _LEAST_SECRET}


def _is_same_server(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether two addresses are of the same server; https may take the place of http."""
    if one.host != other.host:
        return False
    is_secured = (one.scheme, one.port, other.scheme, other.port) == ("http", None, "https", None)
    return is_secured or (one.scheme, one.port) == (other.scheme, other.port)
