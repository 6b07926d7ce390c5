"""Converts questions and answers between a task and Label Studio's JSON.

Nothing here talks to a server, ``pipeline.review.label_studio`` does. The round trip is the identity
on canonical targets.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from pipeline.errors import LabelStudioError
from pipeline.kinds.registry import kind_of
from pipeline.review.answer_turns import CALLS, TURN, editor_texts, last_turn, read_turns
from pipeline.review.changes import marked_changes
from pipeline.review.conversation_html import bubbles, tool_list
from pipeline.review.form import (
    ASSIGNED,
    CHANGES,
    NONE,
    NOTHING,
    PUSH_KEY,
    RECORD_ID,
    REVIEW,
    SEAT,
    VALUE_KEYS,
    WHY,
    controls,
    data_key,
    labeling_config,
    shown_fields,
)
from pipeline.review.form_fields import FormField, assembled, form_fields
from pipeline.review.line_items import plain, read_table, table_text
from pipeline.review.offered_answers import CANDIDATE, CANDIDATES, Candidate, as_choices, read_candidate
from schemas.annotation import Verdict
from schemas.fate import EXPLANATIONS, Reason
from schemas.field import JsonValue, ValueType, canonical, is_absent, is_blank
from schemas.renamed_labels import divided
from schemas.row_problems import problem_in_words
from schemas.task import Role, Task
from schemas.task_fields import conversation_target, names_of, tools_field, turn_fields, turns_of

HOW_TO_CORRECT = ". Correct the annotation in Label Studio and update it."
PREDICTION_VERSION = "goldleaf"
"""A project shows the predictions of a single version: with several, the others' proposals would disappear."""


class LabelingQuestion(BaseModel, frozen=True):
    """A question to annotators about one record."""

    push_key: str
    record_id: str
    inputs: dict[str, Any]
    why: str
    """Why it is asked, in words."""
    proposal: dict[str, JsonValue] | None = None
    """Targets to start from: the record's own, or a model's suggestion; some may be missing."""
    score: float | None = Field(default=None, ge=0, le=1)
    """How sure the model is of the proposal."""
    candidates: tuple[Candidate, ...] = ()
    """Answers that are offered beside the proposal."""
    seat: str = ""
    """What the answer is for, as annotators may know it; empty if questions have one seat only."""
    assigned: str = ""
    """The e-mail address of whom it is for, if somebody is named."""


class LabelingAnswer(BaseModel, frozen=True):
    """What one annotation amounts to."""

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
    shown = {data_key(name): value for name, value in _shown_values(task, question).items()}
    keys = {WHY: question.why, RECORD_ID: question.record_id, PUSH_KEY: question.push_key}
    keys |= {SEAT: question.seat, ASSIGNED: question.assigned} if question.seat else {}
    data = {key: _sendable(value, f"'{key}' of record {question.record_id}") for key, value in (shown | keys).items()}
    data[CANDIDATES] = _sendable(as_choices(task, question.candidates), f"an answer to record {question.record_id}")
    if kind_of(task).free_texts(task):
        data[CHANGES] = _sendable(marked_changes(task, question.inputs, question.proposal), "the marked changes")
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
    for asked in form_fields(task):
        value = _fitting(asked, asked.value_in(targets))
        for name, written in _written(asked, known[asked.control].tag, value).items():
            # A form of the user's own need not have the editors beside a conversation's.
            if (control := known.get(name)) and written not in ([], [""]):
                value_key = VALUE_KEYS[control.tag]
                common = {"id": name, "from_name": name, "to_name": control.to_name, "type": control.tag}
                regions.append({**common, "value": {value_key: written}})
    return regions


def _shown_values(task: type[Task], question: LabelingQuestion) -> dict[str, str]:
    """What annotators read; in front of the turn that they edit come all others."""
    values: dict[str, Any] = dict(question.inputs)
    if chat := conversation_target(task):
        answer = [turn for turn in turns_of(question.proposal or {}, chat) if isinstance(turn, dict)]
        values[chat] = [*(values.get(chat) or []), *answer[: last_turn(answer)]]
    names = [*shown_fields(task), *names_of(task, Role.CONTEXT)]
    as_html = dict.fromkeys(turn_fields(task), bubbles) | {tools_field(task): tool_list}
    return {
        name: as_html[name](values.get(name) or ()) if name in as_html else _shown(values.get(name)) for name in names
    }


def verdict_result(task: type[Task], verdict: Verdict) -> list[dict[str, Any]]:
    """The regions of an *unusable* or *unsure* answer; none for any other verdict."""
    if verdict not in (Verdict.UNUSABLE, Verdict.UNSURE):
        return []
    control = next(iter(controls(labeling_config(task)).values()))
    value = {"choices": [verdict.value]}
    return [{"id": REVIEW, "from_name": REVIEW, "to_name": control.to_name, "type": "choices", "value": value}]


def _fitting(asked: FormField, value: Any) -> JsonValue:
    """A proposed value in canonical form, refused if the form could not show it."""
    field = asked.field
    if value is None:
        return None
    try:
        fitting = canonical(field, value)
    except (TypeError, ValueError) as error:
        raise LabelStudioError(f"the proposal {value!r} for '{asked.shown}' is not a valid {field.type}") from error
    given = value if field.many else [fitting]
    if field.type is ValueType.CHOICE and (odd := [one for one in given if one not in (None, *field.choices)]):
        raise LabelStudioError(f"the proposal {odd[0]!r} is not among the choices of '{asked.shown}'")
    _sendable(fitting, f"the proposal for '{asked.shown}'")
    return fitting


