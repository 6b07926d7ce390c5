"""Keeps the cases of a chunk in a file until all chunks were compared: memory holds those of one."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.curation.case import NOT_MATCHED, Case, Matched
from pipeline.curation.known import NO_DOUBT, NO_PAST, UNANSWERED, Answered, Doubt, Known, Past
from pipeline.state.arrays import mapped, save
from pipeline.state.atomic import replacing, sealed_bytes
from schemas.field import JsonValue


def _values_of(part: type) -> Callable[[Any], tuple[Any, ...]]:
    """What gives the values of a part, but for the parts that it has itself, which come last."""
    return attrgetter(*(field.name for field in fields(part) if field.name not in ("answered", "past", "doubt")))


_known, _answered, _past = _values_of(Known), _values_of(Answered), _values_of(Past)
_doubt, _matched = _values_of(Doubt), _values_of(Matched)
_Values = tuple[Any, ...]


def write_cases(cases: Sequence[Case], path: Path) -> None:
    """Write cases, for ``read_cases`` of the same run."""
    # One by one, so that some can be read; and by position, since the names would be most of it.
    data = [pickle.dumps(_plain(case), pickle.HIGHEST_PROTOCOL) for case in cases]
    with replacing(path, sealed=True) as sink:
        sink.write(b"".join(data))
    save(path.with_suffix(".starts"), np.cumsum([0, *map(len, data)]))


def read_cases(path: Path, places: Iterable[int] | None = None) -> list[Case]:
    """The cases of a file, or those at some places, in the given order.

    Raises:
        StoreError: it does not hold what was written.
    """
    data, starts = sealed_bytes(path).data, mapped(path.with_suffix(".starts"), np.int64).tolist()
    wanted = range(len(starts) - 1) if places is None else places
    return [_case(*pickle.loads(data[starts[place] : starts[place + 1]])) for place in wanted]  # noqa: S301 (our own)


def remove_cases(path: Path) -> None:
    """Remove the cases of a file, which are needed no longer."""
    for file in (path, path.with_suffix(".starts")):
        file.unlink(missing_ok=True)


def _plain(case: Case) -> tuple[Any, ...]:
    """The values of a case's parts; None for the parts that most cases have."""
    known, matched = case.known, case.matched
    answered, past = known.answered, known.past
    return (
        _known(known),
        None if answered is UNANSWERED else _answered(answered),
        None if past is NO_PAST else _past(past),
        None if past.doubt is NO_DOUBT else _doubt(past.doubt),
        None if matched is NOT_MATCHED else _matched(matched),
        case.model_answer,
    )


def _case(
    known: _Values,
    answered: _Values | None,
    past: _Values | None,
    doubt: _Values | None,
    matched: _Values | None,
    model_answer: dict[str, JsonValue] | None,
) -> Case:
    said = UNANSWERED if answered is None else Answered(*answered)
    before = NO_PAST if past is None else Past(*(*past, NO_DOUBT if doubt is None else Doubt(*doubt)))
    found = NOT_MATCHED if matched is None else Matched(*matched)
    return Case(Known(*(*known, said, before)), found, model_answer)
