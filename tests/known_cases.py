"""Cases, made from what is known and found about them, by the names of the fields of their parts."""

from collections import defaultdict
from dataclasses import fields, replace
from typing import Any

from pipeline.curation.case import Judged, Matched
from pipeline.curation.known import Answered, Doubt, Known, Past

# Where parts have a field of the same name, the last part is meant.
_PART_OF = {field.name: part for part in (Past, Answered, Known, Matched, Doubt, Judged) for field in fields(part)}


def known_case(name: str, **values: Any) -> Judged:
    """A record of this name of which nothing is known but some values."""
    return changed(Judged(Known(record_id=name, revision="v", order=0)), **values)


def changed(case: Judged, **values: Any) -> Judged:
    """The same case with other values of some fields, each in the part that has it; lists become tuples."""
    parts: defaultdict[type, dict[str, Any]] = defaultdict(dict)
    for name, value in values.items():
        parts[_PART_OF[name]][name] = tuple(value) if isinstance(value, list) else value
    past, answered = replace(case.known.past, **parts[Past]), replace(case.known.answered, **parts[Answered])
    known = replace(case.known, **{"past": past, "answered": answered} | parts[Known])
    matched, doubt = replace(case.matched, **parts[Matched]), replace(case.doubt, **parts[Doubt])
    return replace(case, **{"known": known, "matched": matched, "doubt": doubt} | parts[Judged])
