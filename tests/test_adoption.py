"""A rebuilt home adopts the splits of the lost one from a published version."""

import json
import random
import shutil
from pathlib import Path

import pytest
from candidates import CLAUSE, LEASE, NEAR
from lost_homes import TOPICS, Row, opened, published, rebuilt, rows_of, splits
from odd import QUESTION, Odd
from support import row, state, write_rows
from terminal import Terminal

from flows.engines.engine import Inline
from flows.release import release
from pipeline.curation import stages
from pipeline.errors import Damaged, GoldleafError, ReleaseError
from pipeline.state.tables import Table
from schemas.fate import Fate, ReasonCode
from schemas.run_summary import CurateSummary


def test_a_home_that_is_rebuilt_moves_no_row_of_the_version_that_it_adopts(tmp_path: Path) -> None:
    batches = [rows_of(0, 40), rows_of(40, 70), rows_of(70, 80)]
    version = published(tmp_path / "lost", batches)
    rows = random.Random(1).sample([row for batch in batches for row in batch] + rows_of(80, 120), 120)
    new = rebuilt(tmp_path / "new", rows, version)
    note = new.curate().note
    assert "80 records now have the split that they have in questions@1.2.0" in note
    before = splits(new)
    release(new.context, Inline())
    assert before == splits(opened(tmp_path / "lost"))
    assert before.items() <= splits(new).items()
    assert len(splits(new)) == 120


def test_versions_of_a_home_that_is_rebuilt_come_after_the_one_that_it_adopted(tmp_path: Path) -> None:
    """Or two datasets of other rows would have one name."""
    version = published(tmp_path / "lost", [rows_of(0, 20), rows_of(20, 30)])
    new = rebuilt(tmp_path / "new", rows_of(0, 40), version)
    new.curate()
    new.edit(f"split: {{adopt: {version}}}\n", "")
    new.curate()
    with pytest.raises(
        ReleaseError, match=r"version 1\.1\.0 is not above 1\.1\.0, the latest one; pass --version 1\.2\.0"
    ):
        release(new.context, Inline(), version="1.1.0")
    assert release(new.context, Inline()).version == "1.2.0"
    assert release(new.context, Inline()).version == "1.2.0"


def test_the_version_of_another_dataset_counts_for_nothing_but_its_splits(tmp_path: Path) -> None:
    version = published(tmp_path / "lost", [rows_of(0, 20), rows_of(20, 30)])
    new = rebuilt(tmp_path / "new", rows_of(0, 40), version)
    new.edit("name: questions", "name: others")
    assert "30 records now have the split that they have in questions@1.1.0" in new.curate().note
    assert release(new.context, Inline()).version == "1.0.0"


def test_rows_under_other_ids_are_recognized_by_their_content(tmp_path: Path) -> None:
    version = published(tmp_path / "lost", [rows_of(0, 30)])
    renamed = [row(n + 500, str(one["question"]).upper(), TOPICS[n % 3]) for n, one in enumerate(rows_of(0, 30))]
    new = rebuilt(tmp_path / "new", renamed, version)
    assert "30 of them recognized by their content" in new.curate().note
    release(new.context, Inline())
    lost = opened(tmp_path / "lost")
    for number in range(30):
        assert splits(new)[new[number + 500].record_id] == splits(lost)[lost[number].record_id]


LISTS = '''
class Question(Task):
    """Name the topic of this question."""

    lines: Input[list[str]]
    customer: Input[dict[str, int]]
    topic: Target[Literal["billing", "delivery", "returns"]]
'''


def test_inputs_that_are_lists_and_objects_are_recognized_too(tmp_path: Path) -> None:
    """A version holds them as JSON text."""

    def lists(first: int) -> list[Row]:
        words = [str(one["question"]).split() for one in rows_of(0, 30)]
        return [
            {"id": first + n, "lines": lines, "customer": {"no": n}, "topic": TOPICS[n % 3]}
            for n, lines in enumerate(words)
        ]

    lost = Odd(tmp_path / "lost", LISTS, lists(0))
    lost.curate()
    version = Path(release(lost.context, Inline()).path)
    new = Odd(tmp_path / "new", LISTS, lists(500), f"split: {{adopt: {version}}}\n")
    assert "30 records now have the split that they have in questions@1.0.0, 30 of them" in new.curate().note
    release(new.context, Inline())
    for number in range(30):
        assert splits(new)[new[number + 500].record_id] == splits(lost)[lost[number].record_id]


