"""The samples of questions, sentences and conversations have the faults that are planted in them, and no others."""

import hashlib
import re
from collections import Counter

import pytest
from samples_read import (
    PLANTS,
    SAMPLES,
    chats,
    dataset_of,
    fault,
    lines,
    parsed,
    questions,
    sentences,
    similar_rows,
    trigrams,
    truth,
    turns,
)

from pipeline.kinds.interface import LabeledText
from pipeline.kinds.registry import KIND_NAMES, kind_of
from schemas.field import same_targets

# What changes nothing about a row's answer.
HONEST = {
    *(None, "exact_duplicate", "near_duplicate", "personal_data", "second_answer", "same_system_prompt"),
    *("assistant_first", "user_twice", "right_topics"),
}
REFUSED = {"repeated_label", "unknown_label", "image", "unknown_role"}


def test_there_is_a_sample_of_every_kind() -> None:
    names = [path.parent.name for path in SAMPLES.glob("*/dataset.yaml")]
    assert sorted(kind_of(dataset_of(name).task).name for name in names) == sorted(KIND_NAMES)
    assert set(names) == set(PLANTS)


@pytest.mark.parametrize("name", ["support", "plain", "assistant"])
def test_exactly_the_rows_that_cannot_be_read_are_refused(name: str) -> None:
    for row, true in parsed(name):
        assert (row is None) == (fault(true) in REFUSED), true
        assert row is None or row.warnings == []


@pytest.mark.parametrize("name", ["support", "plain", "assistant"])
def test_an_answer_is_the_truth_unless_a_fault_is_in_it(name: str) -> None:
    task = dataset_of(name).task
    for row, true in parsed(name):
        right = task.task_validate_targets(true["values"])
        if fault(true) == "unlabeled":
            assert row is not None and row.targets is None
        elif row is not None:
            # In an empty turn of the user, the answer is as it was.
            is_honest = fault(true) in HONEST or (fault(true) == "empty_turn" and true["detail"] == "user")
            assert same_targets(row.targets, right) == is_honest, true


@pytest.mark.parametrize("name", ["support", "assistant"])
def test_every_truth_names_its_raw_line_by_hash(name: str) -> None:
    for true in truth(name):
        raw = lines(f"{name}/{true.get('file', 'questions.jsonl')}")
        assert true["sha256"] == hashlib.sha256(raw[true["line"] - 1]).hexdigest()


def test_every_sentence_is_on_the_line_that_its_truth_names() -> None:
    raw = lines("plain/sentences.csv")
    assert all(raw[true["line"] - 1].startswith(f"{row['id']},".encode()) for row, true in sentences())
    assert [row["id"] for row, _ in sentences()] == [true["id"] for true in truth("plain")]


def test_the_other_sets_have_the_promised_size() -> None:
    assert 500 <= len(questions()) <= 600
    assert 400 <= len(sentences()) <= 460
    assert 280 <= len(chats()) <= 330
    topics = Counter(topic for true in truth("support") for topic in true["values"]["topics"])
    assert len(topics) == 11 and min(topics.values()) >= 40
    assert sum(not true["values"]["topics"] for true in truth("support")) >= 20
    assert max(len(true["values"]["topics"]) for true in truth("support")) == 3
    assert len({raw["home"] for raw, _ in chats()}) == 20
    assert all(len(true["values"]["plain"].split()) <= 25 for true in truth("plain"))


def test_wrong_topics_are_wrong_in_the_way_that_is_planted() -> None:
    for raw, true in questions():
        given, right = set(raw.get("topics") or ()), set(true["values"]["topics"])
        match fault(true):
            case "missing_label":
                assert right - given == {true["detail"]} and given < right
            case "extra_label":
                assert given - right == {true["detail"]} and right < given
            case "swapped_label":
                assert right == {true["detail"]} and len(given) == 1


def test_a_plain_sentence_keeps_numbers_names_and_links_and_only_a_planted_one_does_not() -> None:
    kept = re.compile(r"https://[\w./]*\w|\d+|M[rs]s? [A-Z][\w-]+")
    for row, true in sentences():
        said = set(kept.findall(row["sentence"]))
        assert set(kept.findall(true["values"]["plain"])) <= said
        lost = said - set(kept.findall(row["plain"]))
        if fault(true) in ("number_changed", "name_changed"):
            assert set(kept.findall(row["plain"])) - said
        if fault(true) == "link_lost":
            assert any(one.startswith("https://") for one in lost)


def test_the_rules_find_the_faults_in_conversations_and_doubt_no_clean_one() -> None:
    """All but those that are hard on purpose: short answers that are cut, placeholders that may be ordinary words."""
    task, missed = dataset_of("assistant").task, Counter[str]()
    for row, true in parsed("assistant"):
        if row is None or row.targets is None:
            continue
        text = LabeledText("", row.inputs, row.targets, "")
        codes = {reason.code.value for reason in kind_of(task).learn_labels(task, [text], 0).scores.rows[0].reasons}
        if fault(true) in {None, "exact_duplicate", "same_system_prompt"}:
            assert codes == set(), true
        elif fault(true) not in codes:
            missed[str(fault(true))] += 1
    assert missed == {"cut_answer": 3, "placeholder": 2}


def test_conversations_with_one_system_prompt_are_no_copies() -> None:
    rows = {(true["file"], true["line"]): raw for raw, true in chats()}
    for raw, true in chats():
        if fault(true) == "same_system_prompt":
            file, _, line = true["original_line"].partition(":")
            other = rows[file, int(line)]
            assert raw["home"] == other["home"]
            said = [trigrams("\n".join(text for _, text in turns(one))) for one in (raw, other)]
            assert similar_rows(*said) < 0.6
