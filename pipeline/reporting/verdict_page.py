"""The verdict as one self-contained page of HTML, which is stored beside its adapter."""

from pipeline.finetuning.adapters import FinetuneRecord
from pipeline.ladder.assessment import Assessment
from pipeline.ladder.retrained_scores import seeds_in_words
from pipeline.reporting.page_environment import page_environment
from pipeline.reporting.verdict_content import verdict_content
from pipeline.reporting.worst_rows import worst_parts
from schemas.dataset import public_place
from schemas.task import Task


def verdict_page(task: type[Task], record: FinetuneRecord, found: Assessment) -> bytes:
    """Render the page: it loads nothing and runs nothing, whatever the rows' texts and the arms' answers contain.

    Args:
        task: of the dataset.
        record: of the adapter.
        found: all arms and the verdict, with their single answers.
    """
    html = (
        page_environment()
        .get_template("verdict.html.j2")
        .render(
            record=record,
            verdict=verdict_content(record, found),
            base_model=public_place(found.base_model),
            seeds_in_words=seeds_in_words,
            worst=worst_parts(task, found),
        )
    )
    return html.lstrip().encode()
