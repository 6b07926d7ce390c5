"""The same recipe on fewer rows, with other seeds and on the raw rows: `--curve`, `--seeds` and `--ablate` together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_models import save_small_model
from support import offline, row, write_dataset

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.finetune import Finetuned, finetune
from flows.release import release
from pipeline.config.price_file import Prices
from pipeline.finetuning.adapters import read_record
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.evaluate import evaluate, questions
from pipeline.finetuning.exam import Answers, Exam, Questions
from pipeline.finetuning.examples import Example, SplitExamples, nested_places
from pipeline.ladder import experiment
from pipeline.ladder.assessment import read_assessment
from pipeline.ladder.endpoints import Access
from pipeline.ladder.judgement import Judgement, Verdict
from pipeline.ladder.kept_answers import KeptAnswers
from pipeline.ladder.plan import Plan, code_of
from pipeline.ladder.retrained import Recipe
from pipeline.releases.versions import read_manifest
from pipeline.steps import Silent
from schemas.message import Message, Speaker

TOPICS = ("billing", "delivery", "returns")
PLAIN, COPIES = 60, 6
SETTINGS = """\
review: {{budget: 0, audit: 0.0}}
split: {{fractions: {{train: 0.6, validation: 0.2, test: 0.2}}}}
finetune:
  {{base_model: {model}, slow_rows: 5, batch_size: 4, epochs: 1, learning_rate: 1e-2, max_length: 256,
   max_new_tokens: 4}}
arms: [linear, adapter]
"""


class Bench:
    """A fine-tuning with everything that trains the recipe again."""

    def __init__(self, folder: Path) -> None:
        save_small_model(folder / "model")
        rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(PLAIN)]
        copies = [row(900 + n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(COPIES)]
        write_dataset(folder, [*rows, *copies], SETTINGS.format(model=folder / "model"))
        self.context = Context.load(folder / "dataset.yaml", offline(folder / "home"))
        curate(self.context, Inline())
        self.version = Path(release(self.context, Inline()).path)
        self.found = self.run()

    def run(self) -> Finetuned:
        return finetune(self.context, Inline(), seeds=2, curve=True, ablate=True)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("retrained"))


def test_the_curve_ends_at_the_adapter_itself_on_the_questions_of_slow_arms(bench: Bench) -> None:
    assessment = bench.found.assessment
    train = read_manifest(bench.version).splits["train"].rows
    [linear, adapter] = assessment.curves
    assert (linear.arm, adapter.arm) == ("linear", "adapter")
    for curve in (linear, adapter):
        rows = [point.rows for point in curve.measured]
        # A tenth of them would not fill a batch of four: the adapter's curve may begin later.
        assert rows == [max(1, round(share * train)) for share in (0.1, 0.25, 0.5, 1.0)][-len(rows) :]
    assert len(linear.measured) == 4 and len(adapter.measured) >= 3
    assert assessment.ladder.adapter.evaluation.questions > 5
    # In the order in which they were asked; the slow arms' are the first ones.
    first = pl.read_parquet(Path(bench.found.path) / "predictions.parquet").head(5)
    right = sum(row["adapter"] in row["gold"] for row in first.iter_rows(named=True))
    assert adapter.measured[-1].score.value == pytest.approx(right / 5)
    assert all(round(point.score.value * 5, 6).is_integer() for point in adapter.measured)


def test_other_seeds_are_asked_all_that_the_adapter_is_asked(bench: Bench) -> None:
    assessment = bench.found.assessment
    own = assessment.ladder.adapter
    first, second = assessment.seeds
    assert (first.seed, first.score) == (17, own.score)
    assert second.seed == 18
    assert round(second.score.value * own.evaluation.questions, 6).is_integer()


def test_the_raw_rows_have_the_copies_that_curation_has_left_out(bench: Bench) -> None:
    ablation = bench.found.assessment.ablation
    assert ablation is not None
    splits = read_manifest(bench.version).splits
    held_back = splits["test"].rows + splits["validation"].rows
    assert sum(split.rows for split in splits.values()) == PLAIN
    assert ablation.rows == PLAIN + COPIES - held_back
    assert ablation.raw.questions == ablation.curated.questions == 5
    told = f"on the {ablation.rows} raw rows and {ablation.curated.score} on the curated ones, asked 5 questions: "
    assert told in str(ablation)


def test_the_adapter_that_is_kept_has_learned_the_curated_rows(bench: Bench) -> None:
    record = read_record(Path(bench.found.path))
    assert record.config.seed == 17 and record.train.rows == read_manifest(bench.version).splits["train"].rows
    page = (Path(bench.found.path) / "verdict.html").read_text(encoding="utf-8")
    assert "With 2 seeds the adapter scores" in page and "raw rows" in page


def test_the_same_command_trains_nothing_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.ladder.trained_once.train", None)
    again = bench.run()
    assert again.path == bench.found.path
    assert read_assessment(Path(again.path)) == read_assessment(Path(bench.found.path))


def test_other_limits_of_the_verdict_ask_and_train_nothing_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices, margins and arms are judged by what was answered before."""
    file = bench.context.dataset.folder / "dataset.yaml"
    file.write_text(file.read_text() + "verdict: {margin: 0.3}\n")
    context = Context.load(file, offline(bench.context.dataset.folder / "home"))
    with monkeypatch.context() as nothing:
        for done in ("ladder.trained_once.train", "finetuning.exam.Exam.take", "ladder.classical.Linear.answer"):
            nothing.setattr(f"pipeline.{done}", None)
        nothing.setattr("pipeline.ladder.forgetting.predict", None)
        found = finetune(context, Inline(), seeds=2, curve=True, ablate=True)
    before, after = bench.found.assessment, found.assessment
    assert found.path != bench.found.path and after.limits.margin == 0.3 and after.key != before.key
    assert after.ladder.arms == before.ladder.arms
    assert (after.seeds, after.ablation, after.curves) == (before.seeds, before.ablation, before.curves)

    file.write_text(file.read_text().replace("arms: [linear, adapter]", "arms: [linear, nearest, adapter]"))
    asked = []
    monkeypatch.setattr("pipeline.finetuning.exam.Exam.take", lambda *given, **options: asked.append(given))
    more = finetune(Context.load(file, offline(bench.context.dataset.folder / "home")), Inline())
    assert [arm.name for arm in more.assessment.ladder.arms] == ["linear", "nearest", "adapter"] and not asked


