"""Which sources are URLs, where these lead, and what their servers are sent beside the request."""

import base64
import re
from collections.abc import Callable, Mapping

from pydantic import SecretStr

from pipeline.errors import ConfigError
from schemas.dataset import Source
from schemas.fetched import is_address, without_credentials

_PORT = re.compile(r":[0-9]*$")
Headers = Mapping[str, SecretStr]
"""What a request says beside its URL; nothing of it is kept or shown."""


def is_url(source: Source) -> bool:
    """Whether a source is a URL."""
    return is_address(source.path)


def shown_path(source: Source) -> str:
    """Where its rows come from, as it is kept and shown: a URL without anything that may be a secret."""
    return without_credentials(source.path)


def host(source: Source) -> str:
    """The server's address."""
    return shown_path(source).split("/")[2]


def secret_headers(
    source: Source, variable: Callable[[str], str], login: Callable[[str], tuple[str, str] | None]
) -> Headers:
    """What the server of a source is to be sent so that it knows us.

    Args:
        source: a URL.
        variable: the value of an environment variable; empty if it is not set.
        login: name and password at a host; None if none is known. It is asked if the source itself names nothing.

    Raises:
        ConfigError: a variable is not set, or holds what no header can.
    """
    headers = {name: _value(source, f"headers.{name}", named, variable) for name, named in source.headers.items()}
    if source.auth:
        headers["Authorization"] = _authorization(_value(source, "auth", source.auth, variable))
    elif "authorization" not in map(str.lower, headers) and "@" not in source.path.split("/")[2]:
        known = login(_PORT.sub("", host(source)).strip("[]"))
        headers |= {"Authorization": _authorization(":".join(known))} if known else {}
    return {name: SecretStr(value) for name, value in headers.items()}


def _value(source: Source, key: str, name: str, variable: Callable[[str], str]) -> str:
    value = variable(name).strip()
    if not value:
        raise ConfigError(
            f"{source.told}: the variable {name}, which its `{key}` names, is not set; set it in the "
            "environment or in .env"
        )
    if not (value.isascii() and value.isprintable()):
        raise ConfigError(
            f"{source.told}: the variable {name}, which its `{key}` names, holds a character that no header "
            "can have; correct it"
        )
    return value


def _authorization(secret: str) -> str:
    """The header: a value with a blank names its scheme; one with a colon can be no token, so it is a password."""
    if " " in secret:
        return secret
    if ":" in secret:
        return f"Basic {base64.b64encode(secret.encode()).decode()}"
    return f"Bearer {secret}"
