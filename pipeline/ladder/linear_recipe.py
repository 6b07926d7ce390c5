"""The linear model as a few lines that anybody can run: what to use where it is enough, or beside the adapter."""

from importlib.resources import files

from pipeline.ladder.assessment import Assessment
from pipeline.ladder.linear_fields import EMBEDDED, IN_TEXTS, NO_WORDS, is_closed
from pipeline.ladder.results import ArmResult
from pipeline.text.wording import counted
from schemas.arms_section import ArmName
from schemas.field import TargetField
from schemas.task import Role, Task
from schemas.task_fields import turn_fields

_SECTION, _TOGETHER, _FITTED = (
    files("pipeline.ladder").joinpath(name).read_text(encoding="utf-8")
    for name in ("linear_recipe.md", "adapter_and_linear.md", "classical_model.md")
)


def linear_recipe(task: type[Task], assessment: Assessment) -> str:
    """Sections of a card; empty if there is no such model."""
    arm, targets = assessment.ladder.arm(ArmName.LINEAR.value), task.task_targets()
    if arm is None:
        return ""
    if not _is_simple(task, targets) or arm.settings.keys() & {NO_WORDS, IN_TEXTS, EMBEDDED}:
        return _FITTED.format(inputs=dict.fromkeys(task.task_names(Role.INPUT), "..."))
    [field] = targets
    strength = arm.settings.get(f"C of {field.name}", 1.0)
    values = {"inputs": task.task_names(Role.INPUT), "field": field.name, "strength": strength}
    alone = _SECTION.format(**values, asked=_asked(arm, assessment))
    both = assessment.ladder.arm(ArmName.ADAPTER_LINEAR.value)
    # Of two choices a linear model has a single margin.
    if both is None or field.optional or len(field.choices) < 3:
        return alone
    return alone + _TOGETHER.format(
        base=assessment.base_model,
        field=field.name,
        strength=both.settings["C"],
        scale=both.settings["scale of margins"],
    )


def _asked(arm: ArmResult, assessment: Assessment) -> str:
    """Why that is another score than the table's, where it is."""
    count = arm.evaluation.questions
    if count == assessment.test_rows:
        return ""
    of_all = f"the {counted(count, 'question')} that the arms were asked, of {assessment.test_rows:,}"
    why = " (`finetune.eval_rows`)" if assessment.held_back else ""
    return f"; the table's score, {arm.score}, is of {of_all}{why}"


def _is_simple(task: type[Task], targets: tuple[TargetField, ...]) -> bool:
    return len(targets) == 1 and is_closed(targets[0]) and not targets[0].is_label_set and not turn_fields(task)
