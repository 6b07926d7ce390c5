"""One pydantic model defines everything about a task.

A task is a class with a docstring (the instruction) and fields that are inputs or targets::

    class ContractClause(Task):
        \"\"\"Name the kind of this contract clause.\"\"\"

        clause: Input[str]
        kind: Target[ClauseKind]

Validation, the chat rendering, the JSON schema, the labeling form, the parsing of answers and the
metric's name follow from it. Everything that Goldleaf asks a task is a classmethod that begins with
``task_`` (fields may have any other name), and each can be overridden.
"""

import functools
import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    ValidationError,
    field_validator,
)

from schemas.chat_rendering import is_single_value, read_answer, render_answer, render_prompt
from schemas.fate import Reason, ReasonCode
from schemas.field import (
    JsonValue,
    TargetField,
    UnsupportedType,
    admits_none,
    canonical,
    is_absent,
    is_beyond_64_bits,
    target_field,
)
from schemas.message import Message, Speaker
from schemas.parsed import Parsed
from schemas.partial_model import partial_model
from schemas.row_problems import problems_of
from schemas.soft_checks import run_soft_checks
from schemas.soft_checks import soft_check as soft_check
from schemas.task_faults import Unwritten, own_fault, written
from schemas.task_shape import shape_of, value_form
from schemas.user_code_errors import own


class Role(StrEnum):
    """What a field is to the model being trained."""

    INPUT = "input"
    TARGET = "target"


T = TypeVar("T")
Input = Annotated[T, Role.INPUT]
Target = Annotated[T, Role.TARGET]


class TaskDefinitionError(TypeError):
    """A task class that Goldleaf cannot use; the message says what to change."""


