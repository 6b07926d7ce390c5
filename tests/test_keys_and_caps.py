"""What a call to a model may cost is never exceeded, and its key is shown nowhere."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from loopback import Reply
from model_server import JSON, completion, failure, model_server
from test_asking_a_model import RIGHT, ask, asker, scripted

from pipeline.suggestions.ledger import Ledger

pytestmark = pytest.mark.usefixtures("haste")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_cost": 0.002, "price_in": 1, "price_out": 1}, r"suggest.max_cost is 0.002, and 0.\d+ of it are spent"),
        ({"max_total_tokens": 2_000}, r"suggest.max_total_tokens is 2,000, and [\d,]+ of them are used; raise it"),
    ],
)
def test_no_call_is_made_that_could_exceed_the_budget_of_all_runs(
    ledger: Ledger, limits: dict[str, float], said: str
) -> None:
    with model_server(scripted(completion(RIGHT, tokens=400))) as server:
        found = asker(server, **limits)
        outcome = ask(found, ledger, 20)
        made = len(server.asked)
        assert 0 < made < 8
        assert outcome.answered == made and outcome.waiting == 20 - made
        again = ask(found, ledger, 20)
        assert len(server.asked) == made and again.waiting == 20 - made
    assert re.match(said, outcome.why)
    assert ledger.spent().tokens <= 2_000


@pytest.mark.parametrize("status", [408, 500, 502, 504, 524])
def test_a_gateway_that_waited_in_vain_may_be_billed_so_each_try_counts_with_its_most(
    ledger: Ledger, status: int
) -> None:
    with model_server(scripted(failure(status, "timeout"))) as server:
        outcome = ask(asker(server, max_total_tokens=2_000), ledger, 10)
        assert len(server.asked) == ledger.spent().calls == ledger.spent().lost == 3
    assert outcome.is_spent and 3 * 512 < ledger.spent().tokens <= 2_000


SECRET = "sk-live/0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    "echo",
    [
        failure(401, "x" * 170 + " " + SECRET),
        failure(400, json.dumps({"authorization": f"Bearer {SECRET}"})),
        failure(502, f"Bearer {SECRET}"),
        (200, JSON, json.dumps({"authorization": f"Bearer {SECRET}"}).encode()),
        (200, JSON, b"." * 60 + SECRET.replace("/", "\\/").encode()),
        (302, {"location": f"http://127.0.0.1:1/?key={quote(SECRET, safe='')}"}, b""),
        completion(f"I was asked with {SECRET}.", model=SECRET),
    ],
    ids=["cut", "json", "gateway", "no completion", "escaped", "redirected", "answer"],
)
def test_a_key_that_a_server_repeats_is_neither_shown_nor_stored_nor_any_part_of_it(
    tmp_path: Path, echo: Reply
) -> None:
    with Ledger(tmp_path / "calls.sqlite") as ledger, model_server(scripted(echo)) as server:
        outcome = ask(asker(server), ledger, 5, key=SECRET)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir()).decode("latin-1")
    for text in (outcome.why, outcome.first_failure, *outcome.notes, stored):
        assert "0123456789" not in text and "sk-live" not in text
    assert outcome.why or outcome.first_failure


def test_a_key_that_is_no_secret_may_be_a_word_of_an_answer(ledger: Ledger) -> None:
    with model_server(scripted(completion("billing"))) as server:
        assert ask(asker(server), ledger, key="billing").answered == 1


# --- caps -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": None},
        {"max_tokens": -1},
        {"max_tokens": "512"},
        {"max_tokens": True},
        {"max_completion_tokens": 0},
    ],
)
@pytest.mark.parametrize("cap", [{"max_total_tokens": 5_000}, {"max_cost": 1, "price_in": 1, "price_out": 1}])
def test_a_cap_needs_a_limit_in_each_request(options: dict[str, Any], cap: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"suggest.{next(iter(cap))} needs a limit in each request") as failed:
        asker("http://127.0.0.1:9/v1", options=options, **cap)
    assert "write a number above 0 as max_tokens or max_completion_tokens there" in str(failed.value)


def test_a_limit_of_another_name_is_the_one_that_counts(ledger: Ledger) -> None:
    options = {"max_tokens": None, "max_completion_tokens": 900}
    with model_server(scripted(completion(RIGHT))) as server:
        outcome = ask(asker(server, options=options, max_total_tokens=900), ledger, 5)
        assert len(server.asked) == 0 and outcome.is_spent


def test_what_a_server_counts_above_our_own_count_is_expected_of_later_calls_and_runs(ledger: Ledger) -> None:
    with model_server(scripted(completion(RIGHT, tokens=3_000))) as server:
        found = asker(server, max_total_tokens=8_000)
        ask(found, ledger, 1)
        outcome = ask(found, ledger, 20)
        assert outcome.is_spent and len(server.asked) == 2
    assert ledger.spent().tokens == 6_004


def test_a_server_that_ignores_the_limit_of_an_answer_is_expected_to_do_so_again(ledger: Ledger) -> None:
    long = completion(RIGHT)[2].replace(b'"completion_tokens": 2', b'"completion_tokens": 3000')
    with model_server(scripted((200, JSON, long))) as server:
        outcome = ask(asker(server, max_total_tokens=7_000), ledger, 20)
        assert outcome.is_spent and len(server.asked) == 2
    assert ledger.spent().tokens <= 7_000
