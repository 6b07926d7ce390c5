"""Answers of a model: asked of an endpoint or of an adapter, validated by the task, never lost and never paid twice.

In: committed decisions, the section ``suggest``. Out: a ledger of calls, and the valid answer to each row asked about.
"""

__all__ = [
    "adapter_answers",
    "answer_length",
    "asker",
    "asking",
    "chat_completions",
    "examples_shown",
    "ledger",
    "model_answers",
    "rows_to_ask",
]
