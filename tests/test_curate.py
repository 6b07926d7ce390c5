"""Curate on real files: every record gets a fate with a reason, and a second run changes nothing."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support import SAMPLES, current, offline, row, write_dataset, write_rows

from flows.context import Context
from flows.curate import Curated, curate
from flows.engines.engine import Inline
from pipeline.errors import SourceError
from schemas.decision import Decision
from schemas.fate import Fate, ReasonCode, Routed


@pytest.fixture(scope="module")
def clauses(tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, Curated]:
    context = Context.load(SAMPLES / "clauses" / "dataset.yaml", offline(tmp_path_factory.mktemp("home")))
    return context, curate(context, Inline())


@pytest.fixture(scope="module")
def by_line(clauses: tuple[Context, Curated]) -> dict[int, Decision]:
    """The decisions by the line of their row."""
    context, _ = clauses
    records = context.store.snapshot().current_records().select("record_id", "line").collect()
    decisions = current(context)
    return {line: decisions[record_id] for record_id, line in records.iter_rows()}


@pytest.fixture(scope="module")
def truth() -> list[dict[str, Any]]:
    """What the samples' truth file says of each line."""
    lines = (SAMPLES / "clauses" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def by_plant(by_line: dict[int, Decision], truth: list[dict[str, Any]]) -> dict[str, list[Decision]]:
    """The decisions by what was planted in the line."""
    planted = {entry["line"]: entry["planted"] for entry in truth}
    found: dict[str, list[Decision]] = {}
    for line, decision in by_line.items():
        for plant in planted[line] or ["clean"]:
            found.setdefault(plant, []).append(decision)
    return found


@pytest.fixture(scope="module")
def copies(by_line: dict[int, Decision], truth: list[dict[str, Any]]) -> list[tuple[Decision, Decision]]:
    """The planted near-duplicates, each with its original."""
    planted = [entry for entry in truth if "near_duplicate" in entry["planted"]]
    return [(by_line[entry["line"]], by_line[entry["original_line"]]) for entry in planted]


def codes(decisions: list[Decision]) -> Counter[ReasonCode]:
    return Counter(reason.code for decision in decisions for reason in decision.reasons)


def test_the_funnel_of_the_samples_adds_up(clauses: tuple[Context, Curated]) -> None:
    context, result = clauses
    lines = (SAMPLES / "clauses" / "clauses.jsonl").read_bytes().splitlines()
    assert result.lines == result.added == result.funnel.raw == len(lines)
    assert result.funnel.adds_up()
    fates = Counter(decision.fate for decision in current(context).values())
    assert {fate.value: fates[fate] for fate in Fate} == {
        fate.value: getattr(result.funnel, fate.value) for fate in Fate
    }


def test_every_decision_has_a_reason(clauses: tuple[Context, Curated]) -> None:
    assert all(decision.reasons for decision in current(clauses[0]).values())


def test_malformed_lines_end_as_rejected_records(by_plant: dict[str, list[Decision]]) -> None:
    # A doubled key is valid JSON: the last value counts, as in every parser.
    rejected = [decision for decision in by_plant["malformed"] if decision.fate is Fate.REJECTED]
    assert len(rejected) == len(by_plant["malformed"]) - 1
    assert set(codes(rejected)) == {
        ReasonCode.UNREADABLE,
        ReasonCode.NOT_AN_OBJECT,
        ReasonCode.MISSING,
        ReasonCode.INVALID,
    }


def test_template_tokens_are_rejected_and_personal_data_waits_for_an_annotator(
    by_plant: dict[str, list[Decision]],
) -> None:
    assert {decision.fate for decision in by_plant["template_token"]} == {Fate.REJECTED}
    assert {decision.fate for decision in by_plant["personal_data"]} == {Fate.REVIEW}
    assert all(
        codes([decision]).keys() & {ReasonCode.PERSONAL_DATA, ReasonCode.SECRET}
        for decision in by_plant["personal_data"]
    )


def test_planted_duplicates_are_found_and_conflicts_are_not_taken_for_duplicates(
    by_plant: dict[str, list[Decision]], copies: list[tuple[Decision, Decision]]
) -> None:
    # Of two rows of equal length the copy may well be kept: which line came first says nothing.
    found = [pair for pair in copies if len({decision.group for decision in pair}) == 1]
    assert sum(any(decision.fate is Fate.DUPLICATE for decision in pair) for pair in found) >= 0.9 * len(copies)
    assert {decision.fate for decision in by_plant["conflict"]} == {Fate.REVIEW}
    assert codes(by_plant["conflict"])[ReasonCode.CONFLICT] == len(by_plant["conflict"])


def test_a_conflict_asks_one_question_not_two(by_plant: dict[str, list[Decision]]) -> None:
    asked = [decision for decision in by_plant["conflict"] if decision.routed is Routed.CONFLICT]
    assert len(asked) == len(by_plant["conflict"]) / 2


def test_most_wrong_labels_are_flagged(by_plant: dict[str, list[Decision]]) -> None:
    wrong = [decision for decision in by_plant["wrong_label"] if decision.fate is not Fate.DUPLICATE]
    suspected = [decision for decision in wrong if codes([decision])[ReasonCode.LABEL_ERROR]]
    assert len(suspected) >= 0.7 * len(wrong)


def test_unlabeled_rows_wait_with_a_suggestion(by_plant: dict[str, list[Decision]]) -> None:
    assert codes(by_plant["unlabeled"])[ReasonCode.UNLABELED] == len(by_plant["unlabeled"])
    assert all(decision.suggestion for decision in by_plant["unlabeled"])


def test_every_duplicate_points_to_a_record_that_is_kept(clauses: tuple[Context, Curated]) -> None:
    decisions = current(clauses[0])
    for decision in decisions.values():
        if decision.fate is Fate.DUPLICATE:
            assert decisions[decision.duplicate_of].fate in (Fate.ACCEPTED, Fate.REVIEW)


def test_the_same_file_again_adds_and_decides_nothing(tmp_path: Path) -> None:
    context = Context.load(SAMPLES / "invoices" / "dataset.yaml", offline(tmp_path))
    first = curate(context, Inline())
    before = current(context)
    second = curate(context, Inline())
    assert (second.added, second.decided) == (0, 0)
    assert second.funnel == first.funnel
    assert current(context) == before


def test_wrong_values_of_an_extraction_are_flagged(tmp_path: Path) -> None:
    context = Context.load(SAMPLES / "invoices" / "dataset.yaml", offline(tmp_path))
    curate(context, Inline())
    lines = (SAMPLES / "invoices" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    wrong = {entry["id"] for entry in map(json.loads, lines) if "wrong_value" in entry["planted"]}
    records = context.store.snapshot().current_records().select("record_id", "key").collect()
    ids = [record_id for record_id, key in records.iter_rows() if key in wrong]
    decisions = current(context)
    assert len(ids) == len(wrong)
    assert sum(decisions[record_id].fate is Fate.REVIEW for record_id in ids) >= 0.8 * len(ids)


def test_without_label_studio_curate_commits_and_says_how_many_wait(clauses: tuple[Context, Curated]) -> None:
    _, result = clauses
    assert result.review.waiting > 0
    assert "LABEL_STUDIO_URL" in result.review.problem


def test_a_changed_row_supersedes_and_is_decided_again(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "My parcel is late.", "delivery"), row(2, "I was charged twice.", "billing")])
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    curate(context, Inline())
    write_rows(tmp_path, [row(1, "My parcel is late.", "nonsense"), row(2, "I was charged twice.", "billing")])
    result = curate(context, Inline())
    assert (result.added, result.funnel.superseded, result.funnel.rejected) == (1, 1, 1)
    assert result.funnel.adds_up()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.jsonl": ""}, "a.jsonl has no rows"),
        ({"a.jsonl": "\n\n"}, "a.jsonl has no rows"),
        ({"a.csv": "question,topic\n"}, "a.csv has no rows"),
        ({"a.jsonl": "", "b.jsonl": "{}\n"}, "1 of 2 files has no rows, such as a.jsonl"),
        ({"a.jsonl": "", "b.jsonl": "", "c.jsonl": "{}\n"}, "2 of 3 files have no rows, such as a.jsonl"),
    ],
)
def test_a_file_without_rows_is_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    write_dataset(tmp_path, [])
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("data.jsonl, key: id,", "'*.[jc]s*',"))
    (tmp_path / "data.jsonl").unlink()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    result = curate(Context.load(file, offline(tmp_path / "home")), Inline())
    assert f"source 'examples': {said}; add some, or correct `path:`" in result.note.splitlines()


