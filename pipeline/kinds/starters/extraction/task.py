"""The task of this dataset: its inputs, its targets, and what is checked about them."""

import datetime

from schemas.task import Input, Target, Task, soft_check


class Appointment(Task):
    """Extract the appointment from this message."""

    message: Input[str]
    person: Target[str]
    day: Target[datetime.date]
    place: Target[str | None] = None

    @soft_check
    def person_is_a_name(self) -> str | None:
        """A soft check returns what is odd; such a record goes to annotators instead of being rejected."""
        return None if self.person[:1].isupper() else f"'{self.person}' does not begin with a capital"
