"""`goldleaf preflight` on a published version: what it shows, when it fails, and what `--fix` would leave."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_families import GEMMA, model_of
from small_models import save_small_model
from support import row, write_dataset
from terminal import Terminal

from pipeline.errors import TrainingError
from pipeline.finetuning.adapters import read_record
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.examples import read_examples
from pipeline.finetuning.preflight import Preflight, preflight
from schemas.dataset import Finetune, Fix

TOPICS = ("billing", "delivery", "returns")
MARK = "<file_sep>"
"""A special token of the model that screening does not know."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Questions published as 1.0.0, one of them with a special token and one very long; and a small model."""
    folder = tmp_path_factory.mktemp("shop")
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(150)]
    rows += [row(200, f"what does {MARK} in my order mean", "billing"), row(201, long_question(), "returns")]
    save_small_model(folder / "model")
    split = "split: {fractions: {train: 0.8, validation: 0.0, test: 0.2}}\n"
    settings = f"finetune: {{base_model: {folder / 'model'}, batch_size: 4, epochs: 1, max_length: 128}}\n"
    write_dataset(folder, rows, "review: {budget: 0, audit: 0.0}\n" + split + settings)
    terminal = Terminal(folder)
    terminal.goldleaf("curate")
    terminal.goldleaf("release")
    return terminal


def long_question() -> str:
    return " ".join(f"bolt{n} nut{n}" for n in range(100))


@pytest.fixture
def version(shop: Terminal) -> Path:
    return shop.home / "questions" / "releases" / "1.0.0"


@pytest.fixture(scope="module")
def found(shop: Terminal) -> Any:
    """What is found if nothing is told."""
    return shop.json("preflight", "questions@1.0.0", "--no-timing", exit_code=1)


def by_code(found: Any) -> dict[str, Any]:
    return {finding["code"]: finding for finding in found["findings"]}


def where(shop: Terminal, key: int) -> tuple[str, str]:
    """The split and id of a row."""
    version = shop.home / "questions" / "releases" / "1.0.0"
    marked = MARK if key == 200 else "bolt1 "
    [found] = [
        (split, example.id)
        for split in ("train", "test")
        for example in read_examples(version, split)
        if marked in example.prompt[1].content
    ]
    return found


def test_an_error_is_named_with_its_row_and_the_command_fails(shop: Terminal, found: Any) -> None:
    split, name = where(shop, 200)
    assert split == "train", "the test needs it there"
    error = by_code(found)["template_tokens"]
    assert (error["severity"], error["split"], error["rows"], error["examples"]) == ("error", "train", 1, [name])
    assert error["share"] == pytest.approx(1 / found["figures"]["splits"]["train"]["rows"])


