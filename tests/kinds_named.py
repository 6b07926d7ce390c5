"""Counts the places outside of ``pipeline/kinds`` that name a kind of task: ``python tests/kinds_named.py``.

A new kind must be one file in that room; whoever names a kind elsewhere takes all others for one. Docstrings, comments
and the example tasks may.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.kinds.registry import KIND_NAMES, KINDS

ROOT = Path(__file__).parent.parent
ORDINARY = {"chat"}
"""Kinds whose name is also a word for something else: a row is rendered as a chat, by a chat template. Such a name
counts only where something is compared with it, and where its module is imported.
"""
NAMED = re.compile(rf"(?<![a-z])({'|'.join(sorted(set(KIND_NAMES) - ORDINARY))})(?![a-z])", re.IGNORECASE)
CLASSES = {type(kind).__name__ for kind in KINDS if kind.name not in ORDINARY}


def in_code(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every name and every string, docstrings left out, that names a kind."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            compared = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
            yield from ((node.lineno, str(value)) for value in compared if value in ORDINARY)
        if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[0] == "pipeline.kinds":
            module = str(node.module).rpartition(".")[2]
            yield from ((node.lineno, name) for name in (module,) if name in ORDINARY)
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare
        if is_text and NAMED.search(node.value):
            yield node.lineno, node.value
        for name in _names(node):
            if name in CLASSES or NAMED.search(name):
                yield node.lineno, name


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.alias):
        yield node.name
    elif isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg | ast.keyword):
        yield node.arg or ""


def in_text(path: Path) -> Iterator[tuple[int, str]]:
    """The same of a template: every line counts, but for the name of a library's module."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if NAMED.search(line.replace("sklearn.feature_extraction", "")):
            yield number, line.strip()


def named() -> Iterator[str]:
    """``file:line: text`` of every such place."""
    for package in ("schemas", "pipeline", "flows"):
        for path in sorted((ROOT / package).rglob("*")):
            place = path.relative_to(ROOT)
            if place.is_relative_to("pipeline/kinds") or place.is_relative_to("schemas/tasks"):
                continue
            found = {".py": in_code, ".j2": in_text, ".yaml": in_text, ".css": in_text, ".md": in_text}.get(path.suffix)
            for line, text in found(path) if found else ():
                yield f"{place}:{line}: {text}"


if __name__ == "__main__":
    places = list(named())
    sys.stdout.write("".join(f"{place}\n" for place in places) + f"{len(places)} places outside name a kind\n")
