"""Whether curation pays: an adapter on curated rows beside the same recipe on the raw rows, of which a third is wrong.

python tests/benchmarks/curation_pays.py FOLDER    needs train.csv and test.csv of banking77 in it
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from label_errors import most_similar
from ladders import balanced, banking77, banking77_case, write_dataset
from pydantic import SecretStr
from rich.console import Console
from tables import Results

sys.path.insert(0, str(Path(__file__).parents[1]))
from fake_studio import FakeStudio, fake_studio

from flows.cli.console import TerminalProgress
from flows.collect import collect
from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.finetune import Finetuned, finetune, prepare_training
from flows.local.simulated_annotators import annotate, read_truth
from flows.release import release
from flows.settings import Settings

Row = Mapping[str, Any]

_ROWS, _NOISE, _COPIES, _LEAKS, _BUDGET = 3_000, 0.3, 0.05, 0.05, 0.1
_HELP = """\
Of 3,000 rows 30% get one of the three most similar labels (by the TF-IDF centroids of the labels). 5% more are copies
of rows, and 5% are test questions; of these, too, 30% are wrong. Annotators answer as many questions as a tenth of the
rows, and are right; suspect labels beyond that are held back. Then the version is published, and the same recipe is
trained on it and on the raw rows; both are asked all 3,080 test questions.
"""


def planted(train: Sequence[Row], test: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """Noisy rows with copies and leaks, each with an id, and the truth about each."""
    chance = np.random.default_rng(seed)
    labels = sorted({row["intent"] for row in train})
    codes = np.array([labels.index(row["intent"]) for row in train])
    similar = most_similar([row["text"] for row in train], codes)

    def some(rows: Sequence[Row], share: float) -> list[Row]:
        return [rows[place] for place in chance.choice(len(rows), round(share * len(train)), replace=False)]

    copies = [{**row, "text": _spelled(row["text"], chance)} for row in some(train, _COPIES)]
    found, truth = [], []
    for number, row in enumerate([*train, *copies, *some(test, _LEAKS)]):
        right = wrong = labels.index(row["intent"])
        if chance.random() < _NOISE:
            wrong = int(similar[right, chance.integers(similar.shape[1])])
        found.append({"id": f"row-{number}", "text": row["text"], "intent": labels[wrong]})
        truth.append({"id": f"row-{number}", "usable": True, "intent": row["intent"]})
    order = chance.permutation(len(found))
    return [found[place] for place in order], truth


def _spelled(text: str, chance: np.random.Generator) -> str:
    """The same to a search for duplicates."""
    return (text.upper(), f"  {text}", text.rstrip("?."), text.lower())[chance.integers(4)]


def dataset(folder: Path, place: Path, seed: int, settings: Mapping[str, Any]) -> Path:
    """Write a dataset with planted errors."""
    splits = banking77(folder)
    train, truth = planted(balanced(splits["train"], "intent", _ROWS), splits["test"], seed)
    case = banking77_case({**splits, "train": train})
    file = write_dataset(case, f"planted-{seed}", place, {"slow_rows": len(splits["test"]), **settings})
    (place / "truth.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in truth), encoding="utf-8")
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["sources"][0]["key"] = "id"
    content["review"] = {"budget": round(_BUDGET * len(train)), "audit": 0.0, "unreviewed": "hold"}
    content["arms"] = ["linear", "adapter", "adapter_linear"]
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


def lived(file: Path, studio: FakeStudio) -> tuple[Finetuned, int]:
    """Curate, answer what is asked, publish and train; returns how many questions were answered, too."""
    settings = Settings(
        goldleaf_home=str(file.parent / "home"),
        label_studio_url=studio.url,
        label_studio_api_key=SecretStr(studio.token),
        prefect_api_url="",
    )
    context, engine, answered = Context.load(file, settings), Inline(TerminalProgress()), 0
    while True:
        curate(context, engine)
        truth = read_truth(file.parent / "truth.jsonl", context.store.snapshot().at_last_commit(), context.dataset)
        assert context.connection is not None
        new = annotate(context.connection, context.dataset, truth, faultless=True)
        answered += new
        if not new:
            break
        collect(context, engine)
    release(context, engine)
    prepare_training()
    return finetune(context, engine, ablate=True), answered


def main() -> None:
    """Run it for each seed, and show the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of what is planted (default: 1)")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of finetune, in YAML")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    options = parser.parse_args()
    changed = {key: yaml.safe_load(value) for key, value in (one.split("=", 1) for one in options.set)}
    lines = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as scratch, fake_studio() as studio:
            found, answered = lived(dataset(options.folder, Path(scratch), seed, changed), studio)
            ablation, linear = found.assessment.ablation, found.assessment.ladder.arm("linear")
            assert ablation is not None and linear is not None
            rows = (f"{found.train_rows:,}", f"{ablation.rows:,}", f"{answered:,}")
            scores = (str(ablation.curated.score), str(ablation.raw.score), str(ablation.comparison))
            lines.append((str(seed), *rows, *scores, str(linear.score)))
    results = Results(
        "banking77 with planted errors: curated rows beside raw ones",
        ("seed", "curated rows", "raw rows", "answers", "curated", "raw", "difference", "linear, curated"),
        lines,
        f"All 3,080 test questions; settings changed: {changed or 'none'}.",
    )
    results.show(Console(width=max(Console().width, 160)))
    if options.markdown:
        options.markdown.write_text(results.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
