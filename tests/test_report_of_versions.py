"""What a version's report does not show: it may be copied anywhere, and annotators may have replaced what must not be
read.
"""

from pathlib import Path

import pytest
from home_of_answers import ASKED, Home, home_in

from pipeline.reporting.report_data import gather_report
from schemas.fate import Fate, Reason, ReasonCode, Routed

REPLACED = "Jane Wombat"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home in which an annotator replaced a topic and a name, and another one of a row in conflict."""
    home = home_in(tmp_path, "name: Target[str]")
    found = Reason(code=ReasonCode.UNGROUNDED, field="name", detail=f"'{REPLACED}'")
    asked = home.asked("r1", targets={"topic": "billing", "name": REPLACED}, reasons=[found])
    home.curated(asked, home.asked("r2", targets={"topic": "delivery", "name": "Ann"}))
    home.said("1", {"topic": "returns", "name": "nobody"}, asked, number=1)
    home.collected()
    overridden = Reason(code=ReasonCode.OVERRIDDEN, refs=("r1",))
    other = home.asked("r2", targets={"topic": "delivery", "name": "Ann"}, fate=Fate.REJECTED, reasons=[overridden])
    home.curated(other)
    return home


@pytest.mark.parametrize("of_version", [True, False])
def test_a_version_s_report_quotes_no_text_that_annotators_replaced(home: Home, of_version: bool) -> None:
    now = home.now
    report = gather_report(now, home.dataset, funnel=now.funnel(), of_version=of_version)
    [change] = [one for one in report.review.changes if one.field == "topic"]
    assert (change.before, change.after) == ("billing", "returns")
    assert change.examples[0].detail.startswith("a value does not occur in the text")
    assert {one.code for one in report.reasons} >= {ReasonCode.REVIEWED}
    assert len(report.conflicts) == 1
    assert (REPLACED in report.model_dump_json()) is not of_version
    assert len(report.review.changes) == (1 if of_version else 2)


def test_a_version_s_report_tells_which_choice_became_which(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    home.curated(asked := home.asked("r1"))
    home.said("1", "returns", asked, number=1)
    home.collected()
    report = gather_report(home.now, home.dataset, funnel=home.now.funnel(), of_version=True)
    [reviewed] = [one for one in report.reasons if one.code is ReasonCode.REVIEWED]
    assert reviewed.examples[0].detail == "topic: 'billing' became 'returns'"
    assert report.review.changes[0].examples[0].detail.endswith("'billing', not 'returns'")


def test_what_little_speaks_against_accepted_answers_is_counted_and_their_pair_in_conflict_when_settled(
    tmp_path: Path,
) -> None:
    home = home_in(tmp_path)
    doubted = {"fate": Fate.ACCEPTED, "routed": None, "reasons": [Reason(code=ReasonCode.PASSED), ASKED]}
    passed = {**doubted, "reasons": [Reason(code=ReasonCode.PASSED)]}
    asked = home.asked("r3", routed=Routed.CONFLICT, reasons=[Reason(code=ReasonCode.CONFLICT)])
    home.curated(home.asked("r1", **doubted), home.asked("r2", **passed), asked)
    home.said("1", "returns", asked, number=1)
    home.collected()
    report = gather_report(home.now, home.dataset, funnel=home.now.funnel())
    assert (report.suspects, report.below_floor, report.settled_conflicts) == ([], 1, 1)
