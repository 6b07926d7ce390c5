"""What is measured beside the arms' answers is measured once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.ladder.kept_measures import KeptMeasures


class Loss(BaseModel):
    nats: float


def of(nats: float) -> Callable[[], Loss]:
    return lambda: Loss(nats=nats)


def forbidden() -> Loss:
    pytest.fail("it is measured again")


def test_equal_ones_are_measured_once_by_whatever_run(tmp_path: Path) -> None:
    folder = tmp_path / "models" / ".answers"
    assert KeptMeasures(folder, "0.1").once("loss", ("model", "cpu"), Loss, of(0.1 + 0.2)).nats == 0.1 + 0.2
    assert KeptMeasures(folder, "0.1").once("loss", ("model", "cpu"), Loss, forbidden).nats == 0.1 + 0.2
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("version", "name", "depends_on"),
    [("0.2", "loss", ("model", "cpu")), ("0.1", "curve", ("model", "cpu")), ("0.1", "loss", ("modelcpu",))],
)
def test_another_version_name_or_model_is_measured(
    tmp_path: Path, version: str, name: str, depends_on: tuple[str, ...]
) -> None:
    KeptMeasures(tmp_path, "0.1").once("loss", ("model", "cpu"), Loss, of(1))
    assert KeptMeasures(tmp_path, version).once(name, depends_on, Loss, of(2)).nats == 2
    assert KeptMeasures(tmp_path, "0.1").once("loss", ("model", "cpu"), Loss, forbidden).nats == 1


@pytest.mark.parametrize("damage", [b"", b'{"nats": ', b'{"nats": null}', b"\xff"])
def test_what_is_damaged_is_measured_again(tmp_path: Path, damage: bytes) -> None:
    KeptMeasures(tmp_path, "0.1").once("loss", (), Loss, of(1))
    [file] = tmp_path.iterdir()
    file.write_bytes(damage)
    assert KeptMeasures(tmp_path, "0.1").once("loss", (), Loss, of(2)).nats == 2
    assert KeptMeasures(tmp_path, "0.1").once("loss", (), Loss, forbidden).nats == 2


def test_a_measure_of_a_run_that_asks_all_again_replaces_the_old_one(tmp_path: Path) -> None:
    KeptMeasures(tmp_path, "0.1").once("loss", (), Loss, of(1))
    assert KeptMeasures(tmp_path, "0.1", is_read=False).once("loss", (), Loss, of(2)).nats == 2
    assert KeptMeasures(tmp_path, "0.1").once("loss", (), Loss, forbidden).nats == 2
