"""Datasets and commands that chance has damaged, and the laws that Goldleaf keeps whatever they are.

Each case follows from its kind and number alone, so that one that breaks a law can be had again.
"""

import contextlib
import gzip
import io
import json
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
from odd import QUESTION
from support import row
from typer.testing import CliRunner

from flows.cli.main import app
from schemas.task import Task

_SECONDS = 120
"""After which a case hangs; none takes a tenth of it."""
_MOST_LINES = 15
_MOST_CHARACTERS = 10_000
_FATES = ("accepted", "rejected", "duplicate", "review")
_ROWS = [row(n, f"{n} rows of {n * n} nails, where are they?", ["billing", "delivery", None][n % 3]) for n in range(9)]
_HEAD = """import sys
from typing import Literal
from pydantic import field_serializer, field_validator, model_validator
from schemas.task import Input, Target, Task, soft_check

class Mute(BaseException):
    def __str__(self):
        sys.exit(0)

"""
_YAML = """name: questions
task: task.py:Question
sources:
  - name: examples
    path: data.jsonl
    key: id
    fields: {question: question}
    license: MIT
    mode: append
review: {budget: 5, audit: 0.1, unreviewed: hold}
duplicates: {threshold: 0.7, answers: 0.5}
split:
  fractions: {train: 0.8, test: 0.2}
  group_by: [id]
normalize: {unicode: NFC, whitespace: clean}
screen: {personal_data: review, phone_regions: [US]}
measure: {max_tokens: 500}
release: {title: Questions, description: Some, license: MIT, language: [en]}
engine: {workers: 1}
"""
_VALUES = [
    *('""', "null", "[]", "{}", "-1", "0", "1e999", ".nan", "-.inf", "true", "0x_", "1:99", f"{9**50}", "2026-13-45"),
    *('!!int ""', '!!float "x"', '!!bool "x"', '!!timestamp "a"', "!!set {a}", "!!binary aGk=", "!!omap [a: b]"),
    *("!!pairs [a: b]", "!!null x", "!!str 5", "!mine 5", "!!python/name:os.system", "*none", "&a [*a]", "<<", "="),
    *('"\\ud83d"', '"\\0"', '"a\\nb"', '"\\e[31m"', f'"{"x" * 5_000}"', "[[[[[[[[[]]]]]]]]]", "{a: {b: {c: d}}}"),
    *("'*.jsonl'", "'**/*'", "/", "..", "'http://.'", "'https://'", "home", "data.jsonl/x", "'[a'", "[1, 2", "'"),
]
_TEXTS = [
    *("", " ", "\0", "\ud83d", "\u202e", "é" * 400, "-", "--", "x" * 300, "a/../b", "/proc/self/x", "[bold]", "%s%n"),
    *(
        "1.0.0",
        "v9",
        "999999999999999999999.0.0",
        "questions@latest",
        "data.jsonl:1",
        "data.jsonl:-1",
        "a:b:c",
        "'",
        ";",
    ),
    *("'", ";", "select 1", "select * from latest", "select", "drop table runs", "select 1; select 2", "from current"),
    *("select '\\xff'::blob", "select 1/0", "select timestamp '290000-01-01'", "copy runs to 'x'", "attach 'x'"),
]
_BODIES = [
    *(
        "return None",
        "return 7",
        "return ''",
        "return []",
        "return {}",
        "return chr(0xd800)",
        "return ['a']",
        "return cls",
    ),
    *("return {'topic': 'x'}", "return float('nan')", "return 2**70", "return object()", "return (x for x in [])"),
    *(
        "sys.exit(0)",
        "sys.exit('over')",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "raise GeneratorExit",
        "raise Mute",
    ),
    *(
        "raise Mute",
        "return cls",
        "raise StopIteration",
        "raise ValueError(chr(0xd800))",
        "raise RecursionError",
        "raise OSError(28, 'full')",
    ),
    *("print('{}')", "1 / 0", "assert False", "sys.stdout.write('x'); return None", "yield 1", "raise MemoryError"),
]
_BYTES = [b"", b"\0", b"\xff", b"\r", b"\n", b'"', b"{", b"]", b",", b"\xed\xa0\x80", b"\xef\xbb\xbf"]
_METHODS = sorted(name for name in vars(Task) if name.startswith("task_"))


@dataclass
class Damaged:
    """A folder's files, and the commands that are tried in it."""

    files: dict[str, bytes] = field(default_factory=dict)
    commands: list[list[str]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.commands} in { ({name: data[:1_500] for name, data in self.files.items()}) }"


def damaged(kind: str, number: int) -> Damaged:
    """The case of a kind and a number."""
    chance = random.Random(f"{kind} {number}")
    case = Damaged(sound())
    KINDS[kind](case, chance)
    if not case.commands:
        case.commands = [["check", "--json"], ["curate", "--json"], ["release", "--json"], ["curate"], ["status"]]
    return case


