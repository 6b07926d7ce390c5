"""What is fetched from a server: its address as it may be kept or shown, and the variables that hold its secrets."""

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, field_serializer, model_validator

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:@\[\]]*)(:[0-9]*)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


NO_SECRETS: dict[str, Any] = {"auth": None, "headers": {}}
"""What is published of where secrets are."""


def without_credentials(place: str) -> str:
    """A URL without what may be a secret: name and password, query and fragment; any other place as it is."""
    found = _ADDRESS.match(place)
    if found is None:
        return place
    scheme, server, path = found[1], found[2].rpartition("@")[2], found[3]
    # A password with a slash ends what looks like the server too early.
    is_torn = "@" in path and not _SERVER.fullmatch(server)
    return f"{scheme}://…" if is_torn else f"{scheme}://{server}{path}"


def is_address(place: str) -> bool:
    """Whether a place is a URL that can be fetched."""
    return place.lower().startswith(("http://", "https://"))


def _variable(name: str) -> str:
    # What is no name may be the secret itself, which no message shows.
    if not _VARIABLE.fullmatch(name):
        raise ValueError(
            "it names the environment variable that holds the secret, such as LOGS_TOKEN; set that, not the secret"
        )
    return name


_Variable = Annotated[str, AfterValidator(_variable)]


class Fetched(BaseModel, extra="forbid", frozen=True):
    """A file or URL, with what a server wants to see before it sends the file."""

    auth: _Variable | None = None
    """The environment variable with a token, or with ``name:password``; both are stored nowhere."""
    headers: dict[str, _Variable] = {}
    """Header -> the environment variable with its value."""

    @model_validator(mode="after")
    def _is_of_a_url(self) -> Self:
        if (self.auth or self.headers) and not is_address(str(getattr(self, "path", ""))):
            raise ValueError("`auth` and `headers` are for an http(s) URL; drop them, or name a URL in `path`")
        if odd := [name for name in self.headers if not _HEADER.fullmatch(name)]:
            raise ValueError(f"{odd[0]!r} is no name of a header; write one such as X-Api-Key")
        return self

    @field_serializer("path", when_used="json", check_fields=False)
    def _kept(self, path: Any) -> Any:
        """What is kept of it, or decides whether a dataset.yaml has changed: a new token changes nothing."""
        return path and without_credentials(path)
