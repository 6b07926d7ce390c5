"""Which texts count as similar, and that those are found."""

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from candidates import CLAUSE, LEASE
from hypothesis import given
from hypothesis import strategies as st

from pipeline.similarity.pairs import Pairs, similar_pairs, verify
from pipeline.similarity.signatures import MOST_NEIGHBORS, PERMUTATIONS, Scheme, sign
from pipeline.similarity.text_columns import Texts
from pipeline.text.words import TABLE_SIZE, jaccard, words


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
def test_a_dense_cluster_of_equal_or_similar_texts_stays_linear(tail: int) -> None:
    rng = random.Random(5)
    texts = [" ".join([CLAUSE, CLAUSE, *(str(rng.randrange(10**9)) for _ in range(tail))]) for _ in range(3000)]
    pairs = pairs_at(texts, threshold=0.7)
    assert {0, *pairs.left.tolist(), *pairs.right.tolist()} == set(range(3000))
    assert len(pairs) <= MOST_NEIGHBORS * len(texts)


@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.55, 0.59, 0.65, 0.68, 0.7, 0.8, 0.95])
def test_hardly_a_pair_is_missed_that_just_reaches_the_threshold(threshold: float) -> None:
    # Each permutation agrees with the probability that is the similarity: so the texts themselves are not needed.
    scheme, rng = Scheme(threshold), np.random.default_rng(3)
    missed, pairs = 0, 200_000
    for _ in range(pairs // 50_000):
        equal = rng.random((50_000, PERMUTATIONS)) < threshold
        meet = np.zeros(len(equal), dtype=np.bool_)
        for band in scheme.bands:
            meet |= equal[:, band].all(axis=1)
        missed += int((~(meet & (equal.sum(axis=1) >= scheme.need))).sum())
    assert missed <= (0.0012 if threshold == 0.7 else 0.003) * pairs


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


# --- words ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("СТОРОНЫ ПОДПИСАЛИ ЭТОТ ДОГОВОР", "стороны подписали этот договор"),
        ("Ещё одна «сторона» — покупатель", "еще одна сторона покупатель"),
        ("Ο ΟΔΥΣΣΕΎΣ ΕΠΈΣΤΡΕΨΕ ΣΤΗΝ ΙΘΆΚΗ", "ο Οδυσσεύς επέστρεψε στην Ιθάκη"),
        ("Ο ΟΔΥΣΣΕΥΣ ΕΠΕΣΤΡΕΨΕ ΣΤΗΝ ΙΘΑΚΗ", "ο οδυσσεύς επέστρεψε στην ιθάκη"),
        ("İSTANBUL VE DİYARBAKIR IŞIKLARI", "istanbul ve diyarbakır ışıkları"),
        ("GROẞE STRAẞE IN KÖLN", "grosse Strasse in Köln"),
        ("ＡＢＣ １２３ ｘｙｚ", "abc 123 XYZ"),
        ("naïve café résumé", "nai\u0308ve cafe\u0301 re\u0301sume\u0301"),
        ("co\u00adoperate re\u200dadmit them", "cooperate readmit them"),
        ("the “law” of—that state…", "The law of that state"),
        ("كَتَبَ الوَلَدُ الدَّرْسَ", "كتب الولد الدرس"),
        ("שָׁלוֹם לְכֻלָּם הַיּוֹם", "שלום לכלם היום"),
    ],
    ids=[
        *(
            "Cyrillic",
            "yo",
            "Greek accents",
            "Greek capitals",
            "Turkish",
            "German",
            "width",
            "composed",
            "soft hyphens",
        ),
        *("quotes", "Arabic points", "Hebrew points"),
    ],
)
def test_case_and_accents_are_folded_as_each_script_has_it(one: str, other: str) -> None:
    assert words(one) == words(other)
    assert pairs_at([one, other], 0.99).similarity.tolist() == [1.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("合同法2024年", ["合", "同", "法", "2024", "年"]),
        ("カタカナとひらがな", ["カ", "タ", "カ", "ナ", "と", "ひ", "ら", "か\u3099", "な"]),
        ("ｶﾀｶﾅのﾃﾞｰﾀ", ["カ", "タ", "カ", "ナ", "の", "テ\u3099", "ー", "タ"]),
        ("สัญญานี้", ["สั", "ญ", "ญ", "า", "นี้"]),
        ("계약을 체결하다", ["계약을", "체결하다"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("e\u0301a 😀 ___ 7½", ["ea", "712"]),
    ],
    ids=["Chinese", "Japanese", "narrow Japanese", "Thai", "Korean", "Hindi", "signs"],
)
def test_words_end_where_each_script_ends_them(text: str, expected: list[str]) -> None:
    assert words(text) == expected


ANY_TEXT = st.text(
    st.characters(codec="utf-8")
    | st.sampled_from(
        "abcXYZ019 .,_-\n\t'\u00e9\u00df\u0130\u0131\u03c2\u0301\u4e2d\u30ab\u0e01\u0e31\u200d\u00ad\ufb01"
    ),
    max_size=60,
)


@given(ANY_TEXT, ANY_TEXT)
def test_the_kernels_see_the_words_that_the_definition_sees(one: str, other: str) -> None:
    found = verify(Texts.of([one, other]), np.array([0]), np.array([1]))
    assert found.similarity[0] == pytest.approx(jaccard(one, other))


@given(ANY_TEXT, ANY_TEXT)
def test_texts_have_one_identity_if_and_only_if_they_have_the_same_words(one: str, other: str) -> None:
    signed = sign(Texts.of([one, other, f" {one}!"]), Scheme(0.7))
    same = (signed.identities[0] == signed.identities[1]).all()
    assert same == (words(one) == words(other))
    assert (signed.identities[0] == signed.identities[2]).all()
    assert (signed.sizes > 0).tolist() == [bool(words(one)), bool(words(other)), bool(words(one))]


SHORT_BYTES = st.binary(max_size=20) | st.sampled_from([b"\0" * n for n in range(20)])


@given(st.lists(st.tuples(SHORT_BYTES, SHORT_BYTES), max_size=8))
def test_texts_have_one_hash_if_and_only_if_they_have_the_same_bytes(rows: list[tuple[bytes, bytes]]) -> None:
    rows += [(one + other, b"") for one, other in rows] + [(b"", one + other) for one, other in rows]
    asked, answered = (pa.array([row[part] for row in rows], type=pa.large_binary()) for part in range(2))
    hashes = [tuple(both) for both in Texts(asked, answered).hashes().tolist()]
    assert all((hashes[i] == hashes[j]) == (rows[i] == rows[j]) for i in range(len(rows)) for j in range(i))


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_prompt_and_response_count_together_and_the_response_for_itself(a: str, b: str, c: str, d: str) -> None:
    found = verify(Texts.of([a, c], [b, d]), np.array([0]), np.array([1]))
    assert found.similarity[0] == pytest.approx(jaccard(f"{a}\n{b}", f"{c}\n{d}"))
    assert found.answers[0] == pytest.approx(jaccard(b, d) if words(b) or words(d) else 1)


# --- dense clusters ---------------------------------------------------------------------------
def every_pair(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All pairs of so many rows, those of one later row together."""
    later, earlier = np.tril_indices(count, -1)
    return earlier.astype(np.int64), later.astype(np.int64)


def by_definition(asked: Sequence[str], answered: Sequence[str]) -> npt.NDArray[np.float64]:
    """The similarities of every pair of texts, and of their answers."""
    pairs = list(zip(*every_pair(len(asked)), strict=True))
    whole = [jaccard(*(f"{asked[row]}\n{answered[row]}" for row in pair)) for pair in pairs]
    any_words = [any(words(answered[row]) for row in pair) for pair in pairs]
    answers = [
        jaccard(answered[one], answered[other]) if some else 1.0
        for (one, other), some in zip(pairs, any_words, strict=True)
    ]
    return np.array([whole, answers])


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=2, max_size=9), st.randoms())
def test_every_pair_of_a_dense_cluster_has_its_own_similarities(
    rows: list[tuple[str, str]], rng: random.Random
) -> None:
    asked, answered = zip(*rows, strict=True)
    left, right = every_pair(len(rows))
    order = np.array(rng.sample(range(len(left)), len(left)))
    found = verify(Texts.of(asked, answered), left[order], right[order])
    np.testing.assert_allclose([found.similarity, found.answers], by_definition(asked, answered)[:, order])


# --- bad input --------------------------------------------------------------------------------
def test_no_character_outgrows_the_room_for_it() -> None:
    growing = [
        character
        for character in map(chr, (*range(0x80, 0xD800), *range(0xE000, TABLE_SIZE)))
        if len("".join(words(character)).encode()) > len(character.encode())
    ]
    assert "\u0e33" in growing
    for character in growing:
        text = (character * 3 + "a") * 300
        folded = words(text)
        assert sum(len(word.encode()) + 1 for word in folded) <= 3 * len(text.encode()), (
            "the room in word_kernels.hash_words"
        )
        found = Texts.of([text]).words(np.arange(1))
        assert found.starts[1] - 2 == len(folded)


@given(st.lists(st.binary(max_size=40), min_size=2, max_size=5))
def test_bytes_that_are_not_utf_8_part_words_and_do_no_harm(rows: list[bytes]) -> None:
    texts = Texts(pa.array(rows, type=pa.large_binary()))
    pairs = similar_pairs(texts, 0.5)
    for left, right, similarity in zip(pairs.left, pairs.right, pairs.similarity, strict=True):
        # Each bad byte is a separator of its own, as in Python's replacement.
        one, other = (rows[row].decode("utf-8", "replace").replace("\ufffd", " ") for row in (left, right))
        assert similarity == pytest.approx(jaccard(one, other))


def test_a_broken_byte_in_a_word_does_not_hide_a_copy() -> None:
    text = CLAUSE.encode()
    broken = text.replace(b"delaware", b"dela\xffware")
    assert len(pairs := similar_pairs(Texts(pa.array([text, broken], type=pa.binary())), 0.7)) == 1
    assert pairs.similarity[0] > 0.7


def test_texts_must_not_be_missing() -> None:
    with pytest.raises(ValueError, match="1 texts are missing; give empty ones"):
        Texts(pa.array(["a", None]))
