"""The verdict on eight datasets whose right answer is known, each for the right reason."""

from pathlib import Path

import pytest
from verdict_cases import CASES, Case, evidence_of

from pipeline.ladder.verdict import judge


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_verdict_is_right_for_the_right_reason(case: Case, tmp_path: Path) -> None:
    evidence = evidence_of(case, tmp_path)
    found = judge(evidence)
    said = "\n".join(found.reasons)
    assert (found.verdict, found.rule) == (case.verdict, case.rule), said
    assert all(text in said for text in case.beside), said
    assert found.next_step.endswith(".")
