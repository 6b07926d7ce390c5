"""Which published versions nobody has heard of yet: a run may be killed after it has published one."""

from pathlib import Path

from pipeline.releases.versions import readable_versions
from pipeline.state.at_work import at_work, is_by
from pipeline.state.store import Store
from schemas.manifest import Manifest
from schemas.run_summary import Verb

_ENDING = ".unheard"


def note_unheard(store: Store, version: str) -> None:
    """Note that a version is about to be published."""
    path = _note(store, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def forget_unheard(store: Store, version: str) -> None:
    """Note that a version was announced."""
    _note(store, version).unlink(missing_ok=True)


def unheard(store: Store) -> list[Manifest]:
    """The published versions that are to be announced; none while a release is at work, which announces its own."""
    noted = {path.name.removesuffix(_ENDING) for path in store.notes.glob(f"*{_ENDING}")}
    if not noted or any(is_by(Verb.RELEASE, holder) for holder in at_work(store)):
        return []
    return [manifest for manifest in readable_versions(store.releases)[0] if manifest.version in noted]


def _note(store: Store, version: str) -> Path:
    return store.notes / f"{version}{_ENDING}"
