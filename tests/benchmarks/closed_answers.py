"""How fast models answer with one of the labels of a file, and how often they are right, in several ways.

python tests/benchmarks/closed_answers.py FILE    needs a CSV or JSONL file with a text and a label in every line
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from rich.console import Console
from tables import Results, ratio

from pipeline.finetuning.base_model import load_adapter, load_base
from pipeline.finetuning.closed_answers import likeliest
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.model_sources import BUNDLED
from pipeline.finetuning.predict import answer_tokens, predict
from pipeline.finetuning.train import StepReport, train
from schemas.finetune_section import Finetune
from schemas.message import Message, Speaker

Prompts = Sequence[Sequence[Message]]
Way = Callable[[LoadedModel, Prompts, Sequence[str]], Sequence[str]]

_NAIVE_BATCH = 50
_HELP = """\
  free     Hugging Face's generate, greedy, in batches of 50 prompts sorted by length, as many tokens as the longest
           label has: the naive way, which the others are compared with
  held     the same in batches of 16, each token held to the labels, as goldleaf answers open forms
  likeliest    goldleaf's search for the likeliest label, exact; and ended after some tokens of each prompt's labels
  CPU s    of all of it, tokens and templates included, by this process; the ratios are of these, since they hold on a
           busy machine, too. By default in one thread: several wait for each other if the cores are shared

Prompts with a list have all labels in their instructions. The models are the bundled one, untuned, and with an adapter
that was trained on prompts without a list:
  python tests/benchmarks/closed_answers.py banking77/test.csv --label category --train 600 --from banking77/train.csv
"""


@dataclass(frozen=True)
class Rows:
    """Labeled texts."""

    texts: list[str]
    labels: list[str]

    @classmethod
    def read(cls, place: Path, text: str, label: str, count: int, seed: int) -> "Rows":
        """Some rows of a file, at random."""
        frame = pl.read_csv(place) if place.suffix == ".csv" else pl.read_ndjson(place)
        frame = frame.sample(min(count, len(frame)), seed=seed, shuffle=True)
        return cls(frame[text].to_list(), frame[label].to_list())

    def prompts(self, instructions: str) -> list[tuple[Message, ...]]:
        """The texts after the instructions."""
        system = Message(role=Speaker.SYSTEM, content=instructions)
        return [(system, Message(role=Speaker.USER, content=text)) for text in self.texts]


def _free(loaded: LoadedModel, prompts: Prompts, labels: Sequence[str]) -> Sequence[str]:
    return predict(loaded, prompts, max_new_tokens=answer_tokens(loaded, labels), batch_size=_NAIVE_BATCH)


def _held(loaded: LoadedModel, prompts: Prompts, labels: Sequence[str]) -> Sequence[str]:
    grammar = f"start: LABEL\nLABEL: {' | '.join(map(json.dumps, labels))}"
    return predict(loaded, prompts, max_new_tokens=answer_tokens(loaded, labels), grammar=grammar)


def _likeliest(most_tokens: int | None) -> Way:
    def answer(loaded: LoadedModel, prompts: Prompts, labels: Sequence[str]) -> Sequence[str]:
        return [one.answer for one in likeliest(loaded, prompts, labels, most_tokens=most_tokens)]

    return answer


def _trained(asked: argparse.Namespace, instructions: str) -> Path:
    """An adapter trained on the first rows of a file."""
    rows = Rows.read(asked.source or asked.file, asked.text, asked.label, asked.train, asked.seed)
    given = zip(rows.prompts(instructions), rows.labels, strict=True)
    examples = [
        Example(str(number), prompt, (Message(role=Speaker.ASSISTANT, content=label),), {})
        for number, (prompt, label) in enumerate(given)
    ]
    output = Path(tempfile.mkdtemp(prefix="goldleaf-benchmark-"))
    console = Console(stderr=True)

    def told(step: StepReport) -> None:
        console.print(f"step {step.step} of {step.steps}: loss {step.loss:.2f}", style="dim")

    train(examples, Finetune(base_model=BUNDLED, epochs=asked.epochs, batch_size=8), output, told)
    return output


def _compare(
    title: str, loaded: LoadedModel, rows: Rows, prompts: Prompts, labels: Sequence[str], ways: dict[str, Way]
) -> Results:
    cells, naive = [], 0.0
    for name, way in ways.items():
        way(loaded, prompts[:2], labels)
        began, cpu_began = time.perf_counter(), time.process_time()
        answers = way(loaded, prompts, labels)
        wall, spent = time.perf_counter() - began, time.process_time() - cpu_began
        naive = naive or spent
        right = sum(answer == label for answer, label in zip(answers, rows.labels, strict=True)) / len(answers)
        cells.append(
            (name, f"{len(answers) / wall:.1f}", f"{spent:.1f}", ratio(naive, spent), f"{right:.1%}"),
        )
    columns = ("way", "rows a second", "CPU s", "throughput", "right")
    note = f"{len(rows.texts):,} rows, {len(labels)} labels, {torch.get_num_threads()} threads, {loaded.dtype}"
    return Results(title, columns, cells, note)


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="a CSV or JSONL file with a text and a label in every line")
    parser.add_argument("--text", default="text", help="the key of the text (default: text)")
    parser.add_argument("--label", default="label", help="the key of the label (default: label)")
    parser.add_argument("--rows", type=int, default=100, help="rows that are answered, at random (default: 100)")
    parser.add_argument("--task", default="Name the intent of this message of a bank's customer.", help="instructions")
    parser.add_argument("--models", nargs="+", choices=("untuned", "adapter"), default=["untuned", "adapter"])
    parser.add_argument("--lists", nargs="+", choices=("without", "with"), default=["without", "with"])
    parser.add_argument("--adapter", type=Path, metavar="FOLDER", help="an adapter; without one, it is trained")
    parser.add_argument("--train", type=int, default=300, metavar="N", help="rows to train on (default: 300)")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="rows to train on (default: FILE)")
    parser.add_argument("--epochs", type=float, default=2, help="of the training (default: 2)")
    parser.add_argument("--most-tokens", type=int, nargs="*", default=[50], help="where the search is ended")
    parser.add_argument("--no-exact", action="store_true", help="leave out the search to the end")
    parser.add_argument("--threads", type=int, default=1, help="of the matrices (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the draws (default: 1)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    asked = parser.parse_args(given)
    torch.set_num_threads(asked.threads)
    rows = Rows.read(asked.file, asked.text, asked.label, asked.rows, asked.seed)
    labels = sorted(set(Rows.read(asked.file, asked.text, asked.label, 10**9, asked.seed).labels))
    ways: dict[str, Way] = {"free": _free, "held": _held}
    ways |= {} if asked.no_exact else {"**likeliest**": _likeliest(None)}
    ways |= {f"**likeliest, {most} tokens**": _likeliest(most) for most in asked.most_tokens}
    systems = {"without": asked.task, "with": f"{asked.task} One of: {', '.join(labels)}"}
    console = Console(width=max(Console().width, 100))
    results = []
    for model in asked.models:
        loaded = load_base(BUNDLED)
        if model == "adapter":
            loaded = load_adapter(asked.adapter or _trained(asked, asked.task), loaded)
        for form in asked.lists:
            title = f"{'With the adapter' if model == 'adapter' else 'Untuned'}, {form} a list of the labels"
            found = _compare(title, loaded, rows, rows.prompts(systems[form]), labels, ways)
            found.show(console)
            results.append(found)
    if asked.markdown:
        asked.markdown.write_text("\n".join(found.markdown() for found in results), encoding="utf-8")


if __name__ == "__main__":
    main()
