"""Writes the ``prefect.yaml`` that deploys datasets to a work pool."""

import json
from collections.abc import Sequence
from pathlib import Path

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


def prefect_yaml(plan: Sequence[Deployment], pool: str, folder: Path, file: Path) -> str:
    """The text of the file.

    Args:
        plan: what to deploy.
        pool: the work pool, whose workers run it.
        folder: where runs start; every worker needs it under this path.
        file: where the text will be.
    """
    head = _HEAD.format(folder=_quoted(folder), file=file.name)
    return head + "\n".join(_entry(deployment, pool) for deployment in plan)


def _entry(deployment: Deployment, pool: str) -> str:
    lines = [
        f"  - name: {_quoted(deployment.dataset)}  # {deployment.name}",
        f"    entrypoint: {_quoted(deployment.entrypoint)}",
        f"    parameters: {{dataset: {_quoted(deployment.file)}}}",
        f"    tags: {json.dumps(deployment.tags)}",
        f"    work_pool: {{name: {_quoted(pool)}}}",
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
