"""Tasks that a killed push has left: the server has them, and no table of this home says so."""

import shutil
from pathlib import Path

import polars as pl
from desk import Desk, desk_at
from fake_studio import FakeStudio
from support import row
from team import ANA, BEN, CLEO, NAMED, QUESTIONS, answer, go_on, review
from test_gold_items import decisions, gold, shop

from flows.engines.engine import Inline
from flows.reconcile import reconcile
from pipeline.state.tables import Table


def forget(desk: Desk, tasks: pl.Expr) -> pl.DataFrame:
    """Let the table of pushes lack some tasks, as if the push was killed before it noted them; returns their rows."""
    store = desk.context.store
    noted = store.scan(Table.PUSHES).collect()
    shutil.rmtree(store.root / "tables" / "pushes")
    store.append(Table.PUSHES, noted.filter(~tasks))
    return noted.filter(tasks)


def now_named(desk: Desk, *names: str) -> None:
    """Only these annotators are named from now on."""
    file = desk.folder / "dataset.yaml"
    file.write_text(file.read_text().replace(NAMED, f"annotators: [{', '.join(names)}]"))


HIDDEN = pl.col("seat").str.starts_with("gold")


def test_what_is_left_of_a_question_that_is_closed_is_taken_back(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, QUESTIONS, review()) as desk:
        desk.curate()
        forget(desk, pl.col("record_id") == desk.id(1))
        desk.rows(row(1, "Is this another question about the voucher of June?", None), *QUESTIONS[1:])
        assert desk.curate().review.withdrawn == 1
        assert desk.asked() == sorted(desk.id(key) for key in (1, 2, 3, 4))


def test_a_hidden_gold_item_of_who_is_named_no_longer_is_taken_back(studio: FakeStudio, tmp_path: Path) -> None:
    """Nothing but its push key tells whose it is: the settings do not name them any more."""
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        left = forget(desk, HIDDEN & (pl.col("annotator") == CLEO))
        now_named(desk, ANA, BEN)
        found = reconcile(desk.context, Inline(), dry_run=True).before
        assert found.foreign == [] and {f"task {one}" for one in left["task_id"]} <= set(found.outdated)
        desk.curate()
        assert not {task["data"]["push_key"] for task in desk.tasks()} & set(left["push_key"])
        again = reconcile(desk.context, Inline(), dry_run=True).before
        assert again.agrees and again.foreign == []


def test_one_that_was_answered_stays_and_decides_nothing(studio: FakeStudio, tmp_path: Path) -> None:
    """Even if its answer is collected before the next push."""
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        before = {record: (one.fate, one.targets) for record, one in decisions(desk).items()}
        left = forget(desk, HIDDEN & (pl.col("annotator") == CLEO))
        now_named(desk, ANA, BEN)
        for task in left["task_id"]:
            desk.submit(task, desk.result("billing"), CLEO)
        for _ in range(2):
            collected = desk.collect()
            assert (collected.decided, collected.disputed) == (0, 0)
            assert {record: (one.fate, one.targets) for record, one in decisions(desk).items()} == before
            desk.curate()
        assert set(left["push_key"]) <= {task["data"]["push_key"] for task in desk.tasks()}
        assert set(left["push_key"]) <= set(gold(desk)["push_key"]), "they are known for what they are"
        found = reconcile(desk.context, Inline(), dry_run=True).before
        assert found.agrees and not found.foreign and not found.orphaned


def test_an_adjudicator_s_answer_decides_though_nothing_noted_the_task(studio: FakeStudio, tmp_path: Path) -> None:
    """As a first answer it would be one of three that contradict each other."""
    with desk_at(studio, tmp_path, QUESTIONS, review(NAMED, "overlap: 1.0")) as desk:
        desk.curate()
        seated = {task["data"]["seat"]: task for task in desk.tasks() if task["data"]["record_id"] == desk.id(1)}
        one, other = (seated[seat]["data"]["assigned"] for seat in ("first", "second"))
        answer(desk, 1, "first", "delivery", one)
        answer(desk, 1, "second", "returns", other)
        go_on(desk)
        [third] = {ANA, BEN, CLEO} - {one, other}
        answer(desk, 1, "adjudicator", "billing", third)
        forget(desk, pl.col("seat") == "adjudicator")
        desk.collect()
        assert desk.decision(1).targets == {"topic": "billing"}
