"""Writes the ``prefect.yaml`` that deploys datasets to a work pool."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.deploy.deployments import SLUG, Deployment

_HEAD = """\
# Written by `goldleaf deploy`, which also applies it; the times are those of `schedules` in each dataset.yaml.
# By hand: PREFECT_DEPLOYMENTS_CLEAR_SCHEDULES_ON_EMPTY=true prefect deploy --all --prefect-file {file}
# Runs start in the working directory, so that relative paths and .env mean the same as here.
"""


def prefect_yaml(plan: Sequence[Deployment], folder: Path, file: Path, pool: Mapping[str, Any]) -> str:
    """The text of the file.

    Args:
        plan: what to deploy.
        folder: where runs start; every worker needs it under this path.
        file: where the text will be.
        pool: the work pool, whose workers run it, and how.
    """
    start = {"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}
    deployments = [_as_yaml(_entry(deployment) | {"work_pool": pool}) for deployment in plan]
    lines = [f"pull: {_as_yaml([start])}", "deployments:", *(f"  - {one}" for one in deployments)]
    return _HEAD.format(file=file.name) + "\n".join(lines) + "\n"


def _as_yaml(value: object) -> str:
    """A value in a line: JSON is a part of YAML."""
    return json.dumps(value, ensure_ascii=False)


def _entry(deployment: Deployment) -> dict[str, Any]:
    times = deployment.schedule
    return {
        "name": deployment.dataset,
        "entrypoint": deployment.entrypoint,
        "parameters": {"dataset": str(deployment.file)},
        "tags": deployment.tags,
        "schedules": [{"slug": SLUG, "cron": times.cron, "timezone": times.timezone}] if times else [],
    }
