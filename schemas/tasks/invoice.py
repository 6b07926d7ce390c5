"""Structured extraction from invoice messages."""

import datetime
from typing import Literal

from schemas.task import Input, Target, Task, soft_check


class Invoice(Task):
    """Extract the invoice's details from this message."""

    text: Input[str]
    vendor: Target[str]
    invoice_number: Target[str]
    total: Target[float]
    currency: Target[Literal["EUR", "USD", "GBP", "CHF"]]
    due_date: Target[datetime.date | None] = None
    purchase_order: Target[str | None] = None

    @soft_check
    def total_is_positive(self) -> str | None:
        """A credit note is not an invoice."""
        return None if self.total > 0 else f"the total is {self.total:g}"
