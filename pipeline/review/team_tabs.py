"""A tab of the Data Manager for each annotator: their open tasks, which *Label Tasks As Displayed* offers in turn."""

from collections.abc import Sequence

from pipeline.review.form import ASSIGNED, CHANGES, PUSH_KEY, RECORD_ID, SEAT
from pipeline.review.label_studio_requests import Requests
from pipeline.review.label_studio_tabs import ensure_tab, filters_of, remove_tab, tabs
from pipeline.review.offered_answers import CANDIDATES

_HIDDEN = (
    *("inner_id", "completed_at", "total_annotations", "cancelled_annotations", "total_predictions", "annotators"),
    *("annotations_results", "annotations_ids", "predictions_score", "predictions_model_versions", "avg_lead_time"),
    *("predictions_results", "file_upload", "storage_filename", "created_at", "updated_at", "updated_by", "comments"),
    *("draft_exists", *(f"data.{name}" for name in (ASSIGNED, CANDIDATES, CHANGES, PUSH_KEY, RECORD_ID, SEAT))),
)
"""Columns that tell an annotator nothing: without them, the text and why it is asked are in sight."""


def set_tabs(requests: Requests, project: int, annotators: Sequence[str]) -> dict[str, int]:
    """The ids of the annotators' tabs by e-mail address; tabs of who is no longer named are removed.

    Raises:
        Unreachable: the server does not answer.
        LabelStudioError: it refuses.
    """
    for tab in tabs(requests, project):
        if tab.title not in annotators and tab.filters == filters_of({ASSIGNED: tab.title}, only_open=True):
            remove_tab(requests, tab.tab_id)
    return {
        name: ensure_tab(requests, project, name, {ASSIGNED: name}, only_open=True, hidden=_HIDDEN)
        for name in annotators
    }
