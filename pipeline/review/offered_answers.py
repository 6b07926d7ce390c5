"""Answers that annotators can accept with one key: the row's own, a model's, and those of rows in conflict with it."""

import json
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

from pydantic import BaseModel

from schemas.answers_in_words import answers_in_words
from schemas.field import JsonValue, comparable_targets
from schemas.task import Task

CANDIDATE = "goldleaf-candidate"
"""The control that they are chosen in."""
CANDIDATES = "candidates"
"""The key of their list in a labeling task's data."""
KEYS = ("shift+1", "shift+2", "shift+3")
"""Those of the first ones; more would take the keys of choices."""
NO_KEY = "f19"
"""A key that no keyboard has: a choice without one gets a digit from Label Studio."""
_MOST = 5
"""As many as annotators can answer a question independently."""
_SHOWN = 600
"""Characters of an answer; the whole of it is what is accepted."""
_BEFORE = 100
"""Characters that are shown before the first difference, if that comes late."""


class Candidate(BaseModel, frozen=True):
    """An answer, and whose it is."""

    whose: str
    """Such as "as in the data" or "as the model says"."""
    targets: dict[str, JsonValue]


def distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The first of all that give the same answer; none if there is nothing to choose between."""
    found: dict[Any, Candidate] = {}
    for one in candidates:
        found.setdefault(comparable_targets(one.targets), one)
    return list(found.values())[:_MOST] if len(found) > 1 else []


def as_choices(task: type[Task], candidates: Sequence[Candidate]) -> list[dict[str, str]]:
    """The candidates as Label Studio's choices: what is chosen is the answer as JSON, which is read without the row."""
    chosen = distinct(candidates)
    answers = [one.targets for one in chosen]
    texts = _told_apart(answers, answers_in_words(task, answers, beside=True))
    return [
        {
            "value": f"{one.whose}: {text}",
            "alias": json.dumps(one.targets, ensure_ascii=False, sort_keys=True),
            "hotkey": key,
        }
        for one, text, key in zip(chosen, texts, chain(KEYS, repeat(NO_KEY)), strict=False)
    ]


def read_candidate(chosen: str) -> dict[str, Any]:
    """The answer that was chosen.

    Raises:
        ValueError: it is none of Goldleaf's.
    """
    try:
        targets = json.loads(chosen)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the candidate {chosen[:80]!r} cannot be read; fill in the form instead") from error
    if not isinstance(targets, dict):
        raise ValueError(f"the candidate {chosen[:80]!r} is no answer; fill in the form instead")
    return targets


def _told_apart(answers: Sequence[dict[str, JsonValue]], texts: Sequence[str]) -> list[str]:
    """The texts, shortened around what differs; as JSON if they hide what differs."""
    if len(set(texts)) < len(texts):
        texts = [json.dumps(answer, ensure_ascii=False, sort_keys=True) for answer in answers]
    return [_short(text, max(_alike(text, other) for other in texts if other != text)) for text in texts]


def _alike(one: str, other: str) -> int:
    """How many characters two different texts begin with."""
    differs = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differs, min(len(one), len(other)))


def _short(text: str, alike: int) -> str:
    start = max(0, alike - _BEFORE) if alike > _SHOWN - _BEFORE else 0
    return f"{'… ' if start else ''}{text[start : start + _SHOWN]}{' …' if len(text) > start + _SHOWN else ''}"
