"""What every rule says against every row of a set of rewritten texts, given how frequent that is in the set."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.label_errors.quotes import quoted
from pipeline.label_errors.rarity import ORDINARY, SHOWN, Bools, Floats, Groups, Mismatch, Rate, Tail, usual_range
from pipeline.label_errors.rewrite_clues import CLUES, Clue, not_in
from pipeline.label_errors.rewrite_columns import Rewrite
from pipeline.label_errors.rewrite_languages import language_name
from pipeline.label_errors.rewrite_lengths import Lengths
from pipeline.label_errors.rewrite_meaning import word_weights
from pipeline.label_errors.rewrite_neighbors import better_originals
from pipeline.label_errors.rewrite_rules import Rule
from pipeline.label_errors.rewrite_seen import Seen
from pipeline.label_errors.rewrite_texts import read

_CERTAIN = 4.0
"""What an empty answer says, unless most of the others are empty, too."""
_KNOWN_LAST = 20
"""In so many other answers a word must occur before it is known not to be a last one."""
_RARELY_LAST = 0.02
_LEAST_WIDTH = 0.05
"""Of the usual range of shares: if all answers have only words of their originals, a stray word is no finding yet."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one way of looking says against every row."""

    rule: Rule
    says: Floats
    """0 where nothing speaks against the row; ``rarity`` says how much it is otherwise."""
    describe: Callable[[int], str]
    """What is wrong with a row, in words."""


# --- answers that are wrong as a whole ------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Wholly:
    """How frequent answers are that are empty, about something else, or in another language; None: not asked."""

    empty: Rate | None
    mismatch: Mismatch | None
    foreign: Rate | None

    @classmethod
    def learn(cls, seen: Seen) -> "Wholly":
        """Learn from all rows."""
        empty = [Rate.learn(found > 0, found >= 0, seen.groups) for clue, found in seen.verdicts if _is_empty(clue)]
        mismatch, foreign = None, None
        if seen.match and seen.strangers is not None:
            mismatch = Mismatch.learn(seen.match.own, seen.strangers, seen.match.known, seen.groups)
        if Rule.LANGUAGE not in seen.off:
            foreign = Rate.learn(*_foreign(seen), seen.groups)
        return cls(empty[0] if empty else None, mismatch, foreign)

    def evidence(self, seen: Seen) -> list[Evidence]:
        """What speaks against every answer as a whole."""
        found = []
        for clue, verdicts in seen.verdicts:
            if self.empty and _is_empty(clue):
                is_empty, groups = verdicts > 0, seen.groups
                most_are = groups.others(self.empty.found, is_empty) * 2 > groups.others(self.empty.rows)
                says = np.where(is_empty & ~most_are, _CERTAIN, 0.0)
                found.append(Evidence(clue.rule, says, _described(seen, clue)))
        if self.mismatch and seen.match:
            says = self.mismatch.says(seen.match.own, seen.match.known, seen.groups)
            found.append(Evidence(Rule.MEANING, says, _mismatch_described(seen, says)))
        if self.foreign and Rule.LANGUAGE not in seen.off:
            says, languages = self.foreign.says(*_foreign(seen), seen.groups), seen.foreign
            found.append(
                Evidence(Rule.LANGUAGE, says, lambda row: f"it seems to be in {language_name(languages[row])}")
            )
        return found


def _is_empty(clue: Clue) -> bool:
    return clue.rule is Rule.EMPTY


def _foreign(seen: Seen) -> tuple[Bools, Bools]:
    """Which answers are in another language, and which could be."""
    found = np.zeros(len(seen.rows), dtype=np.bool_)
    found[list(seen.foreign)] = True
    return found, np.ones_like(found)


def _mismatch_described(seen: Seen, says: Floats) -> Callable[[int], str]:
    """What is wrong with a row whose answer does not match its original."""
    learned = seen.match is not None and seen.match.learned
    common, better = _common_words(seen), {}
    # Rows that are judged by others have no neighbors: what is said of them must not depend on their company.
    if not learned and seen.strangers is not None:
        weights, shown = word_weights(seen.columns, seen.use), np.flatnonzero(says >= SHOWN).tolist()
        better = better_originals(seen.columns, weights, seen.groups.codes, shown)

    def describe(row: int) -> str:
        if row in better:
            return f"it fits another row's original better: {quoted(seen.rows[better[row]].original)}"
        if learned:
            return "in the other rows, its words go with other originals"
        return _new_words(seen.rows[row], common, plain=False)

    return describe


