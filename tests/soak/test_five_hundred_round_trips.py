"""500 generated tasks of every type and mixture: their answers go to a real Label Studio and come back as they were."""

from round_trips import try_generated_tasks

from flows.local.studio_server import LocalStudio

TASKS = 500


def test_the_answers_of_five_hundred_tasks_come_back_as_they_were(label_studio: LocalStudio) -> None:
    try_generated_tasks(label_studio, TASKS)
