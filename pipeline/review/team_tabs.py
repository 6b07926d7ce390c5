"""Tabs of the Data Manager for a team: all tasks, and the open ones of each annotator and of nobody in particular.

*Label Tasks As Displayed* offers a tab's tasks in turn. Label Studio opens the first tab where an address names none:
all tasks come first, so that nobody takes another's part for the whole project.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.review.form import ASSIGNED, CHANGES, PUSH_KEY, RECORD_ID, SEAT
from pipeline.review.label_studio_models import Tab
from pipeline.review.label_studio_pages import count_tasks
from pipeline.review.label_studio_requests import Requests
from pipeline.review.label_studio_tabs import ensure_tab, filters_of, put_first, remove_tab, tabs
from pipeline.review.offered_answers import CANDIDATES

_HIDDEN = (
    *("inner_id", "completed_at", "total_annotations", "cancelled_annotations", "total_predictions", "annotators"),
    *("annotations_results", "annotations_ids", "predictions_score", "predictions_model_versions", "avg_lead_time"),
    *("predictions_results", "file_upload", "storage_filename", "created_at", "updated_at", "updated_by", "comments"),
    *("draft_exists", *(f"data.{name}" for name in (ASSIGNED, CANDIDATES, CHANGES, PUSH_KEY, RECORD_ID, SEAT))),
)
"""Columns that tell an annotator nothing: without them, the text and why it is asked are in sight."""
_FOR_LEADS = {"total_annotations", "cancelled_annotations", "annotators", f"data.{ASSIGNED}"}

ALL_TASKS, ANYBODY = "All tasks", "anybody"
"""Titles of tabs; those of annotators are their addresses."""


@dataclass(frozen=True)
class TeamTabs:
    """The ids of a team's tabs."""

    all_tasks: int
    own: dict[str, int]
    """By e-mail address, and those of tasks that are for anybody, if there are any, under that name."""


def set_tabs(requests: Requests, project: int, annotators: Sequence[str], *, for_anybody: bool) -> TeamTabs:
    """Set the tabs of a team; those of who is no longer named are removed.

    Args:
        requests: of a client.
        project: its id.
        annotators: their e-mail addresses.
        for_anybody: whether there are tasks that are for none of them.

    Raises:
        Unreachable: the server does not answer.
        LabelStudioError: it refuses.
    """
    hidden = [name for name in _HIDDEN if name not in _FOR_LEADS]
    all_tasks = ensure_tab(requests, project, ALL_TASKS, {}, hidden=hidden)
    for tab in tabs(requests, project):
        if tab.title not in annotators and tab.filters == filters_of({ASSIGNED: tab.title}, only_open=True):
            remove_tab(requests, tab.tab_id)
    titles = {**{name: name for name in annotators}, **({ANYBODY: ""} if for_anybody else {})}
    own = {
        title: ensure_tab(requests, project, title, {ASSIGNED: whose}, only_open=True, hidden=_HIDDEN)
        for title, whose in titles.items()
    }
    put_first(requests, project, all_tasks)
    return TeamTabs(all_tasks, own)


def tab_of_all(shown: Iterable[Tab]) -> int | None:
    """The tab with all tasks, if a team has one."""
    return min((tab.tab_id for tab in shown if tab.title == ALL_TASKS), default=None)


def parts(requests: Requests, project: int, shown: Iterable[Tab]) -> list[Tab]:
    """The other tabs, without that for anybody while it is empty."""
    nobodys = filters_of({ASSIGNED: ""}, only_open=True)
    return [
        tab
        for tab in shown
        if tab.title != ALL_TASKS
        and (tab.filters != nobodys or count_tasks(requests, project, *nobodys["items"]).total)
    ]
