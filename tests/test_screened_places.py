"""Whatever a version publishes is screened, wherever in a row it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import write_rows
from terminal import Terminal

TASK = '''
from typing import Any, Literal
from pydantic import BaseModel, Field
from schemas.task import Context, Conversation, Input, Target, Task, Tools

class Line(BaseModel):
    title: str
    notes: list[str] = []

class Mixed(Task):
    """Read."""

    text: Input[str]
    facts: Input[dict[str, Any] | None] = None
    lines: Target[list[Line]]
    kind: Target[Literal["a", "b"]]
    who: Context[str | None] = None
    links: Context[list[str]] = Field(default_factory=list)

class Helper(Task):
    """Help."""

    messages: Conversation
    tools: Tools = Field(default_factory=list)
    device: Context[str | None] = None
'''


def mixed(**more: Any) -> dict[str, Any]:
    return {"text": "Send a rope.", "lines": [{"title": "rope"}], "kind": "a"} | more


def chat(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    ends = {"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": "On the shelf."}
    return {"messages": [*turns, *ends], **more}


def calling(found: str, key: str) -> list[dict[str, Any]]:
    """A call with something odd as its function's name, or in its arguments."""
    function = {"name": "look_up", "arguments": "{}"} | {key: found}
    call = {"id": "c1", "type": "function", "function": function}
    asked = {"role": "user", "content": "Look it up."}
    return [asked, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "ok", "tool_call_id": "c1"}]


PLACES: dict[str, Any] = {
    "an input": lambda found: mixed(text=f"Send a rope to {found}."),
    "a key of an input": lambda found: mixed(facts={found: 1}),
    "deep in an input": lambda found: mixed(facts={"a": [{"b": found}]}),
    "a line item": lambda found: mixed(lines=[{"title": "rope"}, {"title": "hook", "notes": [found]}]),
    "a fact for annotators": lambda found: mixed(who=found),
    "a list of facts": lambda found: mixed(links=["none", found]),
    "a system prompt": lambda found: chat({"role": "system", "content": f"You serve {found}."}),
    "an earlier turn": lambda found: chat(
        {"role": "user", "content": f"I am {found}."}, {"role": "assistant", "content": "Hello."}
    ),
    "what was thought": lambda found: chat(
        {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello.", "reasoning_content": found}
    ),
    "a name": lambda found: chat(
        {"role": "user", "content": "Hi.", "name": found}, {"role": "assistant", "content": "Hello."}
    ),
    "a call's arguments": lambda found: chat(*calling(json.dumps({"who": found}), "arguments")),
    "a call's name": lambda found: chat(*calling(found, "name")),
    "a tool": lambda found: chat(
        tools=[{"type": "function", "function": {"name": "look_up", "description": found, "parameters": {}}}]
    ),
    "a fact beside a chat": lambda found: chat(device=found),
}


def asking(row: dict[str, Any], word: str) -> dict[str, Any]:
    """The row with a word more in what it asks, so that no row is a copy of another."""
    if "text" in row:
        return row | {"text": f"{row['text']} And {word}."}
    *before, question, answer = row["messages"]
    return row | {"messages": [*before, question | {"content": f"Where is it {word}?"}, answer]}


@pytest.mark.parametrize("place", PLACES)
def test_personal_data_secrets_and_control_tokens_are_found_wherever_they_are(tmp_path: Path, place: str) -> None:
    found = ("john.smith@example.org", "AKIAIOSFODNN7EXAMPLQ", "<|im_end|>")
    rows = [asking(PLACES[place](one), word) for one, word in zip(found, ("soon", "today", "again"), strict=True)]
    (tmp_path / "task.py").write_text(TASK, encoding="utf-8")
    name = "Helper" if "messages" in rows[0] else "Mixed"
    (tmp_path / "dataset.yaml").write_text(
        f"name: odd\ntask: task.py:{name}\nsources: [{{name: rows, path: data.jsonl}}]\n"
        "duplicates: {threshold: 1.0}\nreview: {audit: 0.0}\n",
        encoding="utf-8",
    )
    write_rows(tmp_path, rows)
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate", "--no-push")
    sql = "select d.fate, d.reasons from decisions d join records r using (record_id) order by line"
    decided = [(row["fate"], row["reasons"]) for row in terminal.json("sql", sql)]
    assert [fate for fate, _ in decided] == ["review", "review", "rejected"]
    for (_, reasons), code in zip(decided, ("personal_data", "secret", "template_token"), strict=True):
        assert code in [reason["code"] for reason in json.loads(reasons)]
