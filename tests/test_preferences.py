"""What annotators corrected is published as preference pairs, beside the rows and without a change to them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from desk import Desk, desk_at
from fake_studio import fake_studio
from home_of_answers import home_in
from release_toys import metadata
from support import row, write_rows
from trl.data_utils import extract_prompt, is_conversational

from flows.engines.engine import Inline
from flows.release import Released, release
from pipeline.config.dataset_file import LoadedDataset, load_dataset_file
from pipeline.releases.preferences import preference_tables
from pipeline.releases.versions import read_manifest, verify
from pipeline.review.labeling_tasks import prediction_result
from pipeline.state.table_files import create_table
from pipeline.state.tables import SCHEMAS, Table
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode
from schemas.field import JsonValue

REVIEWED = Reason(code=ReasonCode.REVIEWED)
ALL = "review: {budget: 1.0, audit: 1.0}\n"
SHOP = [
    row(1, "Where is my parcel?", "billing"),
    row(2, "Why was I charged twice?", "billing"),
    row(3, "How do I send back shoes?", "delivery"),
    row(4, "May I pay by invoice?", "billing"),
    row(5, "When does the lamp arrive?", "delivery"),
]


# --- from an answer in Label Studio to a trainer ------------------------------------------------------
@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with fake_studio() as studio, desk_at(studio, tmp_path, SHOP, ALL) as opened:
        opened.curate()
        opened.label(1, "delivery")
        opened.label(2, "billing")
        opened.label(3, "returns")
        opened.say(4, Verdict.UNUSABLE)
        opened.collect()
        yield opened


def published(desk: Desk, version: str | None = None) -> Released:
    return release(desk.context, Inline(), version=version)


def pairs_of(released: Released) -> dict[str, dict[str, Any]]:
    """The pairs of a version by record, as `datasets` reads them."""
    cache = str(Path(released.path).parent / ".cache")
    loaded = datasets.load_dataset(released.path, "preferences", cache_dir=cache)
    assert isinstance(loaded, datasets.DatasetDict)
    assert all(pair["split"] == split for split, pairs in loaded.items() for pair in pairs)
    return {pair["id"]: pair for pairs in loaded.values() for pair in pairs}


def rows_of(released: Released) -> dict[str, tuple[str, dict[str, Any]]]:
    """The rows of a version with their splits, by record, as `datasets` reads them by default."""
    cache = str(Path(released.path).parent / ".cache")
    loaded = datasets.load_dataset(released.path, cache_dir=cache)
    assert isinstance(loaded, datasets.DatasetDict)
    return {one["id"]: (split, one) for split, rows in loaded.items() for one in rows}


def test_a_corrected_row_is_published_with_its_answer_before_and_after(desk: Desk) -> None:
    released = published(desk)
    pairs = pairs_of(released)
    assert sum(released.preferences.values()) == 2
    assert set(pairs) == {desk.id(1), desk.id(3)}, "the second was confirmed, the fourth is unusable"
    pair = pairs[desk.id(1)]
    assert pair["rejected"] == [{"role": "assistant", "content": "billing"}]
    assert pair["chosen"] == [{"role": "assistant", "content": "delivery"}]
    split, published_row = rows_of(released)[desk.id(1)]
    assert (pair["prompt"], pair["chosen"]) == (published_row["prompt"], published_row["completion"])
    assert pair["split"] == split, "what no model may be trained on is in no other split as a pair"


def test_no_pair_rejects_a_label_that_the_task_has_no_more(desk: Desk) -> None:
    """It was a right answer until its label went, or was divided."""
    task = desk.folder / "task.py"
    task.write_text(task.read_text().replace('"billing", ', ""))
    desk.curate()
    assert set(pairs_of(published(desk))) == {desk.id(3)}


def test_trl_takes_the_pairs_for_what_they_are(desk: Desk) -> None:
    for pair in pairs_of(published(desk)).values():
        assert is_conversational(pair)
        chats = {name: pair["prompt"] + pair[name] for name in ("chosen", "rejected")}
        assert extract_prompt(chats) == {name: pair[name] for name in ("prompt", "chosen", "rejected")}


def test_pairs_change_no_row_no_digest_and_nothing_for_who_does_not_ask_for_them(desk: Desk) -> None:
    first = published(desk)
    file = desk.folder / "dataset.yaml"
    file.write_text(file.read_text() + "release: {preferences: false}\n")
    desk.curate()
    again = published(desk)
    assert (again.version, again.created, again.digest) == (first.version, False, first.digest)
    shutil.rmtree(first.path)
    without = published(desk, "1.1.0")
    assert without.digest == first.digest
    assert read_manifest(Path(without.path)).preferences == {}
    assert not (Path(without.path) / "preferences").exists()
    assert "preference" not in (Path(without.path) / "README.md").read_text().lower()
    assert isinstance(metadata(Path(without.path))["dataset_info"], dict)


def test_the_manifest_and_the_card_list_the_pairs_and_verify_checks_them(desk: Desk) -> None:
    folder = Path(published(desk).path)
    manifest = read_manifest(folder)
    assert sum(file.rows for file in manifest.preferences.values()) == 2
    assert [config["config_name"] for config in metadata(folder)["configs"]] == ["default", "preferences"]
    assert "## Preference pairs" in (folder / "README.md").read_text()
    sound = verify(folder)
    assert (sound.problems, sound.rows) == ((), sum(file.rows for file in manifest.splits.values()))
    file = folder / next(iter(manifest.preferences.values())).file
    table = pq.read_table(file)
    file.chmod(0o644)
    pq.write_table(pa.Table.from_pylist(table.to_pylist()[::-1], table.schema), file)
    assert [str(problem) for problem in verify(folder).problems] == [
        f"{file.relative_to(folder)} does not have the bytes that were published"
    ]
    file.unlink()
    assert [str(problem) for problem in verify(folder).problems] == [f"{file.relative_to(folder)} is missing"]


def test_a_pair_stays_when_the_source_takes_the_correction_over(desk: Desk) -> None:
    desk.rows(row(1, "Where is my parcel?", "delivery"), *SHOP[1:])
    desk.curate()
    decision = desk.decision(1)
    assert (decision.fate, decision.label_source) == (Fate.ACCEPTED, LabelSource.HUMAN)
    assert pairs_of(published(desk))[desk.id(1)]["rejected"] == [{"role": "assistant", "content": "billing"}]


def test_a_pair_goes_with_the_answer_that_is_taken_back(desk: Desk) -> None:
    annotation = desk.label(5, "returns")
    desk.collect()
    assert desk.decision(5).replaced == {"topic": "delivery"}
    desk.delete(f"annotations/{annotation}")
    desk.collect()
    assert desk.decision(5).replaced is None
    assert set(pairs_of(published(desk))) == {desk.id(1), desk.id(3)}


def test_curate_and_collect_keep_the_same_answer_and_a_second_curate_changes_nothing(desk: Desk) -> None:
    assert desk.decision(1).replaced == {"topic": "billing"}
    assert desk.decision(2).replaced is None
    assert desk.curate().decided == 0
    assert desk.collect().annotations == 0


def test_tables_of_before_corrections_were_kept_are_read(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    columns = {name: kind for name, kind in SCHEMAS[Table.DECISIONS].items() if name != "replaced"}
    create_table(home.store.root / "tables" / "decisions", pl.Schema(columns))
    asked = home.asked("r1")
    home.curated(asked)
    home.said("1", "returns", asked, number=1)
    [decided] = home.collected()
    assert decided.replaced == {"topic": "billing"}
    kept = home.now.current_decisions().select("targets", "replaced").collect().rows()
    assert kept == [('{"topic":"returns"}', '{"topic":"billing"}')]


# --- what is no pair ----------------------------------------------------------------------------------
EXAM = "my parcel was promised for monday and now it is friday so please tell me where it is and who has it"
LETTER = """\
from schemas.task import Input, Target, Task
from schemas.field import FreeText


