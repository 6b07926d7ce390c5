"""Tasks as toys, and what is wrong with a row of one."""

from typing import Any

from pydantic import create_model

from schemas.task import Input, Task

INVOICE: dict[str, Any] = {
    "text": "Acme asks for 12.50 EUR, invoice A-7.",
    "vendor": "Acme",
    "invoice_number": "A-7",
    "total": 12.5,
    "currency": "EUR",
}


def task_with(annotation: Any) -> type[Task]:
    """A task with one target of a type."""
    return create_model("Toy", __base__=Task, __doc__="Say it.", text=(Input[str], ...), answer=(annotation, ...))


def problems(task: type[Task], **row: Any) -> list[str]:
    return [f"{reason.field}: {reason.detail or reason.code}" for reason in task.task_parse(row).problems]
