"""With `suggest`, unlabeled rows come with a model's answer, labeled ones with its opinion; its faults stop nothing."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from desk import Desk, rename
from fake_studio import FakeStudio
from loopback import CUT, Reply
from model_server import ModelServer, completion, failure, last_user_text, model_server
from support import current, offline, row, state, write_dataset
from terminal import Terminal

from flows.context import Context
from pipeline.review.labeling_tasks import labeling_task
from pipeline.review.questions import question
from pipeline.suggestions import asking
from pipeline.suggestions.asking import Pauses
from schemas.decision import Decision
from schemas.fate import Fate, ReasonCode, Routed
from schemas.identity import stable_hash
from schemas.task import Input, Target, Task

WORDS = {"charged": "billing", "parcel": "delivery", "back": "returns"}
TEXTS = {
    "billing": "Why was I charged {} times for order {}?",
    "delivery": "Where is parcel {} of order {}?",
    "returns": "How do I send back item {} of order {}?",
}
KEY = "sk-very-secret"


class Question(Task):
    """Name the topic of this question."""

    question: Input[str]
    topic: Target[Literal["billing", "delivery"]]


def by_words(request: dict[str, Any], number: int) -> Reply:
    """A model that is always right."""
    text = last_user_text(request)
    return completion(json.dumps({"topic": next(topic for word, topic in WORDS.items() if word in text)}))


def labeled(count: int, wrong: tuple[int, ...] = ()) -> list[dict[str, object]]:
    topics = list(TEXTS)
    return [row(n, TEXTS[topics[n % 3]].format(n * 7, n * 31), topics[(n + (n in wrong)) % 3]) for n in range(count)]


UNLABELED: list[dict[str, object]] = [
    row(900, "Why was I charged for nothing?", None),
    row(901, "Has my parcel been sent?", None),
]


@contextmanager
def shop(
    folder: Path, rows: list[dict[str, object]], says: Any = by_words, suggest: str = "", more: str = ""
) -> Iterator[tuple[Terminal, ModelServer]]:
    with model_server(says) as server:
        section = f"suggest: {{endpoint: {server.endpoint}, model: m, parallel: 1{suggest}}}\n"
        write_dataset(folder, rows, section + (more or "review: {budget: 50, audit: 0.0}\n"))
        yield Terminal(folder), server


def opened(folder: Path) -> Context:
    return Context.load(folder / "dataset.yaml", offline(folder / "home"))


def decisions(folder: Path) -> dict[int, Decision]:
    """The current decisions by the row's id."""
    found = current(opened(folder))
    ids = {key: stable_hash("examples", f"int:{key}") for key in range(1_000)}
    return {key: found[record_id] for key, record_id in ids.items() if record_id in found}


# --- what it does -----------------------------------------------------------------------------------
def test_unlabeled_rows_are_asked_with_the_model_s_answer_filled_in(tmp_path: Path) -> None:
    with shop(tmp_path, [*labeled(6), *UNLABELED], suggest=", rows: unlabeled") as (terminal, server):
        result = terminal.json("curate")
        task = opened(tmp_path).dataset.task
        found = decisions(tmp_path)
        assert len(server.asked) == 2
    assert result["suggested"]["answered"] == 2 and result["suggested"]["calls"] == 2
    assert found[900].model_answer == {"topic": "billing"} and found[900].fate is Fate.REVIEW
    asked = labeling_task(task, question(found[901], task))
    assert asked["predictions"][0]["result"][0]["value"] == {"choices": ["delivery"]}
    assert found[0].model_answer is None


def test_a_curate_after_that_asks_nothing_and_changes_nothing(tmp_path: Path) -> None:
    with shop(tmp_path, [*labeled(12), *UNLABELED]) as (terminal, server):
        first = terminal.json("curate")
        made, before = len(server.asked), state(opened(tmp_path).store)
        again = terminal.json("curate")
        assert made == 14 and len(server.asked) == made
        assert state(opened(tmp_path).store) == before
    assert first["suggested"]["answered"] == 14
    assert (again["decided"], again["suggested"]["known"], again["suggested"]["news"]) == (0, 14, False)


def test_a_row_that_changes_is_asked_again_and_only_that_one(tmp_path: Path) -> None:
    rows = [*labeled(6), *UNLABELED]
    with shop(tmp_path, rows) as (terminal, server):
        terminal.json("curate")
        rows[-1] = row(901, "May I send it back?", None)
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        terminal.json("curate")
        assert [last_user_text(one) for one in server.asked[8:]] == ["May I send it back?"]
        assert decisions(tmp_path)[901].model_answer == {"topic": "returns"}


