"""Lets an adapter of one's own answer instead of an endpoint: the same questions, and the same ledger of answers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import TrainingError
from pipeline.finetuning.adapters import FinetuneRecord, answers_key, latest_adapter, read_record
from pipeline.finetuning.answer_form import grammar_of
from pipeline.finetuning.base_model import load_adapter
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.predict import BATCH_SIZE, predict
from pipeline.finetuning.written_turns import readable_turn
from pipeline.suggestions.asker import Asker, Question
from pipeline.suggestions.asking import Outcome, last_word
from pipeline.suggestions.ledger import Ledger, Reply
from schemas.message import Message
from schemas.suggest_section import LATEST
from schemas.task_fields import conversation_target, tools_field

_LEARNED = "train"
"""The split that adapters are trained on."""


def with_adapter(asker: Asker, models: Path, releases: Path) -> Asker:
    """The same asker, which knows its adapter and what that was trained on.

    Args:
        asker: with ``suggest.adapter``.
        models: the folder of the dataset's adapters.
        releases: the folder of its versions.

    Raises:
        TrainingError: there is no such adapter.
    """
    run = asker.section.adapter or ""
    if run == LATEST:
        newest = latest_adapter(models)
        if newest is None:
            raise TrainingError("there is no adapter yet; `goldleaf finetune` trains the first one")
        run = newest.name
    folder = models / run
    learned = (releases / read_record(folder).lineage.version / "data").glob(f"{_LEARNED}-*.parquet")
    return asker.as_adapter(run, answers_key(folder), sorted(learned))


class AdapterAsking:
    """Asks the adapter of one fine-tuning run."""

    def __init__(self, asker: Asker, ledger: Ledger, models: Path) -> None:
        self._asker, self._ledger = asker, ledger
        self._folder = models / (asker.section.adapter or "")

    def ask(self, questions: Sequence[Question], on_row: Callable[[int], None] = lambda rows: None) -> Outcome:
        """Ask about every row, in batches; the answers of a batch are in the ledger before the next one begins."""
        outcome = Outcome()
        try:
            record = read_record(self._folder)
            loaded = load_adapter(self._folder)
            for start in range(0, len(questions), BATCH_SIZE):
                batch = questions[start : start + BATCH_SIZE]
                self._answer(batch, loaded, record, outcome)
                on_row(len(batch))
        except TrainingError as error:
            outcome.why = str(error)
        outcome.waiting = len(questions) - outcome.answered - outcome.invalid
        return outcome

    def _answer(self, batch: Sequence[Question], loaded: LoadedModel, record: FinetuneRecord, outcome: Outcome) -> None:
        task = self._asker.task
        prompts = [[Message.model_validate(one) for one in question.body["messages"]] for question in batch]
        tools = [question.inputs.get(tools_field(task)) or None for question in batch]
        calls = bool(conversation_target(task))
        texts = predict(
            loaded,
            prompts,
            tools,
            max_new_tokens=record.max_new_tokens,
            grammar=grammar_of(task) if record.held_to_form else None,
            with_marks=calls,
        )
        for question, prompt, known, text in zip(batch, prompts, tools, texts, strict=True):
            written = readable_turn(text, loaded, prompt, known) if calls else text
            self._keep(question, written, loaded, prompt, known)
            found = last_word(task, question.inputs, self._ledger.replies(question.key))
            outcome.answered += found.targets is not None
            outcome.invalid += found.targets is None
            outcome.first_failure = outcome.first_failure or found.problem

    def _keep(self, question: Question, text: str, loaded: LoadedModel, prompt: list[Message], tools: Any) -> None:
        name = self._asker.model
        asked = len(loaded.token_ids(prompt, tools, answer_follows=True))
        written = len(loaded.tokenizer.encode(text, add_special_tokens=False))
        call = self._ledger.enter(question.key, name, asked, written, 0.0)
        self._ledger.complete(call, Reply(text, False, name, asked, written), 0.0)
