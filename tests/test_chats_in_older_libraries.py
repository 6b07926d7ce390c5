"""The card of a version with conversations says how trainers read it whose libraries do not know its type of turns."""

import json
import re
from pathlib import Path

import pytest
from odd import QUESTION, Odd
from support import row
from test_empty_answers import TALK

from flows.engines.engine import Inline
from flows.release import release

ABOUT = "turns are of the type `Json`"


def test_the_card_s_lines_write_every_turn_of_every_split_as_json_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = {"type": "function", "function": {"name": "find", "arguments": {"city": "Rome"}}}
    rows: list[dict[str, object]] = []
    for n in range(20):
        asked = {
            "role": "user",
            "content": f"How warm is it in the city number {n}, called {'abcdefghij' * (n % 3)}{n}?",
        }
        steps = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": f"{n} degrees"}]
        turns = [asked, *(steps if n % 2 else []), {"role": "assistant", "content": f"It is {n} degrees there."}]
        rows.append({"id": n, "messages": turns})
    odd = Odd(
        tmp_path / "talk", TALK, rows, "duplicates: {threshold: 1.0}\nsplit: {fractions: {train: 0.8, test: 0.2}}\n"
    )
    odd.edit("task.py:Question", "task.py:Talk")
    odd.curate()
    version = Path(release(odd.context, Inline()).path)
    card = (version / "README.md").read_text()
    assert ABOUT in card and "4.0.0 fails with a TypeError" in card
    [lines] = [block for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if "jsonl" in block]
    monkeypatch.chdir(tmp_path)
    exec(lines.replace(f"path/to/{version.name}", str(version)), {})
    written = [
        json.loads(line)["messages"]
        for split in ("train", "test")
        for line in (tmp_path / f"{split}.jsonl").read_text().splitlines()
    ]
    published = [turns["messages"] for turns in rows if odd[turns["id"]].fate == "accepted"]  # type: ignore[index]
    assert len(written) == len(published) > 10
    assert {json.dumps(one[-1], sort_keys=True) for one in written} == {
        json.dumps(one[-1], sort_keys=True)
        for one in published  # type: ignore[index]
    }
    called = [turn for chat in written for turn in chat if "tool_calls" in turn]
    assert called and all(turn["tool_calls"] == [call] for turn in called), "no key is added to a turn, and none lost"
    assert not any("tool_calls" in turn for chat in written for turn in chat if turn["role"] != "assistant")


def test_a_version_that_every_library_reads_needs_no_such_lines(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, [row(n, f"the fee of {n} was wrong", "billing") for n in range(20)])
    odd.curate()
    assert ABOUT not in (Path(release(odd.context, Inline()).path) / "README.md").read_text()
