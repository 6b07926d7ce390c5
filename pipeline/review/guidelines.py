"""What annotators read behind the button "Instructions": the task's docstring, and the guidelines of the dataset."""

from markdown_it import MarkdownIt

from pipeline.config.dataset_file import LoadedDataset

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
"""HTML in the files is shown as text: the dialog would run it."""


def instructions(dataset: LoadedDataset) -> str:
    """Both as HTML; Markdown in either is rendered."""
    parts = [dataset.task.task_instruction(), dataset.guidelines]
    return "\n".join(_MARKDOWN.render(part) for part in parts if part)
