"""The rules of a verdict that come before arms are compared: can this test tell anything, and are its labels right?"""

import math
from collections.abc import Callable

from pipeline.evaluation.estimates import FEWEST, FEWEST_QUESTIONS, FEWEST_ROWS, Estimate, Z
from pipeline.ladder.evidence import Evidence
from pipeline.ladder.judgement import Judgement, Verdict
from pipeline.ladder.reasons import ADD_ROWS, LIST_ARMS, ONLY_NEW
from pipeline.ladder.results import ArmResult
from pipeline.text.wording import counted
from schemas.arms_section import ArmName, Family

_LEAKED = 0.01
"""The share of test questions that may be among the training rows."""
_SURE = 0.01
"""The p-value below which an arm is said to know more than nothing."""
_NOISY = 0.05
"""Wrong labels from here on are what to work on first, if they are also half of what the best arm gets wrong."""


# --- can the test tell anything? --------------------------------------------------------------
def _too_few_rows(evidence: Evidence) -> Judgement | None:
    if evidence.train_rows >= FEWEST_ROWS:
        return None
    if evidence.every_row >= FEWEST_ROWS:
        return _too_few_drawn(evidence)
    return Judgement(
        verdict=Verdict.MORE_DATA,
        rule="too_few_rows",
        reasons=(
            f"There are {counted(evidence.train_rows, 'training row')} and "
            f"{counted(evidence.test_rows, 'test question')}: fine-tuning pays for thousands of good examples, and "
            f"below {FEWEST_ROWS} no comparison means much.",
        ),
        next_step="Put the best examples into a prompt meanwhile, collect and label more, and release again.",
    )


def _too_few_drawn(evidence: Evidence) -> Judgement:
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="too_few_rows_drawn",
        reasons=(
            f"The adapter has learned from {counted(evidence.train_rows, 'training row')}, the other arms from all "
            f"{evidence.every_row:,}: below {FEWEST_ROWS} no comparison means much.",
        ),
        next_step=f"Raise finetune.max_rows to {evidence.every_row:,}, or leave it out, and run `goldleaf finetune`.",
    )


def _too_few_questions(evidence: Evidence) -> Judgement | None:
    asked = evidence.ladder.adapter.evaluation.questions
    if asked >= FEWEST_QUESTIONS:
        return None
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="too_few_questions",
        reasons=(
            f"The adapter was asked {counted(asked, 'test question')}; below {FEWEST_QUESTIONS} every interval is "
            f"wider than any difference that matters (here {evidence.ladder.adapter.score}).",
        ),
        next_step=(
            f"Raise finetune.eval_rows: the test split has {counted(evidence.test_rows, 'question')}."
            if asked + evidence.held_back >= FEWEST_QUESTIONS
            else f"Add rows, and {ADD_ROWS}; {ONLY_NEW}."
        ),
    )


def _too_few_groups(evidence: Evidence) -> Judgement | None:
    """Questions of one group are no independent ones: if all of five groups got better, that may be chance."""
    asked, groups = evidence.ladder.adapter.evaluation.questions, evidence.groups
    if groups is None or groups >= FEWEST:
        return None
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="too_few_groups",
        reasons=(
            f"The {counted(asked, 'test question')} are of {counted(groups, 'group')} (split.group_by, or rows that "
            f"resemble each other): of fewer than {FEWEST}, a difference that all of them show may be chance, and "
            "says little about others.",
        ),
        next_step=f"Add rows of other groups, and {ADD_ROWS}; {ONLY_NEW}.",
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
        next_step=LIST_ARMS,
    )


# --- did the training do anything? ------------------------------------------------------------
def _failed(evidence: Evidence) -> Judgement | None:
    """A training whose loss rose is no reason for any other arm."""
    found = evidence.failed
    return None if found is None else _failed_for(evidence, found.why, found.then)


