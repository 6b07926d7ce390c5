"""Status says how far a training is that has not ended."""

import os
from pathlib import Path

import pytest
from support import offline, row, write_dataset
from terminal import Terminal

from flows.context import Context
from pipeline.finetuning.checkpoints import CHECKPOINTS, Checkpoints, unfinished_training
from schemas.run_summary import FinetuneSummary, Verb

AT = 1_800_000_000
"""2027-01-15 08:00:00 UTC."""


def trained(models: Path, key: str, step: int, at: float = AT) -> Path:
    """A training of 930 steps, each of six seconds, was killed after one of them."""
    folder = models / CHECKPOINTS / key
    Checkpoints(folder, key, pytest.fail).write(step, 930, 6.0 * step, 9.0 * step, _fill)
    record = folder / f"checkpoint-{step}" / "checkpoint.json"
    os.utime(record, (at, at))
    return record


def _fill(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"weights")


def test_the_newest_checkpoint_of_all_trainings_tells(tmp_path: Path) -> None:
    assert unfinished_training(tmp_path) is None
    trained(tmp_path, "a", 10)
    trained(tmp_path, "a", 33, AT + 60)
    newest = trained(tmp_path, "b", 20, AT + 120)
    trained(tmp_path, "c", 920, AT + 90)
    assert str(unfinished_training(tmp_path)) == (
        "a training has not ended: step 20 of 930 at 2027-01-15 08:02:00, about 1.5 hours from its end"
    )
    newest.write_text("{")
    assert str(unfinished_training(tmp_path)).endswith(
        "step 920 of 930 at 2027-01-15 08:01:30, about 60 seconds from its end"
    )


def test_status_shows_it_until_a_fine_tuning_has_ended_after_it(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(n, f"lamp{n} broke{n}", ("billing", "returns")[n % 2]) for n in range(4)])
    shop = Terminal(tmp_path)
    context = Context.load(tmp_path / "dataset.yaml", offline(shop.home))
    assert shop.json("status")["training"] is None
    trained(context.store.models, "a", 43)
    shown = shop.json("status")["training"]
    assert (shown["step"], shown["steps"], shown["seconds_left"]) == (43, 930, 6.0 * 887)
    said = shop.goldleaf("status").stdout
    assert "a training has not ended: step 43 of 930 at 2027-01-15 08:00:00, about 89 minutes from its end\n" in said

    summary = FinetuneSummary(version="1.0.0", path="models/one", tuned=0.5)
    context.store.commit(context.new_run(Verb.FINETUNE), inputs={}, funnel=None, summary=summary)
    assert shop.json("status")["training"] is not None, "it was written after that"
    trained(context.store.models, "b", 43, AT - 10**8)
    (context.store.models / CHECKPOINTS / "a" / "checkpoint-43" / "checkpoint.json").unlink()
    assert shop.json("status")["training"] is None
