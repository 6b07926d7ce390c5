"""Creates and updates the tabs of a project's Data Manager: each shows some of its tasks, such as one annotator's part.

*Label Tasks As Displayed* in a tab offers only its tasks. Tabs are shared by all users of a project, and Label Studio
deletes them when it deletes a project's last task, so set them again after every push.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.review.label_studio_models import Made, Tab
from pipeline.review.label_studio_pages import by_filter
from pipeline.review.label_studio_requests import Requests

_WHAT = "cannot set the tabs of the project"


def ensure_tab(
    requests: Requests,
    project: int,
    title: str,
    data: Mapping[str, str],
    *,
    only_open: bool = False,
    hidden: Sequence[str] = (),
) -> int:
    """The id of the tab with a title, whose tasks have all these values in their data; it is created if there is none.

    A person may have changed its columns, which stay; its filters are set again. Of several tabs with the title, the
    oldest is meant.

    Args:
        requests: of a client.
        project: its id.
        title: identifies the tab.
        data: values by key of a task's data, an empty one for texts that are no e-mail address; none: all tasks.
        only_open: show only those without an annotation; a skip is none.
        hidden: the columns that a new tab does not show; none: as Label Studio likes.

    Raises:
        Unreachable: the server does not answer.
        LabelStudioError: it refuses.
    """
    filters = filters_of(data, only_open=only_open)
    known = [tab for tab in tabs(requests, project) if tab.title == title]
    found = min(known, key=lambda tab: tab.tab_id, default=None)
    if found is None:
        new: Any = {"title": title, "type": "list", "target": "tasks", "filters": filters}
        if hidden:
            columns = [f"tasks:{name}" for name in hidden]
            new["hiddenColumns"] = {"explore": columns, "labeling": columns}
        return requests.ask(_WHAT, Made, lambda sdk: sdk.views.create(project=project, data=new)).made_id
    if found.filters != filters:
        changed: Any = {**found.data, "filters": filters}
        requests.tell(_WHAT, lambda sdk: sdk.views.update(id=str(found.tab_id), project=project, data=changed))
    return found.tab_id


def filters_of(data: Mapping[str, str], *, only_open: bool = False) -> dict[str, Any]:
    """The filters of such a tab."""
    # Not by "empty": what that finds depends on the value of the project's first task. And the page takes a filter
    # without a value for one that nobody has filled in.
    conditions = [
        by_filter(f"data.{key}", *(("equal", "String", value) if value else ("not_contains", "String", "@")))
        for key, value in data.items()
    ]
    if only_open:
        conditions.append(by_filter("total_annotations", "equal", "Number", 0))
    return {"conjunction": "and", "items": conditions}


def tabs(requests: Requests, project: int) -> list[Tab]:
    """All tabs of a project, in their order."""
    return requests.ask(_WHAT, list[Tab], lambda sdk: sdk.views.list(project=project))


def remove_tab(requests: Requests, tab: int) -> None:
    """Delete a tab; its tasks stay."""
    requests.tell(_WHAT, lambda sdk: sdk.views.delete(id=str(tab)))


def put_first(requests: Requests, project: int, tab: int) -> None:
    """Make a tab the first one, which Label Studio opens where an address names none."""
    others = [one.tab_id for one in tabs(requests, project)]
    if others[:1] != [tab]:
        order = [tab, *(one for one in others if one != tab)]
        requests.tell(_WHAT, lambda sdk: sdk.views.update_order(project=project, ids=order))
