"""What annotators are shown in each seat of a question: the question itself, or what an adjudicator has to decide."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, assert_never

from pipeline.config.dataset_file import LoadedDataset
from pipeline.errors import LabelStudioError
from pipeline.review.labeling_tasks import LabelingQuestion, labeling_task
from pipeline.review.offered_answers import Candidate
from pipeline.review.questions import (
    SENSITIVE,
    SENSITIVE_WHY,
    audit_why,
    judged_fields,
    judged_part,
    question,
)
from pipeline.review.seating import Asked
from pipeline.text.wording import sentence
from schemas.annotation import Annotation, Verdict
from schemas.decision import Decision
from schemas.fate import ReasonCode, Routed
from schemas.field import JsonValue, comparable_targets
from schemas.seat import SeatKind
from schemas.task import Task
from schemas.task_fields import conversation_target

DIFFERENT = "Annotators answered differently; your answer decides"
UNSURE = "An annotator was unsure; your answer decides"
OTHER_ROWS = "Annotators answered rows with the same input differently; your answer decides about this one"
_UNUSABLE = "One of them says unusable"
_WHOSE = (
    "as one annotator says",
    "as another one says",
    "as a third one says",
    "as a fourth one says",
    "as a fifth one says",
)


def seat_question(asked: Asked, dataset: LoadedDataset, others: Iterable[Candidate] = ()) -> LabelingQuestion:
    """What an annotator is shown; ``others`` are answers that were given elsewhere, or earlier."""
    task = dataset.task
    plain = question(asked.decision, task, others)
    # Gold items with a text that is filled in are not like questions about unlabeled rows.
    is_alike = dataset.config.review.gold > 0 and not judged_fields(task)
    match asked.seat.kind:
        case SeatKind.FIRST | SeatKind.SECOND:
            shown = _blind(plain, task) if is_alike and _tells_nothing(asked, plain) else plain
        case SeatKind.GOLD:
            shown = _blind(plain, task)
        case SeatKind.ADJUDICATOR:
            elsewhere = tuple(others)
            shown = _to_adjudicate(question(_answered(asked.decision), task, elsewhere), asked, task, elsewhere)
        case _:
            assert_never(asked.seat.kind)
    if not dataset.config.review.has_seats:
        return shown
    is_gold = asked.seat.kind is SeatKind.GOLD
    seat = (SeatKind.FIRST if is_gold else asked.seat.kind).value
    return shown.model_copy(update={"push_key": asked.key(task), "seat": seat, "assigned": asked.annotator})


def labeling_tasks(
    questions: Mapping[str, Asked],
    dataset: LoadedDataset,
    others: Mapping[str, Sequence[Candidate]],
    unfit: dict[str, str],
) -> Iterator[dict[str, Any]]:
    """The tasks to import, one at a time: all of a large push together would be slow to make, and fill the memory.

    Args:
        questions: what is asked, by push key.
        dataset: has the task, and says whether questions have several seats.
        others: answers that were given elsewhere, or earlier, by record.
        unfit: gets by push key why a task cannot be made: a single odd text must not hold up the others.
    """
    for key, asked in questions.items():
        try:
            shown = seat_question(asked, dataset, others.get(asked.decision.record_id, ()))
            yield labeling_task(dataset.task, shown)
        except LabelStudioError as error:
            unfit[key] = str(error)


def proposing(questions: Mapping[str, Asked], dataset: LoadedDataset) -> list[dict[str, Any]]:
    """The tasks about some questions, by push key, of which the form begins with an answer."""
    return [task for task in labeling_tasks(questions, dataset, {}, {}) if "predictions" in task]


def shown_data(questions: Mapping[str, Asked], dataset: LoadedDataset, key: str) -> dict[str, Any]:
    """What annotators are shown for an open question; empty if it is not open, or cannot be sent."""
    with suppress(LabelStudioError):
        if key in questions:
            return dict(labeling_task(dataset.task, seat_question(questions[key], dataset))["data"])
    return {}


def _blind(plain: LabelingQuestion, task: type[Task]) -> LabelingQuestion:
    """The same without a reason, and without any answer but what can only be judged."""
    shown = judged_part(plain.proposal, task)
    return plain.model_copy(update={"why": audit_why(task), "proposal": shown, "score": None, "candidates": ()})


def _tells_nothing(asked: Asked, plain: LabelingQuestion) -> bool:
    """Whether only its words would tell it from a gold item: where nothing has a label, these would stand out."""
    reasons = {reason.code for reason in asked.decision.reasons}
    return reasons == {ReasonCode.UNLABELED} and plain.proposal is None and not plain.candidates


def _answered(decision: Decision) -> Decision:
    """The same without the reason that nobody has answered."""
    left = [reason for reason in decision.reasons if reason.code is not ReasonCode.UNLABELED]
    return decision.model_copy(update={"reasons": left})


def _to_adjudicate(
    plain: LabelingQuestion, asked: Asked, task: type[Task], elsewhere: Sequence[Candidate]
) -> LabelingQuestion:
    """The answers side by side, nobody's name beside them; filled in is none of several, so that none is preferred."""
    different = list({comparable_targets(targets): targets for targets in _labels(asked.answers)}.values())
    is_unusable = any(one.verdict is Verdict.UNUSABLE for one in asked.answers)
    candidates = tuple(Candidate(whose=whose, targets=one) for whose, one in zip(_WHOSE, different, strict=False))
    if len(different) + is_unusable < 2:
        if rows := [sentence(str(reason)) for reason in asked.held if reason.refs]:
            # Only the first few are shown: those that contradict each other must be among them.
            change = {"why": "\n".join([OTHER_ROWS, *rows]), "candidates": (*candidates, *elsewhere, *plain.candidates)}
            return plain.model_copy(update=change | {"proposal": different[0] if different else plain.proposal})
        # Who was unsure has said nothing that a reason could favor; an audit has none.
        is_audit = asked.decision.routed is Routed.AUDIT
        said = _warnings(asked.decision) if is_audit else [plain.why]
        return plain.model_copy(update={"why": "\n".join(filter(None, [UNSURE, *said]))})
    # A model's doubt names one of the candidates, and would sway whoever judges between them.
    why = "\n".join([DIFFERENT, *[_UNUSABLE] * is_unusable, *_warnings(asked.decision)])
    # A conversation's earlier turns are part of the answer: without one there would be nothing to continue.
    proposal = different[0] if len(different) == 1 or conversation_target(task) else None
    return plain.model_copy(update={"why": why, "candidates": candidates, "proposal": proposal, "score": None})


def _warnings(decision: Decision) -> list[str]:
    """The reasons that say nothing for any answer, but whether the row may be published."""
    found = [sentence(str(reason)) for reason in decision.reasons if reason.code in SENSITIVE]
    return [*found, SENSITIVE_WHY] if found else []


def _labels(answers: Sequence[Annotation]) -> list[dict[str, JsonValue]]:
    """Each annotator's latest answer, oldest first."""
    latest = {one.who: one for one in answers}
    return [one.targets for one in latest.values() if one.targets is not None]
