"""Downloads the file of a source that is a URL, within time limits."""

from collections.abc import Callable
from pathlib import Path

import httpx

from pipeline.errors import SourceError
from pipeline.state.atomic import replacing
from pipeline.time_limits import Patience, Patient, Response
from schemas.dataset import Source
from schemas.identity import stable_hash

LONGEST = 2 * 60 * 60.0
"""Maximum duration of a download in seconds."""
PATIENCE = Patience(connect=10, answer=60, window=60, least_rate=10_000, whole=LONGEST)
MEGABYTE = 1_000_000
_WITH_FILE = (200, 203)
"""Status codes of responses with content; the second comes from a proxy that modified it."""


def fetch(source: Source, folder: Path, on_megabytes: Callable[[int], None] = lambda megabytes: None) -> Path:
    """Fetch a source's URL into a folder, unless it is already there, and return the file.

    Raises:
        SourceError: the URL is invalid, the server does not answer, refuses, breaks off or is too slow.
    """
    client = Patient(follow_redirects=True)
    try:
        # The extensions tell the format; the rest of the name may be anything.
        extensions = "".join(Path(httpx.URL(source.path).path).suffixes[-2:])
        target = folder / f"download-{stable_hash(source.path)}{extensions}"
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
        # A host such as "." cannot even be looked up, which raises a ValueError.
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
            f"source '{source.name}': {source.path} cannot be fetched, the server answered {answer.status} "
            f"{answer.reason}; correct its path"
        )
