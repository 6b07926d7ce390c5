"""What models see of texts is TF-IDF as scikit-learn makes it, of the same words and pieces of words."""

import random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from tried_examples import examples

from pipeline.label_errors import text_features as features
from pipeline.label_errors.kept_arrays import from_arrays, to_arrays
from pipeline.label_errors.vocabulary import Vocabulary

COMMON = {"min_df": 2, "sublinear_tf": True, "dtype": np.float32}
TEXTS = [
    "To have or to HAVE not",
    "I have to, you have_to; I can't",
    "  Stra\u00dfe\tund  \u0130stanbul\n",
    "stra\u00dfe und",
    "\u6771\u4eac \u6771\u4eac\u90fd",
    "\u6771\u4eac",
    "",
    "x y z",
    "x",
]


def alike(texts: list[str]) -> npt.NDArray[np.float32]:
    """How similar texts are, which does not depend on the order of features."""
    found = features.learned_features(texts).matrix
    return (found @ found.T).toarray()


def by_sklearn(texts: list[str]) -> npt.NDArray[np.float32]:
    words = TfidfVectorizer(ngram_range=(1, 2), **COMMON).fit_transform(texts)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), **COMMON).fit_transform(texts)
    return (words @ words.T + pieces @ pieces.T).toarray()


def test_words_pairs_and_pieces_weigh_what_they_weigh_in_scikit_learn() -> None:
    assert alike(TEXTS) == pytest.approx(by_sklearn(TEXTS), abs=1e-5)


@examples(100)
@given(st.lists(st.text(st.sampled_from("aBc_d\u00e9 \t.-\u6771"), max_size=30), max_size=20))
def test_any_texts_are_read_as_in_scikit_learn(texts: list[str]) -> None:
    texts = [*texts, "ab cd", "ab cd"]
    assert alike(texts) == pytest.approx(by_sklearn(texts), abs=1e-5)


def test_many_texts_in_parts_and_a_table_that_grows_count_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    some = random.Random(3)
    texts = [" ".join(f"w{some.randrange(300)}" for _ in range(8)) for _ in range(200)]
    whole = alike(texts)
    monkeypatch.setattr(features, "_CHUNK", 7)
    monkeypatch.setattr(features, "_FIRST_SIZE", 4)
    assert (alike(texts) == whole).all()
    assert whole == pytest.approx(by_sklearn(texts), abs=1e-5)


def test_only_the_most_frequent_features_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_MAX_FEATURES", 1)
    found = features.learned_features(["aa bb", "aa cc", "aa bb"]).matrix
    assert found.shape == (3, 2)
    assert found.toarray() == pytest.approx(np.ones((3, 2)))


@examples(100)
@given(st.lists(st.text(st.sampled_from("aBc_d\u00e9 \t.-\u6771"), max_size=30), max_size=20))
def test_texts_look_the_same_when_they_come_later_as_when_they_were_learned(texts: list[str]) -> None:
    learned = features.learned_features([*texts, "ab cd", "ab cd"])
    assert learned is not None
    later = from_arrays(Vocabulary, to_arrays(learned.vocabulary)).features([*texts, "ab cd"])
    assert later.toarray() == pytest.approx(learned.in_order.toarray()[:-1], abs=1e-6)


def test_what_learned_texts_lack_says_nothing_about_later_ones() -> None:
    learned = features.learned_features(["red apple", "red apple", "green pear"])
    assert learned is not None
    known, unknown = learned.vocabulary.features(["red", "fox"]).toarray()
    assert known.any() and not unknown.any()


@pytest.mark.parametrize("texts", [[], [""], ["one", "two"], ["", ""]])
def test_texts_that_share_nothing_have_no_features(texts: list[str]) -> None:
    assert features.learned_features(texts) is None
