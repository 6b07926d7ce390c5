"""A store with toy records that were asked about, and annotators who answer: no server and no curate."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from store_rows import commit, decision, records
from support import write_dataset

from pipeline.config.dataset_file import LoadedDataset, load_dataset_file
from pipeline.review.human_decisions import human_decisions
from pipeline.review.labeling_tasks import prediction_result, verdict_result
from pipeline.state.decisions import question_key, to_frame
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from schemas.annotation import Annotation, Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.field import JsonValue
from schemas.run_summary import Verb
from schemas.seat import FIRST, Seat

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ASKED = Reason(code=ReasonCode.LABEL_ERROR, detail="'billing', not 'returns'")
QUESTION: dict[str, object] = {"question": "Where is my parcel?"}
Answer = str | Verdict | dict[str, JsonValue]
"""A topic, what annotators say instead of an answer, or all targets."""


@dataclass
class Home:
    """Records that were asked about, and what annotators say to it."""

    dataset: LoadedDataset
    store: Store
    given: dict[int, Annotation] = field(default_factory=dict)
    """By number, as it was said last."""

    def asked(self, record_id: str, **more: Any) -> Decision:
        """What curate decides about a doubtful record."""
        digest = self.dataset.task.task_digest()
        usual: dict[str, Any] = {
            "fate": Fate.REVIEW, "routed": Routed.UNCERTAIN, "inputs": QUESTION, "targets": {"topic": "billing"},
            "label_source": LabelSource.SOURCE, "tokens": 7, "reasons": [ASKED], "task_digest": digest,
        }  # fmt: skip
        return decision("", record_id).model_copy(update=usual | more)

    def curated(self, *decisions: Decision, gone: Iterable[str] = ()) -> None:
        """Commit a curate run; ``gone`` are the records that were withdrawn before it."""
        run = self.store.new_run(Verb.CURATE, "c", "0")
        present = [records(run.id, [one.record_id], one.revision) for one in decisions]
        self.store.append(Table.RECORDS, pl.concat([*present, records(run.id, gone, withdrawn=True)]))
        self.store.append(Table.DECISIONS, to_frame(one.model_copy(update={"run": run.id}) for one in decisions))
        commit(self.store, run, records=self.store.version(Table.RECORDS))

    def said(
        self, who: str, answer: Answer, about: Decision, *, number: int, skipped: bool = False, seat: Seat = FIRST
    ) -> None:
        """An annotation as a collect run pulls it; a form that was filled may be skipped."""
        self._pull(self._annotation(who, answer, about, number, skipped, seat))

    def said_all(self, answers: Iterable[tuple[str, Answer, Decision, Seat]]) -> None:
        """Many of them in one run, and the tasks that they answer."""
        numbered = list(enumerate(answers, start=1))
        self._pull(*(self._annotation(who, said, about, at, False, seat) for at, (who, said, about, seat) in numbered))
        run, task = self.store.new_run(Verb.CURATE, "c", "0").id, self.dataset.task
        sent = [
            (question_key(about, task, seat), about.record_id, about.revision, "t", "uncertain", "http://studio", 1, at,
             run, NOON, str(seat), None)
            for at, (_, _, about, seat) in numbered
        ]  # fmt: skip
        self.store.append(Table.PUSHES, pl.DataFrame(sent, schema=SCHEMAS[Table.PUSHES], orient="row"))

    def _annotation(
        self, who: str, answer: Answer, about: Decision, number: int, skipped: bool, seat: Seat
    ) -> Annotation:
        task, result = self.dataset.task, self.result(answer)
        at = NOON + timedelta(minutes=number)
        # The result is read again, whatever was read from it before; but a skip is a skip.
        verdict = Verdict.SKIPPED if skipped else Verdict.LABELED
        self.given[number] = Annotation(
            server="http://studio", project=1, task_id=number, annotation_id=number, annotator=who, verdict=verdict,
            push_key=question_key(about, task, seat), record_id=about.record_id, result=result, created_at=NOON,
            updated_at=at,
        )  # fmt: skip
        return self.given[number]

    def result(self, answer: Answer) -> list[dict[str, Any]]:
        """An answer as Label Studio has it; empty for a skip and for what is no answer."""
        task = self.dataset.task
        if isinstance(answer, Verdict):
            return verdict_result(task, answer)
        return prediction_result(task, {"topic": answer} if isinstance(answer, str) else answer)

    def takes_back(self, number: int) -> None:
        self._pull(self.given[number].model_copy(update={"deleted": True}))

    def _pull(self, *annotations: Annotation) -> None:
        run = self.store.new_run(Verb.COLLECT, "c", "0").id
        rows = [
            annotation.model_dump()
            | {
                "verdict": annotation.verdict.value,
                "targets": None,
                "result": orjson.dumps(annotation.result).decode(),
                "run": run,
            }
            for annotation in annotations
        ]
        self.store.append(Table.ANNOTATIONS, pl.DataFrame(rows, schema=SCHEMAS[Table.ANNOTATIONS]))

    def sent(self, about: Decision, task_id: int) -> str:
        """Note that a question was sent; returns the run."""
        run = self.store.new_run(Verb.CURATE, "c", "0").id
        key = question_key(about, self.dataset.task)
        values = (key, about.record_id, about.revision, "t", "uncertain", "http://studio", 1, task_id, run, NOON)
        values = (*values, None, None)
        self.store.append(Table.PUSHES, pl.DataFrame([values], schema=SCHEMAS[Table.PUSHES], orient="row"))
        return run

    @property
    def now(self) -> Snapshot:
        return self.store.snapshot().at_last_commit()

    def follows(self) -> list[Decision]:
        """What follows from the answers and is not committed yet."""
        return human_decisions(self.now, self.dataset, "this run")

    def collected(self) -> list[Decision]:
        """Commit what follows from the answers."""
        run = self.store.new_run(Verb.COLLECT, "c", "0")
        decisions = human_decisions(self.now, self.dataset, run.id)
        self.store.append(Table.DECISIONS, to_frame(decisions))
        commit(self.store, run)
        return decisions


def home_in(folder: Path, *targets: str) -> Home:
    """An empty one, of a dataset whose records have a question and a topic, and more targets if some are given."""
    write_dataset(folder, [])
    with (folder / "task.py").open("a", encoding="utf-8") as task:
        task.writelines(f"    {target}\n" for target in targets)
    return Home(load_dataset_file(folder / "dataset.yaml"), Store(folder / "home", "questions"))
