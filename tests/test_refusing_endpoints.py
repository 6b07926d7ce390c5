"""What real endpoints refuse with, as they write it: a limit that passes, an empty account, one row, or everything."""

import json
from typing import Any

import pytest
from loopback import Reply
from model_server import JSON, Says, completion, failure, last_user_text, model_server
from test_asking_a_model import ENCODING, RIGHT, answers, ask, asker, questions, scripted

from pipeline.suggestions.asking import Asking
from pipeline.suggestions.ledger import Ledger, Spent
from pipeline.suggestions.server_errors import read_error

pytestmark = pytest.mark.usefixtures("haste")


def refusal(status: int, body: Any, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, JSON | names, json.dumps(body).encode()


QUOTA = "You exceeded your current quota, please check your plan and billing details."
OPENAI_PER_MINUTE = {
    "error": {
        "message": "Rate limit reached for m on requests per min. Limit: 3 / min. Please try again in 20ms. "
        "Visit /account/billing to add a payment method.",
        "type": "requests",
        "code": "rate_limit_exceeded",
    }
}
GEMINI_PER_MINUTE = [
    {
        "error": {
            "code": 429,
            "message": f"{QUOTA} Please retry in 0.02s.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.02s"}],
        }
    }
]
AZURE_PER_MINUTE = {
    "error": {"code": "429", "message": "You have exceeded the rate limit of your tier. Please retry after 0 seconds."}
}
OPENROUTER_FLAGGED = {
    "error": {
        "code": 403,
        "message": "m requires moderation, and your input was flagged",
        "metadata": {"reasons": ["violence"], "flagged_input": "…"},
    }
}
AZURE_FLAGGED = {"error": {"message": "The prompt was filtered", "param": "prompt", "code": "content_filter"}}
KEY_LIMIT = {"error": {"code": 403, "message": "Key limit exceeded"}}


# --- 429 --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body",
    [OPENAI_PER_MINUTE, GEMINI_PER_MINUTE, AZURE_PER_MINUTE, {"error": {"message": QUOTA}}],
    ids=["openai", "gemini", "azure", "without a code"],
)
def test_a_rate_limit_that_names_the_billing_page_is_waited_for(ledger: Ledger, body: Any) -> None:
    """Every third request is one too many."""

    def says(request: dict[str, Any], number: int) -> Reply:
        return refusal(429, body) if number % 3 == 1 else completion(RIGHT)

    with model_server(says) as server:
        outcome = ask(asker(server), ledger, 6)
    assert (outcome.answered, outcome.failed, outcome.waiting, outcome.why) == (6, 0, 0, "")
    assert ledger.spent().calls == 6


@pytest.mark.parametrize(
    ("status", "names"),
    [
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}),
        (429, {"type": "insufficient_quota", "code": None}),
        (429, {"type": "insufficient_quota", "code": "project_spend_limit_exceeded"}),
        (429, {"type": "exceeded_current_quota_error"}),
        (400, {"type": "budget_exceeded", "code": "400"}),
        (403, {"type": "new_api_error", "code": "insufficient_user_quota"}),
        (402, {"code": 402}),
    ],
)
def test_an_account_without_money_ends_the_run_after_one_request(
    ledger: Ledger, status: int, names: dict[str, Any]
) -> None:
    with model_server(scripted(refusal(status, {"error": {"message": QUOTA} | names}))) as server:
        outcome = ask(asker(server), ledger, 5, key="sk-1")
        assert len(server.asked) == 1
    assert outcome.waiting == 5 and ledger.spent() == Spent()
    assert outcome.why == (
        f"{server.endpoint} refuses: {status} ({QUOTA}); its account has no money left, or has spent as much as it "
        "may; top it up or raise its limit"
    )


@pytest.mark.parametrize(("status", "code"), [(429, "insufficient_quota"), (402, None)])
def test_a_server_that_says_when_to_ask_again_is_not_out_of_money(
    ledger: Ledger, status: int, code: str | None
) -> None:
    short = refusal(status, {"error": {"message": QUOTA, "code": code}}, retry_after="0")
    with model_server(scripted(short, completion(RIGHT))) as server:
        assert ask(asker(server), ledger, 2).answered == 2


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ({"retry-after": "7"}, "Please try again in 20s", 7),
        ({"retry-after-ms": "1500", "retry-after": "2"}, "", 1.5),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "-3"}, "", 0),
        ({"retry-after": "soon"}, "Please try again in 6m0.5s. Visit", 360.5),
        ({}, "Please try again in 120ms.", 0.12),
        ({}, "Please retry after 86400 seconds.", 86400),
        ({}, "Please retry in 20.5s.", 20.5),
        ({}, "Please try again in 1h2m3s", 3723),
        ({}, "try again later, at most 20s", None),
        ({}, 'details: {"retryDelay": "26s"}', 26),
    ],
)
def test_how_long_to_wait_is_read_from_headers_or_text(
    headers: dict[str, str], text: str, seconds: float | None
) -> None:
    for body in (json.dumps({"error": {"message": text}}), text):
        found = read_error(body.encode(), headers).seconds
        assert found == (None if seconds is None else pytest.approx(seconds))


