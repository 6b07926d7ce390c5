"""Answers of generated tasks on their way to a real Label Studio and back."""

import itertools
from typing import Any

from generated_values import task_and_rows
from hypothesis import Phase, given, settings

from flows.local.annotating_client import AnnotatingClient
from flows.local.studio_server import LocalStudio
from pipeline.review.form import labeling_config
from pipeline.review.guidelines import as_html
from pipeline.review.labeling_tasks import LabelingQuestion, labeling_task, read_result
from schemas.annotation import Verdict
from schemas.task import Task

NUMBERS = itertools.count()
ROWS = 2


def round_trip(client: AnnotatingClient, task: type[Task], rows: list[dict[str, Any]]) -> None:
    """Propose answers, let an annotator confirm them unchanged, and read what the server has then."""
    name = f"goldleaf:round-trip-{next(NUMBERS)}"
    project = client.open_project(name, name, labeling_config(task), as_html(task.task_instruction()))
    answers = {f"k{number}": task.task_canonical(row) for number, row in enumerate(rows)}
    asked: Any = {"source_": "text"} if "source_" not in rows[0] else {"source_": [{"role": "user", "content": "?"}]}
    questions = [
        LabelingQuestion(push_key=key, record_id=f"r-{key}", inputs=asked, why="…", proposal=answer)
        for key, answer in answers.items()
    ]
    client.push(project, [labeling_task(task, question) for question in questions], lambda task_ids: None)
    user = client.ensure_user("round-trip@example.com", "Round", "Trip")
    for open_task in client.unanswered(project):
        client.annotate(open_task.task_id, open_task.proposal, user=user)
    pulled = {one.push_key: one for one in client.pull(project, None).tasks}
    assert pulled.keys() == answers.keys()
    for key, answer in answers.items():
        [annotation] = pulled[key].annotations
        read = read_result(task, annotation.result, annotation.was_cancelled)
        assert (read.verdict, read.error) == (Verdict.LABELED, "")
        assert read.targets == answer


def try_generated_tasks(studio: LocalStudio, tasks: int) -> None:
    """Try so many tasks with ``ROWS`` answers each."""
    with AnnotatingClient(studio.url, studio.token) as client:

        @settings(max_examples=tasks, phases=[Phase.generate])
        @given(task_and_rows(ROWS))
        def check(case: tuple[type[Task], list[dict[str, Any]]]) -> None:
            round_trip(client, *case)

        check()