def test_a_missing_source_commits_nothing(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "My parcel is late.", "delivery")])
    (tmp_path / "data.jsonl").unlink()
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    with pytest.raises(SourceError, match=r"source 'examples': .*data\.jsonl does not exist"):
        curate(context, Inline())
    assert not context.store.exists


def test_token_counts_are_those_of_prompt_and_answer(clauses: tuple[Context, Curated]) -> None:
    accepted = [decision for decision in current(clauses[0]).values() if decision.fate is Fate.ACCEPTED]
    assert all(decision.tokens and decision.tokens > 10 for decision in accepted)


def test_a_row_over_the_token_limit_is_rejected_with_the_count(tmp_path: Path) -> None:
    write_dataset(
        tmp_path, [row(1, "word " * 300, "delivery"), row(2, "Short.", "billing")], "measure: {max_tokens: 100}\n"
    )
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    curate(context, Inline())
    long = [d for d in current(context).values() if d.fate is Fate.REJECTED]
    assert [reason.code for reason in long[0].reasons] == [ReasonCode.TOO_LONG]
    assert "of at most 100" in long[0].reasons[0].detail


def test_raw_bytes_are_kept_as_they_were_read(clauses: tuple[Context, Curated]) -> None:
    context, _ = clauses
    raw = context.store.snapshot().current_records().select("line", "raw").collect()
    lines = (SAMPLES / "clauses" / "clauses.jsonl").read_bytes().split(b"\n")
    assert raw.filter(pl.col("line") == 1)["raw"][0] == lines[0].removesuffix(b"\r")
