"""What a team costs in a large dataset: each command after one new row and one new answer, with and without a team.

python tests/benchmarks/team_scale.py                      100,000 rows: over an hour on two busy cores
python tests/benchmarks/team_scale.py --rows 20000         40 minutes there
"""

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
from measuring import Measured, folder, run
from rich.console import Console
from tables import Results

sys.path.insert(0, str(Path(__file__).parent.parent))

from fake_studio import FakeStudio, fake_studio

_HELP = """\
Made-up questions of twelve words about one of ten topics, 3% of the labels wrong; 1% of the rows are in a source of
their own. Label Studio is the stand-in of the tests, in this process, whose time is not counted. After the first
curate all tasks are answered (one in ten wrongly) and collected; then a row is added, and curate, collect, status and
annotators are measured, each from start to end as its own process.
"""
_COMMANDS = ("curate", "collect", "status", "annotators")
_TOPICS, _WORDS, _OWN_WORDS = 10, 4_000, 30
_WRONG, _GOLD_SHARE, _MISTAKES = 0.03, 0.01, 0.1
_TEAM = "annotators: [ana@example.com, ben@example.com, cleo@example.com], overlap: 0.2, gold: 0.1"
_MODES = {"nobody named": ("", ""), "a team": (", gold: true", _TEAM)}
_MODES |= {"a team, `error_rate`": (", gold: true", f"{_TEAM}, error_rate: 0.02")}
_TASK = '''\
from typing import Literal

from schemas.task import Input, Target, Task


class Question(Task):
    """Name the topic of this question."""

    question: Input[str]
    topic: Target[Literal[{choices}]]
'''


class Line(NamedTuple):
    """What one command took."""

    mode: str
    command: str
    spent: Measured


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the dataset (default: 100000)")
    modes = f"measure only this one; may be repeated; one of {', '.join(_MODES)}"
    parser.add_argument("--only", action="append", choices=list(_MODES), metavar="MODE", help=modes)
    parser.add_argument("--profile", action="store_true", help="also print where each command spends its time")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    asked = parser.parse_args()
    lines = [line for mode in asked.only or _MODES for line in _measured(mode, asked.rows, profile=asked.profile)]
    found = Results(
        f"A team: {asked.rows:,} rows, one of them new",
        ("what", "command", "CPU s", "wall s", "MB"),
        [(one.mode, one.command, *_shown(one.spent)) for one in lines],
        "MB: the peak resident size of the largest process.",
    )
    found.show(Console(width=120))
    if asked.markdown:
        asked.markdown.write_text(found.markdown(), encoding="utf-8")


def _shown(spent: Measured) -> tuple[str, str, str]:
    return f"{spent.cpu:.1f}", f"{spent.wall:.1f}", f"{spent.memory:,}"


def _measured(mode: str, rows: int, *, profile: bool) -> Iterator[Line]:
    with folder() as place, fake_studio() as studio:
        _write(place, mode, rows)
        commands = _Commands(place, studio, profile=profile)
        yield Line(mode, "the first curate", commands.run("curate"))
        # The second curate sends what the answers led to, and scores anew if many labels were corrected.
        for command in ("collect", "curate"):
            _answer(studio)
            commands.run(command)
        with (place / "rows.jsonl").open("ab") as file:
            file.write(next(_rows(random.Random(-1), range(rows, rows + 1))))
        for command in _COMMANDS:
            yield Line(mode, command, commands.run(command))
            _answer(studio, most=1)


class _Commands:
    """Runs `goldleaf` on a dataset, each time in a new process."""

    def __init__(self, place: Path, studio: FakeStudio, *, profile: bool) -> None:
        self._place, self._profile = place, profile
        self._environment = {
            "GOLDLEAF_HOME": str(place / "home"),
            "LABEL_STUDIO_URL": studio.url,
            "LABEL_STUDIO_API_KEY": studio.token,
        }

    def run(self, command: str) -> Measured:
        """One command, from start to end."""
        profiled = ["-m", "cProfile", "-s", "cumtime"] if self._profile else []
        spent = run(
            [sys.executable, *profiled, "-m", "flows.cli", command, "--json", str(self._place / "dataset.yaml")],
            self._place,
            self._environment,
        )
        log = (self._place / "log.txt").read_text(encoding="utf-8").splitlines()
        print(command, *_shown(spent), *(log[:70] if self._profile else log[-1:]), sep="\n  ", flush=True)
        return spent


def _write(place: Path, mode: str, rows: int) -> None:
    """The dataset, line by line: a child's peak memory is counted from that of its parent."""
    gold, review = _MODES[mode]
    choices = ", ".join(f'"topic-{number}"' for number in range(_TOPICS))
    (place / "task.py").write_text(_TASK.format(choices=choices), encoding="utf-8")
    lines = ["name: questions", "task: task.py:Question", "sources:"]
    lines += [
        "  - {name: rows, path: rows.jsonl, key: id}",
        f"  - {{name: experts, path: experts.jsonl, key: id{gold}}}",
    ]
    lines += [f"review: {{{review}}}"]
    (place / "dataset.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    known = int(rows * _GOLD_SHARE)
    for name, numbers in (("experts", range(known)), ("rows", range(known, rows))):
        with (place / f"{name}.jsonl").open("wb") as file:
            file.writelines(_rows(random.Random(name), numbers, wrong=0.0 if name == "experts" else _WRONG))


def _rows(chance: random.Random, numbers: Sequence[int], wrong: float = _WRONG) -> Iterator[bytes]:
    """Questions with their labels; a topic has words of its own, of which a question has two among twelve."""
    for number in numbers:
        topic = chance.randrange(_TOPICS)
        words = [f"w{chance.randrange(_WORDS)}" for _ in range(10)]
        words += [f"t{topic}x{chance.randrange(_OWN_WORDS)}" for _ in range(2)]
        chance.shuffle(words)
        label = chance.randrange(_TOPICS) if chance.random() < wrong else topic
        yield orjson.dumps({"id": number, "question": " ".join(words), "topic": f"topic-{label}"}) + b"\n"


def _answer(studio: FakeStudio, most: int | None = None) -> None:
    """Answer open tasks, most of them rightly."""
    chance = random.Random(len(studio.annotations))
    users = {row["email"]: number for number, row in studio.users.items()}
    answered = {row["task"] for row in studio.annotations.values()}
    for number in [number for number in studio.tasks if number not in answered][:most]:
        data = studio.tasks[number]["data"]
        who = data.get("assigned") or "somebody@example.com"
        if who not in users:
            users[who] = max(studio.users) + 1
            studio.users[users[who]] = {"id": users[who], "email": who}
        topic = next(word[1 : word.index("x")] for word in data["question"].split() if word.startswith("t"))
        if chance.random() < _MISTAKES:
            topic = str(chance.randrange(_TOPICS))
        choice = {"from_name": "topic", "to_name": "question", "type": "choices", "id": "topic"}
        studio.annotate(
            number, {"result": [choice | {"value": {"choices": [f"topic-{topic}"]}}], "completed_by": users[who]}
        )


if __name__ == "__main__":
    main()
