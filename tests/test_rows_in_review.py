"""Rows that wait in review are no test questions: whoever reads a score is told so, and what they may change."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from assessed import assessed, share_right, spread, verdict_on
from home_of_answers import ASKED, home_in
from odd import QUESTION, Odd
from support import row
from verdict_toys import tuning_wins

from flows.engines.engine import Inline
from flows.release import release
from pipeline.evaluation.estimates import Unit
from pipeline.ladder.judgement import Verdict
from pipeline.ladder.rows_in_review import RowsInReview, rows_in_review
from pipeline.releases.draft import draft_release
from pipeline.releases.versions import read_manifest
from pipeline.reporting.verdict_page import verdict_page
from schemas.fate import Fate, Reason, ReasonCode
from schemas.manifest import Manifest, SplitFile

WAITING = RowsInReview(rows=33, doubted=27, expected=6.0)
FIRST = "Let annotators answer the 33 rows that wait in review first: `goldleaf status` says how. "
LABELED = [row(n, f"the fee of {n} was wrong", "billing") for n in range(20)]


# --- what a version knows of them -------------------------------------------------------------------
def test_a_version_counts_the_rows_with_an_answer_that_wait_and_those_that_models_doubt(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    doubt, conflict = Reason(code=ReasonCode.LABEL_ERROR), Reason(code=ReasonCode.CONFLICT)
    home.curated(
        home.asked("accepted", fate=Fate.ACCEPTED, routed=None),
        home.asked("doubted", reasons=[conflict, doubt]),
        home.asked("in conflict", reasons=[conflict]),
        home.asked("unlabeled", targets=None, label_source=None, reasons=[Reason(code=ReasonCode.UNLABELED)]),
        home.asked("rejected", fate=Fate.REJECTED, routed=None, reasons=[ASKED, doubt]),
    )
    draft = draft_release(home.now, home.dataset, lambda ids: {})
    assert (draft.funnel.review, draft.in_review, draft.doubted) == (3, 2, 1)


def published(folder: Path, rows: list[dict[str, Any]]) -> tuple[Manifest, str]:
    """A version of some rows, and its card."""
    odd = Odd(folder, QUESTION, rows, "duplicates: {threshold: 1.0}\n")
    odd.curate()
    version = Path(release(odd.context, Inline()).path)
    return read_manifest(version), (version / "README.md").read_text()


def test_the_card_of_a_version_says_that_scores_on_its_test_split_are_of_the_easier_rest(tmp_path: Path) -> None:
    conflict = [row(98, "where is it", "billing"), row(99, "where is it", "delivery")]
    manifest, card = published(tmp_path / "some", [*LABELED, *conflict])
    assert (manifest.in_review, manifest.doubted, manifest.funnel.review) == (2, 0, 2)
    assert "- 2 rows with an answer wait in review, in none of the splits: they are harder than the others" in card
    manifest, card = published(tmp_path / "none", LABELED)
    assert (manifest.in_review, rows_in_review(manifest, "test")) == (0, None)
    assert "in review, in none of the splits" not in card


def of(waiting: int, fractions: dict[str, float], **more: Any) -> Manifest:
    return Manifest.model_construct(in_review=waiting, doubted=0, config={"split": {"fractions": fractions}}, **more)


@pytest.mark.parametrize(
    ("fractions", "expected"),
    [({"train": 0.7, "test": 0.3}, 12.0), ({"train": 3, "test": 1}, 10.0), ({"train": 0.5, "validation": 0.5}, None)],
)
def test_as_many_would_be_test_questions_as_of_other_rows(fractions: dict[str, float], expected: float | None) -> None:
    found = rows_in_review(of(40, fractions), "test")
    assert (found and found.expected) == (expected and pytest.approx(expected))


@pytest.mark.parametrize(
    ("sources", "pinned", "exam", "expected"),
    [
        ({"log": "train", "exam": "test"}, {"train": 40}, 100, None),
        ({"log": None, "exam": "test"}, {}, 104, None),
        ({"log": None, "exam": "test"}, {}, 90, (40, 4.0)),
        ({"log": "train", "exam": "test"}, {"train": 38, "test": 2}, 100, (2, 2.0)),
        ({"log": "train", "more": None}, {"train": 30}, 100, (10, 1.0)),
    ],
    ids=["all pinned to train", "the exam is the whole share", "it leaves some", "two wait in the exam", "some free"],
)
def test_rows_that_cannot_become_test_questions_are_not_counted(
    sources: dict[str, str | None], pinned: dict[str, int], exam: int, expected: tuple[int, float] | None
) -> None:
    splits = {"train": SplitFile.model_construct(rows=1000 - exam), "test": SplitFile.model_construct(rows=exam)}
    manifest = of(40, {"train": 0.9, "test": 0.1}, in_review_pinned=pinned, splits=splits)
    manifest.config["sources"] = [{"name": name, "split": split} for name, split in sources.items()]
    found = rows_in_review(manifest.model_copy(update={"doubted": 40}), "test")
    assert (found and (found.rows, pytest.approx(found.expected))) == expected
    assert found is None or found.doubted == (40 if found.rows == 40 else 0)


def test_a_version_with_a_frozen_exam_says_nothing_false_of_its_test_split(tmp_path: Path) -> None:
    conflict = [row(98, "where is it", "billing"), row(99, "where is it", "delivery")]
    exam = [row(n, f"the parcel of {n} is late", "delivery") for n in range(200, 206)]
    odd = Odd(tmp_path, QUESTION, [*LABELED, *conflict], "duplicates: {threshold: 1.0}\n")
    odd.folder.joinpath("exam.jsonl").write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in exam))
    file = odd.folder / "dataset.yaml"
    with_exam = "sources:\n  - {name: exam, path: exam.jsonl, key: id, license: CC0-1.0, split: test, frozen: true}\n"
    file.write_text(file.read_text().replace("sources:\n", with_exam, 1))
    odd.curate()
    version = Path(release(odd.context, Inline()).path)
    manifest, card = read_manifest(version), (version / "README.md").read_text()
    assert (manifest.in_review, manifest.splits["test"].rows) == (2, 6)
    assert rows_in_review(manifest, "test") is None
    assert "in none of the splits: they are harder than the others." in card and "than on all rows" not in card


# --- what readers of a score are told -----------------------------------------------------------------
def test_the_sentence_says_how_far_the_score_of_all_rows_may_be_from_what_was_measured() -> None:
    text = WAITING.said("fruits@1.2.0", 114, Unit.SHARE)
    assert text.startswith("33 rows with an answer waited in review when fruits@1.2.0 was published, and are in none")
    assert "about 6 more questions, a score could be up to 5.0 points lower" in text, "6 of 120"
    assert "doubt the answer of 27: an arm of their kind, such as a linear model, gains most" in text
    assert "linear" not in WAITING.model_copy(update={"doubted": 0}).said("fruits@1.2.0", 114, Unit.SHARE)
    assert "points" not in WAITING.said("fruits@1.2.0", 114, Unit.NATS), "of a loss there is no highest"


@pytest.mark.parametrize("right", [0, 57, 114])
def test_no_answers_to_these_rows_move_a_score_further_than_is_said(right: int) -> None:
    """Whatever an arm would have got right of them."""
    measured = right / 114
    for also in range(7):
        assert measured - (right + also) / 120 <= WAITING.share(114) + 1e-9


def test_page_card_and_terminal_have_the_sentence() -> None:
    known, unknown = (assessed(share_right("adapter", 90, 114), in_review=one) for one in (WAITING, None))
    assert known.beside[0] == WAITING.said(known.version, known.test_rows, Unit.SHARE)
    assert not any("in review" in one for one in unknown.beside)
    toy = tuning_wins()
    for waiting in (WAITING, None):
        found = toy.found.model_copy(update={"in_review": waiting})
        assert ("waited in review" in verdict_page(toy.task, toy.record, found).decode()) == (waiting is not None)


# --- what comes before more rows ------------------------------------------------------------------------
def test_whoever_lacks_rows_is_sent_to_those_that_wait_first() -> None:
    close = (spread("linear", 0.80, 200), spread("adapter", 0.83, 200, seed=1))
    few = (share_right("linear", 10, 20), share_right("adapter", 15, 20))
    for arms, more in ((close, {}), (few, {}), (close, {"train_rows": 50})):
        usual, found = (verdict_on(*arms, in_review=one, **more) for one in (None, WAITING))
        assert found.next_step == FIRST + usual.next_step
        assert (found.verdict, found.reasons) == (usual.verdict, usual.reasons)


def test_what_needs_no_rows_does_not_wait_for_annotators() -> None:
    for arms in (
        (share_right("linear", 800, 1000), share_right("adapter", 900, 1000)),
        (share_right("linear", 995, 1000), share_right("adapter", 900, 1000)),
    ):
        found = verdict_on(*arms, in_review=WAITING)
        assert found == verdict_on(*arms) and found.verdict in (Verdict.TUNE, Verdict.CLASSICAL)
