"""A project whose form is an earlier one: its tasks get what the new one shows, whatever happens in between."""

import pytest
from fake_studio import FakeStudio, fake_studio
from loopback import LOST, Reply

from pipeline.errors import Unreachable
from pipeline.review.label_studio import LabelStudio
from pipeline.review.label_studio_projects import show_form

BEFORE, NOW = '<View><Text name="a" value="$text"/></View>', '<View><Text name="a" value="$candidates"/></View>'
MARKER = "goldleaf:shop:1"


@pytest.mark.parametrize("lost", [0, 1, 4])
def test_a_push_that_ends_while_tasks_get_what_the_new_form_shows_is_made_up_for(lost: int) -> None:
    """Label Studio could not submit those that lack it."""
    updates = [0]

    def cut_off(fake: FakeStudio, method: str, path: str, body: bytes) -> Reply:
        if method == "PATCH" and path.startswith("/api/tasks/"):
            updates[0] += 1
            if updates[0] == lost + 1:
                return LOST, {}, b""
        return fake(method, path, body)

    with (
        fake_studio(lambda fake: lambda *request: cut_off(fake, *request)) as server,
        LabelStudio(server.url, server.token) as client,
    ):
        project = client.open_project("Shop", MARKER, BEFORE, "…")
        tasks = [{"data": {"push_key": f"k{number}", "text": "t"}} for number in range(5)]
        client.push(project, tasks, lambda task_ids: None)
        with pytest.raises(Unreachable):
            show_form(client.requests, project, NOW, "…", lambda key: {"candidates": key})
        show_form(client.requests, project, NOW, "…", lambda key: {"candidates": key})
        assert [task["data"]["candidates"] for task in server.tasks.values()] == [f"k{number}" for number in range(5)]
        assert server.projects[project]["label_config"] == NOW
        done = updates[0]
        show_form(client.requests, project, NOW, "…")
        assert updates[0] == done, "nothing is left to do"
