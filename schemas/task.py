"""One pydantic model defines everything about a task.

A task is a class with a docstring (the instruction) and fields that are inputs or targets::

    class ContractClause(Task):
        \"\"\"Name the kind of this contract clause.\"\"\"

        clause: Input[str]
        kind: Target[ClauseKind]

Validation, the chat rendering, the JSON schema, the labeling form, the parsing of answers and the
metric's name follow from it. Everything that Goldleaf asks a task is a classmethod that begins with
``task_`` (fields may have any other name), and each can be overridden.

A field may also be ``Context[...]``: annotators see it and versions keep it, but no prompt has it. A conversation
that is both question and answer is a ``Conversation``, and the tools that it may call are ``Tools``. Of several texts,
the one that is rewritten is marked as ``Original[...]``.
"""

import functools
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    JsonValue,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from schemas.chat_rendering import is_single_value, read_answer, render_answer, render_conversation, render_prompt
from schemas.fate import Reason
from schemas.field import (
    TargetField,
    UnsupportedType,
    ValueType,
    canonical,
    is_absent,
    target_field,
    unwritable,
)
from schemas.field_values import blank_within, completed, repeated_label
from schemas.message import Message, Speaker
from schemas.names_read import is_read_by_code
from schemas.parsed import Parsed
from schemas.partial_model import partial_model
from schemas.renamed_labels import Renamed, fault_of, with_new_names
from schemas.roles import Context as Context
from schemas.roles import Conversation as Conversation
from schemas.roles import Input as Input
from schemas.roles import Original as Original
from schemas.roles import Role as Role
from schemas.roles import Target as Target
from schemas.roles import Tools as Tools
from schemas.soft_checks import run_soft_checks
from schemas.soft_checks import soft_check as soft_check
from schemas.task_faults import own_fault, written
from schemas.task_fields import (
    conversation_target,
    fields_with_sets,
    parts_of,
    row_of,
    tools_field,
    turn_fields,
    turns_of,
    whole_conversation,
)
from schemas.task_rows import given_values, instance, invalid, unanswered, unasked
from schemas.task_shape import class_digest, field_form, value_form
from schemas.timestamps import dates_of, refuse_timestamps
from schemas.user_code_errors import own


class TaskDefinitionError(TypeError):
    """A task class that Goldleaf cannot use; the message says what to change."""


class Task(BaseModel):
    """The base of all tasks; see the module docstring."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, ser_json_inf_nan="strings")
    renamed: ClassVar[Renamed] = {}
    """The new names of labels, by their old ones."""

    @field_validator("*", mode="before")
    @classmethod
    def _means_what_it_says(cls, value: Any, info: ValidationInfo) -> Any:
        """What pydantic would change without a word: all that is read passes here, from rows, annotators and models."""
        field = fields_with_sets(cls).get(info.field_name or "")
        # A set would drop the repeats.
        if field and (repeated := repeated_label(field, value)):
            raise ValueError(repeated)
        if cls.renamed and (target := _by_name(cls).get(info.field_name or "")):
            value = with_new_names(cls.renamed, target, value)
        if dates := dates_of(cls).get(info.field_name or ""):
            refuse_timestamps(value, dates)
        return value

    @field_validator("*")
    @classmethod
    def _can_be_written(cls, value: Any) -> Any:
        if problem := unwritable(value):
            raise ValueError(problem)
        # At the top a blank text is a missing value; within an object it would vanish from the answer.
        if gap := blank_within(value):
            raise ValueError(f"'{gap}' has no visible text; fill it in, or let the task's field be None")
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
        if fields[0].type is ValueType.MESSAGES:
            return ""
        if is_single_value(fields):
            form = value_form(fields[0], alone=True)
            if fields[0].is_label_set:
                return f"Answer with {form}; [] if none does."
            if fields[0].many:
                return f"Answer with {form}, as JSON; [] if there is none."
            nothing = ", or with nothing where the input does not say" if fields[0].optional else ""
            return f"Answer with {form}{nothing}." if form else ""
        named = map(field_form, fields)
        absent = any(field.optional or field.many for field in fields)
        without = " Leave out what the input does not say." if absent else ""
        return f"Answer with one line of JSON with the fields {', '.join(named)}.{without}"

    @classmethod
    def task_digest(cls) -> str:
        """16 hex digits over names, roles and types.

        Texts (the docstring, descriptions, titles), the order of fields and choices, and the context are excluded:
        rewording an instruction does not make annotators' labels stale; a different set of answers does.
        """
        return class_digest(cls)

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
            if [role for role in Role if role in info.metadata] not in _ROLES:
                raise TaskDefinitionError(
                    f"{cls.__name__}.{name} needs one role; write Input[...], Target[...] or Context[...]"
                )
        for role in (Role.INPUT, Role.TARGET):
            if not cls.task_names(role):
                raise TaskDefinitionError(f"{cls.__name__} has no {role}; mark a field with {role.title()}[...]")
        try:
            _check_conversation(cls)
            if fault := fault_of(cls.renamed, cls.task_targets()):
                raise TaskDefinitionError(f"{cls.__name__}.{fault}")
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
        are all absent, or whose conversation has no answer yet, is unlabeled; an empty list is an answer. Of the
        former only the inputs are validated. A row without any input, or whose conversation has no turn to answer,
        is invalid, since it asks nothing.
        """
        fields = cls.model_fields
        given = given_values(cls, fields, row)
        if all(given.get(name) is None for name in cls.task_names(Role.TARGET)):
            return cls._parse_unlabeled(given)
        try:
            task = instance(cls, given)
            values = written(task, fields)
            inputs, answers = parts_of(cls, values)
            targets = cls.task_canonical(values | answers) if answers else None
        except BaseException as error:
            return invalid(cls, own(error))
        if refused := unasked(cls, inputs, answered=targets is not None) or unanswered(cls, targets):
            return refused
        parsed = Parsed(inputs=inputs, targets=targets)
        run_soft_checks(task, parsed)
        return parsed

    @classmethod
    def _parse_unlabeled(cls, given: Mapping[str, Any]) -> Parsed:
        names = [*cls.task_names(Role.INPUT), *cls.task_names(Role.CONTEXT)]
        try:
            model = _inputs_model(cls).model_validate({name: given[name] for name in names if name in given})
            inputs = written(model, names)
        except BaseException as error:
            return invalid(cls, own(error))
        return unasked(cls, inputs, answered=False) or Parsed(inputs=inputs)

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
        if chat := conversation_target(cls):
            return [*prompt, *(Message.model_validate(turn) for turn in turns_of(targets, chat))]
        return [*prompt, Message(role=Speaker.ASSISTANT, content=cls.task_answer(targets))]

    @classmethod
    def task_prompt(cls, inputs: Mapping[str, Any]) -> list[Message]:
        """System and user message: instruction and answer format; the inputs (with their names, if there are several).

        Absent inputs are left out: a model would read ``null`` as text. A conversation that is to be continued is
        the prompt itself, as it is in the data; the other inputs go into its system message.
        """
        names = [name for name in cls.task_names(Role.INPUT) if name != tools_field(cls)]
        turns = turn_fields(cls)
        if conversation_target(cls) and (asked := [name for name in names if name in turns]):
            return render_conversation(inputs, asked[0], [name for name in names if name not in turns])
        return render_prompt(system_text(cls), inputs, names, turns)

    @classmethod
    def task_answer(cls, targets: Mapping[str, JsonValue]) -> str:
        """The assistant's text: a single text, number or choice as its value, anything else as compact JSON.

        Optional targets without a value are left out, so that a small model writes less; a single one
        becomes the empty text. Of a conversation it is what the assistant says in the end.
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

        An absent optional target becomes None, an absent list empty; only a set of labels must be there.

        Raises:
            ValidationError: a target is missing, has a wrong type or is not among the choices.
            ValueError: a validator or serializer of the task itself failed.
        """
        known: dict[str, Any] = {}
        for field in cls.task_targets():
            value = values.get(field.name)
            if not is_absent(value):
                known[field.name] = completed(field, value)
            elif field.optional:
                known[field.name] = [] if field.many or field.type is ValueType.MESSAGES else None
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
        known = {*cls.task_names(Role.INPUT), *cls.task_names(Role.CONTEXT)} - {*cls.task_names(Role.TARGET)}
        problems = cls.task_parse(row_of(cls, inputs, targets)).problems
        return [reason for reason in problems if reason.field.split(".")[0] not in known]

    # --- labeling -----------------------------------------------------------------------------
    @classmethod
    def task_labeling_config(cls) -> str | None:
        """Override to return your own Label Studio labeling config; None builds one from the fields.

        Control names must be the targets' names, and objects must show ``$<input>``.
        """
        return None


