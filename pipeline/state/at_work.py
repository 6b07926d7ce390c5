"""Who is using a dataset just now, and whether a run was killed."""

from pipeline.state.locks import holder_of
from pipeline.state.store import Store


def at_work(store: Store) -> list[str]:
    """Who holds one of the dataset's locks, and who waits for one: ``goldleaf curate, process 12``."""
    held = {file: holder_of(file) for file in sorted(store.root.glob("*.lock"))}
    waiting = [f"{holder} (waits)" for file, holder in held.items() if holder and ".next-" in file.name]
    working = [holder for file, holder in held.items() if holder and ".next-" not in file.name]
    return [*dict.fromkeys(working), *dict.fromkeys(waiting)]


def is_unfinished(store: Store) -> bool:
    """Whether a run has left intermediate files and nobody is at work: the next one clears them and does its work."""
    return any(store.root.glob("work/*")) and not at_work(store)
