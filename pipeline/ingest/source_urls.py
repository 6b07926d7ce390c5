"""Which sources are URLs, and where these lead."""

from schemas.dataset import Source


def is_url(source: Source) -> bool:
    """Whether a source is a URL."""
    return source.path.startswith(("http://", "https://"))


def host(source: Source) -> str:
    """The server's address: the whole URL may contain a key."""
    return source.path.split("/")[2].rpartition("@")[2]