_ROLES = ([Role.INPUT], [Role.TARGET], [Role.CONTEXT], [Role.INPUT, Role.TARGET])


def system_text(task: type[Task]) -> str:
    """The system message: instruction and answer format."""
    return "\n\n".join(filter(None, [task.task_instruction(), task.task_answer_form()]))


@functools.cache
def _names_of(task: type[Task], role: Role, complete: bool) -> tuple[str, ...]:
    return tuple(name for name, info in task.model_fields.items() if role in info.metadata)


@functools.cache
def _by_name(task: type[Task]) -> dict[str, TargetField]:
    return {field.name: field for field in task.task_targets()}


@functools.cache
def _fields_of(task: type[Task]) -> tuple[TargetField, ...]:
    infos = {name: task.model_fields[name] for name in task.task_names(Role.TARGET)}
    fields = (target_field(n, i.annotation, i.description or "", i.metadata) for n, i in infos.items())
    by_code = {name for name in infos if is_read_by_code(task, name, Task)}
    return tuple(f.model_copy(update={"takes_other_names": f.takes_other_names or f.name in by_code}) for f in fields)


@functools.cache
def _inputs_model(task: type[Task]) -> type[BaseModel]:
    names = [*task.task_names(Role.INPUT), *task.task_names(Role.CONTEXT)]
    return partial_model(task, names, f"{task.__name__}Inputs")


@functools.cache
def _targets_model(task: type[Task]) -> type[BaseModel]:
    names = task.task_names(Role.TARGET)
    return partial_model(task, names, f"{task.__name__}Targets", whole_conversation(task))


def _check_conversation(task: type[Task]) -> None:
    """Refuse conversations beside other targets or other conversations, and a role that only they can have."""
    fields = task.task_targets()
    chats = [field.name for field in fields if field.type is ValueType.MESSAGES]
    if chats and len(fields) > 1:
        raise UnsupportedType(f"the conversation '{chats[0]}' must be the only target")
    asked = [name for name in task.task_names(Role.INPUT) if name in turn_fields(task)]
    if chats and len(asked) > 1:
        names = " and ".join(f"'{name}'" for name in asked)
        raise UnsupportedType(f"{names} are conversations, and a prompt can continue only one; make the others texts")
    both = [name for name in task.task_names(Role.TARGET) if name in task.task_names(Role.INPUT)]
    if odd := [name for name in both if name not in chats]:
        raise UnsupportedType(f"'{odd[0]}' is input and target at once, which only a Conversation can be")
