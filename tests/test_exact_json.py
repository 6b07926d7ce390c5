"""Calls of tools survive publication: what a version's JSON says is what ``load_dataset`` gives back."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminal import Terminal
from tried_examples import examples

from pipeline.releases.exact_json import exact_json
from pipeline.releases.row_digests import row_digests
from schemas.message import FunctionCall, Message, Speaker, ToolCall

# Nearer to the smallest and largest floats not every number can be written so.
FLOATS = st.floats(1e-290, 1e290) | st.floats(-1e290, -1e-290)
SHORT_NUMBERS = st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 6)).map(lambda one: one[0] / 10 ** one[1])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\u00e9\n", max_size=3), inner, max_size=3),
    max_leaves=10,
)


def read_back(text: str) -> Any:
    """What a loaded dataset makes of a JSON text in a column of JSON."""
    from pandas.io.json import ujson_loads

    return ujson_loads(text)


def taken(arguments: str) -> Any:
    """The arguments of a call as chat templates take them."""
    call = ToolCall(function=FunctionCall(name="f", arguments=arguments))
    [shown] = Message(role=Speaker.ASSISTANT, tool_calls=(call,)).for_template()["tool_calls"]
    return shown["function"]["arguments"]


@given(SHORT_NUMBERS | FLOATS)
@examples(500)
def test_a_number_is_read_back_as_the_very_same(number: float) -> None:
    text = exact_json({"x": [number]})
    assert read_back(text) == {"x": [number]}
    assert json.loads(text) == {"x": [number]}, "for every other parser, too"


@pytest.mark.parametrize("number", [0.7, 0.0191, 2.73e-05, 4.56e21, 7.81, -0.95, 0.0, 1.0, 1e22, sys.float_info.max])
def test_numbers_that_the_parser_rounds_are_written_so_that_it_does_not(number: float) -> None:
    assert read_back(exact_json(number)) == number


@given(JSON)
@examples(200)
def test_everything_else_is_read_back_as_it_was(value: Any) -> None:
    assert read_back(exact_json(value)) == value


@pytest.mark.parametrize(
    "arguments",
    [
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"big": 18446744073709551616}',
        '{"small": -9223372036854775809}',
        '{"a": "\\ud800"}',
        '{"\\udfff": 1}',
        '{"a": 1, "a": 2}',
        '{"a": ' + "[" * 101 + "]" * 101 + "}",
        '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"a": ' + "9" * 5000 + "}",
        "[1]",
        "not JSON",
        "",
    ],
)
def test_arguments_that_a_template_or_a_parser_would_change_stay_a_text(arguments: str) -> None:
    assert taken(arguments) == arguments


@pytest.mark.parametrize(
    "arguments",
    ["{}", '{"dim": 0.7}', '{"n": 18446744073709551615}', '{"a": ' + "[" * 99 + "]" * 99 + "}", '{"a": {"b": null}}'],
)
def test_other_arguments_are_objects(arguments: str) -> None:
    assert taken(arguments) == json.loads(arguments)


ODD = ['{"dim":  0.7}', '{"a": "\\ud800"}', '{"big": 18446744073709551616}', '{"a": ' + "[" * 600 + "]" * 600 + "}"]


def calling(arguments: str) -> dict[str, Any]:
    """A turn that calls a tool."""
    return {
        "role": "assistant",
        "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": arguments}}],
    }


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A published version with odd calls, as ``load_dataset`` reads it."""
    tmp_path = tmp_path_factory.mktemp("chats")
    terminal = Terminal(tmp_path)
    terminal.goldleaf("init", "new", "--kind", "chat")
    file = tmp_path / "new" / "dataset.yaml"
    [path] = [path for path in (tmp_path / "new").iterdir() if path.suffix == ".jsonl"]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "multipleOf": 0.7}}}
    done = [{"role": "tool", "content": "ok"}, {"role": "assistant", "content": "Done."}]
    skipped = [{"role": "assistant", "content": "Hm.", "weight": 0}, {"role": "user", "content": "And?"}]
    rows = [
        {
            "messages": [{"role": "user", "content": f"Do it {word}."}, *skipped, calling(arguments), *done],
            "tools": [tool],
        }
        for arguments, word in zip(ODD, ("at once", "with care", "tomorrow", "in May"), strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    file.write_text(
        file.read_text(encoding="utf-8").replace("{train: 0.8, validation: 0.1, test: 0.1}", "{train: 1.0}")
        + "\nreview: {budget: 0, audit: 0.0, unreviewed: accept}\n",
        encoding="utf-8",
    )
    terminal.goldleaf("curate", str(file), "--no-push")
    published = terminal.json("release", str(file))["path"]
    return datasets.load_dataset(published, cache_dir=str(tmp_path / "cache"))


def test_a_version_with_odd_calls_loads_and_its_fields_keep_their_bytes(chats: Any) -> None:
    loaded = chats["train"]
    kept = {row["fields"]["messages"][3]["tool_calls"][0]["function"]["arguments"] for row in loaded}
    assert kept == set(ODD)
    shown = [row["prompt"][-2]["tool_calls"][0]["function"]["arguments"] for row in loaded]
    assert {"dim": 0.7} in shown and all(one in ODD for one in shown if isinstance(one, str))
    assert {row["tools"][0]["function"]["parameters"]["multipleOf"] for row in loaded} == {0.7}


def test_the_guides_code_makes_a_row_for_each_turn_that_is_learned(chats: Any) -> None:
    guide = (Path(__file__).parent.parent / "docs" / "ml-engineers.md").read_text(encoding="utf-8")
    [code] = re.findall(r"^```python chat\n((?s:.*?))^```$", guide, re.MULTILINE)
    names: dict[str, Any] = {"chats": chats}
    exec(compile(code, "ml-engineers.md", "exec"), names)
    without: dict[str, Any] = {"chats": chats.remove_columns("tools")}
    exec(compile(code, "ml-engineers.md", "exec"), without)
    assert without["train"].column_names == ["prompt", "completion"]
    assert list(without["train"]["prompt"]) == list(names["train"]["prompt"])
    rows = list(names["train"])
    assert len(rows) == 2 * len(ODD)
    assert [len(row["prompt"]) for row in rows] == [3, 5] * len(ODD)
    assert {row["completion"][0]["content"] for row in rows} == {"", "Done."}
    assert sum("tool_calls" in row["completion"][0] for row in rows) == len(ODD)


def test_a_digest_does_not_depend_on_how_numbers_are_spelled() -> None:
    def digest(text: str) -> bytes:
        texts = pa.array([text], pa.string())
        column = pa.ListArray.from_arrays([0, 1], pa.ExtensionArray.from_storage(pa.json_(pa.string()), texts))
        return bytes(row_digests(pa.record_batch({"prompt": column}))[0])

    assert digest('{"dim":0.7}') == digest('{"dim":0.700}') != digest('{"dim":0.8}')