class Heard(Silent):
    """Progress that notes what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def recipe_of(bench: Bench, folder: Path, **settings: Any) -> Recipe:
    """The recipe by itself, which is asked two questions."""
    dataset = bench.context.dataset
    config = dataset.config.finetune.model_copy(update=settings)
    plan = Plan(
        version=bench.version,
        task=dataset.task,
        code=code_of(dataset.task),
        config=config,
        arms=(),
        limits=dataset.config.verdict,
        run="run",
        goldleaf="0",
        work=folder,
        models=folder / "models",
        access=Access({}, folder / "calls", Prices(), "cl100k_base"),
    )
    asked = questions(dataset.task, list(SplitExamples(bench.version, "test"))[:2])
    every, kept = Questions(asked, [], [], {}), KeptAnswers(folder / "kept")
    return Recipe(plan, load_base(config.base_model), Exam(dataset.task, 4), every, kept, Heard())


def lengthened(row: Example) -> Example:
    """One that does not fit."""
    return replace(row, prompt=(Message(role=Speaker.USER, content="lamp " * 300),))


@pytest.mark.parametrize(
    ("too_long", "why"),
    [
        (1, "finetune.batch_size is 4, but there are only 3 rows to train on; lower it to 3, or add rows"),
        (4, "All 4 rows are longer than 256 tokens (the shortest has "),
    ],
)
def test_a_share_of_which_too_few_rows_fit_is_left_out_of_the_curve(
    bench: Bench, tmp_path: Path, too_long: int, why: str
) -> None:
    rows = list(SplitExamples(bench.version, "train"))
    for place in nested_places(rows, None, 17)[:too_long]:
        rows[place] = lengthened(rows[place])
    recipe = recipe_of(bench, tmp_path)
    assert [learned for learned, _ in recipe.curve(rows)] == [
        round(share * len(rows)) - too_long for share in (0.25, 0.5)
    ]
    [said] = recipe.progress.said  # type: ignore[attr-defined]
    assert said.startswith(f"not trained on 10% of the rows: {why}")


def test_a_seed_that_draws_too_few_rows_that_fit_is_left_out(bench: Bench, tmp_path: Path) -> None:
    rows = [lengthened(row) for row in SplitExamples(bench.version, "train")]
    recipe = recipe_of(bench, tmp_path, max_rows=4)
    first = evaluate(bench.context.dataset.task, recipe.every.asked, ["billing", "returns"])
    assert [one.seed for one in recipe.seeds(rows, first, 2)] == [17]
    [said] = recipe.progress.said  # type: ignore[attr-defined]
    assert said.startswith("not trained on seed 18: All 4 rows are longer")


@pytest.mark.parametrize(
    ("verdict", "longest", "asked", "tried"),
    [
        (Verdict.TUNE, 120, None, [17, 18, 19]),
        (Verdict.TUNE, 120, 1, [17]),
        (Verdict.TUNE, 0, None, [17]),
        (Verdict.UNDECIDED, 120, None, [17]),
    ],
)
def test_a_short_training_that_seems_worth_it_is_repeated_with_other_seeds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, longest: int, asked: int | None, tried: list[int]
) -> None:
    """Unless the number of seeds is given."""
    judged = Judgement(verdict=verdict, rule="", reasons=(), next_step="")
    monkeypatch.setattr(experiment, "judge", lambda evidence: judged)
    monkeypatch.setattr(experiment, "_SHORT", longest)
    monkeypatch.setattr("flows.finetune.find_assessed", lambda *given: None)
    found = finetune(bench.context, Inline(), seeds=asked)
    assert [one.seed for one in found.assessment.seeds] == tried


def test_again_trains_and_asks_all_again_with_the_same_result(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    take = Exam.take

    def noted(exam: Exam, *given: Any, **options: Any) -> Answers:
        asked.append(given)
        return take(exam, *given, **options)

    monkeypatch.setattr(Exam, "take", noted)
    again = finetune(bench.context, Inline(), again=True)
    assert again.path != bench.found.path and asked and not again.reused
    scores = [[(arm.name, arm.score) for arm in one.assessment.ladder.arms] for one in (again, bench.found)]
    assert scores[0] == scores[1]
    first, second = ((Path(one.path) / "adapter_model.safetensors").read_bytes() for one in (again, bench.found))
    assert first == second
