"""Personal data that many rows share is one question, and its answer frees them all; a release tells what is wrong."""

from collections import Counter
from pathlib import Path

import pytest
from desk import Row, desk_at
from fake_studio import FakeStudio
from support import current, row
from test_error_outlook import labeled

from flows.cli.verbs import show_released
from flows.engines.engine import Inline
from flows.release import release
from schemas.fate import Fate, ReasonCode

SHOP = "+49 30 901820"


def shop_rows() -> list[Row]:
    """Rows of one shop with its telephone number, and one of somebody else."""
    first = "apple river stone cloud maple tiger piano candle bridge rocket garden window silver pepper anchor"
    words = [*first.split(), "ladder", "violin", "meadow", "copper", "walnut"]
    rows = [row(n, f"{word} {words[n - 7]} {words[n - 3]}{n}: {SHOP}", "delivery") for n, word in enumerate(words)]
    return [*rows, row(20, "my own number is +49 171 3920034", "billing")]


def test_an_accepted_number_frees_all_rows_that_have_it_and_a_deleted_answer_holds_them_again(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, shop_rows(), "review: {budget: 0, personal_budget: 1, audit: 0.0}\n") as desk:
        desk.curate()
        [key] = [key for key in range(21) if desk.id(key) in desk.asked()]
        assert key < 20, "one question, and the more frequent number first"
        answer = desk.label(key, "delivery")
        desk.collect()
        fates = [desk.decision(key) for key in range(21)]
        assert Counter(one.fate for one in fates) == {Fate.ACCEPTED: 20, Fate.REVIEW: 1}
        codes = Counter(one.reasons[0].code for one in fates)
        assert codes == {ReasonCode.CLEARED: 19, ReasonCode.REVIEWED: 1, ReasonCode.PERSONAL_DATA: 1}
        assert fates[20].fate is Fate.REVIEW
        desk.curate()
        assert current(desk.context) == {one.record_id: one for one in fates}, "a repeated run changes nothing"
        desk.delete(f"annotations/{answer}")
        desk.collect()
        assert Counter(desk.decision(key).fate for key in range(21)) == {Fate.REVIEW: 21}


def test_a_release_says_how_many_rows_it_publishes_that_are_probably_wrong(
    studio: FakeStudio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with desk_at(studio, tmp_path, labeled(300), "review: {budget: 20, audit: 0.0}\n") as desk:
        desk.curate()
        released = release(desk.context, Inline())
        assert 20 <= released.probably_wrong <= 45, "60 are wrong, and 20 of them wait"
        show_released(released)
        said = capsys.readouterr().out
        assert f"{released.probably_wrong} published rows are probably wrong: nobody was asked" in said
