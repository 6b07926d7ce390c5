"""What annotators are asked about a record: its question, why it is asked, and the answers that they may accept."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.kinds.registry import kind_of
from pipeline.review.consensus import earlier_answers
from pipeline.review.labeling_tasks import LabelingQuestion
from pipeline.review.offered_answers import Candidate
from pipeline.state.decisions import from_frame, question_key
from pipeline.state.snapshot import Snapshot
from pipeline.text.wording import sentence
from schemas.decision import Decision
from schemas.fate import Fate, Reason, ReasonCode, Routed
from schemas.field import JsonValue
from schemas.repairs import awaits_repair
from schemas.task import Task
from schemas.task_fields import conversation_target

BLIND_WHY = "Please answer."
"""All that is said of an audit and of a hidden gold item, if answers can be compared: nothing may tell them apart."""
JUDGED_WHY = "Please confirm or correct the answer."
PARTLY_WHY = "Please confirm or correct the text, and answer the rest."
_REPAIR_WHY = "The answer in the data is not valid; please give a valid one"
_REPAIR_FILLED_IN = "What it probably means is filled in"
SENSITIVE = {ReasonCode.PERSONAL_DATA, ReasonCode.SECRET}
SENSITIVE_WHY = "If you answer, the row goes into the dataset unchanged; choose unusable to keep it out"


BEFORE = "as an annotator said before"
DIVIDED = "as an annotator said, by a new name"
"""Of one of the labels that theirs was divided into."""


@dataclass(frozen=True, slots=True)
class FilledIn:
    """The answer that a form begins with."""

    targets: dict[str, JsonValue]
    """Some may be missing."""
    is_suggested: bool = False
    """It is that of the model that `suggest` names; else the row's own, or what the other rows let expect."""


def question(decision: Decision, task: type[Task], others: Iterable[Candidate] = ()) -> LabelingQuestion:
    """What an annotator is shown for a decision; ``others`` are answers that were given elsewhere, or earlier.

    An audit is blind: what the row has or a model says would sway the answer, and the estimate with it.
    """
    is_passed = decision.routed is Routed.AUDIT and decision.fate is Fate.ACCEPTED
    others = list(others)
    begin = filled_in(decision, task) or _undivided(decision, task, others)
    why = [audit_why(task)] if is_passed else [sentence(_in_words(reason, decision)) for reason in _told(decision)]
    if awaits_repair(decision):
        why[:0] = [f"{_REPAIR_WHY}. {_REPAIR_FILLED_IN}" if decision.suggestion else _REPAIR_WHY]
    if any(reason.code in SENSITIVE for reason in decision.reasons):
        why.append(SENSITIVE_WHY)
    return LabelingQuestion(
        push_key=question_key(decision, task),
        record_id=decision.record_id,
        inputs=dict(decision.inputs),
        why="\n".join(why),
        # A blind form begins with nothing but what can only be judged.
        proposal=begin.targets if begin else judged_part(decision.targets, task),
        score=None if is_passed or decision.label_error_score is None else 1 - decision.label_error_score,
        candidates=() if is_passed else (*_own_candidates(decision), *others),
    )


def _undivided(decision: Decision, task: type[Task], others: Sequence[Candidate]) -> FilledIn | None:
    """What is sure of an annotator's answer whose label was divided; None if that is nothing."""
    first, *more = [one.targets for one in others if one.whose == DIVIDED] or [{}]
    same: dict[str, JsonValue] = {
        name: value for name, value in first.items() if value and all(one[name] == value for one in more)
    }
    return FilledIn(same) if same and not is_blind(decision, task) else None


def judged_fields(task: type[Task]) -> frozenset[str]:
    """The targets of which many values could be right, texts and conversations: they can be judged, not compared."""
    chat = conversation_target(task)
    return frozenset({*kind_of(task).free_texts(task), *([chat] if chat else [])})


def has_known_answers(task: type[Task]) -> bool:
    """Whether two right answers are the same in some target, so that there can be gold items."""
    return any(field.name not in judged_fields(task) for field in task.task_targets())


def judged_part(targets: Mapping[str, JsonValue] | None, task: type[Task]) -> dict[str, JsonValue] | None:
    """What is shown of an answer that annotators must not see: what can only be judged; None if there is nothing."""
    shown = {name: value for name, value in (targets or {}).items() if name in judged_fields(task)}
    return shown or None


