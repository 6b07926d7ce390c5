"""A home that is older than its project in Label Studio, such as a restored backup, says so before it releases."""

import shutil
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from support import row

from flows.engines.engine import Inline
from flows.local.studio_server import LocalStudio
from flows.release import Released, release
from pipeline.errors import ReleaseError

ROWS = [row(key, f"Where is parcel {key * 7} of order {key}?", "delivery") for key in range(20)]
ASKED = row(90, "Which lamp?", None)


def released(desk: Desk, version: str | None = None) -> Released:
    return release(desk.context, Inline(), version=version)


@pytest.mark.parametrize("server", ["studio", "label_studio"])
def test_a_restored_home_says_what_its_project_has_seen_and_uses_no_number_again(
    server: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    where: FakeStudio | LocalStudio = request.getfixturevalue(server)
    with desk_at(where, tmp_path, [*ROWS, ASKED], "review: {audit: 0.0}\n") as desk:
        assert desk.curate().review.sent == 1
        assert released(desk).version == "1.0.0"
        shutil.copytree(tmp_path / "home", tmp_path / "backup")
        desk.rows(*ROWS, ASKED, row(91, "How do I pay by card?", "billing"))
        desk.curate()
        assert released(desk).version == "1.1.0"
        shutil.rmtree(tmp_path / "home")
        (tmp_path / "backup").rename(tmp_path / "home")
        older = (
            r"has seen version 1\.1\.0, and the latest of this home is 1\.0\.0, .*`split\.adopt`.* --version 1\.2\.0$"
        )
        with pytest.raises(ReleaseError, match=older):
            released(desk)
        desk.rows(*ROWS, ASKED, row(92, "Can I pay later?", "billing"))
        desk.curate()
        with pytest.raises(ReleaseError, match=older):
            released(desk)
        with pytest.raises(ReleaseError, match=r"version 1\.1\.0 is not above 1\.1\.0, the latest one"):
            released(desk, "1.1.0")
        assert released(desk, "1.2.0").version == "1.2.0"
        assert not released(desk).created, "from now on it is the newest"
        desk.settings = desk.settings.model_copy(update={"label_studio_url": "http://127.0.0.1:9"})
        desk.rows(*ROWS, row(93, "Can I pay in May?", "billing"))
        desk.curate()
        found = released(desk)
        assert found.version == "1.3.0", "a server that is away keeps nobody from releasing"
        assert found.note.endswith("' in Label Studio could not be asked which versions it has seen")


def test_a_backup_of_before_the_first_release_goes_on_above_what_its_project_has_seen(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, [*ROWS, ASKED], "review: {audit: 0.0}\n") as desk:
        desk.curate()
        shutil.copytree(tmp_path / "home", tmp_path / "backup")
        assert (released(desk).version, released(desk).note) == ("1.0.0", "")
        shutil.rmtree(tmp_path / "home")
        (tmp_path / "backup").rename(tmp_path / "home")
        desk.rows(*ROWS, ASKED, row(91, "How do I pay by card?", "billing"))
        desk.curate()
        found = released(desk)
        assert found.version == "1.1.0"
        assert found.note.endswith(
            "has seen version 1.0.0, and this home has none: it goes on above that, and only a copy of it in "
            "`split.adopt` would keep its rows in their splits"
        )
