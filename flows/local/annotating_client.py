"""Answers labeling tasks by program, on behalf of users: for the demo and for tests."""

from typing import Any

from pipeline.review.form import ASSIGNED, SEAT
from pipeline.review.label_studio import LabelStudio
from pipeline.review.label_studio_models import Made, OpenTask, ProposedTask, Tasks, User
from pipeline.review.label_studio_pages import list_tasks

_PROPOSED = "id,data,annotations,predictions,result"


class AnnotatingClient(LabelStudio):
    """A server from an annotator's point of view."""

    def ensure_user(self, email: str, first_name: str, last_name: str) -> int:
        """The id of a user; created if there is none (without a password: for answers by program)."""
        what = f"cannot open the user {email}"
        for user in self.requests.ask(what, list[User], lambda sdk: sdk.users.list()):
            if user.email == email:
                return user.user_id
        return self.requests.ask(
            what,
            Made,
            lambda sdk: sdk.users.create(email=email, username=email, first_name=first_name, last_name=last_name),
        ).made_id

    def unanswered(self, project: int) -> list[OpenTask]:
        """The tasks without an annotation, with their proposals."""
        return [
            OpenTask(
                task_id=task.task_id,
                push_key=task.push_key,
                record_id=task.record_id,
                proposal=task.predictions[0].result or [] if task.predictions else [],
                seat=str(task.data.get(SEAT, "")),
                assigned=str(task.data.get(ASSIGNED, "")),
            )
            for task in list_tasks(self.requests, project, Tasks[ProposedTask], _PROPOSED, fields="all")
            if not task.annotations
        ]

    def annotate(self, task_id: int, result: list[dict[str, Any]], user: int, skipped: bool = False) -> None:
        """Submit an answer, or a skip, as a user."""
        self.requests.tell(
            f"cannot annotate task {task_id}",
            lambda sdk: sdk.annotations.create(
                id=task_id, result=result, completed_by=user, was_cancelled=skipped, ground_truth=False
            ),
        )
