"""A row seen through its task."""

import dataclasses
from typing import Any

from schemas.fate import Reason
from schemas.field import JsonValue


@dataclasses.dataclass(frozen=True, slots=True)
class Parsed:
    """A row seen through its task.

    ``inputs`` and ``targets`` are in JSON form and empty where ``problems`` has hard errors;
    ``targets`` is None for an unlabeled row; ``warnings`` are failed soft checks; ``faults`` are those of both where
    the task's own code failed itself, instead of finding something.
    """

    inputs: dict[str, Any] = dataclasses.field(default_factory=dict)
    targets: dict[str, JsonValue] | None = None
    problems: list[Reason] = dataclasses.field(default_factory=list)
    warnings: list[Reason] = dataclasses.field(default_factory=list)
    faults: list[Reason] = dataclasses.field(default_factory=list)
