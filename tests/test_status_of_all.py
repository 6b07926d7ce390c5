"""`goldleaf status --all`: the truth about every dataset in the home, by its tables and locks."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import gethostname

import polars as pl
import pytest
from cli_shop import opened_shop
from desk import rename
from support import offline, row, write_dataset
from terminal import Terminal

from flows.context import Context
from flows.turns import waiting
from pipeline.errors import Busy
from pipeline.reporting.all_datasets import all_datasets
from pipeline.state.at_work import at_work, killed
from pipeline.state.locks import held
from pipeline.state.tables import Table
from pipeline.steps import Advance, Silent
from schemas.cron import read_cron
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
    told = shop.goldleaf("status", "--all", exit_code=None).stdout
    assert re.search(r"questions +8 .* never +1\.0\.0", told)


def test_who_is_at_work_and_what_was_killed_is_told(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    store = Context.load(tmp_path / "dataset.yaml", offline(shop.home)).store
    with store.lock(Verb.CURATE), pytest.raises(SystemExit), store.own_work(Verb.CURATE):
        (store.work("20260101T000000.000000Z") / "part").write_bytes(b"x")
        told = shop.goldleaf("status", "--all", exit_code=None).stdout
        sys.exit("as if it were killed")
    assert f"questions: goldleaf curate, process {os.getpid()} on {gethostname()}\n" in told
    assert "killed" not in told
    data = tmp_path / "data.jsonl"
    data.rename(tmp_path / "gone.jsonl")
    shop.error("curate")
    (tmp_path / "gone.jsonl").rename(data)
    told_so = re.compile(r"a curate was killed; it began at 20.* UTC, and the next curate does its work\n")
    for command in (["status", "--all"], ["release"], ["status", "--all"]):
        told = shop.goldleaf(*command, exit_code=None).stdout
        assert told_so.search(told) or command == ["release"], "neither a failed curate nor a release has done its work"
    told = shop.goldleaf("status").stdout
    assert told_so.search(told)
    assert "next: goldleaf curate" in told
    shop.goldleaf("curate")
    assert "killed" not in shop.goldleaf("status", "--all", exit_code=None).stdout


def test_who_holds_one_lock_and_waits_for_another_has_one_line(tmp_path: Path) -> None:
    context = Context.load(tmp_path / "dataset.yaml", offline(opened_shop(tmp_path).home))
    with ExitStack() as stack, pytest.raises(Busy):
        for lock in (context.store.lock(Verb.CURATE), context.store.pull_lock()):
            stack.enter_context(lock)
        seen: list[list[str]] = []

        class Shown(Silent):
            @contextmanager
            def step(self, label: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
                seen.append(at_work(context.store))
                yield lambda units, note="": None

        with waiting(context, "collect", "1s", Shown(), datetime.now(UTC)), context.store.lock(Verb.COLLECT):
            pytest.fail("two writers at once")
    process = f"{os.getpid()} on {gethostname()}"
    assert seen == [
        [
            f"goldleaf curate, process {process}",
            f"goldleaf collect, process {process} (waits)",
        ]
    ]


def test_who_holds_two_locks_has_one_line(tmp_path: Path) -> None:
    store = Context.load(tmp_path / "dataset.yaml", offline(opened_shop(tmp_path).home)).store
    with store.pull_lock(), store.lock(Verb.COLLECT):
        assert at_work(store) == [f"goldleaf collect (pulling annotations), process {os.getpid()} on {gethostname()}"]


def test_a_run_that_ends_while_we_look_was_not_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Context.load(tmp_path / "dataset.yaml", offline(opened_shop(tmp_path).home)).store
    with store.own_work(Verb.CURATE):
        assert set(killed(store)) == {"curate"}
        begun = store.begun
        monkeypatch.setattr(type(store), "begun", property(lambda one: seen.pop()))
        seen: list[dict[str, datetime]] = [{}, begun]
        assert killed(store) == {}


def test_two_runs_of_one_number_are_two(tmp_path: Path) -> None:
    """In two containers, for example."""
    store = Context.load(tmp_path / "dataset.yaml", offline(opened_shop(tmp_path).home)).store
    with ExitStack() as stack:
        stack.enter_context(store.lock(Verb.CURATE))
        waits = store.root / "state.next-collect.lock"
        stack.enter_context(held(waits, "questions", "goldleaf collect", ""))
        stack.enter_context(store.own_work(Verb.CURATE))
        process = f"{os.getpid()} on {gethostname()}"
        curate, collect = (
            f"goldleaf curate, process {process}",
            f"goldleaf collect, process {process} (waits)",
        )
        assert at_work(store) == [curate, collect]
        assert killed(store) == {}


def test_a_run_that_failed_was_not_killed(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    (tmp_path / "data.jsonl").rename(tmp_path / "gone.jsonl")
    assert "data.jsonl does not exist" in shop.error("curate")
    assert "killed" not in shop.goldleaf("status", "--all", exit_code=None).stdout


def test_what_a_schedule_wanted_and_nobody_did_is_told(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    file = tmp_path / "parcels" / "dataset.yaml"
    file.write_text(file.read_text().replace("* * * * *", "0 0 1 1 *").replace("}", ", collect: '0 0 1 1 *'}"))
    assert not shop.json("status", "--all")[0]["overdue"], "the dataset is younger"
    now = datetime.now(UTC)
    [parcels, _] = all_datasets(shop.home, now + timedelta(days=366))
    year = (now + timedelta(days=366)).year
    assert parcels.overdue == [f"{verb} was due at {year}-01-01 00:00:00 UTC" for verb in ("curate", "collect")]


@pytest.mark.parametrize(("cron", "days"), [("* * * * *", 1), ("*/30 * * * *", 1), ("0 2 * * *", 30)])
def test_what_is_due_often_is_overdue_since_it_was_first_left_out(tmp_path: Path, cron: str, days: int) -> None:
    shop = two_shops(tmp_path)
    file = tmp_path / "parcels" / "dataset.yaml"
    file.write_text(file.read_text().replace("* * * * *", cron).replace("wait: 0s", "wait: 30m"))
    [parcels, _] = all_datasets(shop.home)
    assert not parcels.overdue
    ran_at, now = datetime.now(UTC), datetime.now(UTC) + timedelta(days=days)
    times = read_cron(cron)
    first, last = times.next(ran_at, "UTC"), times.last(now, "UTC")
    file.touch()
    [parcels, _] = all_datasets(shop.home, now)
    assert parcels.overdue == [f"curate was due at {first:%F %T} UTC, and last at {last:%F %T}"]
    store = Context.load(file, offline(shop.home)).store
    with store.lock(Verb.CURATE):
        os.utime(store.root / "state.lock", (now.timestamp(), now.timestamp()))
        assert not all_datasets(shop.home, now)[0].overdue, "it is at work"


def test_a_dataset_whose_file_is_gone_is_there_and_named(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    file = tmp_path / "parcels" / "dataset.yaml"
    file.unlink()
    parcels, questions = shop.json("status", "--all")
    assert (parcels["current"], parcels["overdue"], questions["current"]) == (1, [], 8)
    told = shop.goldleaf("status", "--all", exit_code=2).stdout.replace("\n", " ")
    assert f"parcels: {file} is gone, so nobody knows what is due; restore it" in told


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("schedules: {curate: 0 2 * *}", "'0 2 * *' has 4 fields instead of 5"),
        ("schedules: {currate: 0 2 * * *}", "'schedules.currate' is not a known key; did you mean curate?"),
        ("schedules: [", "while parsing a flow node"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    shop = opened_shop(tmp_path)
    file = tmp_path / "dataset.yaml"
    lines = len(file.read_text().splitlines())
    file.write_text(file.read_text() + line + "\n")
    told = shop.goldleaf("status", "--all", exit_code=2).stdout.replace("\n", " ")
    assert re.search(rf"questions: {file}:{lines + 1}", told) or "flow node" in says, told
    assert says in told or "flow node" in says


def test_a_release_and_a_fine_tuning_are_overdue_too_and_one_without_news_is_not(tmp_path: Path) -> None:
    shop = opened_shop(tmp_path)
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text() + "schedules: {release: 0 5 * * *, finetune: 0 6 * * *}\n")
    # At noon: an hour before it, neither is due.
    later = (datetime.now(UTC) + timedelta(days=2)).replace(hour=12)
    [line] = all_datasets(shop.home, later)
    assert [text.split(" UTC")[0][:-9] for text in line.overdue] == [
        f"{verb} was due at {read_cron(cron).next(datetime.now(UTC), 'UTC'):%F}"
        for verb, cron in (("release", "0 5 * * *"), ("finetune", "0 6 * * *"))
    ]
    assert "nothing new since" in shop.goldleaf("release").stdout
    note = Context.load(file, offline(shop.home)).store.notes / "release.tries"
    done = json.loads(note.read_text()) | {"done_at": (later - timedelta(hours=1)).isoformat()}
    note.write_text(json.dumps(done))
    [line] = all_datasets(shop.home, later)
    assert [text.split()[0] for text in line.overdue] == ["finetune"], "as if it had been released an hour ago"
    shutil.rmtree(note.parent)
    assert all_datasets(shop.home, later)[0].overdue == [], "an older Goldleaf noted nothing"


def test_what_is_overdue_gives_an_exit_code_of_its_own(tmp_path: Path) -> None:
    shop = opened_shop(tmp_path)
    assert shop.goldleaf("status", "--all").stdout
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text() + "schedules: {collect: '* * * * *', wait: 0s}\n")
    two_days_ago = datetime.now(UTC).timestamp() - 2 * 24 * 60 * 60
    os.utime(file, (two_days_ago, two_days_ago))
    store = Context.load(file, offline(shop.home)).store
    first = store.snapshot().runs.head(1)
    ago = {name: pl.col(name) - timedelta(days=2) for name in ("started_at", "finished_at")}
    store.append(Table.RUNS, first.with_columns(run=pl.lit("20200101T000000.000000Z"), **ago))
    assert "collect was due at" in shop.goldleaf("status", "--all", exit_code=2).stdout
    assert shop.json("status", "--all")[0]["overdue"]


def test_a_dataset_of_which_every_curate_has_failed_is_told(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    late = tmp_path / "late"
    late.mkdir()
    write_dataset(late, [row(1, "Where is my parcel?", "delivery")], "split: {group_by: nobody}\n")
    rename(late, "late")
    assert "no row has 'nobody'" in shop.goldleaf("curate", late, exit_code=1).stderr
    told = shop.goldleaf("status", "--all", exit_code=2)
    assert "late: no curate has come to its end yet" in told.output.replace("\n", " ")


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


def test_a_wrong_key_and_a_task_file_that_is_gone_are_told(tmp_path: Path) -> None:
    shop = two_shops(tmp_path)
    file = tmp_path / "dataset.yaml"
    sound = file.read_text()
    file.write_text(f"{sound}\nnonsense: 4\n")
    parcels, questions = shop.json("status", "--all")
    assert "nonsense" in questions["problem"] and not parcels["problem"]
    shop.goldleaf("status", "--all", exit_code=2)
    file.write_text(re.sub(r"(?m)^task: .*$", "task: away.py:Away", sound))
    problem = shop.json("status", "--all")[1]["problem"]
    assert problem.endswith("away.py is gone; restore it, or correct task")
