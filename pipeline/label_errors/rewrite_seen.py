"""What is known of rewritten texts before it is judged how rare that is: of each, and of the words of their set."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import hashed
from pipeline.label_errors.rarity import Floats, Groups
from pipeline.label_errors.rewrite_clues import Clue
from pipeline.label_errors.rewrite_columns import Columns, Rewrite, read_rows
from pipeline.label_errors.rewrite_languages import answer_languages, foreign, usual_languages
from pipeline.label_errors.rewrite_meaning import Match, match, match_by, share_in_original, word_weights
from pipeline.label_errors.rewrite_pairs import KeptPairs, Pairs
from pipeline.label_errors.rewrite_rules import Rule
from pipeline.label_errors.rewrite_words import KeptWords, WordUse


@dataclass(frozen=True, slots=True)
class Seen:
    """Some rows, and what is known of them."""

    rows: Sequence[Rewrite]
    columns: Columns
    groups: Groups
    off: Collection[Rule]
    """The rules that are not asked."""
    use: WordUse
    """Of the words of their vocabulary."""
    match: Match | None
    """How well each answer matches its original; None if that is not asked."""
    strangers: Floats | None
    """How well it matches an original that has nothing to do with it; None for rows that are judged by others."""
    foreign: Mapping[int, str]
    """The languages of the answers that are in none of the usual ones, by row."""

    @property
    def verdicts(self) -> Iterator[tuple[Clue, npt.NDArray[np.int8]]]:
        """What every clue that is asked says of each row: -1 nothing, 0 that all is well, 1 that something is wrong."""
        return zip(self.columns.clues, self.columns.verdicts, strict=True)

    @property
    def plain_shares(self) -> Floats:
        """Of every answer, how much of what is neither a name nor a number is in its original."""
        weights = np.where(self.columns.plain, word_weights(self.columns, self.use), 0.0)
        return share_in_original(self.columns, weights)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words and the languages of a set."""

    words: KeptWords
    pairs: KeptPairs | None
    """Which words go together, if that had to be learned."""
    languages: npt.NDArray[np.uint8]
    """The usual ones, as lines of text; empty also if it was not asked."""


def learn(rows: Sequence[Rewrite], off: Collection[Rule]) -> tuple[Seen, Lexicon]:
    """See rows by themselves, and what shows later rows alike."""
    columns, groups = read_rows(rows, off), Groups.of([row.group for row in rows])
    use, hashes = WordUse.learn(columns, groups), hashed(columns.vocabulary)
    words = KeptWords.of(hashes, use)
    matched: tuple[Match | None, Floats | None, Pairs | None] = (None, None, None)
    if Rule.MEANING not in off:
        matched = match(columns, groups, use)
    own, strangers, pairs = matched
    usual: frozenset[str] = frozenset()
    odd: Mapping[int, str] = {}
    if Rule.LANGUAGE not in off:
        languages = answer_languages([row.answer for row in rows])
        usual = usual_languages(languages)
        odd = foreign(languages, usual)
    kept = Lexicon(words, pairs.kept(hashes, words) if pairs else None, _as_bytes(usual))
    return Seen(rows, columns, groups, off, use, own, strangers, odd), kept


def see(rows: Sequence[Rewrite], kept: Lexicon, off: Collection[Rule]) -> Seen:
    """See rows that were not learned from."""
    columns = read_rows(rows, off)
    hashes = hashed(columns.vocabulary)
    at = kept.words.places(hashes)
    use = kept.words.use(at)
    matched = None if Rule.MEANING in off else match_by(columns, use, kept.pairs, hashes, at)
    odd: Mapping[int, str] = {}
    if Rule.LANGUAGE not in off:
        languages = answer_languages([row.answer for row in rows])
        odd = foreign(languages, kept.languages.tobytes().decode().split())
    return Seen(rows, columns, Groups.outside(len(rows)), off, use, matched, None, odd)


def _as_bytes(languages: Collection[str]) -> npt.NDArray[np.uint8]:
    return np.frombuffer("\n".join(sorted(languages)).encode(), dtype=np.uint8)
