"""Whatever the rows are, each is resolved once, in one way, and by laws that do not depend on their order."""

import random
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pytest
from candidates import CONFIGS, candidate_lists, resolve, row, text_of
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedupe.candidates import Candidate
from pipeline.dedupe.neighbors import SimilarRows
from pipeline.text.meaning_guards import question
from pipeline.text.words import jaccard
from schemas.dataset import OnConflict


@given(candidate_lists(), CONFIGS, st.randoms(use_true_random=False))
def test_the_order_in_which_rows_are_given_does_not_matter(
    rows: list[Candidate], config: tuple[float, OnConflict], rng: random.Random
) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert resolve(rows, *config) == resolve(shuffled, *config) == resolve(rows, *config, rng=rng)


@given(candidate_lists(), CONFIGS)
def test_rows_without_similar_ones_are_resolved_as_they_are_among_others(
    rows: list[Candidate], config: tuple[float, OnConflict]
) -> None:
    with patch.object(SimilarRows, "alone", lambda _, texts, *others: np.zeros(len(texts), dtype=np.bool_)):
        together = resolve(rows, *config)
    assert resolve(rows, *config) == together


def test_a_decision_overrules_though_its_own_row_must_be_left_out() -> None:
    # The row that an annotator answered is of an evaluation set; its copy was published for training.
    rows = [
        row("r1", answer="law", split="train"),
        row("r2", answer="law", human=True, split="test", published=False),
        row("r3", answer="term"),
    ]
    result = resolve(rows, 0.7)
    assert result["r1"].is_kept
    assert result["r2"].bridges == ("test", "train")
    assert result["r3"].overridden_by == "r2"


@given(candidate_lists(), CONFIGS)
def test_a_bridge_concerns_only_what_it_is_connected_with(
    rows: list[Candidate], config: tuple[float, OnConflict]
) -> None:
    with patch("pipeline.dedupe.resolve.connected", lambda heads, neighbors, numbers, start: set(numbers)):
        from_scratch = resolve(rows, *config)
    assert resolve(rows, *config) == from_scratch


@given(candidate_lists(), CONFIGS)
def test_every_row_is_resolved_once_and_in_one_way(rows: Sequence[Candidate], config: tuple[float, OnConflict]) -> None:
    result = resolve(rows, *config)
    assert result.keys() == {row.record_id for row in rows}
    for one in result.values():
        assert [one.is_kept, *(x is not None for x in (one.duplicate_of, one.overridden_by, one.bridges))].count(
            True
        ) == 1
        assert bool(one.group) or one.overridden_by or one.bridges


@given(candidate_lists(), CONFIGS)
def test_every_duplicate_points_to_a_kept_row_with_its_answer_and_verified_similarity(
    rows: Sequence[Candidate], config: tuple[float, OnConflict]
) -> None:
    by_id = {row.record_id: row for row in rows}
    result = resolve(rows, *config)
    for name, one in result.items():
        if one.duplicate_of is None:
            continue
        row, keeper = by_id[name], by_id[one.duplicate_of]
        assert result[keeper.record_id].is_kept
        assert row.answer in (None, keeper.answer)
        # Of equal merits, a row in conflict comes first: its similar rows must be its own.
        asked = [other for other in rows if question(other.key) == question(keeper.key) and other.answer is not None]
        disputed = len({other.answer for other in asked}) > 1
        assert keeper.preference < row.preference or (disputed and keeper.merits <= row.merits)
        assert one.group == result[keeper.record_id].group
        if one.exact:
            assert row.key == keeper.key
        else:
            assert one.similarity == pytest.approx(jaccard(text_of(row), text_of(keeper)))
            assert one.similarity >= config[0]


@given(candidate_lists(), CONFIGS)
def test_no_two_kept_rows_have_equal_input_and_answer(
    rows: Sequence[Candidate], config: tuple[float, OnConflict]
) -> None:
    result = resolve(rows, *config)
    kept = [row for row in rows if result[row.record_id].is_kept and not row.frozen]
    assert len({(row.key, row.answer) for row in kept}) == len(kept)


@given(candidate_lists(), st.sampled_from([0.5, 0.8]))
def test_no_two_kept_rows_answer_one_question_differently_unless_annotators_did_or_will(
    rows: Sequence[Candidate], threshold: float
) -> None:
    result = resolve(rows, threshold)
    kept = [row for row in rows if result[row.record_id].is_kept and row.answer is not None]
    for asking in {question(one.key) for one in kept}:
        asked = [one for one in kept if question(one.key) == asking]
        confirmed = {one.answer for one in rows if one.human and question(one.key) == asking}
        for one in asked:
            differ = any(other.answer != one.answer for other in asked)
            will = one.disputed or result[one.record_id].conflict
            assert not differ or one.answer in confirmed or one.frozen or will


@given(candidate_lists(), CONFIGS)
def test_an_overridden_row_differs_from_an_annotator_s_answer_to_the_same_input(
    rows: Sequence[Candidate], config: tuple[float, OnConflict]
) -> None:
    by_id = {row.record_id: row for row in rows}
    for name, one in resolve(rows, *config).items():
        if one.overridden_by is not None:
            human_labeled = by_id[one.overridden_by]
            assert human_labeled.human
            assert human_labeled.key == by_id[name].key
            assert None not in (human_labeled.answer, by_id[name].answer)
            assert human_labeled.answer != by_id[name].answer
            replaced = {row.replaced for row in rows if row.human and row.key == human_labeled.key}
            assert config[1] is OnConflict.REVIEW or by_id[name].answer in replaced


@given(candidate_lists(), CONFIGS)
def test_what_a_version_has_told_keeps_what_is_similar_to_it_in_its_split_even_if_its_row_is_left_out(
    rows: Sequence[Candidate], config: tuple[float, OnConflict]
) -> None:
    def related(one: Candidate, other: Candidate) -> bool:
        # At 1, only equal keys are related.
        return one.key == other.key or 1 > config[0] <= jaccard(text_of(one), text_of(other))

    by_id = {row.record_id: row for row in rows}
    told = [row for row in rows if row.told]
    # What versions have told in two splits has leaked before.
    sound = [one for one in told if not any(related(one, other) and one.split != other.split for other in told)]
    for name, one in resolve(rows, *config).items():
        if one.is_kept and not by_id[name].told:
            assert {row.split for row in sound if related(row, by_id[name])} <= {one.split}


@given(candidate_lists(), CONFIGS)
def test_groups_never_span_two_splits_and_hold_what_belongs_together(
    rows: Sequence[Candidate], config: tuple[float, OnConflict]
) -> None:
    result = resolve(rows, *config)
    kept = [row for row in rows if result[row.record_id].is_kept]
    splits: dict[str, set[str | None]] = {}
    for one in result.values():
        if one.group:
            splits.setdefault(one.group, set()).add(one.split)
    assert all(len(found) == 1 for found in splits.values())
    for one in kept:
        assert one.split in (None, result[one.record_id].split)
        for other in kept:
            together = one.key == other.key or set(one.group_keys) & set(other.group_keys)
            if together:
                assert result[one.record_id].group == result[other.record_id].group
