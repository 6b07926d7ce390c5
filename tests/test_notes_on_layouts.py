"""How the conversations of a source were read is told once, with advice that no row would be lost by."""

from pathlib import Path
from typing import Any

import pytest
from chats import ALPACA, ANSWER, GPT, HUMAN, USER
from odd import Odd
from support import write_rows
from terminal import Terminal

from pipeline.errors import ConfigError

DESK = '''
from schemas.task import Conversation


class Question(Task):
    """Is the answer right?"""

    messages: Conversation
'''
EACH = "each row is read in its own layout; `layout:` would reject those of the others"


def messages(key: int, **more: Any) -> dict[str, Any]:
    return {"id": key, "messages": [{**USER, "content": f"Hi, number {key}"}, {**ANSWER, **more}]}


def other_layouts(key: int) -> list[dict[str, Any]]:
    shared = {"id": key, "conversations": [{**HUMAN, "value": f"Who is {key}?"}, GPT]}
    return [shared, {**ALPACA, "id": key + 1, "input": str(key)}]


def notes(terminal: Terminal) -> list[str]:
    return [line for line in terminal.json("curate")["note"].splitlines() if "conversations" in line]


def checked(terminal: Terminal) -> str:
    [found] = [one["detail"] for one in terminal.json("check") if one["what"] == "source examples"]
    return str(found)


def test_a_single_layout_is_told_by_check_only(tmp_path: Path) -> None:
    Odd(tmp_path, DESK, [messages(1), messages(2)])
    terminal = Terminal(tmp_path)
    assert "conversations: 2 rows of messages; set `layout: messages` to read them as nothing else" in checked(terminal)
    assert notes(terminal) == []


def test_nobody_is_advised_to_name_one_layout_of_several(tmp_path: Path) -> None:
    odd = Odd(tmp_path, DESK, [messages(1), messages(2), *other_layouts(3)])
    terminal, read = Terminal(tmp_path), "2 rows of messages, 1 row of sharegpt, 1 row of alpaca"
    assert f"; conversations: {read}; {EACH}" in checked(terminal)
    assert notes(terminal) == [f"source 'examples': conversations read from {read}; {EACH}"]
    assert notes(terminal) == [], "nothing is new"
    write_rows(odd.folder, [messages(1), messages(2), *other_layouts(3), messages(5)])
    assert notes(terminal)[0].startswith("source 'examples': conversations read from 3 rows of messages, ")


@pytest.mark.parametrize("layout", ["auto", "messages"])
def test_keys_that_are_not_kept_are_told_where_the_layout_is_named_too(tmp_path: Path, layout: str) -> None:
    odd = Odd(tmp_path, DESK, [messages(1, mood="fine")])
    odd.edit("license: MIT", f"license: MIT, layout: {layout}")
    assert notes(Terminal(tmp_path)) == [
        "source 'examples': conversations read from 1 row of messages; not kept of its turns: 'mood'"
    ]
    assert ("set `layout:" in checked(Terminal(tmp_path))) == (layout == "auto")


def test_a_named_layout_that_no_row_has_ends_the_run_and_one_that_some_have_does_not(tmp_path: Path) -> None:
    odd = Odd(tmp_path, DESK, [messages(1), messages(2)])
    odd.edit("license: MIT", "license: MIT, layout: sharegpt")
    with pytest.raises(ConfigError, match="source 'examples': no row has the layout 'sharegpt'; correct `layout:`"):
        odd.curate()
    write_rows(odd.folder, [messages(1), *other_layouts(2)[:1]])
    assert odd.curate().funnel.rejected == 1


NARRATED = {"messages": [{"role": "narrator", "content": "It rained."}, ANSWER]}
PICTURED = {"messages": [{**USER, "content": [{"type": "image_url", "image_url": {"url": "a.png"}}]}, ANSWER]}
PREFERRED = {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}


@pytest.mark.parametrize("row", [NARRATED, PICTURED, PREFERRED, {"messages": []}, {"messages": "none"}])
@pytest.mark.parametrize("layout", ["auto", "messages"])
def test_rows_that_are_no_conversations_for_another_reason_are_rejected_with_it(
    tmp_path: Path, row: dict[str, Any], layout: str
) -> None:
    odd = Odd(tmp_path, DESK, [{"id": 1} | row])
    odd.edit("license: MIT", f"license: MIT, layout: {layout}")
    assert odd.curate().funnel.rejected == 1
    [reason] = odd[1].reasons
    assert "which `layout:` names" not in reason.detail


def test_a_wrong_layout_is_refused_although_some_rows_have_another_fault(tmp_path: Path) -> None:
    odd = Odd(tmp_path, DESK, [messages(1), {"id": 2, **PREFERRED}])
    odd.edit("license: MIT", "license: MIT, layout: sharegpt")
    with pytest.raises(ConfigError, match="no row has the layout 'sharegpt'"):
        odd.curate()
    odd.edit("layout: sharegpt", "layout: messages")
    assert odd.curate().funnel.rejected == 1
