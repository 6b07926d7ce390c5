"""What the rows of a shard are like, beside what each of them is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter

from pipeline.ingest.chat_layouts import Layouts
from pipeline.ingest.field_checks import Seen, together


@dataclass(frozen=True)
class Facts:
    """What some rows are like, for notes on fields and layouts, and to refuse misspelled ones."""

    rows: int
    readable: int
    """Rows that are objects with fields."""
    grouping: Seen
    """The fields of ``split.group_by`` that some row has."""
    seen: Mapping[str, Seen]
    """The fields that each source's rows have; sources without a readable row are left out."""
    layouts: Mapping[str, Layouts]
    """How the conversations of each source are laid out; only for tasks with conversations."""

    def __or__(self, other: "Facts") -> "Facts":
        layouts = dict(self.layouts)
        for name, found in other.layouts.items():
            layouts[name] = layouts.get(name, Layouts()) | found
        return Facts(
            self.rows + other.rows,
            self.readable + other.readable,
            self.grouping | other.grouping,
            together([self.seen, other.seen]),
            layouts,
        )

    @classmethod
    def of_all(cls, parts: Iterable["Facts"]) -> "Facts":
        """What all of some shards are like."""
        whole = cls(0, 0, Seen(), {}, {})
        for part in parts:
            whole |= part
        return whole

    def as_json(self) -> bytes:
        """As it is kept beside the rows."""
        return _FACTS.dump_json(self)

    @classmethod
    def of_json(cls, text: bytes) -> "Facts":
        """Read ``as_json``."""
        return _FACTS.validate_json(text)


_FACTS = TypeAdapter(Facts)
