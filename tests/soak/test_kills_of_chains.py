"""The same with more kills: ``SOAK_KILLS`` says how many, ``SOAK_SEED`` draws the moments."""

import os
from pathlib import Path

from kill_chains import killed_chain

KILLS = int(os.environ.get("SOAK_KILLS", "60"))
SEED = os.environ.get("SOAK_SEED", "")


def test_sixty_kills_in_a_chain_lose_and_double_nothing(tmp_path: Path) -> None:
    assert killed_chain(tmp_path, KILLS, SEED) >= KILLS / 2, "most were still at work"
