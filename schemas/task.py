"""One pydantic model says everything about a task.

A task is a class with a docstring (the instruction) and fields that are inputs or targets::

    class ContractClause(Task):
        \"\"\"Name the kind of this contract clause.\"\"\"

        clause: Input[str]
        kind: Target[ClauseKind]

From it come validation, the chat rendering, the JSON schema, the labeling form, the parsing of
answers and the metric's name. Everything that Goldleaf asks a task is a classmethod that begins with
``task_`` (fields may have any other name), and each can be overridden.
"""

import functools
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, field_validator

from schemas.fate import Reason, ReasonCode
from schemas.field import JsonValue, TargetField, UnsupportedType, ValueType, canonical, target_field
from schemas.message import Message, Speaker


class Role(StrEnum):
    """What a field is to the model that is trained."""

    INPUT = "input"
    TARGET = "target"


T = TypeVar("T")
Input = Annotated[T, Role.INPUT]
Target = Annotated[T, Role.TARGET]


class Kind(StrEnum):
    """What sort of task it is; it follows from the targets."""

    CLASSIFICATION = "classification"
    EXTRACTION = "structured extraction"


class Metric(StrEnum):
    """The name of the measure that a task is judged by; ``pipeline.evaluate`` computes it."""

    ACCURACY = "accuracy"
    FIELD_F1 = "field_f1"


class TaskDefinitionError(TypeError):
    """A task class that Goldleaf cannot use; the message says what to change."""


Check = TypeVar("Check", bound=Callable[..., str | None])


def soft_check(method: Check) -> Check:
    """Mark a method whose text, if it returns one, sends the record to review instead of rejecting it."""
    vars(method)["is_soft_check"] = True
    return method


class Parsed(BaseModel):
    """A row seen through its task.

    ``inputs`` and ``targets`` are in JSON form and empty where ``problems`` has hard errors;
    ``targets`` is None for an unlabeled row; ``doubts`` are failed soft checks.
    """

    inputs: dict[str, Any] = {}
    targets: dict[str, JsonValue] | None = None
    problems: list[Reason] = []
    doubts: list[Reason] = []


