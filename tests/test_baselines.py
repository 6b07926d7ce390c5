"""What can be done without training is known before anything is trained, and is not asked again afterwards."""

import json
from pathlib import Path

import pytest
from assessed import ladder_of, lost, share_right
from published_questions import PublishedQuestions
from support import row, write_dataset
from terminal import Terminal

from flows.cli.show_baselines import show_baselines
from flows.engines.engine import Inline
from flows.finetune import Finetuned, ask_untrained_arms, finetune
from pipeline.errors import GoldleafError
from pipeline.ladder.baselines import Baselines
from pipeline.ladder.kept_answers import left_unfinished
from schemas.run_summary import FinetuneSummary

SETTINGS = (
    "review: {budget: 0, audit: 0.0}\n"
    "finetune: {base_model: model, max_rows: 8, slow_rows: 2, batch_size: 4, epochs: 1, max_length: 128, "
    "max_new_tokens: 3}\n"
    "arms: [majority, linear, zero_shot, adapter, {name: far, endpoint: 'http://127.0.0.1:9/v1', model: m}]\n"
)


class Bench(PublishedQuestions):
    """Nothing is trained yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SETTINGS)
        self.terminal = Terminal(folder)

    def baselines(self, slow_rows: int | None = None) -> Baselines:
        return ask_untrained_arms(self.context, Inline(), slow_rows=slow_rows)

    def finetune_again(self) -> Finetuned:
        return finetune(self.context, Inline(), again=True)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def test_every_arm_that_needs_no_training_is_asked_and_nothing_else_happens(bench: Bench) -> None:
    found = bench.baselines()
    assert [arm.name for arm in found.ladder.arms] == ["majority", "linear", "zero_shot"]
    assert [(one.name, one.for_now) for one in found.ladder.skipped] == [("far", True)]
    assert {(pair.one, pair.other) for pair in found.ladder.pairs} == {
        ("majority", "linear"), ("majority", "zero_shot"), ("linear", "zero_shot")
    }  # fmt: skip
    assert [arm.evaluation.questions for arm in found.ladder.arms] == [found.test_rows, found.test_rows, 2]
    assert not bench.context.store.snapshot().committed_runs(FinetuneSummary)
    assert left_unfinished(bench.context.store.models) is None, "no run was interrupted"


def test_the_table_names_the_best_and_what_comes_next(bench: Bench) -> None:
    said = bench.terminal.goldleaf("baselines").stdout
    lines = [" ".join(line.split()) for line in said.splitlines()]
    best = bench.baselines().best
    assert best is not None and f"the best is {best.title} with {best.score}. Is that enough?" in lines
    assert lines[-1] == "next: goldleaf finetune trains an adapter, and says whether it is better"
    assert any(line.startswith("not compared: m") and "does not answer" in line for line in lines), lines
    [heading] = [line for line in lines if line.startswith("arm ")]
    assert heading == "arm accuracy 95% interval asked ms a call"
    known = json.loads(bench.terminal.goldleaf("baselines", "--json").stdout)
    assert [arm["name"] for arm in known["ladder"]["arms"]] == ["majority", "linear", "zero_shot"]


def test_a_fine_tuning_asks_none_of_them_again(bench: Bench) -> None:
    before = {arm.name: arm for arm in bench.baselines().ladder.arms}
    after = {arm.name: arm for arm in finetune(bench.context, Inline()).assessment.ladder.arms}
    assert set(after) == {*before, "adapter"}
    for name, arm in before.items():
        assert (after[name].seconds, after[name].latency, after[name].score) == (arm.seconds, arm.latency, arm.score)
    again = bench.baselines()
    assert [arm.name for arm in again.ladder.arms] == list(before), "the adapter of the version is no baseline"
    assert len(bench.context.store.snapshot().committed_runs(FinetuneSummary)) == 1


def test_status_says_which_of_the_two_is_running(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """They share a lock, and both were called a fine-tuning."""
    said: list[str] = []

    def look(*args: object, **options: object) -> None:
        said.append(bench.terminal.goldleaf("status").stdout)
        said.append(bench.terminal.error("baselines"))
        raise GoldleafError("seen")

    for name, command in (("ask_baselines", bench.baselines), ("finetune_version", bench.finetune_again)):
        monkeypatch.setattr(f"flows.finetune.{name}", look)
        with pytest.raises(GoldleafError, match="seen"):
            command()
    asking, refused, tuning, refused_too = said
    assert "goldleaf baselines is running" in asking and "fine-tuning is running" not in asking
    assert "a fine-tuning is running" in tuning and "baselines is running" not in tuning
    assert "in use by goldleaf baselines, process" in refused
    assert refused.endswith("run baselines again when it has finished")
    assert "in use by goldleaf finetune, process" in refused_too
    assert "is running" not in bench.terminal.goldleaf("status").stdout


def test_a_dataset_without_a_version_says_what_to_run_first(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "Why?", "billing")], SETTINGS)
    said = Terminal(tmp_path).error("baselines")
    assert "has not been curated yet; run `goldleaf curate" in said


def test_of_a_chat_the_best_is_one_that_has_losses_and_the_table_is_headed_by_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The nearest training row has texts only, and comes first."""
    nearest = share_right("nearest", 15, 20)
    prompted, shown = (lost(name, [(nats, 10.0)] * 20) for name, nats in (("zero_shot", 30.0), ("few_shot", 20.0)))
    values = {"version": "help@1.0.0", "base_model": "m", "train_rows": 80, "test_rows": 20}
    found = Baselines(**values, metric=shown.evaluation.metric, ladder=ladder_of(nearest, prompted, shown))
    assert found.best == shown
    show_baselines(found, Path("dataset.yaml"))
    printed = " ".join(capsys.readouterr().out.split())
    assert shown.evaluation.metric_title == "loss per token"
    assert "loss per ms a arm token 95% interval call" in printed and "natural logarithm" in printed
    assert f"the best is {shown.title} with {shown.score}" in printed
    alone = found.model_copy(update={"ladder": ladder_of(nearest)})
    assert alone.best is None, "it cannot be compared with an adapter"
