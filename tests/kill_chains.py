"""A chain of small runs whose commands are killed at moments that chance draws, beside one that nothing disturbs."""

import random
import time
from pathlib import Path
from typing import Any

from desk import Desk
from fake_studio import fake_studio
from forked import command, command_killed
from full_runs import must_know_its_outline
from small_runs import nights, rows
from support import state

from flows.context import Context
from flows.engines.engine import Inline
from flows.release import release

_FIRST_GUESS = 0.3
"""Seconds of a command that was not measured yet."""


def killed_chain(folder: Path, kills: int, seed: str) -> int:
    """Live night after night until so many commands were killed, each of them given again; returns how many were at
    work when they were.

    After each night both homes must say the same.
    """
    chance, usual, hit, done = random.Random(seed), dict[str, float](), 0, 0
    with (
        fake_studio() as one,
        fake_studio() as other,
        nights(one, folder / "killed" / "nights", 0) as disturbed,
        nights(other, folder / "undisturbed" / "nights", 0) as undisturbed,
    ):
        night = 0
        while done < kills:
            for verb in _verbs(night):
                for desk in (disturbed, undisturbed):
                    _prepare(desk, verb, night)
                after = chance.uniform(0, usual.get(verb, _FIRST_GUESS))
                hit += command_killed(*_given(disturbed, verb), environment=_environment(disturbed), after=after)
                done += 1
                began = time.monotonic()
                command(*_given(disturbed, verb), environment=_environment(disturbed))
                usual[verb] = time.monotonic() - began
                _do(undisturbed, verb)
            assert _said(disturbed) == _said(undisturbed), f"after night {night}, seed {seed}"
            night += 1
        must_know_its_outline(disturbed.context)
    return hit


def _verbs(night: int) -> list[str]:
    return ["curate", *(["collect"] if night % 3 == 1 else []), *(["release"] if night % 4 == 2 else [])]


def _prepare(desk: Desk, verb: str, night: int) -> None:
    """What comes in before a command: the rows of the night, or an answer."""
    if verb == "curate":
        desk.rows(*rows(night))
    if verb == "collect":
        open_ones = [task for task in desk.tasks() if not task["annotations"]]
        # Whatever the numbers of the tasks: a push that was killed may have sent them in another order.
        task = min(open_ones, key=lambda one: one["data"]["record_id"])
        desk.submit(task["id"], desk.result("returns"))


def _do(desk: Desk, verb: str) -> None:
    """The same command in this process, which costs less."""
    if verb == "curate":
        desk.curate()
    elif verb == "collect":
        desk.collect()
    else:
        release(desk.context, Inline())


def _given(desk: Desk, verb: str) -> tuple[str, ...]:
    return verb, str(desk.folder / "dataset.yaml"), "--json"


def _environment(desk: Desk) -> dict[str, str]:
    settings = desk.settings
    return {
        "GOLDLEAF_HOME": str(settings.home),
        "LABEL_STUDIO_URL": settings.label_studio_url,
        "LABEL_STUDIO_API_KEY": settings.label_studio_api_key.get_secret_value(),
        "PREFECT_API_URL": "",
    }


def _said(desk: Desk) -> dict[str, Any]:
    """What the home says, and which questions the server has."""
    context: Context = desk.context
    return {**state(context.store), "asked": desk.asked()}
