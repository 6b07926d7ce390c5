"""Reads public conversation files, and compares roles and tool calls with an independent reading.

``python tests/benchmarks/chat_layouts.py FOLDER`` prints, for each JSON and JSONL file below the folder, how many rows
were read in which layout and how many were rejected for which reason; then whether every role is the source's, and
every call's arguments are its bytes. It fails if a row is neither read nor rejected, or if anything differs.
"""

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.ingest.chat_layouts import Chat, NotAChat, layouts_found, read_chat
from schemas.dataset import Layout

_PLAIN = {"human": "user", "gpt": "assistant", "observation": "tool", "function_call": "assistant"}
_CALL = re.compile(r'\s*\{"name": "([^"]*)", "arguments": (.*)\}\s*', re.DOTALL)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, whether it holds a list, one object or one object a line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    value = json.loads(text)
    return value if isinstance(value, list) else [value]


def spoken(row: dict[str, Any]) -> list[str]:
    """The roles, read without the code that is tested."""
    if "instruction" in row:
        return ["user", "assistant"]
    turns = row.get("messages") or row["conversations"]
    return [_PLAIN.get(role, role) for turn in turns for role in [turn.get("role") or turn["from"]]]


def calls(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and argument text of every call, cut out by a pattern."""
    for turn in row.get("messages") or row.get("conversations") or []:
        parts = turn["content"] if isinstance(turn.get("content"), list) else []
        texts = [part["value"] for part in parts if part["type"] == "tool_call"]
        for text in texts or ([turn["value"]] if turn.get("from") == "function_call" else []):
            if match := _CALL.fullmatch(text):
                yield match[1], match[2]


def texts(row: dict[str, Any]) -> str:
    """All that is said in a row, without its calls."""
    if "instruction" in row:
        return "".join([row["instruction"], "\n" if row["input"] else "", row["input"], row["output"]])
    said = ""
    for turn in row.get("messages") or row["conversations"]:
        content = turn["content"] if "content" in turn else turn["value"]
        parts = (
            [part["value"] for part in content if part["type"] == "text"] if isinstance(content, list) else [content]
        )
        said += "" if turn.get("from") == "function_call" else "".join(parts)
    return said


def differences(row: dict[str, Any], chat: Chat) -> Iterator[str]:
    """What was read otherwise."""
    if (roles := [message["role"] for message in chat.messages]) != spoken(row):
        yield f"roles {roles} instead of {spoken(row)}"
    if "".join(message["content"] for message in chat.messages) != texts(row):
        yield "other texts"
    found = [call["function"] for message in chat.messages for call in message.get("tool_calls", [])]
    pairs = [(function["name"], function["arguments"]) for function in found]
    if pairs != list(calls(row)):
        yield f"calls {pairs} instead of {list(calls(row))}"


def read_one(row: dict[str, Any]) -> tuple[dict[str, Any], Chat]:
    """A row and its conversation; of preference data that with the better answer, put together independently."""
    better = next((key for key in ("chosen", "chosen_messages") if key in row), None)
    if better is None:
        return row, read_chat(row, Layout.AUTO, None, None)
    chat = read_chat(row, Layout.AUTO, better, None)
    turns = row[better]
    whole = {"messages": turns} if isinstance(turns, list) else {"conversations": [*row["conversations"], turns]}
    return whole, chat


def main() -> None:
    """Read all files of a folder."""
    wrong = 0
    for path in sorted(Path(sys.argv[1]).rglob("*.json*")):
        rows, chats, reasons = rows_of(path), [], Counter[str]()
        started = time.perf_counter()
        for row in rows:
            try:
                chats.append(read_one(row))
            except NotAChat as error:
                reasons[str(error)] += 1
        seconds = time.perf_counter() - started
        many = sum(len(list(calls(row))) for row, _ in chats)
        different = [text for row, chat in chats for text in differences(row, chat)]
        wrong += len(different) + (len(chats) + reasons.total() != len(rows))
        print(f"{path.name}: {len(rows)} rows, {layouts_found(chat for _, chat in chats)}")
        print(f"  {many} calls, {len(different)} differences; {len(rows) / seconds:,.0f} rows/s")
        for text, count in [*reasons.most_common(5), *Counter(different).most_common(5)]:
            print(f"  {count} x {text}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
