"""The files that a new dataset starts from run as they are."""

from pathlib import Path

import orjson
import pytest

from pipeline.config.dataset_file import load_dataset_file
from pipeline.config.scaffold import scaffold
from pipeline.errors import ConfigError
from pipeline.kinds.interface import Kind
from pipeline.kinds.registry import KIND_NAMES, KINDS, kind_named, kind_of
from schemas.dataset import Mode


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_the_files_fit_together(tmp_path: Path, kind: Kind) -> None:
    paths = scaffold(tmp_path / "new" / "folder", "toy", kind)
    assert [path.name for path in paths] == ["dataset.yaml", "task.py", "data.jsonl"]
    dataset = load_dataset_file(paths[0])
    assert dataset.config.name == "toy"
    assert kind_of(dataset.task) is kind
    parsed = [dataset.task.task_parse(orjson.loads(line)) for line in paths[2].read_bytes().splitlines()]
    assert [row.problems + row.warnings for row in parsed] == [[]] * len(parsed)
    assert [row.targets is None for row in parsed] == [False] * (len(parsed) - 1) + [True]


def test_key_and_mode_are_there_to_be_uncommented(tmp_path: Path) -> None:
    path, *_ = scaffold(tmp_path, "toy", kind_named("classification"))
    assert load_dataset_file(path).config.sources[0].key is None
    path.write_text(path.read_text().replace("# key:", "key:").replace("# mode:", "mode:"))
    [source] = load_dataset_file(path).config.sources
    assert (source.key, source.mode) == ("id", Mode.SNAPSHOT)


@pytest.mark.parametrize("name", ["2024", "1e3", "on", "no", "null", "0x1f", "1_000", "2026-01-02"])
def test_a_name_that_yaml_would_take_for_something_else_stays_a_name(tmp_path: Path, name: str) -> None:
    path, *_ = scaffold(tmp_path, name, kind_named("classification"))
    assert load_dataset_file(path).config.name == name


@pytest.mark.parametrize("name", ["", "My Data", 'a"b', "a: b", "-x"])
def test_a_name_that_no_dataset_can_have_writes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a valid dataset name; use a-z, 0-9, - and _$"):
        scaffold(tmp_path / "new", name, kind_named("classification"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["dataset.yaml", "task.py", "data.jsonl"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"{name} already exists; choose another folder, or move it away$"):
        scaffold(tmp_path, "toy", kind_named("extraction"))
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["mine"]


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file is a file; name a folder$"):
        scaffold(tmp_path / "file", "toy", kind_named("extraction"))
