"""Reads what a server says is wrong with a request, in whichever of the usual forms.

They differ more than the statuses do: OpenAI tells a rate limit (429) from an empty account (429, too) by the error's
code only, and its rate limits name the billing page as well. Gemini wraps the error in a list, and says in its text how
long to wait. OpenRouter refuses a single flagged input with the 403 that others send for a key that may not ask.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.time_limits import seconds_asked

_NO_MONEY = {
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_hard_limit_reached",
    "billing_not_active",
    "organization_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "project_spend_limit_exceeded",
    "budget_exceeded",
    "exceeded_current_quota_error",
    "insufficient_user_quota",
}
"""Codes and types of OpenAI, LiteLLM, Moonshot and One API: nothing more is paid for, so waiting does not help."""
_FLAGGED = {"content_filter", "content_policy_violation", "data_inspection_failed"}
"""Of OpenAI, Azure and DashScope: what the row says is refused."""
_FLAGGED_PARTS = ("flagged_input", "reasons")
"""Of OpenRouter's ``metadata``."""
_WAIT = re.compile(
    r"(?:(?:retry|try again) (?:in|after)|retryDelay)\W{1,9}((?:\d+(?:\.\d+)?\s?(?:ms|[smhd])[a-z]*\s?)+)",
    re.IGNORECASE,
)
"""How long to wait, in a text or in Gemini's details: *7 seconds*, *1.5s*, *6m0s*, *120ms*."""
_PART = re.compile(r"(\d+(?:\.\d+)?)\s?(ms|[smhd])", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class ServerError:
    """What a response says is wrong."""

    text: str
    """In the server's words; may be empty."""
    is_money: bool
    """The account is empty, or a limit of what it may spend is reached."""
    is_flagged: bool
    """What the row says is refused, not who asks."""
    seconds: float | None
    """How long the server asks to wait; None if it does not."""


def read_error(received: bytes, headers: Mapping[str, str]) -> ServerError:
    """What a response that is no answer says.

    Args:
        received: its body.
        headers: by their names in lower case.
    """
    said = received.decode("utf-8", "replace")
    try:
        found = json.loads(received)
    except (ValueError, RecursionError):
        # A page for people says nothing in a line.
        return ServerError("" if said.lstrip()[:1] == "<" else said, False, False, _seconds(headers, said))
    if isinstance(found, list) and found:
        found = found[0]
    *parts, text = _unwrapped(found)
    names = {str(part.get(name)).lower() for part in parts for name in ("code", "type")}
    metadata = [part["metadata"] for part in parts if isinstance(part.get("metadata"), dict)]
    return ServerError(
        text=text if isinstance(text, str) else json.dumps(text),
        is_money=not names.isdisjoint(_NO_MONEY),
        is_flagged=not names.isdisjoint(_FLAGGED) or any(one.get(name) for one in metadata for name in _FLAGGED_PARTS),
        seconds=_seconds(headers, said),
    )


def _unwrapped(found: Any) -> Iterator[Any]:
    """The objects around what is said, from the outside, and that itself."""
    for name in ("error", "detail", "message"):
        while isinstance(found, dict) and name in found:
            yield found
            found = found[name]
    yield found


def _seconds(headers: Mapping[str, str], said: str) -> float | None:
    """How long to wait, by the headers if they say so, otherwise by the text."""
    if (seconds := seconds_asked(headers)) is not None:
        return seconds
    found = _WAIT.search(said)
    return sum(float(number) * _UNITS[unit.lower()] for number, unit in _PART.findall(found[1])) if found else None
