"""Two processes that train together take the steps of one with twice the batch, and one of them writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import questions_and_answers, save_small_model

from pipeline.finetuning.train import train
from schemas.dataset import Finetune

SCRIPT = """
import json, os, sys
from pathlib import Path

from flows.settings import prepare_training

prepare_training()

from small_models import questions_and_answers

from pipeline.finetuning.train import train
from schemas.dataset import Finetune

folder, rank = Path(sys.argv[1]), os.environ["RANK"]
config = Finetune.model_validate_json((folder / "config.json").read_text())
rows, steps = questions_and_answers(32), []
report = train(
    rows, config, folder / "adapter", lambda step: steps.append(step.step), validation=rows[:7],
    checkpoints=folder / "unfinished", checkpoint_seconds=0,
)
(folder / f"{rank}.json").write_text(json.dumps([steps, report.losses, [one.loss for one in report.validation]]))
"""


def test_two_processes_take_the_steps_of_one_with_twice_the_batch(tmp_path: Path) -> None:
    save_small_model(tmp_path / "model")
    config = Finetune(base_model=str(tmp_path / "model"), batch_size=4, epochs=1, learning_rate=1e-2, max_length=128)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    (tmp_path / "script.py").write_text(SCRIPT)
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "script.py", tmp_path],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (steps, losses, measured), (silent, *same) = (json.loads((tmp_path / f"{n}.json").read_text()) for n in (0, 1))
    assert (steps, silent) == ([1, 2, 3, 4], [])
    assert same == [losses, measured]
    rows = questions_and_answers(32)
    both = config.model_copy(update={"batch_size": 8})
    alone = train(rows, both, tmp_path / "alone", validation=rows[:7])
    assert losses == pytest.approx(alone.losses, rel=1e-3)
    assert measured == pytest.approx([one.loss for one in alone.validation], rel=1e-3)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"model", "config.json", "script.py", "adapter", "alone", "0.json", "1.json"}