def test_an_adopted_split_pins_what_is_similar_to_its_row(tmp_path: Path) -> None:
    version = published(tmp_path / "lost", [[*rows_of(0, 20), row(50, CLAUSE, "billing"), row(51, LEASE, "billing")]])
    new = rebuilt(tmp_path / "new", [*rows_of(0, 9), row(50, CLAUSE, "billing"), row(60, NEAR, "returns")], version)
    new.curate()
    assert new[60].fate is Fate.ACCEPTED
    release(new.context, Inline())
    assert splits(new)[new[60].record_id] == splits(new)[new[50].record_id]


def test_a_row_between_two_adopted_splits_is_left_out(tmp_path: Path) -> None:
    # Longer than both, so that neither represents it.
    middle = f"{CLAUSE} {LEASE}"
    odd = Odd(tmp_path / "lost", QUESTION, [row(1, CLAUSE, "billing"), row(2, LEASE, "returns")])
    with (tmp_path / "lost" / "dataset.yaml").open("a", encoding="utf-8") as file:
        file.write("split: {fractions: {train: 0.5, test: 0.5}}\n")
    odd.curate()
    version = Path(release(odd.context, Inline()).path)
    rows = [row(1, CLAUSE, "billing"), row(2, LEASE, "returns"), row(3, middle, "delivery")]
    more = f"split: {{fractions: {{train: 0.5, test: 0.5}}, adopt: [{version}]}}\nduplicates: {{threshold: 0.3}}\n"
    new = Odd(tmp_path / "new", QUESTION, rows, more)
    new.curate()
    assert new.codes(3) == [ReasonCode.BRIDGES_SPLITS]


def test_what_has_a_split_keeps_it_and_nothing_is_adopted_twice(tmp_path: Path) -> None:
    version = published(tmp_path / "lost", [rows_of(0, 30)])
    new = Odd(tmp_path / "new", QUESTION, rows_of(10, 40))
    new.curate()
    release(new.context, Inline())
    before = splits(new)
    write_rows(new.folder, rows_of(0, 40))
    with (new.folder / "dataset.yaml").open("a", encoding="utf-8") as file:
        file.write(f"split: {{adopt: [{version}]}}\n")
    assert "10 records now have the split that they have in questions@1.0.0" in new.curate().note
    assert before.items() <= splits(new).items()
    rows = new.context.store.snapshot().scan(Table.SPLITS).collect().height
    assert "now have the split" not in new.curate().note
    assert new.context.store.snapshot().scan(Table.SPLITS).collect().height == rows == 40


def test_a_damaged_version_or_none_is_an_error_and_nothing_is_decided(tmp_path: Path) -> None:
    version = published(tmp_path / "lost", [rows_of(0, 30)])
    next((version / "data").glob("train*")).write_bytes(b"cut off")
    new = rebuilt(tmp_path / "new", rows_of(0, 30), version)
    with pytest.raises(
        Damaged, match=r"questions@1.0.0 .* is damaged: data/train.* does not have the bytes that were published"
    ):
        new.curate()
    with pytest.raises(ReleaseError, match=r"is not a published version: it has no manifest.json"):
        rebuilt(tmp_path / "other", rows_of(0, 3), tmp_path).curate()
    assert new.context.store.snapshot().last_run(CurateSummary) is None


def test_a_curate_that_dies_after_adopting_ends_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = published(tmp_path / "lost", [rows_of(0, 30)])
    new, undisturbed = (rebuilt(tmp_path / name, rows_of(0, 40), version) for name in ("new", "undisturbed"))

    def dies(*_: object) -> None:
        raise GoldleafError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(stages, "triage_cases", dies)
        with pytest.raises(GoldleafError, match="killed"):
            new.curate()
    for one in (new, undisturbed):
        one.curate()
        release(one.context, Inline())
    assert splits(new) == splits(undisturbed)
    assert state(new.context.store)["decisions"] == state(undisturbed.context.store)["decisions"]


def test_a_version_does_not_tell_which_folder_it_adopted(tmp_path: Path) -> None:
    version = published(tmp_path / "lost", [rows_of(0, 30)])
    new = rebuilt(tmp_path / "new", rows_of(0, 30), version)
    new.curate()
    manifest = Path(release(new.context, Inline()).path) / "manifest.json"
    assert json.loads(manifest.read_bytes())["config"]["split"]["adopt"] == ["1.0.0"]
    shutil.rmtree(version)
    with pytest.raises(ReleaseError, match=r"there is no folder .*; name the folder of a version$"):
        new.curate()


