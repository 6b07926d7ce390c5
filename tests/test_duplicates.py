"""What users see of duplicates: groups with the words that differ, how similar rows are, and near misses."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from candidates import CLAUSE, LEASE, NEAR
from odd import QUESTION, Odd, key
from support import row, write_rows
from terminal import Terminal

from pipeline.curation.similarity_histogram import last_similarities
from pipeline.reporting.duplicates import read_duplicates
from pipeline.text.wording import shown_similarity
from pipeline.text.words import jaccard
from schemas.fate import Fate, ReasonCode
from schemas.similarities import BIN

CLOSE = CLAUSE.replace("each party submits to the courts of that state", "the parties submit to courts of that state")
"""0.61 similar to CLAUSE."""
ROWS = [
    row(1, CLAUSE, "billing"),
    row(2, NEAR, "billing"),
    row(3, CLAUSE.upper(), "billing"),
    row(4, CLOSE, "billing"),
    row(5, f"{CLAUSE} indeed", "returns"),
    row(6, LEASE, "returns"),
    row(7, f"{LEASE}!", "returns"),
]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Odd:
    odd = Odd(tmp_path_factory.mktemp("duplicates"), QUESTION, ROWS)
    odd.curate()
    return odd


def test_groups_hold_the_kept_row_and_its_copies_the_least_similar_first(odd: Odd) -> None:
    found = read_duplicates(odd.context.store.snapshot(), odd.context.dataset.task)
    assert (found.exact, found.near, found.threshold) == (1, 2, 0.7)
    shown = [(group.kept.line, [(copy.line, copy.exact) for copy in group.copies]) for group in found.groups]
    assert shown == [(1, [(2, False), (3, True)]), (7, [(6, False)])]
    assert found.groups[0].copies[0].similarity == pytest.approx(jaccard(CLAUSE, NEAR))


def test_pairs_that_nearly_were_duplicates_say_why_they_are_none(odd: Odd) -> None:
    found = read_duplicates(odd.context.store.snapshot(), odd.context.dataset.task)
    assert [(miss.one.line, miss.other.line, miss.reason) for miss in found.misses] == [
        (1, 5, "their answers differ"),
        (1, 4, "below the threshold"),
        (4, 5, "below the threshold; and their answers differ"),
    ]


def test_of_one_record_its_group_and_the_most_similar_kept_ones_are_shown(odd: Odd) -> None:
    snapshot, task = odd.context.store.snapshot(), odd.context.dataset.task
    found = read_duplicates(snapshot, task, key(6))
    assert [group.kept.line for group in found.groups] == [7]
    assert not found.misses
    assert found.asked is not None
    assert (found.asked.line, found.fate) == (6, f"duplicate: {odd[6].reasons[0]}")
    alone = read_duplicates(snapshot, task, key(4))
    assert not alone.groups
    near = [(miss.one.line, miss.other.line, miss.similarity) for miss in alone.misses]
    assert near == [(4, 1, jaccard(CLOSE, CLAUSE)), (4, 5, jaccard(CLOSE, f"{CLAUSE} indeed"))]


def test_of_a_record_in_conflict_the_rows_it_conflicts_with_are_shown(tmp_path: Path) -> None:
    rows = [row(1, "Where is it?", "billing"), row(2, "where is it!", "returns"), row(3, CLAUSE, "billing")]
    odd = Odd(tmp_path, QUESTION, [*rows, {"id": 4, "question": 7}])
    odd.curate()
    assert odd.codes(1) == odd.codes(2) == [ReasonCode.CONFLICT]
    terminal = Terminal(tmp_path)
    shown = " ".join(terminal.goldleaf("duplicates", "--of", "data.jsonl:1").stdout.split())
    assert shown.startswith("data.jsonl:1 review: the same input has another answer: 'returns'")
    assert "the kept rows most similar to it in conflict: annotators choose among all the answers 1.00" in shown
    assert "answer: [-billing-] {+returns+}" in shown
    shown = " ".join(terminal.goldleaf("duplicates", "--of", "data.jsonl:3").stdout.split())
    assert shown.endswith("it has no duplicates, and no kept row shares a word 3-gram with it")
    (tmp_path / "dataset.yaml").write_text((tmp_path / "dataset.yaml").read_text() + "duplicates: {threshold: 0.8}\n")
    changed = "dataset.yaml or the task has changed since the last curate, so this may be out of date"
    assert changed in " ".join(terminal.goldleaf("duplicates").stdout.split())
    assert terminal.json("status")["next_step"].endswith("dataset.yaml, since the file or its task was changed")
    assert "  rejected: a field breaks" in terminal.goldleaf("duplicates", "--of", "data.jsonl:4").stdout


def test_a_group_whose_kept_row_waits_for_annotators_says_so(tmp_path: Path) -> None:
    rows = [row(1, CLAUSE, "billing"), row(2, f"{CLAUSE}!", "returns"), row(3, NEAR, "billing")]
    odd = Odd(tmp_path, QUESTION, rows)
    odd.curate()
    [group] = read_duplicates(odd.context.store.snapshot(), odd.context.dataset.task).groups
    assert group.waits
    terminal = Terminal(tmp_path)
    assert "every dispute waits for annotators" in " ".join(terminal.goldleaf("duplicates").stdout.split())
    assert terminal.json("status")["in_review"] == {"conflict": 2}
    assert "\nin review, by first reason: 2 conflict\n" in terminal.goldleaf("status").stdout


def test_of_similar_rows_the_one_that_needs_no_review_is_kept(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, [row(1, f"{CLAUSE}, or jane.doe@example.org", "billing"), row(2, CLAUSE, "billing")])
    odd.curate()
    assert (odd[1].fate, odd[2].fate) == (Fate.DUPLICATE, Fate.ACCEPTED)


def test_a_pair_is_shown_by_the_rows_that_are_kept(tmp_path: Path) -> None:
    # Of equal words the longer text is kept, here the second.
    rows = [row(1, CLAUSE, "billing"), row(2, f"{CLAUSE}!", "billing"), row(3, CLOSE, "billing")]
    odd = Odd(tmp_path, QUESTION, rows)
    odd.curate()
    found = read_duplicates(odd.context.store.snapshot().at_last_commit(), odd.context.dataset.task)
    assert [(miss.one.line, miss.other.line) for miss in found.misses] == [(2, 3)]


def test_the_pairs_that_are_remembered_are_the_most_similar_ones(tmp_path: Path) -> None:
    # Sixty pairs whose similarities are near the threshold.
    rows = []
    for number in range(60):
        words = [f"w{number}n{at}" for at in range(40 + number)]
        rows += [row(2 * number + 10, " ".join(words), "billing")]
        changed = [*words[: (len(words) * 9) // 11], *(f"v{number}n{at}" for at in range(len(words) * 2 // 11))]
        rows += [row(2 * number + 11, " ".join(changed), "billing")]
    odd = Odd(tmp_path, QUESTION, rows)
    odd.curate()
    counted = last_similarities(odd.context.store.snapshot())
    assert counted is not None
    assert len(counted.near) == 50 < counted.below
    texts = {key(int(str(one["id"]))): str(one["question"]) for one in rows}
    everyone = [jaccard(texts[key(2 * n + 10)], texts[key(2 * n + 11)]) for n in range(60)]
    below = sorted(share for share in everyone if 0.6 <= share < 0.7)
    assert [pair.similarity for pair in counted.near] == pytest.approx(below[-50:])


def test_kept_rows_of_equal_words_are_listed(tmp_path: Path) -> None:
    rows = [row(1, "is the rate 5% or more", "billing"), row(2, "is the rate 5 or more", "returns")]
    odd = Odd(tmp_path, QUESTION, [*rows, row(3, LEASE, "billing")])
    odd.curate()
    found = read_duplicates(odd.context.store.snapshot().at_last_commit(), odd.context.dataset.task)
    assert [(miss.one.line, miss.other.line, miss.similarity) for miss in found.misses] == [(1, 2, 1.0)]
    assert found.above == 1
    assert sum(last.counts if (last := last_similarities(odd.context.store.snapshot())) else []) == 0


def test_a_row_whose_signs_differ_says_so(tmp_path: Path) -> None:
    one, other = f"{CLAUSE} if x < y", f"{CLAUSE} if x > y"
    odd = Odd(tmp_path, QUESTION, [row(1, one, "billing"), row(2, other, "billing"), row(3, LEASE, "billing")])
    odd.curate()
    shown = " ".join(Terminal(tmp_path).goldleaf("duplicates", "--of", "data.jsonl:1").stdout.split())
    assert "their symbols differ (math, currencies or emoticons) 1.00" in shown


def test_of_a_withdrawn_or_invalid_row_it_is_said_that_nothing_is_compared(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [row(1, CLAUSE, "billing"), row(2, "", "billing"), row(3, LEASE, "billing")]
    Odd(tmp_path, QUESTION, rows)
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id", "key: id, mode: snapshot"))
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    invalid = terminal.goldleaf("duplicates", "--of", "data.jsonl:2").stdout
    assert invalid.endswith("it was not compared, because it has no valid input\n")
    write_rows(tmp_path, rows[:2])
    terminal.goldleaf("curate")
    gone = " ".join(terminal.goldleaf("duplicates", "--of", key(3)).stdout.split())
    assert f"record {key(3)} is withdrawn, so it is not a duplicate" in gone


def test_an_answer_is_shown_even_if_the_task_cannot_write_it(tmp_path: Path) -> None:
    task = (
        QUESTION
        + """
    @classmethod
    def task_answer(cls, targets: dict[str, str]) -> str:
        if targets["article"].isupper():
            raise ValueError("shouting")
        return targets["article"]
