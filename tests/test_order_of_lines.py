"""The order of lines decides nothing: shuffled files give the same fates, groups, scores and splits."""

import random
from pathlib import Path
from typing import Any

import pytest
from support import current, offline, row, state, write_dataset, write_rows

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from schemas.fate import Fate, Reason

Row = dict[str, object]
WORDS = {
    "billing": ["invoice", "charge", "refund", "card", "payment", "receipt"],
    "delivery": ["parcel", "courier", "late", "address", "tracking", "van"],
    "returns": ["return", "label", "box", "exchange", "broken", "warranty"],
}
"""Enough to tell the topics apart, so that a wrong one is flagged."""


def questions(rng: random.Random, first: int, last: int) -> list[Row]:
    """Rows with copies, near copies, contradictions, wrong labels and rows without one."""
    rows: list[Row] = []
    for key in range(first, last):
        topic = rng.choice(list(WORDS))
        text = " ".join(rng.choices(WORDS[topic], k=7))
        match key % 7:
            case 1:
                text, topic = str(rows[-1]["question"]).upper(), str(rows[-1]["topic"] or topic)
            case 2:
                text, topic = f"{rows[-1]['question']} thanks", str(rows[-1]["topic"])
            case 4:
                topic = rng.choice(list(WORDS))
            case 5:
                text = str(rows[-2]["question"])
        rows.append(row(key, text, None if key % 11 == 10 else topic))
    return rows


def life(folder: Path, batches: list[list[Row]], more: str) -> dict[str, Any]:
    """All that is known after these batches, each of which was curated and published."""
    folder.mkdir()
    write_dataset(folder, [], more)
    context = Context.load(folder / "dataset.yaml", offline(folder / "home"))
    for number in range(len(batches)):
        write_rows(folder, [row for batch in batches[: number + 1] for row in batch])
        curate(context, Inline())
        release(context, Inline())
    found = state(context.store)
    for record in found["records"]:
        del record["line"]
    return found | {
        "now": {record_id: one.model_copy(update={"run": ""}) for record_id, one in current(context).items()}
    }


@pytest.mark.parametrize(("seed", "review"), [(0, "{budget: 0, audit: 0.0}"), (1, "{budget: 9, audit: 0.1}")])
def test_shuffled_lines_give_the_same_fates_groups_scores_and_splits(tmp_path: Path, seed: int, review: str) -> None:
    rng = random.Random(seed)
    batches = [questions(rng, 0, 70), questions(rng, 70, 100)]
    shuffled = [rng.sample(batch, len(batch)) for batch in batches]
    one = life(tmp_path / "one", batches, f"review: {review}\n")
    other = life(tmp_path / "other", shuffled, f"review: {review}\n")
    assert one == other
    told = one["now"].values()
    assert {decision.fate for decision in told} == set(Fate)
    assert any("label_error" in str(decision.reasons) for decision in told)


def test_rows_that_came_in_several_batches_are_scored_like_those_of_one(tmp_path: Path) -> None:
    rng, every = random.Random(3), [word for words in WORDS.values() for word in words]
    rows: list[Row] = []
    for key in range(150):
        topic = rng.choice(list(WORDS))
        text = " ".join(rng.choices(WORDS[topic], k=4) + rng.choices(every, k=5))
        rows.append(row(key, f"{text} {key}", rng.choice(list(WORDS)) if key % 3 == 1 else topic))
    label_error_reasons = [doubts_of(tmp_path / f"by {size}", rows, size) for size in (150, 50)]
    assert label_error_reasons[0] == label_error_reasons[1]
    assert 5 < len(label_error_reasons[0]) < 100


def doubts_of(folder: Path, rows: list[Row], size: int) -> dict[str, list[Reason]]:
    """The rows with a likely label error, all of them scored together after they came in batches of a size."""
    folder.mkdir()
    write_dataset(folder, [], "duplicates: {threshold: 1.0}\nreview: {budget: 0, audit: 0.0}\n")
    context = Context.load(folder / "dataset.yaml", offline(folder / "home"))
    for last in range(size, len(rows) + 1, size):
        write_rows(folder, rows[:last])
        curate(context, Inline())
    curate(context, Inline(), rescore=True)
    decisions = current(context).items()
    return {record_id: one.reasons for record_id, one in decisions if "label_error" in str(one.reasons)}
