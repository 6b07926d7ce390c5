"""kill -9 while a model is asked: what it answered is never asked or paid again, and what was in flight is counted."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import Point
from loopback import Reply
from model_server import ModelServer, failure, last_user_text, model_server
from support import current, offline, row, write_dataset
from test_kill import goldleaf
from test_suggestions import by_words

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.suggest import suggest
from pipeline.suggestions.ledger import Ledger

ROWS = 12


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with model_server(by_words) as found:
        yield found


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory, server: ModelServer) -> Path:
    """A dataset of which all rows have yet to be asked about, with its home."""
    folder = tmp_path_factory.mktemp("asked") / "dataset"
    folder.mkdir()
    rows = [row(n, f"Why was I charged {n} times?", None) for n in range(ROWS)]
    section = f"suggest: {{endpoint: {server.endpoint}, model: m, parallel: 1, price_in: 1, price_out: 1}}\n"
    write_dataset(folder, rows, section + "duplicates: {threshold: 1.0}\n")
    context = opened(folder)
    with context.store.asking_lock():
        curate(context, Inline())
    return folder


def opened(folder: Path) -> Context:
    return Context.load(folder / "dataset.yaml", offline(folder / "home"))


@pytest.mark.parametrize(
    ("module", "what", "when", "nth", "lost"),
    [
        ("suggestions.ledger", "Ledger.enter", "after", 5, 1),
        ("suggestions.ledger", "Ledger.complete", "before", 5, 1),
        ("suggestions.ledger", "Ledger.complete", "after", 5, 0),
        ("suggestions.ledger", "Ledger.link", "before", 1, 0),
        ("state.store", "Store.commit", "before", 1, 0),
    ],
    ids=["sent", "answered, not written", "written", "all written", "decided"],
)
def test_a_killed_run_loses_at_most_what_was_in_flight(
    curated: Path, tmp_path: Path, server: ModelServer, module: str, what: str, when: str, nth: int, lost: int
) -> None:
    folder = Path(shutil.copytree(curated, tmp_path / "dataset"))
    server.asked.clear()
    point = Point(f"pipeline.{module}", what, when, nth)
    goldleaf("suggest", str(folder / "dataset.yaml"), home=folder / "home", killed_at=point)
    suggest(opened(folder), Inline())
    asked = [last_user_text(one) for one in server.asked]
    # Only the one that was asked, and not written, is asked again.
    assert len(set(asked)) == ROWS and len(asked) <= ROWS + lost
    with Ledger(opened(folder).store.calls) as ledger:
        spent = ledger.spent()
    assert (spent.calls, spent.lost) == (ROWS + lost, lost)
    assert [one.model_answer for one in current(opened(folder)).values()] == [{"topic": "billing"}] * ROWS


@pytest.mark.parametrize(("when", "lost"), [("before", 1), ("after", 0)])
def test_a_run_killed_at_a_row_that_is_refused_begins_with_the_others_the_next_time(
    curated: Path, tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch, when: str, lost: int
) -> None:
    """A moderation refuses three rows with 403, as if the key might not ask; a killed run has not written the last."""
    flagged: list[str] = []

    def says(request: dict[str, Any], number: int) -> Reply:
        text = last_user_text(request)
        if text not in flagged and len(flagged) < 3:
            flagged.append(text)
        return failure(403, "flagged") if text in flagged else by_words(request, number)

    folder = Path(shutil.copytree(curated, tmp_path / "dataset"))
    server.asked.clear()
    monkeypatch.setattr(server, "says", says)
    point = Point("pipeline.suggestions.ledger", "Ledger.refuse", when, 3)
    goldleaf("suggest", str(folder / "dataset.yaml"), home=folder / "home", killed_at=point)
    told = suggest(opened(folder), Inline()).suggested
    assert told is not None and (told.answered, told.failed, told.why) == (ROWS - 3, 3, "")
    asked = [last_user_text(one) for one in server.asked]
    assert asked[:3] == flagged and sorted(asked[-3:]) == sorted(flagged), "the others come first"
    assert sorted(asked[3:-3]) == sorted({*asked} - {*flagged}), "each is asked, and paid, once"
    with Ledger(opened(folder).store.calls) as ledger:
        spent = ledger.spent()
    assert (spent.calls, spent.lost) == (ROWS - 3 + lost, lost)