class Task(BaseModel):
    """The base of all tasks; see the module docstring."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, ser_json_inf_nan="strings")

    @field_validator("*")
    @classmethod
    def _fits_64_bits(cls, value: Any) -> Any:
        if is_beyond_64_bits(value):
            raise ValueError("the number needs more than 64 bits")
        return value

    # --- the definition -----------------------------------------------------------------------
    @classmethod
    def task_names(cls, role: Role) -> list[str]:
        """The fields of a role, in definition order."""
        # Until all annotations are resolved, metadata may be missing.
        return list(_names_of(cls, role, cls.__pydantic_complete__))

    @classmethod
    def task_targets(cls) -> tuple[TargetField, ...]:
        """The targets, with their type as forms and models need it."""
        return _fields_of(cls)

    @classmethod
    def task_kind(cls) -> str:
        """Override to name another kind of ``pipeline.kinds`` than the one that follows from the targets."""
        return ""

    @classmethod
    def task_instruction(cls) -> str:
        """The docstring without its indentation: it begins the system message, and annotators read it."""
        return inspect.cleandoc(cls.__doc__ or "")

    @classmethod
    def task_answer_form(cls) -> str:
        """What the model is told in addition to the instruction: the choices, or the fields of the JSON it must write.

        Without it an untuned model cannot know which answers count, and the comparison would be unfair.
        Annotators see the form instead. Return "" to omit it, for example if hundreds of choices make prompts long.
        """
        fields = cls.task_targets()
        if is_single_value(fields):
            form = value_form(fields[0])
            nothing = ", or with nothing where the input does not say" if fields[0].optional else ""
            return f"Answer with {form}{nothing}." if form else ""
        notes = {field.name: "; ".join(filter(None, [value_form(field), field.description])) for field in fields}
        named = (f"{name} ({note})" if note else name for name, note in notes.items())
        absent = any(field.optional or field.many for field in fields)
        without = " Leave out what the input does not say." if absent else ""
        return f"Answer with one line of JSON with the fields {', '.join(named)}.{without}"

    @classmethod
    def task_digest(cls) -> str:
        """16 hex digits over names, roles and types.

        Texts (the docstring, descriptions, titles) and the order of fields and choices are excluded:
        rewording an instruction does not make annotators' labels stale; a different set of answers does.
        """
        schema = shape_of(cls.model_json_schema())
        roles = {role: sorted(cls.task_names(role)) for role in Role}
        text = json.dumps([cls.__name__, schema, roles], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def task_check(cls) -> None:
        """Refuse a class that cannot work.

        Raises:
            TaskDefinitionError: no docstring, no inputs, no targets, a field without a role or with a
                reserved name, or a type that is undefined or unsupported.
        """
        if not cls.task_instruction():
            raise TaskDefinitionError(f"{cls.__name__} has no docstring, which serves as the instruction; write one")
        try:
            cls.model_rebuild()
        except PydanticUndefinedAnnotation as error:
            raise TaskDefinitionError(f"{cls.__name__} uses '{error.name}', which is not defined; import it") from error
        for name, info in cls.model_fields.items():
            if name.startswith("task_"):
                raise TaskDefinitionError(f"{cls.__name__}.{name} begins with task_, which is reserved; rename it")
            if info.exclude:
                raise TaskDefinitionError(f"{cls.__name__}.{name} is excluded from every row; drop exclude=True")
            if sum(role in info.metadata for role in Role) != 1:
                raise TaskDefinitionError(f"{cls.__name__}.{name} needs one role; write Input[...] or Target[...]")
        for role in Role:
            if not cls.task_names(role):
                raise TaskDefinitionError(f"{cls.__name__} has no {role}; mark a field with {role.title()}[...]")
        try:
            cls.task_targets()
            cls.task_digest()
        except UnsupportedType as error:
            raise TaskDefinitionError(f"{cls.__name__}: {error}") from error
        except PydanticUserError as error:
            raise TaskDefinitionError(f"{cls.__name__}: {error.message}; use types that JSON can represent") from error

    # --- rows ---------------------------------------------------------------------------------
    @classmethod
    def task_parse(cls, row: Mapping[str, Any]) -> Parsed:
        """Validate a row; fields that the task does not know are ignored.

        None and blank texts count as absent: CSV has no other way to express it. A row whose targets
        are all absent (or empty lists) is unlabeled: only its inputs are validated. A row without any input
        is invalid, since it asks nothing.
        """
        fields = cls.model_fields
        given = _given(cls, fields, row)
        if all((value := given.get(name)) is None or value == [] for name in cls.task_names(Role.TARGET)):
            return cls._parse_unlabeled(given)
        try:
            task = _instance(cls, given)
            values = written(task, fields)
            targets = cls.task_canonical(values)
        except BaseException as error:
            return _invalid(cls, own(error))
        inputs = {name: values[name] for name in cls.task_names(Role.INPUT)}
        if _asks_nothing(inputs):
            return _blank()
        parsed = Parsed(inputs=inputs, targets=targets)
        run_soft_checks(task, parsed)
        return parsed

    @classmethod
    def _parse_unlabeled(cls, given: Mapping[str, Any]) -> Parsed:
        names = cls.task_names(Role.INPUT)
        try:
            model = _inputs_model(cls).model_validate({name: given[name] for name in names if name in given})
            inputs = written(model, names)
        except BaseException as error:
            return _invalid(cls, own(error))
        return _blank() if _asks_nothing(inputs) else Parsed(inputs=inputs)

    @classmethod
    def task_canonical(cls, targets: Mapping[str, Any]) -> dict[str, JsonValue]:
        """Targets in canonical form, in which equal answers are equal."""
        return {field.name: canonical(field, targets.get(field.name)) for field in cls.task_targets()}

    # --- chat ---------------------------------------------------------------------------------
    @classmethod
    def task_messages(cls, inputs: Mapping[str, Any], targets: Mapping[str, JsonValue] | None = None) -> list[Message]:
        """A row as a chat, as it is counted, published, trained on and used for prediction: prompt, then any answer.

        With targets, the last message is the assistant's.
        """
        prompt = cls.task_prompt(inputs)
        if targets is None:
            return prompt
        return [*prompt, Message(role=Speaker.ASSISTANT, content=cls.task_answer(targets))]

    @classmethod
    def task_prompt(cls, inputs: Mapping[str, Any]) -> list[Message]:
        """System and user message: instruction and answer format; the inputs (with their names, if there are several).

        Absent inputs are left out: a model would read ``null`` as text.
        """
        system = "\n\n".join(filter(None, [cls.task_instruction(), cls.task_answer_form()]))
        return render_prompt(system, inputs, cls.task_names(Role.INPUT))

    @classmethod
    def task_answer(cls, targets: Mapping[str, JsonValue]) -> str:
        """The assistant's text: a single scalar as its value, several targets as compact JSON.

        Optional targets without a value are left out, so that a small model writes less; a single one
        becomes the empty text.
        """
        return render_answer(targets, cls.task_targets())

    @classmethod
    def task_read_answer(cls, text: str) -> dict[str, JsonValue] | None:
        """Parse a model's text into canonical targets; None if it is not a valid answer."""
        values = read_answer(text, cls.task_targets())
        if values is None:
            return None
        try:
            return cls.task_validate_targets(values)
        except ValueError:
            return None

    @classmethod
    def task_validate_targets(cls, values: Mapping[str, Any]) -> dict[str, JsonValue]:
        """Validate targets without their inputs, and return them in canonical form.

        An absent optional target becomes None, an absent list empty.

        Raises:
            ValidationError: a target is missing, has a wrong type or is not among the choices.
            ValueError: a validator or serializer of the task itself failed.
        """
        known: dict[str, Any] = {}
        for field in cls.task_targets():
            value = values.get(field.name)
            if not is_absent(value):
                known[field.name] = value
            elif field.optional:
                known[field.name] = [] if field.many else None
        try:
            model = _targets_model(cls).model_validate(known)
        except ValidationError:
            raise
        except BaseException as error:
            raise ValueError(own_fault(cls, "a validator", own(error))) from error
        return cls.task_canonical(written(model, cls.task_names(Role.TARGET)))

    @classmethod
    def task_problems(cls, inputs: Mapping[str, Any], targets: Mapping[str, JsonValue]) -> list[Reason]:
        """What the whole task, including validators over several fields, finds wrong with an answer to some inputs."""
        # The inputs were validated when they were ingested; what validators say about their own output adds nothing.
        known = cls.task_names(Role.INPUT)
        problems = cls.task_parse({**inputs, **targets}).problems
        return [reason for reason in problems if reason.field.split(".")[0] not in known]

    # --- labeling -----------------------------------------------------------------------------
    @classmethod
    def task_labeling_config(cls) -> str | None:
        """Override to return your own Label Studio labeling config; None builds one from the fields.

        Control names must be the targets' names, and objects must show ``$<input>``.
        """
        return None


