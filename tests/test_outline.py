"""What is kept of decisions for those who only look: it says what the tables say, and a reader does without it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from damage import DAMAGES
from desk import Desk, desk_at
from fake_studio import FakeStudio
from full_runs import must_know_its_outline
from odd import QUESTION, Odd
from support import row

from pipeline.curation.follow_answers import Followed
from pipeline.reporting.duplicates import read_duplicates
from pipeline.reporting.explain import explain
from pipeline.reporting.report_data import gather_report
from pipeline.reporting.sql import query
from pipeline.reporting.status import read_status
from pipeline.review.queue import asked_now
from pipeline.state.outline import keep_outline, kept_outline, outlined, renewed
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import SCHEMAS, Table
from schemas.fate import Fate
from schemas.run_summary import CurateSummary

TOPICS = ("billing", "delivery", "returns")
LONG = "I ordered a blender from your shop in Perth two weeks ago and it has not come yet, where is it now?"


def rows(count: int) -> list[dict[str, Any]]:
    """Rows of all fates: every sixth is a copy, every seventh broken, some are in conflict."""
    made = [row(key, f"Question number {key} about parcel {key * 7}", TOPICS[key % 3]) for key in range(count)]
    made += [row(count + key, f"Question number {key} about parcel {key * 7}", TOPICS[key % 3]) for key in (0, 6, 12)]
    made += [row(count + 10 + key, LONG, topic) for key, topic in enumerate(TOPICS)]
    return [*made, {"id": count + 20, "question": 7, "topic": "billing"}, {"id": count + 21, "question": "And?"}]


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, rows(20)) as found:
        file = found.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("license: MIT", "license: MIT, mode: snapshot"))
        found.curate()
        yield found


def snapshot_of(desk: Desk) -> Snapshot:
    return desk.context.store.snapshot().at_last_commit()


def all_told(desk: Desk) -> dict[str, Any]:
    """What every reader says, without the times at which it says so."""
    context, snapshot = desk.context, snapshot_of(desk)
    report = gather_report(snapshot, context.dataset, funnel=snapshot.settled_funnel())
    stories = [explain(snapshot, desk.id(key), context.store.releases, context.dataset) for key in (0, 20, 40)]
    asked = [read_duplicates(snapshot, context.dataset.task, one) for one in (None, desk.id(0), desk.id(30))]
    counts = query(snapshot, "select fate, count(*) as n from current group by fate order by fate")
    return {
        "status": read_status(context).model_dump(mode="json"),
        "report": report.model_dump(mode="json", exclude={"generated_at"}),
        "explain": [story.model_dump(mode="json") for story in stories],
        "duplicates": [one.model_dump(mode="json") for one in asked],
        "sql": counts.to_dicts(),
        "asked": [one.decision.model_dump(mode="json") for one in asked_now(snapshot, context.dataset)],
    }


def kept_files(desk: Desk) -> list[Path]:
    return sorted(desk.context.store.standing.glob("*/*.arrow"))


@pytest.mark.parametrize("damage", [*DAMAGES, "gone"])
def test_readers_say_the_same_without_what_is_kept(desk: Desk, damage: str) -> None:
    told = all_told(desk)
    assert told["sql"], "something was decided"
    kept = kept_files(desk)
    assert {path.name for path in kept} >= {"outline.arrow", "rows.arrow"}
    if damage == "gone":
        shutil.rmtree(desk.context.store.standing)
    else:
        for path in kept:
            DAMAGES[damage](path)
    assert all_told(desk) == told


def test_an_outline_of_another_state_is_not_taken_for_this_one(desk: Desk) -> None:
    [before] = [path for path in kept_files(desk) if path.name == "outline.arrow"]
    old = before.read_bytes()
    desk.rows(*rows(21), row(90, "Where do I find my last invoice of March?", "billing"))
    desk.curate()
    after = max(path for path in kept_files(desk) if path.name == "outline.arrow")
    told = all_told(desk)
    after.write_bytes(old)
    assert all_told(desk) == told


def test_answers_count_before_the_next_curate(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [task["data"]["record_id"] for task in desk.tasks()]
    assert asked, "somebody is asked"
    monkeypatch.setattr("flows.collect.follow_answers", lambda context, engine: Followed())
    for task in desk.tasks():
        desk.submit(task["id"], desk.result("returns"))
    desk.collect()
    must_know_its_outline(desk.context)
    found = snapshot_of(desk).current_decisions(pl.col("label_source") == "human").collect()
    assert set(found["record_id"]) == set(asked)


def _edit(desk: Desk) -> None:
    changed = rows(20)
    changed[3] |= {"topic": "returns"}
    desk.rows(*changed)


def _answer(desk: Desk) -> None:
    desk.submit(desk.tasks()[0]["id"], desk.result("returns"))
    desk.collect()


CHANGES: dict[str, Callable[[Desk], None]] = {
    "a new row": lambda desk: desk.rows(*rows(20), row(99, "Is there a catalog for autumn?", "billing")),
    "an edited row": _edit,
    "a row that is gone": lambda desk: desk.rows(*rows(20)[1:]),
    "a row that is back": lambda desk: _return(desk, rows(20)),
    "a row that is back beside a new one": lambda desk: _return(
        desk, [*rows(20), row(99, "Is there a catalog for autumn?", "billing")]
    ),
    "a row that is back as another one": lambda desk: _return(
        desk, [row(0, "What does a parcel to Perth cost?", "delivery"), *rows(20)[1:]]
    ),
    "an answer": _answer,
    "another configuration": lambda desk: _reconfigure(desk),
}


def _return(desk: Desk, after: list[dict[str, Any]]) -> None:
    """The first row was gone for a while."""
    desk.rows(*rows(20)[1:])
    desk.curate()
    desk.rows(*after)


def _reconfigure(desk: Desk) -> None:
    file = desk.folder / "dataset.yaml"
    file.write_text(file.read_text() + "duplicates: {threshold: 0.5}\n")


@pytest.mark.parametrize("change", CHANGES)
def test_the_outline_follows_every_change(desk: Desk, change: str) -> None:
    CHANGES[change](desk)
    desk.curate()
    must_know_its_outline(desk.context)
    run = desk.context.store.snapshot().last_run(CurateSummary)
    assert run and (desk.context.store.standing / run.id / "outline.arrow").exists()


def test_a_row_that_comes_back_has_its_decision_again(desk: Desk) -> None:
    desk.rows(*rows(20)[1:])
    desk.curate()
    desk.rows(*rows(20))
    desk.curate()
    must_know_its_outline(desk.context)
    assert desk.decision(0).fate is Fate.DUPLICATE


def test_an_outline_forgets_what_rows_said_that_are_gone(tmp_path: Path) -> None:
    """Views hold on to all texts that they were taken from: a home that is edited every night would grow."""
    ids = [f"{key:032x}" for key in range(2_000)]

    def decided(run: int, mine: list[str]) -> pl.DataFrame:
        rows = pl.DataFrame({"record_id": mine, "revision": [f"{run:06}{name}" for name in mine]})
        absent = [pl.lit(None, kind).alias(name) for name, kind in SCHEMAS[Table.DECISIONS].items()]
        known = rows.with_columns(fate=pl.lit("accepted"), run=pl.lit(f"{run:030}"))
        return known.with_columns(one for one in absent if one.meta.output_name() not in known.columns)

    def kept(run: int) -> int:
        return (tmp_path / str(run) / "outline.arrow").stat().st_size

    latest = decided(0, ids)
    outline = outlined(latest.lazy(), latest.lazy().with_columns(source=pl.lit("rows")))
    keep_outline([outline], tmp_path / "0")
    for run in range(1, 60):
        fresh = decided(run, ids[run * 20 : run * 20 + 400])
        latest = pl.concat([latest.join(fresh, on="record_id", how="anti"), fresh])
        before = kept_outline(tmp_path / str(run - 1), '{"accepted": 2000, "rejected": 0, "duplicate": 0, "review": 0}')
        assert before is not None
        records = latest.lazy().with_columns(source=pl.lit("rows"))
        outline = renewed(before, fresh.lazy(), records, decided=pl.LazyFrame())
        now = dict(latest.select("record_id", "run").iter_rows())
        assert dict(outline.whole.select("record_id", "run").iter_rows()) == now
        keep_outline(outline.pieces(), tmp_path / str(run))
        assert kept(run) < 3 * kept(0)


# --- nothing new ------------------------------------------------------------------------------------
def test_a_run_without_news_says_what_one_that_reads_all_rows_says(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.curate()
    quick = desk.curate()
    assert quick.looked.untouched == quick.funnel.current and not quick.looked.why
    monkeypatch.setattr("pipeline.curation.stages.stand_still", lambda *args: None)
    slow = desk.curate()
    # That the labels of new rows are not scored is no news where there are none.
    assert quick.model_dump(exclude={"run", "note"}) == slow.model_dump(exclude={"run", "note"})
    last, before = desk.context.store.snapshot().committed_runs(CurateSummary)[:-3:-1]
    assert last.summary.model_dump(exclude={"note"}) == before.summary.model_dump(exclude={"note"})
    must_know_its_outline(desk.context)


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_run_without_news_a_change_is_found(desk: Desk, change: str) -> None:
    desk.curate()
    CHANGES[change](desk)
    result = desk.curate()
    looks = [run.summary.looked for run in desk.context.store.snapshot().committed_runs(CurateSummary)[2:]]
    assert any(look and look.untouched < result.funnel.current for look in looks)
    must_know_its_outline(desk.context)


def test_a_run_without_news_reads_no_rows(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.curate()
    for name in ("standing.Standing.rows", "standing.Standing.pieces", "derived_rows.DerivedRows.take"):
        monkeypatch.setattr(f"pipeline.curation.{name}", None)
    assert desk.curate().decided == 0


def test_a_run_without_news_imports_no_compiler_nor_model(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, rows(6))
    odd.curate()
    code = (
        "import json, sys; from pathlib import Path; from pydantic import SecretStr\n"
        "from flows.settings import Settings; from flows.context import Context\n"
        "from flows.curate import curate; from flows.engines.engine import Inline\n"
        "settings = Settings(goldleaf_home=sys.argv[2], label_studio_url='', prefect_api_url='')\n"
        "done = curate(Context.load(Path(sys.argv[1]), settings), Inline())\n"
        "print(json.dumps([done.decided, done.looked.why, sorted(name for name in sys.modules if '.' not in name)]))"
    )
    command = [sys.executable, "-c", code, str(odd.folder / "dataset.yaml"), str(odd.home)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    decided, why, modules = json.loads(said.stdout)
    assert (decided, why) == (0, "")
    assert {"numba", "scipy", "sklearn", "torch", "httpx", "pandas", "prefect"}.isdisjoint(modules)
