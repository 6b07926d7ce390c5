"""A model's word moves the odds that a label is wrong, by as much as the model was right where annotators answered."""

import pytest

from pipeline.curation.case import Case
from pipeline.curation.second_voice import Voice, voice_of
from schemas.annotation import Verdict


def answered(said: str, truth: str, given: str | None) -> Case:
    """A row that had a label, with what the model says and what an annotator answered."""
    replaced = {"topic": given} if given != truth else None
    return Case(
        record_id=f"{said}{truth}{given}",
        revision="",
        order=0,
        targets={"topic": truth},
        model_answer={"topic": said},
        human=Verdict.LABELED,
        replaced=replaced if given is not None else None,
        entered=given is None,
    )


def test_a_model_that_differs_makes_an_error_likelier_and_one_that_agrees_less_likely() -> None:
    voice = Voice(right=0.8, as_wrong=0.1)
    assert voice.heard(0.1, agrees=True) < 0.1 < voice.heard(0.1, agrees=False)
    # Odds of 1 to 9, times 0.9 / 0.2.
    assert voice.heard(0.1, agrees=False) == pytest.approx(1 / 3)
    assert voice.heard(0.1, agrees=True) == pytest.approx(1 / 73, rel=1e-3)


def test_the_better_a_model_the_more_its_word_counts() -> None:
    scores = [Voice(right=right, as_wrong=0.1).heard(0.2, agrees=False) for right in (0.3, 0.6, 0.9, 0.99)]
    assert scores == sorted(scores) and scores[0] < scores[-1]


def test_a_model_that_gives_wrong_labels_as_often_as_right_ones_changes_nothing() -> None:
    for agrees in (True, False):
        assert Voice(right=0.2, as_wrong=0.3).heard(0.37, agrees=agrees) == 0.37


def test_certainties_stay_within_0_and_1() -> None:
    voice = Voice(right=0.999, as_wrong=0.001)
    for agrees in (True, False):
        assert 0 < voice.heard(0.0, agrees=agrees) < voice.heard(1.0, agrees=agrees) < 1


def test_a_model_counts_by_annotators_answers_and_cautiously_while_they_are_few() -> None:
    few = voice_of([answered("a", "a", "a")] * 3)
    many = voice_of([answered("a", "a", "a")] * 300)
    none = voice_of([])
    assert none.right < few.right < many.right < 1
    assert none.heard(0.1, agrees=False) < few.heard(0.1, agrees=False) < many.heard(0.1, agrees=False)


def test_how_often_it_repeats_a_wrong_label_counts_too() -> None:
    repeats = voice_of([answered("b", "a", "b")] * 50 + [answered("a", "a", "a")] * 50)
    corrects = voice_of([answered("a", "a", "b")] * 50 + [answered("a", "a", "a")] * 50)
    assert repeats.as_wrong > 0.9 and corrects.as_wrong < 0.05
    assert repeats.heard(0.3, agrees=True) >= 0.3 > corrects.heard(0.3, agrees=True)


def test_answers_to_rows_without_a_label_do_not_count_since_annotators_started_from_the_model_s() -> None:
    assert voice_of([answered("a", "a", None)] * 50) == voice_of([])
