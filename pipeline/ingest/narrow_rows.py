"""Rows that were read, without what they say: a packed array with 41 bytes for each.

A row with a key of the user has its record id. One without is identified by its content and its number among all copies
in its source, which depends on other files: it only has its revision.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline.sorted_places import places_of
from schemas.identity import ID_BYTES

ROW = np.dtype([("identity", "<u8", (2,)), ("revision", "<u8", (2,)), ("line", "<i8"), ("flags", "u1")])
"""``identity`` is the record id, or of rows by content the revision; both ids are 16 bytes."""
_BY_CONTENT, _HAS_ERROR = 1, 2
Rows = npt.NDArray[np.void]
"""Of the type ``ROW``, in the order of their file."""
NO_ROWS: Rows = np.empty(0, dtype=ROW)
Halves = npt.NDArray[np.uint64]
"""First halves of identities, sorted, each once: enough to pick rows by, since one too many does no harm."""
NO_HALVES: Halves = np.empty(0, dtype=np.uint64)


def narrow_rows(
    identities: Sequence[str],
    revisions: Sequence[str],
    keys: Sequence[str],
    lines: Sequence[int],
    errors: Sequence[str],
) -> Rows:
    """Pack rows.

    Args:
        identities: the record ids, as 32 hex digits; the revisions of rows by content.
        revisions: as 32 hex digits.
        keys: empty for rows by content.
        lines: where each row is in its file.
        errors: why rows cannot be read; empty if they can.
    """
    rows = np.empty(len(lines), dtype=ROW)
    rows["identity"], rows["revision"] = _packed(identities), _packed(revisions)
    rows["line"] = lines
    by_content = np.fromiter((not key for key in keys), dtype=bool, count=len(keys))
    has_error = np.fromiter(map(bool, errors), dtype=bool, count=len(errors))
    rows["flags"] = by_content * _BY_CONTENT + has_error * _HAS_ERROR
    return rows


def _packed(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(bytes.fromhex("".join(ids)), dtype="<u8").reshape(-1, 2)


def halves_of(rows: Rows) -> Halves:
    """The first halves of all identities of some rows."""
    found: Halves = np.unique(rows["identity"][:, 0])
    return found


def halves_that_differ(old: Rows, new: Rows) -> Halves:
    """The same of all rows that only one of two readings of a file has, or has on another line."""
    _, one, other = np.intersect1d(old["line"], new["line"], assume_unique=True, return_indices=True)
    same = old[one] == new[other]
    only_old, only_new = np.ones(len(old), dtype=bool), np.ones(len(new), dtype=bool)
    only_old[one[same]] = only_new[other[same]] = False
    return np.union1d(halves_of(old[only_old]), halves_of(new[only_new]))


def among(rows: Rows, halves: Halves) -> npt.NDArray[np.intp]:
    """The places of the rows whose identity begins with one of some halves."""
    return np.flatnonzero(places_of(rows["identity"][:, 0], halves) >= 0)


def as_frame(rows: Rows) -> pl.DataFrame:
    """``identity`` and ``revision`` as 32 hex digits, ``line``, ``by_content`` and ``has_error``."""
    return pl.DataFrame(
        {
            "identity": _digits(rows["identity"]),
            "revision": _digits(rows["revision"]),
            "line": rows["line"],
            "by_content": (rows["flags"] & _BY_CONTENT) > 0,
            "has_error": (rows["flags"] & _HAS_ERROR) > 0,
        }
    )


def _digits(ids: npt.NDArray[np.uint64]) -> pl.Series:
    packed = np.ascontiguousarray(ids)
    array = pa.Array.from_buffers(pa.binary(ID_BYTES), len(packed), [None, pa.py_buffer(packed)])
    return pl.Series(pl.from_arrow(array), dtype=pl.Binary).bin.encode("hex")
