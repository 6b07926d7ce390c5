"""Why rows are rejected for the same reason: their details, told apart by their words and not by the values in them."""

from collections.abc import Iterator, Sequence

import polars as pl
from pydantic import BaseModel

from schemas.fate import ReasonCode

_SHOWN = 3
MOST_CAUSES = 100
"""Causes that are kept for a reason: a validator may write a text of its own for every row."""
_TOLD_APART = (ReasonCode.INVALID, ReasonCode.UNREADABLE, ReasonCode.NOT_AN_OBJECT, ReasonCode.NO_INPUT)
"""The details of other reasons name another row, a length or a split, which makes no other cause."""
_WITHOUT_VALUES = (
    # What a value is comes last; the values before it are the same in all rows, such as the choices that there are.
    (r", got .*$", ""),
    (r"(^|[\s(\[])'.*?'([\s,;:.)\]]|$)", "$1'…'$2"),
    (r"'…'(?:,? (?:and |or )?'…')+", "'…'"),
    (r"\d+", "0"),
)
"""Patterns and what takes their place, in order."""


class Cause(BaseModel, frozen=True):
    """Rows with the same reason whose details have the same words."""

    count: int
    file: str
    line: int
    """One of the rows, still in its file if any of them is."""
    record_id: str = ""
    """That one's record; empty if it has none, as before the first curate."""
    gone: int = 0
    """How many rows are no longer in their files; if all, another row may be on ``line`` now."""
    detail: str
    """What is wrong with that one."""

    def __str__(self) -> str:
        """The row and what is wrong with it."""
        return f"as in {self.place}{f': {self.detail}' if self.detail else ''}"

    @property
    def all_gone(self) -> bool:
        """Whether no file has any of the rows now."""
        return self.gone == self.count

    @property
    def place(self) -> str:
        """Where the one row is, or was."""
        return f"{self.file}:{self.line}{' (no longer in its file)' if self.all_gone else ''}"


def with_cause(rows: pl.DataFrame) -> pl.DataFrame:
    """Rejected rows with a column ``cause``; those of one reason with equal ones belong together."""
    words = pl.col("detail")
    for pattern, instead in _WITHOUT_VALUES:
        words = words.str.replace_all(pattern, instead)
    told_apart = pl.col("code").is_in([code.value for code in _TOLD_APART])
    return rows.with_columns(cause=pl.when(told_apart).then(words).otherwise(pl.lit("")))


def cause_lines(causes: Sequence[Cause], ways: int, rows: int, more: str) -> Iterator[str]:
    """The most frequent causes, and how many rows have others.

    Args:
        causes: of one reason, the most frequent first.
        ways: how many there are, kept or not.
        rows: with any of them.
        more: says where the others are.
    """
    # A line for the number of one other cause would be no shorter than that cause.
    shown = causes if ways == _SHOWN + 1 else causes[:_SHOWN]
    for cause in shown:
        yield f"{cause.count:,}  {cause}"
    if others := ways - len(shown):
        yield f"{rows - sum(cause.count for cause in shown):,}  in {others:,} other ways{more}"
