"""Check names what a first curate would stumble over, and where, and leaves nothing behind."""

from pathlib import Path

import pytest
from checked import edit, findings
from support import row, write_dataset, write_rows
from terminal import Terminal

DELIVERY = row(1, "Where is my parcel?", "delivery")


# --- rows -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([DELIVERY], "1 file; 1 row tried: 1 valid, 0 of them unlabeled"),
        (
            [row(number, "Why?", "billing") for number in range(300)],
            "1 file; the first 200 rows tried: 200 valid, 0 of them unlabeled",
        ),
        ([DELIVERY, row(2, "Why?", None)], "1 file; 2 rows tried: 2 valid, 1 of them unlabeled"),
    ],
)
def test_one_is_one_and_two_are_many(tmp_path: Path, rows: list[dict[str, object]], said: str) -> None:
    write_dataset(tmp_path, rows)
    assert findings(tmp_path)["source examples"]["detail"] == said


def test_a_labeled_row_is_shown_as_the_model_sees_it(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "Why?", None), row(2, "Where is my parcel?", "delivery")])
    detail = findings(tmp_path)["data.jsonl:2 as a chat"]["detail"]
    instruction, question, answer = detail.split("\n  ")
    assert instruction.startswith("system: ")
    assert (question, answer) == ("user: Where is my parcel?", "assistant: delivery")


def test_a_task_that_cannot_write_a_prompt_is_a_finding(tmp_path: Path) -> None:
    write_dataset(tmp_path, [DELIVERY])
    prompt = "    @classmethod\n    def task_prompt(cls, inputs):\n        return inputs['body']\n"
    (tmp_path / "task.py").write_text((tmp_path / "task.py").read_text() + "\n" + prompt)
    found = findings(tmp_path, exit_code=1)["data.jsonl:1 as a chat"]
    assert not found["ok"]
    assert found["detail"] == "Question.task_prompt failed: KeyError: 'body' (task.py, line 12); fix it"


@pytest.mark.parametrize(("given", "shown"), [("None", "None"), ("7", "7")])
def test_an_answer_that_is_not_a_text_is_a_finding(tmp_path: Path, given: str, shown: str) -> None:
    write_dataset(tmp_path, [DELIVERY])
    answer = f"    @classmethod\n    def task_answer(cls, targets):\n        return {given}\n"
    (tmp_path / "task.py").write_text((tmp_path / "task.py").read_text() + "\n" + answer)
    found = findings(tmp_path, exit_code=1)["data.jsonl:1 as a chat"]
    said = f"Question.task_answer failed: it returned {shown}, which is not a string (task.py, line 10); fix it"
    assert found["detail"] == said


def test_of_many_files_the_one_with_the_problem_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, [])
    edit(tmp_path, "data.jsonl", "parts/*.jsonl")
    (tmp_path / "parts").mkdir()
    for name, topic in (("a", "delivery"), ("b", "nonsense")):
        write_rows(tmp_path, [row(1, f"Question {name}?", "delivery"), row(2, f"Question {name}{name}?", topic)])
        (tmp_path / "data.jsonl").rename(tmp_path / "parts" / f"{name}.jsonl")
    detail = findings(tmp_path)["source examples"]["detail"]
    assert "\n  1  a field breaks the task's schema (topic): " in detail
    assert detail.endswith("got 'nonsense', as in parts/b.jsonl:2")
    assert "the rows have" not in detail, "no field is missing"


def test_where_a_field_is_missing_the_fields_that_there_are_are_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, [DELIVERY])
    edit(tmp_path, "key: id,", "key: id, fields: {question: qestion},")
    detail = findings(tmp_path, exit_code=1)["source examples"]["detail"]
    assert (
        "; the rows have the fields 'id', 'question', 'topic'\n  1  a required field is missing or empty (question)"
        in detail
    )


@pytest.mark.parametrize(
    ("name", "separator", "said"),
    [
        ("data.csv", ";", "';': set `csv: {delimiter: \";\"}`"),
        ("data.csv", "|", "'|': set `csv: {delimiter: \"|\"}`"),
        ("data.csv", "\t", 'tabs: set `csv: {delimiter: "\\t"}`'),
        ("data.tsv", ",", "',': set `csv: {delimiter: \",\"}`"),
    ],
)
def test_a_table_that_is_separated_otherwise_is_said_to_be(
    tmp_path: Path, name: str, separator: str, said: str
) -> None:
    write_dataset(tmp_path, [])
    edit(tmp_path, "data.jsonl, key: id,", f"{name},")
    lines = ["id|question|topic", "1|Where is it?|delivery", "2|Why so, and so late?|billing"]
    text = "\n".join(lines).replace("|", separator)
    (tmp_path / name).write_text(text)
    said = f"the file seems to be separated by {said}"
    terminal = Terminal(tmp_path)
    assert said in findings(tmp_path, exit_code=1)["source examples"]["detail"]
    assert f"{said}\n" in terminal.goldleaf("curate").stdout
    edit(tmp_path, f"{name},", f"{name}, fields: {{question: text}},")
    assert terminal.goldleaf("curate", exit_code=1).stderr.endswith(f"{said}\n")


