"""Keeps the cases of a chunk in a file until all chunks were compared: memory holds those of one."""

import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pipeline.curation.case import Case
from pipeline.state.arrays import mapped, save
from pipeline.state.atomic import replacing, sealed_bytes


def write_cases(cases: Sequence[Case], path: Path) -> None:
    """Write cases, for ``read_cases`` of the same run."""
    # One by one, so that some can be read.
    data = [pickle.dumps(case, pickle.HIGHEST_PROTOCOL) for case in cases]
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
    return [pickle.loads(data[starts[place] : starts[place + 1]]) for place in wanted]  # noqa: S301 (our own)


def remove_cases(path: Path) -> None:
    """Remove the cases of a file, which are needed no longer."""
    for file in (path, path.with_suffix(".starts")):
        file.unlink(missing_ok=True)
