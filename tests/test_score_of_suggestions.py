"""A model is judged by answers given blind; who accepts its proposals more often than they are right is named."""

import datetime
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, rename
from fake_studio import FakeStudio
from model_server import completion
from report_toys import section
from team import ANA, BEN
from test_suggestions import TEXTS, by_words, labeled, opened, shop

from pipeline.evaluation.estimates import wilson
from pipeline.reporting.annotators import read_annotators
from pipeline.reporting.score_of_suggestions import Acceptance, SuggestionScore, acceptances, weighed_share
from pipeline.reporting.status import read_status
from pipeline.reporting.write_report import write_report
from pipeline.review.opinions import Opinion
from pipeline.review.questions import FilledIn
from schemas.annotation import Annotation, Verdict
from schemas.fate import Routed
from schemas.seat import SeatKind

NOW = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)
NUMBERS = itertools.count()
RETURNS = "returns"


def said(
    who: str,
    answer: str,
    *,
    suggested: str | None = None,
    given: str | None = None,
    origins: Sequence[str] = (),
    verdict: Verdict = Verdict.LABELED,
    record: str = "",
) -> Opinion:
    begin = suggested or given
    annotation = Annotation(
        server="s",
        project=1,
        task_id=1,
        annotation_id=1,
        push_key="",
        record_id=record or f"r{next(NUMBERS)}",
        annotator=who,
        verdict=verdict,
        targets={"topic": answer} if verdict is Verdict.LABELED else None,
        result=[{"origin": origin} for origin in origins],
        created_at=NOW,
        updated_at=NOW,
    )
    filled = FilledIn({"topic": begin}, is_suggested=suggested is not None) if begin else None
    return Opinion(who, SeatKind.FIRST, annotation, filled)


def test_who_left_the_model_s_answer_unchanged_is_counted_by_annotator_and_the_row_s_own_is_not() -> None:
    found = acceptances(
        [
            said("user 2", "a", suggested="a"),
            said("user 2", "b", suggested="a"),
            said("user 2", "a", given="a"),
            said("user 10", "b", suggested="a", record="r"),
            said("user 10", "a", suggested="a", record="r"),
            said("user 10", "a", suggested="a", verdict=Verdict.SKIPPED),
            said("user 10", "a"),
            said(ANA, "a", suggested="a", verdict=Verdict.UNUSABLE),
        ]
    )
    assert found == [
        Acceptance(annotator="user 2", suggested=2, suggested_unchanged=1),
        Acceptance(annotator="user 10", suggested=1, suggested_unchanged=1),
        Acceptance(annotator=ANA, suggested=1, suggested_unchanged=0),
    ]


def test_label_studio_s_word_counts_where_it_says_how_an_answer_came_about() -> None:
    [found] = acceptances(
        [
            said("1", "a", suggested="a", origins=["prediction", "prediction"]),
            said("1", "a", suggested="a", origins=["prediction", "manual"]),
            said("1", "a", suggested="a", origins=["prediction-changed"]),
            said("1", "a", suggested="a", origins=["manual"]),
            # Emptying a field leaves nothing that would say so.
            said("1", "b", suggested="a", origins=["prediction"]),
        ]
    )
    assert (found.suggested, found.suggested_unchanged) == (5, 1)


@pytest.mark.parametrize("with_models_of_the_rows", [False, True])
def test_status_and_annotators_measure_by_what_the_form_really_began_with(
    tmp_path: Path, studio: FakeStudio, with_models_of_the_rows: bool
) -> None:
    def opposite(request: dict[str, Any], number: int) -> Any:
        return completion(json.dumps({"topic": "returns"}))

    unlabeled = [
        {"id": 100 + n, "question": TEXTS["billing"].format(n * 3, n * 5), "topic": None} for n in range(1, 41)
    ]
    keys = "review: {budget: 80, audit: 0.0}\nduplicates: {threshold: 1.0}\n"
    # Thirty labeled rows are enough for models that would fill in something else.
    rows = [*labeled(30 if with_models_of_the_rows else 6), *unlabeled]
    with shop(tmp_path, rows, opposite, ", rows: unlabeled", keys) as (terminal, _):
        rename(tmp_path, tmp_path.name)
        desk = Desk(tmp_path, studio.url, studio.token)
        with desk.api, desk.client:
            desk.curate()
            tasks = [
                one for one in desk.tasks() if one["predictions"][0]["result"][0]["value"] == {"choices": [RETURNS]}
            ]
            assert len(tasks) == 40
            for at, task in enumerate(tasks):
                careful = at % 2 and at % 3
                desk.submit(task["id"], desk.result("billing" if careful else RETURNS), BEN if at % 2 else ANA)
            desk.collect()
        known = read_status(opened(tmp_path)).suggestions
        lines = read_annotators(opened(tmp_path), NOW).annotators
        page = section(write_report(opened(tmp_path), to=tmp_path / "page.html").read_text(), "team")
        shown = terminal.goldleaf("annotators").stdout
    assert known is not None
    counts = {one.annotator: (one.suggested, one.suggested_unchanged) for one in known.acceptance}
    assert counts == {ANA: (20, 20), BEN: (20, 7)}
    left = {one.annotator: str(one.unchanged) for one in lines}
    assert left == {ANA: "100% (84-100) of 20", BEN: "35% (18-57) of 20"}
    told = "accepts nearly every proposal: 100.0% of 20, the others 35.0% of 20"
    assert [one.flags for one in lines if one.annotator == ANA] == [["answers nearly everything alike: 100.0% of 20, "
                                                                     "the others 35.0% of 20", told]]  # fmt: skip
    assert f"{ANA} {told}" in shown and told in page