def test_a_row_of_a_table_that_is_separated_otherwise_says_so_where_its_cells_do_not_fit(tmp_path: Path) -> None:
    write_dataset(tmp_path, [])
    edit(tmp_path, "data.jsonl, key: id,", "data.csv,")
    (tmp_path / "data.csv").write_text("id;question;topic\n1;Why so, and so late?;billing\n")
    said = "2 cells, but the header has 1; the file seems to be separated by ';': set `csv: "
    assert said in findings(tmp_path, exit_code=1)["source examples"]["detail"]
    assert said in Terminal(tmp_path).error("curate", "--json")


def test_another_separator_is_said_once_for_each_source(tmp_path: Path) -> None:
    write_dataset(tmp_path, [], "split: {group_by: customer}\n")
    edit(tmp_path, "data.jsonl, key: id,", "data.csv, key: id, fields: {topic: label},")
    second = "{name: second, path: data.csv}\nsplit:"
    edit(tmp_path, "split:", f"  - {second}")
    (tmp_path / "data.csv").write_text("id;question;topic\n1;Why so?;billing\n2;Why so, and so late?;billing\n")
    hint = "the file seems to be separated by ';': set `csv: "
    said = {what: one["detail"].count(hint) for what, one in findings(tmp_path, exit_code=1).items()}
    assert {what: count for what, count in said.items() if count} == {"source examples": 1, "source second": 1}
    assert {"key of source examples", "fields of source examples", "split.group_by"} <= said.keys()


def test_a_line_that_is_not_utf_8_is_named_once_with_what_helps(tmp_path: Path) -> None:
    write_dataset(tmp_path, [])
    edit(tmp_path, "data.jsonl, key: id,", "data.csv,")
    (tmp_path / "data.csv").write_bytes("id,question,topic\n1,Où est mon colis?,delivery\n".encode("latin-1"))
    detail = findings(tmp_path, exit_code=1)["source examples"]["detail"]
    assert detail.endswith(
        "\n  1  the line could not be read: byte 3 (0xf9) is not UTF-8; "
        "if it is cp1252, set `csv: {encoding: cp1252}`, as in data.csv:2"
    )


def test_the_most_frequent_reasons_are_counted_as_curate_counts_them(tmp_path: Path) -> None:
    rows = [row(1, "", "billing"), row(2, "Why?", "x"), row(3, "Where?", "y"), row(4, "When?", "billing")]
    write_dataset(tmp_path, rows)
    with (tmp_path / "data.jsonl").open("a") as file:
        file.write('{"id": 4\n[5]\n')
    counts, *lines = findings(tmp_path)["source examples"]["detail"].split("\n  ")
    assert counts == "1 file; 6 rows tried: 1 valid, 0 of them unlabeled"
    assert lines[0] == (
        "2  a field breaks the task's schema (topic), as in data.jsonl:2: Input should be 'billing', 'delivery' or "
        "'returns', got 'x'"
    )
    assert lines[1] == "1  a required field is missing or empty (question), as in data.jsonl:1"
    assert lines[-1] == "1  valid JSON, but not an object with fields: it is a list, as in data.jsonl:6", "not a count"
    shown = Terminal(tmp_path).goldleaf("curate").stdout
    assert all(f"\n  {line}" in shown for line in lines)


def test_labels_that_are_a_choice_except_for_case_or_whitespace_are_reported(tmp_path: Path) -> None:
    labels = ["Billing", "DELIVERY ", "re turns", "nonsense", "billing"]
    write_dataset(tmp_path, [row(number, f"Why {number}?", label) for number, label in enumerate(labels)])
    found = findings(tmp_path)["source examples"]
    assert found["ok"] and found["warning"]
    assert (
        "\n  3  it differs from a choice only in case or whitespace (topic), as in data.jsonl:1: got 'Billing', not "
        "'billing'\n    correct them in the file, or let a validator of the task do so\n"
        "  1  a field breaks the task's schema (topic): Input should be 'billing', 'delivery' or 'returns', "
        "got 'nonsense', as in data.jsonl:4"
    ) in found["detail"]
    terminal = Terminal(tmp_path)
    curated = terminal.goldleaf("curate").stdout
    assert found["detail"].split("tried: 1 valid, 0 of them unlabeled\n")[1] in curated, "in the same words"
    assert "got 're turns', not 'returns'" in terminal.goldleaf("explain", "data.jsonl:3").stdout
    assert "only in case" not in terminal.goldleaf("explain", "data.jsonl:4").stdout