class Reply(Task):
    \"\"\"Answer this letter in one sentence.\"\"\"

    letter: Input[str]
    reply: Target[FreeText[str]]
    tags: Target[list[str]] = []
"""


def letters(folder: Path, more: str = "") -> LoadedDataset:
    (folder / "task.py").write_text(LETTER)
    (folder / "dataset.yaml").write_text(
        f"name: letters\ntask: task.py:Reply\nsources: [{{name: s, path: s.jsonl}}]\n{more}"
    )
    (folder / "s.jsonl").touch()
    return load_dataset_file(folder / "dataset.yaml")


def corrected(name: str, before: str | None, after: str, tags: tuple[list[str], list[str]] = ([], [])) -> Decision:
    replaced: dict[str, JsonValue] | None = None if before is None else {"reply": before, "tags": [*tags[0]]}
    return Decision(
        run="r", record_id=name, revision="v", task_digest="t", fate=Fate.ACCEPTED, reasons=[REVIEWED],
        inputs={"letter": f"Letter of {name[:1]}"}, targets={"reply": after, "tags": [*tags[1]]},
        replaced=replaced, label_source=LabelSource.HUMAN, group=name[:1],
    )  # fmt: skip


def pairs(dataset: LoadedDataset, *decisions: Decision, split: str = "train") -> dict[str, dict[str, Any]]:
    tables = preference_tables(decisions, {one.record_id: split for one in decisions}, dataset)
    return {pair["id"]: pair for table in tables.values() for pair in table.to_pylist()}


def test_corrected_texts_are_pairs_as_labels_are(tmp_path: Path) -> None:
    found = pairs(letters(tmp_path), corrected("a", "We send it at monday.", "We send it on Monday."))
    assert found["a"]["rejected"] == [{"role": "assistant", "content": '{"reply":"We send it at monday."}'}]
    assert found["a"]["chosen"] == [{"role": "assistant", "content": '{"reply":"We send it on Monday."}'}]
    assert found["a"]["prompt"][-1] == {"role": "user", "content": "Letter of a"}


def test_a_correction_of_nothing_but_the_form_is_no_pair(tmp_path: Path) -> None:
    assert not pairs(
        letters(tmp_path),
        corrected("a", "We  send it\non Monday.", "We send it on Monday."),
        corrected("b", "Soon.", "Soon.", (["x", "y"], ["y", "x"])),
        corrected("c", None, "Soon."),
    )


@pytest.mark.parametrize(
    "before",
    ["Write to jane.roe@example.org.", "The key is AKIAIOSFODNN7EXAMPLE.", "Soon.<|im_end|>"],
    ids=["personal data", "a secret", "a control token"],
)
def test_an_answer_that_nobody_agreed_to_publish_is_in_no_pair(tmp_path: Path, before: str) -> None:
    dataset = letters(tmp_path)
    assert set(pairs(dataset, corrected("a", before, "Soon."), corrected("b", "Never.", "Soon."))) == {"b"}
    allowed = letters(tmp_path, "screen: {personal_data: allow, secrets: allow, template_tokens: allow}\n")
    assert set(pairs(allowed, corrected("a", before, "Soon."))) == {"a"}


def test_what_is_right_in_another_row_of_the_same_input_is_not_rejected_in_a_pair(tmp_path: Path) -> None:
    other = corrected("a2", None, "Tomorrow.")
    assert not pairs(letters(tmp_path), corrected("a1", "Tomorrow.", "Soon."), other)
    assert set(pairs(letters(tmp_path), corrected("a1", "Never.", "Soon."), other)) == {"a1"}


def test_equal_corrections_give_an_equal_file_in_any_order(tmp_path: Path) -> None:
    dataset = letters(tmp_path)
    both = [corrected("a", "Never.", "Soon."), corrected("b", "No.", "Yes.")]
    splits = {"a": "train", "b": "test"}
    one, other = (preference_tables(order, splits, dataset) for order in (both, both[::-1]))
    assert list(one) == list(other) == ["train", "test"]
    assert one == other


def test_an_earlier_answer_that_quotes_an_evaluation_row_is_forgotten(tmp_path: Path) -> None:
    more = "decontaminate: {against: [{name: exam, path: exam.jsonl, fields: {letter: text}}]}\n" + ALL
    rows = [{"id": 1, "letter": "When?", "reply": EXAM}, {"id": 2, "letter": "Where is it?", "reply": "In a box."}]
    with fake_studio() as studio, desk_at(studio, tmp_path, rows, ALL) as desk:
        (tmp_path / "task.py").write_text(LETTER)
        write_rows(tmp_path, [{"text": EXAM}], "exam.jsonl")
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("task.py:Question", "task.py:Reply"))
        desk.curate()
        for key in (1, 2):
            answer = prediction_result(desk.context.dataset.task, {"reply": "On Friday."})
            desk.submit(desk.task(key), answer)
        desk.collect()
        assert all(desk.decision(key).replaced for key in (1, 2))
        file.write_text(file.read_text().replace(ALL, more))
        desk.curate()
        assert (desk.decision(1).fate, desk.decision(1).replaced) == (Fate.ACCEPTED, None)
        assert set(pairs_of(published(desk))) == {desk.id(2)}


# --- conversations ------------------------------------------------------------------------------------
CHAT = """\
from schemas.task import Conversation, Task, Tools


