"""The values that keys of a dataset.yaml can have."""

from enum import StrEnum


class Format(StrEnum):
    """Supported file formats."""

    AUTO = "auto"
    """By the file's extension."""
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


class Layout(StrEnum):
    """How a row holds a conversation."""

    AUTO = "auto"
    """As the row looks; one that fits two layouts, or none, is an error."""
    MESSAGES = "messages"
    """A list of turns with ``role`` and ``content``, as in OpenAI's format."""
    SHAREGPT = "sharegpt"
    """A list of turns with ``from`` and ``value``."""
    ALPACA = "alpaca"
    """One question and answer: ``instruction``, ``input``, and ``output`` or ``response``."""
    PROMPT_COMPLETION = "prompt_completion"
    """One question and answer, each a text or turns: ``prompt`` and ``completion``, as TRL and published versions."""


class Mode(StrEnum):
    """What it means that a row is absent from its source."""

    APPEND = "append"
    """Nothing: rows are only ever added."""
    SNAPSHOT = "snapshot"
    """The row is gone: its record is withdrawn."""


class OnConflict(StrEnum):
    """What to do if the same input has different answers."""

    REVIEW = "review"
    """Hold the rows and ask an annotator."""
    ANY_OF = "any_of"
    """Every answer is right: accept a row for each, and count any of them as correct."""


class Unreviewed(StrEnum):
    """What to do with uncertain rows beyond the review budget."""

    ACCEPT = "accept"
    HOLD = "hold"


class Action(StrEnum):
    """What to do with a row that has findings."""

    REVIEW = "review"
    REJECT = "reject"
    ALLOW = "allow"


class Runner(StrEnum):
    """What runs the flows."""

    INLINE = "inline"
    PREFECT = "prefect"


class Form(StrEnum):
    """What models may write when they are evaluated."""

    HELD = "held"
    """Only what is an answer to the task, token by token: one of the choices, or JSON with the task's fields."""
    FREE = "free"


class Quantize(StrEnum):
    """How many bits the weights of a base model are loaded in."""

    FOUR_BIT = "4bit"
    """NormalFloat of bitsandbytes, quantized twice, as QLoRA has it."""


class Turns(StrEnum):
    """Which turns of the assistant count, in a conversation with several."""

    EVERY = "every"
    LAST = "last"


class Fix(StrEnum):
    """What to do about rows that preflight finds wrong, instead of stopping."""

    DROP = "drop"
    """Leave them out, and count them."""
    SHORTEN = "shorten"
    """Cut the inputs of those that are too long; never the answer, nor the instruction."""


class Asked(StrEnum):
    """About which rows a model is asked for its answer, beside those whose answer an annotator gives blind."""

    UNLABELED = "unlabeled"
    DOUBTED = "doubted"
    """Unlabeled rows first, then labeled ones, the most doubted first."""