class Task(BaseModel):
    """The base of all tasks; see the module's text."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, ser_json_inf_nan="strings")

    # --- what the class says ------------------------------------------------------------------
    @classmethod
    def task_names(cls, role: Role) -> list[str]:
        """The fields of a role, in the order of their definition."""
        return [name for name, info in cls.model_fields.items() if role in info.metadata]

    @classmethod
    def task_targets(cls) -> tuple[TargetField, ...]:
        """The targets, with the form that each has for people and models."""
        return _fields_of(cls)

    @classmethod
    def task_kind(cls) -> Kind:
        """Classification for a single enum or Literal, structured extraction for anything else."""
        fields = cls.task_targets()
        single = len(fields) == 1 and fields[0].type is ValueType.CHOICE
        return Kind.CLASSIFICATION if single else Kind.EXTRACTION

    @classmethod
    def task_metric(cls) -> Metric:
        """Accuracy for classification, F1 over the fields' values for extraction."""
        return Metric.ACCURACY if cls.task_kind() is Kind.CLASSIFICATION else Metric.FIELD_F1

    @classmethod
    def task_instruction(cls) -> str:
        """The docstring without its indentation: the system message, and what annotators read."""
        return re.sub(r"\s*\n\s*", "\n", (cls.__doc__ or "").strip())

    @classmethod
    def task_digest(cls) -> str:
        """16 hex digits over names, roles and types.

        Texts (the docstring, descriptions, titles) are left out: rewording an instruction does not
        make people's labels stale; another set of answers does.
        """
        schema = _without_texts(cls.model_json_schema())
        roles = {role: cls.task_names(role) for role in Role}
        text = json.dumps([cls.__name__, schema, roles], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def task_check(cls) -> None:
        """Refuse a class that cannot work.

        Raises:
            TaskDefinitionError: no docstring, no inputs, no targets, a field without a role, or a
                target of an unsupported type.
        """
        if not cls.task_instruction() or cls.__doc__ == Task.__doc__:
            raise TaskDefinitionError(f"{cls.__name__} has no docstring: it is the instruction; write one")
        for name, info in cls.model_fields.items():
            if sum(role in info.metadata for role in Role) != 1:
                raise TaskDefinitionError(f"{cls.__name__}.{name} has no role; write Input[...] or Target[...]")
        for role in Role:
            if not cls.task_names(role):
                raise TaskDefinitionError(f"{cls.__name__} has no {role}; mark a field with {role.title()}[...]")
        try:
            cls.task_targets()
        except UnsupportedType as error:
            raise TaskDefinitionError(f"{cls.__name__}: {error}") from error

    # --- rows ---------------------------------------------------------------------------------
    @classmethod
    def task_parse(cls, row: Mapping[str, Any]) -> Parsed:
        """Validate a row; fields that the task does not know are ignored.

        A row whose targets are all missing or empty is unlabeled: only its inputs are validated.
        """
        names = cls.task_names(Role.TARGET)
        if all(_is_missing(row.get(name)) for name in names):
            return cls._parse_unlabeled(row)
        known = {name: row[name] for name in cls.model_fields if row.get(name) is not None}
        try:
            task = cls.model_validate(known)
        except ValidationError as error:
            return Parsed(problems=[*_reasons(error), *_blank_inputs(cls, known)])
        if blank := _blank_inputs(cls, known):
            return Parsed(problems=blank)
        values = task.model_dump(mode="json")
        return Parsed(
            inputs={name: values[name] for name in cls.task_names(Role.INPUT)},
            targets=cls.task_canonical(values),
            doubts=_failed_soft_checks(task),
        )

    @classmethod
    def _parse_unlabeled(cls, row: Mapping[str, Any]) -> Parsed:
        known = {name: row[name] for name in cls.task_names(Role.INPUT) if row.get(name) is not None}
        try:
            inputs = _inputs_model(cls).model_validate(known)
        except ValidationError as error:
            return Parsed(problems=[*_reasons(error), *_blank_inputs(cls, known)])
        if blank := _blank_inputs(cls, known):
            return Parsed(problems=blank)
        return Parsed(inputs=inputs.model_dump(mode="json"))

    @classmethod
    def task_canonical(cls, targets: Mapping[str, Any]) -> dict[str, JsonValue]:
        """Targets in the one form in which equal answers are equal."""
        return {field.name: canonical(field, targets.get(field.name)) for field in cls.task_targets()}

    # --- chat ---------------------------------------------------------------------------------
    @classmethod
    def task_prompt(cls, inputs: Mapping[str, Any]) -> list[Message]:
        """System and user message: the instruction, and the inputs (named, where there are several)."""
        values = {name: inputs[name] for name in cls.task_names(Role.INPUT)}
        texts = [
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values.values()
        ]
        user = texts[0] if len(texts) == 1 else "\n\n".join(f"{n}: {t}" for n, t in zip(values, texts, strict=True))
        return [
            Message(role=Speaker.SYSTEM, content=cls.task_instruction()),
            Message(role=Speaker.USER, content=user),
        ]

    @classmethod
    def task_answer(cls, targets: Mapping[str, JsonValue]) -> str:
        """The assistant's text: a single scalar as its value, several targets as compact JSON.

        Optional targets without a value are left out, so that a small model writes less.
        """
        fields = cls.task_targets()
        if len(fields) == 1 and not fields[0].many:
            value = targets[fields[0].name]
            return value if isinstance(value, str) else json.dumps(value)
        present = {f.name: targets[f.name] for f in fields if targets[f.name] not in (None, [])}
        return json.dumps(present, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def task_read_answer(cls, text: str) -> dict[str, JsonValue] | None:
        """Read a model's text back into canonical targets; None where it is no valid answer."""
        fields = cls.task_targets()
        if len(fields) == 1 and not fields[0].many:
            values: Any = {fields[0].name: text.strip()}
        else:
            try:
                values = json.loads(text)
            except ValueError:
                return None
        if not isinstance(values, dict):
            return None
        try:
            return cls.task_validate_targets(values)
        except ValidationError:
            return None

    @classmethod
    def task_validate_targets(cls, values: Mapping[str, Any]) -> dict[str, JsonValue]:
        """Validate targets without their inputs, and return them in canonical form.

        Raises:
            ValidationError: a target is missing, of a wrong type or not among the choices.
        """
        known = {field.name: values.get(field.name) for field in cls.task_targets()}
        model = _targets_model(cls).model_validate({n: v for n, v in known.items() if v is not None})
        return cls.task_canonical(model.model_dump(mode="json"))

    # --- people -------------------------------------------------------------------------------
    @classmethod
    def task_labeling_config(cls) -> str | None:
        """Override to give a Label Studio labeling config of your own; None builds one from the fields.

        Control names must be the targets' names, and objects must show ``$<input>``.
        """
        return None


@functools.cache
def _fields_of(task: type[Task]) -> tuple[TargetField, ...]:
    names = task.task_names(Role.TARGET)
    infos = {name: task.model_fields[name] for name in names}
    return tuple(target_field(n, i.annotation, i.description or "") for n, i in infos.items())


@functools.cache
def _inputs_model(task: type[Task]) -> type[BaseModel]:
    return _part_of(task, Role.INPUT)


@functools.cache
def _targets_model(task: type[Task]) -> type[BaseModel]:
    return _part_of(task, Role.TARGET)


def _part_of(task: type[Task], role: Role) -> type[BaseModel]:
    """A model of one role's fields with their field validators; cross-field validators stay behind."""
    names = set(task.task_names(role))
    validators: dict[str, Any] = {}
    for name, decorator in task.__pydantic_decorators__.field_validators.items():
        fields = [field for field in decorator.info.fields if field in names]
        if fields:
            first, *rest = fields
            validators[name] = field_validator(first, *rest, mode=decorator.info.mode)(decorator.func)
    definitions: dict[str, Any] = {
        name: (info.annotation, info) for name, info in task.model_fields.items() if name in names
    }
    return create_model(
        f"{task.__name__}{role.title()}s",
        __config__=ConfigDict(extra="forbid", allow_inf_nan=False),
        __validators__=validators,
        **definitions,
    )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_missing(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _blank_inputs(task: type[Task], row: Mapping[str, Any]) -> list[Reason]:
    """An input text of nothing but white space teaches nothing."""
    return [
        Reason(code=ReasonCode.INVALID, field=name, detail="the text is empty")
        for name in task.task_names(Role.INPUT)
        if isinstance(row.get(name), str) and not row[name].strip()
    ]


def _reasons(error: ValidationError) -> list[Reason]:
    return [
        Reason(
            code=ReasonCode.INVALID,
            field=".".join(str(part) for part in item["loc"]),
            detail=item["msg"] if item["type"] == "missing" else f"{item['msg']}, got {_short(item['input'])}",
        )
        for item in error.errors(include_url=False, include_context=False)
    ]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _failed_soft_checks(task: Task) -> list[Reason]:
    return [
        Reason(code=ReasonCode.SOFT_CHECK, field=name, detail=text)
        for name in _soft_checks(type(task))
        if (text := getattr(task, name)())
    ]


@functools.cache
def _soft_checks(task: type[Task]) -> tuple[str, ...]:
    named = {name: value for base in reversed(task.__mro__) for name, value in vars(base).items()}
    return tuple(name for name, value in named.items() if getattr(value, "is_soft_check", False))


def _without_texts(schema: Any) -> Any:
    if isinstance(schema, dict):
        # A property may itself be called "title" or "description": only their text values go.
        return {
            key: _without_texts(value)
            for key, value in schema.items()
            if not (key in ("title", "description") and isinstance(value, str))
        }
    return [_without_texts(item) for item in schema] if isinstance(schema, list) else schema