def test_the_figures_add_up(shop: Terminal, found: Any) -> None:
    splits = found["figures"]["splits"]
    assert list(splits) == ["train", "test"]
    assert splits["train"]["rows"] + splits["test"]["rows"] == 152
    train = splits["train"]
    split, _ = where(shop, 201)
    assert train["rows"] - train["kept"] == (split == "train")
    lengths = {int(length): rows for length, rows in train["tokens"]["records_by_length"].items()}
    plan = found["figures"]["plan"]
    assert sum(lengths.values()) == plan["rows"] == train["kept"]
    assert sum(length * rows for length, rows in lengths.items()) == plan["tokens"] <= plan["padded_tokens"]
    assert plan["steps"] == -(-plan["rows"] // 4)
    assert found["figures"]["timing"] is None


def test_a_row_that_is_too_long_is_shown_wherever_it_is(shop: Terminal, found: Any) -> None:
    split, name = where(shop, 201)
    finding = by_code(found)["answer_cut"]
    assert (finding["severity"], finding["split"], finding["examples"]) == ("warning", split, [name])


def test_fix_says_what_would_be_left(shop: Terminal) -> None:
    told = shop.json("preflight", "questions@1.0.0", "--no-timing", "--fix", "drop", "--fix", "shorten")
    codes = by_code(told)
    assert "answer_cut" not in codes
    assert codes["dropped"]["rows"] == codes["shortened"]["rows"] == 1
    assert {finding["severity"] for finding in told["findings"]} == {"warning"}
    said = shop.goldleaf("preflight", "questions@1.0.0", "--no-timing", "--fix", "drop").stdout
    assert "next: goldleaf finetune dataset.yaml --fix drop" in said


def test_a_training_that_preflight_stops_is_done_with_the_fix(shop: Terminal) -> None:
    stopped = shop.goldleaf("finetune", exit_code=1).stderr
    assert "--fix drop" in stopped
    told = shop.json("finetune", "--fix", "drop", "--fix", "shorten")
    assert told["left_out"] == {} and read_record(Path(told["path"])).config.fix == (Fix.DROP, Fix.SHORTEN)


def test_the_terminal_shows_errors_that_cannot_be_missed(shop: Terminal) -> None:
    result = shop.goldleaf("preflight", "questions@latest", "--no-timing", exit_code=1)
    lines = result.stdout.splitlines()
    assert any(line.startswith("✗ template_tokens: 1 of ") for line in lines)
    assert any(line.startswith("! answer_cut: ") for line in lines)
    assert lines[-1] == "nothing would be trained: 1 error"
    assert "trained tokens of a training row" in lines
    narrow = Terminal(shop.folder, columns=60).goldleaf("preflight", "questions@latest", "--no-timing", exit_code=1)
    assert "train" in narrow.stdout and "usable" in narrow.stdout


def test_a_folder_needs_no_dataset_yaml_and_a_model_can_be_named(shop: Terminal, version: Path, tmp_path: Path) -> None:
    gemma = model_of(GEMMA)
    gemma.model.save_pretrained(tmp_path / "gemma")
    gemma.tokenizer.save_pretrained(tmp_path / "gemma")
    shutil.copytree(version, tmp_path / "copy")
    elsewhere = Terminal(tmp_path)
    found = elsewhere.json("preflight", "copy", "--model", "gemma", "--no-timing", exit_code=1)
    assert by_code(found)["no_system_role"]["rows"] == found["figures"]["splits"]["train"]["rows"]
    # The version does not say where a model was on another machine.
    assert "base model 'model' cannot be loaded" in elsewhere.error("preflight", "copy").replace("\n", " ")


def test_what_cannot_be_checked_is_one_line(shop: Terminal, version: Path, tmp_path: Path) -> None:
    assert "has no version 9.0.0; it has 1.0.0" in shop.error("preflight", "questions@9.0.0")
    assert "`goldleaf preflight path/to/1.0.0`" in Terminal(tmp_path).error("preflight", "questions@1.0.0")
    damaged = tmp_path / "1.0.0"
    shutil.copytree(version, damaged)
    [file] = damaged.glob("data/train-*")
    file.write_bytes(file.read_bytes()[:-9])
    assert "is damaged" in shop.error("preflight", damaged)
    assert "fix finetune.base_model" in shop.error("preflight", "questions@1.0.0", "--model", "./nowhere")


# --- as the training calls it -----------------------------------------------------------------
@pytest.fixture
def config(shop: Terminal) -> Iterator[Finetune]:
    yield Finetune(base_model=str(shop.folder / "model"), batch_size=4, epochs=1, max_length=128)


def test_a_training_is_stopped_with_every_error(version: Path, config: Finetune) -> None:
    base = load_base(config.base_model)
    found = preflight(version, config, base)
    with pytest.raises(TrainingError) as stopped:
        found.require_sound()
    assert str(stopped.value).startswith("Nothing was trained: preflight found 1 error in questions@1.0.0 for ")
    assert "template_tokens: 1 of " in str(stopped.value) and "--fix drop" in str(stopped.value)
    assert [warning.code for warning in found.warnings] == ["answer_cut"]
    # Where something is wrong, nobody waits for a measurement.
    assert found.figures.timing is None


def test_a_version_without_test_rows_could_not_be_judged(tmp_path: Path, shop: Terminal) -> None:
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(12)]
    only = "split: {fractions: {train: 1.0, validation: 0.0, test: 0.0}}\n"
    model = f"finetune: {{base_model: {shop.folder / 'model'}, batch_size: 4, max_length: 128}}\n"
    write_dataset(tmp_path, rows, "review: {budget: 0, audit: 0.0}\n" + only + model)
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    terminal.goldleaf("release")
    found = by_code(terminal.json("preflight", "questions@1.0.0", exit_code=1))
    assert found["no_test_rows"]["next"].startswith("give it a share in split.fractions, add rows")
    said = "questions@1.0.0 has no 'test' split (it has: train); give it a share in split.fractions"
    assert terminal.error("finetune").startswith(said)