def _below_usual(evidence: Evidence) -> Judgement | None:
    """Nor is one that knows less than always the same answer, where other arms show that there is something to know."""
    usual, adapter = evidence.ladder.arm(ArmName.MAJORITY.value), evidence.ladder.adapter
    if usual is None or usual not in evidence.ladder.comparable or not evidence.gain(usual, adapter).high < 0:
        return None
    return _failed_for(
        evidence,
        f"The training failed: the adapter scores {adapter.score}, and always giving {usual.title} {usual.score}.",
        "Train with another finetune.learning_rate, for more epochs, or from another finetune.base_model, and run "
        "`goldleaf finetune`.",
    )


def _failed_for(evidence: Evidence, why: str, then: str) -> Judgement:
    best = evidence.ladder.best([Family.CLASSICAL, Family.PROMPT])
    others = "" if best is None else f" Of the other arms {best.title} is the best, with {best.score}."
    reasons = (why, f"Nobody knows from it whether an adapter would be better than anything else.{others}")
    return Judgement(verdict=Verdict.FAILED, rule="training_failed", reasons=reasons, next_step=then)


# --- are the labels right? --------------------------------------------------------------------
def _nothing_learned(evidence: Evidence) -> Judgement | None:
    usual = evidence.ladder.arm(ArmName.MAJORITY.value)
    others = [arm for arm in evidence.ladder.comparable if arm.name != ArmName.MAJORITY.value]
    # Arms that were taught: a prompted model may fail for other reasons.
    taught = [arm for arm in others if arm.family is not Family.PROMPT]
    if usual is None or usual not in evidence.ladder.comparable or evidence.is_at_ceiling(usual):
        return None
    best = evidence.ladder.best_of(taught)
    if best is None or any(_is_above(evidence, usual, arm) for arm in others):
        return None
    if any(part.chrf is not None for part in usual.evaluation.parts):
        return _no_better_than_copying(evidence, usual, best)
    others_asked = (1 - usual.score.value) * usual.evaluation.questions
    if others_asked < FEWEST_QUESTIONS or any(_may_know_much(evidence, usual, arm) for arm in taught):
        return None
    return Judgement(
        verdict=Verdict.FIX_LABELS,
        rule="nothing_learned",
        reasons=(
            f"No arm is measurably better than always giving {usual.title} ({usual.score}): the best that learned from "
            f"{counted(_learned(evidence, best), 'row')}, {best.title}, scores {best.score}. Either the labels do not "
            "follow from the inputs, or they are mostly wrong.",
        ),
        next_step="Let annotators label 100 rows, and see whether they agree with the labels and with each other.",
    )


def _no_better_than_copying(evidence: Evidence, copied: ArmResult, best: ArmResult) -> Judgement:
    return Judgement(
        verdict=Verdict.MORE_DATA,
        rule="no_better_than_copying",
        reasons=(
            f"No arm is measurably better than {copied.title} ({copied.score}): the best that learned from "
            f"{counted(_learned(evidence, best), 'row')}, {best.title}, scores {best.score}.",
        ),
        next_step="Collect more rows whose answers differ from their inputs, and release again.",
    )


def _learned(evidence: Evidence, arm: ArmResult) -> int:
    """How many rows an arm has learned from: only adapters are kept from those that ``max_rows`` does not draw."""
    return evidence.train_rows if arm.family is Family.TUNED else evidence.every_row


def _is_above(evidence: Evidence, usual: ArmResult, arm: ArmResult) -> bool:
    """Whether an arm knows more than the most frequent answer; of several arms, one may seem to by chance."""
    return evidence.gain(usual, arm).low > 0 and evidence.ladder.pair(usual.name, arm.name).p_value < _SURE


def _may_know_much(evidence: Evidence, usual: ArmResult, arm: ArmResult) -> bool:
    """Whether half of what the most frequent answer gets wrong may be known to an arm: the test cannot tell."""
    gain = evidence.gain(usual, arm)
    return not gain.is_bounded or gain.high >= (1 - usual.score.value) / 2