def test_a_model_that_was_right_so_far_puts_a_label_it_denies_in_doubt(tmp_path: Path, studio: FakeStudio) -> None:
    ids = {n: stable_hash("examples", f"int:{n}") for n in range(90)}
    wrong = (40, 41)
    more = "review: {budget: 0, audit: 0.8}\n"
    with shop(tmp_path, labeled(90, wrong), more=more) as (_, _server):
        rename(tmp_path, tmp_path.name)
        desk = Desk(tmp_path, studio.url, studio.token)
        with desk.api, desk.client:
            desk.curate()
            audited = [n for n in ids if desk.decision(n).routed is Routed.AUDIT and n not in wrong]
            for number in audited:
                desk.label(number, list(TEXTS)[number % 3])
            desk.collect()
            found = {n: desk.decision(n) for n in range(90)}
    assert len(audited) > 60
    for number in wrong:
        codes = {reason.code: reason.detail for reason in found[number].reasons}
        given, said = list(TEXTS)[(number + 1) % 3], list(TEXTS)[number % 3]
        assert codes[ReasonCode.SECOND_OPINION] == f"'{said}', not '{given}'"
        assert (found[number].label_error_score or 0) > (found[number].score_alone or 1)
    agreed = [found[n] for n in ids if n not in audited and n not in wrong]
    assert agreed and all((one.label_error_score or 0) < 0.1 for one in agreed)


def test_an_audit_shows_nothing_of_what_the_model_says() -> None:
    for fate, reasons in ((Fate.ACCEPTED, [ReasonCode.PASSED]), (Fate.REVIEW, [ReasonCode.SECOND_OPINION])):
        audited = Decision.model_validate(
            {
                "run": "r",
                "record_id": "x",
                "revision": "y",
                "task_digest": "d",
                "fate": fate,
                "reasons": [{"code": code, "detail": "'delivery', not 'billing'"} for code in reasons],
                "routed": Routed.AUDIT,
                "inputs": {"question": "Why?"},
                "targets": {"topic": "billing"},
                "model_answer": {"topic": "delivery"},
            }
        )
        assert "delivery" not in json.dumps(labeling_task(Question, question(audited, Question)))
        asked = audited.model_copy(update={"routed": Routed.UNCERTAIN, "fate": Fate.REVIEW})
        assert "delivery" in json.dumps(labeling_task(Question, question(asked, Question)))


def test_rows_in_conflict_ask_the_same_so_one_call_answers_both(tmp_path: Path) -> None:
    rows = [row(1, "Why was I charged?", "billing"), row(2, "Why was I charged?", "returns")]
    with shop(tmp_path, rows) as (terminal, server):
        terminal.json("curate")
        assert len(server.asked) == 1
    assert [one.model_answer for one in decisions(tmp_path).values()] == [{"topic": "billing"}] * 2


def test_rows_that_always_fail_do_not_keep_the_others_from_being_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PAUSES", Pauses(first=0.01, most=0.05))

    def says(request: dict[str, Any], number: int) -> Reply:
        broken = "charged" in last_user_text(request)
        return (200, {}, b"nonsense") if broken else by_words(request, number)

    rows = [row(n, f"Why was I charged {n} times?", None) for n in range(3)]
    rows += [row(n, f"Where is parcel {n}?", None) for n in range(10, 16)]
    with shop(tmp_path, rows, says, suggest=", limit: 100") as (terminal, _):
        results = [terminal.json("curate")["suggested"] for _ in range(3)]
    assert sum(one["answered"] for one in results) == 6
    assert results[-1]["known"] == 6 and results[-1]["failed"] + results[-1]["waiting"] == 3


def test_examples_are_annotators_answers_and_stay_the_same(tmp_path: Path, studio: FakeStudio) -> None:
    rows = [row(n, TEXTS[topic].format(n, n * 5), None) for n, topic in enumerate([*TEXTS, *TEXTS])]
    with shop(tmp_path, rows, suggest=", examples: 2", more="review: {budget: 9, audit: 0.0}\n") as (_, server):
        rename(tmp_path, tmp_path.name)
        desk = Desk(tmp_path, studio.url, studio.token)
        with desk.api, desk.client:
            desk.curate()
            assert all(len(request["messages"]) == 2 for request in server.asked)
            for number, topic in ((0, "billing"), (1, "delivery"), (3, "billing")):
                desk.label(number, topic)
            desk.collect()
            before = len(server.asked)
            desk.curate()
            asked = server.asked[before:]
            desk.label(2, "returns")
            desk.collect()
            desk.curate()
            # Rows 0 and 1 are shown, and the others asked once.
            assert len(server.asked) == before + 4
            answered = desk.decision(5)
    for request in asked:
        shown = [message["content"] for message in request["messages"][1:-1]]
        assert sorted(shown[1::2]) == ['{"topic": "billing"}', '{"topic": "delivery"}']
        assert request["messages"][-1]["content"] not in shown
    assert answered.model_answer == {"topic": "returns"}


