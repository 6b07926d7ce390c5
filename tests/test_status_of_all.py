"""`goldleaf status --all`: the truth about every dataset in the home, by its tables and locks."""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli_shop import opened_shop
from desk import rename
from support import offline, row, write_dataset
from terminal import Terminal

from flows.context import Context
from pipeline.reporting.all_datasets import all_datasets
from pipeline.state.tables import Table
from schemas.run_summary import Verb


def two_shops(folder: Path) -> Terminal:
    """One home with `questions`, which is published, and `parcels`, which is scheduled every minute."""
    shop = opened_shop(folder)
    other = folder / "parcels"
    other.mkdir()
    write_dataset(other, [row(1, "Where is my parcel?", "delivery")], "schedules: {curate: '* * * * *', wait: 0s}\n")
    rename(other, "parcels")
    shop.goldleaf("curate", other)
    return shop


def test_every_dataset_has_a_line_whatever_it_holds(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    parcels, questions = shop.json("status", "--all")
    assert (questions["dataset"], questions["current"], questions["latest_release"]) == ("questions", 8, "1.0.0")
    assert questions["file"] == str(tmp_path / "dataset.yaml")
    assert (parcels["dataset"], parcels["current"], parcels["latest_release"]) == ("parcels", 1, None)
    assert set(questions["last"]) == {"curate", "release"}
    assert not questions["overdue"], "it has no schedule"
    told = shop.goldleaf("status", "--all").stdout
    assert re.search(r"questions +8 .* never +1\.0\.0", told)


def test_who_is_at_work_and_what_was_killed_is_told(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    store = Context.load(tmp_path / "dataset.yaml", offline(shop.home)).store
    (store.work("20260101T000000.000000Z") / "part").write_bytes(b"x")
    with store.lock(Verb.CURATE):
        told = shop.goldleaf("status", "--all").stdout
    assert f"questions: goldleaf curate, process {os.getpid()}\n" in told
    assert "killed" not in told
    assert "questions: a run was killed; the next one does its work\n" in shop.goldleaf("status", "--all").stdout
    shop.goldleaf("curate")
    assert "killed" not in shop.goldleaf("status", "--all").stdout


def test_a_run_that_failed_was_not_killed(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    (tmp_path / "data.jsonl").rename(tmp_path / "gone.jsonl")
    assert "data.jsonl does not exist" in shop.error("curate")
    assert "killed" not in shop.goldleaf("status", "--all").stdout


def test_what_a_schedule_wanted_and_nobody_did_is_told(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    file = tmp_path / "parcels" / "dataset.yaml"
    file.write_text(file.read_text().replace("* * * * *", "0 0 1 1 *").replace("}", ", collect: '0 0 1 1 *'}"))
    assert not shop.json("status", "--all")[0]["overdue"], "the dataset is younger"
    now = datetime.now(UTC)
    [parcels, _] = all_datasets(shop.home, now + timedelta(days=366))
    year = (now + timedelta(days=366)).year
    assert parcels.overdue == [f"{verb} was due at {year}-01-01 00:00:00 UTC" for verb in ("curate", "collect")]


def test_a_dataset_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    log = shop.home / "parcels" / "tables" / Table.RUNS / "_delta_log" / f"{0:020}.json"
    log.write_text("{")
    parcels, questions = shop.json("status", "--all")
    assert "is damaged" in parcels["problem"]
    assert questions["current"] == 8


def test_an_empty_home_says_so(tmp_path: Path) -> None:
    assert f"no dataset in {tmp_path / 'home'}" in Terminal(tmp_path).goldleaf("status", "--all").stdout
    assert json.loads(Terminal(tmp_path).goldleaf("status", "--all", "--json").stdout) == []
