"""Languages of many texts at once: the probabilities that py3langid gives for each of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naughty_texts import NAUGHTY
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from tried_examples import examples

from pipeline.label_errors.text_languages import forget_languages, language_shares, languages

IDENTIFIER = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
TEXTS = [
    "The bridge was opened in 1963.",
    "Der Bahnhof wurde 1844 eröffnet.",
    "DAS IST GROSS",
    "これは本です。",
    "Это книга",
]


def expected(text: str) -> dict[str, float]:
    return dict(IDENTIFIER.rank(text))


def assert_as_one_by_one(texts: list[str]) -> None:
    names = languages()
    shares = language_shares(texts)
    assert shares.shape == (len(texts), len(names))
    for text, found in zip(texts, shares.tolist(), strict=True):
        of_language: dict[str, float] = {}
        for name, share in zip(names, found, strict=True):
            of_language[name] = of_language.get(name, 0.0) + share
        assert of_language == pytest.approx(expected(text), abs=1e-4)


def test_many_texts_at_once_have_the_probabilities_of_each() -> None:
    assert_as_one_by_one([*TEXTS, *NAUGHTY, "", "\ud800", " ".join(TEXTS) * 20])


@given(texts=st.lists(st.text() | st.sampled_from(TEXTS), max_size=5))
@examples(60)
def test_any_text_has_the_probabilities_of_the_library(texts: list[str]) -> None:
    assert_as_one_by_one(texts)


def test_the_company_of_a_text_does_not_change_its_languages() -> None:
    together = language_shares(TEXTS * 500)
    for row, text in enumerate(TEXTS):
        assert np.array_equal(together[len(TEXTS) * 499 + row], language_shares([text])[0])


def test_the_second_column_of_a_language_is_always_empty() -> None:
    names, shares = languages(), language_shares(TEXTS)
    second = [column for column, name in enumerate(names) if name in names[:column]]
    assert second
    assert not shares[:, second].any()


def test_a_model_that_was_given_back_is_read_again() -> None:
    before = language_shares(TEXTS)
    forget_languages()
    assert np.array_equal(language_shares(TEXTS), before)