def test_a_version_that_has_no_row_in_common_with_the_records_is_an_error(tmp_path: Path) -> None:
    """Ids and fields had changed, and rows of test got into train without a word."""
    version = published(tmp_path / "lost", [rows_of(0, 30)])
    others = [row(n, f"hat{n} coat{n} scarf{n} tore{n}", TOPICS[n % 3]) for n in range(100, 130)]
    new = rebuilt(tmp_path / "new", others, version)
    line = Terminal(new.folder).error("curate", "--json")
    assert line == (
        "split.adopt: no row of questions@1.0.0 is among the records, by id or by inputs, so none "
        "would keep its split; fix the folder, or the sources and their fields, or remove it from split.adopt"
    )
    assert new.context.store.snapshot().last_run(CurateSummary) is None
    write_rows(new.folder, [*others, *rows_of(0, 1)])
    assert "1 records now have the split" in new.curate().note


@pytest.mark.parametrize(
    ("folder", "reason"),
    [("a\\0b", "embedded null byte"), ("n" * 300, "File name too long"), ("data.jsonl", "Not a directory")],
)
def test_a_folder_that_cannot_be_adopted_is_one_clear_line_for_curate_and_check(
    tmp_path: Path, folder: str, reason: str
) -> None:
    odd = Odd(tmp_path, QUESTION, rows_of(0, 3), f'split: {{adopt: "{folder}"}}\n')
    terminal = Terminal(odd.folder)
    said = f"split.adopt: {tmp_path}/{folder} cannot be read ({reason}); name the folder of a published version"
    assert terminal.error("curate", "--json") == said
    found = {finding["what"]: finding for finding in terminal.json("check", exit_code=1)}[f"split.adopt {folder}"]
    assert not found["ok"]
    assert found["detail"] == said


def test_check_verifies_the_versions_that_would_be_adopted(tmp_path: Path) -> None:
    version = published(tmp_path / "lost", [rows_of(0, 30)])
    terminal = Terminal(rebuilt(tmp_path / "new", rows_of(0, 30), version).folder)
    what = f"split.adopt {version}"
    found = {finding["what"]: finding for finding in terminal.json("check")}
    said = "questions@1.0.0 is undamaged, with the splits of 30 rows; "
    assert found[what]["detail"] == f"{said}30 of 30 valid rows tried are in it"
    next((version / "data").glob("test*")).unlink()
    found = {finding["what"]: finding for finding in terminal.json("check", exit_code=1)}
    assert not found[what]["ok"]
    assert "is damaged: data/test" in found[what]["detail"]


def test_check_says_whether_the_rows_are_those_of_the_version_that_would_be_adopted(tmp_path: Path) -> None:
    version = published(tmp_path / "lost", [rows_of(0, 30)])
    others = [row(n, f"hat{n} coat{n} scarf{n} tore{n}", TOPICS[n % 3]) for n in range(100, 330)]
    new = rebuilt(tmp_path / "new", others[:30], version)
    new.edit("name: questions", "name: tickets")

    def found(exit_code: int) -> str:
        findings = Terminal(new.folder).json("check", exit_code=exit_code)
        return next(str(one["detail"]) for one in findings if one["what"] == f"split.adopt {version}")

    other = "; it is a version of 'questions', so 'tickets' is numbered independently; "
    refused = "; curate refuses a version without any of these rows; fix the folder, or the sources and fields"
    assert found(1).endswith(f"{other}none of 30 valid rows tried is in it{refused}")
    assert "no row of questions@1.0.0 is among the records" in Terminal(new.folder).error("curate", "--json")
    write_rows(new.folder, [*others, *rows_of(0, 1)])
    assert "none of 200 valid rows tried is in it" in found(0), "a later row may be"
    write_rows(new.folder, [*others[:30], {"question": "LAMP0 chair0 desk0 broke0", "topic": "billing"}])
    assert found(0).endswith(f"{other}1 of 31 valid rows tried is in it"), "by what it asks"


def test_a_loop_of_links_to_adopt_is_one_clear_line(tmp_path: Path) -> None:
    terminal = Terminal(Odd(tmp_path, QUESTION, rows_of(0, 3), "split: {adopt: loop}\n").folder)
    (tmp_path / "loop").symlink_to("loop")
    assert terminal.error("curate", "--json").startswith(f"split.adopt: {tmp_path}/loop cannot be read (")


@pytest.mark.parametrize(
    ("folder", "instead"), [("../away", ""), ("tickets@1.0.0", ", such as …/tickets/releases/1.0.0, not name@version")]
)
def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path, folder: str, instead: str) -> None:
    (tmp_path / "here").mkdir()
    terminal = Terminal(Odd(tmp_path / "here", QUESTION, rows_of(0, 3), f"split: {{adopt: {folder}}}\n").folder)
    place = (tmp_path / "here" / folder).resolve()
    said = f"split.adopt: there is no folder {place}; name the folder of a version{instead}"
    assert terminal.error("curate", "--json") == said
    [found] = [one for one in terminal.json("check", exit_code=1) if one["what"].startswith("split.adopt")]
    assert found["detail"] == said
