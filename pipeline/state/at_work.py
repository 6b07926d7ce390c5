"""Who is using a dataset just now, and whether a run was killed."""

from datetime import datetime

from pipeline.state.locks import holder_of
from pipeline.state.store import Store


def at_work(store: Store) -> list[str]:
    """Who holds one of the dataset's locks, and who waits for one: ``goldleaf curate, process 12``."""
    held = {file: holder_of(file) for file in sorted(store.root.glob("*.lock"))}
    waiting = dict.fromkeys(holder for file, holder in held.items() if holder and ".next-" in file.name)
    working = dict.fromkeys(holder for file, holder in held.items() if holder and ".next-" not in file.name)
    # Who waits may hold another lock.
    waits = {_who(holder) for holder in waiting}
    return [
        *(holder for holder in working if _who(holder) not in waits),
        *(f"{holder} (waits)" for holder in waiting),
    ]


def _who(holder: str) -> tuple[str, str]:
    """The verb and the process: in containers many have the same number."""
    return holder.removeprefix("goldleaf ").split(",")[0].partition(" (")[0], holder.rpartition(", ")[2]


def killed(store: Store) -> dict[str, datetime]:
    """By verb: when a run began that has not ended, though none of this verb is at work. The next one does its work."""
    begun, now = store.begun, at_work(store)
    left = {verb: at for verb, at in begun.items() if not any(is_by(verb, holder) for holder in now)}
    # One may have ended while we looked.
    return {verb: at for verb, at in left.items() if store.begun.get(verb) == at}


def is_by(verb: str, holder: str) -> bool:
    """Whether somebody who is at work does what a verb says."""
    return _who(holder)[0] == verb
