"""A desk at which several annotators sit: each answers the tasks of their seats."""

from typing import Any

import polars as pl
from desk import Desk, Row
from support import row

from pipeline.review.labeling_tasks import verdict_result
from pipeline.state.tables import Table
from schemas.annotation import Verdict

ANA, BEN, CLEO, DORA = (f"{name}@example.com" for name in ("ana", "ben", "cleo", "dora"))
NAMED = f"annotators: [{ANA}, {BEN}, {CLEO}]"

QUESTIONS: list[Row] = [
    row(1, "Where is my parcel?", None),
    row(2, "Why was I charged twice?", None),
    row(3, "How do I send back shoes?", None),
    row(4, "Can somebody bring it on Sundays?", None),
]


def review(*keys: str) -> str:
    """The section ``review``, in which everything is asked, with more keys."""
    audit = [] if any(key.startswith("audit:") for key in keys) else ["audit: 0.0"]
    return f"review: {{{', '.join(['budget: 100', *audit, *keys])}}}\n"


def seats(desk: Desk, key: int) -> dict[str, int]:
    """The tasks about a row by their seats, those that were sent last."""
    sent = desk.context.store.scan(Table.PUSHES).filter(pl.col("record_id") == desk.id(key)).sort("pushed_at")
    return dict(sent.select("seat", "task_id").collect().iter_rows())


def there(desk: Desk, key: int) -> dict[str, dict[str, Any]]:
    """The data of the tasks that the server has about a row, by the seat that annotators see."""
    return {task["data"]["seat"]: task["data"] for task in desk.tasks() if task["data"]["record_id"] == desk.id(key)}


def whose(desk: Desk, key: int) -> dict[str, str]:
    """For whom the tasks about a row are, by seat."""
    return {seat: data["assigned"] for seat, data in there(desk, key).items()}


def answer(desk: Desk, key: int, seat: str, said: str | Verdict, who: str) -> int:
    """Answer in a seat with a topic, or with *unusable* or *unsure*; returns the annotation."""
    result = verdict_result(desk.context.dataset.task, said) if isinstance(said, Verdict) else desk.result(said)
    return desk.submit(seats(desk, key)[seat], result, who)


def go_on(desk: Desk) -> None:
    """Collect the answers, and send what is to be asked next."""
    desk.collect()
    desk.curate()
