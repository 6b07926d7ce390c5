"""Storms with a real Label Studio: two homes push and pull at once while everything goes wrong; nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CACHE, LABEL_STUDIO_VENV
from storms import Storm

from flows.local.studio_server import LocalStudio


@pytest.fixture(scope="module")
def own_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStudio]:
    """A server that may be killed: other tests have another one."""
    with LocalStudio(LABEL_STUDIO_VENV, tmp_path_factory.mktemp("storms") / "data", CACHE) as studio:
        yield studio


@pytest.mark.parametrize("seed", [0, 1, 3], ids=["one annotator, the server is killed", "two seats", "three seats"])
def test_after_a_storm_every_question_is_asked_once_and_every_answer_is_kept_once(
    own_studio: LocalStudio, tmp_path: Path, seed: int
) -> None:
    """The soak has hundreds."""
    Storm(tmp_path, own_studio, seed, kills_server=seed % 5 == 0).rage(rounds=2)
