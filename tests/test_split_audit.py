"""What the audit says of a version's test rows: of those rows, of that version, and nothing of frozen ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from support import row, write_rows

from flows.engines.engine import Inline
from flows.release import release
from pipeline.evaluation.estimates import Estimate
from pipeline.releases.audit_result import audit_result
from pipeline.releases.split_audit import SplitAudit, split_audit

ROWS: list[Row] = [
    row(k, f"Where is the parcel of order {k}{k}{k}?", "returns" if k % 5 == 0 else "delivery") for k in range(100)
]
"""A fifth of the labels is wrong."""
EXAM: list[Row] = [row(k, f"Who has lost the invoice of {k}{k}{k}?", "billing") for k in range(30)]
MORE = (
    "review: {budget: 0, audit: %s, floor: 1.0}\nduplicates: {threshold: 1.0}\n"
    "split: {fractions: {train: %s, test: %s}}\n"
)


@contextmanager
def desk(studio: FakeStudio, folder: Path, audit: float, test: float = 0.4) -> Iterator[Desk]:
    with desk_at(studio, folder, ROWS, MORE % (audit, 1 - test, test)) as found:
        yield found


def answer(desk: Desk, asks: Callable[[int], bool] = lambda number: True) -> None:
    """Answer the audit questions about some rows, rightly."""
    numbers = {desk.id(number): number for number in range(len(ROWS))}
    for task in desk.tasks():
        if asks(numbers[task["data"]["record_id"]]):
            desk.submit(task["id"], desk.result("delivery"))
    desk.collect()


def published(desk: Desk) -> Path:
    return Path(release(desk.context, Inline()).path)


def audited(desk: Desk, version: Path, split: str = "test") -> SplitAudit:
    return split_audit(desk.context.store.snapshot(), version, split, desk.context.dataset.task)


def labels(version: Path, split: str = "test") -> list[str]:
    rows = pl.concat([pl.read_parquet(file, columns=["fields"]) for file in version.glob(f"data/{split}-*.parquet")])
    return rows["fields"].struct.field("topic").to_list()


def wrong_in(version: Path, split: str = "test") -> float:
    """The share of a version's rows whose label is wrong."""
    published = labels(version, split)
    return published.count("returns") / len(published)


def near(noise: Estimate | None, share: float) -> bool:
    """Whether an estimate is right after nearly all answers: of the likely right rows a few are not drawn."""
    return noise is not None and noise.low <= share <= noise.high and abs(noise.value - share) < 0.03


def test_answers_that_were_corrected_after_a_release_are_wrong_in_it_and_right_in_the_next(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk(studio, tmp_path, 1.0) as found:
        found.curate()
        first = published(found)
        assert audited(found, first) == SplitAudit(), "nobody has answered"
        answer(found)
        now = audit_result(found.context.store.snapshot())
        assert now is not None and now.rate < 0.03, "in the home they are corrected"
        assert wrong_in(first) > 0.08 and near(audited(found, first).noise, wrong_in(first))
        second = audited(found, published(found)).noise
        assert second is not None and second.low == 0 and second.value < 0.03


def test_answers_about_other_rows_of_a_stratum_stand_for_the_test_rows(studio: FakeStudio, tmp_path: Path) -> None:
    with desk(studio, tmp_path, 0.5) as found:
        found.curate()
        answer(found)
        version = published(found)
        result, known = audit_result(found.context.store.snapshot()), audited(found, version)
        assert result is not None and known.noise is not None
        assert (known.audited, known.unaudited) == (result.checked, 0)
        assert known.noise.low < known.noise.value < known.noise.high
        assert known.noise.low <= wrong_in(version) <= known.noise.high
        assert 0 < wrong_in(version) < 0.2, "what was found before the release is corrected"


def test_nothing_is_known_of_a_frozen_exam_that_no_audit_is_drawn_from(studio: FakeStudio, tmp_path: Path) -> None:
    """A clean exam beside noisy training rows once had a ceiling of 88%, and its labels were to be fixed first."""
    with desk(studio, tmp_path, 1.0, test=0.0) as found:
        file = found.folder / "dataset.yaml"
        exam = "  - {name: exam, path: exam.jsonl, key: id, split: test, frozen: true}\n"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{exam}"))
        write_rows(found.folder, EXAM, "exam.jsonl")
        found.curate()
        version = published(found)
        assert audited(found, version) == SplitAudit(unaudited=len(EXAM))
        answer(found)
        assert audited(found, version) == SplitAudit(unaudited=len(EXAM))
        train = audited(found, version, "train")
        assert train.unaudited == 0 and near(train.noise, wrong_in(version, "train"))


def test_frozen_rows_beside_others_count_as_right_below_and_as_wrong_above(studio: FakeStudio, tmp_path: Path) -> None:
    with desk(studio, tmp_path, 1.0) as found:
        file = found.folder / "dataset.yaml"
        exam = "  - {name: exam, path: exam.jsonl, key: id, split: test, frozen: true}\n"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{exam}"))
        write_rows(found.folder, EXAM, "exam.jsonl")
        found.curate()
        version = published(found)
        answer(found)
        known, share = audited(found, version), wrong_in(version)
        assert known.unaudited == len(EXAM) and near(known.noise, share)
        assert known.noise is not None and known.noise.high > len(EXAM) / len(labels(version))
