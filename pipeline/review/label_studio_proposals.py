"""Looks tasks up, and gives those their proposals that the server has taken without them.

On SQLite, a server that finds its database locked tries an import again, by then without the predictions, and answers
as if all were well. Sent by themselves, predictions are added to those that are there: ask before every attempt.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import LabelStudioError, Unreachable
from pipeline.review.form import PUSH_KEY
from pipeline.review.label_studio_batches import LOOKUP, batches
from pipeline.review.label_studio_models import PredictedTask, Tasks
from pipeline.review.label_studio_pages import by_filter, list_tasks
from pipeline.review.label_studio_requests import Refused, Requests, raw

ATTEMPTS = 3
PAUSE = 0.2
_WHAT = "cannot send proposals"
_PREDICTED = "id,data,predictions"


def proposals(task: bytes) -> list[dict[str, Any]]:
    """The predictions of a task as it is imported."""
    return list(json.loads(task).get("predictions", ()))


def look_up(requests: Requests, project: int, tasks: Mapping[str, bytes]) -> dict[str, int]:
    """The ids of those tasks that the server has, the lowest of each push key; they have their proposals then.

    Args:
        requests: of a client.
        project: its id.
        tasks: as they are imported, by push key.
    """
    there = _there(requests, project, list(tasks))
    ids = {key: one.task_id for key, one in there.items()}
    fault: Unreachable | Refused | None = None
    for attempt in range(ATTEMPTS):
        bare = [key for key, one in there.items() if not one.predictions and proposals(tasks[key])]
        if not bare:
            return ids
        time.sleep(PAUSE * attempt)
        sent = [{"task": ids[key], **one} for key in bare for one in proposals(tasks[key])]
        try:
            call = raw("POST", f"api/projects/{project}/import/predictions", sent)
            requests.tell(_WHAT, call, patience=requests.limits.imports)
        except (Unreachable, Refused) as error:
            if isinstance(error, Refused) and error.status < 500:
                raise
            fault = error
        there = _there(requests, project, bare)
    if any(not one.predictions for one in there.values()):
        raise fault or LabelStudioError(f"{_WHAT}: {requests.url} does not store them; see its log")
    return ids


def _there(requests: Requests, project: int, keys: Sequence[str]) -> dict[str, PredictedTask]:
    found: dict[str, PredictedTask] = {}
    for part in batches(keys, LOOKUP):
        ours = by_filter(f"data.{PUSH_KEY}", "in_list", "List", part)
        for task in list_tasks(requests, project, Tasks[PredictedTask], _PREDICTED, ours, fields="all"):
            if task.push_key in part:
                found.setdefault(task.push_key, task)
    return found


def bare(requests: Requests, project: int) -> set[str]:
    """The push keys of the tasks without a proposal, whether they should have one or not."""
    # The server's own count may be behind.
    few = by_filter("total_predictions", "equal", "Number", 0)
    found = list_tasks(requests, project, Tasks[PredictedTask], _PREDICTED, few, fields="all")
    return {task.push_key for task in found if task.push_key and not task.predictions}
