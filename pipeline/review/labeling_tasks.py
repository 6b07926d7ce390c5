"""Converts questions and answers between a task and Label Studio's JSON.

Nothing here talks to a server, ``pipeline.review.label_studio`` does. The round trip is the identity
on canonical targets.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import LabelStudioError
from pipeline.review.form import (
    NO,
    PUSH_KEY,
    RECORD_ID,
    REVIEW,
    VALUE_KEYS,
    WHY,
    YES,
    controls,
    data_key,
    labeling_config,
)
from schemas.annotation import Verdict
from schemas.fate import EXPLANATIONS, Reason
from schemas.field import JsonValue, TargetField, ValueType, canonical, is_blank
from schemas.task import Role, Task
from schemas.user_code_errors import plain_words

PREDICTION_VERSION = "goldleaf"
"""A project shows the predictions of a single version: with several, the others' proposals would disappear."""


class LabelingQuestion(BaseModel):
    """A question to annotators about one record."""

    model_config = ConfigDict(frozen=True)

    push_key: str
    record_id: str
    inputs: dict[str, Any]
    why: str
    """Why it is asked, in words."""
    proposal: dict[str, JsonValue] | None = None
    """Targets to start from: the record's own, or a model's suggestion; some may be missing."""
    score: float | None = Field(default=None, ge=0, le=1)
    """How sure the model is of the proposal."""


class LabelingAnswer(BaseModel):
    """What one annotation amounts to."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    targets: dict[str, JsonValue] | None = None
    """Canonical; only for a labeled record."""
    error: str = ""
    """What is wrong with an invalid answer, by field, and what to do."""


# --- to annotators-------------------------------------------------------------------------------
def labeling_task(task: type[Task], question: LabelingQuestion) -> dict[str, Any]:
    """A question in Label Studio's import format: the data to show, and the proposal as a prediction.

    Raises:
        LabelStudioError: a text cannot be sent, or the proposal does not fit the form (the server would
            accept it and show something else).
    """
    shown = {data_key(name): _shown(question.inputs.get(name)) for name in task.task_names(Role.INPUT)}
    keys = {WHY: question.why, RECORD_ID: question.record_id, PUSH_KEY: question.push_key}
    data = {key: _sendable(text, f"'{key}' of record {question.record_id}") for key, text in (shown | keys).items()}
    result = prediction_result(task, question.proposal or {})
    if not result:
        return {"data": data}
    prediction: dict[str, Any] = {"model_version": PREDICTION_VERSION, "result": result}
    if question.score is not None:
        prediction["score"] = question.score
    return {"data": data, "predictions": [prediction]}


def prediction_result(task: type[Task], targets: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Targets as Label Studio's regions; a missing target has none.

    Raises:
        LabelStudioError: a value is invalid for its field.
    """
    known = controls(labeling_config(task))
    regions = []
    for field in task.task_targets():
        value = _fitting(field, targets.get(field.name))
        if value in (None, []):
            continue
        control = known[field.name]
        regions.append(
            {
                "id": field.name,
                "from_name": field.name,
                "to_name": control.to_name,
                "type": control.tag,
                "value": {VALUE_KEYS[control.tag]: _written(control.tag, value)},
            }
        )
    return regions


def verdict_result(task: type[Task], verdict: Verdict) -> list[dict[str, Any]]:
    """The regions of an *unusable* or *unsure* answer; none for any other verdict."""
    if verdict not in (Verdict.UNUSABLE, Verdict.UNSURE):
        return []
    control = next(iter(controls(labeling_config(task)).values()))
    value = {"choices": [verdict.value]}
    return [{"id": REVIEW, "from_name": REVIEW, "to_name": control.to_name, "type": "choices", "value": value}]


def _fitting(field: TargetField, value: Any) -> JsonValue:
    """A proposed value in canonical form, refused if the form could not show it."""
    try:
        fitting = canonical(field, value)
    except (TypeError, ValueError) as error:
        raise LabelStudioError(f"the proposal {value!r} for '{field.name}' is not a valid {field.type}") from error
    if field.type is ValueType.CHOICE and fitting not in (None, *field.choices):
        raise LabelStudioError(f"the proposal {value!r} is not among the choices of '{field.name}'")
    for text in fitting if isinstance(fitting, list) else [fitting]:
        if isinstance(text, str):
            _sendable(text, f"the proposal for '{field.name}'")
    return fitting


def _written(tag: str, value: JsonValue) -> Any:
    if tag in ("number", "datetime"):
        return value
    return [_plain(part) for part in (value if isinstance(value, list) else [value])]


def _plain(value: JsonValue) -> str:
    if isinstance(value, bool):
        return YES if value else NO
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _sendable(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise LabelStudioError(
            f"{where} has half a surrogate pair at character {error.start}, which JSON cannot represent; fix the source"
        ) from error
    return text.replace("\x00", "")  # PostgreSQL rejects NUL


# --- back from annotators -------------------------------------------------------------------------
def read_result(
    task: type[Task],
    result: list[dict[str, Any]],
    was_cancelled: bool,
    inputs: Mapping[str, Any] | None = None,
) -> LabelingAnswer:
    """Parse an annotation's result; a skipped task has no answer, though its result may be filled in.

    With the record's inputs, the answer must also pass the task's validators over several fields.
    """
    if was_cancelled:
        return LabelingAnswer(verdict=Verdict.SKIPPED)
    values = dict(_values(result))
    marked = values.get(REVIEW, {}).get("choices")
    for verdict in (Verdict.UNUSABLE, Verdict.UNSURE):
        if isinstance(marked, list) and verdict in marked:
            return LabelingAnswer(verdict=verdict)
    read, errors = {}, []
    for field in task.task_targets():
        try:
            read[field.name] = _read(field, values.get(field.name, {}))
        except ValueError as error:
            errors.append(f"{field.name}: {error}")
    if not errors:
        try:
            targets = task.task_validate_targets(read)
            errors = [_reason(reason) for reason in task.task_problems(inputs, targets)] if inputs else []
            if not errors:
                return LabelingAnswer(verdict=Verdict.LABELED, targets=targets)
        except ValidationError as error:
            errors = [_problem(item) for item in error.errors(include_url=False, include_context=False)]
        except ValueError as error:
            errors = [str(error)]
    return LabelingAnswer(
        verdict=Verdict.INVALID, error=f"{'; '.join(errors)}. Correct the annotation in Label Studio and update it."
    )


def _values(result: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The value of every region that a form could have made, by its control; a program may have submitted others."""
    for region in result:
        name, value = region.get("from_name"), region.get("value")
        if isinstance(name, str) and isinstance(value, dict):
            yield name, value


def _read(field: TargetField, value: Mapping[str, Any]) -> Any:
    """The value of one region as the task's model takes it; None if nothing was entered."""
    found = next((value[key] for key in VALUE_KEYS.values() if key in value), None)
    entries = found if isinstance(found, list) else [] if found is None else [found]
    filled = [entry for entry in entries if not is_blank(entry)]
    if field.many:
        return [str(entry) for entry in filled]
    if len(filled) > 1:
        raise ValueError(f"{len(filled)} values where one is expected, got {filled}")
    return filled[0] if filled else None


def _reason(reason: Reason) -> str:
    what = reason.detail or EXPLANATIONS[reason.code]
    return f"{reason.field}: {what}" if reason.field else what


def _problem(item: Mapping[str, Any]) -> str:
    field = ".".join(str(part) for part in item["loc"])
    what = "nothing was entered" if item["type"] == "missing" else f"{plain_words(item['msg'])}, got {item['input']!r}"
    return f"{field}: {what}"
