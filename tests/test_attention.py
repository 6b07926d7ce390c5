"""What Label Studio's queue no longer shows is listed, with its row and the address of its task."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser_desk import log_in
from desk import Desk, desk_at
from fake_studio import FakeStudio
from playwright.sync_api import Browser, expect
from store_rows import commit, decision, records
from support import row, write_dataset, write_rows
from terminal import Terminal

from flows.collect import Collected
from flows.local.studio_server import LocalStudio
from pipeline.reporting.attention import Need, attention
from pipeline.reporting.overview import rejections, unkeyed
from pipeline.state.decisions import to_frame
from pipeline.state.store import Store
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.dataset import Source
from schemas.fate import Fate, Reason, ReasonCode
from schemas.identity import stable_hash
from schemas.run_summary import Verb
from schemas.tasks.contract_clause import ContractClause

INVALID, UNSURE, LABELED, OPEN, UNUSABLE = 1, 2, 3, 4, 5
ROWS = [row(key, f"Question number {key}?", None) for key in (INVALID, UNSURE, LABELED, OPEN, UNUSABLE)]


# --- with annotators --------------------------------------------------------------------------------
@dataclass(frozen=True)
class Answered:
    """Five questions, four answers, one collect."""

    desk: Desk
    terminal: Terminal
    first: Collected
    shown: str
    """What the command said when it had nothing new to pull."""

    def address(self, key: int) -> str:
        return f"{self.desk.client.url}/projects/{self.desk.project}/data?task={self.desk.task(key)}"


@pytest.fixture(scope="module")
def answered(label_studio: LocalStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    more = "review: {budget: 100, audit: 0.0}\n"
    with desk_at(label_studio, tmp_path_factory.mktemp("attention"), ROWS, more) as desk:
        desk.curate()
        desk.label(INVALID, "nonsense")
        desk.say(UNSURE, Verdict.UNSURE)
        desk.label(LABELED, "billing")
        desk.say(UNUSABLE, Verdict.UNUSABLE)
        terminal = Terminal(desk.folder, label_studio.url, label_studio.token)
        first = desk.collect()
        yield Answered(desk, terminal, first, terminal.goldleaf("collect").stdout)


def test_collect_counts_decided_and_unsure_apart(answered: Answered) -> None:
    counts = answered.first.model_dump(include={"annotations", "decided", "unsure", "taken_back", "invalid"})
    assert counts == {"annotations": 4, "decided": 2, "unsure": 1, "taken_back": 0, "invalid": 1}
    assert "0 annotations changed, 0 records decided by annotators\n" in answered.shown


def test_an_invalid_answer_and_an_unsure_one_are_listed_with_row_task_and_what_is_wrong(answered: Answered) -> None:
    correction, opinion = answered.first.attention
    assert (correction.kind, opinion.kind) == (Need.CORRECTION, Need.SECOND_OPINION)
    assert (correction.record_id, correction.file, correction.line) == (answered.desk.id(INVALID), "data.jsonl", 1)
    assert (correction.project, correction.task_id) == (answered.desk.project, answered.desk.task(INVALID))
    assert (correction.annotator, opinion.annotator) == ("first@example.com", "")
    assert "'nonsense'" in correction.what and opinion.what == "an annotator was unsure"
    assert [item.url for item in answered.first.attention] == [answered.address(INVALID), answered.address(UNSURE)]
    listed = [item.model_dump(mode="json") for item in answered.first.attention]
    assert listed == answered.terminal.json("status")["attention"] == answered.terminal.json("collect")["attention"]


def test_collect_and_status_show_them_and_status_says_to_settle_them(answered: Answered) -> None:
    status = answered.terminal.goldleaf("status").stdout
    for shown in (answered.shown, status):
        assert "2 answers need an annotator:\n  data.jsonl:1  first@example.com: topic: " in shown
        assert f"\n    {answered.address(INVALID)}\n" in shown
        assert f"\n  data.jsonl:2  an annotator was unsure\n    {answered.address(UNSURE)}\n" in shown
    file = answered.desk.folder / "dataset.yaml"
    step = f"settle the 2 answers that need an annotator in Label Studio, then goldleaf collect {file}"
    assert f"\nnext: {step}\n" in status


def test_explain_shows_who_was_unsure_and_no_empty_answer(answered: Answered) -> None:
    shown = answered.terminal.goldleaf("explain", "data.jsonl:2").stdout
    assert ": unsure\n" in shown and "None" not in shown
    assert (
        ", curate: review, for annotators: uncertain\n" in shown
        and ", collect: review, for annotators: adjudicate\n" in shown
    )


def test_the_address_opens_the_task_with_its_answer_after_a_log_in(
    answered: Answered, label_studio: LocalStudio, browser: Browser
) -> None:
    page = browser.new_page(locale="en-US")
    page.goto(answered.address(INVALID))
    log_in(page, label_studio)
    expect(page.locator(".goldleaf-text")).to_contain_text("Question number 1?", timeout=20_000)
    expect(page.get_by_role("button", name="submit")).to_have_text("Update", timeout=20_000)
    page.close()


def test_what_was_settled_is_listed_no_more(label_studio: LocalStudio, tmp_path: Path) -> None:
    with desk_at(label_studio, tmp_path, ROWS[:3], "review: {budget: 100, audit: 0.0}\n") as desk:
        desk.curate()
        invalid, unsure = desk.label(INVALID, "nonsense"), desk.say(UNSURE, Verdict.UNSURE)
        assert len(desk.collect().attention) == 2
        desk.edit(invalid, "delivery")
        desk.delete(f"annotations/{unsure}")
        result = desk.collect()
        assert (result.decided, result.unsure, result.taken_back, result.attention) == (1, 0, 1, [])
        terminal = Terminal(tmp_path, label_studio.url, label_studio.token)
        step = f"label in Label Studio at {desk.client.url}/projects/{desk.project}/data, then goldleaf collect "
        assert terminal.json("status")["next_step"].startswith(step)


def test_ten_are_shown_and_the_rest_is_counted(label_studio: LocalStudio, tmp_path: Path) -> None:
    rows = [row(key, f"Question number {key}?", None) for key in range(12)]
    with desk_at(label_studio, tmp_path, rows, "review: {budget: 100, audit: 0.0}\n") as desk:
        desk.curate()
        for key in range(12):
            desk.say(key, Verdict.UNSURE)
        shown = Terminal(tmp_path, label_studio.url, label_studio.token).goldleaf("collect").stdout
    assert "12 annotations changed, 0 records decided by annotators, 12 unsure\n" in shown
    assert shown.count("an annotator was unsure") == 10
    assert "  … 2 more, all with --json\n" in shown


# --- second opinions ------------------------------------------------------------------------------
def test_a_row_that_annotators_answered_differently_waits_for_a_second_opinion_at_the_task_that_has_their_answers(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, ROWS[:1], "review: {budget: 100, audit: 0.0}\n") as desk:
        desk.curate()
        for topic, who in (("billing", "first@example.com"), ("delivery", "second@example.com")):
            desk.label(1, topic, who)
        [found] = desk.collect().attention
        assert (found.kind, found.url) == (
            Need.SECOND_OPINION,
            f"{studio.url}/projects/{desk.project}/data?task={desk.task(1)}",
        )
        assert found.what == (
            "annotators contradict each other: "
            "first@example.com says topic 'billing' and second@example.com says topic 'delivery'"
        )
        [told] = attention(desk.context.store.snapshot().at_last_commit(), desk.context.dataset.task)
        assert (told.task_id, told.url) == (desk.task(1), ""), "without a server there is no address"


# --- why rows are rejected ------------------------------------------------------------------------
def test_reasons_of_rejection_are_counted_with_one_row_each(tmp_path: Path) -> None:
    rows = [row(1, "", "billing"), row(2, "Why?", "x"), row(3, "Where?", "y"), row(4, "When?", "billing")]
    write_dataset(tmp_path, rows, "review: {budget: 10, audit: 0.0}\n")
    terminal = Terminal(tmp_path)
    found = terminal.json("curate")["rejections"]
    assert [(item["code"], item["field"], item["count"], item["line"]) for item in found] == [
        ("invalid", "topic", 2, 2),
        ("missing", "question", 1, 1),
    ]
    assert terminal.json("status")["rejections"] == found
    for command in ("curate", "status"):
        shown = terminal.goldleaf(command).stdout
        assert "why rows are rejected (for details: goldleaf explain data.jsonl:2):\n" in shown
        assert "\n  2  a field breaks the task's schema (topic), as in data.jsonl:2: " in shown
        assert "\n  1  a required field is missing or empty (question), as in data.jsonl:1\n" in shown


def test_a_rejected_row_that_its_file_has_lost_is_named_by_its_record(tmp_path: Path) -> None:
    """A log keeps what it once had: a bad file was replaced by a good one, whose rows are on the same lines."""
    write_dataset(tmp_path, [row(key, f"Question {key}?", "x") for key in (1, 2)], "review: {audit: 0.0}\n")
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    write_rows(tmp_path, [row(key, f"Question {key}?", "billing") for key in (3, 4)])
    curated = terminal.goldleaf("curate").stdout
    bad, [group] = stable_hash("examples", "int:1"), terminal.json("status")["rejections"]
    assert (group["record_id"], group["line"], group["gone"]) == (bad, 1, 2)
    for shown in (curated, terminal.goldleaf("status").stdout):
        assert f"why rows are rejected (for details: goldleaf explain {bad}):\n" in shown
        assert ", got 'x', as in data.jsonl:1 (no longer in its file)\n" in shown
    told = terminal.goldleaf("explain", bad).stdout.splitlines()
    assert told[0] == f"record {bad}  data.jsonl:1 (no longer in its file)  source examples, key int:1"
    assert "now accepted" in terminal.goldleaf("explain", "data.jsonl:1").stdout
    # One that is in its file is the better example.
    write_rows(tmp_path, [row(3, "Question 3?", "billing"), row(5, "Question 5?", "x")])
    curated = terminal.goldleaf("curate").stdout
    assert "(for details: goldleaf explain data.jsonl:2)" in curated
    assert ", got 'x' (2 of them no longer in their files), as in data.jsonl:2\n" in curated
    # How to get rid of the others, as the guide says.
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
    assert [found["count"] for found in terminal.json("curate")["rejections"]] == [1]
    file.write_text(file.read_text().replace("mode: snapshot,", "mode: append,"))
    assert [found["count"] for found in terminal.json("curate")["rejections"]] == [1]


def test_less_frequent_reasons_are_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(2, "Why?", "x"), row(3, "<|im_end|>", "billing")])
    with (tmp_path / "data.jsonl").open("a") as file:
        file.write('{"id": 4\n[5]\n{"id": 1, "question": "", "topic": "billing"}\n')
    shown = Terminal(tmp_path).goldleaf("curate").stdout
    assert "\n  2  for 2 other reasons: not_an_object, missing (question); status --json lists them all\n" in shown


def test_where_every_row_is_rejected_the_next_step_is_to_fix_them(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(key, f"Question {key}?", "x") for key in range(3)])
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    assert terminal.json("status")["next_step"] == (
        "fix the source, its fields or the task, because all rows are rejected, "
        f"then goldleaf curate {tmp_path}/dataset.yaml"
    )


def test_no_rejected_row_no_reasons(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "Why?", "billing")])
    terminal = Terminal(tmp_path)
    assert terminal.json("curate")["rejections"] == []
    assert "why rows are rejected" not in terminal.goldleaf("status").stdout


def test_equally_frequent_reasons_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    store = Store(tmp_path, "toy")
    run = store.new_run(Verb.CURATE, "c", "0")
    codes = [ReasonCode.INVALID, ReasonCode.UNREADABLE, ReasonCode.UNUSABLE, ReasonCode.TOO_LONG]
    store.append(Table.RECORDS, records(run.id, codes))
    made = [decision(run.id, code, Fate.REJECTED).model_copy(update={"reasons": [Reason(code=code)]}) for code in codes]
    store.append(Table.DECISIONS, to_frame(made))
    commit(store, run, records=store.version(Table.RECORDS))
    assert [item.code for item in rejections(store.snapshot().at_last_commit(), ContractClause)] == codes


# --- keys that no row has -------------------------------------------------------------------------
def test_a_key_that_no_row_has_is_an_error_before_anything_is_committed(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "Why?", "billing")])
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id,", "key: ID,"))
    terminal = Terminal(tmp_path)
    for _ in range(2):
        assert terminal.goldleaf("curate", exit_code=1).stderr.endswith(
            "error: no row of source 'examples' has its key 'ID'; correct `key:` (use dots for nested fields) or leave "
            "it out; the rows have the fields 'id', 'question', 'topic'\n"
        )
    file.write_text(file.read_text().replace("key: ID,", "key: id,"))
    assert terminal.json("curate")["funnel"]["raw"] == 1, "the rows are there once"


NO_KEYS = [{"question": f"Why {n}?", "topic": "billing"} for n in range(3)]


def test_a_batch_of_a_log_without_the_key_that_earlier_ones_had_is_a_note(tmp_path: Path) -> None:
    """It stopped the whole curate, of all sources, until dataset.yaml was edited."""
    write_dataset(tmp_path, [row(1, "Where is my parcel?", "delivery"), row(2, "Who pays?", "billing")])
    terminal = Terminal(tmp_path)
    terminal.json("curate")
    write_rows(tmp_path, NO_KEYS)
    for _ in range(2):
        found = terminal.json("curate")
        assert found["funnel"]["raw"] == 5
        assert found["note"].splitlines()[-1] == (
            "no row of source 'examples' in the latest batch has a value in its key 'id', though earlier ones do, so "
            "these rows are identified by content; deliver them with it, or an edited one is a new row"
        )
    write_rows(tmp_path, [row(3, "May I send it back?", "returns")])
    assert "its key" not in terminal.json("curate")["note"]


def test_a_key_that_was_misspelled_after_rows_had_come_in_is_an_error_still(tmp_path: Path) -> None:
    """The same rows would be there twice."""
    write_dataset(tmp_path, [row(1, "Where is my parcel?", "delivery")])
    terminal = Terminal(tmp_path)
    terminal.json("curate")
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id,", "key: ID,"))
    write_rows(tmp_path, [row(1, "Where is my parcel?", "delivery"), row(2, "Who pays?", "billing")])
    assert "no row of source 'examples' has its key 'ID'; correct" in terminal.error("curate", "--json")


def test_a_snapshot_without_its_key_is_an_error_still(tmp_path: Path) -> None:
    """All its rows would be withdrawn, and come in again as others."""
    write_dataset(tmp_path, [row(1, "Where is my parcel?", "delivery")])
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
    terminal = Terminal(tmp_path)
    terminal.json("curate")
    write_rows(tmp_path, NO_KEYS)
    assert "no row of source 'examples' has its key 'id'; correct" in terminal.error("curate", "--json")


def test_curate_notes_a_key_that_is_empty_in_all_rows(tmp_path: Path) -> None:
    write_dataset(tmp_path, [{"id": None, "question": "Why?", "topic": "billing"}])
    terminal = Terminal(tmp_path)
    note = "no row of source 'examples' has a value in its key 'id', so its rows are identified by their content"
    for _ in range(2):
        assert f"note: {note}; fix `key:`" in terminal.goldleaf("curate").stdout
    write_dataset(tmp_path, [row(1, "Why?", "billing")])
    assert note not in terminal.goldleaf("curate").stdout


def test_a_key_that_many_rows_share_is_noted_with_their_number(tmp_path: Path) -> None:
    rows = [row(n % 2, f"Question {n}?", "billing") for n in range(5)]
    write_dataset(tmp_path, [*rows, rows[-1]])
    terminal = Terminal(tmp_path)
    for _ in range(2):
        assert (
            "3 of 6 rows of source 'examples' share their key with a later row that has different content, and "
            "only the last one counts; is `id` a key?"
        ) in terminal.json("curate")["note"].splitlines()
    [found] = [one["detail"] for one in terminal.json("check") if one["what"] == "source examples"]
    assert "; 3 of 6 rows tried share their key with a later row that has different content, such as " in found


def test_a_field_that_identifies_no_row_is_refused_unless_later_rows_are_meant_to_replace_earlier_ones(
    tmp_path: Path,
) -> None:
    """Of 40 rows of 12 customers 28 were once lost, under a tick."""
    rows = [row(n % 12, f"Question {n}?", "billing") for n in range(40)]
    write_dataset(tmp_path, rows)
    terminal, file = Terminal(tmp_path), tmp_path / "dataset.yaml"
    assert terminal.error("curate", "--json") == (
        "28 of 40 rows of source 'examples' share their key with a later row of their file that has different content, "
        "and would be lost: is `id` a key? name another field or none, or set `updates: true` in the source if later "
        "rows replace earlier ones"
    )
    [found] = [one for one in terminal.json("check", exit_code=1) if one["what"] == "key of source examples"]
    assert not found["ok"]
    assert found["detail"] == (
        "28 of 40 rows tried share their key with a later row that has different content, such as data.jsonl:1 and "
        "data.jsonl:37 with the key 0: the last one counts; is `id` a key? name another field or none, or set "
        "`updates: true` if later rows replace earlier ones"
    )
    plain = file.read_text()
    file.write_text(plain.replace("key: id", "key: id, updates: true"))
    assert "share their key" not in terminal.json("curate")["note"]
    assert terminal.json("status")["raw"] == 40
    assert [one for one in terminal.json("check") if "share their key" in one["detail"]] == []
    # Each day's file has each key once: what recurs in a later file is an update.
    file.write_text(plain.replace("data.jsonl", "day-*.jsonl").replace("examples", "days"))
    for day in range(4):
        write_rows(tmp_path, [row(n, f"Question {n} of day {day}?", "billing") for n in range(20)], f"day-{day}.jsonl")
    assert "60 of 80 rows of source 'days' share their key" in terminal.json("curate")["note"]
    # The files of a snapshot are one table.
    file.write_text(file.read_text().replace("key: id", "key: id, mode: snapshot"))
    said = terminal.error("curate", "--json")
    assert said.startswith("60 of 80 rows of source 'days' share their key with a later row of their source that has ")
    assert [one["ok"] for one in terminal.json("check", exit_code=1) if one["what"] == "key of source days"] == [False]


def test_a_log_in_which_some_rows_replace_others_is_no_note(tmp_path: Path) -> None:
    rows = [row(n % 5, f"Question {n}?", "billing") for n in range(6)]
    write_dataset(tmp_path, rows)
    assert "is `id` a key?" not in Terminal(tmp_path).json("curate")["note"]


def test_rows_without_a_value_beside_rows_with_one_are_no_note(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "Why?", "billing"), {"question": "Where?", "topic": "delivery"}])
    terminal = Terminal(tmp_path)
    assert "identified by" not in terminal.json("curate")["note"]
    snapshot = Store(terminal.home, "questions").snapshot().at_last_commit()
    assert unkeyed(snapshot, [Source(name="examples", path="data.jsonl", key="id")]) == []
