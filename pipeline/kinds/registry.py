"""All kinds, and which of them a task is."""

import functools

from pipeline.errors import ConfigError
from pipeline.kinds.chat import Chat
from pipeline.kinds.classification import Classification
from pipeline.kinds.extraction import Extraction
from pipeline.kinds.interface import Kind
from pipeline.kinds.multi_label import MultiLabel
from pipeline.kinds.rewriting import Rewriting
from schemas.task import Task

KINDS: tuple[Kind, ...] = (Classification(), MultiLabel(), Chat(), Rewriting(), Extraction())
"""In the order in which they are asked whether a task is theirs."""
KIND_NAMES = tuple(kind.name for kind in KINDS)


@functools.cache
def kind_of(task: type[Task]) -> Kind:
    """The kind that the task names, else the first that claims its targets.

    Raises:
        ConfigError: there is no kind of the name, or its tasks have other targets.
    """
    name, targets = task.task_kind(), task.task_targets()
    if not name:
        return next(kind for kind in KINDS if kind.claims(targets))
    kind = kind_named(name)
    if not kind.accepts(targets):
        able = ", ".join(kind.name for kind in KINDS if kind.accepts(targets))
        raise ConfigError(
            f"{task.__name__}.task_kind names '{name}', which does not work with its targets "
            f"{', '.join(field.name for field in targets)}; name {able}, or remove task_kind"
        )
    return kind


def kind_named(name: str) -> Kind:
    """The kind of this name.

    Raises:
        ConfigError: there is none.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise ConfigError(f"there is no kind of task called '{name}'; use {', '.join(KIND_NAMES)}")
