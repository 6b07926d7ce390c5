"""Judged again, or looked back at: nothing is asked or stored a second time, and all speak of the same adapter."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_models import save_small_model
from support import offline, row, write_dataset
from terminal import Terminal

from flows.context import Context
from pipeline.finetuning.adapters import WEIGHTS, latest_adapter
from pipeline.ladder.assessment import Assessment
from pipeline.ladder.kept_answers import KeptAnswers
from pipeline.reporting.last_finetuning import judged
from pipeline.reporting.tuned_arm import tuned_arm
from schemas.run_summary import FinetuneSummary

SETTINGS = """\
review: {budget: 0, audit: 0.0}
suggest: {adapter: latest, limit: 5}
finetune: {base_model: model, max_rows: 8, eval_rows: 4, slow_rows: 2, batch_size: 4, epochs: 1, max_length: 128}
arms: [majority, linear, zero_shot, adapter, adapter_linear]
verdict: {margin: 0.02}
"""
TOPICS = ("billing", "delivery", "returns")
FIRST, SECOND = "1.0.0", "1.1.0"


@dataclass
class Life:
    """What some fine-tunings of the same dataset found, and which arms each of them asked."""

    terminal: Terminal
    found: dict[str, Any]
    asked: dict[str, list[str]]

    @property
    def context(self) -> Context:
        return Context.load(self.terminal.folder / "dataset.yaml", offline(self.terminal.home))

    @property
    def models(self) -> Path:
        return self.context.store.models

    def folder(self, name: str) -> Path:
        return Path(self.found[name]["path"])

    def set_margin(self, margin: float) -> None:
        file = self.terminal.folder / "dataset.yaml"
        file.write_text(re.sub(r"margin: [\d.]+", f"margin: {margin}", file.read_text()))

    def finetune(self, name: str, *options: str) -> None:
        """Give the command, and note the arms whose answers are new."""
        asked: list[str] = []
        keep = KeptAnswers.keep
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(KeptAnswers, "keep", lambda kept, arm, *more: (asked.append(arm), keep(kept, arm, *more))[1])
            self.found[name] = self.terminal.json("finetune", *options)
        self.asked[name] = asked


def lamps(first: int, last: int) -> list[dict[str, object]]:
    return [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(first, last)]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Two versions, of which the older one is judged again after the newer one was."""
    folder = tmp_path_factory.mktemp("life")
    write_dataset(folder, lamps(0, 45), SETTINGS)
    save_small_model(folder / "model")
    life = Life(Terminal(folder), {}, {})
    life.terminal.goldleaf("curate", "--no-suggest")
    life.terminal.goldleaf("release")
    life.finetune("first")
    life.finetune("first again")
    life.set_margin(0.05)
    life.finetune("another margin")
    write_dataset(folder, lamps(0, 60), SETTINGS.replace("0.02", "0.05"))
    life.terminal.goldleaf("curate", "--no-suggest")
    life.terminal.goldleaf("release")
    life.finetune("second")
    for name in ("back", "back again"):
        life.finetune(name, "--version", FIRST)
    life.set_margin(0.1)
    for name in ("back with another margin", "the same again"):
        life.finetune(name, "--version", FIRST)
    return life


def test_a_version_that_is_given_twice_asks_no_arm_again(life: Life) -> None:
    assert sorted(life.asked["first"]) == ["adapter", "adapter_linear", "linear", "majority", "zero_shot"]
    for name, like in (
        ("first again", "first"),
        ("back", "another margin"),
        ("back again", "another margin"),
        ("the same again", "back with another margin"),
    ):
        assert (life.asked[name], life.found[name]["reused"]) == ([], True), name
        assert life.found[name]["path"] == life.found[like]["path"]


def test_another_margin_asks_no_arm_again_and_stores_the_weights_once(life: Life) -> None:
    for name, like in (("another margin", "first"), ("back with another margin", "first")):
        assert (life.asked[name], life.found[name]["reused"]) == ([], False)
        assert (life.folder(name) / WEIGHTS).samefile(life.folder(like) / WEIGHTS)
        assert not (life.folder(name) / "README.md").samefile(life.folder(like) / "README.md")
    assert not (life.folder("second") / WEIGHTS).samefile(life.folder("first") / WEIGHTS)


def test_what_was_looked_back_at_is_neither_the_last_round_nor_the_latest_adapter(life: Life) -> None:
    snapshot = life.context.store.snapshot()
    assert [run.summary.version for run in snapshot.committed_runs(FinetuneSummary)] == [FIRST, FIRST, SECOND, FIRST]
    first, second = judged(snapshot)
    assert (first.summary.version, second.summary.version) == (FIRST, SECOND) and first.began > second.began
    train = [
        life.found[name]["train_rows"] + sum(life.found[name]["left_out"].values()) for name in ("first", "second")
    ]
    assert [first.rows_shown, second.rows_shown] == [f"8 of {rows}" for rows in train] and train[0] < train[1]
    assert latest_adapter(life.models) == life.folder("second")
    assert life.terminal.json("suggest", "--dry-run")["estimated"]["model"] == f"adapter {life.folder('second').name}"


def report_of(life: Life) -> str:
    """Its text."""
    html = Path(life.terminal.json("report")["path"]).read_text(encoding="utf-8")
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_status_report_and_rounds_give_the_score_of_the_same_arm_and_name_it(life: Life) -> None:
    arm = tuned_arm(life_assessment(life, "second"))
    score = f"{arm.score.value:.1%}"
    assert f"({arm.title} {score}, " in life.terminal.json("status")["finetuned"]
    text = report_of(life)
    assert f"fine-tuned {score} {arm.title} by accuracy, " in text
    assert f"{SECOND} " in text and re.search(rf"8 of \d+ {score} .*? {arm.title} ", text)


def life_assessment(life: Life, name: str) -> Assessment:
    return Assessment.model_validate(life.found[name]["assessment"])


def test_once_its_folder_is_gone_status_report_check_and_suggest_say_so_alike(life: Life) -> None:
    kept = life.models.with_name("elsewhere")
    life.models.rename(kept)
    try:
        gone = f"the adapter of {SECOND} is no longer in models/{life.folder('second').name}"
        status = life.terminal.json("status")
        assert status["finetuned"].startswith(f"fine-tuned on questions@{SECOND}: ")
        assert status["finetuned"].endswith(f"; {gone}")
        assert status["next_step"].endswith(f"dataset.yaml, since {gone}")
        assert life.terminal.error("suggest", "--dry-run") == f"{gone}; `goldleaf finetune` trains it again"
        [suggest] = [one for one in life.terminal.json("check") if one["what"] == "suggest"]
        assert suggest["detail"] == f"the latest adapter; {gone}; `goldleaf finetune` trains it again"
        text = report_of(life)
        assert f"{gone[1:]}, and with it what its page would show: goldleaf finetune dataset.yaml trains it" in text
        assert f"Fine-tuned on {SECOND} on " in text and "never" not in text and "not fine-tuned yet" not in text
        assert ", which is gone. " in text
    finally:
        kept.rename(life.models)
    shutil.rmtree(life.folder("first"))
    assert (life.folder("another margin") / WEIGHTS).stat().st_size > 0, "either folder may be deleted"
