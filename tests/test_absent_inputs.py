"""An optional input that is absent leaves nothing behind: in no prompt, published row, count, table or page."""

from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st
from odd import QUESTION, Odd
from terminal import Terminal

from flows.engines.engine import Inline
from flows.release import release
from pipeline.finetuning.evaluate import questions
from pipeline.finetuning.examples import read_examples
from pipeline.reporting.write_report import report_for_version
from pipeline.text.tokens import count_tokens
from schemas.fate import ReasonCode
from schemas.task import Input, Target, Task

TASK = '''
class Question(Task):
    """Name the topic."""

    question: Input[str]
    product: Input[str | None] = None
    remark: Input[str] = ""
    topic: Target[Literal["billing", "delivery", "returns"]]
'''
TEXT = "The parcel that you sent on Monday has never arrived at my door, where is it now?"
ROWS: list[dict[str, Any]] = [
    {"id": 1, "question": TEXT, "topic": "delivery"},
    {"id": 2, "question": TEXT.replace("now", "now then"), "topic": "delivery"},
    {"id": 3, "question": "How do I send it back?", "product": "lamp", "remark": "urgent", "topic": "returns"},
]


class Noted(Task):
    """Name the tone."""

    note: Input[str | None] = None
    tone: Target[str]


class Remarked(Task):
    """Name the tone."""

    note: Input[str]
    language: Input[str | None] = None
    details: Input[dict[str, int | None] | None] = None
    tone: Target[str]


def user(task: type[Task], inputs: dict[str, Any]) -> str:
    return task.task_prompt(inputs)[1].content


def test_the_line_of_an_absent_input_is_left_out() -> None:
    assert user(Remarked, {"note": "Hi", "language": None, "details": None}) == "note: Hi"
    assert user(Remarked, {"note": "Hi"}) == "note: Hi"
    assert user(Remarked, {"note": "Hi", "language": "en", "details": {"a": None}}) == (
        'note: Hi\n\nlanguage: en\n\ndetails: {"a": null}'
    ), "what is inside a value is the row's own"


def test_a_text_that_says_null_is_not_an_absent_input() -> None:
    assert user(Noted, {"note": "null"}) == "null"


@pytest.mark.parametrize("absent", [{}, {"note": None}, {"note": ""}, {"note": " \u200b"}])
@pytest.mark.parametrize("answer", [{}, {"tone": "warm"}])
def test_a_row_without_any_input_is_invalid(absent: dict[str, Any], answer: dict[str, Any]) -> None:
    [reason] = Noted.task_parse(absent | answer).problems
    assert str(reason) == "it asks nothing: all input is missing or empty"


class Either(Noted):
    """Name the tone."""

    lines: Input[list[str] | None] = None


def test_a_row_with_one_of_its_inputs_is_valid() -> None:
    assert not Either.task_parse({"lines": ["Hi"], "tone": "warm"}).problems
    assert not Either.task_parse({"note": "Hi"}).problems
    assert Either.task_parse({"lines": [], "tone": "warm"}).problems


def test_rows_whose_input_has_another_name_are_rejected_not_one_blank_row_with_copies(tmp_path: Path) -> None:
    rows = [{"id": number, "text": f"Where is parcel {number}?", "topic": "delivery"} for number in range(5)]
    optional = QUESTION.replace("question: Input[str]", "question: Input[str | None] = None")
    odd = Odd(tmp_path, optional, [*rows, {"id": 9, "topic": None}])
    done = odd.curate()
    assert (done.funnel.rejected, done.funnel.current, done.review.waiting) == (6, 6, 0)
    [why] = done.rejections
    assert (why.code, why.detail, why.hint) == (ReasonCode.NO_INPUT, "all input is missing or empty", "")


@given(st.fixed_dictionaries({"note": st.text(), "language": st.none() | st.text()}))
def test_an_input_is_in_the_prompt_if_and_only_if_it_is_there(row: dict[str, str | None]) -> None:
    parsed = Remarked.task_parse({**row, "tone": "warm"})
    if not parsed.problems:
        assert ("language: " in user(Remarked, parsed.inputs).removeprefix(f"note: {row['note']}")) == bool(
            parsed.inputs["language"]
        )


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Odd:
    odd = Odd(tmp_path_factory.mktemp("absent"), TASK, ROWS)
    odd.curate()
    release(odd.context, Inline())
    return odd


def test_published_rows_token_counts_and_evaluation_have_no_trace_of_it(odd: Odd) -> None:
    folder = odd.context.store.releases / "1.0.0"
    loaded = load_dataset("parquet", data_files=str(folder / "data" / "*.parquet"), cache_dir=str(odd.folder / "cache"))
    rows = {row["fields"]["question"]: row for row in loaded["train"]}
    assert (
        rows[TEXT.replace("now", "now then")]["prompt"][1]["content"] == f"question: {TEXT.replace('now', 'now then')}"
    )
    assert rows[ROWS[2]["question"]]["prompt"][1]["content"] == (
        "question: How do I send it back?\n\nproduct: lamp\n\nremark: urgent"
    )
    for row in rows.values():
        said = "\n".join(message["content"] for message in row["prompt"] + row["completion"])
        assert row["tokens"] == count_tokens([said], odd.context.dataset.config.measure.encoding)[0]
    asked = [
        one for split in ("train", "test") for one in questions(odd.context.dataset.task, _examples(folder, split))
    ]
    assert asked and not any("null" in message.content for one in asked for message in one.prompt)


def _examples(folder: Path, split: str) -> list[Any]:
    return list(read_examples(folder, split)) if list((folder / "data").glob(f"{split}-*")) else []


def test_check_duplicates_and_the_report_have_no_trace_of_it(odd: Odd) -> None:
    terminal = Terminal(odd.folder)
    chat = next(found for found in terminal.json("check") if found["what"].endswith("as a chat"))
    assert chat["detail"].split("\n  ")[1] == f"user: question: {TEXT}"
    shown = terminal.goldleaf("duplicates").stdout
    assert "1 near" in shown and "None" not in shown
    assert f"{TEXT}\nNone" not in report_for_version(odd.context).report
