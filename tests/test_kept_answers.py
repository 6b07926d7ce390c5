"""What an arm has answered comes back as it was, so that after a kill only what is missing is asked."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from assessed import Fruit, question

from pipeline.config.price_file import Prices
from pipeline.evaluation.scores import Credit
from pipeline.finetuning.exam import Answers, Questions
from pipeline.finetuning.row_tokens import Tokens
from pipeline.ladder import kept_answers
from pipeline.ladder.arm import Advance, Arm, CannotAnswer
from pipeline.ladder.climb import Climb
from pipeline.ladder.kept_answers import Earlier, KeptAnswers, Times
from schemas.arms_section import Family

ASKED = [question(name, "apple") for name in ("q1", "q2", "q3")]
STEPS = [ASKED[1].model_copy(update={"prompt": ()}), ASKED[2]]
QUESTIONS = Questions(ASKED, STEPS, [], {})
ANSWERS = Answers(
    texts=["apple", "", 'a "pear"\n\u2028🍐 \x00'],
    losses=[Credit(earned=value, possible=3.0) for value in (0.1 + 0.2, math.pi * 1e-17, 2.0**70)],
    called=[(STEPS[0], "first call"), (STEPS[1], "second")],
    tokens_in=12,
    tokens_out=5,
    cost=1 / 3,
    latency=0.1,
    settings={"C of kind": 1e-3},
)
TIMES = Times(learning=1 / 3, answering=math.e, alone=0.1)


@pytest.fixture
def kept(tmp_path: Path) -> KeptAnswers:
    return KeptAnswers(tmp_path / "answers")


@pytest.fixture
def file(kept: KeptAnswers, tmp_path: Path) -> Path:
    """Of the answers of an arm."""
    kept.keep("linear", "a linear model", QUESTIONS, ANSWERS, TIMES)
    [found] = (tmp_path / "answers").iterdir()
    return found


class Noting(Arm):
    """Notes how it is asked."""

    name, title, family = "noting", "noting", Family.PROMPT

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        self.asked.append((len(questions.asked), len(questions.steps), len(questions.golds)))
        return Answers(["apple"] * len(questions.asked))


def test_the_time_of_a_call_is_that_of_its_answer_alone(kept: KeptAnswers) -> None:
    """What a chat is judged by, its loss and the calls before its last turn, no user waits for."""

    @contextmanager
    def show(label: str, units: int | None) -> Iterator[Advance]:
        yield lambda units: None

    asked = Questions(ASKED, STEPS, [Tokens([1, 2], [False, True])] * 3, {})
    arm = Noting()
    Climb(Fruit, asked, 500, Prices(), show, kept).take(arm)
    assert arm.asked == [(3, 2, 3), (1, 0, 0), (1, 0, 0), (1, 0, 0)]


# --- the file -----------------------------------------------------------------------------------
@pytest.mark.usefixtures("file")
def test_answers_come_back_equal_to_the_last_bit(kept: KeptAnswers) -> None:
    found = kept.get("linear", QUESTIONS)
    assert found is not None
    title, answers, times = found
    assert (title, times) == ("a linear model", TIMES)
    assert answers == replace(ANSWERS, texts=tuple(ANSWERS.texts), losses=tuple(ANSWERS.losses or ()))
    assert [one.earned.hex() for one in answers.losses or ()] == [one.earned.hex() for one in ANSWERS.losses or ()]


def test_what_was_not_counted_comes_back_as_not_counted(kept: KeptAnswers) -> None:
    plain = Questions(ASKED, [], [], {})
    kept.keep("majority", "usual", plain, Answers(["apple"] * 3), Times(learning=0.0, answering=0.0, alone=None))
    found = kept.get("majority", plain)
    assert found is not None
    assert (found[1].losses, found[1].cost, found[1].latency, found[1].settings) == (None, None, None, {})


def test_an_arm_that_is_not_asked_about_calls_has_its_answers_kept_too(kept: KeptAnswers) -> None:
    kept.keep("nearest", "the nearest row", QUESTIONS, Answers(["apple"] * 3), TIMES)
    found = kept.get("nearest", QUESTIONS)
    assert found is not None and (list(found[1].texts), list(found[1].called)) == (["apple"] * 3, [])


@pytest.mark.usefixtures("file")
def test_other_arms_and_other_questions_have_none(kept: KeptAnswers, tmp_path: Path) -> None:
    assert kept.get("nearest", QUESTIONS) is None
    for asked in (ASKED[:2], ASKED[::-1], [*ASKED, question("q4", "pear")], [question("q1q2", "apple"), ASKED[2]]):
        assert kept.get("linear", Questions(asked, STEPS, [], {})) is None
    assert KeptAnswers(tmp_path / "of another run").get("linear", QUESTIONS) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:-2],
        lambda whole: whole.replace(b'"texts"', b'"words"'),
        lambda whole: whole.replace(b'"apple",', b""),
        lambda whole: whole.replace(b'"first call",', b""),
        lambda whole: whole.replace(b"first", b"\xff\xfe"),
    ],
    ids=["empty", "cut off", "another key", "an answer less", "a call less", "no text"],
)
def test_a_damaged_file_is_as_none_and_is_written_anew(
    kept: KeptAnswers, file: Path, damage: Callable[[bytes], bytes]
) -> None:
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert file.read_bytes() != whole
    assert kept.get("linear", QUESTIONS) is None
    kept.keep("linear", "a linear model", QUESTIONS, ANSWERS, TIMES)
    assert file.read_bytes() == whole


# --- arms that are asked ------------------------------------------------------------------------
class Counting(Arm):
    """Knows the answer, and counts how often it is asked and what."""

    name, title, family = "linear", "a model", Family.CLASSICAL

    def __init__(self, *, is_slow: bool = False, fails: bool = False) -> None:
        self.is_slow, self._fails = is_slow, fails
        self.heard: list[list[str]] = []
        self.learned = 0

    def learn(self) -> None:
        self.learned += 1
        self.title = "a model that has learned"

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        self.heard.append([one.id for one in questions.asked])
        if self._fails:
            raise CannotAnswer("it is down")
        advance(len(questions.asked))
        return Answers(["apple"] * len(questions.asked), tokens_in=30, tokens_out=3, settings={"C": 0.5})


@contextmanager
def shown(label: str, units: int | None) -> Iterator[Advance]:
    yield lambda more: None


def climb(kept: KeptAnswers, slow_rows: int = 500) -> Climb:
    return Climb(Fruit, Questions(ASKED, [], [], {}), slow_rows, Prices(), shown, kept)


def test_nothing_is_asked_that_is_kept(kept: KeptAnswers) -> None:
    first, second = Counting(), Counting()
    before = climb(kept).take(first)
    assert first.heard == [["q1", "q2", "q3"], ["q1"], ["q2"], ["q3"]], "together, then alone for the latency"
    after = climb(kept).take(second)
    assert (second.heard, second.learned) == ([], 0)
    assert before == after
    assert after is not None and after.title == "a model that has learned" and after.settings == {"C": 0.5}
    assert (after.tokens_in, after.tokens_out) == (10, 1)


def test_only_the_arms_that_were_not_kept_are_asked(kept: KeptAnswers) -> None:
    climb(kept).take(Counting())
    other = Counting()
    other.name = "nearest"
    climb(kept).take(other)
    assert other.heard[0] == ["q1", "q2", "q3"]


def test_a_slow_arm_that_is_to_answer_more_is_asked_anew(kept: KeptAnswers) -> None:
    few, more, again = (Counting(is_slow=True) for _ in range(3))
    climb(kept, slow_rows=1).take(few)
    found = climb(kept, slow_rows=2).take(more)
    assert (few.heard[0], more.heard[0]) == (["q1"], ["q1", "q2"])
    assert found is not None and found.evaluation.questions == 2
    climb(kept, slow_rows=1).take(again)
    assert again.heard == []


def test_an_arm_that_failed_is_asked_again_and_what_it_said_is_told(kept: KeptAnswers) -> None:
    first = climb(kept)
    assert first.take(Counting(fails=True)) is None
    [skipped] = first.ladder(["linear"]).skipped
    assert (skipped.name, skipped.why) == ("linear", "it is down")
    second = Counting()
    assert climb(kept).take(second) is not None
    assert second.heard


# --- runs that ended ----------------------------------------------------------------------------
def of_run(tmp_path: Path, number: int, key: str = "k", *, is_read: bool = True) -> KeptAnswers:
    earlier = Earlier(tmp_path / "earlier", lambda name: key, is_read=is_read)
    return KeptAnswers(tmp_path / f"run {number}", earlier)


def test_the_next_run_has_what_was_handed_on(tmp_path: Path) -> None:
    first = of_run(tmp_path, 1)
    first.keep("linear", "a linear model", QUESTIONS, ANSWERS, TIMES)
    assert of_run(tmp_path, 2).get("linear", QUESTIONS) is None, "the first one has not ended"
    first.hand_on()
    assert not list((tmp_path / "run 1").iterdir())
    found = of_run(tmp_path, 2).get("linear", QUESTIONS)
    assert found is not None and found[0] == "a linear model"
    assert of_run(tmp_path, 2, "other").get("linear", QUESTIONS) is None
    assert of_run(tmp_path, 2, is_read=False).get("linear", QUESTIONS) is None
    assert of_run(tmp_path, 2, "").get("linear", QUESTIONS) is None


def test_what_a_killed_run_has_left_is_handed_on_by_the_one_that_ends(tmp_path: Path) -> None:
    of_run(tmp_path, 1).keep("linear", "a linear model", QUESTIONS, ANSWERS, TIMES)
    second = of_run(tmp_path, 1)
    assert second.get("linear", QUESTIONS) is not None
    second.hand_on()
    assert of_run(tmp_path, 2).get("linear", QUESTIONS) is not None


def test_calls_of_an_endpoint_are_not_handed_on(tmp_path: Path) -> None:
    run = of_run(tmp_path, 1, key="")
    run.keep("frontier", "a model", QUESTIONS, ANSWERS, TIMES)
    run.hand_on()
    assert not (tmp_path / "earlier").exists() and run.get("frontier", QUESTIONS) is not None


def test_only_so_many_answers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "_MOST", 3)
    for number in range(5):
        run = of_run(tmp_path, number, key=f"key {number}")
        run.keep("linear", "a linear model", QUESTIONS, ANSWERS, TIMES)
        [file] = (tmp_path / f"run {number}").iterdir()
        os.utime(file, (number, number))
        run.hand_on()
    known = [of_run(tmp_path, 9, key=f"key {number}").get("linear", QUESTIONS) for number in range(5)]
    assert [one is not None for one in known] == [False, False, True, True, True]
