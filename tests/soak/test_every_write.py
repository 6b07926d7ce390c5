"""Every change that curates and a release make below the home, with faults of the disk.

``SOAK_SEED`` draws which kinds of fault each change meets, ``SOAK_KINDS`` says how many: 7 are all; without it 2, and 1
in the curates behind the first. The homes lie in memory where there is a folder for it: no fault comes from the disk
that the tests run on, and a third of the time goes by while it writes.
"""

import os
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from disk_series import TROUBLES, Series, copies, copies_that_moved, copies_without_tables
from faults_of_disks import Commands, Fault, commands
from support import offline

from flows.context import Context
from pipeline.state.tables import Table
from schemas.run_summary import FinetuneSummary, Verb

Begin = Callable[[Commands, Path], Series]
SEED = os.environ.get("SOAK_SEED", "")
KINDS = int(os.environ.get("SOAK_KINDS", "2"))
LATER_KINDS = int(os.environ.get("SOAK_KINDS", "1"))
_MEMORY = Path("/dev/shm")
_BEFORE_A_CHECKPOINT = 98
"""The version of a table before the one for which Delta writes a summary of its log, too."""


@pytest.fixture(scope="module")
def shop() -> Iterator[Commands]:
    with commands() as found:
        yield found


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as found:
        yield Path(found)


@pytest.fixture(scope="module")
def dataset() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as found:
        yield copies(Path(found))


@pytest.fixture(scope="module")
def curate(shop: Commands, dataset: Path) -> Series:
    return Series(shop, dataset, dataset.parent / "nothing", "curate")


def violations(series: Series, places: Iterable[int], kinds: int = KINDS) -> list[str]:
    """What goes wrong with faults at some changes."""
    rng = random.Random(SEED)
    faults = [Fault(at, *trouble) for at in places for trouble in rng.sample(TROUBLES, kinds)]
    return [problem for fault in faults if (problem := series.violation(fault))]


def everywhere(series: Series) -> Iterable[int]:
    """The places of all changes."""
    return range(1, len(series.changes) + 1)


def later_places(series: Series) -> list[int]:
    """All changes to what stays, and a third of those to intermediate files: a first curate writes such, too."""
    drawn = random.Random(SEED).randrange(3)
    return [at for at, change in enumerate(series.changes, 1) if "/work/" not in change or at % 3 == drawn]


def test_no_fault_at_any_change_of_a_curate_loses_anything(curate: Series) -> None:
    assert violations(curate, everywhere(curate)) == []


def test_no_fault_at_any_change_of_a_release_loses_anything(curate: Series, shop: Commands, dataset: Path) -> None:
    release = Series(shop, dataset, curate.after, "release")
    assert violations(release, everywhere(release)) == []


@pytest.mark.parametrize("begin", [copies_that_moved, copies_without_tables])
def test_no_fault_at_any_change_of_a_later_curate_loses_anything(begin: Begin, shop: Commands, folder: Path) -> None:
    """One in which rows have moved, and one that takes splits over after the tables were lost."""
    series = begin(shop, folder)
    assert violations(series, later_places(series), LATER_KINDS) == []


def test_no_fault_loses_anything_where_the_log_is_summed_up(curate: Series, shop: Commands, dataset: Path) -> None:
    store = Context.load(dataset, offline(curate.after)).store
    while store.version(Table.RUNS) < _BEFORE_A_CHECKPOINT:
        store.commit(
            store.new_run(Verb.FINETUNE, "c", "0"),
            inputs={},
            funnel=None,
            summary=FinetuneSummary(version="1.0.0", path="a", tuned=0.0),
        )
    release = Series(shop, dataset, curate.after, "release")
    places = [at for at, change in enumerate(release.changes, 1) if "checkpoint" in change]
    assert places
    assert violations(release, places) == []
