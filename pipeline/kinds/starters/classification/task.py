"""The task of this dataset: its inputs, its targets, and what is checked about them."""

from enum import StrEnum

from schemas.task import Input, Target, Task


class Topic(StrEnum):
    """The possible answers."""

    BILLING = "billing"
    DELIVERY = "delivery"
    RETURNS = "returns"


class CustomerQuestion(Task):
    """Name the topic of this customer question."""

    question: Input[str]
    topic: Target[Topic]
