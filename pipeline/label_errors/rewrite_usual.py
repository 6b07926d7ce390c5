"""What is usual in a set of rewritten texts: learned from its rows once, it judges these and later ones."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.label_errors import rewrite_seen
from pipeline.label_errors.rarity import SHOWN, Groups
from pipeline.label_errors.rewrite_columns import Rewrite
from pipeline.label_errors.rewrite_evidence import Evidence, Partly, Wholly
from pipeline.label_errors.rewrite_rules import Rule
from pipeline.label_errors.rewrite_seen import Lexicon, Seen


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual in a set."""

    lexicon: Lexicon
    wholly: Wholly
    partly: Partly

    def evidence(self, rows: Sequence[Rewrite], off: Collection[Rule]) -> list[Evidence]:
        """What speaks against rows that were not learned from; each is judged as if it were alone."""
        seen = rewrite_seen.see(rows, self.lexicon, off)
        wholly = self.wholly.evidence(seen)
        return [*wholly, *self.partly.evidence(seen, seen.groups, wholly)]


def learn(rows: Sequence[Rewrite], off: Collection[Rule]) -> tuple[list[Evidence], Usual]:
    """What speaks against the rows of a set, and what is usual in it. Both depend on the order of the rows."""
    seen, lexicon = rewrite_seen.learn(rows, off)
    wholly = Wholly.learn(seen)
    evidence = wholly.evidence(seen)
    # An answer about something else has other names, numbers and lengths, too: that says nothing about how rare these
    # are in answers to their originals.
    groups = _without_astray(seen, evidence)
    partly = Partly.learn(seen, groups)
    return [*evidence, *partly.evidence(seen, groups, evidence)], Usual(lexicon, wholly, partly)


def _without_astray(seen: Seen, wholly: Sequence[Evidence]) -> Groups:
    astray = np.zeros(len(seen.rows), dtype=np.bool_)
    for evidence in wholly:
        astray |= evidence.says >= SHOWN
    return seen.groups.without(astray)
