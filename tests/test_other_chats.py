"""Conversations that Goldleaf itself has published, whose speakers have other names, or that are within a field."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from chats import ALPACA, ANSWER, CALL, FIND, GPT, HUMAN, USER, chat, refused
from odd import Odd
from pydantic import Field
from terminal import Terminal
from test_notes_on_layouts import DESK, checked, messages

from pipeline.ingest.formats import read_rows
from pipeline.releases.published_rows import PublishedRow, rows_table
from schemas.dataset import Layout
from schemas.task import Conversation, Task, Tools

SYSTEM = {"role": "system", "content": "Be brief."}


class Helper(Task):
    """Help."""

    messages: Conversation
    tools: Tools = Field(default_factory=list)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_published_conversation_is_read_with_its_tools(tmp_path: Path, kind: str) -> None:
    turns = [
        SYSTEM,
        USER,
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "31"},
    ]
    parsed = Helper.task_parse({"messages": [*turns, ANSWER], "tools": [FIND]})
    row = PublishedRow("r1", parsed.inputs, parsed.targets, "s", "l", "source", "g", 1)
    table = rows_table(Helper, [row])
    file = tmp_path / f"train.{kind}"
    if kind == "parquet":
        pq.write_table(table, file)
    else:
        file.write_text(json.dumps(table.to_pylist()[0]) + "\n")
    [raw] = read_rows(file)
    assert raw.row is not None
    found = chat(raw.row)
    [call] = found.messages[2].pop("tool_calls")
    assert json.loads(call["function"]["arguments"]) == json.loads(CALL["function"]["arguments"])  # type: ignore[index]
    turns[2] = {"role": "assistant", "content": ""}
    assert (found.messages, found.tools, found.layout) == ([*turns, ANSWER], [FIND], Layout.PROMPT_COMPLETION)


def test_prompt_and_completion_may_be_texts_turns_or_their_json() -> None:
    for prompt in ("Hi", [USER], json.dumps([USER]), [json.dumps(USER)]):
        for completion in ("Hello!", [ANSWER], json.dumps([ANSWER])):
            assert chat({"prompt": prompt, "completion": completion}).messages == [USER, ANSWER]
    assert chat({"prompt": "[1, 2] is what?", "completion": None}).messages[0]["content"] == "[1, 2] is what?"
    assert "'completion' is '7'; write a text or a list of turns" in refused({"prompt": "Hi", "completion": 7})
    assert "'prompt' and 'completion' are empty lists" in refused({"prompt": [], "completion": []})
    assert "(KTO)" in refused({"prompt": "Hi", "completion": "Go", "label": False})


def test_a_prompt_beside_turns_is_not_read_unless_the_layout_says_so() -> None:
    row = {"messages": [USER], "prompt": "Hi", "completion": "Hello!"}
    assert chat(row).layout is Layout.MESSAGES
    assert chat(row, Layout.PROMPT_COMPLETION).messages == [USER, ANSWER]


def test_speakers_may_have_other_names(tmp_path: Path) -> None:
    turns = [{**USER, "role": "prompter"}, ANSWER]
    odd = Odd(tmp_path, DESK, [{"id": 1, "messages": turns}, messages(2)])
    assert odd.curate().funnel.rejected == 1
    assert odd[1].reasons[0].detail.endswith("; say under `roles:` who another is")
    odd.edit("license: MIT", "license: MIT, roles: {prompter: user}")
    assert "2 valid" in checked(Terminal(tmp_path))
    again = odd.curate().funnel
    assert (again.raw, again.rejected) == (2, 0), "what was derived counts no more, the records do"
    shared = [{**HUMAN, "from": "ask"}, GPT]
    assert chat({"conversations": shared}, roles={"ask": "user"}).messages == [USER, ANSWER]
    odd.edit("prompter: user", "prompter: usr")
    said = Terminal(tmp_path).goldleaf("check", exit_code=1).output
    assert "roles.prompter" in said and "'user'" in said


def test_a_conversation_may_be_within_a_field() -> None:
    inner = {"messages": [USER, ANSWER]}
    assert chat({"id": 1, "data": [inner]}, turns="data.0").messages == [USER, ANSWER]
    assert chat({"system": "Be brief.", "data": inner}, turns="data").messages == [SYSTEM, USER, ANSWER]
    seed = {"instruction": "Add", "instances": [{"input": "1, 2", "output": "3"}, {"input": "", "output": ""}]}
    assert chat(seed, turns="instances.0").messages == chat(ALPACA).messages
    assert "'data' is '7'" in refused({"data": 7}, turns="data")


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"instruction": "Hi", "output": ["Hello!", "Go away"]}, "output.0"),
        ({"instruction": "Hi", "output": '["Hello!", "Go away"]'}, "output.0"),
        ({"prompt": "Hi", "answers": ["Go away", "Hello!"]}, "answers.-1"),
        ({"prompt": "Hi", "chosen": "Hello!", "rejected": "Go away"}, "chosen"),
        ({"prompt": [USER], "chosen": [ANSWER], "rejected": [{**ANSWER, "content": "Go"}]}, "chosen"),
        ({"conversations": [HUMAN], "chosen": GPT, "rejected": {**GPT, "value": "Go"}}, "chosen"),
        ({"pair": [[USER, ANSWER], [USER]]}, "pair.0"),
        ({"pair": json.dumps([[USER, ANSWER], [USER]])}, "pair.0"),
    ],
)
def test_of_a_pair_of_answers_the_one_that_the_field_map_names_is_read(row: dict[str, Any], path: str) -> None:
    assert chat(row, turns=path).messages == [USER, ANSWER]


def test_a_list_of_answers_says_how_to_name_one() -> None:
    assert refused({"instruction": "Hi", "output": ["a", "b"]}).endswith(
        "map the turns to the one to keep, as in `output.0`"
    )
