"""Writes the files that a new dataset starts from; they run as they are."""

import re
import unicodedata
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.state.atomic import writing
from schemas.dataset import NAME
from schemas.task import Kind

_TASKS = {
    Kind.CLASSIFICATION: '''"""The task of this dataset: its inputs, its targets, and what is checked about them."""

from enum import StrEnum

from schemas.task import Input, Target, Task


class Topic(StrEnum):
    """The answers that there are."""

    BILLING = "billing"
    DELIVERY = "delivery"
    RETURNS = "returns"


class CustomerQuestion(Task):
    """Name the topic of this customer question."""

    question: Input[str]
    topic: Target[Topic]
''',
    Kind.EXTRACTION: '''"""The task of this dataset: its inputs, its targets, and what is checked about them."""

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
        """A soft check returns what is odd; such a record goes to people instead of being rejected."""
        return None if self.person[:1].isupper() else f"'{self.person}' does not begin with a capital"
''',
}

_ROWS = {
    Kind.CLASSIFICATION: """{"question": "Why was I charged twice for my last order?", "topic": "billing"}
{"question": "My parcel has been on its way for nine days, where is it?", "topic": "delivery"}
{"question": "How do I send back shoes that do not fit?", "topic": "returns"}
{"question": "Could you send the invoice to my office instead?", "topic": "billing"}
{"question": "The courier rang the wrong bell and left again, can you try tomorrow?", "topic": "delivery"}
{"question": "I returned a lamp two weeks ago, when do I get my money?", "topic": "returns"}
{"question": "Is there a way to change the address of a parcel that has left?"}
""",
    Kind.EXTRACTION: """{"message": "Dr. Weber can see you on 2026-03-05 at the clinic.", "person": "Dr. Weber", \
"day": "2026-03-05", "place": "the clinic"}
{"message": "Lunch with Ines on 2026-04-17, she will tell us where.", "person": "Ines", "day": "2026-04-17"}
{"message": "Please meet Tom Hale in room 4 on 2026-05-02.", "person": "Tom Hale", "day": "2026-05-02", \
"place": "room 4"}
{"message": "Anna would like to come by next week."}
""",
}

_YAML = """# What this dataset is made of. Every key is described in docs/data-teams.md.
name: "{name}"
task: task.py:{task}          # the class in task.py beside this file

sources:
  - name: examples            # part of every record's id: do not rename it later
    path: data.jsonl          # a file, a glob or a URL; JSONL, JSON, CSV or Parquet
    # key: id                 # the field that identifies a row, so that an edited row stays the same record
    # mode: snapshot          # a row that is gone from the file is withdrawn; without this it stays
    license: unknown          # goes into the dataset card

on_conflict: review           # the same input with different answers: ask a person
# review:
#   budget: 0.1               # this share of the records may be sent to people; without it 10%, at most 500
#   audit: 0.02               # this share of the accepted ones is looked at as a check; without it 2%, at most 300
split:
  fractions: {{train: 0.8, validation: 0.1, test: 0.1}}
  group_by: []                # fields of the raw row that must not be torn apart, such as [customer]
"""

_CLASSES = {Kind.CLASSIFICATION: "CustomerQuestion", Kind.EXTRACTION: "Appointment"}


def name_for(folder: Path) -> str:
    """A dataset name after a folder's, marks and other letters left out: ``Ünïcode`` becomes ``unicode``."""
    letters = unicodedata.normalize("NFKD", folder.resolve().name.casefold())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9_-]+", "-", plain).strip("-_") or "dataset"


def scaffold(folder: Path, name: str, kind: Kind) -> list[Path]:
    """Write dataset.yaml, task.py and a few example rows into a folder.

    Raises:
        ConfigError: the name is no dataset name, the folder is a file, or one of the files is there
            already; nothing is written then.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"'{name}' is no dataset name; use a-z, 0-9, - and _")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a folder")
    texts = {
        "dataset.yaml": _YAML.format(name=name, task=_CLASSES[kind]),
        "task.py": _TASKS[kind],
        "data.jsonl": _ROWS[kind],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for file in texts:
        if (folder / file).exists():
            raise ConfigError(f"{folder / file} exists already; choose another folder, or move it away")
    for file, text in texts.items():
        with writing(folder / file) as sink:
            sink.write(text.encode())
    return [folder / file for file in texts]