# --- answers that are wrong in part ---------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Partly:
    """How frequent everything else is, among rows whose answers are not wrong as a whole; None: not asked."""

    found: Floats
    """By clue, how many groups have a finding; NaN if it was not asked."""
    possible: Floats
    """By clue, how many groups could have it."""
    rows: float
    low_share: float
    """How much of an answer its original has at least, usually."""
    shares: Tail | None
    lengths: Lengths | None
    lasts: Tail | None

    @classmethod
    def learn(cls, seen: Seen, groups: Groups) -> "Partly":
        """Learn from the rows that count."""
        found, possible = np.full((2, len(CLUES)), np.nan)
        for clue, verdicts in seen.verdicts:
            at = CLUES.index(clue)
            found[at], possible[at] = groups.count(verdicts > 0), groups.count(verdicts >= 0)
        low, shares = -np.inf, None
        if seen.match:
            values = _shares(seen)
            low, _ = usual_range(values, np.isfinite(values), groups, _LEAST_WIDTH)
            shares = Tail.learn(values, values < low, groups)
        lengths = None if Rule.LENGTH in seen.off else Lengths.learn(seen.columns, groups)
        lasts = None
        if Rule.CUT not in seen.off:
            values = _last_shares(seen)
            lasts = Tail.learn(values, values < _RARELY_LAST, groups)
        return cls(found, possible, groups.count(), low, shares, lengths, lasts)

    def evidence(self, seen: Seen, groups: Groups, wholly: Sequence[Evidence]) -> list[Evidence]:
        """What else speaks against every answer, given what speaks against it as a whole."""
        found = []
        for clue, verdicts in seen.verdicts:
            at = CLUES.index(clue)
            if not _is_empty(clue) and np.isfinite(self.found[at]):
                rate = Rate(float(self.found[at]), float(self.possible[at]), self.rows)
                says = rate.says(verdicts > 0, verdicts >= 0, groups, may_be_usual=clue.may_be_usual)
                found.append(Evidence(clue.rule, says, _described(seen, clue)))
        if self.shares and seen.match:
            values = _shares(seen)
            says = self.shares.says(np.nan_to_num(values, nan=np.inf), values < self.low_share, groups)
            found.append(Evidence(Rule.MEANING, says, _partly_described(seen, wholly)))
        lengths, columns = self.lengths, seen.columns
        if lengths and Rule.LENGTH not in seen.off:
            found += [
                Evidence(Rule.LENGTH, says, lambda row: lengths.described(columns, row))
                for says in lengths.says(columns, groups)
            ]
        if self.lasts and Rule.CUT not in seen.off:
            values = _last_shares(seen)
            found.append(
                Evidence(Rule.CUT, self.lasts.says(values, values < _RARELY_LAST, groups), _last_described(seen))
            )
        return found


def _described(seen: Seen, clue: Clue) -> Callable[[int], str]:
    # Not kept for all rows: few of the findings are rare enough to be shown.
    return lambda row: clue.find(read(seen.rows[row].original), read(seen.rows[row].answer)) or ""


def _shares(seen: Seen) -> Floats:
    """Of every answer, how much of it is explained by its original; NaN if nothing is known."""
    # Names and numbers have rules of their own.
    return seen.match.own if seen.match and seen.match.learned else seen.plain_shares


def _partly_described(seen: Seen, wholly: Sequence[Evidence]) -> Callable[[int], str]:
    """Which words of an answer come out of nowhere."""
    common, mismatches = _common_words(seen), [evidence for evidence in wholly if evidence.rule is Rule.MEANING]

    def describe(row: int) -> str:
        for evidence in mismatches:
            if evidence.says[row] > 0:
                return evidence.describe(row)
        if seen.match and seen.match.learned:
            return "in the other rows, some of its words go with other originals"
        return _new_words(seen.rows[row], common, plain=True)

    return describe


def _common_words(seen: Seen) -> frozenset[str]:
    """Words that so many answers have that they say nothing about one."""
    common = seen.use.counts >= ORDINARY * seen.use.rows
    return frozenset(itertools.compress(seen.columns.vocabulary, common))


def _new_words(row: Rewrite, common: frozenset[str], *, plain: bool) -> str:
    """Which words of an answer its original lacks; if all are there, their pairs are not, in scripts without spaces."""
    original, answer = read(row.original), read(row.answer)
    words = [word for word in answer.words if word not in original.seen]
    words = [word for word in words if not (plain and (word in answer.names or word in answer.numbers))]
    words = [word for word in words if word not in common] or words
    return not_in("original", words) if words else "it has little in common with the original"


def _last_shares(seen: Seen) -> Floats:
    """Of every answer's last word: which share of the other answers that have it end with it; 1 if few have it."""
    last, has = seen.columns.last_word, seen.columns.last_word >= 0
    # The row itself is left out: it cannot say how others end.
    ends, occurs = (np.r_[counts, 0][last] - 1 for counts in (seen.use.lasts, seen.use.counts))
    return np.where(has & (occurs >= _KNOWN_LAST), (ends + 0.5) / (np.maximum(occurs, 0) + 1), 1.0)


def _last_described(seen: Seen) -> Callable[[int], str]:
    """An answer that ends with a word which others have, but hardly ever as their last one."""
    return lambda row: f"hardly any answer ends with {quoted(read(seen.rows[row].answer).words[-1])}"
