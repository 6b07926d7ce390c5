"""Every kind of task from its first row to a version: asked in Label Studio, answered by keyboard, published."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from browser_desk import Desk, log_in
from playwright.sync_api import Browser, Page, expect
from terminal import Terminal

from flows.local.studio_server import LocalStudio
from pipeline.kinds.registry import KIND_NAMES
from pipeline.review.label_studio import LabelStudio

expect.set_options(timeout=20_000)
WIDE = {"width": 1280, "height": 800}
CALL = {"type": "function", "function": {"name": "find_book", "arguments": '{"title":  "Salt"}'}}
TOOLS = [{"type": "function", "function": {"name": "find_book", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def page(browser: Browser, label_studio: LocalStudio) -> Iterator[Page]:
    """A browser window of a user who has logged in."""
    context = browser.new_context(viewport=WIDE, locale="en-US")  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(20_000)
    log_in(page, label_studio)
    yield page
    context.close()


@pytest.fixture
def desk(page: Page, label_studio: LocalStudio) -> Iterator[Desk]:
    with LabelStudio(label_studio.url, label_studio.token) as client:
        yield Desk(page, client)


def classify(desk: Desk) -> None:
    desk.press("2")


def choose_two(desk: Desk) -> None:
    desk.press("1", "4")


def write(desk: Desk) -> None:
    desk.tab_to("plain")
    desk.keys.type("Tell the office in writing.")
    # A browser's key, by which the cursor leaves the field.
    desk.tab_to("BUTTON")


def extract(desk: Desk) -> None:
    desk.tab_to("person")
    desk.keys.type("Anna")
    desk.tab_to("day-date")
    desk.keys.type("05092026")
    desk.tab_to("BUTTON")


def reply(desk: Desk) -> None:
    turns = desk.page.locator(".goldleaf-turn")
    expect(turns).to_have_count(4)
    expect(turns.nth(1)).to_contain_text('find_book {\n  "title": "Salt"\n}', use_inner_text=True)
    desk.tab_to("messages-turn")
    desk.keys.type("It is on shelf B2.")
    desk.tab_to("BUTTON")


# For each kind: a row without an answer, how it is answered by keyboard, and the answer that must be published.
ROWS: dict[str, tuple[dict[str, Any], Callable[[Desk], None], dict[str, Any]]] = {
    "classification": ({"question": "Where is my parcel?"}, classify, {"topic": "delivery"}),
    "multi-label": ({"comment": "The room was as loud as the bar."}, choose_two, {"aspects": ["room", "noise"]}),
    "rewriting": (
        {"sentence": "Notice must be given to the office in writing."},
        write,
        {"plain": "Tell the office in writing."},
    ),
    "extraction": (
        {"message": "Anna comes by on 2026-05-09."},
        extract,
        {"person": "Anna", "day": "2026-05-09", "place": None},
    ),
    "chat": (
        {
            "messages": [
                {"role": "user", "content": "Do you have Salt?"},
                {"role": "assistant", "content": "", "tool_calls": [CALL]},
                {"role": "tool", "content": '{"shelf": "B2"}'},
                {"role": "user", "content": "Where is it?\n\nI am upstairs."},
            ],
            "tools": TOOLS,
        },
        reply,
        {},
    ),
}


def published(version: Path, task_field: str, value: Any) -> list[dict[str, Any]]:
    files = sorted(version.glob("data/*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    return [row for row in rows if value in json.dumps(row["fields"][task_field])]


def is_answered(row: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether a starter's row has an answer: others would be asked about, too."""
    if "messages" in row:
        return bool(row["messages"][-1]["role"] == "assistant")
    return any(row.get(name) is not None for name in expected)


def test_every_kind_is_answered_here() -> None:
    assert ROWS.keys() == set(KIND_NAMES)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_row_is_asked_about_answered_by_keyboard_and_published(
    desk: Desk, label_studio: LocalStudio, tmp_path: Path, kind: str
) -> None:
    row, answer, expected = ROWS[kind]
    terminal = Terminal(tmp_path, label_studio.url, label_studio.token)
    terminal.goldleaf("init", "new", "--kind", kind, "--name", f"browser-{kind}")
    file = tmp_path / "new" / "dataset.yaml"
    rows = (tmp_path / "new" / "data.jsonl").read_text(encoding="utf-8").splitlines()
    labeled = [line for line in rows if is_answered(json.loads(line), expected)]
    (tmp_path / "new" / "data.jsonl").write_text("\n".join([*labeled, json.dumps(row)]) + "\n", encoding="utf-8")
    file.write_text(file.read_text(encoding="utf-8") + "\nreview: {budget: 1, audit: 0.0}\n", encoding="utf-8")
    pushed = terminal.json("curate", str(file))
    desk.page.goto(f"{pushed['review']['url']}?labeling=1")
    expect(desk.page.locator("button[name=submit]")).to_be_enabled()
    expect(desk.page.locator(".goldleaf-form")).to_contain_text("It has no answer yet")
    answer(desk)
    with desk.page.expect_response(lambda r: "/annotations" in r.url and r.request.method == "POST") as saved:
        desk.press("Control+Enter")
    assert saved.value.ok
    terminal.goldleaf("collect", str(file))
    version = Path(terminal.json("release", str(file))["path"])
    field, text = next((name, value) for name, value in row.items() if name != "tools")
    [found] = published(version, field, text if isinstance(text, str) else "I am upstairs.")
    assert found["label_source"] == "human"
    assert {name: found["fields"][name] for name in expected} == expected
    if not expected:
        [turn] = found["completion"]
        assert json.loads(turn) == {"role": "assistant", "content": "It is on shelf B2."}
        calls = found["fields"]["messages"][1]["tool_calls"]
        assert calls[0]["function"]["arguments"] == CALL["function"]["arguments"]  # type: ignore[index]
