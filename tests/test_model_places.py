"""A base model in a folder: found from the dataset.yaml, and another one as soon as its files are others."""

import contextlib
import re
import shutil
from pathlib import Path

import pytest
from small_models import save_small_model
from support import row, write_dataset
from terminal import Terminal

from pipeline.finetuning.model_places import cached_revision, digest_of_files, placed

SETTINGS = (
    "review: {budget: 0, audit: 0.0}\n"
    "finetune: {base_model: ../models/mine, max_rows: 8, eval_rows: 3, batch_size: 4, epochs: 1, max_length: 128}\n"
    "arms: [majority, adapter]\n"
)
BEFORE = "this version was trained and compared with these settings before"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A published version, and a small model beside its folder."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "dataset").mkdir()
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", ("billing", "returns")[n % 2]) for n in range(40)]
    write_dataset(folder / "dataset", rows, SETTINGS)
    save_small_model(folder / "models" / "mine")
    terminal = Terminal(folder)
    terminal.goldleaf("curate", "dataset")
    terminal.goldleaf("release", "dataset")
    return terminal


def trained(shop: Terminal) -> str:
    """The run of the adapter that a fine-tuning ends with."""
    return Path(shop.goldleaf("finetune", "dataset").stdout.splitlines()[-1]).name


def test_a_relative_path_starts_at_the_dataset_yaml(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "models").mkdir()
    assert placed("../models", tmp_path / "data") == str(tmp_path / "models")
    assert placed("models", tmp_path) == str(tmp_path / "models")
    assert placed("../gone", tmp_path / "data") == str(tmp_path / "gone"), "so that the message says where it is not"


def test_names_that_are_no_paths_stay_and_so_do_paths_from_the_working_directory(tmp_path: Path) -> None:
    for name in ("smollm2-135m-instruct", "org/model", "~/models/mine", str(tmp_path)):
        assert placed(name, tmp_path / "data") == name
    (tmp_path / "here").mkdir()
    with contextlib.chdir(tmp_path):
        assert placed("./here", tmp_path / "data") == "./here"


def test_only_a_folder_has_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    first = digest_of_files(str(tmp_path))
    (tmp_path / "config.json").rename(tmp_path / "other.json")
    assert len(first) == 32 and digest_of_files(str(tmp_path)) not in (first, "")
    assert digest_of_files("org/model") == digest_of_files("smollm2-135m-instruct") == ""


def test_a_hub_s_model_has_the_commit_that_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert cached_revision("org/model") == ""
    for commit in ("4f1c0" * 8, "b2d77" * 8):
        snapshot = tmp_path / "models--org--model" / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        (snapshot.parents[1] / "refs").mkdir(exist_ok=True)
        (snapshot.parents[1] / "refs" / "main").write_text(commit)
        assert cached_revision("org/model") == commit
    for name in ("smollm2-135m-instruct", str(tmp_path), "no//name", "../gone", ""):
        assert cached_revision(name) == ""


def test_commands_find_the_model_wherever_they_are_given(shop: Terminal) -> None:
    assert "models/mine: 128 tokens" in shop.goldleaf("preflight", "questions@1.0.0", "dataset", "--no-timing").stdout
    file = shop.folder / "dataset" / "dataset.yaml"
    written = file.read_text()
    file.write_text(written.replace("models/mine", "gone"))
    assert shop.error("finetune", "dataset") == f"There is no model folder {shop.folder}/gone; fix finetune.base_model"
    file.write_text(written)


def test_other_files_in_the_same_place_are_another_base_model(shop: Terminal) -> None:
    model = shop.folder / "models" / "mine"
    first = trained(shop)
    assert trained(shop) == first
    shutil.move(model, shop.folder / "models" / "first")
    save_small_model(model, "qwen2")
    said = shop.goldleaf("finetune", "dataset").stdout
    assert BEFORE not in said and Path(said.splitlines()[-1]).name != first
    shutil.rmtree(model)
    shutil.move(shop.folder / "models" / "first", model)
    assert shop.goldleaf("finetune", "dataset").stdout.startswith(BEFORE)
    assert trained(shop) == first


def test_an_adapter_of_another_revision_of_the_base_model_is_trained_anew(shop: Terminal) -> None:
    first = trained(shop)
    for name in ("finetune.json", "adapter_config.json"):
        file = shop.home / "questions" / "models" / first / name
        file.write_text(re.sub(r'revision": "sha256:[0-9a-f]+"', 'revision": "sha256:old"', file.read_text()))
    said = shop.goldleaf("finetune", "dataset", "--slow-rows", 7)
    assert Path(said.stdout.splitlines()[-1]).name != first and "training" in said.stderr


def test_what_was_judged_with_another_commit_of_a_hub_s_model_is_not_taken_for_the_same(
    shop: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(shop)
    assert shop.goldleaf("finetune", "dataset").stdout.startswith(BEFORE)
    monkeypatch.setattr("flows.finetune.cached_revision", lambda name: "b2d77" * 8)
    assert BEFORE not in shop.goldleaf("finetune", "dataset").stdout
