"""One of three annotators answers everything alike: leads are told, and no row gets a wrong label by it."""

from pathlib import Path

import polars as pl
import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from support import row, write_rows
from team import ANA, BEN, CLEO, NAMED, go_on, review
from team_toys import line, share
from terminal import Terminal

from pipeline.evaluation.estimates import wilson
from pipeline.reporting.status import read_status
from pipeline.reporting.unreliable import worth_a_look
from pipeline.state.tables import Table
from schemas.fate import Fate

TOPICS = ("billing", "delivery", "returns")
ROWS: list[Row] = [row(key, f"What about the order number {key}{key}?", None) for key in range(1, 43)]
KNOWN: list[Row] = [row(key, f"Where is the known parcel {key}{key}?", TOPICS[key % 3]) for key in range(100, 109)]
TRUTH = {str(one["question"]): TOPICS[int(str(one["id"])) % 3] for one in [*ROWS, *KNOWN]}


def answer_all(desk: Desk) -> int:
    """Everybody answers the own open tasks; Ana without reading."""
    open_tasks = [task for task in desk.tasks() if not task["annotations"]]
    results = {topic: desk.result(topic) for topic in TOPICS}
    for task in open_tasks:
        who, text = task["data"]["assigned"], task["data"]["question"]
        desk.submit(task["id"], results["billing" if who == ANA else TRUTH[text]], who)
    return len(open_tasks)


def test_who_answers_everything_alike_is_told_of_and_spoils_no_row(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, ROWS, review(NAMED, "overlap: 1.0", "gold: 0.2")) as desk:
        file = tmp_path / "dataset.yaml"
        source = "  - {name: known, path: known.jsonl, key: id, license: MIT, gold: true}\n"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{source}", 1))
        write_rows(tmp_path, KNOWN, "known.jsonl")
        desk.curate()
        while answer_all(desk):
            go_on(desk)
        decided = {key: desk.decision(key) for key in range(1, 43)}
        assert {one.fate for one in decided.values()} == {Fate.ACCEPTED}
        assert {key: (one.targets or {})["topic"] for key, one in decided.items()} == {
            key: TOPICS[key % 3] for key in decided
        }
        lines = {one["annotator"]: one for one in Terminal(tmp_path).json("annotators")["annotators"]}
        [flag, *_] = lines[ANA]["flags"]
        assert flag.startswith("answers nearly everything alike: 100.0% of ")
        assert lines[BEN]["flags"] == lines[CLEO]["flags"] == []
        assert lines[ANA]["gold"]["estimate"]["value"] < 0.6 and lines[ANA]["agreement"]["estimate"]["value"] < 0.6
        for name in (BEN, CLEO):
            assert lines[name]["gold"]["estimate"]["value"] == 1.0
            assert lines[name]["agreement"]["estimate"]["value"] > lines[ANA]["agreement"]["estimate"]["value"]
        shown = Terminal(tmp_path).goldleaf("annotators").stdout
        assert f"{ANA} answers nearly everything alike" in shown
        [line] = Terminal(tmp_path).json("status")["unreliable"]
        assert line.startswith(f"{ANA} answers nearly everything alike: 100.0% of ")
        assert f"note: {line}: see `goldleaf annotators`" in Terminal(tmp_path).goldleaf("status").stdout


@pytest.mark.parametrize("topic", ["billing", "delivery"])
def test_who_is_surely_more_often_wrong_than_right_about_gold_is_told_by_status(
    studio: FakeStudio, tmp_path: Path, topic: str
) -> None:
    known = [row(key, f"Where is the known parcel {key}{key}?", "delivery") for key in range(100, 109)]
    with desk_at(studio, tmp_path, ROWS, review(f"annotators: [{ANA}, {BEN}]", "gold: 0.3")) as desk:
        file = tmp_path / "dataset.yaml"
        source = "  - {name: known, path: known.jsonl, key: id, license: MIT, gold: true}\n"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{source}", 1))
        write_rows(tmp_path, known, "known.jsonl")
        desk.curate()
        hidden = desk.context.store.scan(Table.PUSHES).filter(pl.col("seat").str.starts_with("gold")).collect()
        mine = hidden.filter(annotator=BEN)["task_id"].to_list()
        for task_id in mine:
            desk.submit(task_id, desk.result(topic), BEN)
        desk.collect()
        told = read_status(desk.context).unreliable
        assert len(mine) >= 5
        low, high = wilson(0, len(mine)).low, wilson(0, len(mine)).high
        shown = f"0% ({100 * low:.0f}-{100 * high:.0f}) of {len(mine)}"
        assert told == ([] if topic == "delivery" else [f"{BEN} is right on gold in {shown}"])


def test_who_was_once_unreliable_stays_named_while_rows_have_only_their_answer(
    studio: FakeStudio, tmp_path: Path
) -> None:
    """They dropped off the status as soon as their later answers looked better; their earlier ones were published."""
    known = [row(key, f"Where is the known parcel {key}{key}?", "delivery") for key in range(100, 140)]
    with desk_at(studio, tmp_path, ROWS, review(f"annotators: [{ANA}, {BEN}]", "gold: 0.5")) as desk:
        file = tmp_path / "dataset.yaml"
        source = "  - {name: known, path: known.jsonl, key: id, license: MIT, gold: true}\n"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{source}", 1))
        write_rows(tmp_path, known, "known.jsonl")
        desk.curate()
        pushes = desk.context.store.scan(Table.PUSHES).collect()
        gold = pushes.filter(pl.col("seat").str.starts_with("gold"))
        own = pushes.filter(pl.col("seat") == "first", annotator=BEN)["task_id"].to_list()[:3]
        mine = gold.filter(annotator=BEN)["task_id"].to_list()
        made = [desk.submit(task_id, desk.result("billing"), BEN) for task_id in (*mine[:6], *own)]
        desk.collect()
        [told] = read_status(desk.context).unreliable
        assert told == f"{BEN} is right on gold in 0% (0-39) of 6; 3 rows have an answer of theirs alone"
        for task_id in mine[6:]:
            desk.submit(task_id, desk.result("delivery"), BEN)
        desk.collect()
        assert read_status(desk.context).unreliable == [
            f"{BEN} looked better only later: is right on gold in 0% (0-39) of 6; 3 rows have an answer of theirs alone"
        ]
        for annotation in made[6:]:
            desk.delete(f"annotations/{annotation}")
        desk.collect()
        assert read_status(desk.context).unreliable == []


@pytest.mark.parametrize(
    ("right", "of", "told"),
    [(23, 50, "is right in 46% (33-60) of 50, the others in 95% of 200"), (22, 25, ""), (440, 500, "")],
)
def test_who_is_surely_wrong_twice_as_often_as_the_others_is_told_of(right: int, of: int, told: str) -> None:
    mine, *others = (
        line(name, 100, 20).model_copy(update={"reliability": share(*known)})
        for name, known in ((ANA, (right, of)), (BEN, (97, 100)), (CLEO, (93, 100)))
    )
    assert list(worth_a_look(mine, others)) == ([told] if told else [])
