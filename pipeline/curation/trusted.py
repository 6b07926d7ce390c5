"""Rows of gold sources: their answers count like an annotator's, so nothing doubts them."""

from collections.abc import Collection, Container, Iterable

from pipeline.curation.case import Case
from pipeline.state.snapshot import Snapshot
from schemas.annotation import Verdict
from schemas.fate import Reason, ReasonCode

_PASSED = Reason(code=ReasonCode.PASSED)


def gold_records(snapshot: Snapshot, sources: Collection[str]) -> frozenset[str]:
    """The current records of gold sources."""
    return frozenset(snapshot.records_of(sources).collect().to_series()) if sources else frozenset()


def trust_gold(cases: Iterable[Case], gold: Container[str]) -> None:
    """Give the cases of gold sources their own answers as an annotator's, unless one has said something else.

    What must not be published unseen, such as personal data, still waits for an annotator.
    """
    for case in cases:
        if case.record_id not in gold:
            continue
        if case.human is None and case.targets is not None and not case.review_reasons:
            case.human, case.human_reasons = Verdict.LABELED, [_PASSED]
        case.is_trusted = case.human is not None
