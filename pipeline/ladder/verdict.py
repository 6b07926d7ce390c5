"""Was it worth it? The verdict on a fine-tuning, and the reasons for it in numbers.

The rules are in the order in which an experienced engineer would ask: can this test tell anything at all; are its
labels right; which of the cheaper ways is enough; and only then, whether the adapter is better by as much as matters.
"""

from collections.abc import Callable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from pipeline.ladder.evidence import Evidence
from pipeline.ladder.reasons import at_ceiling, circumstances, how_they_compare, how_to_use, what_would_decide
from pipeline.ladder.results import ArmResult
from pipeline.text.wording import counted
from schemas.arms_section import ArmName, Family

_FEWEST_QUESTIONS = 30
"""Below, an interval is wider than any difference that matters."""
_FEWEST_ROWS = 100
"""Training rows below which neither an adapter nor a linear model says much about the task."""
_LEAKED = 0.01
"""The share of test questions that may be among the training rows."""
_SURE = 0.01
"""The p-value below which an arm is said to know more than nothing."""
_NOISY = 0.05
"""Wrong labels from here on are what to work on first, if they are also half of what the best arm gets wrong."""
_CHEAPER = 5
"""So many times cheaper is an arm chosen though it is no better."""


class Verdict(StrEnum):
    """What to do."""

    TUNE = "tune"
    PROMPT = "prompt_instead"
    CLASSICAL = "classical_is_enough"
    MORE_DATA = "more_data_first"
    FIX_LABELS = "fix_the_labels_first"
    UNDECIDED = "undecided"

    @property
    def heading(self) -> str:
        """In words."""
        match self:
            case Verdict.TUNE:
                return "Fine-tuning was worth it"
            case Verdict.PROMPT:
                return "Prompt a model instead"
            case Verdict.CLASSICAL:
                return "The classical model is enough"
            case Verdict.MORE_DATA:
                return "More data first"
            case Verdict.FIX_LABELS:
                return "Fix the labels first"
            case Verdict.UNDECIDED:
                return "Undecided"


