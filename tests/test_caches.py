"""What is kept between runs is a cache: damaged or gone, it is made anew, and nothing is decided differently."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from damage import DAMAGES
from lost_homes import opened, rows_of
from odd import QUESTION, Odd
from support import state, write_rows

import pipeline.curation.prepare
import pipeline.curation.stages
import pipeline.ingest.sources
from flows.curate import Curated, curate
from flows.engines.engine import Inline
from pipeline.ingest.raw_rows import RawRow

CACHES = ("derived", "standing", "judges", "read")
ROWS = 60


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return curated_in(tmp_path_factory.mktemp("caches") / "curated").folder


def curated_in(folder: Path, task: str = QUESTION) -> Odd:
    """A dataset that two runs have curated, with enough labels for a judge."""
    odd = Odd(folder, task, rows_of(0, ROWS))
    for until in (ROWS, ROWS + 2):
        write_rows(odd.folder, rows_of(0, until))
        odd.curate()
    return odd


def copied(curated: Path, folder: Path) -> Odd:
    shutil.copytree(curated, folder)
    return opened(folder)


def files(odd: Odd, cache: str) -> list[Path]:
    """The first, the last and one in between: a judge has a file for each of its arrays."""
    found = sorted(path for path in (odd.home / "questions" / cache).rglob("*") if path.is_file())
    return sorted({found[0], found[len(found) // 2], found[-1]})


def later(odd: Odd) -> Curated:
    """A run with three new rows, of which one repeats another."""
    write_rows(odd.folder, [*rows_of(0, ROWS + 4), *(row | {"id": 900} for row in rows_of(7, 8))])
    return odd.curate()


def whole(odd: Odd) -> dict[str, Any]:
    return state(odd.context.store)


@pytest.mark.parametrize("cache", CACHES)
def test_every_run_leaves_its_caches_behind(curated: Path, tmp_path: Path, cache: str) -> None:
    assert files(copied(curated, tmp_path / "copy"), cache)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("cache", CACHES)
def test_a_damaged_cache_is_made_anew(curated: Path, tmp_path: Path, cache: str, damage: str) -> None:
    before = whole(copied(curated, tmp_path / "before"))
    for number, name in enumerate(file.name for file in files(opened(curated), cache)):
        odd = copied(curated, tmp_path / str(number))
        DAMAGES[damage](files(odd, cache)[number])
        assert odd.curate().decided == 0, name
        assert whole(odd) == before, name
        assert odd.curate().looked.why == "", name


@pytest.mark.parametrize("cache", CACHES)
def test_a_cache_that_is_gone_makes_no_difference_to_new_rows(curated: Path, tmp_path: Path, cache: str) -> None:
    undisturbed, odd = (copied(curated, tmp_path / name) for name in ("undisturbed", "disturbed"))
    shutil.rmtree(odd.home / "questions" / cache)
    assert later(undisturbed).looked.why == ""
    assert later(odd).added == 3
    found = [whole(one) for one in (odd, undisturbed)]
    if cache == "judges":
        # What judges the new labels has seen them.
        found = [one | {"decisions": [(row["record_id"], row["fate"]) for row in one["decisions"]]} for one in found]
    assert found[0] == found[1]


def test_a_run_says_why_it_looks_at_everything(curated: Path, tmp_path: Path) -> None:
    said = {}
    for cache in CACHES:
        odd = copied(curated, tmp_path / cache)
        shutil.rmtree(odd.home / "questions" / cache)
        said[cache] = odd.curate().looked.why
    assert said == {
        "derived": "what was derived from the rows is gone, or of another Goldleaf",
        "standing": "what stands of the last run is not known",
        "judges": "what judges the labels is gone, or of another Goldleaf",
        "read": "",
    }


# --- everything anew --------------------------------------------------------------------------------
@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[RawRow]:
    """The rows that were parsed from files."""
    rows: list[RawRow] = []
    read_rows: Callable[..., Iterator[RawRow]] = pipeline.ingest.sources.read_rows

    def noted(*args: Any) -> Iterator[RawRow]:
        for row in read_rows(*args):
            rows.append(row)
            yield row

    monkeypatch.setattr(pipeline.ingest.sources, "read_rows", noted)
    return rows


def test_only_a_full_run_reads_and_decides_about_what_has_not_changed(
    curated: Path, tmp_path: Path, parsed: list[RawRow]
) -> None:
    odd = copied(curated, tmp_path / "copy")
    before = whole(odd)
    looked = odd.curate().looked
    assert (len(parsed), looked.related, looked.untouched) == (0, 0, ROWS + 2)
    full = curate(odd.context, Inline(), full=True)
    assert len(parsed) == ROWS + 2
    assert (full.looked.related, full.looked.untouched, full.decided) == (ROWS + 2, 0, 0)
    assert whole(odd) == before


# --- everything is looked at, but not derived --------------------------------------------------------
@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The rows that were parsed by their task."""
    rows: list[object] = []
    parse_row: Callable[..., Any] = pipeline.curation.prepare.parse_row

    def noted(raw: object, *args: Any) -> Any:
        rows.append(raw)
        return parse_row(raw, *args)

    monkeypatch.setattr(pipeline.curation.prepare, "parse_row", noted)
    return rows


