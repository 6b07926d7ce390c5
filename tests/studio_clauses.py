"""Questions about clauses for a real Label Studio, and what it has of them."""

import datetime
from typing import Any

from flows.local.annotating_client import AnnotatingClient
from pipeline.review.form import labeling_config
from pipeline.review.label_studio_models import PulledTask
from pipeline.review.labeling_tasks import LabelingQuestion, labeling_task, prediction_result
from schemas.task import Task
from schemas.tasks.contract_clause import ContractClause


def new_project(client: AnnotatingClient, task: type[Task], name: str) -> int:
    return client.open_project(name, f"goldleaf:{name}", labeling_config(task), task.task_instruction())


def clauses(*keys: str) -> list[dict[str, Any]]:
    return [
        labeling_task(
            ContractClause,
            LabelingQuestion(
                push_key=key, record_id=f"r-{key}", inputs={"clause": key}, why="…", proposal={"kind": "term"}
            ),
        )
        for key in keys
    ]


def nothing(task_ids: dict[str, int]) -> None:
    """No notes."""


def keys_on_server(client: AnnotatingClient, project: int) -> list[str]:
    return sorted(task.push_key for task in client.pull(project, None).tasks)


def pulled(client: AnnotatingClient, project: int, since: datetime.datetime | None = None) -> dict[str, PulledTask]:
    return {task.push_key: task for task in client.pull(project, since).tasks}


def kinds(*values: str) -> list[list[dict[str, Any]]]:
    return [prediction_result(ContractClause, {"kind": value}) for value in values]
