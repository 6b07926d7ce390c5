"""Tells which decisions asked what the task asks now, whatever its class is called and which labels it has.

An answer is bound to the inputs that were shown and to the targets that were asked for. Whether what it says is valid
is found out by reading it, at every collect; so neither labels nor types are part of what binds it.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.state.snapshot import Snapshot
from schemas.decision import Decision
from schemas.field import TargetField, is_absent
from schemas.run_summary import CurateFacts
from schemas.task import Role, Task
from schemas.task_shape import shape_digest


def asked_digest(task: type[Task]) -> str:
    """16 hex digits over what is asked for: the names of the targets, and which of them take several values."""
    text = json.dumps(["asked for", *asked_for(task)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def same_question(snapshot: Snapshot, task: type[Task]) -> frozenset[str]:
    """The digests under which decisions and tasks have asked what the task asks now.

    Homes of before have that of the whole class; which one that was is known since their first curate.
    """
    # What is asked again since an answer is not valid any more has that of the shape.
    own = frozenset({asked_digest(task), task.task_digest(), shape_digest(task)})
    last = snapshot.last_run(CurateFacts)
    before = frozenset(last.summary.asked_as) if last else frozenset[str]()
    return own | before if asked_digest(task) in before else own


@dataclass(frozen=True)
class AskedNow:
    """What the task asks now, to compare earlier questions with."""

    snapshot: Snapshot
    task: type[Task]
    digests: frozenset[str]
    """Those of ``same_question``."""
    _runs: dict[str, CurateFacts | None] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot, task: type[Task]) -> "AskedNow":
        """What a task asks in a state."""
        return cls(snapshot, task, same_question(snapshot, task))

    def shows(self, asked: Decision) -> bool:
        """Whether the task still has all inputs that were shown; without one of them it asks something else."""
        shown = {name for name, value in asked.inputs.items() if not is_absent(value)}
        gone = shown - {*self.task.task_names(Role.INPUT), *self.task.task_names(Role.CONTEXT)}
        # The digest of the whole class covers its inputs: then only context is gone.
        return not gone or asked.task_digest == self.task.task_digest() or gone <= {*self._facts(asked.run).context}

    def asks_for_all(self, asked: Decision) -> bool | None:
        """Whether all that the task asks for now was asked for then; None if nobody knows."""
        if asked.task_digest in self.digests:
            return True
        before = self._facts(asked.run).asks_for
        return {*asked_for(self.task)} <= {*before} if before else None

    def _facts(self, run: str) -> CurateFacts:
        if run not in self._runs:
            found = self.snapshot.committed_run(run, CurateFacts)
            self._runs[run] = found.summary if found else None
        return self._runs[run] or CurateFacts(file="", curation="")


def asked_for(task: type[Task]) -> list[str]:
    """The names of the targets, with those of the fields within them, and whether they take several values."""
    return sorted(_places(task.task_targets()))


def _places(fields: Sequence[TargetField]) -> Iterator[str]:
    for one in fields:
        name = one.name + "[]" * one.many
        if one.fields:
            yield from (f"{name}.{inner}" for inner in _places(one.fields))
        else:
            yield name