def _noisy(evidence: Evidence) -> Judgement | None:
    best, noise = evidence.ladder.best(list(Family)), evidence.wrong_rows
    if noise is None or best is None:
        return None
    wrong = _wrong(best)
    # For sure: one wrong row of twenty audited ones is no reason to let a good model wait.
    if noise.low < _noisy_from(wrong) or not wrong:
        return None
    part = "all" if noise.value > wrong - 1e-9 else "at least half"
    return Judgement(
        verdict=Verdict.FIX_LABELS,
        rule="wrong_labels",
        reasons=(
            f"The audit says that {noise} of the answers are wrong, and the best arm, {best.title}, gets {wrong:.1%} "
            f"wrong: {part} of that may be errors of the test rows.{_highest(evidence)}",
        ),
        next_step="Let annotators answer the doubted rows (`goldleaf curate`, `goldleaf collect`), and release again.",
    )


def _wrong(best: ArmResult) -> float:
    """The share of what an arm answers wrong: a wrong row makes a whole answer wrong, however many values are right."""
    return 1 - best.evaluation.exact.value


def _noisy_from(wrong: float) -> float:
    """The share of wrong test rows from which on these are what to work on first."""
    return max(_NOISY, wrong / 2)


def with_doubted_labels(evidence: Evidence, found: Judgement) -> Judgement:
    """The verdict on the arms, where the test rows may be wrong so often that they would come first.

    All arms are judged by the same rows, so that the better one stays the better one. More rows are no advice as long
    as the labels may be what is missing.
    """
    best, noise = evidence.ladder.best(list(Family)), evidence.wrong_rows
    if noise is None or best is None or not (wrong := _wrong(best)) or noise.value < (least := _noisy_from(wrong)):
        return found
    said = (
        f"The audit says that {noise} of the test answers are wrong, which may be at least half of the {wrong:.1%} "
        f"that the best arm, {best.title}, gets wrong; too few rows were audited to tell."
    )
    step = (
        f"Let annotators answer {_more_audits(noise, least, evidence.audited)} audit questions: raise review.audit, "
        "run `goldleaf curate` and `goldleaf collect`, and then `goldleaf finetune` again."
    )
    if found.verdict is Verdict.MORE_DATA:
        return Judgement(verdict=Verdict.UNDECIDED, rule="labels_open", reasons=(said, *found.reasons), next_step=step)
    return found.model_copy(update={"reasons": (*found.reasons, f"{said} {step}")})


def with_rows_in_review(evidence: Evidence, found: Judgement) -> Judgement:
    """A verdict that asks for more rows asks first for those that are there and wait for an annotator."""
    waiting = evidence.in_review
    if waiting is None or not (ADD_ROWS in found.next_step or found.verdict is Verdict.MORE_DATA):
        return found
    rows = "the row that waits" if waiting.rows == 1 else f"the {waiting.rows:,} rows that wait"
    step = f"Let annotators answer {rows} in review first: `goldleaf status` says how. {found.next_step}"
    return found.model_copy(update={"next_step": step})


def _more_audits(noise: Estimate, least: float, audited: int) -> str:
    """How many more answers would tell, if as many of them are wrong: by the inverted score test (Wilson 1927)."""
    above = noise.value - least
    if not audited or not above:
        return "more"
    needed = math.ceil(Z**2 * least * (1 - least) / above**2)
    return f"about {max(needed - audited, audited // 10 + 1):,} more"


def _highest(evidence: Evidence) -> str:
    """The highest score that can be seen, as far as the audit says that."""
    return f" No model can be seen above {evidence.ceiling:.1%}." if evidence.is_ceiling_audited else ""


FIRST_RULES: tuple[Callable[[Evidence], Judgement | None], ...] = (
    _too_few_rows,
    _too_few_questions,
    _too_few_groups,
    _leaked,
    _alone,
    _failed,
    _nothing_learned,
    _below_usual,
    _noisy,
)
"""In the order in which they are asked."""
