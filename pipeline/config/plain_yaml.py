"""Reads YAML as a dataset.yaml uses it: plain values, and nodes that know their lines; all else is a mistake."""

from collections.abc import Hashable, Iterator
from typing import Any

import yaml

from schemas.field import shown
from schemas.user_code_errors import no_json

_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}
"""The tags of what a dataset.yaml can hold: no key takes a date, a set or bytes."""


class PlainYamlError(ValueError):
    """What is wrong with a text, and in which line, which is 0 where none can be named."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Leaves dates as texts, as a title may well be one; a value that is not what its tag says has a line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag.startswith("tag:yaml.org,2002:") and node.tag not in _PLAIN and ":python/" not in node.tag:
            raise _at(node, f"{_name(node)} is no tag that a dataset.yaml can have; leave it out")
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            raise _at(node, f"{_value(node)} is no {_name(node).lstrip('!')}, as its tag or its form says") from error
        if isinstance(value, str) and (problem := no_json(value)):
            raise _at(node, f"{shown(value)} holds {problem}")
        return value

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Merges of merges would double a mapping again and again; of equal keys the last one counts.
        super().flatten_mapping(node)
        keys = [key.value if isinstance(key, yaml.ScalarNode) else id(key) for key, _ in node.value]
        node.value = list(dict(zip(keys, node.value, strict=True)).values())


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str) -> tuple[yaml.Node | None, Any]:
    """The text as nodes and as values; None for both where there is nothing in it.

    Raises:
        PlainYamlError: it is no YAML, a key stands twice, or a value is none that a dataset.yaml can have.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if doubled := next(_doubled_keys(node, set()), None):
            raise PlainYamlError(f"{shown(doubled.value)} stands here twice; keep one", line_of(doubled))
        return node, loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PlainYamlError(f"no valid YAML: {error.problem}", line) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise PlainYamlError(f"no valid YAML: {error.reason} (#x{error.character:04x})", line) from error
    except RecursionError:
        raise PlainYamlError("no valid dataset.yaml: lists or sections lie too deep in each other") from None


def line_of(node: yaml.Node) -> int:
    """The line in which a node begins."""
    return int(node.start_mark.line) + 1


def _at(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _name(node: yaml.Node) -> str:
    return f"!!{node.tag.rpartition(':')[2]}"


def _value(node: yaml.Node) -> str:
    return shown(node.value) if isinstance(node, yaml.ScalarNode) else "a list or section"


def _doubled_keys(node: yaml.Node | None, looked_at: set[int]) -> Iterator[yaml.Node]:
    """Keys that stand twice in one mapping; YAML would silently let the last one win."""
    if id(node) in looked_at:
        # An alias can lead back to where it stands.
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
