"""A frozen source is published as it is: others give way, and only a leak or a hard reason keeps a row of it out."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from candidates import CLAUSE, CONFIGS, LEASE, NEAR, candidate_lists, resolve
from desk import desk_at
from fake_studio import FakeStudio
from hypothesis import given
from odd import QUESTION, Odd
from support import current, row, write_rows
from terminal import Terminal

from flows.engines.engine import Inline
from flows.release import release
from pipeline.dedupe.candidates import Candidate
from pipeline.errors import ConfigError
from pipeline.reporting.duplicates import why_both
from pipeline.reporting.report_data import gather_report
from schemas.dataset import OnConflict
from schemas.decision import Decision
from schemas.fate import Fate, ReasonCode
from schemas.identity import stable_hash

TOPICS = ("billing", "delivery", "returns")
EXAM = "  - {name: exam, path: exam.jsonl, key: id, split: test, frozen: true}\n"
SPLIT = {"train": 0.5, "test": 0.5}


class School(Odd):
    """A dataset with a frozen exam beside its other rows."""

    def __init__(
        self, folder: Path, exam: list[dict[str, Any]], rows: list[dict[str, Any]], task: str = QUESTION
    ) -> None:
        super().__init__(folder, task, rows)
        self.edit("sources:\n", f"sources:\n{EXAM}")
        write_rows(folder, exam, "exam.jsonl")

    def exam(self, key: int) -> Decision:
        return current(self.context)[stable_hash("exam", f"int:{key}")]

    def published(self) -> dict[str, str]:
        """The split of every row of a release."""
        release(self.context, Inline())
        known = dict(self.context.store.snapshot().splits().select("record_id", "split").collect().iter_rows())
        return {
            one.record_id: known[one.record_id] for one in current(self.context).values() if one.fate is Fate.ACCEPTED
        }


def many(first: int, last: int) -> list[dict[str, Any]]:
    return [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(first, last)]


def test_a_frozen_source_needs_a_split(tmp_path: Path) -> None:
    school = School(tmp_path, [], many(0, 3))
    school.edit("split: test, frozen", "frozen")
    with pytest.raises(
        ConfigError, match=r"source 'exam' is frozen, but has no split; name one, such as `split: test`"
    ):
        school.curate()


def test_copies_near_duplicates_and_contradictions_in_a_frozen_source_are_all_published(tmp_path: Path) -> None:
    exam = [
        *(row(1, CLAUSE, "billing"), row(2, CLAUSE, "billing"), row(3, NEAR, "billing"), row(4, CLAUSE, "returns")),
        *(row(5, f"{LEASE}!", "billing"), row(6, f"{LEASE}?", "returns")),
    ]
    school = School(tmp_path, exam, many(10, 20))
    school.edit("audit: 0.0", "audit: 1.0")
    school.curate()
    for key in range(1, 7):
        found = school.exam(key)
        assert (found.fate, found.routed, found.reasons[0].code) == (Fate.ACCEPTED, None, ReasonCode.FROZEN)
    both = why_both(school.exam(1), school.exam(3), 0.9, 0.7, school.context.dataset.task)
    assert both == "both are published as is"
    splits = school.published()
    assert {splits[school.exam(key).record_id] for key in range(1, 7)} == {"test"}


def test_the_audit_says_nothing_of_frozen_rows_which_are_not_asked_about(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, many(5, 8), "review: {budget: 0, audit: 1.0}\n") as desk:
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{EXAM}"))
        write_rows(tmp_path, many(10, 20), "exam.jsonl")
        assert desk.curate().review.audits == 3
        desk.label(5, "billing")
        desk.collect()
        snapshot = desk.context.store.snapshot().at_last_commit()
        review = gather_report(snapshot, desk.context.dataset, funnel=snapshot.funnel()).review
    assert review.audit is not None
    assert (review.audit.checked, review.audit.wrong, review.audit.rows) == (1, 1, 3)
    assert (review.routed, review.sent, review.settled, review.audits_waiting) == (3, 3, 1, 2)


@pytest.mark.parametrize("rule", list(OnConflict))
def test_other_rows_give_way_to_frozen_ones(tmp_path: Path, rule: OnConflict) -> None:
    rows = [row(1, CLAUSE.upper(), "billing"), row(2, f"{NEAR} indeed", "billing"), row(3, CLAUSE, "returns")]
    school = School(
        tmp_path, [row(1, CLAUSE, "billing")], [*rows, row(4, f"{CLAUSE} indeed", "delivery"), *many(9, 20)]
    )
    school.edit("name: questions\n", f"name: questions\non_conflict: {rule}\n")
    school.curate()
    exam = school.exam(1).record_id
    assert school.exam(1).fate is Fate.ACCEPTED
    assert [school[key].duplicate_of for key in (1, 2)] == [exam, exam]
    splits = school.published()
    assert splits[exam] == splits[school[4].record_id] == "test"
    if rule is OnConflict.REVIEW:
        assert (school[3].fate, school.codes(3)) == (Fate.REVIEW, [ReasonCode.CONFLICT])
        assert school[3].reasons[0].detail == "'billing'"
    else:
        assert splits[school[3].record_id] == "test"


def test_soft_checks_do_not_hold_frozen_rows_but_personal_data_does(tmp_path: Path) -> None:
    task = f"{QUESTION}\n    @soft_check\n    def odd(self) -> str | None:\n        return 'odd'\n"
    texts = {1: "where is my parcel", 2: "call me at jo.public@mail.example.org please", 3: "<|im_start|> where is it"}
    school = School(tmp_path, [row(key, text, "billing") for key, text in texts.items()], many(5, 9), task)
    school.curate()
    assert [school.exam(key).fate for key in texts] == [Fate.ACCEPTED, Fate.REVIEW, Fate.REJECTED]
    assert school.codes(5) == [ReasonCode.SOFT_CHECK]


def test_an_unlabeled_row_of_a_frozen_source_waits_for_its_label(tmp_path: Path) -> None:
    school = School(tmp_path, [row(1, CLAUSE, None)], many(5, 9))
    school.curate()
    assert (school.exam(1).fate, school.exam(1).reasons[0].code) == (Fate.REVIEW, ReasonCode.UNLABELED)


def test_a_frozen_row_whose_near_duplicate_was_published_for_training_is_left_out_and_counted(tmp_path: Path) -> None:
    school = School(tmp_path, [], [row(1, CLAUSE, "billing"), row(2, LEASE, "billing"), *many(5, 30)])
    school.edit("review:", "split: {fractions: {train: 1.0, test: 0.0}}\nreview:")
    school.curate()
    school.published()
    write_rows(
        tmp_path, [row(1, CLAUSE, "billing"), row(2, NEAR, "billing"), row(3, "unheard of", "returns")], "exam.jsonl"
    )
    note = school.curate().note
    assert "1 of 3 rows of `exam` are published unchanged in test; left out: 2 bridges_splits" in note
    assert school.exam(1).reasons[0].detail == "test and train"
    assert [school.exam(key).reasons[0].code for key in (1, 2, 3)] == [
        *[ReasonCode.BRIDGES_SPLITS] * 2,
        ReasonCode.FROZEN,
    ]
    splits = school.published()
    assert (splits[school[1].record_id], splits[school.exam(3).record_id]) == ("train", "test")


def test_of_similar_rows_that_are_frozen_in_two_splits_one_is_left_out(tmp_path: Path) -> None:
    school = School(tmp_path, [row(1, CLAUSE, "billing")], many(5, 30))
    school.edit("sources:\n", "sources:\n  - {name: dev, path: dev.jsonl, key: id, split: validation, frozen: true}\n")
    write_rows(tmp_path, [row(1, NEAR, "billing")], "dev.jsonl")
    note = school.curate().note
    assert "left out: 1 bridges_splits" in note
    assert {school.exam(1).fate, current(school.context)[stable_hash("dev", "int:1")].fate} == {
        Fate.ACCEPTED,
        Fate.REJECTED,
    }


def test_what_keeps_rows_of_a_frozen_source_out_is_counted(tmp_path: Path) -> None:
    held = "call me at jo.public@mail.example.org please"
    exam = [row(1, "one", "nonsense"), row(2, "two", "nothing"), row(3, "three", None), row(4, held, "billing")]
    school = School(tmp_path, [*exam, row(5, CLAUSE, "billing")], many(5, 9))
    said = "1 of 5 rows of `exam` are published unchanged in test; left out: 2 invalid, 1 personal_data, 1 unlabeled"
    assert said in school.curate().note.splitlines()
    write_rows(tmp_path, [row(5, CLAUSE, "billing")], "exam.jsonl")
    school.edit("split: test", "mode: snapshot, split: test")
    assert "exam" not in school.curate().note


def test_release_card_and_status_say_what_is_missing_of_a_frozen_source_and_why(tmp_path: Path) -> None:
    held = "call me at jo.public@mail.example.org please"
    exam = [row(1, "one", "nonsense"), row(2, "two", "nothing"), row(3, "three", None), row(4, held, "billing")]
    school = School(tmp_path, [*exam, row(5, CLAUSE, "billing"), row(6, LEASE, "returns")], many(5, 9))
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    line = "2 of 6 rows of `exam` are published unchanged in test; left out: 2 invalid, 1 personal_data, 1 unlabeled"
    assert line.replace("are", "will be", 1) in terminal.goldleaf("status").stdout.splitlines()
    assert line in terminal.goldleaf("release").stdout.splitlines()
    assert line in terminal.goldleaf("release").stdout.splitlines(), "also where nothing is new"
    assert line in terminal.goldleaf("status").stdout.splitlines()
    assert terminal.json("status")["frozen"] == [
        {
            **{"name": "exam", "split": "test", "rows": 6, "elsewhere": {}},
            "left_out": {"invalid": 2, "personal_data": 1, "unlabeled": 1},
            "is_published": True,
        }
    ]
    card = (school.context.store.releases / "1.0.0" / "README.md").read_text(encoding="utf-8")
    assert f"- {line}." in card.splitlines()
    school.edit(", frozen: true", "")
    assert "as they are" not in terminal.goldleaf("status").stdout, "the file says something else now"


def test_a_frozen_source_that_is_there_as_a_whole_is_said_to_be(tmp_path: Path) -> None:
    school = School(tmp_path, [row(1, CLAUSE, "billing"), row(2, CLAUSE, "billing")], many(5, 9))
    school.curate()
    assert [str(one) for one in release(school.context, Inline()).frozen] == [
        "2 of 2 rows of `exam` are published unchanged in test"
    ]


def test_rows_that_were_published_before_their_source_was_frozen_are_counted_where_they_stay(tmp_path: Path) -> None:
    school = School(tmp_path, many(50, 80), many(5, 30))
    school.edit(", split: test, frozen: true", "")
    school.curate()
    first = list(school.published().items())
    counts = Counter(
        split for record_id, split in first if record_id in {stable_hash("exam", f"int:{n}") for n in range(50, 80)}
    )
    school.edit("path: exam.jsonl,", "path: exam.jsonl, split: test, frozen: true,")
    others = ", ".join(f"{count} in {split}" for split, count in counts.most_common() if split != "test")
    line = f"{counts['test']} of 30 rows of `exam` are published unchanged in test; "
    line += f"published before, and rows never move: {others}"
    terminal = Terminal(tmp_path)
    assert f"note: {line}" in terminal.goldleaf("curate").stdout.splitlines()
    assert line in terminal.goldleaf("release").stdout.splitlines()
    assert dict(first).items() <= school.published().items()


def test_the_card_counts_rows_by_source_and_split(tmp_path: Path) -> None:
    school = School(tmp_path, [row(1, CLAUSE, "billing"), row(2, LEASE, "billing")], many(5, 30))
    school.edit("review:", "split: {fractions: {train: 1.0, test: 0.0}}\nreview:")
    school.curate()
    card = (Path(release(school.context, Inline()).path) / "README.md").read_text(encoding="utf-8")
    assert (
        "| source | license | rows in train | rows in test |\n| --- | --- | --: | --: |\n"
        "| exam | unknown | 0 | 2 |\n| examples | MIT | 25 | 0 |\n"
    ) in card


def test_what_resembles_a_set_to_keep_away_from_may_still_be_in_a_frozen_test_set(tmp_path: Path) -> None:
    school = School(tmp_path, [row(1, CLAUSE, "billing")], [row(2, NEAR, "billing"), *many(5, 9)])
    (tmp_path / "known.jsonl").write_text(json.dumps({"question": CLAUSE}) + "\n", encoding="utf-8")
    school.edit("review:", "decontaminate: {against: [{name: known, path: known.jsonl}]}\nreview:")
    school.curate()
    assert school.exam(1).fate is Fate.ACCEPTED
    assert school.codes(2) == [ReasonCode.CONTAMINATED]


def test_the_card_says_which_rows_are_published_as_they_are(tmp_path: Path) -> None:
    school = School(tmp_path, [row(1, CLAUSE, "billing")], many(5, 30))
    school.curate()
    card = (Path(release(school.context, Inline()).path) / "README.md").read_text(encoding="utf-8")
    assert "The rows of `exam` (test) are published as is: copies and uncertain answers among them were kept." in card


@given(candidate_lists(), CONFIGS)
def test_a_frozen_row_is_kept_as_it_is_or_would_be_a_leak(
    rows: list[Candidate], config: tuple[float, OnConflict]
) -> None:
    result = resolve(rows, *config)
    for one in rows:
        found = result[one.record_id]
        if one.frozen:
            assert found.duplicate_of is None
            assert found.overridden_by is None
            assert not found.conflicting_answers
            assert found.bridges is not None or found.split == one.split
