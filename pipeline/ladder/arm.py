"""What an arm is: one way to answer the test questions, behind one interface."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from pipeline.finetuning.exam import Answers, Questions
from schemas.arms_section import Family

Advance = Callable[[int], None]
"""Called with how many more units of work are done."""


class CannotAnswer(Exception):
    """An arm has no answers to these questions; the text says why."""


class CannotAnswerNow(CannotAnswer):
    """The same, and another time it may, such as an endpoint that is down."""


class Arm(ABC):
    """One way to answer the questions of a task."""

    name: str
    """In tables and files."""
    title: str
    """In words."""
    family: Family
    is_slow: bool = False
    """Whether it is asked at most ``finetune.slow_rows`` questions."""

    is_here: bool = True
    """Whether it runs on this machine, so that its time is what it costs."""

    def learn(self) -> None:  # noqa: B027  (most have nothing to learn)
        """Prepare for questions, such as by fitting a model to the training rows.

        Raises:
            CannotAnswer: it is of no use for the task.
        """

    @abstractmethod
    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Answer some questions; ``advance`` sums up to ``questions.work``.

        Raises:
            CannotAnswer: it failed for good, or for now (``CannotAnswerNow``).
        """
