"""A model's word moves the odds that a label is wrong, by as much as the model was right where annotators answered."""

import random
from typing import Any

import numpy as np
import pytest
from known_cases import changed, known_case

from pipeline.curation.audit import AuditFrame, Chance, draw_audit
from pipeline.curation.case import Judged
from pipeline.curation.known import NO_DOUBT
from pipeline.curation.second_voice import Voice, voice_of, weigh
from schemas.annotation import Verdict
from schemas.dataset import Review
from schemas.fate import Routed
from schemas.tasks.contract_clause import ContractClause


def answered(said: str, truth: str, given: str | None, **values: Any) -> Judged:
    """A row that had a label, with what the model says and what an annotator answered."""
    replaced = {"topic": given} if given != truth else None
    return known_case(
        values.pop("name", f"{said}{truth}{given}"),
        targets={"topic": truth},
        model_answer={"topic": said},
        human=Verdict.LABELED,
        replaced=replaced if given is not None else None,
        entered=given is None,
        **values,
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


# --- who was asked ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("right", "repeats"), [(0.8, 0.4), (0.6, 0.1), (0.9, 0.5)])
def test_that_doubted_rows_are_asked_about_where_the_model_differs_makes_it_look_no_worse(
    right: float, repeats: float
) -> None:
    """Suspects are asked about in the order of the scores with the model's voice, beside an audit of the others."""
    draw, count = random.Random(3), 6_000
    rows: list[tuple[str, str, str]] = []
    scores = []
    for _ in range(count):
        truth = draw.choice("abcde")
        given = truth if draw.random() < 0.85 else draw.choice([one for one in "abcde" if one != truth])
        said = truth if draw.random() < right else draw.choice([one for one in "abcde" if one not in (truth, given)])
        said = given if given != truth and draw.random() < repeats else said
        rows.append((said, truth, given))
        alone = min(max(draw.gauss(0.1 if given == truth else 0.4, 0.15), 0.01), 0.99)
        scores.append(Voice().heard(alone, agrees=said == given))
    suspects = set(sorted(range(count), key=lambda n: -scores[n])[:600])
    others = [n for n in range(count) if n not in suspects]
    frame = AuditFrame.of([f"r{n}" for n in others], [scores[n] for n in others])
    drawn = draw_audit(frame, Review(audit=0.1))
    cases = [answered(*rows[n], name=f"r{n}", past_route=Routed.UNCERTAIN) for n in sorted(suspects)]
    for n, probability in ((others[at], drawn.chances.probability[at]) for at in np.flatnonzero(drawn.asked)):
        cases.append(answered(*rows[n], name=f"r{n}", past_route=Routed.AUDIT, chance=Chance(0, probability)))
    wrong = [(said, given) for said, truth, given in rows if truth != given]
    voice = voice_of(cases)
    assert voice.right == pytest.approx(sum(said == truth for said, truth, _ in rows) / count, abs=0.05)
    assert voice.as_wrong == pytest.approx(sum(said == given for said, given in wrong) / len(wrong), abs=0.1)


def test_a_gold_row_tells_as_much_as_an_audited_one_unless_the_model_learned_it() -> None:
    audited = [answered("b", "a", "a", name=f"r{n}", past_route=Routed.AUDIT, chance=Chance(0, 1.0)) for n in range(40)]
    gold = [answered("a", "a", "a", name=f"g{n}", is_trusted=True) for n in range(40)]
    assert voice_of([*audited, *gold]).right == pytest.approx(0.5)
    assert voice_of([*audited, *gold], learned_gold=True) == voice_of(audited)


def test_a_row_without_a_score_that_the_model_agrees_with_is_not_doubted() -> None:
    def weighed(said: str) -> tuple[float | None, bool]:
        case = changed(answered(said, "a", "a"), human=None)
        [doubt] = weigh([case], [NO_DOUBT], Voice(), ContractClause)
        return doubt.score, bool(doubt.reasons)

    assert weighed("a") == (None, False)
    assert weighed("b") == (pytest.approx(1 / 7, abs=0.01), True)