def audit_why(task: type[Task]) -> str:
    """All that is said of an audit and of a hidden gold item."""
    if not has_known_answers(task):
        return JUDGED_WHY
    return PARTLY_WHY if judged_fields(task) else BLIND_WHY


def is_blind(decision: Decision, task: type[Task]) -> bool:
    """Whether no answer is shown but what can only be judged: what the row has or a model says would sway an audit."""
    return decision.routed is Routed.AUDIT and decision.fate is Fate.ACCEPTED and has_known_answers(task)


def filled_in(decision: Decision, task: type[Task]) -> FilledIn | None:
    """What the form begins with: the row's own answer, else the suggesting model's, else what other rows let expect.

    Whatever is told of proposals that annotators left unchanged must be about this one.
    """
    if is_blind(decision, task):
        return None
    if decision.targets:
        return FilledIn(decision.targets)
    if heard := heard_model(decision):
        return FilledIn(heard, is_suggested=True)
    return FilledIn(decision.suggestion) if decision.suggestion else None


def heard_model(decision: Decision) -> dict[str, JsonValue] | None:
    """The answer of the model that `suggest` names, if annotators may see it: in an audit they judge for themselves."""
    return None if decision.routed is Routed.AUDIT else decision.model_answer


def _told(decision: Decision) -> list[Reason]:
    """The reasons that annotators may see."""
    is_blind = decision.routed is Routed.AUDIT
    return [one for one in decision.reasons if not (is_blind and one.code is ReasonCode.SECOND_OPINION)]


def _in_words(reason: Reason, decision: Decision) -> str:
    """A reason as annotators read it, who need not know of schemas: of an answer to repair only what is wrong."""
    if awaits_repair(decision) and reason.code is ReasonCode.INVALID and reason.field:
        return f"{reason.field}: {reason.detail.removeprefix('Input ')}"
    return str(reason)


def _own_candidates(decision: Decision) -> Iterator[Candidate]:
    if decision.targets is not None:
        yield Candidate(whose="as in the data", targets=decision.targets)
    if (heard := heard_model(decision)) is not None:
        yield Candidate(whose="as the suggesting model says", targets=heard)
    # What is valid of a broken answer need not be a whole one.
    if decision.suggestion is not None and not awaits_repair(decision):
        yield Candidate(whose="as the model says", targets=decision.suggestion)


def offered(
    snapshot: Snapshot, task: type[Task], decisions: Collection[Decision], alone: Collection[str] = ()
) -> dict[str, list[Candidate]]:
    """The answers that others gave, by record: annotators earlier, and rows in conflict.

    Args:
        snapshot: the committed state.
        task: parses the answers.
        decisions: what is asked.
        alone: the records that annotators answer independently of each other.
    """
    found: defaultdict[str, list[Candidate]] = defaultdict(list)
    together = [decision for decision in decisions if decision.record_id not in alone]
    for record_id, several in earlier_answers(snapshot, task, together).items():
        whose = BEFORE if len(several) == 1 else DIVIDED
        found[record_id] += [Candidate(whose=whose, targets=targets) for targets in several]
    for record_id, others in _conflicting(snapshot, decisions).items():
        found[record_id] += others
    return found


def _conflicting(snapshot: Snapshot, decisions: Iterable[Decision]) -> dict[str, list[Candidate]]:
    """The answers of the rows that some records are in conflict with, by record."""
    refs = {
        decision.record_id: [
            ref for reason in decision.reasons if reason.code is ReasonCode.CONFLICT for ref in reason.refs
        ]
        for decision in decisions
    }
    named = list({ref for several in refs.values() for ref in several})
    if not named:
        return {}
    is_named = pl.col("record_id").is_in(named)
    records = snapshot.current_records().filter(is_named).select("record_id", "file", "line").collect()
    places = {record_id: f"in {Path(file).name}:{line}" for record_id, file, line in records.iter_rows()}
    answers = {
        one.record_id: Candidate(whose=places[one.record_id], targets=one.targets)
        for one in from_frame(snapshot.current_decisions(is_named).collect())
        if one.targets is not None and one.record_id in places
    }
    return {record_id: [answers[ref] for ref in several if ref in answers] for record_id, several in refs.items()}
