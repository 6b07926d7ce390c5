"""Runs `goldleaf finetune` in processes that are killed: `python tests/killed_finetunings.py FOLDER ENDPOINT`.

Each life is a process of its own, forked from this one, which imports what the command needs once and computes nothing.
For every point the command is killed there, and given again; ``lives.json`` says how each ended, and what was kept.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from forked import Point, die_at
from killed_trainings import import_once, in_a_process
from small_models import save_small_model
from support import row, write_dataset

from flows.cli.main import app
from pipeline.finetuning import train
from pipeline.ladder import forgetting
from pipeline.ladder.kept_answers import ANSWERS, UNFINISHED

POINTS = {
    "while an arm answers": Point("pipeline.suggestions.ledger", "Ledger.complete", "after", 2),
    "while it trains": Point("pipeline.finetuning.checkpoints", "put_in_place", "after", 6),
    "before its checkpoints are removed": Point("pipeline.finetuning.checkpoints", "Checkpoints.remove", "before", 1),
    "after the training": Point("pipeline.ladder.experiment", "trained_once", "after", 1),
    "while the adapter answers": Point("pipeline.ladder.language_models", "Adapter.answer", "after", 1),
    "while it is stored": Point("pipeline.finetuning.adapters", "put_in_place", "before", 1),
    "once it is stored": Point("pipeline.ladder.experiment", "conclude", "after", 1),
    "before another seed answers": Point("pipeline.ladder.retrained", "adapted", "before", 1),
}
UNDISTURBED: dict[str, tuple[str, ...]] = {"undisturbed": (), "undisturbed with two seeds": ("--seeds", "2")}
"""Lives that nobody ends early, with their options."""
LIKE = {name: "undisturbed with two seeds" if "seed" in name else "undisturbed" for name in (*UNDISTURBED, *POINTS)}
"""Which of them has the options of a life."""
ASKED = 4
"""Questions of slow arms."""
TOPICS = ("billing", "delivery", "returns")
SETTINGS = """\
review: {{budget: 0, audit: 0.0}}
finetune:
  {{base_model: {model}, slow_rows: {asked}, batch_size: 4, epochs: 1, evaluate: 3, learning_rate: 1e-2,
   max_length: 256, lora: {{lora_dropout: 0.1}}}}
arms:
  - majority
  - few_shot
  - {{name: frontier, endpoint: '{endpoint}', model: m, examples: 1, parallel: 1, api_key_env: LIFE}}
  - adapter
  - adapter_free
"""


def prepare(folder: Path, endpoint: str) -> None:
    """Write a dataset of which a version is published."""
    save_small_model(folder / "model")
    dataset = folder / "dataset"
    dataset.mkdir()
    # All of as many tokens: for every new length a process prepares each of its multiplications anew.
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(10, 60)]
    write_dataset(dataset, rows, SETTINGS.format(model=folder / "model", endpoint=endpoint, asked=ASKED))
    for verb in ("curate", "release"):
        goldleaf(verb, dataset)


def goldleaf(verb: str, dataset: Path, *options: str) -> None:
    """The command itself; it ends as it does in a shell."""
    os.environ |= {"GOLDLEAF_HOME": str(dataset / "home"), "PREFECT_API_URL": "", "LABEL_STUDIO_URL": ""}
    os.chdir(dataset)
    app([verb, *options], standalone_mode=False)


def life(dataset: Path, name: str, point: Point | None) -> None:
    """Fine-tune, or die; the key says to the endpoint whose life it is."""
    os.environ["LIFE"] = name
    # Trainings of a second have checkpoints, too.
    (train.train.__kwdefaults__ or {})["checkpoint_seconds"] = 0
    if point:
        die_at(point)
    with dataset.with_name(f"{dataset.name}.txt").open("a") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
        goldleaf("finetune", dataset, *UNDISTURBED[LIKE[name]])


def kept_in(dataset: Path) -> dict[str, Any]:
    """The seconds that arms took whose answers are kept, by their names."""
    models = dataset / "home" / "questions" / "models"
    files = [*models.glob(f"{UNFINISHED}/*/*-*.json"), *models.glob(f"{ANSWERS}/*.json")]
    kept = {file.stem.split("-")[0]: json.loads(file.read_bytes()) for file in files}
    # What is measured beside the answers has none.
    return {name: one["times"]["answering"] for name, one in kept.items() if "times" in one}


def main(folder: Path, endpoint: str) -> None:
    """Live all lives."""
    ended: dict[str, Any] = {"prepared": in_a_process(prepare, folder, endpoint)}
    for name in LIKE:
        dataset = Path(shutil.copytree(folder / "dataset", folder / name.replace(" ", "-")))
        first = in_a_process(life, dataset, name, POINTS.get(name))
        ended[name] = {"first": first, "kept": kept_in(dataset)}
        if name in POINTS:
            ended[name]["again"] = in_a_process(life, dataset, name, None)
    (folder / "lives.json").write_text(json.dumps(ended))


if __name__ == "__main__":
    import flows.curate
    import flows.finetune
    import flows.release  # noqa: F401

    import_once()
    forgetting._LONGEST = 4  # as in conftest.py
    main(Path(sys.argv[1]), sys.argv[2])