def test_what_a_curate_would_lose_is_marked_and_does_not_fail(tmp_path: Path) -> None:
    write_dataset(tmp_path, [DELIVERY, row(2, "Why?", "billing"), row(3, "Why so?", "nonsense")])
    terminal = Terminal(tmp_path)
    assert "✓ source examples\n" in terminal.goldleaf("check").stdout
    assert terminal.goldleaf("check").stdout.endswith(f"\nnext: goldleaf curate {tmp_path}/dataset.yaml\n")
    assert not findings(tmp_path)["source examples"]["warning"]
    write_rows(tmp_path, [DELIVERY, row(2, "Why?", "payment"), row(3, "Why so?", "nonsense")])
    assert findings(tmp_path)["source examples"]["warning"], "most rows are invalid"
    shown = terminal.goldleaf("check").stdout
    assert "! source examples\n" in shown
    assert shown.endswith(f"\nnext: look at what is marked !, then goldleaf curate {tmp_path}/dataset.yaml\n")
    write_rows(tmp_path, [row(n, f"Why {n}?", "billing" if n % 10 else "nonsense") for n in range(110)])
    assert findings(tmp_path)["source examples"]["warning"], "a tenth of them is"
    write_rows(tmp_path, [])
    shown = terminal.goldleaf("check", exit_code=1).stdout
    assert shown.endswith(f"\nnext: fix what is marked ✗, then goldleaf check {tmp_path}/dataset.yaml\n")


@pytest.mark.parametrize(
    ("choices", "warned"),
    [('Literal["delivery"]', True), ('Literal["delivery"] | None', False), ('Literal["delivery", "other"]', False)],
)
def test_a_target_with_one_choice_is_warned_of(tmp_path: Path, choices: str, warned: bool) -> None:
    write_dataset(tmp_path, [DELIVERY])
    edit(tmp_path, "data.jsonl", "data.jsonl, fields: {other: topic}")
    task = tmp_path / "task.py"
    task.write_text(task.read_text() + f"    other: Target[{choices}]\n")
    found = findings(tmp_path)
    assert ("target other" in found) is warned and "target topic" not in found
    if warned:
        assert found["target other"]["ok"] and found["target other"]["warning"]
        assert found["target other"]["detail"].startswith("'delivery' is its only choice, so a model has nothing to")


def test_a_set_of_one_choice_has_two_answers(tmp_path: Path) -> None:
    write_dataset(tmp_path, [DELIVERY | {"other": ["late"]}])
    task = tmp_path / "task.py"
    task.write_text(task.read_text() + '    other: Target[set[Literal["late"]]]\n')
    assert "target other" not in findings(tmp_path)


# --- names of fields ------------------------------------------------------------------------------
def test_a_key_that_no_row_has_is_a_finding(tmp_path: Path) -> None:
    write_dataset(tmp_path, [DELIVERY])
    edit(tmp_path, "key: id,", "key: ID,")
    found = findings(tmp_path, exit_code=1)
    assert found["source examples"]["ok"] and not found["key of source examples"]["ok"]
    assert found["key of source examples"]["detail"] == (
        "no row has a value in 'ID'; fix `key:`, use dots for nested fields; "
        "the rows have the fields 'id', 'question', 'topic'"
    )


def test_a_key_that_some_rows_have_is_none(tmp_path: Path) -> None:
    write_dataset(tmp_path, [{"question": "Where is it?", "topic": "delivery"}, row(2, "Why?", "billing")])
    assert "key of source examples" not in findings(tmp_path)


def test_a_source_without_any_row_says_so(tmp_path: Path) -> None:
    write_dataset(tmp_path, [])
    found = findings(tmp_path, exit_code=1)["source examples"]
    assert found["detail"] == "1 file; there are no rows; add some, or fix `path:`"


def test_a_key_and_a_mapped_field_may_come_after_the_rows_that_are_tried(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"question": f"Why {number}?"} for number in range(300)]
    write_dataset(tmp_path, rows)
    edit(tmp_path, "key: id,", "key: id, fields: {topic: label},")
    found = findings(tmp_path, exit_code=1)
    assert found["fields of source examples"]["detail"].startswith("no row has 'label', which is mapped to 'topic'")
    assert found["key of source examples"]["detail"].startswith("no row has a value in 'id'")
    write_rows(tmp_path, [*rows, {"question": "Why so?", "label": "billing"}, {"id": 1, "question": "Why?"}])
    found = findings(tmp_path)
    assert found["source examples"]["detail"] == "1 file; the first 200 rows tried: 200 valid, 200 of them unlabeled"
    assert "fields of source examples" not in found and "key of source examples" not in found


