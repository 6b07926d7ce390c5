"""The decisions that follow from annotators' answers, as ``collect`` commits them."""

from collections.abc import Iterable

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.review.consensus import Said, deciding, origins, said_about
from pipeline.review.corrections import corrected
from pipeline.state.decisions import about, from_frame, latest, still_valid
from pipeline.state.same_question import same_question
from pipeline.state.snapshot import Snapshot
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Routed
from schemas.run_summary import Verb


def human_decisions(snapshot: Snapshot, dataset: LoadedDataset, run: str) -> list[Decision]:
    """The decisions that follow from answers about current revisions and are not committed yet.

    A record whose answer was withdrawn gets its last automatic decision again. If all answers are about earlier
    revisions with the same text, ``curate`` weighs them, since it knows what the source has now.
    """
    snapshot, task = snapshot.answered, dataset.task
    now = snapshot.current_decisions().collect().lazy()
    said = {record_id: items for record_id, items in said_about(snapshot, task, now).items()
            if any(item.is_present for item in items)}  # fmt: skip
    current = {d.record_id: d for d in from_frame(_of(now, said))}
    collected = still_valid(snapshot.committed_decisions(Verb.COLLECT), now, same_question(snapshot, task))
    told = {d.record_id: d for d in from_frame(_of(latest(about(collected, now, task)), said))}
    asked = {d.record_id: d for d in origins(snapshot, now, task, said)}
    decisions = []
    for record_id, items in said.items():
        if record_id not in current or record_id not in asked:
            continue
        before = told.get(record_id)
        answer = deciding(items) if deciding(item for item in items if item.is_present) else None
        if answer is not None:
            decision = _decided(asked[record_id], current[record_id], answer, run)
        elif before is not None:
            decision = asked[record_id].model_copy(update=_now(current[record_id], run))
        else:
            continue
        if before is None or _meaning(before) != _meaning(decision):
            decisions.append(decision)
    return decisions


def _of(decisions: pl.LazyFrame, records: Iterable[str]) -> pl.DataFrame:
    return decisions.filter(pl.col("record_id").is_in(list(records))).collect()


def _decided(origin: Decision, current: Decision, answer: Said, run: str) -> Decision:
    annotation = answer.annotation
    changes = _now(current, run) | {
        "routed": origin.routed or current.routed,
        "duplicate_of": "",
        "similarity": None,
        "reasons": [answer.reason],
    }
    match Verdict.DISPUTED if answer.against else annotation.verdict:
        case Verdict.UNUSABLE:
            changes |= {"fate": Fate.REJECTED}
        case Verdict.UNSURE | Verdict.DISPUTED:
            changes |= {"fate": Fate.REVIEW, "routed": Routed.ADJUDICATE}
        case Verdict.SKIPPED | Verdict.UNREAD | Verdict.INVALID:
            raise AssertionError(f"{annotation.verdict} is no answer")
        case Verdict.LABELED:
            changes |= {
                "fate": Fate.ACCEPTED,
                "targets": annotation.targets,
                "label_source": LabelSource.HUMAN,
                "replaced": corrected(annotation, answer.asked, origin.targets),
                "tokens": None if annotation.targets != origin.targets else origin.tokens,
            }
    return origin.model_copy(update=changes)


def _now(current: Decision, run: str) -> dict[str, object]:
    """What a decision about the same question takes from the newest one: other columns may have changed since."""
    names = ("revision", "group", "pinned_split")
    return {"run": run, **{name: getattr(current, name) for name in names}}


def _meaning(decision: Decision) -> object:
    return decision.fate, decision.routed, decision.reasons, decision.targets, decision.state
