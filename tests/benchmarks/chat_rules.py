"""Applies the chat rules to public conversation files, and plants faults into their clean rows.

``python tests/benchmarks/chat_rules.py FOLDER`` prints how many rows of which file each rule doubts, how many planted
faults are found, and rows a second. ``--show RULE`` prints 20 of its findings instead, to be judged by eye.
"""

import argparse
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat_faults import FAULTS
from chat_layouts import rows_of

from pipeline.ingest.chat_layouts import NotAChat, read_chat
from pipeline.label_errors.chat_rules import Finding, Rule, doubts
from schemas.dataset import Layout
from schemas.message import Message

_SHARE = 0.05
_LEAST = 40
"""Rows that a fault is planted in if 5% are fewer."""
_SEED = 17


@dataclass(frozen=True)
class Row:
    """A conversation, and where it comes from."""

    file: str
    number: int
    messages: Sequence[Message]
    tools: list[dict[str, Any]] | None


def conversations(folder: Path) -> Iterator[Row]:
    """All that can be read; of preference data the better answer, and of KTO's the bad ones, too."""
    for path in sorted(folder.rglob("*.json*")):
        for number, raw in enumerate(rows_of(path)):
            key = "chosen_messages" if "chosen_messages" in raw else None
            if isinstance(raw.get("chosen"), dict):
                raw = {"conversations": [*raw["conversations"], raw["chosen"]]}
            raw.pop("label", None)
            try:
                chat = read_chat(raw, Layout.AUTO, key, None)
            except NotAChat:
                continue
            yield Row(path.name, number, [Message.model_validate(one) for one in chat.messages], chat.tools)


def show(rows: Sequence[Row], found: Sequence[list[Finding]], rule: Rule) -> None:
    """Twenty findings of a rule, with the turn's beginning and end."""
    some = [(row, one) for row, findings in zip(rows, found, strict=True) for one in findings if one.rule is rule]
    for row, one in random.Random(_SEED).sample(some, min(20, len(some))):
        text, before = row.messages[one.turn].content, row.messages[max(one.turn - 1, 0)].content
        calls = [call.function for call in row.messages[one.turn].tool_calls or ()]
        print(f"{row.file}:{row.number} turn {one.turn}: {one.detail}\n  after {json.dumps(before[-150:])}")
        print(f"  {json.dumps(text[:200])} … {json.dumps(text[-200:])} {calls or ''}")


def plant(rows: Sequence[Row]) -> Iterator[tuple[str, int, int, int]]:
    """For every fault: how often it was planted, how often its rule found it, and how often any rule did."""
    for name, (rule, spoil) in FAULTS.items():
        chance = random.Random(f"{_SEED} {name}")
        order = chance.sample(range(len(rows)), len(rows))
        planted = found = noticed = 0
        for at in order:
            if planted >= max(_LEAST, _SHARE * len(rows)):
                break
            if (spoiled := spoil(chance, rows[at].messages, rows[at].tools)) is not None:
                rules = {one.rule for one in doubts(*spoiled)}
                planted, found, noticed = planted + 1, found + (rule in rules), noticed + bool(rules)
        yield name, planted, found, noticed


def main() -> None:
    """Read, doubt, plant, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", type=Rule)
    asked = parser.parse_args()
    rows = list(conversations(asked.folder))
    # Loads the libraries, which are not measured.
    for _, spoil in FAULTS.values():
        for row in rows[:300]:
            if spoiled := spoil(random.Random(_SEED), row.messages, row.tools):
                doubts(*spoiled)
                break
    started = time.process_time()
    found = [doubts(row.messages, row.tools) for row in rows]
    seconds = time.process_time() - started
    if asked.show:
        show(rows, found, asked.show)
        return
    size = sum(len(one.content) for row in rows for one in row.messages)
    print(f"{len(rows):,} rows, {len(rows) / seconds:,.0f} rows and {size / seconds / 1e6:.1f} MB a CPU second")
    by_rule: defaultdict[Rule, Counter[str]] = defaultdict(Counter)
    for row, findings in zip(rows, found, strict=True):
        for rule in {one.rule for one in findings}:
            by_rule[rule][row.file] += 1
    for rule in Rule:
        print(f"{rule:18}{by_rule[rule].total():6}  {', '.join(f'{n} {file}' for file, n in by_rule[rule].items())}")
    clean = [row for row, findings in zip(rows, found, strict=True) if not findings]
    print(f"{len(clean):,} rows without a finding; planted in these:")
    for name, planted, right, any_rule in plant(clean):
        shares = f"{right / max(planted, 1):6.1%} found, {any_rule / max(planted, 1):6.1%} by any rule"
        print(f"{name:32}{planted:5} planted, {shares}")


if __name__ == "__main__":
    main()
