"""Finds likely wrong answers among rewritten texts: a pair is doubted for what is rare among the pairs of its own set.

A summary drops numbers, a translation shares hardly a word with its original, a fluent wording drops what was
corrected. So no rule has limits of its own: what many rows of a set have in common says nothing against any of them.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.label_errors.rarity import ROUNDING, SHOWN, Floats
from pipeline.label_errors.rewrite_columns import Rewrite
from pipeline.label_errors.rewrite_evidence import Evidence, gather
from pipeline.label_errors.rewrite_rules import Rule

__all__ = ["Finding", "Rewrite", "RewriteScore", "Rule", "score_rewrites"]


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


def score_rewrites(rows: Sequence[Rewrite], off: Collection[Rule] = ()) -> list[RewriteScore]:
    """Score how likely every answer is wrong. The order of the rows does not matter.

    Args:
        rows: originals and their answers.
        off: rules that are not to be used.
    """
    # Some results depend on the order: which rows are learned from, and the sums of fractions. A group's name may
    # itself depend on which of its rows came first.
    order = sorted(range(len(rows)), key=lambda row: (_digest(rows[row]), rows[row].group))
    scores = _scores([rows[row] for row in order], frozenset(off))
    found = dict(zip(order, scores, strict=True))
    return [found[row] for row in range(len(rows))]


def _digest(row: Rewrite) -> bytes:
    return hashlib.blake2b(f"{row.original}\0{row.answer}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _scores(rows: Sequence[Rewrite], off: frozenset[Rule]) -> list[RewriteScore]:
    by_rule: dict[Rule, list[Evidence]] = {}
    for evidence in gather(rows, off):
        by_rule.setdefault(evidence.rule, []).append(evidence)
    said = {rule: np.maximum.reduce([evidence.says for evidence in some]) for rule, some in by_rule.items()}
    scores = np.round(1 - 2 ** (-_total(said, len(rows)) / 2), 4).tolist()
    findings = _findings(said, by_rule, len(rows))
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
