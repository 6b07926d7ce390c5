"""Decisions survive their table, only what differs in substance is written again, and identities do not collide."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from store_rows import decision

from pipeline.state.decisions import changed_decisions, from_frame, to_frame
from pipeline.state.tables import SCHEMAS, Table
from schemas.decision import Decision
from schemas.fate import LabelSource, Reason, ReasonCode, Routed
from schemas.identity import ID_BYTES, push_key, stable_hash, what_is_asked

TEXT = st.text(max_size=8)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), TEXT, st.lists(TEXT, max_size=2),
                   st.floats(allow_nan=False, allow_infinity=False))  # fmt: skip
TARGETS = st.none() | st.dictionaries(TEXT, VALUES, max_size=3)
DECISIONS = st.builds(
    Decision,
    reasons=st.lists(st.builds(Reason, code=st.sampled_from(ReasonCode), field=TEXT, detail=TEXT), max_size=2),
    inputs=st.dictionaries(TEXT, VALUES, max_size=2),
    targets=TARGETS,
    suggestion=TARGETS,
    routed=st.none() | st.sampled_from(Routed),
    label_source=st.none() | st.sampled_from(LabelSource),
    similarity=st.none() | st.floats(0, 1),
    label_error_score=st.none() | st.floats(0, 1),
    tokens=st.none() | st.integers(0, 2**40),
)


@given(st.lists(DECISIONS, max_size=4))
def test_decisions_are_read_back_as_they_were_written(decisions: list[Decision]) -> None:
    frame = to_frame(decisions)
    assert frame.schema == SCHEMAS[Table.DECISIONS]
    assert list(from_frame(frame)) == decisions
    assert changed_decisions(frame, frame).height == 0


def test_a_score_that_hardly_moved_changes_no_decision_but_another_answer_does() -> None:
    before = decision("run1", "r1", targets={"kind": "a"}, label_error_score=0.1)
    moved = before.model_copy(update={"run": "run2", "label_error_score": 0.1004})
    changed = replace_targets(moved, {"kind": "b"})
    unlabeled = replace_targets(moved, None)
    old = to_frame([before])
    assert changed_decisions(to_frame([moved]), old).height == 0
    assert changed_decisions(to_frame([changed]), old).height == 1
    for update in ({"label_error_score": 0.2}, {"label_error_score": None}, {"suggestion": {"kind": "b"}}):
        assert changed_decisions(to_frame([before.model_copy(update=update)]), old).height == 1
    assert changed_decisions(to_frame([unlabeled]), old).height == 1
    assert changed_decisions(to_frame([unlabeled]), to_frame([unlabeled])).height == 0


def replace_targets(one: Decision, targets: dict[str, Any] | None) -> Decision:
    return one.model_copy(update={"targets": targets})


@given(st.lists(TEXT, max_size=4), st.lists(TEXT, max_size=4))
def test_two_lists_of_parts_have_one_hash_only_if_they_are_equal(one: list[str], other: list[str]) -> None:
    assert (stable_hash(*one) == stable_hash(*other)) == (one == other)
    assert stable_hash(*one) == stable_hash(*(part.encode() for part in one))
    assert len(stable_hash(*one)) == 2 * ID_BYTES


def test_the_same_question_has_one_key_and_another_revision_or_task_another() -> None:
    others = [("r", "w", "t", "i"), ("r", "v", "u", "i"), ("s", "v", "t", "i"), ("r", "v", "t", "j")]
    keys = {push_key("r", "v", "t", "i"), *(push_key(*other) for other in others)}
    assert len(keys) == 5
    assert push_key("r", "v", "t", "i") in keys
    assert len({what_is_asked(key) for key in keys}) == 4, "whatever the revision"
