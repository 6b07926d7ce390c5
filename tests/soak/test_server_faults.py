"""Eight years with a Label Studio that is often ill: no annotator's answer is lost, and nothing is asked twice."""

import os
from pathlib import Path

import pytest
from ill_servers import Year, ill_studio

SEED = int(os.environ.get("SOAK_SEED", "1"))


@pytest.mark.parametrize("year", range(8))
def test_a_year_with_a_server_that_is_often_ill_loses_and_repeats_nothing(tmp_path: Path, year: int) -> None:
    with ill_studio() as server:
        Year(tmp_path, server, seed=SEED * 1000 + year).live(days=15)
