"""Every change that a curate and a release make below the home, with every kind of fault of the disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from disk_series import TROUBLES, Series, copies
from faults_of_disks import Commands, Fault, commands


@pytest.fixture(scope="module")
def shop() -> Iterator[Commands]:
    with commands() as found:
        yield found


def every_fault(series: Series) -> list[str]:
    """What goes wrong with any fault at any change."""
    faults = [Fault(at, *trouble) for at in range(1, len(series.changes) + 1) for trouble in TROUBLES]
    return [problem for fault in faults if (problem := series.violation(fault))]


def test_no_fault_at_any_change_of_a_curate_and_of_a_release_loses_anything(shop: Commands, tmp_path: Path) -> None:
    dataset = copies(tmp_path)
    curate = Series(shop, dataset, tmp_path / "nothing", "curate")
    release = Series(shop, dataset, curate.after, "release")
    assert every_fault(release) == []
    assert every_fault(curate) == []
