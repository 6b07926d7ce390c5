"""What kinds of task say of answers and labels, one by one."""

from typing import Literal

import rewritten

from pipeline.evaluation.text_similarity import chrf
from pipeline.kinds.interface import LabeledText
from pipeline.kinds.registry import kind_of
from schemas.field import FreeText
from schemas.task import Conversation, Input, Target, Task


class Topics(Task):
    """Name all topics."""

    text: Input[str]
    topics: Target[set[Literal["a", "b"]]]


class Twice(Task):
    """Say it plainly, twice."""

    text: Input[str]
    plain: Target[FreeText[str]]
    plainer: Target[FreeText[str]]


class Talk(Task):
    """Help."""

    messages: Conversation


def test_rows_without_any_label_are_a_part_of_the_set_that_is_divided_as_the_labels_are() -> None:
    kind = kind_of(Topics)
    assert kind.strata(Topics, {"topics": []}) == ("",)
    assert kind.strata(Topics, {"topics": ["a", "b"]}) == ("a", "b")


def test_of_two_free_texts_the_worse_one_decides_and_both_say_why() -> None:
    pairs = rewritten.plainer(200)
    copied, cut = pairs[0][0], pairs[0][1][:9]

    def scores(plain: str, plainer: str) -> tuple[float | None, list[str]]:
        rows = [
            LabeledText(original, {"text": original}, {"plain": one, "plainer": two}, str(n))
            for n, (original, answer) in enumerate(pairs)
            for one, two in [(plain, plainer) if n == 0 else (answer, answer)]
        ]
        found = kind_of(Twice).score_labels(Twice, rows, 17).rows[0]
        return found.score, [f"{reason.field} {reason.code.value}" for reason in found.reasons]

    fine = pairs[0][1]
    (one, _), (other, _), (sound, nothing) = scores(copied, fine), scores(fine, cut), scores(fine, fine)
    assert one is not None and other is not None and sound is not None
    assert one != other and sound < min(one, other) and nothing == []
    score, reasons = scores(copied, cut)
    assert score == max(one, other)
    assert {reason.split()[0] for reason in reasons} == {"plain", "plainer"}


def test_nothing_is_like_a_text_and_no_text_is_like_nothing() -> None:
    assert chrf("", "") == 1
    assert chrf("a text", "") == chrf("", "a text") == 0
