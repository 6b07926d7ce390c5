"""The model of `suggest`: what `goldleaf check` says about it before it is asked, and paid, for anything."""

import contextlib
import math
from collections.abc import Iterator, Sequence

from pipeline.config.workspace import Workspace
from pipeline.errors import TrainingError
from pipeline.finetuning.adapters import latest_adapter, read_record
from pipeline.reporting.check_source import CheckResult, TriedSource
from pipeline.reporting.last_finetuning import why_absent
from pipeline.suggestions.asker import Asker
from pipeline.suggestions.asking import cost_of, prompt_tokens
from pipeline.suggestions.chat_completions import CallFailed, ChatCompletions, NotSent, OutOfMoney
from pipeline.suggestions.ledger import spent_so_far
from pipeline.text.wording import counted
from schemas.suggest_section import LATEST, Suggest

_SECONDS = 5.0
"""Until the list of models must be here."""
_MEASURED = 200
"""Rows whose prompts are counted."""
_SHOWN = 5
"""Models that are named if the right one is not among them."""


def check_model(workspace: Workspace, api_key: str, tried: Sequence[TriedSource]) -> Iterator[CheckResult]:
    """Whether the model of ``suggest`` can be asked, and what that may cost; no row is sent.

    Args:
        workspace: the dataset.
        api_key: of the endpoint; empty if there is none.
        tried: the sources, after their rows were tried.
    """
    section = workspace.dataset.config.suggest
    if section.adapter:
        yield _check_adapter(workspace, section.adapter)
    elif section.is_on:
        yield check_endpoint(section, api_key)
        yield from _check_cost(workspace, tried)


def _check_adapter(workspace: Workspace, run: str) -> CheckResult:
    snapshot = workspace.store.snapshot()
    if run == LATEST:
        newest = latest_adapter(workspace.store.models)
        if newest is None:
            detail = why_absent(snapshot) or "there is none yet"
            return CheckResult(what="suggest", ok=True, detail=f"the latest adapter; {detail}")
        run = newest.name
    try:
        record = read_record(workspace.store.models / run)
    except TrainingError as error:
        return CheckResult(what="suggest", ok=False, detail=why_absent(snapshot, run) or str(error))
    return CheckResult(what="suggest", ok=True, detail=f"adapter {run}, trained on {record.lineage.reference}")


def check_endpoint(section: Suggest, api_key: str, keys: str = "suggest") -> CheckResult:
    """Ask for the list of models, which is free everywhere.

    Args:
        section: how the endpoint is asked.
        api_key: of the endpoint; empty if there is none.
        keys: what the settings are called in the dataset.yaml.
    """
    name, at = section.api_key_env, f"model {section.model} at {section.endpoint}"
    key = f"the key is in {name}" if api_key else f"no key, since {name} is not set"
    client = ChatCompletions(section, api_key)
    try:
        models = client.models(_SECONDS)
    except NotSent as error:
        detail = f"{at} does not answer ({error}); start the server, or correct {keys}.endpoint"
        return CheckResult(what=keys, ok=False, detail=detail)
    except OutOfMoney as error:
        detail = f"{at} refuses: {error}; top its account up, or raise its limit"
        return CheckResult(what=keys, ok=False, detail=detail)
    except CallFailed as error:
        if str(error).startswith("401"):
            advice = f"the key in {name} is not accepted" if api_key else f"set {name}, which is empty"
            return CheckResult(what=keys, ok=False, detail=f"{at} refuses: {error}; {advice}")
        detail = f"{at} lists no models: {error}; see whether {keys}.endpoint is right, which ends in /v1 mostly; {key}"
        return CheckResult(what=keys, ok=True, warning=True, detail=detail)
    finally:
        client.close()
    if any(_is_named(section.model, model) for model in models):
        return CheckResult(what=keys, ok=True, detail=f"{at}, which lists it; {key}")
    known = ", ".join(models[:_SHOWN]) + (", …" if len(models) > _SHOWN else "")
    detail = f"{at}, which does not list it, but {known or 'none'}; see whether {keys}.model is right; {key}"
    return CheckResult(what=keys, ok=True, warning=True, detail=detail)


def _is_named(model: str, listed: str) -> bool:
    """Whether a server's list means a model, possibly with a folder before it or a tag behind it."""
    return listed == model or listed.endswith(f"/{model}") or listed.startswith(f"{model}:")


def _check_cost(workspace: Workspace, tried: Sequence[TriedSource]) -> Iterator[CheckResult]:
    """What a curate would ask for at most, by the prompts of the rows that were tried."""
    config, task = workspace.dataset.config, workspace.dataset.task
    section, asker = config.suggest, Asker(config.suggest, task)
    inputs = [one for source in tried for part in source.parts for one in part.inputs]
    rows = min(section.limit, len(inputs)) if all(source.is_whole for source in tried) else section.limit
    # Failures of the task's own code or the encoding are reported separately.
    with contextlib.suppress(Exception):
        measured = inputs[:: math.ceil(len(inputs) / _MEASURED) or 1]
        prompts = prompt_tokens([asker.question("", one).body for one in measured], config.measure.encoding)
        if not prompts:
            return
        read = math.ceil(rows * sum(prompts) / len(prompts))
        written = rows * (section.longest_answer or section.max_tokens)
        yield CheckResult(what="cost of suggest", ok=True, detail="; ".join(_cost(workspace, rows, read, written)))


def _cost(workspace: Workspace, rows: int, read: int, written: int) -> Iterator[str]:
    section, spent = workspace.dataset.config.suggest, spent_so_far(workspace.store.calls)
    tokens = f"about {read:,} tokens of prompts and at most {written:,} of answers"
    yield f"curate asks about at most {counted(rows, 'row')} (suggest.limit is {section.limit:,}): {tokens}"
    if section.price_in is None or section.price_out is None:
        yield "to see the cost, set suggest.price_in and price_out"
    else:
        yield f"together about {cost_of(section, read, written):.4g} at most"
    if section.max_cost is not None:
        yield f"suggest.max_cost ends it at {section.max_cost:g}"
    yield "a row whose first answer is not valid is asked about twice"
    if spent.calls:
        yield f"{counted(spent.calls, 'call')} made so far, cost {spent.cost:.4g}"
    counts = "`goldleaf suggest --dry-run` counts what is left to ask"
    yield counts if workspace.last_curate() else f"after `goldleaf curate --no-suggest`, {counts}"
