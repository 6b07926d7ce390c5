"""A dataset in a folder with a task of its own, as tests of odd cases need them."""

from pathlib import Path
from typing import Any

from support import current, offline, write_dataset, write_rows

from flows.context import Context
from flows.curate import Curated, curate
from flows.engines.engine import Inline
from schemas.decision import Decision
from schemas.fate import ReasonCode
from schemas.identity import stable_hash

PLAIN = "review: {budget: 0, audit: 0.0}\n"


class Odd:
    """A dataset in a folder with a task of its own."""

    def __init__(
        self, folder: Path, task: str, rows: list[dict[str, Any]], more: str = "", home: Path | None = None
    ) -> None:
        self.folder = folder
        self.home = home or folder / "home"
        folder.mkdir(exist_ok=True)
        write_dataset(folder, [], PLAIN + more)
        head = "from typing import Literal\nfrom pydantic import field_validator, model_validator\n"
        self.task(head + "from schemas.task import Input, Target, Task, soft_check\n\n" + task)
        write_rows(folder, rows)

    def task(self, text: str) -> None:
        (self.folder / "task.py").write_text(text, encoding="utf-8")

    def edit(self, old: str, new: str, file: str = "dataset.yaml") -> None:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    @property
    def context(self) -> Context:
        return Context.load(self.folder / "dataset.yaml", offline(self.home))

    def curate(self) -> Curated:
        return curate(self.context, Inline())

    def __getitem__(self, key: int) -> Decision:
        return current(self.context)[stable_hash("examples", f"int:{key}")]

    def codes(self, key: int) -> list[ReasonCode]:
        return [reason.code for reason in self[key].reasons]


QUESTION = '''
class Question(Task):
    """Name the topic of this question."""

    question: Input[str]
    topic: Target[Literal["billing", "delivery", "returns"]]
'''
ORDER = '''
class Question(Task):
    """Extract what is ordered."""

    question: Input[str]
    article: Target[str]
    pieces: Target[int | None] = None
'''


def key(number: int) -> str:
    return stable_hash("examples", f"int:{number}")