@pytest.mark.parametrize(
    ("change", "of_old"),
    [("duplicates: {threshold: 0.83}\n", 0), ("normalize: {whitespace: keep}\n", ROWS + 2)],
    ids=["other threshold", "other cleaning"],
)
def test_a_changed_configuration_derives_anew_what_follows_from_it(
    tmp_path: Path, derived: list[object], change: str, of_old: int
) -> None:
    odd = curated_in(tmp_path / "curated")
    derived.clear()
    with (odd.folder / "dataset.yaml").open("a", encoding="utf-8") as file:
        file.write(change)
    looked = later(odd).looked
    assert (looked.why, looked.untouched) == (f"dataset.yaml has changed ({change.partition(':')[0]})", 0)
    assert len(derived) == of_old + 3
    decided_by_itself(odd)


def test_what_has_changed_is_named(tmp_path: Path) -> None:
    odd = curated_in(tmp_path / "curated")
    write_rows(odd.folder, rows_of(900, 901), "exam.jsonl")
    said = []
    for old, new, file in (
        ("Name the topic", "Say the topic", "task.py"),
        ("budget: 0,", "budget: 1,", "dataset.yaml"),
        (
            "review:",
            "on_conflict: any_of\ndecontaminate: {against: [{name: exam, path: exam.jsonl}]}\nreview:",
            "dataset.yaml",
        ),
    ):
        odd.edit(old, new, file)
        said.append(odd.curate().looked.why)
    assert said == [
        "the task has changed",
        "dataset.yaml has changed (review)",
        "dataset.yaml has changed (decontaminate, on_conflict); the evaluation sets have changed",
    ]
    write_rows(odd.folder, rows_of(900, 902), "exam.jsonl")
    assert odd.curate().looked.why == "the evaluation sets have changed"


def test_labels_are_learned_anew_from_what_is_derived(curated: Path, tmp_path: Path, derived: list[object]) -> None:
    odd = copied(curated, tmp_path / "copy")
    write_rows(odd.folder, rows_of(0, ROWS + 20))
    assert odd.curate().looked.why.startswith("labels are learned anew")
    assert len(derived) == 18
    decided_by_itself(odd)


def decided_by_itself(odd: Odd) -> None:
    """A run that derives all rows anew decides about none otherwise."""
    assert curate(odd.context, Inline(), full=True).decided == 0


def test_a_row_that_came_in_again_is_derived_anew(tmp_path: Path) -> None:
    """Its bytes are the same, and broken for another reason. It was away in a run that was killed."""
    odd = Odd(tmp_path / "broken", QUESTION, rows_of(0, 30))
    odd.edit("sources:\n", "sources:\n  - {name: lines, path: lines.csv, mode: snapshot, most_unreadable: 1}\n")
    file = odd.folder / "lines.csv"
    file.write_text("question,topic,more\na,b,c,d,e,f\n")
    odd.curate()
    file.write_text("question,topic,more\nu,v,w,x,y,z\n")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(pipeline.curation.stages, "triage_cases", lambda *args: sys.exit("as if it were killed"))
        odd.curate()
    file.write_text("question,topic,more,still\na,b,c,d,e,f\n")
    with (odd.folder / "dataset.yaml").open("a", encoding="utf-8") as text:
        text.write("duplicates: {threshold: 0.83}\n")
    assert odd.curate().looked.why == "dataset.yaml has changed (duplicates)"
    decided_by_itself(odd)


def test_a_module_that_the_task_uses_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directly, or through another one."""
    monkeypatch.syspath_prepend(tmp_path)
    names = {"checks_of_team": "from words_of_team import WORDS\n", "words_of_team": "WORDS = ['billing']\n"}
    for name, text in names.items():
        (tmp_path / f"{name}.py").write_text(text)
    odd = curated_in(tmp_path / "curated", "from checks_of_team import WORDS\n" + QUESTION)
    assert odd.curate().looked.why == ""
    for name, text in names.items():
        (tmp_path / f"{name}.py").write_text(text + "# another one\n")
        assert odd.curate().looked.why == "the task has changed", name
    assert odd.curate().looked.why == ""