class Judgement(BaseModel):
    """The verdict and why."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    arm: str = ""
    """The arm to use; empty if none is recommended."""
    rule: str
    """The name of the rule that decided."""
    reasons: tuple[str, ...]
    """Sentences with their numbers, the deciding one first."""
    next_step: str
    """What to do, or what would decide."""


_Rule = Callable[[Evidence], Judgement | None]


def judge(evidence: Evidence) -> Judgement:
    """The verdict of the first rule that has one."""
    for rule in _RULES:
        if (found := rule(evidence)) is not None:
            return found
    return _compared(evidence)


# --- can the test tell anything? --------------------------------------------------------------
def _too_few_rows(evidence: Evidence) -> Judgement | None:
    if evidence.train_rows >= _FEWEST_ROWS:
        return None
    return Judgement(
        verdict=Verdict.MORE_DATA,
        rule="too_few_rows",
        reasons=(
            f"There are {counted(evidence.train_rows, 'training row')} and "
            f"{counted(evidence.test_rows, 'test question')}: fine-tuning pays for thousands of good examples, and "
            f"below {_FEWEST_ROWS} no comparison means much.",
        ),
        next_step="Put the best examples into a prompt meanwhile, collect and label more, and release again.",
    )


def _too_few_questions(evidence: Evidence) -> Judgement | None:
    asked = evidence.ladder.adapter.evaluation.questions
    if asked >= _FEWEST_QUESTIONS:
        return None
    held_back = asked < evidence.test_rows
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="too_few_questions",
        reasons=(
            f"The adapter was asked {counted(asked, 'test question')}; below {_FEWEST_QUESTIONS} every interval is "
            f"wider than any difference that matters (here {evidence.ladder.adapter.score}).",
        ),
        next_step=(
            f"Raise finetune.eval_rows: the test split has {counted(evidence.test_rows, 'question')}."
            if held_back and evidence.test_rows >= _FEWEST_QUESTIONS
            else "Add rows and release again; a larger share of the test split (split.fractions) is of new rows only."
        ),
    )


def _leaked(evidence: Evidence) -> Judgement | None:
    if evidence.leaked <= _LEAKED * evidence.test_rows:
        return None
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="leaked_test",
        reasons=(
            f"{evidence.leaked:,} of {counted(evidence.test_rows, 'test question')} are among the training rows, too: "
            "an arm that remembers scores as well as one that understands.",
        ),
        next_step=(
            "Take them out of the training rows: name the test file under decontaminate.against, curate and release "
            "again."
        ),
    )


# --- are the labels right? --------------------------------------------------------------------
def _nothing_learned(evidence: Evidence) -> Judgement | None:
    usual = evidence.ladder.arm(ArmName.MAJORITY.value)
    others = [arm for arm in evidence.ladder.comparable if arm.name != ArmName.MAJORITY.value]
    # Arms that were taught: a prompted model may fail for other reasons.
    taught = [arm for arm in others if arm.family is not Family.PROMPT]
    if usual is None or usual not in evidence.ladder.comparable or not taught or evidence.is_at_ceiling(usual):
        return None
    if any(_is_above(evidence, usual, arm) for arm in others):
        return None
    best = max(taught, key=lambda arm: arm.score.unit.gain(arm.score.value))
    if any(part.chrf is not None for part in usual.evaluation.parts):
        return _no_better_than_copying(evidence, usual, best)
    return Judgement(
        verdict=Verdict.FIX_LABELS,
        rule="nothing_learned",
        reasons=(
            f"No arm is measurably better than always giving {usual.title} ({usual.score}): the best that "
            f"learned from {counted(evidence.train_rows, 'row')}, {best.title}, scores {best.score}. Either the labels "
            "do not follow from the inputs, or they are mostly wrong.",
        ),
        next_step="Let annotators label 100 rows, and see whether they agree with the labels and with each other.",
    )


def _no_better_than_copying(evidence: Evidence, copied: ArmResult, best: ArmResult) -> Judgement:
    return Judgement(
        verdict=Verdict.MORE_DATA,
        rule="no_better_than_copying",
        reasons=(
            f"No arm is measurably better than {copied.title} ({copied.score}): the best that learned from "
            f"{counted(evidence.train_rows, 'row')}, {best.title}, scores {best.score}.",
        ),
        next_step="Collect more rows whose answers differ from their inputs, and release again.",
    )


def _is_above(evidence: Evidence, usual: ArmResult, arm: ArmResult) -> bool:
    """Whether an arm knows more than the most frequent answer; of several arms, one may seem to by chance."""
    return evidence.gain(usual, arm).low > 0 and evidence.ladder.pair(usual.name, arm.name).p_value < _SURE


def _noisy(evidence: Evidence) -> Judgement | None:
    best = evidence.ladder.best(list(Family))
    if evidence.noise is None or evidence.ceiling is None or best is None:
        return None
    wrong = 1 - best.score.value
    if evidence.noise.value < _NOISY or evidence.noise.value < wrong / 2:
        return None
    return Judgement(
        verdict=Verdict.FIX_LABELS,
        rule="wrong_labels",
        reasons=(
            f"The audit says that {evidence.noise} of the answers are wrong, and the best arm, {best.title}, gets "
            f"{wrong:.1%} wrong: at least half of that may be errors of the test rows. No model can be seen above "
            f"{evidence.ceiling:.1%}.",
        ),
        next_step="Let annotators answer the doubted rows (`goldleaf curate`, `goldleaf collect`), and release again.",
    )


# --- which arm is enough? ---------------------------------------------------------------------
def _alone(evidence: Evidence) -> Judgement | None:
    if any(arm.family is not Family.TUNED for arm in evidence.ladder.comparable):
        return None
    skipped = "".join(f" {one.heading} did not answer: {one.why}." for one in evidence.ladder.skipped)
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="nothing_to_compare_with",
        reasons=(
            f"The adapter scores {evidence.ladder.adapter.score}, and there is no arm to compare it with.{skipped}",
        ),
        next_step="List `linear` and `few_shot` under arms, and run `goldleaf finetune`: the adapter is kept.",
    )


def _compared(evidence: Evidence) -> Judgement:
    """Go from the cheapest family to the dearest, and keep what is enough."""
    ladder = evidence.ladder
    notes: list[str] = []
    best: list[ArmResult] = []
    for family in (Family.CLASSICAL, Family.PROMPT, Family.TUNED):
        allowed = [arm for arm in ladder.comparable if arm.family is family and not _forbidden(arm, evidence, notes)]
        best += [max(allowed, key=lambda arm: arm.score.unit.gain(arm.score.value))] if allowed else []
    if not best:
        return _nothing_allowed(notes)
    chosen, unclear = best[0], None
    for dearer in best[1:]:
        if _is_preferred(dearer, chosen, evidence):
            notes.insert(0, how_they_compare(evidence, chosen, dearer))
            if unclear is None or _is_preferred(dearer, unclear, evidence):
                chosen, unclear = dearer, None
            elif evidence.is_enough(unclear, dearer):
                notes.insert(0, how_they_compare(evidence, dearer, unclear))
                chosen, unclear = unclear, None
            else:
                chosen, unclear = unclear, dearer
        elif evidence.is_enough(chosen, dearer):
            notes.insert(0, how_they_compare(evidence, dearer, chosen))
        elif unclear is None:
            unclear = dearer
    if unclear is not None:
        return _unclear(evidence, chosen, unclear, notes)
    return _chosen(evidence, chosen, notes)


def _forbidden(arm: ArmResult, evidence: Evidence, notes: list[str]) -> bool:
    """Whether an arm is beyond what a call may cost or take; why is noted."""
    limits = evidence.limits
    if limits.max_cost is not None and arm.cost is None:
        notes.append(f"What {arm.title} costs is not known: the price file has no price for it.")
    if limits.max_cost is not None and arm.cost is not None and arm.cost > limits.max_cost:
        notes.append(f"{arm.heading} costs {arm.cost:.3g} per 1,000 calls, above the {limits.max_cost:g} allowed.")
        return True
    if limits.max_seconds is not None and arm.latency is not None and arm.latency > limits.max_seconds:
        notes.append(f"{arm.heading} takes {arm.latency:.2g} s a call, above the {limits.max_seconds:g} allowed.")
        return True
    return False


def _is_preferred(dearer: ArmResult, other: ArmResult, evidence: Evidence) -> bool:
    """Whether an arm of a dearer family is worth it."""
    if evidence.may_reach_target(dearer) and not evidence.may_reach_target(other):
        return True
    return evidence.is_better(dearer, other) or _is_much_cheaper(dearer, other, evidence)


def _is_much_cheaper(one: ArmResult, other: ArmResult, evidence: Evidence) -> bool:
    """Whether an arm costs a fraction of another and is for sure not worse by as much as matters."""
    if other.family is not Family.PROMPT or one.cost is None or other.cost is None:
        return False
    loss = evidence.gain(one, other)
    return _CHEAPER * one.cost <= other.cost and loss.is_bounded and loss.high < evidence.margin


def _chosen(evidence: Evidence, arm: ArmResult, notes: list[str]) -> Judgement:
    forecast = evidence.forecast
    adapter = evidence.ladder.adapter
    if evidence.is_at_ceiling(arm):
        notes.append(at_ceiling(evidence, arm))
    is_open = arm.name != adapter.name and not _forbidden(adapter, evidence, [])
    if forecast is not None and is_open and not evidence.is_at_ceiling(arm):
        ahead = evidence.unit.gain(forecast.score.value - arm.score.value)
        sure = evidence.unit.gain(
            (forecast.score.low if evidence.unit.gain(1) > 0 else forecast.score.high) - arm.score.value
        )
        if sure > 0 and ahead >= evidence.margin:
            return Judgement(
                verdict=Verdict.MORE_DATA,
                rule="curve_rises",
                reasons=(
                    f"With {forecast.rows:,} training rows the adapter is expected at {forecast.score}, above "
                    f"{arm.title} with {arm.score}; with {evidence.train_rows:,} it is not.",
                    *notes,
                ),
                next_step="Collect and label more rows, release again, and look at the learning curve.",
            )
    if not evidence.may_reach_target(arm):
        needed = evidence.unit.shown(evidence.limits.target or 0)
        notes.insert(0, f"Nothing reaches {needed}, the score that is needed: {arm.title} scores {arm.score}.")
        return Judgement(
            verdict=Verdict.MORE_DATA,
            rule="target_missed",
            reasons=tuple(notes),
            next_step="Collect and label more rows, or try a larger base model (`finetune.base_model`).",
        )
    match arm.family:
        case Family.CLASSICAL:
            verdict, step = Verdict.CLASSICAL, how_to_use(arm)
        case Family.PROMPT:
            verdict, step = Verdict.PROMPT, "Keep the prompt and the retrieved examples; train nothing."
        case Family.TUNED:
            beside = " with the linear model beside it" if arm.name == ArmName.ADAPTER_LINEAR.value else ""
            verdict, step = Verdict.TUNE, f"Serve the adapter{beside}; its card shows how."
            notes += circumstances(evidence)
    return Judgement(verdict=verdict, arm=arm.name, rule="compared", reasons=tuple(notes), next_step=step)


def _unclear(evidence: Evidence, cheap: ArmResult, dear: ArmResult, notes: list[str]) -> Judgement:
    gain = evidence.gain(cheap, dear)
    pair = evidence.ladder.pair(cheap.name, dear.name)
    notes.insert(0, how_they_compare(evidence, cheap, dear))
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="too_close",
        reasons=(
            f"Whether {dear.title} is better than {cheap.title} by {evidence.points(evidence.margin)} or more "
            "cannot be told on these test questions.",
            *notes,
        ),
        next_step=what_would_decide(evidence, gain, pair.questions),
    )


def _nothing_allowed(notes: list[str]) -> Judgement:
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="nothing_allowed",
        reasons=("No arm is within what a call may cost and take.", *notes),
        next_step="Raise verdict.max_cost or verdict.max_seconds, or add a cheaper arm.",
    )


_RULES: tuple[_Rule, ...] = (_too_few_rows, _too_few_questions, _leaked, _alone, _nothing_learned, _noisy)
