"""Who is using a dataset just now, and whether a run was killed."""

from datetime import datetime
from pathlib import Path

from pipeline.state.lock_holders import Holder
from pipeline.state.locks import WAITS, holder_of
from pipeline.state.store import Store


def at_work(store: Store) -> list[str]:
    """Who holds one of the dataset's locks, and who waits for one: ``goldleaf curate, process 12``."""
    held = {file: holder.who for file, holder in _holders(store).items()}
    waiting = dict.fromkeys(who for file, who in held.items() if WAITS in file.name)
    # One run may hold several locks, and wait for another: the longest name says what for.
    working = {_who(who): who for file, who in sorted(held.items(), key=_length) if WAITS not in file.name}
    waits = {_who(holder) for holder in waiting}
    return [
        *(holder for who, holder in working.items() if who not in waits),
        *(f"{holder} (waits)" for holder in waiting),
    ]


def _length(held: tuple[Path, str]) -> int:
    return len(held[1])


def _holders(store: Store) -> dict[Path, Holder]:
    found = {file: holder_of(file) for file in sorted(store.root.glob("*.lock"))}
    return {file: holder for file, holder in found.items() if holder is not None}


def stuck(store: Store, now: datetime) -> dict[str, str]:
    """By who holds a lock: that it shows no sign of life, and since when."""
    # The file of one that waits has another time.
    working = [holder for file, holder in _holders(store).items() if WAITS not in file.name]
    return {holder.who: found for holder in working if (found := holder.stuck(now))}


def _who(holder: str) -> tuple[str, str]:
    """The verb and the process: in containers many have the same number."""
    return holder.removeprefix("goldleaf ").split(",")[0].partition(" (")[0], holder.rpartition(", ")[2]


def killed(store: Store) -> dict[str, datetime]:
    """By verb: when a run began that has not ended, though none of this verb is at work. The next one does its work."""
    begun, now = store.begun, at_work(store)
    left = {verb: at for verb, at in begun.items() if not any(is_by(verb, holder) for holder in now)}
    # One may have ended while we looked.
    return {verb: at for verb, at in left.items() if store.begun.get(verb) == at}


def verb_of(holder: str) -> str:
    """What somebody who is at work does."""
    return _who(holder)[0]


def is_by(verb: str, holder: str) -> bool:
    """Whether somebody who is at work does what a verb says."""
    return verb_of(holder) == verb
