"""What annotators read behind the button "Instructions": the task's docstring, and the guidelines of the dataset."""

import itertools
import re

from markdown_it import MarkdownIt

from pipeline.config.dataset_file import LoadedDataset

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
"""HTML in the files is shown as text: the dialog would run it."""
_LEAST_WIDTH = 60
"""Editors wrap at this column or later."""
_QUOTES = len('"""')
_ENDS = (".", "!", "?", ":", ";", "|")
_OWN_LINE = re.compile(r"\s|[-*+\u2022|>#]|\d+[.)]\s")
"""Begins what has a line of its own: an item, a row of a table, a heading."""


def instructions(dataset: LoadedDataset) -> str:
    """Both as HTML; Markdown in either is rendered."""
    return as_html(dataset.task.task_instruction(), dataset.guidelines)


def as_html(*texts: str) -> str:
    """Texts in Markdown as the server takes them: NUL, which it refuses, becomes U+FFFD."""
    return "\n".join(_MARKDOWN.render(text) for text in texts if text)


def unwrapped(text: str) -> str:
    """A text without the line ends that an editor's margin made; those that its author made stay.

    A line was wrapped in the middle of a sentence if the next line's first word had no room left in it.
    """
    lines = text.split("\n")
    # The first line of a docstring has its quotes before it, which count for its margin.
    width = max(map(len, lines)) - _QUOTES
    joined = lines[:1]
    for line, following in itertools.pairwise(lines):
        word = following.split(" ", 1)[0]
        has_room = width < _LEAST_WIDTH or len(line) + 1 + len(word) <= width
        if has_room or not (line and word) or line.endswith(_ENDS) or _OWN_LINE.match(following):
            joined.append(following)
        else:
            joined[-1] += " " + following
    return "\n".join(joined)
