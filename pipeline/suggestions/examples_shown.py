"""Which annotators' answers a model is shown as examples: chosen once, since other examples mean other questions."""

import dataclasses
from collections import defaultdict

import orjson
import polars as pl

from pipeline.kinds.registry import kind_of
from pipeline.state.snapshot import Snapshot
from pipeline.suggestions.asker import Asker, Shown
from pipeline.suggestions.ledger import Ledger
from schemas.fate import Fate, LabelSource, Routed
from schemas.field import JsonValue
from schemas.task_fields import conversation_target


def with_examples(asker: Asker, snapshot: Snapshot, ledger: Ledger, *, keep: bool = True) -> Asker:
    """The same asker, showing the examples that it showed before, as long as these answers stand; else new ones.

    Args:
        asker: without examples.
        snapshot: the committed state.
        ledger: remembers which ones were shown.
        keep: remember newly chosen ones.
    """
    if not asker.section.examples or conversation_target(asker.task):
        return asker
    rows = _answered(snapshot, asker)
    before = shown_before(asker, ledger)
    if before.examples and all(rows.get(one.record_id) == (one.inputs, one.targets) for one in before.examples):
        return before
    chosen = tuple(Shown(name, *rows[name]) for name in _spread(asker, rows))
    if keep:
        ledger.keep_examples(asker.base, [dataclasses.astuple(one) for one in chosen])
    return dataclasses.replace(asker, examples=chosen)


def shown_before(asker: Asker, ledger: Ledger) -> Asker:
    """The same asker as it was asked last: with the examples that were shown, and the adapter that it was then."""
    if asker.section.adapter and not asker.weights and (adapter := ledger.adapter(asker.section.adapter)):
        asker = asker.as_adapter(*adapter)
    if not asker.section.examples:
        return asker
    return dataclasses.replace(asker, examples=tuple(Shown(*row) for row in ledger.examples(asker.base)))


def _answered(snapshot: Snapshot, asker: Asker) -> dict[str, tuple[str, str]]:
    """Inputs and targets, as JSON, of the records that annotators answered.

    Audits and gold items are left out, to judge the model.
    """
    rows = snapshot.current_decisions(
        (pl.col("label_source") == LabelSource.HUMAN.value)
        & (pl.col("fate") == Fate.ACCEPTED.value)
        & pl.col("routed").ne_missing(Routed.AUDIT.value)
    )
    if asker.gold:
        rows = rows.join(snapshot.records_of(asker.gold), on="record_id", how="anti")
    found = rows.select("record_id", "inputs", "targets").sort("record_id").collect()
    return {record_id: (inputs, targets) for record_id, inputs, targets in found.iter_rows()}


def _spread(asker: Asker, rows: dict[str, tuple[str, str]]) -> list[str]:
    """As many as are wanted, one of every label before the second of any."""
    by_label: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for record_id, (_, targets) in rows.items():
        answer: dict[str, JsonValue] = orjson.loads(targets)
        by_label[kind_of(asker.task).strata(asker.task, answer)].append(record_id)
    places = [(place, label, name) for label, names in by_label.items() for place, name in enumerate(names)]
    return [name for _, _, name in sorted(places)[: asker.section.examples]]
