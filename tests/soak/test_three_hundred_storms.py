"""Three hundred storms with real Label Studio servers, four in five on SQLite and one in five on PostgreSQL.

``SOAK_STORMS=50`` tries fewer.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import CACHE, LABEL_STUDIO_VENV
from postgres import postgres
from storms import Storm

from flows.local.studio_server import LocalStudio

SEED = int(os.environ.get("SOAK_SEED", "1"))
STORMS = int(os.environ.get("SOAK_STORMS", "300"))


@contextmanager
def _server(folder: Path, database: dict[str, str]) -> Iterator[LocalStudio]:
    with LocalStudio(LABEL_STUDIO_VENV, folder / "data", CACHE, database=database) as studio:
        yield studio


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStudio]:
    with _server(tmp_path_factory.mktemp("sqlite"), {}) as studio:
        yield studio


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStudio]:
    folder = tmp_path_factory.mktemp("postgres")
    with postgres() as database, _server(folder, database) as studio:
        yield studio


@pytest.mark.parametrize("number", range(STORMS - STORMS // 5))
def test_after_a_storm_on_sqlite_nothing_is_lost_or_doubled(
    on_sqlite: LocalStudio, tmp_path: Path, number: int
) -> None:
    Storm(tmp_path, on_sqlite, SEED * 1000 + number, kills_server=number % 5 == 0).rage(rounds=3)


@pytest.mark.parametrize("number", range(STORMS // 5))
def test_after_a_storm_on_postgres_nothing_is_lost_or_doubled(
    on_postgres: LocalStudio, tmp_path: Path, number: int
) -> None:
    Storm(tmp_path, on_postgres, SEED * 1000 + 500 + number, kills_server=number % 5 == 0).rage(rounds=3)