def _written(asked: FormField, tag: str, value: JsonValue) -> dict[str, Any]:
    """What the controls of a field hold, by their names."""
    field, name = asked.field, asked.control
    if value is None:
        return {}
    if field.is_label_set:
        return {name: value or [NONE]}
    parts = value if isinstance(value, list) else [value]
    objects = [part for part in parts if isinstance(part, dict)]
    if field.type is ValueType.MESSAGES:
        texts = editor_texts(objects) if objects else {}
        return {f"{name}-{end}" if end else name: [text] for end, text in texts.items()}
    if field.type is ValueType.OBJECT:
        return {name: [table_text(field, objects)]}
    if field.type is ValueType.DATETIME:
        return {name: [str(part).replace("T", " ") for part in parts]}
    return {name: value if tag in ("number", "datetime") else [plain(part) for part in parts]}


def _shown(value: Any) -> str:
    if is_absent(value):
        return NOTHING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _sendable(value: Any, where: str) -> Any:
    """A value whose texts JSON and the server's database can hold."""
    if isinstance(value, list):
        return [_sendable(part, where) for part in value]
    if isinstance(value, dict):
        return {key: _sendable(part, where) for key, part in value.items()}
    return _sendable_text(value, where) if isinstance(value, str) else value


def _sendable_text(text: str, where: str) -> str:
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
    read, errors = _read_all(task, values)
    if not errors:
        try:
            targets = task.task_validate_targets(read)
            errors = [_reason(reason) for reason in task.task_problems(inputs, targets)] if inputs else []
            if not errors:
                return LabelingAnswer(verdict=Verdict.LABELED, targets=targets)
        except ValidationError as error:
            errors = [_problem(item, task) for item in error.errors(include_url=False, include_context=False)]
        except ValueError as error:
            errors = [str(error)]
    return LabelingAnswer(verdict=Verdict.INVALID, error=f"{'; '.join(errors)}{HOW_TO_CORRECT}")


def _read_all(task: type[Task], values: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """The answer as the task's model takes it, and what cannot be read, by field."""
    if chosen := _entries(values.get(CANDIDATE, {})):
        try:
            return read_candidate(str(chosen[0])), []
        except ValueError as error:
            return {}, [str(error)]
    read, errors = {}, []
    for asked in form_fields(task):
        try:
            read[asked.path] = _read(asked, values)
        except ValueError as error:
            errors.append(f"{asked.shown}: {error}")
    return ({} if errors else assembled(task, read)), errors


def meant_by(task: type[Task], result: list[dict[str, Any]]) -> list[dict[str, JsonValue]]:
    """The valid answers that an annotation can have meant whose label the task has divided since."""
    read, errors = _read_all(task, dict(_values(result)))
    found: list[dict[str, JsonValue]] = []
    for meant in [] if errors else divided(task.renamed, task.task_targets(), read):
        with suppress(ValueError):
            found.append(task.task_validate_targets(meant))
    return found


def says_all(task: type[Task], result: list[dict[str, Any]]) -> bool:
    """Whether an annotation has a value for all that is asked: what it leaves out, nobody may have been asked for."""
    values = dict(_values(result))
    if chosen := _entries(values.get(CANDIDATE, {})):
        with suppress(ValueError):
            return set(read_candidate(str(chosen[0]))) >= set(task.task_names(Role.TARGET))
        return False
    return all(_entries(values.get(asked.control, {})) for asked in form_fields(task))


def _values(result: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The value of every region that a form could have made, by its control; a program may have submitted others."""
    for region in result:
        name, value = region.get("from_name"), region.get("value")
        if isinstance(name, str) and isinstance(value, dict):
            yield name, value


def _read(asked: FormField, values: Mapping[str, Mapping[str, Any]]) -> Any:
    """The value of one field as the task's model takes it; None if nothing was entered."""
    field, filled = asked.field, _entries(values.get(asked.control, {}))
    if field.is_label_set:
        return _read_labels(filled)
    if field.type is ValueType.MESSAGES:
        texts = {end: _entries(values.get(f"{asked.control}-{end}", {})) for end in (TURN, CALLS)} | {"": filled}
        return read_turns({end: "\n".join(map(str, entries)) for end, entries in texts.items()})
    if field.type is ValueType.OBJECT:
        return read_table(field, "\n".join(map(str, filled)))
    if field.many:
        return [str(entry) for entry in filled]
    if len(filled) > 1:
        raise ValueError(f"{len(filled)} values where one is expected, got {filled}")
    return filled[0] if filled else None


def _read_labels(chosen: list[Any]) -> list[str] | None:
    if NONE in chosen and len(chosen) > 1:
        others = ", ".join(repr(label) for label in chosen if label != NONE)
        raise ValueError(f"'none of these' was chosen beside {others}; choose one or the other")
    return [] if chosen == [NONE] else [str(label) for label in chosen] or None


def _entries(value: Mapping[str, Any]) -> list[Any]:
    """What was entered in a control."""
    found = next((value[key] for key in VALUE_KEYS.values() if key in value), None)
    entries = found if isinstance(found, list) else [] if found is None else [found]
    return [entry for entry in entries if not is_blank(entry)]


def _reason(reason: Reason) -> str:
    what = reason.detail or EXPLANATIONS[reason.code]
    return f"{reason.field}: {what}" if reason.field else what


def _problem(item: Mapping[str, Any], task: type[Task]) -> str:
    field = ".".join(f"line {part + 1}" if isinstance(part, int) else part for part in item["loc"])
    what = "nothing was entered" if item["type"] == "missing" else problem_in_words(item, task)
    return f"{field}: {what}"