@functools.cache
def _names_of(task: type[Task], role: Role, complete: bool) -> tuple[str, ...]:
    return tuple(name for name, info in task.model_fields.items() if role in info.metadata)


@functools.cache
def _none_where_absent(task: type[Task]) -> frozenset[str]:
    """The required fields that may be None."""
    return frozenset(n for n, i in task.model_fields.items() if i.is_required() and admits_none(i.annotation))


@functools.cache
def _fields_of(task: type[Task]) -> tuple[TargetField, ...]:
    names = task.task_names(Role.TARGET)
    infos = {name: task.model_fields[name] for name in names}
    return tuple(target_field(n, i.annotation, i.description or "") for n, i in infos.items())


@functools.cache
def _inputs_model(task: type[Task]) -> type[BaseModel]:
    return partial_model(task, task.task_names(Role.INPUT), f"{task.__name__}Inputs")


@functools.cache
def _targets_model(task: type[Task]) -> type[BaseModel]:
    return partial_model(task, task.task_names(Role.TARGET), f"{task.__name__}Targets")


def _asks_nothing(inputs: Mapping[str, Any]) -> bool:
    return all(is_absent(value) or value in ([], {}) for value in inputs.values())


def _blank() -> Parsed:
    return Parsed(problems=[Reason(code=ReasonCode.NO_INPUT)])


def _given(task: type[Task], names: Iterable[str], row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's values for some fields; an absent one is left to the field's default, or None if allowed."""
    none = _none_where_absent(task)
    given: dict[str, Any] = {}
    for name in names:
        if not is_absent(value := row.get(name)):
            given[name] = value
        elif name in none:
            given[name] = None
    return given


def _instance(task: type[Task], row: Mapping[str, Any]) -> Task:
    found = task.model_validate(row)
    if not isinstance(found, task):
        # An after-validator returns what replaces the model; a forgotten return gives None.
        raise TypeError(f"it gave {found!r} instead of the row; end it with `return self`")
    return found


def _invalid(task: type[Task], error: BaseException) -> Parsed:
    """An invalid row. The validators are the user's code: one odd row must not stop a run over all others."""
    if isinstance(error, ValidationError):
        return Parsed(problems=problems_of(task, error))
    said = str(error) if isinstance(error, Unwritten) else own_fault(task, "a validator", error)
    fault = Reason(code=ReasonCode.INVALID, detail=said)
    return Parsed(problems=[fault], faults=[fault])
