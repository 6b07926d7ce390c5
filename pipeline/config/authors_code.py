"""The code of a task's authors: its own module, and those that it uses of theirs."""

import ast
import functools
import inspect
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

_OURS = {"schemas", "pipeline", "flows"}
_INSTALLED = {"site-packages", "dist-packages"}


def code_of(task: type) -> str:
    """The source of the task's module, and of all others of its authors that it uses, directly or through them.

    Those of installed packages, of the standard library and of Goldleaf are left out.
    """
    own = inspect.getmodule(task)
    source = inspect.getsource(own or task)
    found: dict[str, str] = {}
    waiting = [*(base.__module__ for base in task.__mro__), *(_imported(source, own.__package__) if own else ())]
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        if module is None or module is own or name in found or not _is_theirs(name, module):
            continue
        found[name] = inspect.getsource(module)
        waiting += _imported(found[name], module.__package__)
    return "".join([source, *(found[name] for name in sorted(found))])


@functools.lru_cache(maxsize=64)
def _imported(source: str, package: str | None) -> tuple[str, ...]:
    """The names of all modules that some code may import, at its top or within a function."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            # Of `from . import name`, as of others, the name may be a module.
            above = (package or "").split(".")[: -(node.level - 1) or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{one.name}" for one in node.names)]
    return tuple(names)


def _is_theirs(name: str, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if name.partition(".")[0] in _OURS or not file or not file.endswith(".py"):
        return False
    path, standard = Path(file), Path(sysconfig.get_path("stdlib"))
    return not path.is_relative_to(standard) and not _INSTALLED & set(path.parts)
