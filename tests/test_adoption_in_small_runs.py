"""Once a version was adopted, a run looks up only the rows that came in; each has the split that the version says."""

import random
import shutil
from pathlib import Path

import pytest
from full_runs import must_agree_with_a_full_run
from lost_homes import Row, opened, published, rebuilt, rows_of, splits
from odd import Odd, key
from support import write_rows

from flows.engines.engine import Inline
from pipeline.curation import stages
from pipeline.errors import GoldleafError
from pipeline.releases import adoption
from schemas.run_summary import CurateSummary, Looked, Verb

ADOPTS = "it adopts the splits of a version"
OTHERS = rows_of(200, 260)


def renamed(new: int, number: int) -> Row:
    """What a row of the version asks, under another id."""
    return rows_of(number, number + 1)[0] | {"id": new}


FIRST = [*rows_of(0, 39), renamed(800, 39), *OTHERS]


@pytest.fixture(scope="module")
def adopting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that has adopted a version of 60 rows, of which it has 39, and asks 1 more under another id."""
    folder = tmp_path_factory.mktemp("adopting")
    version = published(folder / "lost", [rows_of(0, 60)])
    new = rebuilt(folder / "new", FIRST, version)
    assert new.curate().looked.why == ADOPTS
    return folder


def copied(adopting: Path, folder: Path) -> Odd:
    shutil.copytree(adopting / "new", folder)
    return opened(folder)


def later(odd: Odd) -> Looked:
    """Rows come in: one of the version by what it asks, one by its id, and one that the version does not know."""
    write_rows(odd.folder, [*FIRST, renamed(900, 45), renamed(39, 70), renamed(901, 71)])
    return odd.curate().looked


def must_have_adopted(odd: Odd, adopting: Path) -> None:
    lost = opened(adopting / "lost")
    known, mine = splits(lost), splits(odd)
    for here, there in ((800, 39), (900, 45), (39, 39), *((n, n) for n in range(39)), *((n, n) for n in range(40, 60))):
        assert mine[key(here)] == known[key(there)], here
    assert key(901) not in mine
    must_agree_with_a_full_run(odd.context)


def test_only_rows_that_came_in_are_looked_up_in_a_version_that_was_adopted(
    adopting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = copied(adopting, tmp_path / "odd")
    with monkeypatch.context() as patch:
        # Without any, the version is not read again.
        patch.setattr(adoption, "verify", None)
        looked = odd.curate().looked
        assert (looked.changed, looked.related, looked.untouched, looked.why) == (0, 0, 100, "")
    looked = later(odd)
    assert (looked.changed, looked.related, looked.untouched, looked.why) == (3, 0, 100, "")
    must_have_adopted(odd, adopting)


def test_another_version_in_the_same_folder_is_adopted_too(adopting: Path, tmp_path: Path) -> None:
    place, second = tmp_path / "kept", tmp_path / "second"
    shutil.copytree(adopting / "lost/home/questions/releases/1.0.0", place)
    odd = rebuilt(tmp_path / "odd", FIRST, place)
    assert odd.curate().looked.why == ADOPTS
    shutil.rmtree(place)
    shutil.copytree(published(second, [[renamed(n + 300, n) for n in range(60, 80)] + OTHERS[:1]]), place)
    assert odd.curate().looked.why == ADOPTS
    assert later(odd).why == ""
    known, mine = splits(opened(second)), splits(odd)
    assert (mine[key(39)], mine[key(901)]) == (known[key(370)], known[key(371)])
    must_agree_with_a_full_run(odd.context)


def test_rows_that_a_failed_run_has_read_are_looked_up_by_the_next_though_answers_were_followed_first(
    adopting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise GoldleafError("killed")

    odd = copied(adopting, tmp_path / "odd")
    with monkeypatch.context() as patch:
        patch.setattr("flows.curate.decide", dies)
        with pytest.raises(GoldleafError, match="killed"):
            later(odd)
    context = odd.context
    last = context.store.snapshot().last_run(CurateSummary)
    assert last is not None
    followed = stages.decide(context, Inline(), context.new_run(Verb.CURATE), last.summary.evaluation)
    # What the failed run has read is taken back, and read again.
    assert followed.looked.changed == 0
    assert later(odd).changed == 3
    must_have_adopted(odd, adopting)
    assert odd.curate().looked.why == ""


@pytest.mark.parametrize("seed", range(2))
def test_after_any_chain_of_small_runs_each_row_has_the_split_that_the_version_says(
    adopting: Path, tmp_path: Path, seed: int
) -> None:
    odd, chance = copied(adopting, tmp_path / "odd"), random.Random(seed)
    rows = {int(str(row["id"])): row for row in FIRST}
    whys = []
    for night in range(6):
        for _ in range(3):
            text = chance.randrange(90)
            new = chance.choice([text, 1_000 + 10 * night + text % 7, chance.choice(list(rows))])
            rows[new] = renamed(new, text)
        del rows[chance.choice(list(rows))]
        write_rows(odd.folder, list(rows.values()))
        whys.append(odd.curate().looked.why)
        must_agree_with_a_full_run(odd.context)
    assert ADOPTS not in whys and whys.count("") > 3
    known, mine = splits(opened(adopting / "lost")), splits(odd)
    here = [number for number, one in rows.items() if one == renamed(number, number) and number < 60]
    assert len(here) > 20 and all(mine[key(number)] == known[key(number)] for number in here)
