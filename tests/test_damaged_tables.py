"""A damaged table: whoever reads it says which one it is and what to do, or shows and publishes the right numbers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from damage import DAMAGES, READERS, Home, every_table
from loopback import Reply, serving

from pipeline.tables import Table


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    def answer(method: str, path: str, body: bytes) -> Reply:
        return 200, {"content-type": "application/json"}, b'{"count": 0, "results": []}'

    with serving(answer) as server:
        yield every_table(tmp_path_factory.mktemp("whole"), server.url)


@pytest.fixture(scope="module")
def right(whole: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each reader says where nothing is damaged."""
    folder = tmp_path_factory.mktemp("right")
    return {reader: whole.copy(folder / reader).read(reader) for reader in READERS}


def test_every_table_is_in_use(whole: Home) -> None:
    assert all(whole.files(table) for table in Table)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("table", Table)
def test_a_damaged_file_of_a_table_is_named_or_makes_no_difference(
    whole: Home, right: dict[str, str], tmp_path: Path, table: Table, reader: str
) -> None:
    for damage, do in DAMAGES.items():
        home = whole.copy(tmp_path / damage)
        do(home.files(table)[0])
        require_line_or_right(home, reader, table, right)


def require_line_or_right(home: Home, reader: str, table: Table, right: dict[str, str]) -> None:
    try:
        assert home.read(reader) == right[reader]
    except AssertionError as problem:
        assert "error: " in str(problem)
