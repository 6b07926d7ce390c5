"""How often a small adapter names the right one of 77 intents, beside a linear model on the same rows.

python tests/benchmarks/finetuning_banking77.py FOLDER    needs train.csv and test.csv of banking77 in it
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from rich.console import Console
from tables import Results

from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.base_model import LoadedModel, load_adapter, load_base
from pipeline.finetuning.evaluate import Evaluation, evaluate, questions
from pipeline.finetuning.exam import Exam, askable, longest_answer
from pipeline.finetuning.examples import Example, draw
from pipeline.finetuning.train import StepReport, TrainReport, train
from schemas.dataset import Finetune, Form
from schemas.task import Input, Target, Task

_ROWS, _SAMPLE = 3_000, 17
"""The rows to learn from, drawn from all by their labels with this seed; whatever the seed of the training."""
_TARGET = 0.9
_HELP = """\
The prompt is one sentence and the question; the 77 intents are not listed in it.
  right        of all test questions, with the 95% interval; the answers are held to the intents
  wall s       of the training, and the CPU seconds that it took
  CPU s
The settings are those of `finetune` in a dataset.yaml; what is not given here is its default.
"""


def _task(labels: Sequence[str]) -> type[Task]:
    kinds = StrEnum("Intent", {label.upper(): label for label in labels})  # type: ignore[misc]

    class BankingIntent(Task):
        """Name the intent of this message to a bank."""

        text: Input[str]
        intent: Target[kinds]

        @classmethod
        def task_answer_form(cls) -> str:
            """Nothing: 77 choices would make prompts long."""
            return ""

    return BankingIntent


def _read(file: Path) -> list[tuple[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return [(row["text"].strip(), row["category"]) for row in csv.DictReader(lines)]


def _examples(task: type[Task], rows: Sequence[tuple[str, str]], name: str) -> list[Example]:
    """The rows as a published version would have them."""
    found = []
    for number, (text, label) in enumerate(rows):
        inputs, targets = {"text": text}, {"intent": label}
        *prompt, answer = task.task_messages(inputs, targets)
        found.append(Example(f"{name}-{number}", tuple(prompt), (answer,), inputs | targets))
    return found


@contextmanager
def _show(label: str, units: int | None) -> Iterator[Callable[[int], None]]:
    print(label, units or "", file=sys.stderr, flush=True)
    yield lambda done: None


def _step(report: StepReport) -> None:
    if report.step % 50 == 0 or report.step == report.steps:
        said = f"step {report.step} of {report.steps}, loss {report.loss:.3f}, {report.seconds:.0f} s"
        print(said, file=sys.stderr, flush=True)


def adapter(
    task: type[Task], learn: list[Example], asked: list[Example], config: Finetune, base: LoadedModel
) -> tuple[TrainReport, Evaluation]:
    """Train an adapter, and ask it every test question."""
    with tempfile.TemporaryDirectory() as place:
        report = train(learn, config, Path(place) / "adapter", _step, base)
        tuned = load_adapter(Path(place) / "adapter", base)
        asked_of = askable(questions(task, asked), task, config, base)
        exam = Exam(task, longest_answer(learn, task, base))
        found = exam.take(tuned, asked_of, lambda done: None, config.form).scored(task, asked_of)
        tuned.model.unload()
    return report, found


def linear(task: type[Task], learn: list[Example], asked: list[Example]) -> Evaluation:
    """Let a linear model learn the same rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    model = make_pipeline(make_union(words, grams), LogisticRegression(C=10, max_iter=500))
    model.fit([row.fields["text"] for row in learn], [row.answer for row in learn])
    merged = questions(task, asked)
    return evaluate(task, merged, model.predict([one.inputs["text"] for one in merged]).tolist())


def _shown(score: Estimate) -> str:
    return f"{score.value:.1%} ({score.low:.1%} to {score.high:.1%})"


def main() -> None:
    """Train with each seed, and show the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=_ROWS, help=f"to learn from (default: {_ROWS:,})")
    parser.add_argument("--questions", type=int, default=0, help="of the test set, drawn by label (default: all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17], help="of the training (default: 17)")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings, such as epochs=3")
    parser.add_argument("--free", action="store_true", help="the answers are not held to the intents")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    options = parser.parse_args()
    train_rows, test_rows = (_read(options.folder / f"{split}.csv") for split in ("train", "test"))
    task = _task(sorted({label for _, label in train_rows}))
    learn = draw(_examples(task, train_rows, "train"), options.rows, _SAMPLE, stratum=lambda one: one.answer)
    asked = _examples(task, test_rows, "test")
    asked = draw(asked, options.questions or None, _SAMPLE, stratum=lambda one: one.answer)
    given = dict(setting.split("=", 1) for setting in options.set)
    form = Form.FREE if options.free else Form.HELD
    lines, scores = [], []
    classical = linear(task, learn, asked)
    lines.append(
        ("TF-IDF and logistic regression", "", _shown(classical.score), f"{classical.macro_f1:.1%}", "", "", "")
    )
    base = load_base(Finetune().base_model)
    for seed in options.seeds:
        config = Finetune.model_validate({"eval_rows": len(asked), "form": form, **given, "seed": seed})
        report, found = adapter(task, learn, asked, config, base)
        scores.append(found.score.value)
        spent = (f"{report.last_loss:.3f}", f"{report.seconds:,.0f}", f"{report.cpu_seconds:,.0f}")
        lines.append((f"adapter, seed {seed}", str(report.steps), _shown(found.score), f"{found.macro_f1:.1%}", *spent))
        print(lines[-1], file=sys.stderr, flush=True)
    mean = sum(scores) / len(scores)
    results = Results(
        f"banking77: {len(learn):,} rows, {len(asked):,} test questions",
        ("", "steps", "right", "macro-F1", "last loss", "wall s", "CPU s"),
        lines,
        f"Settings: {given or 'the defaults'}. Mean of the seeds {mean:.1%}; target {_TARGET:.0%}: "
        f"{'met' if mean >= _TARGET else '**missed**'}.",
    )
    results.show(Console(width=max(Console().width, 120)))
    if options.markdown:
        options.markdown.write_text(results.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
