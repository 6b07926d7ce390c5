"""A dataset.yaml is either right, or every mistake in it is named with its file and line."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from support import write_dataset

from pipeline.config.dataset_file import LoadedDataset, load_dataset_file, load_task
from pipeline.errors import ConfigError
from schemas.dataset import Dataset, Mode, Review, Source, Unreviewed
from schemas.tasks.contract_clause import ContractClause

TASK = '''from __future__ import annotations

from typing import Literal

from schemas.task import Input, Target, Task

class Toy(Task):
    """Say a or b."""

    text: Input[str]
    kind: Target[Literal["a", "b"]]
'''
GOOD = """name: toy
task: task.py:Toy
sources:
  - name: first
    path: data.jsonl
"""


def write(folder: Path, text: str | bytes = GOOD, task: str = TASK) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.py").write_text(task, encoding="utf-8")
    path = folder / "dataset.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def mistakes(folder: Path, text: str | bytes = GOOD, task: str = TASK) -> list[str]:
    """The lines of the error, without the folder."""
    path = write(folder, text, task)
    with pytest.raises(ConfigError) as caught:
        load_dataset_file(path)
    return str(caught.value).replace(f"{folder}/", "").split("\n")


def test_the_smallest_file_has_a_default_for_everything_else(tmp_path: Path) -> None:
    dataset = load_dataset_file(write(tmp_path))
    assert dataset.folder == tmp_path
    assert dataset.task.__name__ == "Toy"
    assert dataset.config == Dataset.model_validate(dataset.config.model_dump(mode="json"))
    assert dataset.config.sources[0].mode is Mode.APPEND
    assert dataset.config.review.unreviewed is Unreviewed.ACCEPT


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD.replace("task.py:Toy", '"ta\\0sk.py:Toy"'), r"dataset.yaml:2: there is no task file ta\0sk.py"),
        ("[" * 2000, "dataset.yaml: not a valid dataset.yaml: lists or sections are nested too deeply"),
    ],
)
def test_what_no_file_should_hold_is_a_line_too(tmp_path: Path, text: str, problem: str) -> None:
    assert mistakes(tmp_path, text) == [problem]


def test_postponed_annotations_of_a_task_file_are_resolved(tmp_path: Path) -> None:
    task = load_dataset_file(write(tmp_path)).task
    assert task.task_parse({"text": "t", "kind": "b"}).targets == {"kind": "b"}


KEYS, REVIEW, SOURCE = (", ".join(sorted(section.model_fields)) for section in (Dataset, Review, Source))
REVIW = f"'reviw' is not a known key; did you mean review? Else use one of {KEYS}"
REQUIRED = "is missing; it is required"
BUDGET = "is neither a whole number of records nor a share from 0.0 to 1.0"
IN_BRACKETS = "write its values in brackets, separated by commas"
NO_SPLIT = "is not a valid split name; use letters, digits and underscores"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "reviw: {}\n", f"6: {REVIW}"),
        (GOOD + "reviw:\n  budget: 3\n", f"6: {REVIW}"),
        (
            GOOD + "split:\n  fractionz: {}\n",
            "7: 'split.fractionz' is not a known key; did you mean fractions? Else use one of adopt, fractions, "
            "group_by",
        ),
        (
            GOOD + "    pth: x\n",
            f"6: 'sources.0.pth' is not a known key; did you mean path? Else use one of {SOURCE}",
        ),
        (GOOD.replace("name: toy\n", ""), f"1: 'name' {REQUIRED}"),
        (GOOD.replace("    path: data.jsonl\n", ""), f"4: 'sources.0.path' {REQUIRED}"),
        (GOOD + "  - path: other.jsonl\n", f"6: 'sources.1.name' {REQUIRED}"),
        (GOOD.replace("toy", "2024"), "1: name: Input should be a valid string, got 2024"),
        (GOOD.replace("toy", "My Data"), "1: name: 'My Data' is not a valid dataset name; use a-z, 0-9, - and _"),
        (GOOD.replace("name: first", 'name: ""'), "4: sources.0.name: String should have at least 1 character, got ''"),
        (GOOD + "    mode: snap\n", "6: sources.0.mode: Input should be 'append' or 'snapshot', got 'snap'"),
        (GOOD + "release: {language: en}\n", "6: 'release.language' is a list; write `[en]`, got 'en'"),
        (
            GOOD + "release: {language: [Deutsch]}\n",
            "6: release.language: 'Deutsch' is no language code; write one of two or three letters, such as en or de",
        ),
        (GOOD + "release:\n  language: en, de\n", "7: 'release.language' is a list; write `[en, de]`, got 'en, de'"),
        (GOOD + "release: {language: 'no'}\n", "6: 'release.language' is a list; write `[no]`, got 'no'"),
        (GOOD + "split: {adopt: 3}\n", "6: 'split.adopt' is a list; write `[\"3\"]`, got 3"),
        (GOOD + "release: {language: no}\n", "6: 'release.language' is a list; write `[no]`, got 'no'"),
        (GOOD + "release: {language: true}\n", f"6: 'release.language' is a list; {IN_BRACKETS}"),
        (GOOD + "screen: {phone_regions: {}}\n", f"6: 'screen.phone_regions' is a list; {IN_BRACKETS}"),
        (
            GOOD + "decontaminate: {against: {name: exam}}\n",
            "6: 'decontaminate.against' is a list; begin each of its entries with `- `, even a single one; it has the "
            "keys auth, csv, fields, format, headers, name, path, release, splits",
        ),
        (
            GOOD + "review: 5\n",
            f"6: 'review' is a section with the keys {REVIEW}",
        ),
        (
            GOOD + "review:\n",
            f"6: 'review' is a section with the keys {REVIEW}",
        ),
        (GOOD + "review: {budget: lots}\n", f"6: review.budget: 'lots' {BUDGET}"),
        (GOOD + "review:\n  # half as much again\n  budget: 1.5\n", f"8: review.budget: 1.5 {BUDGET}"),
        (GOOD + "review: {budget: -1}\n", f"6: review.budget: -1 {BUDGET}"),
        (GOOD + "review: {budget: 9223372036854775808}\n", f"6: review.budget: 9223372036854775808 {BUDGET}"),
        (
            GOOD + "measure: {max_tokens: 9223372036854775808}\n",
            "6: measure.max_tokens: Input should be less than or equal to 9223372036854775807, got 9223372036854775808",
        ),
        (
            GOOD + "finetune: {seed: 4294967296}\n",
            "6: finetune.seed: Input should be less than 4294967296, got 4294967296",
        ),
        (
            GOOD + f"finetune: {{rank: 0x{'f' * 5000}}}\n",
            f"6: finetune.rank: Input should be less than or equal to 9223372036854775807, got 0x{'f' * 75}...",
        ),
        (GOOD + "review: {budget: true}\n", f"6: review.budget: True {BUDGET}"),
        (GOOD + "review: {budget: .nan}\n", f"6: review.budget: nan {BUDGET}"),
        (GOOD + "review: {audit: .nan}\n", "6: review.audit: Input should be less than or equal to 1, got nan"),
        (GOOD + "release:\n  language: [en, 1]\n", "7: release.language.1: Input should be a valid string, got 1"),
        (
            GOOD + "split:\n  fractions: {train: 0.5, test: 0.4}\n",
            "7: split.fractions: the fractions sum to 0.9; they must sum to 1",
        ),
        (
            GOOD + "split:\n  fractions:\n    train: 1.5\n",
            "8: split.fractions.train: Input should be less than or equal to 1, got 1.5",
        ),
        (GOOD + "split:\n  fractions: {}\n", "7: split.fractions: the fractions sum to 0; they must sum to 1"),
        (GOOD + "split:\n  fractions: {to train: 1}\n", f"7: split.fractions: 'to train' {NO_SPLIT}"),
        (
            GOOD + "  - {name: first, path: b}\n",
            "3: sources: two sources are called 'first'; record ids contain the name, so make it unique",
        ),
        (
            GOOD + "    split: tst\n",
            "6: source 'first' names the split 'tst'; split.fractions has train, validation, test",
        ),
        (
            GOOD + "decontaminate:\n  against:\n    - name: earlier\n      release: toy@latest\n",
            "9: evaluation set 'earlier' is a version of this dataset, whose rows never leave their splits; drop it",
        ),
        (
            GOOD.split("  - ")[0].replace("sources:", "sources: []"),
            "3: sources: List should have at least 1 item after validation, not 0",
        ),
        (GOOD + "name: again\n", "6: 'name' appears twice; keep one"),
        (GOOD + "split:\n  group_by: []\n  group_by: [a]\n", "8: 'group_by' appears twice; keep one"),
        (GOOD + "  - name: b\n    path: b\n    path: c\n", "8: 'path' appears twice; keep one"),
        (GOOD + "1: x\n", "6: 1: Keys should be strings, got 1"),
        (GOOD + "x: &x [*x]\n", f"6: 'x' is not a known key; use one of {KEYS}"),
        (GOOD + "split: {fractions: [}\n", "6: not valid YAML: expected the node content, but found '}'"),
        (GOOD + "? [a]\n: b\n", "6: not valid YAML: found unhashable key"),
        (
            GOOD + "release: !!python/name:os.system\n",
            "6: not valid YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/name:os.system'",
        ),
        (GOOD + "---\nname: b\n", "6: not valid YAML: but found another document"),
        (GOOD.encode() + b"# \x00\n", "6: not valid YAML: special characters are not allowed (#x0000)"),
        (GOOD.encode() + b"# \xe9\n", "6: byte 76 is not UTF-8; save the file as UTF-8"),
        ("", "1: a dataset.yaml holds keys such as name, task and sources; this one does not"),
        ("- toy\n", "1: a dataset.yaml holds keys such as name, task and sources; this one does not"),
        (GOOD.replace("task.py:Toy", "other.py:Toy"), "2: there is no task file other.py"),
        (GOOD.replace(":Toy", ":Tow"), "2: task.py has no class 'Tow'; tasks in it: Toy"),
        (GOOD.replace(":Toy", ":Literal"), "2: task.py:Literal is not a task; derive it from schemas.task.Task"),
        (GOOD.replace("task.py:Toy", "task.py"), "2: task 'task.py' must be path/to/file.py:Class or module:Class"),
        (GOOD.replace("task.py:Toy", "..:Toy"), "2: task '..:Toy' must be path/to/file.py:Class or module:Class"),
        (
            GOOD.replace("task.py:Toy", "no.such.place:Toy"),
            "2: task module 'no.such.place' cannot be imported: ModuleNotFoundError: No module named 'no'",
        ),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert mistakes(tmp_path, text) == [f"dataset.yaml:{expected}"]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("review:\n\tbudget: 3\n", 7),
        ("review:\n  budget: 3\n audit: 0.1\n", 8),
        ("review:\n  budget: 3\n    audit: 0.1\n", 8),
        ("  task: b\n", 6),
    ],
    ids=["a tab", "less", "more", "in a list"],
)
def test_where_the_indentation_is_wrong_it_is_said_to_be(tmp_path: Path, more: str, line: int) -> None:
    [said] = mistakes(tmp_path, GOOD + more)
    assert said.startswith(f"dataset.yaml:{line}: not valid YAML: ")
    assert "; check the indentation of this line and the one before it: spaces, not tabs" in said


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("class Toy(\n", "task file task.py cannot be imported: SyntaxError: '(' was never closed (task.py, line 1)"),
        (
            "import os\n1 / 0\n",
            "task file task.py cannot be imported: ZeroDivisionError: division by zero (task.py, line 2)",
        ),
        ("x = 1\n", "task.py has no class 'Toy'; tasks in it: none"),
        (
            TASK.replace('"""Say a or b."""', ""),
            "task.py: Toy has no docstring, which serves as the instruction; write one",
        ),
        (TASK.replace("Literal[", "Litteral["), "task.py: Toy uses 'Litteral', which is not defined; import it"),
        (TASK.replace("Target[", "Input["), "task.py: Toy has no target; mark a field with Target[...]"),
    ],
)
def test_a_task_file_that_cannot_be_used_is_named_with_the_line_that_names_it(
    tmp_path: Path, task: str, expected: str
) -> None:
    assert mistakes(tmp_path, task=task) == [f"dataset.yaml:2: {expected}"]


def test_all_wrong_keys_are_listed_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("toy", "A").replace("    path", "    pth") + "engine: {workers: 0}\n"
    assert [line.split(" ")[0] for line in mistakes(tmp_path, text)] == [
        "dataset.yaml:1:",
        "dataset.yaml:4:",
        "dataset.yaml:5:",
        "dataset.yaml:6:",
    ]


def test_a_file_that_is_not_there_is_named_with_the_way_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read \(No such file .*`goldleaf init`$"):
        load_dataset_file(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"/dataset\.yaml cannot be read \(No such file"):
        load_dataset_file(tmp_path)


def test_a_folder_stands_for_its_dataset_yaml(tmp_path: Path) -> None:
    file = write(tmp_path)
    assert load_dataset_file(tmp_path).path == file


def test_dates_in_texts_a_byte_order_mark_and_merged_keys_are_not_mistakes(tmp_path: Path) -> None:
    text = (
        "\ufeff" + GOOD.replace("- name", "- &first\n    name") + "  - <<: *first\n    name: second\n"
        "release: {title: 2026-13-45, license: 2026-01-02}\n"
    )
    config = load_dataset_file(write(tmp_path, text)).config
    assert config.release.title == "2026-13-45"
    assert config.release.license == "2026-01-02"
    assert [(source.name, source.path) for source in config.sources] == [
        ("first", "data.jsonl"),
        ("second", "data.jsonl"),
    ]


def test_only_true_and_false_are_booleans(tmp_path: Path) -> None:
    text = GOOD + "release: {title: on, language: [no, en]}\ndoubts: {off: []}\n"
    config = load_dataset_file(write(tmp_path, text)).config
    assert (config.release.title, config.release.language, config.doubts.off) == ("on", ["no", "en"], [])
    sources = GOOD.replace("- name", "- split: test\n    frozen: {}\n    name")
    for text, value in (("true", True), ("False", False), ("yes", True), ("off", False)):
        assert load_dataset_file(write(tmp_path, sources.format(text))).config.sources[0].frozen is value


def test_a_whole_number_is_a_count_and_a_fraction_is_a_share(tmp_path: Path) -> None:
    budgets = [
        load_dataset_file(write(tmp_path, GOOD + f"review: {{budget: {text}}}\n")).config.review.budget
        for text in ("1", "1.0", "0", "0.25")
    ]
    assert [(type(budget), budget) for budget in budgets] == [(int, 1), (float, 1.0), (int, 0), (float, 0.25)]


# --- tasks ------------------------------------------------------------------------------------------
def test_two_datasets_each_with_a_task_py_do_not_mix(tmp_path: Path) -> None:
    first = load_dataset_file(write(tmp_path / "one"))
    second = load_dataset_file(write(tmp_path / "two", task=TASK.replace('"a", "b"', '"c", "d"')))
    assert [field.choices for field in first.task.task_targets()] == [("a", "b")]
    assert [field.choices for field in second.task.task_targets()] == [("c", "d")]
    assert first.task is load_dataset_file(first.path).task


def test_a_process_that_lives_long_sees_an_edited_task_file(tmp_path: Path) -> None:
    before = load_dataset_file(write(tmp_path))
    after = load_dataset_file(write(tmp_path, task=TASK.replace('"a", "b"', '"a", "b", "c"')))
    assert after.task.task_targets()[0].choices == ("a", "b", "c")
    assert before.config_digest != after.config_digest


def test_a_task_may_live_in_a_module(tmp_path: Path) -> None:
    assert load_task("schemas.tasks.contract_clause:ContractClause", tmp_path) is ContractClause


def test_the_digest_follows_the_configuration_and_the_task_but_not_the_wording(tmp_path: Path) -> None:
    digest = load_dataset_file(write(tmp_path)).config_digest
    assert load_dataset_file(write(tmp_path / "moved", GOOD + "# note\n")).config_digest == digest
    assert load_dataset_file(write(tmp_path, task=TASK.replace("Say", "Choose"))).config_digest == digest
    assert load_dataset_file(write(tmp_path, GOOD + "review: {audit: 0.1}\n")).config_digest != digest


# --- worker processes -------------------------------------------------------------------------------
WORKER = """
import pickle, sys
dataset = pickle.load(sys.stdin.buffer)
print(dataset.config.name, dataset.task.task_parse({"text": "t", "kind": "a"}).targets)
"""


def test_a_dataset_reaches_a_worker_process(tmp_path: Path) -> None:
    """Its task is in no module that another process could import."""
    data = pickle.dumps(load_dataset_file(write(tmp_path)))
    done = subprocess.run([sys.executable, "-c", WORKER], input=data, capture_output=True, check=True)
    assert done.stdout.decode() == "toy {'kind': 'a'}\n"


def test_a_copy_of_a_dataset_is_equal_to_it(tmp_path: Path) -> None:
    dataset = load_dataset_file(write(tmp_path))
    copy: LoadedDataset = pickle.loads(pickle.dumps(dataset))
    assert copy == dataset


@pytest.mark.parametrize("changed", [{"text": GOOD + "review: {audit: 0.5}\n"}, {"task": TASK.replace('"b"', '"c"')}])
def test_a_worker_refuses_a_dataset_that_was_changed_meanwhile(tmp_path: Path, changed: dict[str, str]) -> None:
    data = pickle.dumps(load_dataset_file(write(tmp_path)))
    before = (tmp_path / "task.py").stat()
    write(tmp_path, **changed)
    # Python's own kept code would count for both: same size, same second.
    os.utime(tmp_path / "task.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ConfigError, match="was changed while a run was using it; run it again"):
        pickle.loads(data)


# --- what the rest of the file makes of the task ----------------------------------------------------
def test_a_choice_that_no_normalized_row_could_have_is_named_with_its_spelling(tmp_path: Path) -> None:
    decomposed = "cafe\u0301"
    [line] = mistakes(tmp_path, GOOD, TASK.replace('"a"', f'"{decomposed}"'))
    assert line == (
        "dataset.yaml:2: target 'kind' has the choice 'cafe\u0301' ('cafe\\u0301'), "
        "which rows spell 'café' ('caf\\xe9') "
        "after normalize.unicode: NFC; spell it that way"
    )
    load_dataset_file(write(tmp_path, GOOD + "normalize: {unicode: none}\n", TASK.replace('"a"', f'"{decomposed}"')))


@pytest.mark.parametrize("region", ["XX", "us", "+49"])
def test_a_region_that_does_not_exist_is_named_with_its_line(tmp_path: Path, region: str) -> None:
    [line] = mistakes(tmp_path, GOOD + f"screen:\n  phone_regions: [US, {region!r}]\n")
    assert line == (
        f"dataset.yaml:7: screen.phone_regions has '{region}', which is not a region; use one such as US or DE"
    )


def test_a_split_cannot_be_called_all(tmp_path: Path) -> None:
    [line] = mistakes(tmp_path, GOOD + "split:\n  fractions: {train: 0.5, all: 0.5}\n")
    assert "'all' means every split when a dataset is loaded" in line


def test_the_curation_digest_leaves_out_what_comes_after_it_and_takes_in_the_task_s_code(tmp_path: Path) -> None:
    def digest(text: str = GOOD, task: str = TASK) -> str:
        return load_dataset_file(write(tmp_path, text, task)).curation_digest

    assert digest() == digest(GOOD + "finetune: {rank: 4}\nrelease: {title: Toys}\nengine: {workers: 1}\n")
    assert digest() != digest(GOOD + "split: {group_by: [shop]}\n")
    assert digest() != digest(task=TASK.replace("Say a or b", "Say b or a"))


def test_what_is_published_of_a_configuration_names_no_folder(tmp_path: Path) -> None:
    (tmp_path / "guide.md").write_text("Be brief.")
    write_dataset(tmp_path, [], f"review: {{guidelines: {tmp_path}/guide.md}}\n")
    config = load_dataset_file(tmp_path / "dataset.yaml").config
    outside = config.model_copy(update={"task": f"{tmp_path}/task.py:Question"}).public()
    assert (outside.task, outside.review.guidelines) == ("task.py:Question", "guide.md")
    assert config.public().task == config.task
