"""The answers that a model has given so far, as the ledger has them: no call is made here."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.suggestions.asker import Asker, text_digest
from pipeline.suggestions.asking import last_word
from pipeline.suggestions.examples_shown import shown_before
from pipeline.suggestions.ledger import Ledger
from schemas.field import JsonValue
from schemas.identity import stable_hash


class ModelAnswers:
    """The valid answers of one asker, as a context."""

    def __init__(self, asker: Asker, calls: Path) -> None:
        self._asker = asker
        self._ledger = Ledger(calls)

    def __enter__(self) -> Self:
        self._ledger.__enter__()
        self._subjects = self._ledger.subjects(shown_before(self._asker, self._ledger).digest)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ledger.__exit__(kind, error, trace)

    def about(self, record_id: str, text_key: str, inputs: Mapping[str, Any]) -> dict[str, JsonValue] | None:
        """The answer about a record, if the model was asked about its text as it is now.

        Args:
            record_id: of the record.
            text_key: its ``inputs_key``.
            inputs: for the validators.
        """
        subject = self._subjects.get(record_id)
        if subject is None or subject.text != stable_hash(text_key):
            return None
        return last_word(self._asker.task, inputs, self._ledger.replies(subject.key)).targets

    def is_invalid(self, record_id: str, inputs: Mapping[str, Any]) -> bool:
        """Whether the model has answered about a record as it is now, and never validly: it is not asked again."""
        task, subject = self._asker.task, self._subjects.get(record_id)
        if subject is None or subject.text != text_digest(task, inputs):
            return False
        replies = self._ledger.replies(subject.key)
        return len(replies) >= self._asker.turns and last_word(task, inputs, replies).targets is None

    @property
    def asked(self) -> list[str]:
        """The ids of the records that it was asked about, whatever they say now."""
        return list(self._subjects)
