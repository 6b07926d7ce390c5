"""How fast questions reach a real Label Studio and answers come back, next to the SDK's plain calls.

python tests/benchmarks/studio_traffic.py                 10,000 tasks, seven rounds: about 5 minutes on an idle machine
python tests/benchmarks/studio_traffic.py --tasks 2000    one minute
"""

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import psutil
from label_studio_sdk import LabelStudio as PlainClient
from rich.console import Console
from tables import Results, verdict

sys.path.insert(0, str(Path(__file__).parent.parent))

from conftest import CACHE, LABEL_STUDIO_VENV
from desk import Desk, desk_at
from support import row

from flows.curate import curate
from flows.engines.engine import Inline
from flows.local.studio_server import LocalStudio, Running
from pipeline.config.workspace import Connection
from pipeline.review.form import labeling_config
from pipeline.review.known_answers import Known
from pipeline.review.label_studio import LabelStudio
from pipeline.review.labeling_tasks import labeling_task
from pipeline.review.pulled_answers import Pulled, pull_annotations
from pipeline.review.pushing import push_questions
from pipeline.review.questions import question
from pipeline.review.queue import asked_now

_HELP = """\
On one server that is started here, on SQLite. A push of N open questions from a curated home, with all look-ups and
the notes in its tables, next to the SDK's import of the same tasks in one request: rounds of both, in turns, each into
a new project; the median of the rounds' ratios. Then 100 tasks are answered, and a pull of what has changed stands
next to the SDK's listing of all tasks, with and without their annotations.

Wall-clock seconds, and CPU seconds of the server and this process together: on a busy machine compare the latter. The
pull is told that all tasks are older than five minutes: younger ones are listed, in case one was deleted.
"""
_CHANGED = 100
_PUSH, _PULL = 1.15, 0.2
"""The most that ours may take of the plain call's."""


class Watch:
    """Measures calls: wall-clock seconds, and CPU seconds of the server and of this process."""

    def __init__(self, studio: LocalStudio) -> None:
        running = Running.model_validate_json((studio.data / "running.json").read_bytes())
        self.processes = [psutil.Process(), psutil.Process(running.pid)]
        self.rows: dict[str, list[tuple[float, float]]] = {}

    def time(self, name: str, call: Callable[[], Any]) -> Any:
        """Call and note how long it took."""
        # The rows and tasks that this benchmark holds are no part of the call: else each full collection visits them.
        gc.collect()
        gc.freeze()
        wall, cpu = time.monotonic(), self._cpu()
        result = call()
        took = time.monotonic() - wall, self._cpu() - cpu
        gc.unfreeze()
        self.rows.setdefault(name, []).append(took)
        print(name, *(f"{value:.2f}" for value in took), flush=True)
        return result

    def _cpu(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)


def _push(desk: Desk, studio: LocalStudio, watch: Watch, is_first: bool) -> int:
    """Time one push and one plain import, in turns which of them comes first; returns the project of the push."""
    curate(desk.context, Inline(), push=False)
    context, connection = desk.context, Connection(studio.url, studio.token)
    task, asked = context.dataset.task, asked_now(context.store.snapshot().at_last_commit(), context.dataset)
    plain = PlainClient(base_url=studio.url, api_key=studio.token)
    project = plain.projects.create(title="plain", label_config=labeling_config(task)).id
    tasks = [labeling_task(task, question(one.decision, task)) for one in asked]
    options: Any = {"max_retries": 0, "timeout_in_seconds": 3600}
    run = context.last_curate()
    pushed = []

    def ours() -> None:
        pushed.append(push_questions(context.store, context.dataset, connection, run))

    def theirs() -> None:
        plain.projects.import_tasks(id=project, request=tasks, request_options=options)

    both = [("SDK: import", theirs), ("Goldleaf: push", ours)]
    for name, call in both if is_first else both[::-1]:
        watch.time(name, call)
    assert pushed[0].sent == len(tasks), pushed
    return pushed[0].project


