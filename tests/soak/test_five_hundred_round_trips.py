"""500 answers of generated tasks of every type and mixture go to a real Label Studio and come back as they were."""

from round_trips import ROWS, try_generated_tasks

from flows.local.studio_server import LocalStudio

ANSWERS = 500


def test_five_hundred_answers_come_back_as_they_were(label_studio: LocalStudio) -> None:
    try_generated_tasks(label_studio, ANSWERS // ROWS)
