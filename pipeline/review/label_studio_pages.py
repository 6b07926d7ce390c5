"""Lists the tasks of a Label Studio project page by page, and notices a truncated list."""

import itertools
import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pipeline.errors import LabelStudioError
from pipeline.review.label_studio_models import Counted, ListedTask, Tasks
from pipeline.review.label_studio_requests import Requests, TooLarge

PAGE = 500
_SMALLER = 8
"""A page that is too large is requested again with this many times fewer tasks."""
_TRIES = 3
_WHAT = "cannot list tasks"

T = TypeVar("T", bound=ListedTask)


def list_tasks(
    requests: Requests,
    project: int,
    kind: type[Tasks[T]],
    include: str,
    *filters: dict[str, Any],
    fields: str = "task_only",
    after: int = 0,
) -> Iterator[T]:
    """All tasks of a project that match the filters, with ids above ``after``, in the order of their ids.

    Each page starts after the last id, so that tasks added or deleted meanwhile shift nothing.
    """
    last, size = after, PAGE
    while True:
        chosen = {"conjunction": "and", "items": [by_filter("id", "greater", "Number", last), *filters]}
        query = json.dumps({"filters": chosen, "ordering": ["tasks:id"]}, separators=(",", ":"))
        asked = {"project": project, "fields": fields, "include": include, "query": query, "page": 1}
        try:
            page = _page(requests, kind, asked | {"page_size": size}, last)
        except TooLarge:
            if size == 1:
                raise
            size = max(1, size // _SMALLER)
            continue
        yield from page.tasks
        if len(page.tasks) == page.total:
            return
        last = page.tasks[-1].task_id


def _page(requests: Requests, kind: type[Tasks[T]], query: dict[str, Any], last: int) -> Tasks[T]:
    """The first tasks after an id; a missing one would seem deleted, with its answers."""
    for _ in range(_TRIES):
        page = requests.ask(_WHAT, kind, lambda sdk: sdk.tasks.list(**query))
        ids = [last, *(task.task_id for task in page.tasks)]
        if any(one >= other for one, other in itertools.pairwise(ids)):
            raise LabelStudioError(f"{_WHAT}: {requests.url} sends tasks other than those requested; see its log")
        if len(page.tasks) == min(page.total, query["page_size"]):
            return page
        # Perhaps some were deleted while the server counted.
    raise incomplete(_WHAT, requests.url, page.total, len(page.tasks))


def count_tasks(requests: Requests, project: int, *filters: dict[str, Any]) -> Counted:
    """How many tasks match the filters, and how many annotations they have."""
    query = json.dumps({"filters": {"conjunction": "and", "items": filters}}, separators=(",", ":"))
    asked = {"project": project, "fields": "task_only", "include": "id", "query": query, "page": 1, "page_size": 1}
    return requests.ask(_WHAT, Counted, lambda sdk: sdk.tasks.list(**asked))


def by_filter(name: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    """A condition that tasks must meet, in the server's format."""
    return {"filter": f"filter:tasks:{name}", "operator": operator, "type": kind, "value": value}


def incomplete(what: str, url: str, total: int, sent: int) -> LabelStudioError:
    """The error for an incomplete list."""
    return LabelStudioError(f"{what}: {url} reports {total} but sends {sent}; try again, or see its log")
