"""Questions are counted as waiting until they are answered, and as unsent until Label Studio has them."""

import itertools
from pathlib import Path

import pytest
from desk import desk_at
from store_rows import committed, decision, pushed
from support import row, write_rows
from terminal import Terminal

from flows.local.studio_server import LocalStudio
from pipeline.reporting.overview import Waiting, count_waiting
from pipeline.review.queue import is_open, open_decisions
from pipeline.state.decisions import question_key
from pipeline.state.tables import Table
from pipeline.text.wording import questions_wait
from schemas.annotation import Verdict
from schemas.fate import Fate, LabelSource, Routed
from schemas.tasks.contract_clause import ContractClause

INVALID, UNSURE, LABELED, OPEN, UNUSABLE = 1, 2, 3, 4, 5
ROWS = [row(key, f"Question number {key}?", None) for key in (INVALID, UNSURE, LABELED, OPEN, UNUSABLE)]


def test_open_questions_are_the_same_as_rows_and_as_decisions(tmp_path: Path) -> None:
    kinds = itertools.product([None, *Routed], Fate, [None, *LabelSource])
    every = [
        decision("", f"r{number}", fate, routed=routed, label_source=source)
        for number, (routed, fate, source) in enumerate(kinds)
    ]
    found = open_decisions(committed(tmp_path, every)).collect()["record_id"]
    expected = {one.record_id for one in every if is_open(one)}
    assert set(found) == expected
    assert 0 < len(expected) < len(every)


def test_only_questions_that_were_never_sent_are_counted(tmp_path: Path) -> None:
    routes = {"r1": Routed.UNCERTAIN, "r2": Routed.CONFLICT, "r3": Routed.AUDIT, "r4": Routed.ADJUDICATE}
    asked = [decision("", name, Fate.REVIEW, routed=routed) for name, routed in routes.items()]
    snapshot = committed(tmp_path, asked)
    assert count_waiting(snapshot, ContractClause) == Waiting(questions=3, audits=1, unsent=3, rows=3)
    snapshot.store.append(Table.PUSHES, pushed(1, "r1", question_key(asked[0], ContractClause), 30))
    assert count_waiting(snapshot.store.snapshot(), ContractClause) == Waiting(questions=3, audits=1, unsent=2, rows=3)


@pytest.mark.parametrize(
    ("questions", "skipped", "said"),
    [
        (4, 0, "4 questions are waiting for annotators"),
        (4, 1, "4 questions are waiting for annotators, who skipped 1 of them"),
        (4, 4, "4 questions are waiting for annotators, who skipped them"),
        (1, 1, "1 question is waiting for annotators, who skipped it"),
    ],
)
def test_questions_that_wait_because_they_were_skipped_are_named(questions: int, skipped: int, said: str) -> None:
    assert questions_wait(questions, skipped) == said


def test_a_wrong_token_counts_only_what_is_not_in_label_studio_yet(label_studio: LocalStudio, tmp_path: Path) -> None:
    with desk_at(label_studio, tmp_path, ROWS[:2], "review: {budget: 100, audit: 0.0}\n") as desk:
        desk.curate()
        result, line = Terminal(tmp_path, label_studio.url, "0" * 40).not_sent("curate")
        assert line.endswith("; everything is decided and committed, and there is no new question"), "2 are sent"
        assert result["review"]["unsent"] == 0
        write_rows(tmp_path, ROWS[:3])
        result, line = Terminal(tmp_path, label_studio.url, "0" * 40).not_sent("curate")
        assert line.endswith("; everything is decided and committed, and 1 question is waiting for the next curate")
        assert result["review"]["unsent"] == 1
        away = Terminal(tmp_path, "http://127.0.0.1:9", "token")
        assert "3 questions are waiting for annotators, 1 not sent yet: " in away.goldleaf("curate").stdout
        review = away.json("curate")["review"]
        assert (review["waiting"], review["unsent"]) == (3, 1)
        desk.say(INVALID, Verdict.UNSURE)
        desk.collect()
        step = away.json("status")["next_step"]
        assert step.endswith("dataset.yaml to send 1 question"), "what only a command does comes first"
        assert desk.curate().review.unsent == 0
