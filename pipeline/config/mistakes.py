"""What is wrong with the values of a YAML file: one line for each, with its place, and the keys that there are."""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.config.plain_yaml import PlainYamlError, line_of, read_yaml
from schemas.dataset import Misfit
from schemas.field import shown
from schemas.user_code_errors import in_a_line, plain_words

_SHOWN_VALUE = 80


def messages(path: Path, root: yaml.Node, error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """What is wrong with the values of a file, each with its line and what would be right."""
    for item in error.errors(include_url=False):
        cause = item.get("ctx", {}).get("error")
        place = cause.at if isinstance(cause, Misfit) else item["loc"]
        yield f"{path}:{line_of(node_at(root, place))}: {_message(item, model)}"


def _message(item: Any, model: type[BaseModel]) -> str:
    """One of pydantic's errors as text for the user."""
    where = ".".join(str(part) for part in item["loc"])
    match item["type"]:
        case "extra_forbidden":
            known = _known_keys(model, item["loc"][:-1])
            near = difflib.get_close_matches(str(item["loc"][-1])[:_SHOWN_VALUE], known, n=1, cutoff=0.7)
            instead = f"did you mean {near[0]}? Else use" if near else "use"
            return f"'{in_a_line(where)}' is not a known key; {instead} one of {', '.join(known)}"
        case "missing":
            return f"'{where}' is missing; it is required"
        case "model_type":
            return f"'{where}' is a section with the keys {', '.join(_known_keys(model, item['loc']))}"
        case "list_type" | "tuple_type":
            return f"'{where}' is a list; {_as_list(item, model)}"
        case _:
            return _said_by_pydantic(item, where)


def _as_list(item: Any, model: type[BaseModel]) -> str:
    """How to write a list instead of a value."""
    value = item["input"]
    if keys := _known_keys(model, item["loc"]):
        return f"begin each of its entries with `- `, even a single one; it has the keys {', '.join(keys)}"
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return "write its values in brackets, separated by commas"
    # Names separated by commas are meant to be several.
    text = str(value)
    written = text if _means_texts(f"[{text}]") else json.dumps(text, ensure_ascii=False)
    return f"write `[{in_a_line(written, _SHOWN_VALUE)}]`, got {shown(value)}"


def _means_texts(written: str) -> bool:
    """Whether YAML reads this as a list of texts, without further quotes."""
    try:
        _, values = read_yaml(written) if len(written) < _SHOWN_VALUE else (None, None)
    except PlainYamlError:
        return False
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _said_by_pydantic(item: Any, where: str) -> str:
    text = plain_words(item["msg"])
    if item["type"] != "value_error" and isinstance(item["input"], str | int | float | None):
        text += f", got {shown(item['input'])}"
    return f"{where}: {text}" if where else text


def _known_keys(whole: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    model: Any = whole
    for part in loc:
        if isinstance(part, str) and hasattr(model, "model_fields") and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    return sorted(getattr(model, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    found = [_model_in(arg) for arg in getattr(annotation, "__args__", ())]
    return next((model for model in found if model is not None), None)


def node_at(root: yaml.Node, loc: tuple[int | str, ...]) -> yaml.Node:
    """The key or list item of the deepest part of a location that the file has."""
    shown = node = root
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            # The last one: a mapping's own keys follow those merged into it.
            match = [pair for pair in node.value if pair[0].value == str(part)]
            if not match:
                break
            shown, node = match[-1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            shown = node = node.value[part]
    return shown
