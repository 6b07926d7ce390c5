"""What the rows of a shard are like, beside what each of them is."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.ingest.chat_layouts import Layouts
from pipeline.ingest.field_checks import Seen, together
from schemas.dataset import Layout


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
        return json.dumps(
            {
                "rows": self.rows,
                "readable": self.readable,
                "grouping": _seen_as_json(self.grouping),
                "seen": {name: _seen_as_json(one) for name, one in self.seen.items()},
                "layouts": {name: _layouts_as_json(one) for name, one in self.layouts.items()},
            }
        ).encode()

    @classmethod
    def of_json(cls, text: bytes) -> "Facts":
        """Read ``as_json``."""
        found = json.loads(text)
        return cls(
            found["rows"],
            found["readable"],
            _seen_of(found["grouping"]),
            {name: _seen_of(one) for name, one in found["seen"].items()},
            {name: _layouts_of(one) for name, one in found["layouts"].items()},
        )


def _seen_as_json(seen: Seen) -> list[list[str]]:
    return [sorted(seen.fields), list(seen.names), list(seen.unread)]


def _seen_of(found: list[list[str]]) -> Seen:
    fields, names, unread = found
    return Seen(frozenset(fields), tuple(names), tuple(unread))


def _layouts_as_json(layouts: Layouts) -> list[Any]:
    return [dict(layouts.rows), sorted(layouts.ignored), layouts.rejected, layouts.others]


def _layouts_of(found: list[Any]) -> Layouts:
    rows, ignored, rejected, others = found
    return Layouts({Layout(name): count for name, count in rows.items()}, frozenset(ignored), rejected, others)
