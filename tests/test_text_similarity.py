"""ROUGE-L has rouge-score's figures for our words, and long texts take no longer than others."""

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from pipeline.evaluation.text_similarity import chrf, rouge_l
from pipeline.text.words import words

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "été", "12", "!", "the"]), max_size=40).map(" ".join)


class OurWords:
    def tokenize(self, text: str) -> list[str]:
        return words(text)


@functools.cache
def peer() -> Any:
    return RougeScorer(["rougeL"], tokenizer=OurWords())


@given(TEXTS, TEXTS)
def test_rouge_l_is_that_of_rouge_score(answer: str, reference: str) -> None:
    if answer == reference:
        assert rouge_l(answer, reference) == 1
    else:
        theirs = peer().score(reference, answer)["rougeL"].fmeasure
        assert rouge_l(answer, reference) == pytest.approx(theirs, abs=1e-12)


def test_rouge_l_sees_words_without_accents_and_chrf_sees_them() -> None:
    assert rouge_l("na\u00efve caf\u00e9", "naive cafe") == 1
    assert chrf("na\u00efve caf\u00e9", "naive cafe") < 0.7


def test_rouge_l_of_texts_as_long_as_a_chapter_is_found() -> None:
    numbers = [str(number) for number in range(8000)]
    turned = " ".join(numbers[4000:] + numbers[:4000])
    assert rouge_l(" ".join(numbers), turned) == 0.5
