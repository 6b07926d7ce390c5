"""Loads a dataset.yaml and the task it names; every mistake is named with its file and line."""

import hashlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.errors import ConfigError
from schemas.dataset import Dataset
from schemas.task import Task, TaskDefinitionError


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset's configuration, its task, and the file they came from."""

    path: Path
    config: Dataset
    task: type[Task]

    @property
    def folder(self) -> Path:
        """Where relative paths in the file start."""
        return self.path.parent

    @property
    def config_digest(self) -> str:
        """16 hex digits over the whole configuration and the task's shape."""
        text = json.dumps([self.config.model_dump(mode="json"), self.task.task_digest()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_dataset_file(path: Path) -> LoadedDataset:
    """Read and check a dataset.yaml, and import its task.

    Raises:
        ConfigError: the file is missing, no YAML, or has a wrong key or value (all of them are
            listed, each with its line); the task cannot be loaded or used.
    """
    path = path.resolve()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        hint = "pass the path of a dataset.yaml, or make one with `goldleaf init`"
        raise ConfigError(f"{path} cannot be read ({error.strerror}); {hint}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: no valid YAML: {getattr(error, 'problem', error)}") from error
    if node is None or not isinstance(values, dict):
        raise ConfigError(f"{path}: a dataset.yaml holds keys such as name, task and sources; this one does not")
    if doubled := next(_doubled_keys(node), None):
        raise ConfigError(f"{path}:{doubled.start_mark.line + 1}: '{doubled.value}' stands here twice; keep one")
    try:
        config = Dataset.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_messages(path, node, error))) from error
    return LoadedDataset(path, config, load_task(config.task, path.parent))


def load_task(reference: str, folder: Path) -> type[Task]:
    """Import ``path/to/file.py:Class`` (relative to ``folder``) or ``module:Class``.

    Raises:
        ConfigError: nothing is there, it does not import, or it is no usable task.
    """
    location, _, name = reference.rpartition(":")
    if not location or not name.isidentifier():
        raise ConfigError(f"task '{reference}' should read path/to/file.py:Class or module:Class")
    module = _load_file(folder / location) if location.endswith(".py") else _load_module(location)
    task = getattr(module, name, None)
    if task is None:
        found = ", ".join(sorted(_tasks_in(module))) or "none"
        raise ConfigError(f"{location} has no class '{name}'; tasks in it: {found}")
    if not (isinstance(task, type) and issubclass(task, Task)):
        raise ConfigError(f"{location}:{name} is no task; derive it from schemas.task.Task")
    try:
        task.task_check()
    except TaskDefinitionError as error:
        raise ConfigError(f"{location}: {error}") from error
    return task


def _load_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise ConfigError(f"there is no task file {path}")
    # One module name per path: two datasets may both keep their task in a task.py.
    name = f"goldleaf_task_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    # Registered first: pydantic looks the module up to resolve postponed annotations.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        raise ConfigError(f"task file {path} does not import: {type(error).__name__}: {error}") from error
    return module


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"task module '{name}' does not import: {error}") from error


def _tasks_in(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        if isinstance(value, type) and issubclass(value, Task) and value is not Task:
            yield name


def _messages(path: Path, root: yaml.Node, error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False):
        line = _node_at(root, item["loc"]).start_mark.line + 1
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            text = f"'{item['loc'][-1]}' is no known key; known are: {', '.join(_known_keys(item['loc'][:-1]))}"
        elif item["type"] == "missing":
            text = f"'{where}' is missing; it is required"
        else:
            text = f"{where}: {item['msg'].removeprefix('Value error, ')}" if where else item["msg"]
            text = text.removeprefix("Value error, ")
        yield f"{path}:{line}: {text}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    model: Any = Dataset
    for part in loc:
        if isinstance(part, str) and hasattr(model, "model_fields") and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    return sorted(getattr(model, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    found = [_model_in(arg) for arg in getattr(annotation, "__args__", ())]
    return next((model for model in found if model is not None), None)


def _node_at(node: yaml.Node, loc: tuple[int | str, ...]) -> yaml.Node:
    """The node of the deepest part of a location that the file has."""
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            match = [(key, value) for key, value in node.value if key.value == part]
            if not match:
                return node
            key, value = match[0]
            # A scalar's own line is its key's line, also for block scalars.
            node = key if isinstance(value, yaml.ScalarNode) else value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
    return node


def _doubled_keys(node: yaml.Node) -> Iterator[yaml.Node]:
    """Keys that stand twice in one mapping; YAML would silently let the last one win."""
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _doubled_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _doubled_keys(item)
