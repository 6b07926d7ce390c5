"""The section `csv` of a source: how its CSV files are written."""

import codecs

from pydantic import BaseModel, field_validator

_UTF_8 = ("utf-8", "utf-8-sig")


class Csv(BaseModel, extra="forbid", frozen=True):
    """How a table is separated and encoded; by default as UTF-8 with commas, or tabs in a ``.tsv``."""

    delimiter: str | None = None
    """What separates cells: one character."""
    encoding: str | None = None
    """The name of its encoding, such as ``cp1252`` or ``utf-16``; None for UTF-8."""
    list_delimiter: str | None = None
    """What separates the items of a list within a cell; else such a cell holds JSON."""

    @field_validator("delimiter")
    @classmethod
    def _is_one_character(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n\0'):
            raise ValueError(f'{delimiter!r} cannot separate cells; write one character, such as ";", "|" or "\\t"')
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        if encoding is None:
            return None
        try:
            "a".encode(encoding)
            name = codecs.lookup(encoding).name
        except (LookupError, ValueError) as error:
            raise ValueError(
                f"'{encoding}' is no encoding of texts; write one such as cp1252, latin-1 or utf-16"
            ) from error
        return None if name in _UTF_8 else name

    @field_validator("list_delimiter")
    @classmethod
    def _is_visible(cls, delimiter: str | None) -> str | None:
        if delimiter == "":
            raise ValueError("an empty text separates nothing; write what is between two items, such as '|'")
        return delimiter
