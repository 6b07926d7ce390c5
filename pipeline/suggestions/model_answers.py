"""The answers that a model has given so far, as the ledger has them: no call is made here."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.suggestions.asker import Asker
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
