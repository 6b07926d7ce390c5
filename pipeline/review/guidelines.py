"""What annotators read behind the button "Instructions": the task's docstring, and the guidelines of the dataset."""

from markdown_it import MarkdownIt

from pipeline.config.dataset_file import LoadedDataset

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
"""HTML in the files is shown as text: the dialog would run it."""


def instructions(dataset: LoadedDataset) -> str:
    """Both as HTML; Markdown in either is rendered."""
    return as_html(dataset.task.task_instruction(), dataset.guidelines)


def as_html(*texts: str) -> str:
    """Texts in Markdown as the server takes them: NUL, which it refuses, becomes U+FFFD."""
    return "\n".join(_MARKDOWN.render(text) for text in texts if text)
