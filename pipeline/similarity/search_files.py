"""The files of a search: their names are defined once, for writers and readers."""

from enum import StrEnum


class SearchFile(StrEnum):
    """A file for the whole search; a *place* is a text of the shards, an *entry* a distinct text."""

    BYTES = "bytes"
    ENTRY_OF_PLACE = "entry-of-place"
    HOMES = "homes"
    IDENTITIES = "identities"
    KNOWN_BYTES = "known-bytes"
    KNOWN_KEYS = "known-keys"
    KNOWN_WORDS = "known-words"
    LAID_OUT = "laid-out"
    MET = "met"
    MET_STARTS = "met-starts"
    SKETCHES = "sketches"


class ShardFile(StrEnum):
    """A file for each shard of texts."""

    PLACES = "places"
    NEW_ROWS = "new-rows"
    NEW_IDENTITIES = "new-identities"
    SIGNED_ROWS = "signed-rows"
    SIGNED_HASHES = "signed-hashes"
    SIGNED_KEYS = "signed-keys"
    SIGNED_SKETCHES = "signed-sketches"
    NEW = "new"
    ENTRIES = "entries"

    def of(self, shard: int) -> str:
        """Its name."""
        return f"{self}-{shard:05}"
