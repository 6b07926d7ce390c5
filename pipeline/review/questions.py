"""What annotators are asked about a record: its question, why it is asked, and the answers that they may accept."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.errors import LabelStudioError
from pipeline.kinds.registry import kind_of
from pipeline.review.consensus import earlier_answers
from pipeline.review.labeling_tasks import LabelingQuestion, labeling_task
from pipeline.review.offered_answers import Candidate
from pipeline.state.decisions import from_frame, question_key
from pipeline.state.snapshot import Snapshot
from schemas.decision import Decision
from schemas.fate import Fate, ReasonCode, Routed
from schemas.task import Task
from schemas.task_fields import conversation_target

_BLIND_WHY = "Please answer."
_JUDGED_WHY = "Please confirm or correct the answer."
_SENSITIVE = {ReasonCode.PERSONAL_DATA, ReasonCode.SECRET}
_SENSITIVE_WHY = "If you answer, the row goes into the dataset unchanged; choose unusable to keep it out"


def question(decision: Decision, task: type[Task], others: Iterable[Candidate] = ()) -> LabelingQuestion:
    """What an annotator is shown for a decision; ``others`` are answers that were given elsewhere, or earlier.

    An audit is blind: what the row has or a model says would sway the answer, and the estimate with it.
    """
    is_passed = decision.routed is Routed.AUDIT and decision.fate is Fate.ACCEPTED
    is_blind = is_passed and not _is_judged(task)
    passed = _BLIND_WHY if is_blind else _JUDGED_WHY
    why = [passed] if is_passed else [_sentence(str(reason)) for reason in decision.reasons]
    if any(reason.code in _SENSITIVE for reason in decision.reasons):
        why.append(_SENSITIVE_WHY)
    return LabelingQuestion(
        push_key=question_key(decision, task),
        record_id=decision.record_id,
        inputs=dict(decision.inputs),
        why="\n".join(why),
        proposal=None if is_blind else decision.targets or decision.suggestion,
        score=None if is_passed or decision.label_error_score is None else 1 - decision.label_error_score,
        candidates=() if is_passed else (*_own_candidates(decision), *others),
    )


def _is_judged(task: type[Task]) -> bool:
    """Whether an answer can only be judged: many could be written, so that another one proves nothing against it."""
    return bool(conversation_target(task) or kind_of(task).free_texts(task))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _own_candidates(decision: Decision) -> Iterator[Candidate]:
    if decision.targets is not None:
        yield Candidate(whose="as in the data", targets=decision.targets)
    if decision.suggestion is not None:
        yield Candidate(whose="as the model says", targets=decision.suggestion)


def offered(snapshot: Snapshot, task: type[Task], decisions: Collection[Decision]) -> dict[str, list[Candidate]]:
    """The answers that others gave, by record: annotators earlier, and rows in conflict."""
    found: defaultdict[str, list[Candidate]] = defaultdict(list)
    for record_id, targets in earlier_answers(snapshot, task, decisions).items():
        found[record_id].append(Candidate(whose="as an annotator said before", targets=targets))
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
        for one in from_frame(snapshot.current_decisions().filter(is_named).collect())
        if one.targets is not None and one.record_id in places
    }
    return {record_id: [answers[ref] for ref in several if ref in answers] for record_id, several in refs.items()}


def shown_data(decisions: Mapping[str, Decision], task: type[Task], key: str) -> dict[str, Any]:
    """What annotators are shown for an open question; empty if it is not open, or cannot be sent."""
    with suppress(LabelStudioError):
        return dict(labeling_task(task, question(decisions[key], task))["data"]) if key in decisions else {}
    return {}
