"""A file that was cut off, or is another one, does not withdraw the rows that it lacks, unless somebody says so."""

from pathlib import Path

import pytest
from ingest_home import Home
from support import row, write_dataset, write_rows
from terminal import Terminal

from pipeline.errors import SourceError
from pipeline.ingest.ingest_sources import Ingested
from pipeline.state.tables import Table
from schemas.dataset import Mode, Source

SHEET = 'id,"text, as said",label\n' + "".join(
    f'{number},"Where is ""parcel"" {number}, café?",label {number % 3}\n' for number in range(1, 41)
)
KEYLESS = "text,label\n" + "".join(f"Where is it {number}?,{'' if number % 5 else 'ü'}\n" for number in range(1, 41))


@pytest.mark.parametrize(("text", "key"), [(SHEET, "id"), (SHEET, None), (KEYLESS, None)])
def test_a_csv_that_is_cut_off_anywhere_gives_no_row_that_it_did_not_have_nor_takes_many(
    tmp_path: Path, text: str, key: str | None
) -> None:
    home, file = Home(tmp_path), tmp_path / "data.csv"
    source = Source(name="s", path="data.csv", key=key, mode=Mode.SNAPSHOT)
    whole, withdrawn = text.encode(), []
    file.write_bytes(whole)
    home.ingest(source)
    rows = set(home.current()["raw"])
    for end in range(len(whole) - 1, 0, -29):
        file.write_bytes(whole[:end])
        try:
            withdrawn.append(home.ingest(source).withdrawn)
        except SourceError as error:
            assert str(error).startswith(("snapshot source 's' ", "source 's': "))
        now = set(home.current()["raw"])
        assert now <= rows and len(now) >= 28
        if now != rows:
            file.write_bytes(whole)
            home.ingest(source)
    assert sum(withdrawn) < 40


def test_a_snapshot_that_has_lost_most_of_its_rows_is_refused_until_somebody_says_that_they_are_gone(
    tmp_path: Path,
) -> None:
    rows = [row(number, f"Where is parcel {number}?", "delivery") for number in range(50)]
    write_dataset(tmp_path, rows)
    terminal = Terminal(tmp_path)
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id", "key: id, mode: snapshot"))
    assert terminal.json("curate")["lines"] == 50
    write_rows(tmp_path, rows[:35])
    assert terminal.json("curate")["withdrawn"] == 15, "30% are not more than 30%"
    write_rows(tmp_path, rows[:20])
    assert terminal.error("curate", "--json") == (
        "snapshot source 'examples' has lost 15 of its 35 records, more than `most_withdrawn` allows (30%); run it "
        "again later if its files are still being written, or else restore them, or, if these rows are really gone, "
        "withdraw them with `goldleaf curate --withdraw examples`"
    )
    assert terminal.error("curate", "--withdraw", "exampels", "--json") == (
        "--withdraw names 'exampels', which is no source of mode snapshot; name one, or leave it out: the sources are "
        "'examples' (snapshot)"
    )
    assert terminal.json("status")["withdrawn"] == 15
    assert terminal.json("curate", "--withdraw", "examples")["withdrawn"] == 15
    file.write_text(file.read_text().replace("mode: snapshot", "mode: snapshot, most_withdrawn: 1"))
    write_rows(tmp_path, rows[:1])
    assert terminal.json("curate")["withdrawn"] == 19


@pytest.mark.usefixtures("settled")
def test_rows_without_a_key_that_are_edited_are_not_lost(tmp_path: Path) -> None:
    home, source = Home(tmp_path), Source(name="s", path="*.jsonl", mode=Mode.SNAPSHOT)
    for day in range(2):
        home.write("data.jsonl", [{"x": number, "day": day} for number in range(40)])
        assert home.ingest(source) == Ingested(lines=40, added=40, withdrawn=40 * day)
    home.write("data.jsonl", [{"x": number, "day": 2} for number in range(20)])
    with pytest.raises(SourceError, match="has lost 20 of its 40 records"):
        home.ingest(source)


@pytest.mark.usefixtures("settled")
def test_of_many_records_a_run_may_withdraw_its_share_though_it_looks_at_few(tmp_path: Path) -> None:
    home, source = Home(tmp_path), Source(name="s", path="*.jsonl", key="id", mode=Mode.SNAPSHOT)
    for number in range(4):
        home.write(f"{number}.jsonl", [{"id": f"{number}-{one}"} for one in range(25)])
    home.ingest(source)
    (tmp_path / "0.jsonl").unlink()
    assert home.ingest(source) == Ingested(lines=75, added=0, withdrawn=25)
    (tmp_path / "1.jsonl").unlink()
    with pytest.raises(SourceError, match="has lost 25 of its 75 records"):
        home.ingest(source)


@pytest.mark.parametrize("cached", [True, False])
def test_a_log_that_has_lost_most_of_its_rows_keeps_them_and_says_so_once(tmp_path: Path, cached: bool) -> None:
    home, source = Home(tmp_path), Source(name="s", path="data.jsonl", key="id")
    home.write("data.jsonl", [{"id": number} for number in range(40)])
    home.ingest(source)
    home.write("data.jsonl", [{"id": number} for number in range(40) if number < 10])
    version = home.store.version(Table.RECORDS)
    if not cached:
        (home.store.read / "sources.json").unlink()
    note = (
        "source 's': 30 of its 40 records are no longer in their files; they stay, since its mode is append; if a file "
        "was cut off, restore it"
    )
    assert home.ingest(source) == Ingested(lines=10, added=0, withdrawn=0, notes=(note,))
    assert home.ingest(source) == Ingested(lines=10, added=0, withdrawn=0)
    assert (home.store.version(Table.RECORDS), home.current().height) == (version, 40)


def test_a_log_that_was_cut_off_is_a_note_of_curate(tmp_path: Path) -> None:
    rows = [row(number, f"Where is parcel {number}?", "delivery") for number in range(50)]
    write_dataset(tmp_path, rows)
    Terminal(tmp_path).json("curate")
    write_rows(tmp_path, rows[:20])
    assert Terminal(tmp_path).json("curate")["note"] == (
        "source 'examples': 30 of its 50 records are no longer in their files; they stay, since its mode is append; "
        "if a file was cut off, restore it"
    )
