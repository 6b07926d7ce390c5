"""Answers of every type go to a real Label Studio and come back as they were; 500 of them in the soak."""

from round_trips import try_generated_tasks

from flows.local.studio_server import LocalStudio


def test_answers_of_generated_tasks_come_back_as_they_were(label_studio: LocalStudio) -> None:
    try_generated_tasks(label_studio, tasks=12)
