"""What became of each verb's latest tries, also of those that committed nothing: skipped, or without news."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ValidationError

from pipeline.state.atomic import replacing
from pipeline.state.store import Store
from schemas.run_summary import Verb

_ENDING = ".tries"
_MANY = 3
_MARGIN = timedelta(minutes=10)


class Tries(BaseModel, frozen=True):
    """The latest tries of a verb."""

    since: AwareDatetime
    """Since when they are noted: by an older Goldleaf they were not."""
    done_at: AwareDatetime | None = None
    """When the last one began that did its work."""
    skipped: int = 0
    """How many were skipped in a row for one reason since then."""
    why: str = ""
    first_at: AwareDatetime | None = None
    """The first of these."""
    last_at: AwareDatetime | None = None

    def told(self, patience: timedelta) -> str:
        """That too many were skipped, for longer than one waits; empty if not."""
        if self.skipped < _MANY or self.first_at is None or self.last_at is None:
            return ""
        if self.last_at - self.first_at < patience + _MARGIN:
            return ""
        return f"skipped {self.skipped:,} times in a row since {self.first_at:%F %T} UTC: {self.why}"


def tries_of(store: Store) -> dict[str, Tries]:
    """By verb."""
    found = {}
    for path in sorted(store.notes.glob(f"*{_ENDING}")):
        # A note that is damaged is none.
        with suppress(OSError, ValidationError):
            found[path.stem] = Tries.model_validate_json(path.read_bytes())
    return found


def note_done(store: Store, verb: str, began_at: datetime) -> None:
    """Note that a run of a verb has done its work, be it that there was none."""
    if verb in set(Verb) and store.root.is_dir():
        _note(store, verb, Tries(since=began_at, done_at=began_at))


def note_skipped(store: Store, verb: str, why: str, now: datetime) -> Tries:
    """Note that a scheduled run of a verb was skipped."""
    last = tries_of(store).get(verb, Tries(since=now))
    again = {"skipped": last.skipped + 1} if last.why == why else {"skipped": 1, "why": why, "first_at": now}
    return _note(store, verb, last.model_copy(update={**again, "last_at": now}))


def noted_since(tries: Mapping[str, Tries]) -> datetime | None:
    """Since when what commits nothing is noted, too; None if it is not yet."""
    return min((one.since for one in tries.values()), default=None)


def _note(store: Store, verb: str, tries: Tries) -> Tries:
    path = store.notes / f"{verb}{_ENDING}"
    path.parent.mkdir(parents=True, exist_ok=True)
    earlier = tries_of(store).get(verb)
    noted = tries.model_copy(update={"since": min(tries.since, earlier.since)}) if earlier else tries
    with replacing(path) as sink:
        sink.write(noted.model_dump_json().encode())
    return noted
