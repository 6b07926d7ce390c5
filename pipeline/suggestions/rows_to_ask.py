"""Which rows a model is asked about, in which order, and which of them it has answered already."""

from dataclasses import dataclass

import orjson
import polars as pl

from pipeline.state.snapshot import Snapshot
from pipeline.suggestions.asker import Asker, Question
from pipeline.suggestions.asking import is_settled, last_word
from pipeline.suggestions.ledger import Ledger, Subject
from schemas.dataset import Asked
from schemas.fate import Fate, LabelSource, Routed
from schemas.suggest_section import Suggest

_VERIFIED = 200
"""Rows with an annotator's answer that a model is asked about to know how often it is right."""
_BLIND, _UNLABELED, _ANSWERED, _DOUBTED = range(4)
"""What a model is asked about first. Its accuracy is measured on rows whose answer annotators give blind."""


@dataclass(frozen=True)
class Batch:
    """The rows that a model should have answered."""

    todo: list[Question]
    """Without an answer that settles them; those that got none before come last."""
    twins: list[Question]
    """The same questions about other records, such as those in a conflict: one call answers both."""
    settled: list[Question]
    """The ledger has all about them."""
    news: bool
    """Of a settled one, the committed decision does not have the answer yet: a run was killed in between."""


def batch_of(snapshot: Snapshot, asker: Asker, ledger: Ledger) -> Batch:
    """The rows to ask about as the dataset is now, as far as ``suggest.limit`` goes.

    Raises:
        TaskCodeError: the task's own code fails.
    """
    shown = [one.record_id for one in asker.examples]
    rows = _in_order(snapshot, asker.section).filter(~pl.col("record_id").is_in(shown))
    todo: dict[str, Question] = {}
    twins: list[Question] = []
    settled: list[Question] = []
    news = False
    for record_id, inputs, heard in rows.iter_rows():
        question = asker.question(record_id, orjson.loads(inputs))
        replies = ledger.replies(question.key)
        if is_settled(asker, question, replies):
            settled.append(question)
            news |= last_word(asker.task, question.inputs, replies).targets != orjson.loads(heard or "null")
        elif question.key in todo:
            twins.append(question)
        else:
            todo[question.key] = question
    # Otherwise a few rows about which a server always fails would keep all others from being asked about.
    return Batch(sorted(todo.values(), key=lambda one: ledger.lost(one.key)), twins, settled, news)


def link_answers(asker: Asker, ledger: Ledger, batch: Batch) -> bool:
    """Note which records the answers are about; returns whether decisions may change by it."""
    fresh = [one for one in (*batch.todo, *batch.twins) if is_settled(asker, one, ledger.replies(one.key))]
    ledger.link(asker.digest, map(_subject, [*batch.settled, *fresh]))
    return batch.news or bool(fresh)


def _subject(question: Question) -> Subject:
    return Subject(question.record_id, question.text, question.key)


def _in_order(snapshot: Snapshot, section: Suggest) -> pl.DataFrame:
    """``record_id``, ``inputs`` and ``model_answer``; by columns, since most rows are not asked about."""
    by_human = pl.col("label_source").eq_missing(LabelSource.HUMAN.value)
    rank = (
        pl.when(pl.col("routed").eq_missing(Routed.AUDIT.value)).then(_BLIND)
        .when(pl.col("targets").is_null()).then(_UNLABELED)
        .when(by_human).then(_ANSWERED)
        .otherwise(_DOUBTED)
    )  # fmt: skip
    heard = pl.col("model_answer").is_not_null()
    alone = pl.when(heard).then(pl.col("score_alone")).otherwise(pl.col("label_error_score"))
    rows = (
        snapshot.current_decisions()
        .filter(pl.col("fate").is_in([Fate.ACCEPTED.value, Fate.REVIEW.value]), pl.col("inputs") != "{}")
        .select("record_id", "inputs", "model_answer", rank=rank, doubt=-alone.fill_null(0.0))
        .sort("rank", "doubt", "record_id")
        .with_columns(place=pl.int_range(pl.len()).over("rank"))
    )
    match section.rows:
        case Asked.UNLABELED:
            wanted = pl.col("rank") <= _UNLABELED
        case Asked.DOUBTED:
            wanted = (pl.col("rank") != _ANSWERED) | (pl.col("place") < _VERIFIED)
    return rows.filter(wanted).head(section.limit).select("record_id", "inputs", "model_answer").collect()