def sound() -> dict[str, bytes]:
    """The files of a dataset in which nothing is wrong."""
    rows = b"".join(orjson.dumps(item) + b"\n" for item in _ROWS)
    return {"dataset.yaml": _YAML.encode(), "task.py": (_HEAD + QUESTION).encode(), "data.jsonl": rows}


# --- damage -----------------------------------------------------------------------------------------
def _bytes_changed(data: bytes, chance: random.Random) -> bytes:
    """Some bytes flipped, inserted, lost, doubled or cut off."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        until = min(len(data), at + chance.choice([1, 1, 4, 40, 400]))
        new = chance.choice(
            [b"", b"\0", b"\xff", b"\r", b"\n", b'"', b"{", b"]", b",", b"\xed\xa0\x80", b"\xef\xbb\xbf"]
        )
        data = chance.choice(
            [
                data[:at] + new + data[until:],
                data[:at] + new + data[at:],
                data[:until] + data[at:],
                data[:at] + bytes(chance.randrange(256) for _ in data[at:until]) + data[until:],
                data[:at],
            ]
        )
    return data


def _yaml(case: Damaged, chance: random.Random) -> None:
    text = _YAML
    for _ in range(chance.randint(1, 3)):
        lines = text.splitlines()
        at = chance.randrange(len(lines))
        key, colon, _ = lines[at].partition(": ")
        within = chance.choice(["a", "budget", "name", "fractions", "language", "group_by", "k" * 300])
        lines[at] = chance.choice(
            [
                f"{key}{colon or ': '}{chance.choice(_VALUES)}",
                f"{key}: {{{within}: {chance.choice(_VALUES)}}}",
                f"{lines[at]}\n{lines[at]}",
                f"{lines[at]}\n{chance.choice(_VALUES)}: {chance.choice(_VALUES)}",
                f" {lines[at]}",
                "",
            ]
        )
        text = "\n".join(lines) + "\n"
    case.files["dataset.yaml"] = text.encode()
    if chance.random() < 0.3:
        case.files["dataset.yaml"] = _bytes_changed(text.encode(), chance)


def _task(case: Damaged, chance: random.Random) -> None:
    body = chance.choice(_BODIES)
    sometimes = chance.choice(["", "if '4' in str(locals()): "])
    name = chance.choice(_METHODS)
    validator = '@field_validator("question", mode="MODE")\n    @classmethod'.replace(
        "MODE", chance.choice(["before", "after", "plain"])
    )
    decorator, arguments = chance.choice(
        [
            ("@classmethod", "cls, *args, **kwargs"),
            ("@classmethod", "cls"),
            ("@staticmethod", "*args"),
            (validator, "cls, value"),
            ('@model_validator(mode="after")', "self, cls=None"),
            ('@field_serializer("question")', "self, value, cls=None"),
            ("@soft_check", "self, cls=None"),
            ("", "self, cls=None"),
        ]
    )
    if not decorator.startswith(("@classmethod", "@staticmethod")) and decorator:
        name = "odd"
    text = (
        _HEAD
        + QUESTION
        + f"\n    {decorator}\n    def {name}({arguments}):\n        {sometimes}{body}\n        return value"
    )
    match chance.randrange(8):
        case 0:
            text = f"{_HEAD}def f(cls=None):\n    {body}\nf()\n{QUESTION}"
        case 1:
            text = text.replace(
                "Input[str]", chance.choice(["Input[object]", "Input[list[str]]", "Input", "str", "Input[dict]"])
            )
        case 2:
            odd = chance.choice(["str", "Literal['é', 'é']", "int | None", "list[str]", "Task", "Literal[1]", "float"])
            text = text.replace('Literal["billing", "delivery", "returns"]', odd)
    case.files["task.py"] = text.encode()
    if chance.random() < 0.1:
        case.files["task.py"] = _bytes_changed(text.encode(), chance)


def _data(case: Damaged, chance: random.Random) -> None:
    odd: list[Any] = [
        "",
        None,
        7,
        2**70,
        1.5,
        True,
        [],
        ["a"],
        {"a": 1},
        "\0",
        "x" * 3_000,
        "a\r\nb",
        "\u2028",
        "<|im_end|>",
    ]
    rows: list[dict[str, Any]] = [dict(item) for item in _ROWS]
    for item in rows:
        if chance.random() < 0.3:
            item[chance.choice(["id", "question", "topic", "é", ""])] = chance.choice(odd)
    name, data = _written(rows, chance)
    if chance.random() < 0.7:
        data = _bytes_changed(data, chance)
    packed = chance.choice(["", "", ".gz", ".zst"])
    if packed:
        data = gzip.compress(data) if packed == ".gz" else pa.compress(data, codec="zstd", asbytes=True)
        data = _bytes_changed(data, chance) if chance.random() < 0.5 else data
    del case.files["data.jsonl"]
    case.files[name + packed] = data
    case.files["dataset.yaml"] = _YAML.replace("data.jsonl", name + packed).encode()


def _written(rows: list[dict[str, Any]], chance: random.Random) -> tuple[str, bytes]:
    match chance.choice(["jsonl", "json", "csv", "tsv", "parquet"]):
        case "jsonl":
            return "rows.jsonl", "\n".join(map(json.dumps, rows)).encode()
        case "json":
            return "rows.json", json.dumps(rows).encode()
        case "parquet":
            buffer = io.BytesIO()
            texts = [{str(key): json.dumps(value) for key, value in item.items()} for item in rows]
            pl.from_dicts(texts).write_parquet(buffer)
            return "rows.parquet", buffer.getvalue()
        case ending:
            sign = "," if ending == "csv" else "\t"
            names = list(rows[0])
            lines = [sign.join(names), *(sign.join(f'"{item.get(name)}"' for name in names) for item in rows)]
            return f"rows.{ending}", "\n".join(lines).encode("utf-8", "surrogatepass")


def _command(case: Damaged, chance: random.Random) -> None:
    def odd() -> str:
        return chance.choice(_TEXTS)

    forms: list[Callable[[], list[str]]] = [
        lambda: ["explain", odd()],
        lambda: ["sql", odd()],
        lambda: ["verify", odd()],
        lambda: ["duplicates", "--of", odd()],
        lambda: ["duplicates", "--limit", odd()],
        lambda: ["release", "--version", odd()],
        lambda: ["report", "--to", odd()],
        lambda: ["init", odd(), "--name", odd()],
        lambda: [chance.choice(["status", "check", "curate", "releases", "collect"]), odd()],
        lambda: [odd(), odd()],
    ]
    case.commands = [["curate", "--json"], ["release", "--json"]]
    for _ in range(6):
        case.commands.append([*chance.choice(forms)(), *(["--json"] if chance.random() < 0.5 else [])])


KINDS: dict[str, Callable[[Damaged, random.Random], None]] = {
    "yaml": _yaml,
    "task": _task,
    "data": _data,
    "command": _command,
}


# --- laws -------------------------------------------------------------------------------------------
class Hangs(BaseException):
    """A case goes on for ever."""


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    def stop(*args: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def broken_law(folder: Path, case: Damaged) -> str:
    """Which law a case breaks, in words; empty if none is broken."""
    folder.mkdir()
    try:
        for name, data in case.files.items():
            (folder / name).write_bytes(data)
        for command in case.commands:
            if problem := _problem(folder, command):
                return f"{command}: {problem}"
        for name, data in sound().items():
            (folder / name).write_bytes(data)
        return _problem_of_the_state(folder)
    finally:
        shutil.rmtree(folder)


def _run(folder: Path, command: list[str]) -> Any:
    servers = dict.fromkeys(("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "PREFECT_API_URL"), "")
    environment = {"GOLDLEAF_HOME": str(folder / "home"), "COLUMNS": "120", **servers}
    with contextlib.chdir(folder), _patience():
        return CliRunner().invoke(app, command, env=environment)


def _problem(folder: Path, command: list[str]) -> str:
    try:
        result = _run(folder, command)
    except Hangs:
        return f"it goes on for more than {_SECONDS} seconds"
    said = result.stderr[result.stderr.find("error:") :] if "error:" in result.stderr else result.stderr
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"a traceback: {result.exception!r}"
    if result.exit_code not in (0, 1, 2):
        return f"exit code {result.exit_code}"
    if (
        "Traceback" in said
        or (result.exit_code != 2 and said.count("\n") > _MOST_LINES)
        or len(said) > _MOST_CHARACTERS
    ):
        return f"an error of {len(said)} characters: {said[:300]}"
    if result.exit_code == 1 and not (said or result.stdout):
        return "exit code 1 without a word"
    if "--json" in command and (result.stdout or result.exit_code == 0):
        try:
            json.loads(result.stdout)
        except ValueError:
            # Help is asked for by no --json.
            return f"stdout is no JSON: {result.stdout[:300]!r}" if result.exit_code != 2 else ""
    return ""


def _problem_of_the_state(folder: Path) -> str:
    result = _run(folder, ["status", "--json"])
    if result.exit_code != 0:
        return f"status fails afterwards: {result.stderr[-300:]} {result.exception!r}"
    numbers = json.loads(result.stdout)
    current = numbers["raw"] - numbers["superseded"] - numbers["withdrawn"]
    found = sum(numbers[fate] for fate in _FATES)
    return "" if current == found else f"{current} records are current, but {found} have a fate"
