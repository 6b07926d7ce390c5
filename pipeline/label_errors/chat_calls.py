"""Doubts the assistant's tool calls: unknown functions, and arguments that break the function's JSON schema."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from pipeline.label_errors.chat_findings import Finding, Rule
from pipeline.label_errors.quotes import quoted
from pipeline.label_errors.tool_schemas import BrokenSchema, plain_schema
from schemas.message import Message, Speaker

_LONGEST = 160
_KEPT_SCHEMAS = 4_096
"""Datasets share few definitions among many rows."""


def call_findings(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None) -> Iterator[Finding]:
    """What is wrong with calls, by the definitions of the functions."""
    if not any(message.tool_calls for message in messages):
        return
    known = dict(_functions(tools or ()))
    prompts = "\n".join(one.content for one in messages if one.role in (Speaker.SYSTEM, Speaker.DEVELOPER))
    broken: set[str] = set()
    for turn, message in enumerate(messages):
        for call in message.tool_calls or ():
            name = call.function.name
            # Without definitions, the functions may be described in the system prompt.
            if name not in known and (known or name not in prompts):
                among = f"which is not among its tools, {', '.join(list(known)[:5])}" if known else "but has no tools"
                yield Finding(Rule.UNKNOWN_FUNCTION, turn, f"{quoted(name)} is called, {among}")
            problem = _problem(call.function.arguments, known.get(name))
            if problem.schema and name not in broken:
                broken.add(name)
                yield Finding(Rule.BROKEN_SCHEMA, turn, _line(f"the definition of {name}: {problem.schema}"))
            if problem.arguments:
                yield Finding(Rule.BAD_ARGUMENTS, turn, _line(f"{name}: {problem.arguments}"))


class _Problem:
    """What is wrong with a call's arguments, and with the schema they were to be checked by."""

    def __init__(self, arguments: str = "", schema: str = "") -> None:
        self.arguments, self.schema = arguments, schema


def _functions(tools: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Name and parameters of every function, whether or not it is wrapped as OpenAI does."""
    for tool in tools:
        inner = tool.get("function")
        function = inner if isinstance(inner, Mapping) else tool
        if isinstance(name := function.get("name"), str):
            parameters = next((function[key] for key in ("parameters", "input_schema") if function.get(key)), None)
            yield name, parameters


def _problem(arguments: str, parameters: Any) -> _Problem:
    try:
        given = orjson.loads(arguments)
    except orjson.JSONDecodeError as error:
        return _Problem(f"the arguments are not JSON ({error.msg}): {quoted(arguments)}")
    if not isinstance(given, dict):
        return _Problem(f"the arguments are no object: {quoted(arguments)}")
    if not parameters:
        return _Problem()
    try:
        text = orjson.dumps(parameters)
    except orjson.JSONEncodeError as error:
        return _Problem(schema=str(error))
    try:
        return _Problem(_violation(text, given))
    except BrokenSchema as error:
        return _Problem(schema=str(error))


def _violation(schema: bytes, given: Mapping[str, Any]) -> str:
    """How arguments break a schema; empty if they do not."""
    from jsonschema.exceptions import best_match

    checker, problem = _checker(schema)
    if problem:
        raise BrokenSchema(problem)
    try:
        error = best_match(checker.iter_errors(given))
    # What a broken schema does to the library cannot be foreseen: it may be a TypeError, or an endless recursion.
    except Exception as failure:
        raise BrokenSchema(_broken(schema) or f"nothing can be checked by it ({failure})") from failure
    if error is None:
        return ""
    if broken := _broken(schema):
        raise BrokenSchema(broken)
    where = ".".join(map(str, error.absolute_path))
    return f"{where}: {error.message}" if where else str(error.message)


@functools.lru_cache(maxsize=_KEPT_SCHEMAS)
def _checker(schema: bytes) -> tuple[Any, str]:
    """The checker of a schema, or what is wrong with it."""
    # Imported here, since most datasets have no calls.
    from jsonschema import Draft202012Validator
    from referencing import Registry

    try:
        # An empty registry: a `$ref` to an address must not be fetched.
        return Draft202012Validator(plain_schema(orjson.loads(schema)), registry=Registry()), ""
    except BrokenSchema as error:
        return None, str(error)
    except RecursionError:
        return None, "it is nested too deeply"


@functools.lru_cache(maxsize=_KEPT_SCHEMAS)
def _broken(schema: bytes) -> str:
    """What is wrong with a schema; empty if nothing. It takes milliseconds, and is needed only after a violation."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(plain_schema(orjson.loads(schema)))
    except SchemaError as error:
        return str(error.message)
    except RecursionError:
        return "it is nested too deeply"
    return ""


def _line(text: str) -> str:
    line = " ".join(text[: 4 * _LONGEST].split())
    return f"{line[:_LONGEST]}…" if len(line) > _LONGEST else line
