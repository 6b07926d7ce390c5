"""What every rule says against every row of a set of rewritten texts."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors import rarity
from pipeline.label_errors.quotes import quoted
from pipeline.label_errors.rarity import Floats, Groups
from pipeline.label_errors.rewrite_clues import Clue, not_in
from pipeline.label_errors.rewrite_columns import Columns, Rewrite, read_rows
from pipeline.label_errors.rewrite_languages import foreign, language_name
from pipeline.label_errors.rewrite_lengths import compare_lengths
from pipeline.label_errors.rewrite_meaning import Match, match, share_in_original, word_weights
from pipeline.label_errors.rewrite_neighbors import better_originals
from pipeline.label_errors.rewrite_rules import Rule
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


def gather(rows: Sequence[Rewrite], off: frozenset[Rule]) -> list[Evidence]:
    """What the rules say that are not off."""
    columns = read_rows(rows, off)
    matched = None if Rule.MEANING in off else match(columns)
    wrong = [_empty(rows, columns, clue, found) for clue, found in _judged(columns) if clue.rule is Rule.EMPTY]
    if matched:
        wrong.append(_mismatched(rows, columns, matched))
    if Rule.LANGUAGE not in off:
        wrong.append(_foreign(rows, columns.groups))
    # An answer about something else has other names, numbers and lengths, too: that says nothing about how rare these
    # are in answers to their originals.
    astray = np.zeros(len(rows), dtype=np.bool_)
    for evidence in wrong:
        astray |= evidence.says >= rarity.SHOWN
    groups = columns.groups.without(astray)
    rest = [_found(rows, groups, clue, found) for clue, found in _judged(columns) if clue.rule is not Rule.EMPTY]
    if matched:
        rest.append(_partly_mismatched(rows, columns, groups, matched, wrong))
    if Rule.LENGTH not in off:
        rest += _out_of_range(columns, groups)
    if Rule.CUT not in off:
        rest.append(_odd_last_word(rows, columns, groups))
    return [*wrong, *rest]


def _judged(columns: Columns) -> list[tuple[Clue, npt.NDArray[np.int8]]]:
    return list(zip(columns.clues, columns.verdicts, strict=True))


# --- what is found in one pair --------------------------------------------------------------------
def _found(rows: Sequence[Rewrite], groups: Groups, clue: Clue, verdicts: npt.NDArray[np.int8]) -> Evidence:
    says = rarity.of_finding(verdicts > 0, verdicts >= 0, groups, may_be_usual=clue.may_be_usual)
    return Evidence(clue.rule, says, _described(rows, clue))


def _empty(rows: Sequence[Rewrite], columns: Columns, clue: Clue, verdicts: npt.NDArray[np.int8]) -> Evidence:
    groups, found = columns.groups, verdicts > 0
    most_are = groups.others(found) * 2 > groups.others(np.ones_like(found))
    return Evidence(clue.rule, np.where(found & ~most_are, _CERTAIN, 0.0), _described(rows, clue))


def _described(rows: Sequence[Rewrite], clue: Clue) -> Callable[[int], str]:
    # Not kept for all rows: few of the findings are rare enough to be shown.
    return lambda row: clue.find(read(rows[row].original), read(rows[row].answer)) or ""


# --- what is found in the set ---------------------------------------------------------------------
def _mismatched(rows: Sequence[Rewrite], columns: Columns, matched: Match) -> Evidence:
    says = rarity.of_mismatch(matched.own, matched.stranger, matched.known, columns.groups)
    common = _common_words(columns)
    shown = np.flatnonzero(says >= rarity.SHOWN).tolist()
    better = {} if matched.learned else better_originals(columns, word_weights(columns), shown)

    def describe(row: int) -> str:
        if row in better:
            return f"it fits another row's original better: {quoted(rows[better[row]].original)}"
        if matched.learned:
            return "in the other rows, its words go with other originals"
        return _new_words(rows[row], common, plain=False)

    return Evidence(Rule.MEANING, says, describe)


def _partly_mismatched(
    rows: Sequence[Rewrite], columns: Columns, groups: Groups, matched: Match, wholly: Sequence[Evidence]
) -> Evidence:
    """Words out of nowhere."""
    shares = matched.own
    if not matched.learned:
        # Names and numbers have rules of their own.
        shares = share_in_original(columns, np.where(columns.plain, word_weights(columns), 0.0))
    known = np.isfinite(shares)
    low, _ = rarity.usual_range(shares, known, groups, _LEAST_WIDTH)
    says = rarity.of_tail(np.where(known, shares, np.inf), known & (shares < low), groups)

    common = _common_words(columns)

    def describe(row: int) -> str:
        for evidence in wholly:
            if evidence.rule is Rule.MEANING and evidence.says[row] > 0:
                return evidence.describe(row)
        if matched.learned:
            return "in the other rows, some of its words go with other originals"
        return _new_words(rows[row], common, plain=True)

    return Evidence(Rule.MEANING, says, describe)


def _common_words(columns: Columns) -> frozenset[str]:
    """Words that so many answers have that they say nothing about one."""
    common = columns.answer_counts >= rarity.ORDINARY * columns.groups.weights.sum()
    return frozenset(itertools.compress(columns.vocabulary, common))


def _new_words(row: Rewrite, common: frozenset[str], *, plain: bool) -> str:
    """Which words of an answer its original lacks; if all are there, their pairs are not, in scripts without spaces."""
    original, answer = read(row.original), read(row.answer)
    words = [word for word in answer.words if word not in original.seen]
    words = [word for word in words if not (plain and (word in answer.names or word in answer.numbers))]
    words = [word for word in words if word not in common] or words
    return not_in("original", words) if words else "it has little in common with the original"


def _foreign(rows: Sequence[Rewrite], groups: Groups) -> Evidence:
    languages = foreign([row.answer for row in rows])
    found = np.zeros(len(rows), dtype=np.bool_)
    found[list(languages)] = True
    says = rarity.of_finding(found, np.ones_like(found), groups)
    return Evidence(Rule.LANGUAGE, says, lambda row: f"it seems to be in {language_name(languages[row])}")


def _out_of_range(columns: Columns, groups: Groups) -> list[Evidence]:
    lengths = compare_lengths(columns.original_length, columns.answer_length, groups)
    excess = np.where(lengths.known, lengths.excess, np.inf)
    short = rarity.of_tail(excess, lengths.short, groups)
    long = rarity.of_tail(np.where(lengths.known, -lengths.excess, np.inf), lengths.long, groups)
    return [Evidence(Rule.LENGTH, says, lengths.described) for says in (short, long)]


def _odd_last_word(rows: Sequence[Rewrite], columns: Columns, groups: Groups) -> Evidence:
    """An answer that ends with a word which others have, but hardly ever as their last one."""
    last, has = columns.last_word, columns.last_word >= 0
    # The row's own group is left out: it cannot say how others end.
    ends = np.bincount(last[has], columns.groups.weights[has], minlength=len(columns.vocabulary) + 1)[last] - 1
    occurs = np.r_[columns.answer_counts, 0][last] - 1
    share = np.where(has & (occurs >= _KNOWN_LAST), (ends + 0.5) / (np.maximum(occurs, 0) + 1), 1.0)
    says = rarity.of_tail(share, share < _RARELY_LAST, groups)
    return Evidence(
        Rule.CUT, says, lambda row: f"hardly any answer ends with {quoted(read(rows[row].answer).words[-1])}"
    )
