"""What a model's suggestions may cost is shown before any is paid: by `check`, and by a dry run before any is asked."""

import json
from pathlib import Path

import pytest
from checked import edit, findings
from loopback import MUTE, Reply
from model_server import JSON, failure
from test_suggestions import KEY, UNLABELED, labeled, opened, shop

from pipeline.reporting import check_model

PRICES = ", price_in: 1, price_out: 2, max_cost: 5"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


# --- before anything is asked ---------------------------------------------------------------------
def test_check_names_model_endpoint_and_key_and_sends_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop(tmp_path, labeled(6)) as (_, server):
        without = findings(tmp_path)["suggest"]
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        found = findings(tmp_path)["suggest"]
        assert not server.asked and server.headers_seen[-1]["authorization"] == f"Bearer {KEY}"
        at = f"model m at {server.endpoint}, which lists it; "
    assert without["detail"] == f"{at}no key, since OPENAI_API_KEY is not set"
    assert found["detail"] == f"{at}the key is in OPENAI_API_KEY" and not found["warning"]


def test_check_says_what_a_curate_may_cost_at_most(tmp_path: Path) -> None:
    with shop(tmp_path, [*labeled(6), *UNLABELED], suggest=PRICES) as (terminal, server):
        bound = findings(tmp_path)["cost of suggest"]["detail"]
        assert "--no-suggest` first, which asks no model" in terminal.error("suggest", "--dry-run")
        terminal.json("curate", "--no-suggest")
        exact = terminal.json("suggest", "--dry-run")["estimated"]
        assert not server.asked
        terminal.json("curate")
        later = findings(tmp_path)["cost of suggest"]["detail"]
    said = f"about {exact['tokens_in']:,} tokens of prompts and at most {8 * 512:,} of answers"
    assert bound == (
        f"curate asks about at most 8 rows (suggest.limit is 1,000): {said}; together about {exact['cost']:.4g} at "
        "most; suggest.max_cost ends it at 5; a row whose first answer is not valid is asked about twice; after "
        "`goldleaf curate --no-suggest`, `goldleaf suggest --dry-run` counts what is left to ask"
    )
    assert "; 8 calls made so far, cost 0.0001" in later and later.endswith("dry-run` counts what is left to ask")


def test_of_more_rows_than_are_tried_as_many_as_the_limit_may_be_asked(tmp_path: Path) -> None:
    with shop(tmp_path, labeled(300), suggest=", limit: 700") as (_, _server):
        said = findings(tmp_path)["cost of suggest"]["detail"]
    assert said.startswith("curate asks about at most 700 rows (suggest.limit is 700): about ")
    assert "; to see the cost, set suggest.price_in and price_out;" in said


def test_a_curate_that_asks_no_model_decides_as_before_and_the_next_one_asks(tmp_path: Path) -> None:
    with shop(tmp_path, [*labeled(6), *UNLABELED]) as (terminal, server):
        first = terminal.json("curate", "--no-suggest")
        assert first["suggested"] is None and first["funnel"]["review"] == 2 and not server.asked
        assert terminal.json("curate")["suggested"]["answered"] == 8
        # What it has said counts, though it is not asked.
        assert terminal.json("curate", "--no-suggest")["decided"] == 0
    assert opened(tmp_path).last_curate()


def test_a_dataset_without_a_model_has_nothing_to_check(tmp_path: Path) -> None:
    with shop(tmp_path, labeled(6)) as (_, server):
        edit(tmp_path, f"suggest: {{endpoint: {server.endpoint}, model: m, parallel: 1}}\n", "")
        assert not [what for what in findings(tmp_path) if "suggest" in what]


# --- what is wrong with it ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("models", "ok", "said"),
    [
        (failure(401, "who are you?"), False, "refuses: 401 (who are you?); set OPENAI_API_KEY, which is empty"),
        (failure(402, "pay first"), False, "refuses: 402 (pay first); top its account up, or raise its limit"),
        (failure(404, "no such page"), True, "lists no models: 404 (no such page); see whether suggest.endpoint is"),
        (failure(503, "loading"), True, "lists no models: 503 (loading); see whether"),
        ((200, {}, b"<html>Welcome"), True, "what came is no list of models: '<html>Welcome'; see whether"),
        (
            (200, JSON, b'{"data": [{"id": "a"}, {"id": "b"}]}'),
            True,
            "does not list it, but a, b; see whether suggest.",
        ),
        ((200, JSON, b'{"data": []}'), True, "does not list it, but none; see whether suggest.model is right; no key"),
        ((MUTE, {}, b""), True, " within 1 s; see whether"),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: Reply, ok: bool, said: str
) -> None:
    monkeypatch.setattr(check_model, "_SECONDS", 1.0 if models[0] == MUTE else 60.0)
    with shop(tmp_path, labeled(6)) as (_, server):
        server.models = models
        found = findings(tmp_path, exit_code=0 if ok else 1)["suggest"]
    assert said in found["detail"] and (found["ok"], found["warning"]) == (ok, ok)


def test_a_key_that_is_not_accepted_is_named_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with shop(tmp_path, labeled(6)) as (terminal, server):
        server.models = failure(401, f"bad key {KEY}")
        shown = terminal.goldleaf("check", exit_code=1).output
    assert KEY not in shown and "the key in OPENAI_API_KEY is not accepted" in " ".join(shown.split())


def test_an_endpoint_where_nobody_listens_is_said(tmp_path: Path) -> None:
    with shop(tmp_path, labeled(6)) as (_, server):
        gone = server.endpoint
    found = findings(tmp_path, exit_code=1)["suggest"]
    assert found["detail"].startswith(f"model m at {gone} does not answer (")
    assert found["detail"].endswith("); start the server, or correct suggest.endpoint")


@pytest.mark.parametrize("listed", ["vendor/m", "models/m", "m:latest"])
def test_a_name_with_a_folder_or_a_tag_is_the_same_model(tmp_path: Path, listed: str) -> None:
    with shop(tmp_path, labeled(6)) as (_, server):
        server.models = (200, JSON, json.dumps([{"id": listed}]).encode())
        assert not findings(tmp_path)["suggest"]["warning"]


def test_an_adapter_that_is_not_there_is_said(tmp_path: Path) -> None:
    with shop(tmp_path, labeled(6)) as (_, server):
        edit(tmp_path, f"{{endpoint: {server.endpoint}, model: m, parallel: 1}}", "{adapter: r1}")
        found = findings(tmp_path, exit_code=1)
    assert found["suggest"]["detail"].endswith("models/r1; name another run, or fine-tune again")
    assert "cost of suggest" not in found
