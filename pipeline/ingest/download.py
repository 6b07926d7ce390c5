"""Fetches the file of a source that is a URL, and does not wait for ever for it."""

from collections.abc import Callable
from pathlib import Path

import httpx

from pipeline.errors import SourceError
from pipeline.state.atomic import replacing
from pipeline.time_limits import Patience, Patient, Response
from schemas.dataset import Source
from schemas.identity import stable_hash

LONGEST = 2 * 60 * 60.0
"""Seconds that a download may take."""
PATIENCE = Patience(connect=10, answer=60, window=60, least_rate=10_000, whole=LONGEST)
MEGABYTE = 1_000_000
_WITH_FILE = (200, 203)
"""Statuses of answers that hold one; the second comes from a proxy that changed something."""


def is_url(source: Source) -> bool:
    """Whether a source has to be fetched."""
    return source.path.startswith(("http://", "https://"))


def host(source: Source) -> str:
    """Who is asked: the whole URL may hold a key."""
    return source.path.split("/")[2].rpartition("@")[2]


def fetch(source: Source, folder: Path, on_megabytes: Callable[[int], None] = lambda megabytes: None) -> Path:
    """Fetch a source's URL into a folder, unless it is there already, and return the file.

    Raises:
        SourceError: the URL is none, nobody answers, or the server refuses, breaks off or is too slow.
    """
    client = Patient(follow_redirects=True)
    try:
        # The endings say what the format is; the rest of the name may be anything.
        endings = "".join(Path(httpx.URL(source.path).path).suffixes[-2:])
        target = folder / f"download-{stable_hash(source.path)}{endings}"
        if target.exists():
            return target
        with client.stream("GET", source.path, PATIENCE) as answer:
            _require_file(source, answer)
            with replacing(target) as file:
                for part in answer.parts():
                    before = file.size
                    file.write(part)
                    on_megabytes(file.size // MEGABYTE - before // MEGABYTE)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # A host such as "." cannot even be looked up, which is a ValueError.
        problem = str(error) or type(error).__name__
        raise SourceError(
            f"source '{source.name}': {source.path} cannot be fetched ({problem}); correct its path or try again"
        ) from error
    finally:
        client.close()
    return target


def _require_file(source: Source, answer: Response) -> None:
    if answer.status not in _WITH_FILE:
        raise SourceError(
            f"source '{source.name}': {source.path} cannot be fetched, the server answers {answer.status} "
            f"{answer.reason}; correct its path"
        )
