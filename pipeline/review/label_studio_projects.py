"""Finds, creates and identifies the project of a dataset on a Label Studio server, and sets its form.

A line of its description identifies a project as ours: annotators may change its title.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pipeline.errors import LabelStudioError
from pipeline.review.form import ABSENT, NOTHING, shown_keys
from pipeline.review.label_studio_models import Dated, ListedTask, Made, Project, Projects, Tasks
from pipeline.review.label_studio_pages import incomplete, list_tasks
from pipeline.review.label_studio_requests import Requests
from pipeline.review.labeling_tasks import PREDICTION_VERSION

_PAGE = 500
_FIELDS = "id,title,description,label_config,expert_instruction"
_LIST, _OPEN = "cannot list the projects", "cannot open the project"
TITLE_LENGTHS = (3, 50)
_TAG, _SHOWN = re.compile(r"<\w[^>]*>"), 3
"""A control of a form, and how many are shown of what was replaced."""
_SETTINGS: dict[str, Any] = {
    # The form shows the instruction; a dialog with it before the first task would swallow the hotkeys.
    "show_instruction": False,
    "show_skip_button": True,
    "show_collab_predictions": True,
    "enable_empty_annotation": True,  # if all targets are optional, an empty form is an answer
    "sampling": "Sequential sampling",
    "model_version": PREDICTION_VERSION,
}


def find_project(requests: Requests, *markers: str) -> Project | None:
    """The project that has a marker as a line of its description, the oldest of several; of markers the first counts
    that one has.
    """
    projects = sorted(all_projects(requests), key=lambda project: project.project_id)
    found = (one for marker in markers for one in projects if marker in lines_of(one))
    return next(found, None)


def lines_of(project: Project) -> list[str]:
    """The lines of its description."""
    return (project.description or "").splitlines()


def describe(requests: Requests, project: Project, lines: Sequence[str]) -> None:
    """Replace the description of a project."""
    number, text = project.project_id, "\n".join(lines)
    requests.tell(_OPEN, lambda sdk: sdk.projects.update(id=number, description=text))


def all_projects(requests: Requests) -> list[Project]:
    """The projects that the server shows us."""
    number, seen = 1, dict[int, Project]()
    while True:
        page = _page(requests, number)
        fresh = {one.project_id: one for one in page.results if one.project_id not in seen}
        seen |= fresh
        if len(seen) >= page.count:
            break
        if not fresh:
            raise incomplete(_LIST, requests.url, page.count, len(seen))
        number += 1
    return list(seen.values())


def _page(requests: Requests, number: int) -> Projects:
    return requests.ask(_LIST, Projects, lambda sdk: sdk.projects.list(include=_FIELDS, page=number, page_size=_PAGE))


def create_project(requests: Requests, title: str, marker: str, config: str, instruction: str) -> int:
    """Create a project that has a marker as a line of its description, and return its id."""
    shortest, longest = TITLE_LENGTHS
    try:
        made = requests.ask(
            _OPEN,
            Made,
            lambda sdk: sdk.projects.create(
                title=title[:longest].ljust(shortest, "."),
                description=f"Created by Goldleaf, which identifies it by this line:\n{marker}",
                label_config=config,
                expert_instruction=instruction,
                **_SETTINGS,
            ),
        ).made_id
    except LabelStudioError:
        # Perhaps only the response was lost.
        if (known := find_project(requests, marker)) is None:
            raise
        return known.project_id
    oldest = find_project(requests, marker)
    if oldest is None or oldest.project_id >= made:
        return made
    # Another machine has created one at the same moment; nobody has seen ours yet.
    requests.tell(_OPEN, lambda sdk: sdk.projects.delete(id=made))
    return oldest.project_id


def read_project(requests: Requests, project: int) -> Project:
    """A project as it is now."""
    return requests.ask(_OPEN, Project, lambda sdk: sdk.projects.get(id=project))


def show_form(
    requests: Requests,
    project: int,
    config: str,
    instruction: str,
    data: Callable[[str], Mapping[str, Any]] = lambda push_key: {},
) -> str:
    """Update form and instruction of a project, and give tasks of an earlier form what the new one shows.

    Title and settings stay as annotators left them.

    Args:
        requests: of a client.
        project: its id.
        config: the form.
        instruction: HTML.
        data: what is known of a task by its push key, in case its form shows more than it was sent with.

    Returns:
        What the form has now, and what it had instead; empty if it was this one.
    """
    known = read_project(requests, project)
    if known.label_config != config:
        # First, so that a push that ends in between is repeated: the form says whether it was done.
        _complete(requests, project, shown_keys(config), data)
    if known.label_config != config or known.expert_instruction != instruction:
        requests.tell(
            _OPEN, lambda sdk: sdk.projects.update(id=project, label_config=config, expert_instruction=instruction)
        )
    return "" if known.label_config == config else _replaced(known.label_config or "", config)


def _replaced(found: str, config: str) -> str:
    """What was replaced in a form, in words: nobody edits it without a reason."""
    was, now = (Counter(_TAG.findall(text)) for text in (found, config))
    said = "the task has changed, or its form was edited in Label Studio: it has the task's form now"
    for which, tags in (("with", [*(now - was)]), ("without", [*(was - now)])):
        said += f"; {which} {', '.join(tags[:_SHOWN])}{', …' * (len(tags) > _SHOWN)}" if tags else ""
    return said


def _complete(
    requests: Requests,
    project: int,
    shown: Collection[str],
    data: Callable[[str], Mapping[str, Any]],
) -> None:
    """Give each task what its form shows and its data lacks: Label Studio could not submit it."""
    for task in list_tasks(requests, project, Tasks[ListedTask], "id,data"):
        if task.push_key and (lacking := set(shown) - task.data.keys()):
            known = data(task.push_key)
            more = {key: known.get(key, ABSENT.get(key, NOTHING)) for key in lacking}
            update_task(requests, task.task_id, {**more, **task.data})


def update_task(requests: Requests, task: int, data: dict[str, Any]) -> None:
    """Replace a task's data."""
    requests.tell("cannot update tasks", lambda sdk: sdk.tasks.update(id=str(task), data=data))


def project_identity(requests: Requests, project: int) -> str:
    """What tells this project from all others on all servers, even after the address has changed."""
    found = requests.ask(_OPEN, Dated, lambda sdk: sdk.projects.get(id=project))
    return f"{project}@{found.created_at.isoformat()}"