# --- its faults -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (failure(401, f"bad key {KEY}"), "refuses: 401 (bad key $OPENAI_API_KEY); the key in OPENAI_API_KEY is not"),
        (failure(404, "no such model"), "refuses: 404 (no such model); correct suggest.model"),
        (failure(429, "slow down", retry_after="3600"), "asks to wait: 429 (slow down), 3,600 seconds"),
        ((CUT, {}, b'{"choices": [{"message": '), "gave no answer to 3 rows in a row: peer closed connection"),
        ((200, {}, b"<html>Welcome</html>"), "in a row: what came is no chat completion: '<html>Welcome</html>'"),
    ],
)
def test_a_curate_succeeds_whatever_the_model_does_and_says_how_many_suggestions_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Reply, said: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with shop(tmp_path, [*labeled(6), *UNLABELED], says=lambda request, number: reply) as (terminal, _):
        shown = terminal.goldleaf("curate")
        line = next(line for line in shown.stdout.splitlines() if "suggestions wait" in line)
        assert re.match("[68] suggestions wait: http://127.0.0.1:", line) and said in line
        assert " suggestions wait: http://127.0.0.1:" in terminal.error("suggest")
    assert KEY not in shown.output
    for file in (tmp_path / "home").rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


def test_the_key_comes_from_the_environment_or_a_dotenv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with shop(tmp_path, UNLABELED, suggest=", api_key_env: MY_KEY") as (terminal, server):
        (tmp_path / ".env").write_text(f"MY_KEY={KEY}\n")
        terminal.json("curate")
        assert server.headers_seen[0]["authorization"] == f"Bearer {KEY}"


def test_a_second_process_does_not_ask_while_one_is_asking(tmp_path: Path) -> None:
    with shop(tmp_path, [*labeled(6), *UNLABELED]) as (terminal, server):
        with opened(tmp_path).store.asking_lock():
            result = terminal.json("curate")
            assert "in use by goldleaf suggest (asking the model)" in result["suggested"]["why"]
            assert "in use by goldleaf suggest" in terminal.error("suggest")
        assert len(server.asked) == 0
        assert terminal.json("suggest")["suggested"]["answered"] == 8


# --- the command ------------------------------------------------------------------------------------
def test_a_dry_run_says_what_it_would_take_and_calls_nobody(tmp_path: Path) -> None:
    prices = ", price_in: 1, price_out: 2, max_cost: 5"
    with shop(tmp_path, [*labeled(6), *UNLABELED], suggest=prices) as (terminal, server):
        with opened(tmp_path).store.asking_lock():
            terminal.json("curate")
        found = terminal.json("suggest", "--dry-run")["estimated"]
        shown = terminal.goldleaf("suggest", "--dry-run", "--limit", "3").stdout
        assert len(server.asked) == 0
    assert found["calls"] == 8 and found["tokens_out"] == 8 * 512 and 600 < found["tokens_in"] < 2_000
    assert found["cost"] == pytest.approx((found["tokens_in"] + 2 * found["tokens_out"]) / 1e6)
    assert shown.startswith("m: 3 calls to make, 0 rows answered before; ")
    # A topic as a JSON object takes few tokens, whatever the request allows.
    assert 8 * 4 < found["tokens_valid"] < 8 * 16
    few = found["tokens_valid"] * 3 // 8
    assert f"at most {3 * 512:,} of answers (about {few} if they are nothing but choices), cost at most" in shown


def test_suggest_needs_a_model_and_a_curated_dataset(tmp_path: Path) -> None:
    write_dataset(tmp_path, labeled(3))
    assert "names no model to ask; add suggest.endpoint and suggest.model, or suggest.adapter" in Terminal(
        tmp_path
    ).error("suggest")
    with shop(tmp_path, labeled(3)) as (terminal, _):
        assert "has not been curated yet" in terminal.error("suggest")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{model: m}", "suggest names no endpoint to ask"),
        ("{endpoint: 'http://127.0.0.1:1/v1'}", "suggest.endpoint needs suggest.model"),
        ("{endpoint: 'http://h/v1', model: m, adapter: r1}", "suggest names an adapter and a model of an endpoint"),
        ("{adapter: ../r1}", "'../r1' is not a run; name the folder of an adapter in the home's models"),
        ("{endpoint: 'ftp://x', model: m}", "'ftp://x' is not an address; write http(s)://host[:port]/v1"),
        ("{endpoint: 'http://h:x/v1', model: m}", "'http://h:x/v1' is not an address"),
        ("{endpoint: 'https://me:sk-1@h/v1', model: m}", "must not hold a key; put it into an environment variable"),
        ("{endpoint: 'https://h/v1?key=sk-1', model: m}", "must not hold a key"),
        ("{endpoint: 'http://h/v1', model: m, max_cost: 1}", "suggest.max_cost needs suggest.price_in and price_out"),
        ("{endpoint: 'http://h/v1', model: m, options: {stream: true}}", "'stream' is not yours to set in options"),
        ("{endpoint: 'http://h/v1', model: m, rows: most}", "suggest.rows: Input should be 'unlabeled' or 'doubted'"),
    ],
)
def test_a_section_that_makes_no_sense_is_one_line(tmp_path: Path, section: str, said: str) -> None:
    write_dataset(tmp_path, labeled(3), f"suggest: {section}\n")
    assert said in Terminal(tmp_path).error("curate")
