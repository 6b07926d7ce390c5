"""Rows of gold sources: their answers count like an annotator's, so nothing doubts them."""

from collections.abc import Collection, Container, Iterable
from dataclasses import replace

from pipeline.curation.known import Known
from pipeline.state.snapshot import Snapshot
from schemas.annotation import Verdict
from schemas.fate import Reason, ReasonCode

_PASSED = Reason(code=ReasonCode.PASSED)


def gold_records(snapshot: Snapshot, sources: Collection[str]) -> frozenset[str]:
    """The current records of gold sources."""
    return frozenset(snapshot.records_of(sources).collect().to_series()) if sources else frozenset()


def trust_gold(records: Iterable[Known], gold: Container[str]) -> list[Known]:
    """Records, of which those of gold sources have their own answers as an annotator's, unless one has said something
    else.

    What must not be published unseen, such as personal data, still waits for an annotator.
    """
    return [_trusted(known) if known.record_id in gold else known for known in records]


def _trusted(known: Known) -> Known:
    answered = known.answered
    if answered.human is None and known.targets is not None and not known.review_reasons:
        answered = replace(answered, human=Verdict.LABELED, human_reasons=(_PASSED,))
    return known if answered.human is None else replace(known, answered=replace(answered, is_trusted=True))
