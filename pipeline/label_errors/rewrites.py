"""Finds likely wrong answers among rewritten texts: a pair is doubted for what is rare among the pairs of its own set.

A summary drops numbers, a translation shares hardly a word with its original, a fluent wording drops what was
corrected. So no rule has limits of its own: what many rows of a set have in common says nothing against any of them.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.label_errors.kept_arrays import Arrays, Kept, from_arrays, of_name, to_arrays
from pipeline.label_errors.rarity import ROUNDING, SHOWN, Floats
from pipeline.label_errors.rewrite_columns import Rewrite
from pipeline.label_errors.rewrite_evidence import Evidence
from pipeline.label_errors.rewrite_rules import Rule
from pipeline.label_errors.rewrite_usual import Usual, learn

__all__ = ["Finding", "Rewrite", "RewriteScore", "Rule", "judge_rewrites", "learn_rewrites"]

_AT_ONCE = 2_000
"""Rows that are judged together: more take more memory, and hardly less time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why an answer is doubted, for annotators."""

    rule: Rule
    detail: str


@dataclass(frozen=True, slots=True)
class RewriteScore:
    """How likely an answer is wrong, and why."""

    score: float
    """0 to 1: how likely an annotator would correct it. 0.5 for what one row in twenty has, 0.75 for one in a hundred,
    0.94 for one in a thousand; it ranks the rows, and is no measured probability."""
    findings: tuple[Finding, ...] = ()
    """The weightiest first; none if nothing is worth asking about."""


def learn_rewrites(
    rows: Sequence[Rewrite], off: Collection[Rule] = (), name: str = "usual"
) -> tuple[list[RewriteScore], Arrays]:
    """Score how likely every answer is wrong, and keep what judges other answers by these.

    Args:
        rows: originals and their answers, in any order.
        off: rules that are not to be used, neither now nor by what is kept.
        name: what the names of the arrays that are kept begin with.
    """
    if not rows or _asks_nothing(off):
        return [RewriteScore(0.0)] * len(rows), {}
    # Some results depend on the order: which rows are learned from, and the sums of fractions. A group's name may
    # itself depend on which of its rows came first.
    order = sorted(range(len(rows)), key=lambda row: (_digest(rows[row]), rows[row].group))
    evidence, usual = learn([rows[row] for row in order], frozenset(off))
    found = dict(zip(order, _scores(evidence, len(rows)), strict=True))
    return [found[row] for row in range(len(rows))], to_arrays(usual, name)


def judge_rewrites(
    rows: Sequence[Rewrite], kept: Kept, off: Collection[Rule] = (), name: str = "usual"
) -> list[RewriteScore] | None:
    """Score how likely answers are wrong by what was kept of others; None if nothing was.

    A score depends on its row and on what was kept only, and a rule finds nothing that was off when that was learned.

    Args:
        rows: originals and their answers; their groups say nothing.
        kept: of ``learn_rewrites``.
        off: rules that are not to be used.
        name: what the names of the arrays begin with.
    """
    if _asks_nothing(off):
        return [RewriteScore(0.0)] * len(rows)
    if not of_name(kept, name):
        return None
    usual = from_arrays(Usual, kept, name)
    parts = (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
    return [score for part in parts for score in _scores(usual.evidence(part, frozenset(off)), len(part))]


def _asks_nothing(off: Collection[Rule]) -> bool:
    """Whether all rules are off: then no text need be read."""
    return set(off) >= set(Rule)


def _digest(row: Rewrite) -> bytes:
    return hashlib.blake2b(f"{row.original}\0{row.answer}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _scores(evidence: Sequence[Evidence], rows: int) -> list[RewriteScore]:
    by_rule: dict[Rule, list[Evidence]] = {}
    for one in evidence:
        by_rule.setdefault(one.rule, []).append(one)
    said = {rule: np.maximum.reduce([one.says for one in some]) for rule, some in by_rule.items()}
    scores = np.round(1 - 2 ** (-_total(said, rows) / 2), 4).tolist()
    findings = _findings(said, by_rule, rows)
    return [RewriteScore(score, found) for score, found in zip(scores, findings, strict=True)]


def _total(said: dict[Rule, Floats], rows: int) -> Floats:
    """The bits of all rules together; whole ones where something is shown, for the reason that ``rarity`` gives."""
    # Several rules often see the same fault: their sum would count it several times.
    bits = np.sqrt(sum((says**2 for says in said.values()), np.zeros(rows)))
    return np.where(bits < SHOWN, bits, np.floor(bits + ROUNDING))


def _findings(said: dict[Rule, Floats], by_rule: dict[Rule, list[Evidence]], rows: int) -> list[tuple[Finding, ...]]:
    """What is worth showing of every row."""
    found: list[list[tuple[float, Finding]]] = [[] for _ in range(rows)]
    for rule, says in said.items():
        for row in np.flatnonzero(says >= SHOWN).tolist():
            strongest = max(by_rule[rule], key=lambda evidence: float(evidence.says[row]))
            found[row].append((-float(says[row]), Finding(rule, strongest.describe(row))))
    return [_ordered(some) for some in found]


def _ordered(found: list[tuple[float, Finding]]) -> tuple[Finding, ...]:
    """The weightiest first; that an empty answer lacks something, too, need not be told."""
    findings = tuple(finding for _, finding in sorted(found, key=lambda one: one[0]))
    return tuple(finding for finding in findings if finding.rule is Rule.EMPTY) or findings
