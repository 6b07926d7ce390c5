"""The linear model as a few lines that anybody can run: what to use where it is enough."""

from importlib.resources import files

from pipeline.ladder.assessment import Assessment
from pipeline.ladder.linear_fields import is_closed
from schemas.arms_section import ArmName
from schemas.field import TargetField
from schemas.task import Role, Task
from schemas.task_fields import turn_fields

_SECTION = files("pipeline.ladder").joinpath("linear_recipe.md").read_text(encoding="utf-8")


def linear_recipe(task: type[Task], assessment: Assessment) -> str:
    """A section of a card; empty if there is no such model, or the task is not a single choice from texts."""
    arm, targets = assessment.ladder.arm(ArmName.LINEAR.value), task.task_targets()
    if arm is None or not _is_simple(task, targets):
        return ""
    [field] = targets
    strength = arm.settings.get(f"C of {field.name}", 1.0)
    return _SECTION.format(inputs=task.task_names(Role.INPUT), field=field.name, strength=strength)


def _is_simple(task: type[Task], targets: tuple[TargetField, ...]) -> bool:
    return len(targets) == 1 and is_closed(targets[0]) and not targets[0].is_label_set and not turn_fields(task)
