"""Which texts count as similar, and that those are found."""

import random

import pytest
from candidates import CLAUSE, LEASE
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedupe.pairs import Pairs, similar_pairs
from pipeline.dedupe.signatures import BANDS, LEADERS
from pipeline.dedupe.texts import Texts
from pipeline.dedupe.words import jaccard, words


def pairs_at(texts: list[str], threshold: float) -> Pairs:
    """The pairs of texts at a threshold, near misses left out."""
    pairs = similar_pairs(Texts.of(texts), threshold)
    return pairs.where(pairs.similarity >= threshold)


def test_similarity_is_the_jaccard_of_word_3_grams() -> None:
    # abc bcd cde against abc bcd bcx: two of four in common.
    assert jaccard("a b c d e", "a b c d x") == 2 / 4
    pairs = pairs_at(["a b c d e", "something else altogether", "a b c d x"], threshold=0.5)
    assert (pairs.left.tolist(), pairs.right.tolist(), pairs.similarity.tolist()) == ([0], [2], [0.5])


def test_case_punctuation_and_spaces_do_not_count() -> None:
    assert jaccard("The Term, of this (Agreement)!", "the term of\n this agreement") == 1
    assert jaccard("ÜBER die Straße gehen", "über die straße gehen") == 1
    assert len(pairs_at(["The Term, of this (Agreement)!", "the term of\n this agreement"], 0.9)) == 1


def test_texts_of_one_or_two_words_use_what_they_have() -> None:
    texts = ["Governing law", "governing law!", "governing", "law", "Law", "governing law applies"]
    pairs = pairs_at(texts, threshold=0.9)
    assert set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == {(0, 1), (3, 4)}


@pytest.mark.parametrize("texts", [[], ["alone"], ["", ""], ["?!", "...", "___"], ["", CLAUSE]])
def test_a_text_without_words_resembles_nothing(texts: list[str]) -> None:
    assert len(pairs_at(texts, threshold=0.5)) == 0


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("本协议受中华人民共和国法律管辖并按其解释任何争议均应提交北京仲裁委员会", "均应", "应"),
        ("本契約は日本国の法律に準拠しこれに従って解釈されるものとする", "従って", "従い"),
        ("สัญญานี้อยู่ภายใต้บังคับและตีความตามกฎหมายของราชอาณาจักรไทย", "ของ", "แห่ง"),
    ],
    ids=["Chinese", "Japanese", "Thai"],
)
def test_scripts_without_spaces_are_compared_by_their_characters(text: str, old: str, new: str) -> None:
    copy = text.replace(old, new)
    assert 0.5 < jaccard(text, copy) < 1
    assert len(pairs_at([text, copy], 0.5)) == 1


def test_vowel_signs_are_parts_of_words() -> None:
    assert words("हिन्दी") == ["हिन्दी"]
    assert jaccard("यह किताब है", "यह कुताब है") < 1


def test_a_swapped_word_order_is_not_the_same_text() -> None:
    assert jaccard("the buyer pays the seller", "the seller pays the buyer") == 0


def test_planted_near_copies_are_found() -> None:
    rng = random.Random(7)
    vocabulary = [f"word{i}" for i in range(3000)]
    texts = []
    for _ in range(400):
        text = rng.choices(vocabulary, k=60)
        copy = list(text)
        for _ in range(2):
            copy[rng.randrange(60)] = "changed"
        texts += [" ".join(text), " ".join(copy)]
    true = {(i, i + 1) for i in range(0, 800, 2) if jaccard(texts[i], texts[i + 1]) >= 0.7}
    pairs = pairs_at(texts, threshold=0.7)
    found = set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))
    assert len(true) > 300
    assert found <= true
    assert len(found) >= 0.98 * len(true)


def test_a_shared_template_does_not_make_texts_similar() -> None:
    rng = random.Random(3)
    texts = [" ".join([LEASE, *(f"own{rng.randrange(10**9)}" for _ in range(40))]) for _ in range(500)]
    assert len(pairs_at(texts, threshold=0.7)) == 0


@pytest.mark.parametrize("tail", [0, 3])
def test_a_crowd_of_equal_or_similar_texts_stays_linear(tail: int) -> None:
    rng = random.Random(5)
    texts = [" ".join([CLAUSE, CLAUSE, *(str(rng.randrange(10**9)) for _ in range(tail))]) for _ in range(3000)]
    pairs = pairs_at(texts, threshold=0.7)
    assert {0, *pairs.left.tolist(), *pairs.right.tolist()} == set(range(3000))
    assert len(pairs) <= 2 * LEADERS * BANDS * len(texts)


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_low_thresholds_get_narrower_bands_so_that_pairs_are_still_found(threshold: float) -> None:
    rng = random.Random(11)
    texts = []
    for _ in range(200):
        text = [str(rng.randrange(10**9)) for _ in range(100)]
        own = int(98 * (1 - threshold) / (1 + threshold)) - 2
        texts += [" ".join(text), " ".join([*text[own:], *(str(rng.randrange(10**9)) for _ in range(own))])]
    assert all(jaccard(texts[i], texts[i + 1]) >= threshold for i in range(0, 400, 2))
    assert len(pairs_at(texts, threshold)) >= 0.93 * 200


SENTENCES = st.lists(st.sampled_from(["a", "b", "c", "Über", "4"]), max_size=7).map(" ".join)


@given(st.lists(SENTENCES, max_size=12), st.sampled_from([0.3, 0.5, 0.7, 1.0]))
def test_every_listed_pair_is_similar_and_equal_texts_are_listed(texts: list[str], threshold: float) -> None:
    pairs = pairs_at(texts, threshold)
    listed = list(zip(pairs.left.tolist(), pairs.right.tolist(), pairs.similarity.tolist(), strict=True))
    for left, right, similarity in listed:
        assert left < right
        assert similarity == pytest.approx(jaccard(texts[left], texts[right]))
        assert similarity >= threshold
    assert len({(left, right) for left, right, _ in listed}) == len(listed)
    first = {text: at for at, text in reversed(list(enumerate(texts))) if words(text)}
    equal = {(first[text], at) for at, text in enumerate(texts) if first.get(text, at) != at}
    assert equal <= {(left, right) for left, right, _ in listed}
