"""A disk that is full, broken or gone for a moment: nothing is lost without a word, at whatever write it happens."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from disk_series import TROUBLES, Series, copies, copies_that_moved, copies_without_tables
from faults_of_disks import Commands, Fault, Kind, commands


@pytest.fixture(scope="module")
def shop() -> Iterator[Commands]:
    with commands() as found:
        yield found


@pytest.fixture(scope="module")
def curate(shop: Commands, tmp_path_factory: pytest.TempPathFactory) -> Series:
    folder = tmp_path_factory.mktemp("disk")
    return Series(shop, copies(folder), folder / "nothing", "curate")


def test_the_disk_fails_where_it_is_told_to(curate: Series, shop: Commands, tmp_path: Path) -> None:
    """Otherwise the tests below would say nothing."""
    dataset = copies(tmp_path)
    at = next(place for place, change in enumerate(curate.changes, 1) if change.endswith("prepared-00000.rows"))
    done = shop.goldleaf("curate", str(dataset), "--json", home=tmp_path / "full", fault=Fault(at, Kind.FULL))
    assert done.code == 1
    assert done.stderr.startswith("error: ") and "No space left on device" in done.stderr
    killed = shop.goldleaf("curate", str(dataset), home=tmp_path / "killed", fault=Fault(at, Kind.KILL))
    assert (killed.code, len(killed.changes)) == (-9, at)


def test_a_curate_on_a_failing_disk_ends_as_an_undisturbed_one_or_with_a_clear_line(curate: Series) -> None:
    """At every 37th change, with one kind of fault after the other; ``make soak`` tries all."""
    places = range(5, len(curate.changes) + 1, 37)
    faults = [Fault(at, *TROUBLES[number % len(TROUBLES)]) for number, at in enumerate(places)]
    assert len(faults) >= len(TROUBLES)
    assert [problem for fault in faults if (problem := curate.violation(fault))] == []


def test_a_search_that_is_written_to_a_full_disk_loses_no_duplicate(curate: Series) -> None:
    """The files of the search for duplicates were once empty after a moment without space, without an error."""
    search = [at for at, change in enumerate(curate.changes, 1) if change.startswith("write") and "/inputs/" in change]
    faults = [Fault(at, Kind.FULL) for at in search[1::5]]
    assert len(faults) > 3
    assert [problem for fault in faults if (problem := curate.violation(fault))] == []


def test_a_release_on_a_failing_disk_ends_as_an_undisturbed_one_or_with_a_clear_line(
    curate: Series, shop: Commands
) -> None:
    release = Series(shop, curate.after.parent / "dataset.yaml", curate.after, "release")
    places = range(4, len(release.changes) + 1, 12)
    faults = [Fault(at, *TROUBLES[number % len(TROUBLES)]) for number, at in enumerate(places, 2)]
    assert len(faults) >= len(TROUBLES)
    assert [problem for fault in faults if (problem := release.violation(fault))] == []


def test_a_failing_disk_loses_no_place_of_a_row_that_has_moved(shop: Commands, tmp_path: Path) -> None:
    series = copies_that_moved(shop, tmp_path)
    # Written first, and put in place once the run is committed.
    *_, renamed = (at for at, change in enumerate(series.changes, 1) if change.endswith("/tables/moved.parquet"))
    places = [*range(renamed - 2, renamed + 1), *range(9, len(series.changes) + 1, 100)]
    faults = [Fault(at, *TROUBLES[number % len(TROUBLES)]) for number, at in enumerate(places)]
    assert [problem for fault in faults if (problem := series.violation(fault))] == []


def test_a_failing_disk_loses_no_adopted_split(shop: Commands, tmp_path: Path) -> None:
    series = copies_without_tables(shop, tmp_path)
    splits = [at for at, change in enumerate(series.changes, 1) if "/splits/" in change]
    places = [*splits[::5], *range(9, len(series.changes) + 1, 100)]
    assert len(splits) > 10
    faults = [Fault(at, *TROUBLES[number % len(TROUBLES)]) for number, at in enumerate(places)]
    assert [problem for fault in faults if (problem := series.violation(fault))] == []
