"""Writes the ``prefect.yaml`` that deploys datasets to a work pool."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.deploy.deployments import SLUG, Deployment

_HEAD = """\
# Written by `goldleaf deploy`, which also applies it; the times are those of `schedules` in each dataset.yaml.
# By hand: PREFECT_DEPLOYMENTS_CLEAR_SCHEDULES_ON_EMPTY=true prefect deploy --all --prefect-file {file}

# Where runs start, so that relative paths and .env mean the same as here.
pull:
  - prefect.deployments.steps.set_working_directory:
      directory: {folder}

deployments:
"""


def prefect_yaml(plan: Sequence[Deployment], folder: Path, file: Path, pool: Mapping[str, Any]) -> str:
    """The text of the file.

    Args:
        plan: what to deploy.
        folder: where runs start; every worker needs it under this path.
        file: where the text will be.
        pool: the work pool, whose workers run it, and how.
    """
    head = _HEAD.format(folder=_quoted(folder), file=file.name)
    return head + "\n".join(_entry(deployment, pool) for deployment in plan)


def _entry(deployment: Deployment, pool: Mapping[str, Any]) -> str:
    lines = [
        f"  - name: {_quoted(deployment.dataset)}  # {deployment.name}",
        f"    entrypoint: {_quoted(deployment.entrypoint)}",
        f"    parameters: {{dataset: {_quoted(deployment.file)}}}",
        f"    tags: {json.dumps(deployment.tags)}",
        f"    work_pool: {json.dumps(pool, ensure_ascii=False)}",
    ]
    if deployment.schedule is None:
        return "\n".join([*lines, "    schedules: []", ""])
    schedule = deployment.schedule
    return "\n".join(
        [
            *lines,
            "    schedules:",
            f"      - slug: {SLUG}",
            f"        cron: {_quoted(schedule.cron)}",
            f"        timezone: {_quoted(schedule.timezone)}",
            "",
        ]
    )


def _quoted(value: object) -> str:
    """A text as YAML: JSON is a part of it."""
    return json.dumps(str(value), ensure_ascii=False)
