"""The settings of fine-tuning: what `goldleaf check` says about them, long before a training would."""

import difflib
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.config.price_file import read_prices
from pipeline.config.workspace import Workspace
from pipeline.errors import ConfigError, TrainingError
from pipeline.finetuning.lora_config import require_lora
from pipeline.finetuning.model_places import placed
from pipeline.finetuning.model_sources import BUNDLED
from pipeline.reporting.check_model import check_endpoint
from pipeline.reporting.check_source import CheckResult
from pipeline.state.atomic import is_folder
from pipeline.text.wording import counted
from schemas.arms_section import EndpointArm


def check_finetuning(workspace: Workspace, secret: Callable[[str], str]) -> Iterator[CheckResult]:
    """Whether base model, price file and endpoints are there, where the dataset.yaml names its own; none is loaded.

    Arguments for PEFT are tried, which imports it.

    Args:
        workspace: the dataset.
        secret: the value of an environment variable that holds a key; empty if it is not set.
    """
    config = workspace.dataset.config
    if config.finetune.base_model != BUNDLED:
        yield _check_base_model(workspace)
    if config.finetune.lora:
        yield _check_lora(workspace)
    if config.verdict.prices:
        yield _check_prices(workspace, config.verdict.prices)
    for arm in config.arms:
        if isinstance(arm, EndpointArm):
            found = check_endpoint(arm.asked, secret(arm.api_key_env), f"arms.{arm.name}")
            # An endpoint that does not answer is left out of the comparison: nothing fails.
            yield found.model_copy(update={"ok": True, "warning": found.warning or not found.ok})


def _check_base_model(workspace: Workspace) -> CheckResult:
    what = "finetune.base_model"
    name = placed(workspace.dataset.config.finetune.base_model, workspace.dataset.folder)
    if is_folder(Path(name)):
        return CheckResult(what=what, ok=True, detail=f"the folder {name}")
    if name.startswith((".", "~", "/")):
        return CheckResult(what=what, ok=False, detail=f"there is no model folder {name}; fix finetune.base_model")
    detail = f"no folder of this name, so finetune looks for {name} in Hugging Face's cache and on its Hub"
    # A model of the Hub has an owner before its name, but for a few old ones; a misspelled one has none, either.
    is_near = "/" not in name and bool(difflib.get_close_matches(name.lower(), [BUNDLED]))
    detail += f"; did you mean {BUNDLED}, which needs no download?" if is_near else ""
    return CheckResult(what=what, ok=True, warning=is_near, detail=detail)


def _check_lora(workspace: Workspace) -> CheckResult:
    what = "finetune.lora"
    try:
        require_lora(workspace.dataset)
    except ConfigError as error:
        return CheckResult(what=what, ok=False, detail=str(error))
    except TrainingError as error:
        return CheckResult(what=what, ok=True, warning=True, detail=f"not tried: {error}")
    given = ", ".join(workspace.dataset.config.finetune.lora)
    return CheckResult(what=what, ok=True, detail=f"PEFT takes {given}")


def _check_prices(workspace: Workspace, file: str) -> CheckResult:
    what = "verdict.prices"
    try:
        prices = read_prices(workspace.dataset.folder / file)
    except ConfigError as error:
        return CheckResult(what=what, ok=False, detail=str(error))
    hour = "no price of this machine's hour" if prices.machine_hour is None else f"{prices.machine_hour:g} an hour"
    detail = f"in {prices.currency}: {hour}, {counted(len(prices.models), 'model')}"
    unknown = [
        arm.model
        for arm in workspace.dataset.config.arms
        if isinstance(arm, EndpointArm) and arm.model not in prices.models
    ]
    if unknown:
        detail = f"{detail}; what {', '.join(unknown)} costs is not known: add it under models, as the server calls it"
    return CheckResult(what=what, ok=True, warning=bool(unknown), detail=detail)