def test_a_dataset_of_twenty_rows_hears_the_verdict_before_it_trains(tmp_path: Path, shop: Terminal) -> None:
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(20)]
    split = "split: {fractions: {train: 0.8, validation: 0.0, test: 0.2}}\n"
    model = f"finetune: {{base_model: {shop.folder / 'model'}, batch_size: 4, epochs: 1, max_length: 128}}\n"
    write_dataset(tmp_path, rows, "review: {budget: 0, audit: 0.0}\narms: [majority, adapter]\n" + split + model)
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    splits = terminal.json("release")["splits"]
    told = (
        f"too_few_rows: {splits['train']} training rows and {splits['test']} test questions; with fewer than 100 "
        'training rows the verdict is "more data first", whatever the training brings'
    )
    shown = terminal.goldleaf("preflight", "questions@1.0.0", "--no-timing").stdout
    assert f"! {told}\n" in shown and "  to do: add rows, and curate and release again, until" in shown
    said = terminal.goldleaf("finetune")
    before, _, after = said.stderr.partition("✓ training ")
    assert f"preflight: {told} (add rows, " in before and after
    assert "More data first." in said.stdout


def test_what_was_fixed_is_what_is_trained_on(shop: Terminal, version: Path, config: Finetune) -> None:
    told = config.model_copy(update={"fix": (Fix.DROP, Fix.SHORTEN)})
    base = load_base(told.base_model)
    found = preflight(version, told, base)
    found.require_sound()
    assert found.figures.timing is not None and found.figures.timing.seconds > 0
    _, dropped = where(shop, 200)
    split, cut = where(shop, 201)
    for name in ("train", "test"):
        before = {example.id: example for example in read_examples(version, name)}
        after = {example.id: example for example in found.fixes[name].applied(before.values(), base)}
        gone = {dropped} if name == "train" else set()
        assert before.keys() - after.keys() == gone
        changed = {one for one, example in after.items() if example != before[one]}
        assert changed == ({cut} if name == split else set())
    assert Preflight.model_validate_json(json.dumps(json.loads(found.model_dump_json()) | {"fixes": {}}))


def test_stages_are_shown_with_their_rows(version: Path, config: Finetune) -> None:
    from support import Steps

    steps = Steps()
    told = config.model_copy(update={"fix": (Fix.DROP,)})
    preflight(
        version, told, load_base(told.base_model), lambda label, total: steps.step(f"{label} of {total}", None, "x")
    )
    checked = [step.split() for step in steps.steps[:2]]
    assert [(words[1], words[3] == words[4]) for words in checked] == [("train", True), ("test", True)]
    assert steps.steps[2] == "timing some steps of 8 8 x"


def test_a_model_that_does_not_fit_says_what_to_lower(
    version: Path, config: Finetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.finetuning import preflight_estimates

    monkeypatch.setattr(preflight_estimates, "_FIXED_BYTES", 0)
    base = load_base(config.base_model)
    told = config.model_copy(update={"fix": (Fix.DROP,)})
    fits = preflight(version, told, base, timing=False).figures.memory
    assert fits is not None
    monkeypatch.setattr(preflight_estimates, "free_memory", lambda base: fits.needed // 2)
    tight = preflight(version, told, base)
    [error] = tight.errors
    assert (error.code, error.split) == ("out_of_memory", "")
    assert error.next.startswith("lower finetune.batch_size to ")
    assert tight.figures.timing is None
    monkeypatch.setattr(preflight_estimates, "free_memory", lambda base: int(fits.needed / 1.2))
    [warning] = [finding for finding in preflight(version, told, base).warnings if finding.code == "out_of_memory"]
    assert warning.next.startswith("lower finetune.batch_size to ")


def test_what_a_training_refuses_of_the_model_preflight_refuses_too(shop: Terminal) -> None:
    file = shop.folder / "dataset.yaml"
    before = file.read_text()
    file.write_text(before.replace("finetune: {", "finetune: {quantize: 4bit, "))
    try:
        said = [
            shop.goldleaf(*command, exit_code=1).stderr
            for command in (("preflight", "questions@1.0.0", "--no-timing"), ("finetune",))
        ]
    finally:
        file.write_text(before)
    assert all("finetune.quantize: 4bit needs a CUDA GPU" in one for one in said), said
