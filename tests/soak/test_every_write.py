"""Every change that a curate and a release make below the home, with faults of the disk.

``SOAK_SEED`` draws which kinds of fault each change meets, ``SOAK_KINDS`` says how many: 7 are all.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from disk_series import TROUBLES, Series, copies
from faults_of_disks import Commands, Fault, commands
from support import offline

from flows.context import Context
from pipeline.tables import Table, Verb

SEED = os.environ.get("SOAK_SEED", "")
KINDS = int(os.environ.get("SOAK_KINDS", "2"))
_BEFORE_A_CHECKPOINT = 98
"""The version of a table before the one for which Delta writes a summary of its log, too."""


@pytest.fixture(scope="module")
def shop() -> Iterator[Commands]:
    with commands() as found:
        yield found


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copies(tmp_path_factory.mktemp("disk"))


@pytest.fixture(scope="module")
def curate(shop: Commands, dataset: Path) -> Series:
    return Series(shop, dataset, dataset.parent / "nothing", "curate")


def violations(series: Series, places: list[int]) -> list[str]:
    """What goes wrong with faults at some changes."""
    rng = random.Random(SEED)
    faults = [Fault(at, *trouble) for at in places for trouble in rng.sample(TROUBLES, KINDS)]
    return [problem for fault in faults if (problem := series.violation(fault))]


def test_no_fault_at_any_change_of_a_curate_loses_anything(curate: Series) -> None:
    assert violations(curate, [*range(1, len(curate.changes) + 1)]) == []


def test_no_fault_at_any_change_of_a_release_loses_anything(curate: Series, shop: Commands, dataset: Path) -> None:
    release = Series(shop, dataset, curate.after, "release")
    assert violations(release, [*range(1, len(release.changes) + 1)]) == []


def test_no_fault_loses_anything_where_the_log_is_summed_up(curate: Series, shop: Commands, dataset: Path) -> None:
    store = Context.load(dataset, offline(curate.after)).store
    while store.version(Table.RUNS) < _BEFORE_A_CHECKPOINT:
        store.commit(store.new_run(Verb.FINETUNE, "c", "0"), inputs={}, funnel=None, summary={})
    release = Series(shop, dataset, curate.after, "release")
    places = [at for at, change in enumerate(release.changes, 1) if "checkpoint" in change]
    assert places
    assert violations(release, places) == []
