"""Run: all four verbs in order, with what people have said so far."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from flows.context import Context


def run_all(context: Context, verb: Callable[..., Any]) -> dict[str, BaseModel]:
    """Curate, collect, release and fine-tune, and return what each did.

    Without a Label Studio there is nothing to collect, and that step is left out.

    Args:
        context: the dataset.
        verb: runs a verb by its name on the chosen engine.
    """
    results: dict[str, BaseModel] = {"curate": verb("curate")}
    if context.connection is not None:
        results["collect"] = verb("collect")
    results["release"] = verb("release")
    results["finetune"] = verb("finetune")
    return results
