"""Loads a dataset.yaml and the task it names; every mistake is reported with its file and line."""

import hashlib
import importlib
import importlib.machinery
import importlib.util
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import phonenumbers
import yaml
from pydantic import BaseModel, ValidationError

from pipeline.config.authors_code import code_of
from pipeline.config.mistakes import messages, node_at
from pipeline.config.plain_yaml import PlainYamlError, line_of, read_yaml
from pipeline.config.task_code import guard
from pipeline.errors import ConfigError, GoldleafError
from pipeline.kinds.registry import kind_of
from pipeline.state.atomic import is_file, is_folder, text_of
from pipeline.text.normalize import normalize_text
from schemas.arms_section import StatedArm
from schemas.dataset import Dataset, Suggest
from schemas.run_summary import CurateSummary
from schemas.schedule_section import Schedules
from schemas.task import Task, TaskDefinitionError
from schemas.user_code_errors import described, in_a_line, no_json, own, writable

_SHOWN_MISTAKES = 10
TASK = "task"
"""The key of the task, in ``LoadedDataset.curation_parts`` also of its code."""
_SECRETS: Any = {"__all__": {"auth", "headers"}}
_LATER: Any = {
    # Where secrets are, and when a run stops; the rows are the same.
    "sources": {"__all__": {"auth", "headers", "most_withdrawn", "most_unreadable"}},
    "decontaminate": {"against": _SECRETS},
    "finetune": True,
    "arms": True,
    "verdict": True,
    "release": True,
    "engine": True,
    "schedules": True,
    "review": {"guidelines"},
    # Which rows a model is asked about, how, and what that may cost; what it answers is in the ledger.
    "suggest": set(Suggest.model_fields) - {"model", "adapter", "examples", "max_tokens", "options"},
}
"""The configuration that no decision of a curate run depends on."""


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset's configuration and task, and the file they came from."""

    path: Path
    config: Dataset
    task: type[Task]

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the file start from."""
        return self.path.parent

    @property
    def config_digest(self) -> str:
        """16 hex digits over the whole configuration and the task's schema."""
        text = json.dumps([self.config.model_dump(mode="json"), self.task.task_digest()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def guidelines(self) -> str:
        """The text of ``review.guidelines``; empty if there are none.

        Raises:
            ConfigError: the file cannot be read.
        """
        name = self.config.review.guidelines
        if name is None:
            return ""
        try:
            return text_of(self.folder / name)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the guidelines {self.folder / name} cannot be read ({in_a_line(str(error))}); correct "
                "review.guidelines, which names a Markdown file in UTF-8"
            ) from error

    def place_of(self, *key: str | int) -> str:
        """Where a key is, as ``file:line``; if the file does not have it, where the innermost section around it is."""
        root, _ = _parse(self.path, _read(self.path))
        return f"{self.path}:{line_of(node_at(root, key))}"

    def has_changed_since(self, curated: CurateSummary) -> bool:
        """Whether the file or its task has changed since a curate run used it."""
        return curated.curation != self.curation_digest

    @property
    def curation_digest(self) -> str:
        """16 hex digits over all that decisions depend on: the configuration, except what applies later, and the task.

        The task's code is included: it makes the prompts and checks.
        """
        values = self.config.model_dump(mode="json", exclude=_LATER)
        text = json.dumps([values, *self.task_code], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def curation_parts(self) -> dict[str, str]:
        """The same for each key of the configuration, and for the task (``TASK``): to say what has changed."""
        values: dict[str, object] = self.config.model_dump(mode="json", exclude=_LATER)
        texts = {key: json.dumps(value, sort_keys=True) for key, value in values.items() if key != TASK}
        texts[TASK] = json.dumps([values.get(TASK), *self.task_code])
        return {key: hashlib.sha256(text.encode()).hexdigest()[:16] for key, text in texts.items()}

    @property
    def task_code(self) -> tuple[str, str, str]:
        """What changes with the task: the digest of its schema, its kind, the code that makes prompts and checks."""
        return self.task.task_digest(), kind_of(self.task).name, code_of(self.task)

    def __reduce__(self) -> "tuple[Callable[[Path, str], LoadedDataset], tuple[Path, str]]":
        # A task that was loaded from a file is in no module that another process could import.
        return _load_again, (self.path, self.config_digest)


def _load_again(path: Path, config_digest: str) -> LoadedDataset:
    """What a worker process receives instead of a pickled dataset."""
    dataset = load_dataset_file(path)
    if dataset.config_digest != config_digest:
        raise ConfigError(f"{path} or its task was changed while a run was using it; run it again")
    return dataset


def load_dataset_file(path: Path) -> LoadedDataset:
    """Read and check a dataset.yaml, and import its task.

    Raises:
        ConfigError: the file is missing, not YAML, or has a wrong key or value (all of them are
            listed, each with its line); the task cannot be loaded or used.
    """
    path = _absolute(path)
    if is_folder(path):
        path /= "dataset.yaml"
    root, config = _checked(path)
    try:
        key: tuple[str | int, ...] = ("screen", "phone_regions")
        _check_regions(config.screen.phone_regions)
        key = ("task",)
        task = load_task(config.task, path.parent)
        _check_choices(task, config)
        key = ("doubts", "off")
        _check_rules(config.doubts.off, task)
        for place, score in _given_scores(config):
            key = place
            _check_score(score, task)
        if "on_conflict" not in config.model_fields_set:
            config = config.model_copy(update={"on_conflict": kind_of(task).on_conflict})
        for place, fields in _field_maps(config):
            key = place
            _check_fields(fields, task)
        key = ("review", "guidelines")
        dataset = LoadedDataset(path, config, task)
        _ = dataset.guidelines
    except ConfigError as error:
        raise ConfigError(f"{path}:{line_of(node_at(root, key))}: {error}") from error
    return dataset


def _checked(path: Path) -> tuple[yaml.Node, Dataset]:
    root, values = _parse(path, _read(path))
    try:
        return root, Dataset.model_validate(values)
    except ValidationError as error:
        lines = list(itertools.islice(messages(path, root, error, Dataset), _SHOWN_MISTAKES))
        more = error.error_count() - len(lines)
        raise ConfigError("\n".join([*lines, *([f"… and {more:,} more mistakes"] if more else [])])) from error


def check_without_code(path: Path) -> None:
    """Check a dataset.yaml, and that its task's file is there, without importing it; raises ``ConfigError``."""
    root, config = _checked(path)
    file = path.parent / config.task.rpartition(":")[0]
    if file.suffix == ".py" and not is_file(file):
        raise ConfigError(f"{path}:{line_of(node_at(root, (TASK,)))}: {file} is gone; restore it, or correct task")


def name_in(path: Path) -> str:
    """The dataset's name, without a look at the rest of the file; its folder's if the file cannot be read."""
    path = path / "dataset.yaml" if is_folder(path) else path
    try:
        _, values = _parse(path, _read(path))
    except ConfigError:
        values = {}
    return str(values.get("name") or path.absolute().parent.name)


def schedules_in(path: Path) -> Schedules:
    """The section ``schedules`` of a dataset.yaml, whatever else is wrong with it.

    Raises:
        ConfigError: the file cannot be read, or the section is wrong.
    """
    root, values = _parse(path, _read(path))
    try:
        return _Scheduled.model_validate(values).schedules
    except ValidationError as error:
        raise ConfigError("; ".join(messages(path, root, error, Dataset))) from error


class _Scheduled(BaseModel):
    """The one section of a dataset.yaml."""

    schedules: Schedules = Schedules()


def _given_scores(config: Dataset) -> Iterator[tuple[tuple[str | int, ...], float]]:
    """The scores that a dataset.yaml says, with their places."""
    if config.verdict.target is not None:
        yield ("verdict", "target"), config.verdict.target
    for number, arm in enumerate(config.arms):
        if isinstance(arm, StatedArm):
            yield ("arms", number, "stated"), arm.stated


def _check_score(score: float, task: type[Task]) -> None:
    kind = kind_of(task)
    if score > 1 and not kind.judged_by_loss:
        raise ConfigError(
            f"the score is {score:g}, but {kind.metric_title} is at most 1; {score:g}% is {score / 100:g}"
        )


def _check_rules(off: Iterable[str], task: type[Task]) -> None:
    kind = kind_of(task)
    if unknown := [name for name in off if name not in kind.rules]:
        has = f"has the rules {', '.join(kind.rules)}" if kind.rules else "has no rules"
        raise ConfigError(f"there is no rule '{unknown[0]}': {kind.name} {has}; correct doubts.off")


def _absolute(path: Path) -> Path:
    try:
        path = path.resolve()
    except (OSError, RuntimeError) as error:
        # A symlink loop, which Python versions report differently.
        raise ConfigError(
            f"{path} cannot be read ({in_a_line(str(error))}); pass the path of a dataset.yaml"
        ) from error
    if no_json(str(path)):
        raise ConfigError(f"{writable(str(path))} has a name that is not UTF-8, which tables cannot hold; rename it")
    return path


def _read(path: Path) -> str:
    try:
        return text_of(path, "utf-8-sig")
    except OSError as error:
        hint = "pass the path of a dataset.yaml, or create one with `goldleaf init`"
        raise ConfigError(f"{path} cannot be read ({error.strerror}); {hint}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: byte {error.start} is not UTF-8; save the file as UTF-8") from error


def _parse(path: Path, text: str) -> tuple[yaml.Node, dict[Any, Any]]:
    """The file as nodes, which know their line numbers, and as values."""
    try:
        node, values = read_yaml(text)
    except PlainYamlError as error:
        raise ConfigError(f"{path}{f':{error.line}' if error.line else ''}: {error}") from error
    if node is None or not isinstance(values, dict):
        raise ConfigError(f"{path}:1: a dataset.yaml holds keys such as name, task and sources; this one does not")
    return node, values


def load_task(reference: str, folder: Path) -> type[Task]:
    """Import ``path/to/file.py:Class`` (relative to ``folder``) or ``module:Class``.

    Raises:
        ConfigError: nothing is there, it cannot be imported, or it is not a usable task.
    """
    location, _, name = reference.rpartition(":")
    in_file = location.endswith(".py")
    is_module = all(part.isidentifier() for part in location.split("."))
    if not name.isidentifier() or not (in_file or is_module):
        raise ConfigError(f"task '{reference}' must be path/to/file.py:Class or module:Class")
    module = _load_file(folder / location) if in_file else _load_module(location)
    task = getattr(module, name, None)
    if task is None:
        found = ", ".join(sorted(_tasks_in(module))) or "none"
        raise ConfigError(f"{location} has no class '{name}'; tasks in it: {found}")
    if not (isinstance(task, type) and issubclass(task, Task)):
        raise ConfigError(f"{location}:{name} is not a task; derive it from schemas.task.Task")
    try:
        guard(task)
        with _explained(f"{location}: {name} cannot be used", module.__name__):
            task.task_check()
            # Everything that needs no row: an error here must not surface in the middle of a run.
            kind_of(task)
            task.task_answer_form()
    except TaskDefinitionError as error:
        raise ConfigError(f"{location}: {error}") from error
    return task


def _check_choices(task: type[Task], config: Dataset) -> None:
    """Rows are normalized before they are compared with the choices, so choices must be in that form too."""
    for field in task.task_targets():
        for choice in field.choices:
            if (clean := normalize_text(choice, config.normalize)) != choice:
                raise ConfigError(
                    f"target '{field.name}' has the choice {choice!r} ({choice!a}), which rows spell {clean!r} "
                    f"({clean!a}) after normalize.unicode: {config.normalize.unicode}; spell it that way"
                )


def _field_maps(config: Dataset) -> Iterator[tuple[tuple[str | int, ...], dict[str, str]]]:
    for number, source in enumerate(config.sources):
        yield ("sources", number, "fields"), source.fields
    for number, one in enumerate(config.decontaminate.against):
        yield ("decontaminate", "against", number, "fields"), one.fields


def _check_fields(fields: dict[str, str], task: type[Task]) -> None:
    """Mapping a field that the task does not have would have no effect."""
    if unknown := [name for name in fields if name not in task.model_fields]:
        known = ", ".join(task.model_fields)
        raise ConfigError(f"`fields` maps '{unknown[0]}', which {task.__name__} does not have; it has {known}")


def _check_regions(regions: list[str]) -> None:
    if unknown := sorted(set(regions) - set(phonenumbers.SUPPORTED_REGIONS)):
        raise ConfigError(f"screen.phone_regions has '{unknown[0]}', which is not a region; use one such as US or DE")


class _Source(importlib.machinery.SourceFileLoader):
    """Compiles a file each time.

    Compiled code that Python keeps beside a file counts as long as size and second of the last change are the same: it
    would run for another text that is as long and was written in the same second.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _load_file(path: Path) -> ModuleType:
    if "\0" in str(path) or not is_file(path):
        raise ConfigError(f"there is no task file {path}".replace("\0", "\\0"))
    path = path.resolve()
    # One module name per path: two datasets may both keep their task in a task.py. The content is part of
    # it, so that a long-running process notices edits.
    digest = hashlib.sha256(str(path).encode() + b"\0" + path.read_bytes())
    name = f"goldleaf_task_{digest.hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_Source(name, str(path)))
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    # Registered first: pydantic looks the module up to resolve postponed annotations.
    sys.modules[name] = module
    try:
        with _explained(f"task file {path} cannot be imported", name):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _load_module(name: str) -> ModuleType:
    with _explained(f"task module '{name}' cannot be imported", name):
        return importlib.import_module(name)


@contextmanager
def _explained(what: str, module: str) -> Iterator[None]:
    """Report what fails, and the line of the user's own module: its code may raise anything, or exit the program."""
    try:
        yield
    except (GoldleafError, TaskDefinitionError):
        raise
    except BaseException as error:
        raise ConfigError(f"{what}: {described(own(error), module)}") from error


def _tasks_in(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        if isinstance(value, type) and issubclass(value, Task) and value is not Task:
            yield name