def test_a_field_that_only_later_rows_have_is_not_said_to_be_absent(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": number, "question": f"Why {number}?"} for number in range(300)]
    write_dataset(tmp_path, rows)
    said = "; no row of it has 'topic': map it with `fields:` if it has another name; the rows have the fields 'id', "
    found = findings(tmp_path)["source examples"]
    assert said in found["detail"] and found["warning"]
    write_rows(tmp_path, [*rows, row(300, "Why so?", "billing")])
    found = findings(tmp_path)["source examples"]
    assert not found["warning"]
    assert found["detail"] == "1 file; the first 200 rows tried: 200 valid, 200 of them unlabeled"


def test_two_rows_of_one_key_are_told_where_their_content_differs(tmp_path: Path) -> None:
    write_dataset(tmp_path, [DELIVERY, DELIVERY, row(1, "Where is my other parcel?", "delivery")])
    found = findings(tmp_path)["source examples"]
    assert found["ok"]
    assert found["detail"].endswith(
        "; 2 of 3 rows tried share their key with a later row that has different content, such as data.jsonl:1 and "
        "data.jsonl:3 with the key 1: the last one counts; is `id` a key?"
    )


def test_a_field_to_group_by_that_no_row_has_is_a_finding(tmp_path: Path) -> None:
    write_dataset(tmp_path, [DELIVERY], "split: {group_by: [id, customer]}\n")
    found = findings(tmp_path, exit_code=1)["split.group_by"]
    said = "has 'customer'; correct it, use dots for nested fields; the rows have the fields 'id', 'question', 'topic'"
    assert found["detail"] == f"no row {said}"
    edit(tmp_path, "[id, customer]", "customer")
    assert Terminal(tmp_path).error("curate", "--json") == f"split.group_by: no row {said}"
    edit(tmp_path, "customer", "[customer, shop]")
    assert "has 'customer' or 'shop'; correct it" in findings(tmp_path, exit_code=1)["split.group_by"]["detail"]


def test_a_field_to_group_by_may_come_after_the_rows_that_are_tried(tmp_path: Path) -> None:
    rows = [row(number, f"Why {number}?", "billing") for number in range(300)]
    write_dataset(tmp_path, [*rows, DELIVERY | {"customer": "c1"}], "split: {group_by: customer}\n")
    assert "split.group_by" not in findings(tmp_path)


@pytest.mark.parametrize("group_by", ["shop", "[shop]"])
def test_one_field_to_group_by_may_be_written_as_its_name_alone(tmp_path: Path, group_by: str) -> None:
    write_dataset(tmp_path, [DELIVERY | {"shop": "here"}], f"split: {{group_by: {group_by}}}\n")
    assert "split.group_by" not in findings(tmp_path)
    assert Terminal(tmp_path).json("curate")["funnel"]["accepted"] == 1


# --- the home -------------------------------------------------------------------------------------
def test_a_source_that_is_named_otherwise_is_told_before_its_records_are_withdrawn(tmp_path: Path) -> None:
    write_dataset(tmp_path, [DELIVERY, row(2, "Why?", "billing")])
    Terminal(tmp_path).goldleaf("curate")
    assert len([what for what in findings(tmp_path) if what.startswith("source ")]) == 1
    edit(tmp_path, "name: examples", "name: example")
    said = "no longer in the file: curate would withdraw its 2 records; add it again to keep them"
    found = findings(tmp_path)["source examples"]
    assert found == {"what": "source examples", "ok": True, "warning": True, "detail": said}


def test_a_table_that_is_damaged_is_a_finding(tmp_path: Path) -> None:
    write_dataset(tmp_path, [DELIVERY])
    Terminal(tmp_path).goldleaf("curate")
    for part in (tmp_path / "home" / "questions" / "tables" / "records").glob("part-*.parquet"):
        part.write_bytes(b"")
    assert "table 'records' of 'questions' is damaged" in findings(tmp_path, 1)["what was curated"]["detail"]


def test_a_home_that_can_be_written_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    write_dataset(tmp_path, [DELIVERY])
    before = sorted(tmp_path.rglob("*"))
    found = findings(tmp_path)["home"]
    assert found["ok"] and found["detail"].startswith(f"{tmp_path}/home/questions is writable, ")
    assert [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in path.parts] == before


@pytest.mark.parametrize(("file", "problem"), [("home", "Not a directory"), ("home/questions", "File exists")])
def test_a_home_that_is_a_file_is_a_finding(tmp_path: Path, file: str, problem: str) -> None:
    write_dataset(tmp_path, [DELIVERY])
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    found = findings(tmp_path, exit_code=1)["home"]
    assert found["detail"] == (
        f"{tmp_path}/home/questions cannot be written: {problem}; set GOLDLEAF_HOME to a writable folder"
    )
    assert (tmp_path / file).is_file()