def _pull(desk: Desk, studio: LocalStudio, watch: Watch, project: int) -> None:
    """Time a pull of what has changed, and listings of all tasks."""
    context, connection = desk.context, Connection(studio.url, studio.token)
    with patch("pipeline.review.label_studio_pull.OVERLAP", timedelta(0)):
        with LabelStudio(studio.url, studio.token) as client:
            server = client.identity(project)
        # All that is there was pushed just now: a first pull need not read it.
        mark = {server: datetime.now(UTC).isoformat()}
        first = pull_annotations(context.dataset, connection, Known(mark))
        _answer(desk, first)
        known = Known({first.server: first.watermark.isoformat()}, {first.server: first.settled})
        pulled = watch.time(
            "Goldleaf: pull of what changed", partial(pull_annotations, context.dataset, connection, known)
        )
    assert _CHANGED <= len(pulled.tasks) <= 2 * _CHANGED, len(pulled.tasks)
    plain = PlainClient(base_url=studio.url, api_key=studio.token)
    for include in ("id,data", "id,data,annotations"):
        fields = "all" if "annotations" in include else "task_only"
        listing: Any = {"project": project, "fields": fields, "include": include, "page_size": 1000}
        watch.time(f"SDK: list all ({include})", lambda listing=listing: sum(1 for _ in plain.tasks.list(**listing)))


def _answer(desk: Desk, first: Pulled) -> None:
    time.sleep(1.1)  # the server's clock, in whole seconds, must be past the first pull's
    for number in sorted(first.there)[:: max(1, len(first.there) // _CHANGED)][:_CHANGED]:
        body = {"result": desk.result("billing"), "completed_by": 1}
        desk.api.post(f"/api/tasks/{number}/annotations/", json=body).raise_for_status()


def _results(rows: dict[str, list[tuple[float, float]]], tasks: int) -> Results:
    against = {"Goldleaf: push": ("SDK: import", _PUSH)}
    against |= {"Goldleaf: pull of what changed": ("SDK: list all (id,data)", _PULL)}
    table = []
    for name, took in rows.items():
        other, most = against.get(name, ("", 0.0))
        told = ""
        if other:
            # Of each round on its own: a machine's pace changes from minute to minute.
            shares = sorted(ours[1] / theirs[1] for ours, theirs in zip(took, rows[other], strict=True))
            spread = f" ({shares[0]:.2f} to {shares[-1]:.2f})" if len(shares) > 1 else ""
            what = f"{median(shares):.2f} x of {other.removeprefix('SDK: ')}{spread}"
            told = f"{what}, {verdict(median(shares), most)} (at most {most})"
        wall, cpu = (median(each) for each in zip(*took, strict=True))
        table.append((name, f"{wall:.1f}", f"{cpu:.1f}", told))
    title = f"{tasks:,} tasks to Label Studio and back, {_CHANGED} of them changed"
    return Results(title, ("call", "wall-clock s", "CPU s, server and client", "by CPU"), table)


def main() -> None:
    parser = argparse.ArgumentParser(description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7, help="of push and import")
    parser.add_argument("--markdown", type=Path, help="write the table there")
    options = parser.parse_args()
    words = [f"w{number * 7919 % 999_983}" for number in range(options.tasks * 12)]
    rows = [row(key, " ".join(words[key * 12 : key * 12 + 12]), "billing") for key in range(options.tasks)]
    more = f"review: {{budget: {options.tasks}, audit: 0.0}}\nduplicates: {{threshold: 1.0}}\n"
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalStudio(LABEL_STUDIO_VENV, Path(folder) / "data", CACHE) as studio,
    ):
        watch = Watch(studio)
        for number in range(options.rounds):
            home = Path(folder) / f"traffic{number}"
            home.mkdir()
            with desk_at(studio, home, rows, more) as desk:
                # Every row is asked about, and has a proposal.
                file = home / "task.py"
                check = '    @soft_check\n    def doubted(self) -> str | None:\n        return "please look"\n'
                file.write_text(file.read_text().replace("import Input", "import soft_check, Input") + check)
                project = _push(desk, studio, watch, is_first=number % 2 == 0)
                if number == options.rounds - 1:
                    _pull(desk, studio, watch, project)
    results = _results(watch.rows, options.tasks)
    results.show(Console())
    if options.markdown:
        options.markdown.write_text(results.markdown())


if __name__ == "__main__":
    main()
