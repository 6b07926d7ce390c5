"""The project of a task's earlier form: closed once its form cannot be changed to what the task asks now, taken up if
the task is changed back.

Its annotators see no difference: without a word they would go on in a project where no new question comes. What they
answer there is read as before.
"""

from contextlib import suppress

from pipeline.review.label_studio_models import Project
from pipeline.review.label_studio_pages import by_filter, count_tasks
from pipeline.review.label_studio_projects import TITLE_LENGTHS, describe, lines_of, read_project
from pipeline.review.label_studio_requests import Refused, Requests

CLOSED = "Goldleaf sends no more questions to this project, since its task has changed."
"""A line of the description; it shows that the change was told."""
_MARK = " (closed)"
_BEFORE = ("Goldleaf no longer reads this project, since its task asks something else now.", " (no longer read)")
"""The same of earlier versions of Goldleaf."""
_RETIRED = " before"
_WHAT = "cannot mark the earlier project"


def close(requests: Requests, project: int, markers: str) -> int | None:
    """Mark a project as one that is no longer read, and count its open tasks; None if it is marked, gone or another's.

    Args:
        requests: of a client.
        project: its id.
        markers: what the line begins with by which projects of this dataset are recognized.
    """
    try:
        known = read_project(requests, project)
    except Refused:
        return None
    lines = lines_of(known)
    if {CLOSED, _BEFORE[0]} & {*lines} or not any(line.startswith(markers) for line in lines):
        return None
    left = count_tasks(requests, project, by_filter("total_annotations", "equal", "Number", 0)).total
    # Everything was sent: if the server does not let us mark it, the change is told once more by the next push.
    with suppress(Refused):
        _describe(requests, known, [*lines, CLOSED], known.title[: TITLE_LENGTHS[1] - len(_MARK)] + _MARK)
    return left


def retire(requests: Requests, project: int, markers: str) -> None:
    """Take its markers from a project whose form the server does not let us change, since annotators have used fields
    that the task no longer has: another one takes its place. It is still recognized as the dataset's.
    """
    known = read_project(requests, project)
    describe(requests, known, [line + _RETIRED * line.startswith(markers) for line in lines_of(known)])


def take_up(requests: Requests, project: int, title: str) -> None:
    """Remove that mark, if there is one; ``title`` is what it was if it had to be cut."""
    known = read_project(requests, project)
    lines = lines_of(known)
    if {CLOSED, _BEFORE[0]} & {*lines}:
        own, whole = known.title.removesuffix(_MARK).removesuffix(_BEFORE[1]), title[: TITLE_LENGTHS[1]]
        kept = [line for line in lines if line not in (CLOSED, _BEFORE[0])]
        _describe(requests, known, kept, whole if whole.startswith(own) else own)


def _describe(requests: Requests, project: Project, lines: list[str], title: str) -> None:
    text, number = "\n".join(lines), project.project_id
    requests.tell(_WHAT, lambda sdk: sdk.projects.update(id=number, title=title, description=text))
