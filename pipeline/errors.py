"""All errors that Goldleaf raises on purpose, as one tree; each is one line: what, which value, what to do next."""


class GoldleafError(Exception):
    """The base class: its text is meant for the user at the terminal."""


class ConfigError(GoldleafError):
    """dataset.yaml, a task file or a setting cannot be used."""


class TaskCodeError(ConfigError):
    """A method of the task raised an error or returned an unusable value."""


class SourceError(GoldleafError):
    """A source cannot be read at all."""


class Rewritten(SourceError):
    """A file was written to while it was read: what was read of it may be of two states."""


class StoreError(GoldleafError):
    """The home or a table is damaged or cannot be written."""


class Busy(StoreError):
    """Another process is using the same dataset."""


class Stuck(Busy):
    """It shows no sign of life."""


class Needless(StoreError):
    """A scheduled run has nothing to do: another one has done it, or what it works on is not there yet."""


class LabelStudioError(GoldleafError):
    """Label Studio refuses a request."""


class Unreachable(LabelStudioError):
    """Label Studio does not answer."""


class EndpointError(GoldleafError):
    """A model that is asked for answers refuses or cannot be reached."""


class ReleaseError(GoldleafError):
    """A version cannot be published or read."""


class VersionExists(ReleaseError):
    """The version already exists, and versions never change."""


class Damaged(ReleaseError):
    """A version's bytes differ from those that were published."""


class TrainingError(GoldleafError):
    """The model or the rows cannot be used for fine-tuning."""


class OutOfMemory(TrainingError):
    """The memory does not suffice for the settings, or another program took it."""


class LoraRefused(TrainingError):
    """``finetune.lora`` has an argument that PEFT does not have, or takes no such value for."""

    def __init__(self, problem: str, argument: str = "") -> None:
        super().__init__(problem)
        self.argument = argument
        """The argument that is wrong; empty if several do not go together."""


class TooFewRows(TrainingError):
    """Fewer rows than a batch can be trained on."""


class Unrendered(TrainingError):
    """A base model's chat template fails on a conversation."""
