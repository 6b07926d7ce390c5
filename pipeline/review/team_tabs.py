"""A tab of the Data Manager for each annotator: their open tasks, which *Label Tasks As Displayed* offers in turn."""

from collections.abc import Sequence

from pipeline.review.form import ASSIGNED
from pipeline.review.label_studio_requests import Requests
from pipeline.review.label_studio_tabs import ensure_tab, filters_of, remove_tab, tabs


def set_tabs(requests: Requests, project: int, annotators: Sequence[str]) -> dict[str, int]:
    """The ids of the annotators' tabs by e-mail address; tabs of who is no longer named are removed.

    Raises:
        Unreachable: the server does not answer.
        LabelStudioError: it refuses.
    """
    for tab in tabs(requests, project):
        if tab.title not in annotators and tab.filters == filters_of({ASSIGNED: tab.title}, only_open=True):
            remove_tab(requests, tab.tab_id)
    return {name: ensure_tab(requests, project, name, {ASSIGNED: name}, only_open=True) for name in annotators}
