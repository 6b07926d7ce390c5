"""The project of a task's earlier form: closed once the task asks something else, taken up if it is changed back.

Its annotators see no difference: without a word they would go on in a project that nobody reads.
"""

from collections.abc import Callable
from contextlib import suppress

from pipeline.review.label_studio_models import Project
from pipeline.review.label_studio_pages import by_filter, count_tasks
from pipeline.review.label_studio_projects import TITLE_LENGTHS, read_project
from pipeline.review.label_studio_requests import Refused, Requests

CLOSED = "Goldleaf no longer reads this project, since its task asks something else now."
"""A line of the description; it shows that the change was told."""
_MARK = " (no longer read)"
_WHAT = "cannot mark the earlier project"


def close(requests: Requests, project: int, markers: str, before: Callable[[], None]) -> int | None:
    """Mark a project as one that is no longer read, and count its open tasks; None if it is marked, gone or another's.

    Args:
        requests: of a client.
        project: its id.
        markers: what the line begins with by which projects of this dataset are recognized.
        before: called before the request that changes something.
    """
    try:
        known = read_project(requests, project)
    except Refused:
        return None
    lines = (known.description or "").splitlines()
    if CLOSED in lines or not any(line.startswith(markers) for line in lines):
        return None
    left = count_tasks(requests, project, by_filter("total_annotations", "equal", "Number", 0)).total
    before()
    # Everything was sent: if the server does not let us mark it, the change is told once more by the next push.
    with suppress(Refused):
        _describe(requests, known, [*lines, CLOSED], known.title[: TITLE_LENGTHS[1] - len(_MARK)] + _MARK)
    return left


def take_up(requests: Requests, project: int, title: str, before: Callable[[], None]) -> None:
    """Remove that mark, if there is one; ``title`` is what it was if it had to be cut."""
    known = read_project(requests, project)
    lines = (known.description or "").splitlines()
    if CLOSED in lines:
        before()
        own, whole = known.title.removesuffix(_MARK), title[: TITLE_LENGTHS[1]]
        kept = [line for line in lines if line != CLOSED]
        _describe(requests, known, kept, whole if whole.startswith(own) else own)


def _describe(requests: Requests, project: Project, lines: list[str], title: str) -> None:
    text, number = "\n".join(lines), project.project_id
    requests.tell(_WHAT, lambda sdk: sdk.projects.update(id=number, title=title, description=text))
