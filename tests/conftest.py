"""Fixtures that several test files share: Label Studio, real or in memory, a Prefect server, and a real browser."""

import gc
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before numpy is imported. Beside other busy processes its threads wait for each other longer than they compute: for
# the six numbers of `noisy_channel.py` 30 to 100 ms of CPU, and 3 ms with one thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from fake_studio import FakeStudio, fake_studio
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, sync_playwright
from temporary_folders import use_memory

from flows.local.studio_server import LocalStudio
from flows.settings import prepare_training
from pipeline.ladder import forgetting
from pipeline.state import file_stamps
from pipeline.suggestions import asking
from pipeline.suggestions.asking import Pauses
from pipeline.suggestions.ledger import Ledger

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from scheduled import Team

# Terminals have the width that a test gives them, whatever the environment says.
os.environ.pop("COLUMNS", None)

# As the command line does: test processes share the cores. Without it, two that trained at once waited for each other's
# threads: their tests took 443 s, and 160 s with it.
prepare_training()
use_memory()

# A script's `make test &` starts us with Ctrl-C ignored.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The longest files, from the longest on, so that none of them is left for one process while the other has ended.
LONG = (
    *("storms", "training", "annotating_in_a_browser", "compaction", "schedules_on_prefect", "prefect_flows"),
    *("kill_while_finetuning", "kill", "retrained_recipes", "full_disks", "ill_servers", "changed_rows"),
    *("damaged_tables", "seats", "changing_minds", "team_in_a_browser", "release_chains", "lives", "chunks"),
    *("resumed_training", "repairing_rows", "review_batch", "adoption", "reconcile", "loading_models", "label_sets"),
    *("dask", "proofs_that_stand", "error_rate", "index", "closed_answers", "answer_form"),
)

CACHE = Path.home() / ".cache" / "goldleaf"
LABEL_STUDIO_VENV = Path(__file__).parent.parent / ".venv-label-studio"

# Every run of the same files tries the same examples, however busy the machine is; beside other files it may be others,
# as hypothesis takes constants from all modules that are loaded. With --hypothesis-profile=search: others each time.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", settings.get_profile("repeatable"), derandomize=False, max_examples=1000)
settings.load_profile("repeatable")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported stays: to look for garbage in it took a quarter of the time, and then a part of every test's."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; `--no-loadscope-reorder` keeps xdist from beginning with those of most tests."""
    places = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session", autouse=True)
def short_answers() -> Iterator[None]:
    """A model of a few weights ends no answer to a plain question by itself. What fine-tunings ask beside their task is
    the same with 4 tokens as with 48, which were a fifth of what a small one takes.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forgetting, "_LONGEST", 4)
        yield


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStudio]:
    """One server for all tests; each test makes projects of its own."""
    with LocalStudio(LABEL_STUDIO_VENV, tmp_path_factory.mktemp("label-studio") / "data", CACHE) as studio:
        yield studio


@pytest.fixture(scope="module")
def studio() -> Iterator[FakeStudio]:
    """A Label Studio in memory, for tests that need none of what only the real one does."""
    with fake_studio() as fake:
        yield fake


@pytest.fixture(scope="module")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server with all its services; only these tests wait for its import."""
    from scheduled import prefect_server

    with prefect_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url


@pytest.fixture
def prefect(prefect_url: str, monkeypatch: pytest.MonkeyPatch) -> "Iterator[SyncPrefectClient]":
    """The server, which this process and its children use."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    settings = {PREFECT_API_URL: prefect_url, PREFECT_SERVER_ANALYTICS_ENABLED: False}
    with temporary_settings(settings), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Team":
    """A dataset with schedules."""
    from scheduled import Team

    return Team(tmp_path, monkeypatch)


@pytest.fixture
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is busy is asked again at once."""
    monkeypatch.setattr(asking, "PAUSES", Pauses(first=0.01, most=0.05, tries=3))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were just written are believed not to change any more."""
    monkeypatch.setattr(file_stamps, "_SETTLED_NS", 0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The calls to models of a home that has made none."""
    with Ledger(tmp_path / "home" / "calls.sqlite") as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window. It ends with the module, as Playwright's event loop would be in others' way."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "install Chromium: it is what annotators see the forms in"
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=program, args=flags)
        yield chromium
        chromium.close()
