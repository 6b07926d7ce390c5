"""What a rewritten text changes is marked for annotators, as HTML in which no text is markup."""

from typing import Literal

import pytest

from pipeline.kinds.registry import kind_of
from pipeline.review.changes import marked_changes
from schemas.field import FreeText
from schemas.task import Input, Target, Task


class Plain(Task):
    """Say it plainly."""

    text: Input[str | None] = None
    tone: Target[Literal["formal", "casual"] | None] = None
    plain: Target[FreeText[str | None]] = None


def marked(text: str | None, plain: str | None) -> str:
    return marked_changes(Plain, {"text": text}, {"tone": "casual", "plain": plain})


def test_what_is_left_out_and_what_is_new_stands_out() -> None:
    assert marked("Send the old rope to us.", "Send the rope to all us.") == (
        "Send the<del> old</del> rope to<ins> all</ins> us."
    )


def test_nothing_in_a_text_is_markup_and_lines_stay_lines() -> None:
    html = marked("Take <b>this</b> & that road\nto the town hall", "Take <i>this</i> & That road\nto the town hall")
    assert "<b>" not in html and "<i>" not in html and "& " not in html.replace("&amp; ", "").replace("&lt;", "")
    assert "<br>" in html and "\n" not in html
    assert "&lt;b&gt;" in html and "&lt;i&gt;" in html
    in_form_only = marked("Take that road to the town", "Take that <Road> to the town")
    assert in_form_only == "Take that<del> road</del><ins> &lt;Road&gt;</ins> to the town"


@pytest.mark.parametrize(
    ("text", "plain"),
    [(None, "Go."), ("Go now.", None), ("Go now.", ""), ("Go now.", "Go now.")],
)
def test_where_there_is_nothing_to_compare_nothing_is_marked(text: str | None, plain: str | None) -> None:
    assert marked(text, plain) == ""
    assert marked_changes(Plain, {"text": text}, None) == ""


def test_a_text_that_keeps_less_than_a_third_is_not_marked_from_end_to_end() -> None:
    assert marked("Send the old rope to us before the end of May.", "Schicken Sie uns das Seil bis Ende Mai.") == ""


def test_a_copy_is_the_original_in_the_free_texts_only() -> None:
    assert kind_of(Plain).copied(Plain, {"text": "Go now."}) == {"tone": None, "plain": "Go now."}
