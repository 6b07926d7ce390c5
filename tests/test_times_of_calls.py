"""How long a call takes is measured on enough calls to know how sure that is, and anew where it decides."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from assessed import Fruit, a_record, assessed, question, share_right

from flows.cli.show_finetuned import show_finetuned
from flows.finetune import Finetuned
from pipeline.config.price_file import Prices
from pipeline.finetuning.exam import Answers, Questions
from pipeline.finetuning.machine_load import Load, machine_load
from pipeline.ladder import climb
from pipeline.ladder.adapter_card import adapter_card
from pipeline.ladder.arm import Advance, Arm
from pipeline.ladder.climb import Climb
from pipeline.ladder.kept_answers import KeptAnswers, Times
from pipeline.ladder.results import ArmResult
from pipeline.reporting.verdict_page import verdict_page
from schemas.arms_section import Family, Limits

ASKED = Questions([question(f"q{number}", "apple") for number in range(40)], [], [], {})


class Clock:
    """Time that passes only while an arm answers."""

    now = 0.0


class Busy(Arm):
    """Takes so many seconds for each question that it is asked alone, in turn."""

    name, title, family = "linear", "a model", Family.CLASSICAL

    def __init__(self, clock: Clock, seconds: Sequence[float]) -> None:
        self._clock, self._left, self.alone, self.learned = clock, list(seconds), 0, 0

    def learn(self) -> None:
        self.learned += 1

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        if len(questions.asked) == 1:
            self.alone += 1
            self._clock.now += self._left.pop(0)
        return Answers(["apple"] * len(questions.asked))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(climb, "time", SimpleNamespace(perf_counter=lambda: found.now))
    return found


@contextmanager
def shown(label: str, units: int | None) -> Iterator[Advance]:
    yield lambda more: None


def taken(folder: Path, arm: Arm, limit: float | None = None) -> ArmResult:
    found = Climb(Fruit, ASKED, 500, Prices(), shown, KeptAnswers(folder), Limits(max_seconds=limit)).take(arm)
    assert found is not None
    return found


def seconds(first: float) -> list[float]:
    """Of twenty calls, each a millisecond longer, in no order."""
    return [first + (7 * number % 20) / 1000 for number in range(20)]


def test_the_median_of_twenty_calls_lies_between_the_sixth_and_the_fifteenth(clock: Clock, tmp_path: Path) -> None:
    arm = Busy(clock, seconds(0.1))
    found = taken(tmp_path, arm)
    assert arm.alone == 20
    assert found.latency == pytest.approx(0.1095)
    assert (found.latency_low, found.latency_high) == (pytest.approx(0.105), pytest.approx(0.114))


def test_of_long_calls_six_are_timed_which_is_the_fewest_that_have_an_interval(clock: Clock, tmp_path: Path) -> None:
    arm = Busy(clock, [3.0, 2.0, 4.0, 2.5, 3.5, 9.0, 1.0])
    found = taken(tmp_path, arm)
    assert (arm.alone, found.latency) == (6, pytest.approx(3.25))
    assert (found.latency_low, found.latency_high) == (pytest.approx(2.0), pytest.approx(9.0))
    assert Times(learning=0, answering=0, alone=1.0, each=(1.0,) * 5).range is None
    assert Times(learning=0, answering=0, alone=1.0).range is None, "as it is of calls elsewhere"


def test_a_kept_time_that_may_be_too_long_or_not_is_measured_again(clock: Clock, tmp_path: Path) -> None:
    """The machine may have been busy."""
    taken(tmp_path, Busy(clock, seconds(0.1)))
    again = Busy(clock, seconds(0.05))
    found = taken(tmp_path, again, limit=0.11)
    assert (again.learned, again.alone) == (1, 20)
    assert found.latency_high == pytest.approx(0.064) and found.evaluation.score.value == 1
    later = Busy(clock, [])
    assert taken(tmp_path, later, limit=0.11) == found
    assert later.alone == 0, "the new time is kept"


@pytest.mark.parametrize("limit", [None, 0.09, 0.2])
def test_a_kept_time_that_is_clearly_within_the_limit_or_beyond_it_is_taken_as_it_is(
    clock: Clock, tmp_path: Path, limit: float | None
) -> None:
    first = taken(tmp_path, Busy(clock, seconds(0.1)))
    again = Busy(clock, [])
    assert taken(tmp_path, again, limit) == first and again.alone == 0


# --- a busy machine -----------------------------------------------------------------------------
def loaded(monkeypatch: pytest.MonkeyPatch, average: float) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (average, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_the_load_of_the_machine_is_kept_with_the_times(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(monkeypatch, 9.0)
    found = taken(tmp_path, Busy(clock, seconds(0.1)))
    assert found.load is not None and found.load.is_busy and str(found.load) == "load 9.0 on 2 cores"
    loaded(monkeypatch, 0.5)
    assert taken(tmp_path, Busy(clock, [])) == found, "the times are of then"
    anew = taken(tmp_path, Busy(clock, seconds(0.05)), limit=0.11).load
    assert anew is not None and not anew.is_busy
    assert json.loads(found.model_dump_json())["load"] == {"average": 9.0, "cores": 2, "is_busy": True}


def test_our_own_threads_make_no_machine_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    for average, is_busy in ((0.3, False), (2.1, False), (2.6, True)):
        loaded(monkeypatch, average)
        found = machine_load()
        assert found is not None and found.is_busy == is_busy
    monkeypatch.delattr(os, "getloadavg")
    assert machine_load() is None, "as on Windows"


def test_what_answers_elsewhere_does_not_wait_for_this_machine(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(monkeypatch, 9.0)
    arm = Busy(clock, seconds(0.1))
    arm.is_here = False
    assert taken(tmp_path, arm).load is None


def test_times_of_a_busy_machine_are_told_with_its_load_wherever_they_stand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    busy, idle = Load(average=9.0, cores=2), Load(average=1.9, cores=2)
    linear = share_right("linear", 20, 40, latency=0.01, cost=0.1, load=idle)
    found = assessed(linear, share_right("adapter", 36, 40, latency=2.0, cost=0.5, load=busy), currency="EUR")
    said = (
        "The times and costs of the adapter were measured while the machine was busy (up to load 9.0 on 2 cores), and "
        "are too high"
    )
    values = {"dataset": "d", "version": "1.0.0", "path": "", "reused": False, "train_rows": 9, "left_out": {}}
    show_finetuned(Finetuned(**values, seconds=1, assessment=found))
    card, page = adapter_card(Fruit, a_record(), found), verdict_page(Fruit, a_record(), found).decode()
    assert [text.count(said) for text in (capsys.readouterr().out, card, page)] == [1, 1, 2]
    assert "| EUR per 1,000 calls |" in card and card.count("|---:|---:|---:|---:|\n") == 1
    assert re.search(r"\| the adapter \|.*\| ~2,000 \| 0\.5 \|\n", card)

    quiet = assessed(linear, share_right("adapter", 36, 40, load=idle))
    assert not quiet.busy and "per 1,000 calls |" not in adapter_card(Fruit, a_record(), quiet)
    everywhere = [share_right(name, 20, 40, load=busy) for name in ("linear", "adapter")]
    assert assessed(*everywhere, share_right("frontier", 30, 40)).busy.startswith("All times were measured while")
    priced = [*everywhere, share_right("frontier", 30, 40, cost=1.6)]
    assert assessed(*priced, currency="EUR").busy.startswith(
        "All times and costs of arms that run on this machine were"
    )
