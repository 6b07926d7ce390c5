"""Every error that Goldleaf raises on purpose, as one tree.

GoldleafError            one line: what, which value, what to do next
├── ConfigError          dataset.yaml, a task file or a setting cannot be used
│   └── TaskCodeError    a method of the task raised an error, or returned what nobody can use
├── SourceError          a source as a whole cannot be read
├── StoreError           the home or a table is damaged or cannot be written
│   └── Busy             another process is at work on the same dataset
├── LabelStudioError     the server refuses or is not reachable
│   └── Unreachable      no answer: not running, wrong URL, network gone
├── ReleaseError         a version cannot be published or read
│   ├── VersionExists    it exists already and never changes
│   └── Damaged          its bytes are not those that were published
└── TrainingError        the model or the rows cannot be used for fine-tuning
"""


class GoldleafError(Exception):
    """The base: its text is meant for the person at the terminal."""


class ConfigError(GoldleafError):
    """dataset.yaml, a task file or a setting cannot be used."""


class TaskCodeError(ConfigError):
    """A method of the task raised an error, or returned what nobody can use."""


class SourceError(GoldleafError):
    """A source as a whole cannot be read."""


class StoreError(GoldleafError):
    """The home or a table is damaged or cannot be written."""


class Busy(StoreError):
    """Another process is at work on the same dataset."""


class LabelStudioError(GoldleafError):
    """Label Studio refuses a request."""


class Unreachable(LabelStudioError):
    """Label Studio does not answer."""


class ReleaseError(GoldleafError):
    """A version cannot be published or read."""


class VersionExists(ReleaseError):
    """The version exists already and never changes."""


class Damaged(ReleaseError):
    """A version's bytes are not those that were published."""


class TrainingError(GoldleafError):
    """The model or the rows cannot be used for fine-tuning."""