"""
    )
    task = task.replace('topic: Target[Literal["billing", "delivery", "returns"]]', "article: Target[str]")
    rows = [{"id": 1, "question": "some shoes please", "article": "shoes"}]
    rows += [{"id": 2, "question": "some SHOES please", "article": "SHOES"}]
    odd = Odd(tmp_path, task, rows)
    odd.curate()
    [group] = read_duplicates(odd.context.store.snapshot(), odd.context.dataset.task).groups
    assert [group.kept.answer, group.copies[0].answer] == ["shoes", "SHOES"]


def test_one_template_leaves_room_for_other_pairs_near_the_threshold(tmp_path: Path) -> None:
    letter = "we hope that you are happy with what you have from {0}a {0}b"
    rows = [row(number, letter.format(number), "billing") for number in range(2, 14)]
    odd = Odd(tmp_path, QUESTION, [row(0, CLAUSE, "billing"), *rows, row(1, CLOSE, "billing")])
    odd.curate()
    counted = last_similarities(odd.context.store.snapshot())
    assert counted is not None
    # The template has more pairs, all nearer to the threshold, than are remembered.
    assert len(counted.near) == 50 < sum(counted.counts)
    assert {key(0), key(1)} in [{pair.one, pair.other} for pair in counted.near]


def test_each_pair_is_counted_once_by_its_similarity(odd: Odd) -> None:
    found = last_similarities(odd.context.store.snapshot())
    assert found is not None
    assert found.start == pytest.approx(0.6)
    assert [low for low, _ in found.bins] == pytest.approx([0.6 + number * BIN for number in range(21)])
    # Rows of equal words are one text.
    texts = {str(one["question"]).lower().strip("!"): int(str(one["id"])) for one in reversed(ROWS)}
    pairs = [
        (jaccard(one, other), {key(texts[one]), key(texts[other])}) for one, other in itertools.combinations(texts, 2)
    ]
    similar = [share for share, _ in pairs if share >= 0.6]
    assert found.counts == np.histogram(similar, [low - 1e-9 for low, _ in found.bins] + [1.1])[0].tolist()
    # Pairs with a withdrawn row do not help to choose a threshold.
    kept = {key(number) for number in (1, 4, 5, 7)}
    expected = sorted((share, sorted(both)) for share, both in pairs if share >= 0.6 and both <= kept)
    assert sorted((pair.similarity, sorted((pair.one, pair.other))) for pair in found.near) == expected


def test_the_command_marks_the_words_that_differ(odd: Odd) -> None:
    terminal = Terminal(odd.folder)
    shown = " ".join(terminal.goldleaf("duplicates").stdout.split())
    assert shown.startswith("3 duplicates of 2 kept rows: 1 exact, 2 near")
    assert "data.jsonl:2" in shown
    assert "for [-every-] {+any+} dispute" in shown
    assert "and 1 exact copy" in shown
    assert "similar, and both kept: 1 pair their answers differ" in shown
    assert "just below the threshold of 0.7: 2 pairs below the threshold" in shown
    assert "answer: [-billing-] {+returns+}" in shown
    assert "more group" not in shown
    assert "… 1 more group" in " ".join(terminal.goldleaf("duplicates", "--limit", 1).stdout.split())
    found = terminal.json("duplicates", "--of", "data.jsonl:6")
    assert [group["kept"]["line"] for group in found["groups"]] == [7]
    assert found["groups"][0]["copies"][0]["similarity"] == 1.0


def test_the_command_names_files_as_explain_takes_them(tmp_path: Path) -> None:
    files = {"in/a/data.jsonl": CLAUSE, "in/b/data.jsonl": NEAR, "in/the third vendor of all/data.jsonl": f"{NEAR} now"}
    odd = Odd(tmp_path, QUESTION, [])
    odd.edit("path: data.jsonl, key: id", "path: in/**/*.jsonl")
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(parents=True)
        write_rows((tmp_path / file).parent, [row(1, text, "billing")])
    odd.curate()
    terminal = Terminal(tmp_path)
    lines = [line.strip() for line in terminal.goldleaf("duplicates").stdout.splitlines()]
    for file in files:
        [shown] = [line for line in lines if f"{file}:1" in line]
        assert shown.endswith(f"{file}:1") is (len(file) > 28), "a long path leaves no room for words beside it"
        assert terminal.json("explain", f"{file}:1")["revisions"][0]["file"] == file
    assert "matches 3 records" in terminal.error("explain", "data.jsonl:1")


@pytest.mark.parametrize(
    ("similarity", "threshold", "text"),
    [
        (16 / 23, 0.7, "0.696"),
        (0.7, 0.7, "0.70"),
        (0.699999, 0.7, "0.699999"),
        (0.7021, 0.702, "0.702"),
        (0.706, 0.705, "0.71"),
        (0.7049, 0.705, "0.70"),
        (0.0, 0.7, "0.00"),
        (1.0, 1.0, "1.00"),
        (0.999, 1.0, "0.999"),
    ],
)
def test_a_similarity_is_never_shown_on_the_other_side_of_the_threshold(
    similarity: float, threshold: float, text: str
) -> None:
    assert shown_similarity(similarity, threshold) == text


def test_a_pair_below_the_threshold_is_shown_below_it_everywhere(tmp_path: Path) -> None:
    def text(sort: str, count: int) -> str:
        return " ".join(f"{sort}{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(count))

    # 28 of 40 and 32 of 46 word 3-grams in common.
    texts = [text("at", 30), text("at", 42), text("near", 34), text("near", 48)]
    Odd(tmp_path, QUESTION, [row(number, text, "billing") for number, text in enumerate(texts, 1)]).curate()
    terminal = Terminal(tmp_path)
    shown = terminal.goldleaf("duplicates").stdout
    groups, below = shown.split("just below the threshold of 0.7: 1 pair")
    assert "\n0.70  data.jsonl:" in groups and "\n0.696  data.jsonl:" in below
    assert "similarity 0.70\n" in terminal.goldleaf("explain", "data.jsonl:1").stdout
    page = Path(terminal.json("report")["path"]).read_text()
    assert "similarity 0.70<" in page and "similarity 0.696: below the threshold" in page
    # 33 of 47, just above a threshold with more digits.
    rows = [row(1, text("or", 35), "billing"), row(2, text("or", 49), "billing")]
    odd = Odd(tmp_path / "exact", QUESTION, rows, "duplicates: {threshold: 0.702}\n")
    odd.curate()
    assert [one.reasons[0].detail for one in (odd[1], odd[2]) if one.fate is Fate.DUPLICATE] == ["similarity 0.702"]


def test_explain_says_where_the_kept_row_and_the_copies_are(odd: Odd) -> None:
    terminal = Terminal(odd.folder)
    kept = f"{key(1)} (data.jsonl:1)"
    assert f"\n  kept instead: {kept}\n" in terminal.goldleaf("explain", "data.jsonl:2").stdout
    shown = terminal.goldleaf("explain", "data.jsonl:1").stdout
    assert f"\ncopies of it:\n  {key(2)} (data.jsonl:2)\n  {key(3)} (data.jsonl:3)\n" in shown
    assert terminal.json("explain", "data.jsonl:6")["places"] == {key(7): "data.jsonl:7"}


def test_groups_that_are_not_shown_are_counted(tmp_path: Path) -> None:
    texts = [f"order {n} went to street {7 * n} on day {3 * n} of month {11 * n}" for n in range(12)]
    rows = [row(100 * copy + n, text, "billing") for copy in range(2) for n, text in enumerate(texts)]
    Odd(tmp_path, QUESTION, [*rows, row(900, CLAUSE, "billing"), row(901, NEAR, "billing")]).curate()
    terminal = Terminal(tmp_path)
    shown = " ".join(terminal.goldleaf("duplicates").stdout.split())
    assert "13 duplicates of 13 kept rows: 12 exact, 1 near" in shown
    assert "… 12 more groups, 12 of them with only exact copies; use --limit, --of, or --json for all" in shown


def test_two_rows_that_nearly_were_duplicates_say_why_they_are_none(tmp_path: Path) -> None:
    task = QUESTION.replace('Literal["billing", "delivery", "returns"]', "str | None").replace("]\n", "] = None\n")
    texts = {1: CLAUSE, 2: NEAR, 3: f"{LEASE} at once", 4: f"{LEASE} at last", 5: LEASE, 6: f"{LEASE}"}
    topics = {1: None, 2: None, 3: "tenant", 4: "landlord"}
    odd = Odd(tmp_path, task, [row(n, texts[n], topics[n]) for n in topics])
    odd.curate()
    found = read_duplicates(odd.context.store.snapshot().at_last_commit(), odd.context.dataset.task)
    reasons = {frozenset((miss.one.line, miss.other.line)): miss.reason for miss in found.misses}
    assert (found.above, found.below) == (2, 0)
    assert reasons[frozenset((1, 2))] == "at least one has no answer, so they may differ"
    assert reasons[frozenset((3, 4))] == "their answers differ"


def test_of_two_short_rows_that_are_both_kept_it_is_said_that_a_word_may_change_their_meaning(tmp_path: Path) -> None:
    text = "I would like to dispute a direct debit"
    odd = Odd(tmp_path, QUESTION, [row(1, f"{text} transaction", "billing"), row(2, f"{text} payment", "billing")])
    odd.curate()
    [miss] = read_duplicates(odd.context.store.snapshot(), odd.context.dataset.task).misses
    assert miss.reason == "so short that a word may change the meaning"


def test_users_are_told_if_most_rows_are_near_duplicates(tmp_path: Path) -> None:
    rows = [row(number, f"{CLAUSE} {'again ' * number}", "billing") for number in range(6)]
    note = Odd(tmp_path, QUESTION, rows).curate().note
    assert "5 of 6 rows are near-duplicates of others; look at some with `goldleaf duplicates`" in note
    assert "near-duplicates" not in Odd(tmp_path / "few", QUESTION, [*rows[:2], row(9, LEASE, "billing")]).curate().note


def test_of_many_copies_some_are_shown(tmp_path: Path) -> None:
    rows = [row(number, f"{CLAUSE} {'again ' * number}", "billing") for number in range(6)]
    Odd(tmp_path, QUESTION, rows).curate()
    shown = " ".join(Terminal(tmp_path).goldleaf("duplicates", "--limit", 2).stdout.split())
    assert shown.startswith("5 duplicates of 1 kept row: 0 exact, 5 near")
    assert "… and 3 more that are at least as similar" in shown
