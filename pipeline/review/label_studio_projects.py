"""Finds, creates and identifies the project of a dataset on a Label Studio server.

A line of its description identifies a project as ours: annotators may change its title.
"""

from typing import Any

from pipeline.errors import LabelStudioError
from pipeline.review.label_studio_models import Dated, Made, Project, Projects
from pipeline.review.label_studio_pages import incomplete
from pipeline.review.label_studio_requests import Requests
from pipeline.review.labeling_tasks import PREDICTION_VERSION

_PAGE = 500
_FIELDS = "id,description,label_config,expert_instruction"
_LIST, _OPEN = "cannot list the projects", "cannot open the project"
_TITLE_LENGTHS = (3, 50)
_SETTINGS: dict[str, Any] = {
    # The form shows the instruction; a dialog with it before the first task would swallow the hotkeys.
    "show_instruction": False,
    "show_skip_button": True,
    "show_collab_predictions": True,
    "enable_empty_annotation": True,  # if all targets are optional, an empty form is an answer
    "sampling": "Sequential sampling",
    "model_version": PREDICTION_VERSION,
}


def find_project(requests: Requests, marker: str) -> Project | None:
    """The project that has a marker as a line of its description, the oldest of several."""
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
    found = [project for project in seen.values() if marker in (project.description or "").splitlines()]
    return min(found, key=lambda project: project.project_id, default=None)


def _page(requests: Requests, number: int) -> Projects:
    return requests.ask(_LIST, Projects, lambda sdk: sdk.projects.list(include=_FIELDS, page=number, page_size=_PAGE))


def create_project(requests: Requests, title: str, marker: str, config: str, instruction: str) -> int:
    """Create a project that has a marker as a line of its description, and return its id."""
    shortest, longest = _TITLE_LENGTHS
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


def update_project(requests: Requests, project: Project, config: str, instruction: str) -> None:
    """Update its form and its instruction."""
    if project.label_config != config or project.expert_instruction != instruction:
        requests.tell(
            _OPEN,
            lambda sdk: sdk.projects.update(id=project.project_id, label_config=config, expert_instruction=instruction),
        )


def project_identity(requests: Requests, project: int) -> str:
    """What tells this project from all others on all servers, even after the address has changed."""
    found = requests.ask(_OPEN, Dated, lambda sdk: sdk.projects.get(id=project))
    return f"{project}@{found.created_at.isoformat()}"
