"""Reads the YAML that a dataset.yaml may use: plain values, and nodes that know their lines; all else is an error."""

import re
from collections.abc import Hashable, Iterator
from typing import Any

import yaml

from schemas.field import shown
from schemas.user_code_errors import no_json

_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}
"""The tags that a dataset.yaml may have: no key takes a date, a set or bytes."""


_INDENTATION = "check the indentation of this line and the one before it: spaces, not tabs"
_HINTS = {
    r"found character '\t'": _INDENTATION,
    "expected <block end>": f"{_INDENTATION}, and equally many before each key of a section or dash of a list",
    "expected '<document start>', but found '<block": f"{_INDENTATION}, and none before the first key",
    "mapping values are not allowed here": f"{_INDENTATION}; a value that contains ': ' needs quotes",
    "expected alphabetic or numeric character, but found": "a value that begins with * or & needs quotes",
    "could not find expected ':'": f"{_INDENTATION}, and a colon after each key",
}
"""What to do about a problem, by how the parser's description of it starts."""


class PlainYamlError(ValueError):
    """What is wrong with a text, and on which line; 0 if there is no line to name."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Leaves dates as texts, since a title may well be one; reports mismatched tags with their line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag.startswith("tag:yaml.org,2002:") and node.tag not in _PLAIN and ":python/" not in node.tag:
            raise _at(node, f"{_name(node)} is not a tag that a dataset.yaml can have; leave it out")
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            raise _at(node, f"{_value(node)} is not a valid {_name(node).lstrip('!')}") from error
        if isinstance(value, str) and (problem := no_json(value)):
            raise _at(node, f"{shown(value)} holds {problem}")
        return value

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Merges of merges would double a mapping again and again; of equal keys, the last one counts.
        super().flatten_mapping(node)
        keys = [key.value if isinstance(key, yaml.ScalarNode) else id(key) for key, _ in node.value]
        node.value = list(dict(zip(keys, node.value, strict=True)).values())


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":bool"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# As in YAML 1.2. In 1.1 the key `off` is false, and so is `no`, the language.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read_yaml(text: str) -> tuple[yaml.Node | None, Any]:
    """The text as nodes and as values; None for both if it is empty.

    Raises:
        PlainYamlError: it is not YAML, a key appears twice, or a value is not allowed in a dataset.yaml.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if doubled := next(_doubled_keys(node, set()), None):
            raise PlainYamlError(f"{shown(doubled.value)} appears twice; keep one", line_of(doubled))
        return node, loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        hints = [f"; {hint}" for start, hint in _HINTS.items() if str(error.problem).startswith(start)]
        raise PlainYamlError(f"not valid YAML: {error.problem}{''.join(hints)}", line) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise PlainYamlError(f"not valid YAML: {error.reason} (#x{error.character:04x})", line) from error
    except RecursionError:
        raise PlainYamlError("not a valid dataset.yaml: lists or sections are nested too deeply") from None


def line_of(node: yaml.Node) -> int:
    """The line on which a node begins."""
    return int(node.start_mark.line) + 1


def _at(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _name(node: yaml.Node) -> str:
    return f"!!{node.tag.rpartition(':')[2]}"


def _value(node: yaml.Node) -> str:
    return shown(node.value) if isinstance(node, yaml.ScalarNode) else "a list or section"


def _doubled_keys(node: yaml.Node | None, looked_at: set[int]) -> Iterator[yaml.Node]:
    """Keys that appear twice in one mapping; YAML would silently let the last one win."""
    if id(node) in looked_at:
        # An alias can lead back to its own parent.
        return
    looked_at.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _doubled_keys(value, looked_at)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _doubled_keys(item, looked_at)
