"""The verb finetune: trained on the train split, evaluated on the test split, and never twice."""

from pathlib import Path

import polars as pl
import pytest
from published_questions import PublishedQuestions
from terminal import Terminal

from flows.engines.engine import Inline
from flows.finetune import Finetuned, finetune
from pipeline.errors import Damaged, ReleaseError
from pipeline.finetuning.adapters import read_record
from pipeline.ladder.assessment import read_assessment
from pipeline.ladder.judgement import Verdict
from schemas.run_summary import FinetuneSummary, Verb

SETTINGS = (
    "review: {budget: 0, audit: 0.0}\n"
    "finetune: {base_model: model, max_rows: 8, eval_rows: 3, slow_rows: 2, batch_size: 4, epochs: 1, max_length: 128, "
    "max_new_tokens: 3}\n"
    "arms: [majority, linear, zero_shot, adapter]\n"
)


class Bench(PublishedQuestions):
    """The version and its first adapter."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SETTINGS)
        self.first: Finetuned = finetune(self.context, Inline())

    def runs(self) -> int:
        """Committed fine-tunings."""
        return self.context.store.snapshot().runs.filter(pl.col("verb") == Verb.FINETUNE.value).height

    def ids(self, split: str) -> set[str]:
        files = Path(self.released.path).glob(f"data/{split}-*.parquet")
        return set(pl.concat([pl.read_parquet(file, columns=["id"]) for file in files])["id"])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def test_it_is_trained_on_the_train_split_and_judged_on_the_test_split(bench: Bench) -> None:
    answers = pl.read_parquet(Path(bench.first.path) / "predictions.parquet")
    assert answers.columns == ["id", "gold", "majority", "linear", "zero_shot", "adapter"]
    assert len(answers) == bench.first.assessment.ladder.adapter.evaluation.questions == 3
    assert set(answers["id"]) <= bench.ids("test")
    assert bench.first.assessment.test_rows == len(bench.ids("test")) > 3
    assert bench.first.train_rows == 8
    assert sum(read_record(Path(bench.first.path)).train.left_out.values()) == len(bench.ids("train")) - 8


def test_slow_arms_are_asked_some_of_the_questions_and_are_compared_on_those(bench: Bench) -> None:
    ladder = bench.first.assessment.ladder
    assert [(arm.name, arm.evaluation.questions) for arm in ladder.arms] == [
        ("majority", 3),
        ("linear", 3),
        ("zero_shot", 2),
        ("adapter", 3),
    ]
    assert (ladder.pair("zero_shot", "adapter").questions, ladder.pair("linear", "adapter").questions) == (2, 3)
    assert all(arm.latency and arm.seconds > 0 for arm in ladder.arms)


def test_eight_rows_are_too_few_to_say_whether_it_was_worth_it(bench: Bench) -> None:
    judgement = bench.first.assessment.judgement
    assert (judgement.verdict, judgement.rule) == (Verdict.MORE_DATA, "too_few_rows")
    assert judgement.reasons[0].startswith("There are 8 training rows and ")
    assert read_assessment(Path(bench.first.path)).judgement == judgement
    [summary] = [run.summary for run in bench.context.store.snapshot().committed_runs(FinetuneSummary)]
    assert (summary.verdict, summary.train_rows) == ("more_data_first", 8)


def test_the_adapter_names_the_version_and_its_digest(bench: Bench) -> None:
    lineage = read_record(Path(bench.first.path)).lineage
    assert (lineage.version, lineage.digest) == ("1.0.0", bench.released.digest)
    card = (Path(bench.first.path) / "README.md").read_text(encoding="utf-8")
    assert "questions@1.0.0" in card and bench.released.digest in card
    assert "fine-tuned" in bench.context.store.report.read_text(encoding="utf-8")


def test_the_same_training_is_found_and_not_repeated(bench: Bench) -> None:
    again = finetune(bench.context, Inline())
    assert again == bench.first.model_copy(update={"reused": True})
    assert bench.runs() == 1
    assert not (bench.context.store.root / "finetuning").exists()


def test_the_terminal_says_whether_it_was_worth_it(bench: Bench) -> None:
    said = Terminal(bench.folder).goldleaf("finetune").stdout
    judgement = bench.first.assessment.judgement
    flat = " ".join(said.split())
    assert f"{judgement.verdict.heading}. {judgement.next_step} - {judgement.reasons[0]}" in flat
    assert said.splitlines()[0] == "this version was trained and compared with these settings before"
    assert said.splitlines()[-1] == bench.first.path


def test_the_verdict_is_a_page_beside_the_adapter(bench: Bench) -> None:
    page = Path(bench.first.path) / "verdict.html"
    html = page.read_text(encoding="utf-8")
    judged = bench.first.assessment.judgement
    assert judged.verdict.heading in html and bench.first.assessment.digest in html
    assert html.count('<section id="') == 7 and "<script" not in html


def test_a_run_that_was_killed_before_its_commit_is_made_up_for(bench: Bench) -> None:
    runs = bench.context.store.root / "tables" / "runs"
    log = sorted((runs / "_delta_log").glob("*.json"))[-1]
    last = log.read_bytes()
    log.unlink()  # as if the process had died between the adapter and the commit
    assert bench.runs() == 0
    assert finetune(bench.context, Inline()).reused
    assert bench.runs() == 1
    assert log.read_bytes() != last


def test_what_is_only_asked_anew_is_not_trained_anew(bench: Bench) -> None:
    known = read_record(Path(finetune(bench.context, Inline()).path))
    wider = finetune(bench.context, Inline(), slow_rows=3)
    assert not wider.reused
    record = read_record(Path(wider.path))
    assert (record.key, record.train) == (known.key, known.train), "the same adapter"
    zero_shot = wider.assessment.ladder.arm("zero_shot")
    assert zero_shot is not None and zero_shot.evaluation.questions == 3
    assert finetune(bench.context, Inline(), slow_rows=3).reused


def test_a_version_that_is_not_there_or_damaged_is_not_trained_on(bench: Bench) -> None:
    with pytest.raises(ReleaseError, match=r"'questions' has no version 2\.0\.0; it has 1\.0\.0"):
        finetune(bench.context, Inline(), version="2.0.0")
    [file] = Path(bench.released.path).glob("data/train-*.parquet")
    sound = file.read_bytes()
    file.write_bytes(sound[:-1])
    try:
        with pytest.raises(Damaged, match=r"is damaged: data/train-.*restore the folder from a copy"):
            finetune(bench.context, Inline())
    finally:
        file.write_bytes(sound)
