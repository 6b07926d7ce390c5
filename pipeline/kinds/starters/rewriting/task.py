"""The task of this dataset: its inputs, its target, and what is checked about it."""

from schemas.task import Input, Target, Task, soft_check


class PlainWording(Task):
    """Say the same in one short, plain sentence."""

    sentence: Input[str]
    plain: Target[str]

    @soft_check
    def is_shorter(self) -> str | None:
        """A soft check returns what is odd; such a record goes to annotators instead of being rejected."""
        return None if len(self.plain) <= len(self.sentence) else "the plain sentence is longer"
