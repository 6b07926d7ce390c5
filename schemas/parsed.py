"""A row seen through its task."""

import dataclasses
from typing import Any

from schemas.fate import Reason
from schemas.field import JsonValue


@dataclasses.dataclass(frozen=True, slots=True)
class Parsed:
    """A row parsed by its task.

    ``inputs``, which has the context, too, and ``targets`` are in JSON form, and empty if ``problems`` has hard errors;
    ``targets`` is None for an unlabeled row; ``warnings`` are failed soft checks; ``faults`` are those of both in which
    the task's own code itself failed instead of finding something. ``draft`` is what is valid of an answer that a
    person can repair; the inputs are there then, too.
    """

    inputs: dict[str, Any] = dataclasses.field(default_factory=dict)
    targets: dict[str, JsonValue] | None = None
    problems: list[Reason] = dataclasses.field(default_factory=list)
    warnings: list[Reason] = dataclasses.field(default_factory=list)
    draft: dict[str, JsonValue] | None = None
    faults: list[Reason] = dataclasses.field(default_factory=list)