def test_audits_of_doubtful_rows_count_as_the_few_rows_that_they_are_drawn_from() -> None:
    # Of 1,000 sound rows every twentieth is audited, of 100 doubtful ones every second: the model is right in 96% of
    # the former and in 20% of the latter, so in 89.1% of all.
    right = [True] * 48 + [False] * 2 + [True] * 10 + [False] * 40
    found = weighed_share(right, [0.05] * 50 + [0.5] * 50)
    assert found is not None and round(found.value, 3) == round((960 + 20) / 1100, 3)
    assert found.low < found.value < found.high
    assert found.high - found.low > wilson(58, 100).high - wilson(58, 100).low - 0.06
    assert weighed_share(right, [None] * 100) == wilson(58, 100)
    careful = SuggestionScore.model_validate(score(58, 100, 90, 100).model_dump() | {"accuracy": found.model_dump()})
    assert "more than are right" in score(58, 100, 90, 100).lines[-1]
    assert "more than are right" not in careful.lines[-1] and "as they were drawn" in careful.lines[1]


def score(right: int, blind: int, unchanged: int, suggested: int) -> SuggestionScore:
    return SuggestionScore(
        model="m",
        answers=400,
        blind=blind,
        right=right,
        accuracy=wilson(right, blind) if blind else None,
        acceptance=[Acceptance(annotator="user 7", suggested=suggested, suggested_unchanged=unchanged)],
        calls=410,
        lost=1,
        tokens=12_345,
        cost=0.5,
    )


def test_who_accepts_more_than_is_right_is_named_and_who_checks_is_not() -> None:
    assert score(80, 100, 99, 100).lines == [
        "suggestions of m: 400 answers; 410 calls, 12,345 tokens, cost 0.5, 1 of them without an answer",
        "right in 80 of 100 answers that annotators gave blind: 80.0% (71.1% to 86.7%)",
        "user 7 left 99 of 100 suggestions unchanged: 99.0% (94.6% to 99.8%), more than are right: look at some of "
        "these answers",
    ]
    assert "more than are right" not in score(80, 100, 82, 100).lines[-1]
    assert score(0, 0, 99, 100).lines[1].startswith("not judged yet: ")


def test_status_and_report_say_how_good_the_suggestions_are(tmp_path: Path, studio: FakeStudio) -> None:
    unlabeled: list[dict[str, Any]] = [
        {"id": 100 + n, "question": TEXTS["billing"].format(n * 3, n * 5), "topic": None} for n in range(1, 5)
    ]
    rows = [*labeled(30), *unlabeled]
    with shop(tmp_path, rows, by_words, more="review: {budget: 50, audit: 1.0}\n") as (terminal, _):
        rename(tmp_path, tmp_path.name)
        desk = Desk(tmp_path, studio.url, studio.token)
        with desk.api, desk.client:
            desk.curate()
            audited = [n for n in range(30) if desk.decision(n).routed is Routed.AUDIT]
            for number in audited:
                # The model is wrong about every second one that an annotator answers.
                desk.label(number, list(TEXTS)[(number + number // 3 % 2) % 3])
            for number in range(101, 105):
                desk.label(number, "billing" if number < 104 else "returns")
            desk.collect()
        found = read_status(opened(tmp_path)).suggestions
        page = write_report(opened(tmp_path), to=tmp_path / "page.html").read_text()
        shown = terminal.json("status")["suggestions"]
    assert found is not None and found.blind == len(audited) > 20
    assert found.right == sum(n // 3 % 2 == 0 for n in audited)
    [acceptance] = found.acceptance
    assert (acceptance.suggested, acceptance.suggested_unchanged) == (4, 3)
    assert (shown["blind"], shown["right"]) == (found.blind, found.right)
    told = section(page, "suggestions")
    assert f"{found.right} of {found.blind}" in told and "3 of 4" in told