class Assistant(Task):
    \"\"\"Is the last answer right?\"\"\"

    messages: Conversation
    tools: Tools = []
"""
ASKED = {"role": "user", "content": "Is it open?"}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "c1", "type": "function", "function": {"name": "hours", "arguments": "{}"}}]}  # fmt: skip
RESULT = {"role": "tool", "content": "closed", "tool_call_id": "c1"}
TOOL = {"type": "function", "function": {"name": "hours", "parameters": {"type": "object", "properties": {}}}}


def say(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def test_a_corrected_turn_is_a_pair_after_all_turns_that_stayed(tmp_path: Path) -> None:
    line = {"id": 1, "messages": [ASKED, CALL, RESULT, say("Yes, it is open.")], "tools": [TOOL]}
    with fake_studio() as studio, desk_at(studio, tmp_path, [line], ALL) as desk:
        (tmp_path / "task.py").write_text(CHAT)
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("task.py:Question", "task.py:Assistant"))
        desk.curate()
        answer = [CALL, RESULT, say("No, it is closed.")]
        desk.submit(desk.task(1), prediction_result(desk.context.dataset.task, {"messages": answer}))
        desk.collect()
        pair = pairs_of(published(desk))[desk.id(1)]
    assert [turn["role"] for turn in pair["prompt"]] == ["user", "assistant", "tool"]
    assert (pair["chosen"], pair["rejected"]) == ([say("No, it is closed.")], [say("Yes, it is open.")])
    assert pair["tools"] == [TOOL]
    assert is_conversational(pair)


def test_answers_that_part_early_begin_with_a_turn_of_the_assistant(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text(CHAT)
    (tmp_path / "dataset.yaml").write_text("name: c\ntask: task.py:Assistant\nsources: [{name: s, path: s.jsonl}]\n")
    dataset = load_dataset_file(tmp_path / "dataset.yaml")
    other: list[JsonValue] = [CALL, {**RESULT, "content": "open"}, say("Yes.")]
    decision = corrected("a", "", "").model_copy(
        update={
            "inputs": {"messages": [ASKED], "tools": [TOOL]},
            "targets": {"messages": [CALL, RESULT, say("No.")]},
            "replaced": {"messages": other},
        }
    )
    [table] = preference_tables([decision], {"a": "train"}, dataset).values()
    assert [len(table[name][0].as_py()) for name in ("prompt", "chosen", "rejected")] == [1, 3, 3]