def test_a_limit_of_the_day_is_not_waited_for(ledger: Ledger) -> None:
    said = "Rate limit reached for m on requests per day. Please try again in 7m12.5s."
    with model_server(scripted(failure(429, said))) as server:
        outcome = ask(asker(server), ledger, 5)
        assert len(server.asked) == 1
    assert outcome.why == f"{server.endpoint} asks to wait: 429 ({said}), 433 seconds" and outcome.waiting == 5


# --- one row ----------------------------------------------------------------------------------------
def refusing(*refused: int, reply: Reply) -> Says:
    texts = {f"Question {number}?" for number in refused}
    return lambda request, number: reply if last_user_text(request) in texts else completion(RIGHT)


FIREWALL = 403, {"content-type": "text/html"}, b"<html>Request blocked</html>"


@pytest.mark.parametrize(
    "reply",
    [
        refusal(403, OPENROUTER_FLAGGED),
        refusal(400, AZURE_FLAGGED),
        failure(413, "Request too large"),
        failure(403, "no"),
        FIREWALL,
    ],
    ids=["openrouter", "azure", "too large", "unexplained", "firewall"],
)
@pytest.mark.parametrize("refused", [(0,), (0, 1), (1, 3, 4, 5, 6)])
def test_a_row_that_is_refused_for_what_it_says_holds_up_no_other(
    ledger: Ledger, reply: Reply, refused: tuple[int, ...]
) -> None:
    with model_server(refusing(*refused, reply=reply)) as server:
        found = asker(server)
        outcome = ask(found, ledger, 10)
        assert len(server.asked) == 10, "without the schema it says the same"
        assert [request for request in server.asked if "response_format" not in request] == []
    assert (outcome.answered, outcome.failed) == (10 - len(refused), len(refused))
    assert (outcome.waiting, outcome.why, outcome.notes) == (0, "", [])
    assert outcome.first_failure.startswith(str(reply[0])) and ledger.spent().calls == outcome.answered
    left = [number for number, one in enumerate(questions(found, 10)) if ledger.unanswered(one.key)]
    assert left == list(refused), "these come last in the next run"


def test_many_flagged_rows_at_the_beginning_hold_up_none_of_the_others(ledger: Ledger) -> None:
    with model_server(refusing(*range(12), reply=refusal(403, OPENROUTER_FLAGGED))) as server:
        outcome = ask(asker(server), ledger, 15)
    assert (outcome.answered, outcome.failed, outcome.why) == (3, 12, "")


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429])
def test_no_row_is_first_again_after_a_refusal_so_that_the_others_are_asked_in_the_end(
    ledger: Ledger, status: int
) -> None:
    """Whatever a server means by it: here it refuses the first four rows, and says so as if it were about all."""
    reply = refusal(status, {"error": {"message": "no", "code": "insufficient_quota" if status == 429 else None}})
    with model_server(refusing(0, 1, 2, 3, reply=reply)) as server:
        found = asker(server)
        for _ in range(6):
            todo = sorted(questions(found, 10), key=lambda one: ledger.unanswered(one.key))
            Asking(found, ledger, "sk-1", ENCODING).ask(todo)
        texts = [last_user_text(request) for request in server.asked]
    assert answers(found, ledger, 10) == [None] * 4 + [{"topic": "billing"}] * 6
    assert all(texts.count(f"Question {number}?") == 1 for number in range(4, 10)), "paid once"


# --- everything -------------------------------------------------------------------------------------
MAY = (
    "see whether the key in OPENAI_API_KEY may use 'm' and has reached no limit; the next run asks about other rows "
    "first"
)


@pytest.mark.parametrize(
    ("key", "rows", "asked", "what_to_do"),
    [("sk-1", 50, 3, MAY), ("", 50, 3, "set OPENAI_API_KEY, which is empty"), ("sk-1", 2, 2, MAY), ("sk-1", 1, 1, MAY)],
)
def test_a_403_for_every_row_ends_the_run_after_a_few_and_says_what_to_do(
    ledger: Ledger, key: str, rows: int, asked: int, what_to_do: str
) -> None:
    with model_server(scripted(refusal(403, KEY_LIMIT))) as server:
        outcome = ask(asker(server), ledger, rows, key=key)
        assert len(server.asked) == asked
    assert outcome.why == f"{server.endpoint} refuses every row: 403 (Key limit exceeded); {what_to_do}"
    assert outcome.failed + outcome.waiting == rows and ledger.spent() == Spent()


def test_a_403_for_every_row_after_some_were_answered_ends_the_run_as_well(ledger: Ledger) -> None:
    with model_server(scripted(completion(RIGHT), completion(RIGHT), refusal(403, KEY_LIMIT))) as server:
        outcome = ask(asker(server), ledger, 60, key="sk-1")
        assert len(server.asked) == 22
    assert outcome.why == f"{server.endpoint} refuses 20 rows in a row: 403 (Key limit exceeded); {MAY}"
    assert (outcome.answered, outcome.failed, outcome.waiting) == (2, 19, 39) and ledger.spent().calls == 2


def test_what_a_server_says_is_shown_whatever_is_around_it(ledger: Ledger) -> None:
    """Gemini wraps its errors in a list, vLLM and FastAPI in nothing."""
    for body in ([{"error": {"message": "no such model"}}], {"message": "no such model"}, {"detail": "no such model"}):
        with model_server(scripted(refusal(404, body))) as server:
            assert " refuses: 404 (no such model); correct suggest.model" in ask(asker(server), ledger).why
