"""Decides which of two similar rows may represent the other."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from pipeline.dedupe.candidates import Candidate
from pipeline.dedupe.neighbors import SimilarRows
from pipeline.similarity.pairs import verify
from pipeline.similarity.spelling import may_mean_the_same
from pipeline.similarity.text_columns import Texts
from pipeline.text.meaning_guards import same_facts, same_negations, same_signs
from pipeline.text.normalize import has_several_fields, key_fields

_Pair = tuple[Candidate, Candidate]
_PAIRS_AT_ONCE = 10_000
"""Pairs whose inputs are compared one by one in a batch; they are held in memory twice."""


@dataclass(frozen=True)
class MergePolicy:
    """Decides which rows may be duplicates of each other."""

    similar_rows: SimilarRows
    answers_repeat: bool
    _answers: dict[tuple[str, str], float] = field(default_factory=dict)
    _inputs: dict[tuple[str, str], bool] = field(default_factory=dict)

    def compare_all(self, pairs: Iterable[_Pair]) -> None:
        """Compare many pairs at once, before the other methods are called for them."""
        free_text: list[tuple[int, int]] = []
        several: dict[tuple[str, str], _Pair] = {}
        for one, other in pairs:
            if _differ_in_free_text(one, other):
                free_text.append((one.free_text, other.free_text))
            if _have_several_inputs(one, other) and _may_agree(one, other) and _of(one, other) not in self._inputs:
                several[_of(one, other)] = one, other
        self.similar_rows.compare_answers(free_text)
        fresh = list(several.values())
        for start in range(0, len(fresh), _PAIRS_AT_ONCE):
            self._compare_inputs(fresh[start : start + _PAIRS_AT_ONCE])

    def may_join(self, one: Candidate, keeper: Candidate) -> bool:
        """Whether a row may be a near-duplicate of a similar one; an unlabeled row agrees with any, or with none."""
        if one.past or keeper.past:
            return False
        if one.text == keeper.text and not same_signs(one.key, keeper.key):
            # Their words are equal; no threshold could tell them apart.
            return False
        return self._answers_agree(one, keeper) and self._inputs_similar(one, keeper)

    def answer_similarity(self, one: Candidate, other: Candidate) -> float:
        """The similarity of two rows with their free-text answers, if these are equivalent; 0 if not."""
        if not _differ_in_free_text(one, other):
            return 0.0
        pair = (one.record_id, other.record_id)
        if pair not in self._answers:
            similarity = self.similar_rows.as_a_whole(one.free_text, other.free_text)
            agree = similarity > 0 and same_facts(str(one.answer), str(other.answer))
            self._answers[pair] = similarity if agree else 0.0
        return self._answers[pair]

    def _answers_agree(self, one: Candidate, keeper: Candidate) -> bool:
        if one.answer is None:
            # The keeper's answer was never confirmed for the other row.
            return self.answers_repeat and same_negations(one.key, keeper.key)
        if keeper.answer is None:
            return False
        return one.answer == keeper.answer or self.answer_similarity(one, keeper) > 0

    def _inputs_similar(self, one: Candidate, other: Candidate) -> bool:
        """Whether, of several inputs, each is similar: a long passage must not outweigh the question beside it."""
        if not _have_several_inputs(one, other):
            return min(one.free_text, other.free_text) >= 0 or may_mean_the_same(one.key, other.key)
        if _of(one, other) not in self._inputs:
            self._compare_inputs([(one, other)])
        return self._inputs[_of(one, other)]

    def _compare_inputs(self, pairs: Iterable[_Pair]) -> None:
        inputs: list[tuple[str, str]] = []
        left: list[str] = []
        right: list[str] = []
        owners: list[tuple[str, str]] = []
        for one, other in pairs:
            # Conversations of other lengths are not the same one, however much they share.
            self._inputs[_of(one, other)] = same_length = len(key_fields(one.key)) == len(key_fields(other.key))
            if not same_length:
                continue
            answers = _answers(one, other)
            differing = _differing_inputs(one, other)
            self._inputs[_of(one, other)] = answers != ("", "") or all(may_mean_the_same(*texts) for texts in differing)
            for texts in differing:
                inputs.append(texts)
                left.append(f"{texts[0]}{answers[0]}")
                right.append(f"{texts[1]}{answers[1]}")
                owners.append(_of(one, other))
        places = np.arange(len(owners), dtype=np.int64)
        found = verify(Texts.of([*left, *right]), places, places + len(owners)).similarity.tolist()
        for pair, texts, similarity in zip(owners, inputs, found, strict=True):
            # With equal words, signs tell them apart, as with a single input.
            if similarity < self.similar_rows.threshold or (similarity == 1 and not same_signs(*texts)):
                self._inputs[pair] = False


def _have_several_inputs(one: Candidate, other: Candidate) -> bool:
    return has_several_fields(one.key) or has_several_fields(other.key)


def _of(one: Candidate, other: Candidate) -> tuple[str, str]:
    """The name of an unordered pair."""
    return (one.record_id, other.record_id) if one.record_id < other.record_id else (other.record_id, one.record_id)


def _differing_inputs(one: Candidate, other: Candidate) -> list[tuple[str, str]]:
    """The inputs in which two rows differ."""
    return [(a, b) for a, b in zip(key_fields(one.key), key_fields(other.key), strict=True) if not _equal(a, b)]


def _answers(one: Candidate, other: Candidate) -> tuple[str, str]:
    """What an input is compared together with: the answers, if both are free text."""
    return (f"\n{one.answer}", f"\n{other.answer}") if min(one.free_text, other.free_text) >= 0 else ("", "")


def _equal(one: str, other: str) -> bool:
    """Whether two inputs are the same; without words there is nothing to compare."""
    return one == other or (not any(map(str.isalnum, one + other)) and same_signs(one, other))


def _differ_in_free_text(one: Candidate, other: Candidate) -> bool:
    """Whether two answers differ only in free text; to the same question, they are a conflict."""
    free_text = one.free_text >= 0 and other.free_text >= 0
    return free_text and one.key != other.key and one.answer != other.answer and one.closed == other.closed


def _may_agree(one: Candidate, other: Candidate) -> bool:
    return one.answer == other.answer or None in (one.answer, other.answer) or _differ_in_free_text(one, other)
