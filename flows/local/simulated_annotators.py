"""Simulated annotators for the demo: they answer through the real API, from the samples' truth files.

Their names in Label Studio say that they are simulated. Like human annotators, they are sometimes wrong,
unsure or absent; which of these is derived from the record's id, so every demo gives the same result.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.local.annotating_client import AnnotatingClient
from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Connection
from pipeline.review.label_studio_models import OpenTask
from pipeline.review.labeling_tasks import prediction_result, read_result, verdict_result
from pipeline.review.queue import marker
from pipeline.state.snapshot import Snapshot
from schemas.annotation import Verdict
from schemas.field import JsonValue
from schemas.seat import SeatKind

ANNOTATORS = ("simulated-annotator-1@example.com", "simulated-annotator-2@example.com")
_ADJUDICATOR = "simulated-annotator-3@example.com"
_SKIPPED, _UNSURE, _WRONG = 0.02, 0.04, 0.07
"""Cumulative bounds of the draw: 2% are skipped, 2% unsure, 3% carelessly confirmed unchanged."""


@dataclass(frozen=True)
class Truth:
    """What a careful expert would answer about a record."""

    targets: dict[str, JsonValue] | None
    usable: bool


def read_truth(path: Path, snapshot: Snapshot, dataset: LoadedDataset) -> dict[str, Truth]:
    """Read a samples' truth file, and find the records by their raw bytes or their key."""
    by_bytes: dict[str, Truth] = {}
    by_key: dict[str, Truth] = {}
    fields = dataset.task.task_targets()
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        values = entry.get("values") or {field.name: entry.get(field.name) for field in fields}
        known = any(value is not None for value in values.values())
        truth = Truth(dataset.task.task_canonical(values) if known else None, entry["usable"])
        by_bytes[entry.get("sha256", "")] = truth
        by_key[str(entry.get("id", ""))] = truth
    found = {}
    for record_id, key, raw in snapshot.current_records().select("record_id", "key", "raw").collect().iter_rows():
        truth_of = by_bytes.get(hashlib.sha256(raw).hexdigest()) or by_key.get(key)
        if truth_of is not None:
            found[record_id] = truth_of
    return found


def annotate(
    connection: Connection,
    dataset: LoadedDataset,
    truth: dict[str, Truth],
    on_tasks: Callable[[int], None] = lambda tasks: None,
    *,
    faultless: bool = False,
) -> int:
    """Answer every task that has no annotation yet; returns how many were looked at.

    Args:
        connection: the server.
        dataset: names the project.
        truth: by record id.
        on_tasks: called with how many more tasks were looked at.
        faultless: never skip, be unsure or make mistakes.
    """
    with AnnotatingClient(connection.url, connection.api_key) as client:
        return _annotate(client, dataset, truth, on_tasks, faultless)


def _annotate(
    client: AnnotatingClient,
    dataset: LoadedDataset,
    truth: dict[str, Truth],
    on_tasks: Callable[[int], None],
    faultless: bool,
) -> int:
    project = client.find_project(marker(dataset))
    if project is None:
        return 0
    tasks = client.unanswered(project)
    names = {*ANNOTATORS, *(_who(task) for task in tasks)}
    users = {
        email: client.ensure_user(email, "Simulated", f"Annotator {n}") for n, email in enumerate(sorted(names), 1)
    }
    for task in tasks:
        draw = _draw(task.record_id + task.seat.removeprefix(SeatKind.FIRST))
        user = users[_who(task)]
        draw = 1.0 if faultless else draw
        shown = read_result(dataset.task, task.proposal, was_cancelled=False)
        verdict, targets = _answer(truth.get(task.record_id), shown.targets, draw)
        result = verdict_result(dataset.task, verdict) if targets is None else prediction_result(dataset.task, targets)
        client.annotate(task.task_id, result, user=user, skipped=verdict is Verdict.SKIPPED)
        on_tasks(1)
    return len(tasks)


def _who(task: OpenTask) -> str:
    """Whom a task is for: whoever it is assigned to, or else for each seat of a question somebody else."""
    if task.assigned:
        return task.assigned
    if task.seat == SeatKind.ADJUDICATOR:
        return _ADJUDICATOR
    turn = int(_draw(task.record_id) * 1e6) + (task.seat == SeatKind.SECOND)
    return ANNOTATORS[turn % len(ANNOTATORS)]


def _draw(record_id: str) -> float:
    return int.from_bytes(hashlib.blake2b(f"annotator {record_id}".encode(), digest_size=6).digest(), "big") / 2**48


def _answer(
    truth: Truth | None, shown: dict[str, JsonValue] | None, draw: float
) -> tuple[Verdict, dict[str, JsonValue] | None]:
    if draw < _SKIPPED:
        return Verdict.SKIPPED, None
    if truth is None or draw < _UNSURE:
        return Verdict.UNSURE, None
    if not truth.usable or truth.targets is None:
        return Verdict.UNUSABLE, None
    if draw < _WRONG and shown is not None:
        return Verdict.LABELED, shown
    return Verdict.LABELED, truth.targets
