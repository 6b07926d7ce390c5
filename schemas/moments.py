"""Moments in two offsets from UTC, which are one: 11:00+01:00 is 10:00+00:00."""

import datetime
import re

_AWARE = re.compile(r"(?:\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\d(?:\.\d{6})?[+-]\d\d:\d\d(?::\d\d)?")
"""As canonical values are written: with seconds and an offset, with or without a date."""
_ANY_DAY = datetime.date(2000, 1, 2)


def in_utc(text: str) -> str:
    """A canonical date-time or time in UTC if it has an offset; any other text as it is."""
    # Most texts are decided by their first character.
    if not text[:1].isdigit() or not _AWARE.fullmatch(text):
        return text
    try:
        if "T" in text:
            return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC).isoformat()
        moment = datetime.datetime.combine(_ANY_DAY, datetime.time.fromisoformat(text))
        return moment.astimezone(datetime.UTC).timetz().isoformat()
    except (ValueError, OverflowError):
        return text
