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

_VERIFIED = 200
"""Rows with an annotator's answer that a model is asked about to know how often it is right."""
_GOLD_PART = 5
"""Of the rows that it may be asked about, at most a fifth are gold items."""
_GOLD, _BLIND, _UNLABELED, _ANSWERED, _DOUBTED = range(5)
"""What a model is asked about first. Its accuracy is measured on rows whose answer is known, or given blind."""


@dataclass(frozen=True)
class Batch:
    """The rows that a model should have answered."""

    todo: list[Question]
    """Without an answer that settles them; those that got none before come last."""
    twins: list[Question]
    """The same questions about other records, such as those in a conflict: one call answers both."""
    settled: list[Question]
    """The ledger has all about them."""
    known_invalid: int
    """How many of these have no valid answer."""
    anew: list[Question]
    """Without a valid answer, and to be asked again: in ``todo`` or ``twins``."""
    news: bool
    """Of a settled one, the committed decision does not have the answer yet: a run was killed in between."""


def batch_of(snapshot: Snapshot, asker: Asker, ledger: Ledger, *, retry: bool = False) -> Batch:
    """The rows to ask about as the dataset is now, as far as ``suggest.limit`` goes.

    Args:
        snapshot: the committed state.
        asker: who is asked.
        ledger: what was asked before.
        retry: ask anew about rows that have no valid answer.

    Raises:
        TaskCodeError: the task's own code fails.
    """
    shown = [one.record_id for one in asker.examples]
    rows = _in_order(snapshot, asker).filter(~pl.col("record_id").is_in(shown))
    todo: dict[str, Question] = {}
    twins: list[Question] = []
    settled: list[Question] = []
    known_invalid = 0
    anew: list[Question] = []
    news = False
    for record_id, inputs, heard in rows.iter_rows():
        question = asker.question(record_id, orjson.loads(inputs))
        replies = ledger.replies(question.key)
        said = last_word(asker.task, question.inputs, replies).targets
        is_known = is_settled(asker, question, replies)
        if is_known and said is None and retry:
            anew.append(question)
            is_known = False
        if is_known:
            settled.append(question)
            known_invalid += said is None
            news |= said != orjson.loads(heard or "null")
        elif question.key in todo:
            twins.append(question)
        else:
            todo[question.key] = question
    # Otherwise a few rows about which a server always fails would keep all others from being asked about.
    in_order = sorted(todo.values(), key=lambda one: ledger.unanswered(one.key))
    return Batch(in_order, twins, settled, known_invalid, anew, news)


def link_answers(asker: Asker, ledger: Ledger, batch: Batch) -> bool:
    """Note which records the answers are about; returns whether decisions may change by it."""
    fresh = [one for one in (*batch.todo, *batch.twins) if is_settled(asker, one, ledger.replies(one.key))]
    ledger.link(asker.digest, map(_subject, [*batch.settled, *fresh]))
    return batch.news or bool(fresh)


def _subject(question: Question) -> Subject:
    return Subject(question.record_id, question.text, question.key)


def _in_order(snapshot: Snapshot, asker: Asker) -> pl.DataFrame:
    """``record_id``, ``inputs`` and ``model_answer``; by columns, since most rows are not asked about."""
    section = asker.section
    by_human = pl.col("label_source").eq_missing(LabelSource.HUMAN.value)
    rank = (
        pl.when(by_human & (pl.col("fate") == Fate.ACCEPTED.value) & pl.col("is_gold")).then(_GOLD)
        .when(pl.col("routed").eq_missing(Routed.AUDIT.value)).then(_BLIND)
        .when(pl.col("targets").is_null()).then(_UNLABELED)
        .when(by_human).then(_ANSWERED)
        .otherwise(_DOUBTED)
    )  # fmt: skip
    heard = pl.col("model_answer").is_not_null()
    alone = pl.when(heard).then(pl.col("score_alone")).otherwise(pl.col("label_error_score"))
    # Which gold items are asked must not depend on what is doubted.
    doubt = pl.when(pl.col("rank") == _GOLD).then(0.0).otherwise(-alone.fill_null(0.0))
    rows = (
        _with_gold(snapshot.current_decisions(), snapshot, asker)
        .filter(pl.col("fate").is_in([Fate.ACCEPTED.value, Fate.REVIEW.value]), pl.col("inputs") != "{}")
        .with_columns(rank=rank)
        .select("record_id", "inputs", "model_answer", "rank", doubt=doubt)
    )
    if asker.learned:
        learned = pl.scan_parquet(list(asker.learned)).select(record_id="id")
        rows = rows.join(learned, on="record_id", how="anti", maintain_order="left")
    rows = rows.sort("rank", "doubt", "record_id").with_columns(place=pl.int_range(pl.len()).over("rank"))
    most_gold = min(_VERIFIED, section.limit // _GOLD_PART)
    is_verified = pl.col("place") < pl.when(pl.col("rank") == _GOLD).then(most_gold).otherwise(_VERIFIED)
    match section.rows:
        case Asked.UNLABELED:
            wanted = (pl.col("rank") <= _UNLABELED) & ((pl.col("rank") != _GOLD) | is_verified)
        case Asked.DOUBTED:
            wanted = ~pl.col("rank").is_in([_GOLD, _ANSWERED]) | is_verified
    return rows.filter(wanted).head(section.limit).select("record_id", "inputs", "model_answer").collect()


def _with_gold(decisions: pl.LazyFrame, snapshot: Snapshot, asker: Asker) -> pl.LazyFrame:
    """Decisions, and whether each is about a row of a gold source; an adapter may have learned these."""
    if not asker.gold or asker.section.adapter:
        return decisions.with_columns(is_gold=pl.lit(False))
    gold = snapshot.records_of(asker.gold).with_columns(is_gold=pl.lit(True))
    return decisions.join(gold, on="record_id", how="left").with_columns(pl.col("is_gold").fill_null(False))
