"""Rewriting of official sentences in plain language."""

from schemas.task import Context, Input, Target, Task, soft_check


class PlainSentence(Task):
    """Rewrite this official sentence in plain language, for a reader in a hurry.

    Use short everyday words and speak to the reader as you. Keep every number, name, date and link, and what is
    forbidden must stay forbidden. Add nothing.
    """

    sentence: Input[str]
    plain: Target[str]
    document: Context[str | None] = None
    """What the sentence was taken from."""

    @soft_check
    def is_one_line(self) -> str | None:
        """A plain sentence needs no paragraphs."""
        return "it has several lines" if "\n" in self.plain.strip() else None
