"""A home of before there were seats: its tables lack the columns, and nothing is asked again."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import CommitProperties
from desk import Desk, desk_at
from fake_studio import FakeStudio
from team import ANA, BEN, QUESTIONS, answer, go_on, review, seats

from pipeline.reporting.annotators import read_annotators
from pipeline.reporting.explain import explain
from pipeline.state.table_files import add_file, create_table
from pipeline.state.tables import SCHEMAS, Table
from schemas.fate import Fate


def make_older(desk: Desk, table: Table, *columns: str) -> None:
    """Write a table again as an earlier Goldleaf did: without some columns, in as many commits."""
    store = desk.context.store
    rows, version, folder = store.scan(table).collect(), store.version(table), store.root / "tables" / table
    schema = {name: kind for name, kind in SCHEMAS[table].items() if name not in columns}
    shutil.rmtree(folder)
    create_table(folder, schema)
    for number in range(version):
        part = rows.slice(number, 1 if number < version - 1 else None).select(list(schema))
        log = create_table(folder, schema)
        add_file(log, folder, [part], schema, CommitProperties(), compressed=True)
    assert store.version(table) == version


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, QUESTIONS, review()) as desk:
        desk.curate()
        answer(desk, 1, "first", "delivery", ANA)
        desk.collect()
        make_older(desk, Table.PUSHES, "seat", "annotator")
        make_older(desk, Table.ANNOTATIONS, "email")
        yield desk


def test_an_older_home_asks_nothing_again_and_its_answers_count(desk: Desk) -> None:
    assert desk.curate().review.sent == 0
    assert desk.decision(1).targets == {"topic": "delivery"}
    snapshot = desk.context.store.snapshot().at_last_commit()
    story = explain(snapshot, desk.id(1), desk.context.store.releases, desk.context.dataset)
    assert [(one.seat, one.annotator) for one in story.asked] == [(None, None)]
    assert [one.email for one in story.said] == [None]
    [line] = read_annotators(desk.context, datetime.now(UTC)).annotators
    assert line.annotator.startswith("user ") and line.answers == 1


def test_an_older_home_becomes_a_team_s(desk: Desk) -> None:
    file = desk.folder / "dataset.yaml"
    file.write_text(file.read_text().replace("audit: 0.0", "audit: 0.0, overlap: 1.0"))
    before = seats(desk, 1)
    assert desk.curate().review.sent == len(QUESTIONS), "a second task for each, and none again"
    assert seats(desk, 1).keys() == {None, "second"} and before[None] == seats(desk, 1)[None]
    answer(desk, 1, "second", "returns", BEN)
    go_on(desk)
    assert desk.decision(1).fate is Fate.REVIEW
    assert "adjudicator" in seats(desk, 1)
