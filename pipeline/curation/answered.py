"""The free texts of annotators' answers, which replace those of the rows when texts are compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import polars as pl

from pipeline.curation.heard_answers import hear
from pipeline.curation.history import ROW_COLUMNS, of_answers, read_known
from pipeline.curation.prepare import Prepared
from pipeline.similarity.text_columns import Texts
from pipeline.state.mapped_rows import read_rows
from pipeline.state.snapshot import Snapshot
from pipeline.text.answer_keys import Answers
from pipeline.text.normalize import compared_text
from schemas.fate import LabelSource
from schemas.task import Task


@dataclass(frozen=True)
class NewAnswers:
    """Whole texts that answers have changed since the last curate."""

    records: list[str]
    path: Path
    """Their texts, in the same order; no file if there are none."""


def answers_before(snapshot: Snapshot, task: type[Task]) -> dict[str, str]:
    """By record, the free text of the answer that the last curate knew of an annotator, whatever the row says.

    Args:
        snapshot: the state of the records that annotators have answered.
        task: of the dataset.
    """
    human = snapshot.latest_decisions().filter(pl.col("label_source") == LabelSource.HUMAN.value)
    rows = human.select("record_id", "targets").drop_nulls().collect()
    answers = Answers(task)
    found = {record_id: answers.free_text(orjson.loads(targets)) for record_id, targets in rows.iter_rows()}
    return {record_id: text for record_id, text in found.items() if text}


def new_answers(
    answered: Sequence[Prepared], snapshot: Snapshot, beside: pl.DataFrame, task: type[Task], path: Path
) -> NewAnswers:
    """Write the whole texts of rows that annotators have answered by now.

    Args:
        answered: rows about which answers came in.
        snapshot: the state of all records that annotators have answered.
        beside: the others of these.
        task: of the dataset.
        path: of the file.
    """
    parts = list(answered)
    past = of_answers(hear(snapshot, parts, task, beside))
    records = [known for part in parts for known in read_known(read_rows(part.path, ROW_COLUMNS), past, task)]
    answers = Answers(task)
    texts = {
        known.record_id: (compared_text(task, known.inputs), text)
        for known in records
        # What the row itself says counts again once an answer is taken back: it may have missed others meanwhile.
        if (text := answers.free_text(known.targets))
    }
    if texts:
        asked, answered_texts = zip(*texts.values(), strict=True)
        Texts.of(list(asked), list(answered_texts)).write(path)
    return NewAnswers(list(texts), path)
