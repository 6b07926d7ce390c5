"""A home that lost its tables moves no row of the versions that it still has."""

import random
import shutil
from pathlib import Path

import pytest
from lost_homes import opened, published, rebuilt, rows_of, splits
from odd import QUESTION, Odd
from support import write_rows

from flows.engines.engine import Inline
from flows.release import release
from pipeline.curation import stages
from pipeline.errors import Damaged, GoldleafError, ReleaseError
from schemas.run_summary import CurateSummary


def in_batches(folder: Path) -> Odd:
    """A home with three versions, whose rows would be divided otherwise all at once."""
    published(folder, [rows_of(0, 40), rows_of(40, 70), rows_of(70, 80)])
    return opened(folder)


def test_a_home_that_lost_its_tables_moves_no_row_of_the_versions_that_it_still_has(tmp_path: Path) -> None:
    """It once published 1.2.0 with rows of 1.1.0 moved from test to train, without a word."""
    odd = in_batches(tmp_path / "lost")
    before = splits(odd)
    shutil.rmtree(odd.home / "questions" / "tables")
    write_rows(odd.folder, rows_of(0, 120))
    assert odd.curate().note == (
        "80 records now have the split that they have in questions@1.2.0, a version in this home that its tables did "
        "not know"
    )
    assert release(odd.context, Inline()).version == "1.3.0"
    assert before.items() <= splits(odd).items()
    assert odd.context.store.snapshot().published_versions() == {"1.0.0", "1.1.0", "1.2.0", "1.3.0"}
    assert odd.curate().note == ""


def test_rows_that_are_away_when_lost_tables_are_made_up_for_keep_their_splits_too(tmp_path: Path) -> None:
    odd = in_batches(tmp_path / "lost")
    before = splits(odd)
    shutil.rmtree(odd.home / "questions" / "tables")
    write_rows(odd.folder, rows_of(0, 10))
    assert "10 records now have the split that they have in questions@1.2.0" in (note := odd.curate().note)
    assert "; 70 more of its rows are not in the sources now, and keep their splits\n" in note
    write_rows(odd.folder, rows_of(0, 120))
    odd.curate()
    release(odd.context, Inline())
    assert before.items() <= splits(odd).items()


def test_a_home_that_lost_its_tables_and_whose_sources_are_others_is_an_error(tmp_path: Path) -> None:
    odd = in_batches(tmp_path / "lost")
    shutil.rmtree(odd.home / "questions" / "tables")
    others = rows_of(100, 120)
    write_rows(odd.folder, others)
    odd.edit("name: examples", "name: renamed")
    with pytest.raises(
        ReleaseError, match=r"no row of the versions in it, up to questions@1\.2\.0, is among the records"
    ):
        odd.curate()
    assert odd.context.store.snapshot().last_run(CurateSummary) is None
    (odd.home / "questions" / "releases").rename(tmp_path / "elsewhere")
    odd.curate()
    assert release(odd.context, Inline()).version == "1.0.0"


def test_an_export_that_is_renumbered_moves_no_text(tmp_path: Path) -> None:
    """The ids are the old ones, but of other rows."""
    texts = [one for batch in (rows_of(0, 40), rows_of(40, 60)) for one in batch]
    version = published(tmp_path / "lost", [texts[:40], texts[40:]])
    shuffled = random.Random(3).sample(texts, len(texts))
    new = rebuilt(tmp_path / "new", [one | {"id": n} for n, one in enumerate(shuffled)], version)
    new.curate()
    release(new.context, Inline())
    lost = opened(tmp_path / "lost")
    before = {one["question"]: splits(lost)[lost[int(str(one["id"]))].record_id] for one in texts}
    assert before == {one["question"]: splits(new)[new[n].record_id] for n, one in enumerate(shuffled)}


def test_tables_that_are_older_adopt_what_was_published_since(tmp_path: Path) -> None:
    odd = Odd(tmp_path / "home", QUESTION, rows_of(0, 40))
    tables, backup = odd.home / "questions" / "tables", tmp_path / "backup"
    odd.curate()
    release(odd.context, Inline())
    shutil.copytree(tables, backup)
    write_rows(odd.folder, rows_of(0, 60))
    odd.curate()
    release(odd.context, Inline())
    before = splits(odd)
    shutil.rmtree(tables)
    shutil.copytree(backup, tables)
    with pytest.raises(ReleaseError) as error:
        release(odd.context, Inline())
    assert str(error.value) == (
        f"the splits of {odd.home}/questions/releases/1.1.0 are not in the tables, which were lost or are older; run "
        f"`goldleaf curate {odd.folder}/dataset.yaml` first, which adopts them"
    )
    write_rows(odd.folder, rows_of(0, 90))
    assert "20 records now have the split that they have in questions@1.1.0, a version in this" in odd.curate().note
    release(odd.context, Inline())
    assert before.items() <= splits(odd).items()


def test_a_damaged_version_in_a_home_without_tables_is_an_error(tmp_path: Path) -> None:
    odd = in_batches(tmp_path / "lost")
    shutil.rmtree(odd.home / "questions" / "tables")
    next((odd.home / "questions" / "releases" / "1.1.0" / "data").glob("train*")).write_bytes(b"cut off")
    with pytest.raises(Damaged, match=r"questions@1\.1\.0 .* is damaged: data/train.* does not have the bytes"):
        odd.curate()
    assert odd.context.store.snapshot().last_run(CurateSummary) is None


def test_a_curate_that_dies_while_adopting_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = in_batches(tmp_path / "lost")
    before = splits(odd)
    shutil.rmtree(odd.home / "questions" / "tables")

    def dies(*_: object) -> None:
        raise GoldleafError("killed")

    for step in ("commit_version", "triage_cases"):
        with monkeypatch.context() as patch:
            patch.setattr(stages, step, dies)
            with pytest.raises(GoldleafError, match="killed"):
                odd.curate()
    write_rows(odd.folder, rows_of(0, 120))
    odd.curate()
    release(odd.context, Inline())
    assert before.items() <= splits(odd).items()


def test_a_version_of_another_dataset_in_the_home_is_none_of_its_own(tmp_path: Path) -> None:
    """A copy of it next to them must not decide where rows go."""
    others = Odd(tmp_path / "others", QUESTION, rows_of(0, 40))
    others.edit("name: questions", "name: others")
    others.curate()
    version = Path(release(others.context, Inline()).path)
    odd = Odd(tmp_path / "own", QUESTION, rows_of(0, 40))
    shutil.copytree(version, odd.home / "questions" / "releases" / "1.0.0")
    assert "now have the split" not in odd.curate().note
    assert splits(odd) == {}
    assert odd.context.store.snapshot().published_versions() == set()
