"""What a verdict says where ``finetune.max_rows`` kept rows from the adapter that the other arms have learned from."""

from pipeline.ladder.evidence import Evidence
from pipeline.ladder.judgement import Judgement, Verdict
from schemas.arms_section import ArmName, Family

_OPEN = {"compared", "curve_rises", "target_missed", "target_open", "too_close", "by_chance", "no_better_than_copying"}
"""The rules that would perhaps have said something else of an adapter that has learned all rows."""


def with_undrawn_rows(evidence: Evidence, found: Judgement) -> Judgement:
    """A verdict that says which rows the adapter lacks, and leaves open what these may change.

    An adapter that is better than arms with more rows is worth it all the same. Nor do more rows change that the test
    can tell nothing, that nothing is left to gain above another arm, or that the adapter is beyond the limits of a
    call.
    """
    if not evidence.undrawn or found.rule == "too_few_rows_drawn":
        return found
    kept = (
        f"finetune.max_rows kept {evidence.undrawn:,} of {evidence.every_row:,} training rows from the adapter, and "
        "from no other arm"
    )
    if found.verdict is Verdict.TUNE:
        return found.model_copy(update={"reasons": (*found.reasons, f"It is better although {kept}.")})
    said = f"The arms have learned from unequal rows: {kept}."
    if not _may_change(evidence, found):
        return found.model_copy(update={"reasons": (*found.reasons, said)})
    step = f"Raise finetune.max_rows to {evidence.every_row:,}, or leave it out, and run `goldleaf finetune`."
    if found.verdict is Verdict.UNDECIDED:
        # The adapter may be the better one with them; only then it matters how many questions there are.
        step = f"{step} If that does not decide: {found.next_step}"
        return found.model_copy(update={"reasons": (*found.reasons, said), "next_step": step})
    return Judgement(verdict=Verdict.UNDECIDED, rule="rows_not_drawn", reasons=(said, *found.reasons), next_step=step)


def _may_change(evidence: Evidence, found: Judgement) -> bool:
    """Whether another verdict is possible once the adapter has learned all rows."""
    if found.rule == "nothing_learned":
        # A model that knows all rows and has learned nothing speaks for the adapter, too.
        weak = ArmName.MAJORITY.value
        return not any(arm.family is Family.CLASSICAL and arm.name != weak for arm in evidence.ladder.comparable)
    if found.rule not in _OPEN:
        return False
    chosen = evidence.ladder.arm(found.arm)
    if chosen is not None and evidence.is_at_ceiling(chosen):
        return False
    return any(arm.family is Family.TUNED and evidence.is_allowed(arm) for arm in evidence.ladder.comparable)
