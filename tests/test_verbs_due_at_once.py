"""Verbs that are due at the same moment all do their work, in whatever order they get their turns."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import fake_studio
from support import row

from flows.collect import collect
from flows.engines.engine import Inline
from flows.release import release
from flows.turns import waiting
from pipeline.errors import Needless
from pipeline.reporting.all_datasets import all_datasets
from pipeline.reporting.status import read_status
from pipeline.steps import Silent
from schemas.fate import LabelSource
from schemas.run_summary import Verb

ROWS = [
    row(1, "Where is my parcel?", None),
    row(2, "Why was I charged twice?", None),
    row(3, "How do I send back shoes?", "returns"),
]
SCHEDULED = "review: {budget: 5, audit: 0.0}\nschedules: {wait: 0s, curate: '* * * * *', collect: '* * * * *'}\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with fake_studio() as studio, desk_at(studio, tmp_path, ROWS, SCHEDULED) as desk:
        yield desk


@pytest.mark.parametrize("order", list(itertools.permutations((Verb.CURATE, Verb.COLLECT, Verb.RELEASE))))
def test_each_of_them_does_its_work(desk: Desk, order: tuple[Verb, ...]) -> None:
    desk.curate()
    desk.rows(*ROWS, row(4, "Do you deliver on Sundays?", "delivery"))
    desk.label(1, "delivery")
    due_at = datetime.now(UTC)
    verbs: dict[Verb, Callable[[], object]] = {
        Verb.CURATE: desk.curate,
        Verb.COLLECT: desk.collect,
        Verb.RELEASE: lambda: release(desk.context, Inline()),
    }
    for verb in order:
        with suppress(Needless), waiting(desk.context, verb.value, "0", Silent(), due_at):
            verbs[verb]()
    assert desk.context.store.snapshot().funnel().raw == 4
    assert desk.decision(1).label_source is LabelSource.HUMAN


def test_what_is_due_before_there_is_anything_to_work_on_is_skipped(desk: Desk) -> None:
    said, name = {}, desk.context.dataset.config.name
    for verb in (Verb.COLLECT, Verb.RELEASE, Verb.FINETUNE):
        with (
            pytest.raises(Needless) as refused,
            waiting(desk.context, verb.value, "0", Silent(), datetime.now(UTC)),
            desk.context.store.lock(verb),
        ):
            pytest.fail("it has begun")
        said[verb] = str(refused.value)
    assert said == {
        Verb.COLLECT: f"'{name}' has not been curated yet, so there is nothing to collect",
        Verb.RELEASE: f"'{name}' has not been curated yet, so there is nothing to release",
        Verb.FINETUNE: f"'{name}' has no published version yet, so there is nothing to train on",
    }


def test_a_curate_that_only_follows_answers_leaves_one_that_is_overdue_so(desk: Desk) -> None:
    desk.curate()
    desk.label(1, "delivery")
    collect(desk.context, Inline())
    [line] = all_datasets(desk.settings.home)
    [first, follows] = desk.context.store.snapshot().runs.filter(verb="curate")["finished_at"]
    assert line.last["curate"] == first < follows


def test_collect_and_release_say_what_they_looked_at(desk: Desk) -> None:
    desk.curate()
    desk.label(1, "delivery")
    collected = desk.collect()
    assert collected.looked is not None
    assert collected.change is not None
    assert (collected.looked.answered, collected.looked.untouched) == (1, 2)
    assert desk.collect().looked is None, "nothing was new"
    assert release(desk.context, Inline()).looked is None, "collect has followed the answer"


def test_status_says_what_each_of_the_last_runs_did(desk: Desk) -> None:
    desk.curate()
    desk.label(1, "delivery")
    desk.collect()
    release(desk.context, Inline())
    released, followed, collected, curated = read_status(desk.context).runs
    assert released.did == "published 1.0.0"
    assert followed.did.startswith("followed answers: ")
    assert collected.did == "1 annotation about 1 record"
    assert curated.did == "looked at all 3 rows: it is the first run"
