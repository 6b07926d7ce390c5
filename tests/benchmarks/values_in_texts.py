"""Does a text say this date, number or time? Goldleaf's search before and now, and libraries, on authored lists.

python tests/benchmarks/values_in_texts.py    includes the libraries that the interpreter has
"""

import argparse
import json
import random
import subprocess
import sys
import time
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import HERE, Failed, folder, interpreter, run
from rich.console import Console
from tables import Results

from pipeline.label_errors.grounding import Source, ungrounded
from schemas.field import JsonValue, TargetField, ValueType
from schemas.field_values import leaves

_LISTS = {"first": "the first list", "held_out": "held out", "exam": "exam", "fresh": "fresh", "final": "final"}
_GOLDLEAF, _BEFORE = "**Goldleaf**", "Goldleaf before, English only"
_BEFORE_COMMIT = "1908865"
_TYPES = {"date": ValueType.DATE, "number": ValueType.NUMBER, "amount": ValueType.NUMBER}
_LANGUAGES = ("en", "de", "fr", "es", "pt", "ja")
_TEXTS, _WORDS, _SIGNS = 600, 60, 150
_HELP = """\
The lists were written by us, one value and one text an entry. first: 200 entries in English, German, French, Spanish,
Portuguese and Japanese, known while the search was made. held_out and exam: 132 in 18 languages; fresh and final: 166
in 27 languages, with times. Each of these was written before anything was measured on it, but all have been looked at
since, so judge a change by a new list.

The libraries are imported by the interpreter that --python names; to install them:
  python3 -m venv peers
  peers/bin/pip install babel dateparser price-parser number-parser quantulum3 text2num
"""
Item = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What a way of reading finds, by the ids of the entries, and how fast it is."""

    found: Mapping[str, bool]
    speed: float


# --- Goldleaf -------------------------------------------------------------------------------------
def _before() -> types.ModuleType:
    """The module as it was, from the history.

    Raises:
        Failed: this is no clone with the whole history.
    """
    shown = subprocess.run(
        ["git", "show", f"{_BEFORE_COMMIT}:pipeline/label_errors/grounding.py"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode:
        raise Failed(f"git has no commit {_BEFORE_COMMIT} here")
    module = types.ModuleType("grounding_before")
    exec(shown.stdout, module.__dict__)
    return module


def _says_by(search: Callable[..., Sequence[object]]) -> Callable[[Item], bool]:
    def says(item: Item) -> bool:
        value = item["value"] if item["kind"] == "date" else float(item["value"])
        return not search(item["text"], {"x": value}, [TargetField(name="x", type=_TYPES[item["kind"]])])

    return says


def _speed(search: Callable[..., object], value: str | float, kind: str, texts: Sequence[str]) -> float:
    """Texts per CPU second; the value is in none, so that every way of reading is tried."""
    field = TargetField(name="x", type=_TYPES[kind])
    search(texts[0], {"x": value}, [field])
    start = time.process_time()
    for text in texts:
        search(text, {"x": value}, [field])
    return len(texts) / (time.process_time() - start)


def _goldleaf(search: Callable[..., Sequence[object]], items: list[Item], texts: list[str], kind: str) -> Answers:
    says = _says_by(search)
    found = {item["id"]: says(item) for item in items if item["kind"] in _TYPES}
    return Answers(found, _speed(search, "1900-01-01" if kind == "date" else -0.123, kind, texts))


# --- texts ----------------------------------------------------------------------------------------
def _items() -> dict[str, list[Item]]:
    place = HERE / "values_in_texts"
    return {
        name: [json.loads(line) for line in (place / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in _LISTS
    }


def _texts(items: list[Item]) -> list[tuple[str, str]]:
    """Texts of about 60 words (150 characters in Japanese), put together from those of the first list."""
    chance, texts = random.Random(7), []
    for number in range(_TEXTS):
        language = _LANGUAGES[number % len(_LANGUAGES)]
        own = [item["text"] for item in items if item["lang"] == language]
        joint, text = "" if language == "ja" else " ", ""
        while (len(text) < _SIGNS) if language == "ja" else (len(text.split()) < _WORDS):
            text += joint + chance.choice(own)
        texts.append((language, text.strip()))
    return texts


def _libraries(items: list[Item], texts: list[tuple[str, str]], python: str) -> dict[str, Any]:
    with folder() as place:
        given, out = place / "in.json", place / "out.json"
        given.write_text(json.dumps({"items": items, "texts": texts}), encoding="utf-8")
        run([python, str(HERE / "value_readers.py"), str(given), str(out)], place)
        made: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    for name, answers in made.items():
        if "missing" in answers:
            print(
                f"{name} is left out: {python} has no {', '.join(answers['missing'])} (--help says how to install it)"
            )
    return {name: answers for name, answers in made.items() if "missing" not in answers}


# --- tables ---------------------------------------------------------------------------------------
def _cell(found: Mapping[str, bool], items: list[Item]) -> str:
    said = [found[item["id"]] for item in items if item["positive"]]
    unsaid = [found[item["id"]] for item in items if not item["positive"]]
    return f"{sum(said)}/{len(said)}, {sum(unsaid)}/{len(unsaid)}"


def _table(title: str, kinds: tuple[str, ...], rows: Mapping[str, Answers], lists: dict[str, list[Item]]) -> Results:
    base = rows[_GOLDLEAF].speed
    lines = [
        (
            name,
            *(_cell(answers.found, [item for item in items if item["kind"] in kinds]) for items in lists.values()),
            f"{answers.speed:,.0f}",
            f"{answers.speed / base:.3g}",
        )
        for name, answers in rows.items()
    ]
    note = (
        "Each cell: values found of those that the texts say, and of those that they do not. Texts of 60 words per CPU "
        "second, where the value is not in the text; in proportion to Goldleaf in the same run."
    )
    return Results(title, ("", *_LISTS.values(), "texts/s", "relative"), lines, note)


def _times(lists: dict[str, list[Item]]) -> Results:
    timed = {
        name: [item for item in lists[name] if item["kind"] in ("time", "datetime")] for name in ("fresh", "final")
    }
    found = {}
    for item in [item for some in timed.values() for item in some]:
        source = Source(item["text"])
        found[item["id"]] = (source.holds_time if item["kind"] == "time" else source.holds_datetime)(item["value"])
    cells = (_cell(found, some) for some in timed.values())
    return Results("Times of day", ("", *(_LISTS[name] for name in timed)), [(_GOLDLEAF, *cells)])


def _now(text: str, values: Mapping[str, JsonValue], fields: Sequence[TargetField]) -> Sequence[object]:
    return ungrounded(text, leaves(fields, values))


def _sections(python: str) -> list[Results]:
    lists = _items()
    items = [item for some in lists.values() for item in some]
    texts = _texts(lists["first"])
    try:
        libraries = _libraries(items, texts, python)
    except Failed as failed:
        print(f"the libraries are left out ({failed}); --help says how to install them")
        libraries = {}
    searches = {_GOLDLEAF: _now}
    try:
        searches[_BEFORE] = _before().ungrounded
    except Failed as failed:
        print(f"the search as it was before is left out ({failed})")
    sections = []
    for title, kinds in (("Dates", ("date",)), ("Numbers and amounts", ("number", "amount"))):
        plain = [text for _, text in texts]
        rows = {name: _goldleaf(search, items, plain, kinds[0]) for name, search in searches.items()}
        for name, made in libraries.items():
            if tuple(made["kinds"]) == kinds:
                rows[name] = Answers(made["found"], made["texts_per_second"])
        sections.append(_table(title, kinds, rows, lists))
    return [*sections, _times(lists)]


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", type=interpreter, default=sys.executable, help="the interpreter with the libraries")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    asked = parser.parse_args(given)
    console = Console(width=max(Console().width, 150))
    results = _sections(asked.python)
    for found in results:
        found.show(console)
    if asked.markdown:
        asked.markdown.write_text("\n".join(found.markdown() for found in results), encoding="utf-8")


if __name__ == "__main__":
    main()
