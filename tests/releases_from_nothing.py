"""The law of releases: one that copies what stays from the version before is the same bytes as one from nothing."""

import json
import re
import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

from release_toys import files

from flows.context import Context
from flows.engines.engine import Inline
from flows.release import Released, release
from pipeline.releases.versions import verify

_TIMES = re.compile(rb'<time datetime="[^"]*">[^<]*</time>')


def released_like_from_nothing(context: Context, version: str | None = None) -> Released:
    """Release; beside it, in a copy of the home that has kept nothing of its versions' rows, the same must come out."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "home"
        shutil.copytree(context.store.root.parent, copy)
        settings = context.settings.model_copy(update={"goldleaf_home": str(copy)})
        beside = Context.load(context.dataset.path, settings)
        shutil.rmtree(beside.store.kept_rows("").parent, ignore_errors=True)
        # Or its version would be one that the project has seen and this home does not have.
        with patch("flows.release.version_seen", return_value=""):
            expected = release(beside, Inline(), version=version)
        found = release(context, Inline(), version=version)
        assert found.model_dump(exclude={"path"}) == expected.model_dump(exclude={"path"})
        assert _published(Path(found.path)) == _published(Path(expected.path))
    verify(Path(found.path)).require_sound()
    return found


def _published(version: Path) -> dict[str, object]:
    """What is in a version, but for when and in which run it was published."""
    found: dict[str, object] = {name: _TIMES.sub(b"", data) for name, data in files(version).items()}
    manifest = json.loads((version / "manifest.json").read_bytes())
    for name in ("created_at", "run"):
        del manifest[name]
    for name in ("manifest.json", "report.html"):
        del manifest["files"][name]
    return found | {"manifest.json": manifest}
