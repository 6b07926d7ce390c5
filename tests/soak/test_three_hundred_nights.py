"""Three hundred small runs, compacted now and then, some of these killed: the same answers, and few files.

``SOAK_NIGHTS`` says how many, ``SOAK_SEED`` draws when compactions come and where they are killed.
"""

import os
import random
import time
from pathlib import Path

from fake_studio import fake_studio
from forked import Point
from full_runs import must_know_its_outline
from small_runs import compacted, files_of, killed_compaction, next_night, nights, one_night, opened, told
from test_compaction import POINTS

NIGHTS = int(os.environ.get("SOAK_NIGHTS", "300"))
SEED = os.environ.get("SOAK_SEED", "")
_FEW = 150
"""Files of all tables and of derived rows that commands open, however many nights there were. Those that a version was
made from are kept besides."""


def test_three_hundred_nights_leave_few_files_and_every_version_whole(tmp_path: Path) -> None:
    chance, clock = random.Random(SEED), time.time()
    with fake_studio() as studio, nights(studio, tmp_path / "nights", 0) as desk:
        for night in range(NIGHTS):
            one_night(desk, night)
            if night % 20 != 19:
                continue
            must_know_its_outline(desk.context)
            before = told(desk)
            undisturbed = next_night(desk, tmp_path / f"undisturbed-{night}", night + 1)
            if chance.random() < 0.5:
                point: Point = chance.choice(POINTS)
                killed_compaction(desk, point)
                assert told(desk) == before, point
            clock += 24 * 60 * 60
            compacted(desk, clock)
            assert next_night(desk, tmp_path / f"compacted-{night}", night + 1) == undisturbed
        assert opened(desk) < _FEW, f"{files_of(desk)} with those that only versions refer to"
