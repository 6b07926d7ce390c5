"""Random lives of a dataset: its days come in any order, and after each of them the laws must hold.

A life has a task of any kind whose choices change, three sources (a table that is rewritten, a log that only grows,
and one that comes and goes), and people who answer, correct themselves and disagree in a Label Studio in memory.
``Life`` does what a data team and annotators do, and knows what must be true; ``random_lives.py`` lets hypothesis
choose the order.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import polars as pl
from chances import CHOICES, UNSURE, Edit, Saying
from desk import Desk
from fake_studio import Row, fake_studio
from full_runs import must_agree_with_a_full_run, must_agree_with_a_new_index, must_know_its_outline
from themes import Theme

from flows.collect import collect
from flows.context import Context
from flows.curate import Curated, curate
from flows.engines.engine import Inline
from flows.release import Released, release
from pipeline.errors import ReleaseError
from pipeline.releases.versions import list_versions, verify
from pipeline.reporting.status import read_status
from pipeline.review.consensus import DECISIVE
from pipeline.review.labeling_tasks import LabelingAnswer, prediction_result, read_result, verdict_result
from pipeline.review.queue import marker
from pipeline.state.decisions import from_frame, question_key
from pipeline.state.store import Snapshot
from pipeline.text.normalize import match_key
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, ReasonCode


def _row(key: int, text: str, label: str | None) -> Row:
    return {"id": key, "text": text, "label": label, "seen": 0}


class Given(NamedTuple):
    """A valid answer in Label Studio to a question about a record's current text."""

    key: str
    is_present: bool
    """It answers the current question, not an earlier one about the same text."""
    user: int
    answer: LabelingAnswer
    known: int
    """The run that collected it first."""
    sent: int
    """The run that sent its task."""


class Life:
    """One dataset, its sources, its annotators, and what must be true of them."""

    def __init__(self, folder: Path, theme: Theme) -> None:
        self._exit = ExitStack()
        self.folder, self.theme = folder, theme
        self.studio = self._exit.enter_context(fake_studio())
        self.desk = Desk(folder, self.studio.url, self.studio.token)
        self._exit.enter_context(self.desk.api)
        self._exit.enter_context(self.desk.client)
        self.table: dict[int, Row] = {}
        """Rewritten each time."""
        self.gone: list[Row] = []
        """What it had, deleted or overwritten, and may have again."""
        self.log: list[Row] = []
        """Only grows."""
        self.visiting: dict[int, Row] = {}
        self.visits = True
        self.choices = list(CHOICES)
        self.on_conflict = "any_of"
        self.review = "{budget: 0.9, audit: 0.9}"
        self.split = "{}"
        self.trusts = False
        """Whether the answers of the source that comes and goes are known to be right."""
        self.compares = True
        """Whether each run is compared with one over everything."""
        self.more = ""
        """Further sections of the file."""
        self.read: dict[str, list[Row]] | None = None
        """The rows of the last curate by their source; None before the first one."""
        self.edited = False
        """Whether what decides about rows was changed since."""
        self._context: Context | None = None
        self._runs = 0
        self._sent: dict[tuple[int, str], int] = {}
        """By task and push key, in which run it was sent; ids come back."""
        self._known: dict[tuple[int, str], int] = {}
        """By annotation and the time of its last edit, in which run it was collected first."""
        self._heard: set[tuple[int, str]] = set()
        """What the last collect found in Label Studio, in the same way."""
        self._logged: set[str] = set()
        """The records of the log, which loses none."""
        self.write()

    def close(self) -> None:
        self._exit.close()

    # --- files ------------------------------------------------------------------------------------
    def write(self) -> None:
        """Write the sources, the task and dataset.yaml."""
        self._context = None
        (self.folder / "task.py").write_text(self.task())
        sources = [f"  - {{name: {name}, {more}}}" for name, more in self.sources().items()]
        settings = [f"{name}: {getattr(self, name)}" for name in ("on_conflict", "review", "split")]
        # Rows come and go as chance has it.
        settings += [] if "release:" in self.more else ["release: {most_lost: 1}"]
        lines = ["name: life", "task: task.py:Question", "sources:", *sources, *settings, self.more]
        (self.folder / "dataset.yaml").write_text("\n".join(lines) + "\n")
        self.write_rows()

    def task(self) -> str:
        """The task's file."""
        return self.theme.source(self.choices)

    def sources(self) -> dict[str, str]:
        """What dataset.yaml says of the sources that it names."""
        trusted = ", gold: true" if self.trusts else ""
        visiting = {"visiting": f"path: visiting.jsonl, key: id{trusted}"} if self.visits else {}
        return {"table": "path: table.jsonl, key: id, mode: snapshot", "log": "path: log.jsonl", **visiting}

    def write_rows(self) -> None:
        """Write the sources' files."""
        for name, rows in (("table", self.table.values()), ("log", self.log), ("visiting", self.visiting.values())):
            (self.folder / f"{name}.jsonl").write_bytes(self.lines(rows))

    def raw(self, rows: Iterable[Row]) -> list[Row]:
        """Rows as their source has them."""
        return [row | self.theme.row(row.pop("text"), row.pop("label")) for row in map(dict, rows)]

    def lines(self, rows: Iterable[Row]) -> bytes:
        """JSONL."""
        return b"".join(orjson.dumps(row) + b"\n" for row in self.raw(rows))

    @property
    def context(self) -> Context:
        """The dataset as its files say; they are only read again once they were written."""
        self._context = self._context or self.desk.context
        return self._context

    def rows(self) -> dict[str, list[Row]]:
        """The rows that a curate would find now, by their source."""
        found = {"table": self.table.values(), "log": self.log, "visiting": self.visiting.values()}
        return {name: [dict(row) for row in found[name]] for name in self.sources()}

    def edit(self, edits: list[Edit]) -> None:
        """Change the rows of the sources."""
        for name, *what in edits:
            match name, what:
                case "put", [key, text, label]:
                    self._take_out(key)
                    self.table[key] = _row(key, text, label)
                case "relabel", [pick, label]:
                    self._pick(pick)["label"] = label
                case "touch", [pick]:
                    self._pick(pick)["seen"] += 1
                case "delete", [pick] if len(self.table) > 1:
                    self._take_out(self._pick(pick)["id"])
                case "return", [pick] if self.gone:
                    row = self.gone.pop(pick % len(self.gone))
                    self._take_out(row["id"])
                    self.table[row["id"]] = row
                case "copy", [pick, tail, label]:
                    rows = [*self.table.values(), *self.gone]
                    row = rows[pick % len(rows)]
                    answer = row["label"] if label == "same" else label
                    self.log.append({"text": f"{row['text']}{tail}", "label": answer})
                case "visit", [key, text, label]:
                    self.visiting[key] = _row(key, text, label)
        self.write()

    def _take_out(self, key: int) -> None:
        if key in self.table:
            self.gone.append(self.table.pop(key))

    def _pick(self, pick: int) -> Row:
        return list(self.table.values())[pick % len(self.table)]

    def change(self, **what: Any) -> None:
        """Change the task or dataset.yaml."""
        for name, value in what.items():
            self.edited |= getattr(self, name) != value
            setattr(self, name, value)
        self.write()

    # --- verbs ------------------------------------------------------------------------------------
    def curate(self, *, rescore: bool = False) -> Curated:
        result = curate(self.context, Inline(), rescore=rescore)
        self.ran()
        if not rescore and self.compares:
            # A full run counts on the index, which may be wrong itself.
            (must_agree_with_a_new_index if self._runs % 2 else must_agree_with_a_full_run)(self.context)
        if not rescore:
            must_know_its_outline(self.context)
        return result

    def ran(self) -> None:
        """A curate has read the sources as they are."""
        self.read, self.edited = self.rows(), False
        self._runs += 1
        for number, task in self.studio.tasks.items():
            self._sent.setdefault((number, task["data"]["push_key"]), self._runs)

    @property
    def project(self) -> int | None:
        """The one in which the task as it is now is asked about."""
        return self.desk.client.find_project(marker(self.context.dataset))

    def collect(self) -> None:
        collect(self.context, Inline())
        self._runs += 1
        self._heard = self._said()
        for said in self._heard:
            self._known.setdefault(said, self._runs)

    def release(self) -> Released | None:
        try:
            released = release(self.context, Inline())
        except ReleaseError as error:
            reasons = {"has not been curated yet": self.read is None, "was changed since": self.edited}
            reasons["is accepted yet"] = self.read is not None and not self.of_fate(Fate.ACCEPTED)
            assert any(text in str(error) for text, holds in reasons.items() if holds), error
            return None
        verify(Path(released.path)).require_sound()
        return released

    @property
    def snapshot(self) -> Snapshot:
        return self.context.store.snapshot().at_last_commit()

    def decisions(self) -> list[Decision]:
        return list(from_frame(self.snapshot.current_decisions().collect()))

    def of_fate(self, fate: Fate) -> list[Decision]:
        return [decision for decision in self.decisions() if decision.fate is fate]

    # --- annotators -------------------------------------------------------------------------------
    def _said(self) -> set[tuple[int, str]]:
        return {(number, row["updated_at"]) for number, row in self.studio.annotations.items()}

    def say(self, said: list[Saying]) -> None:
        """Answer, skip, reconsider and take back in Label Studio."""
        task = self.context.dataset.task
        for name, pick, *what in said:
            tasks, answers = sorted(self.studio.tasks), sorted(self.studio.annotations)
            match name, what:
                case "answer", ["unusable" | "unsure" as verdict, user] if tasks:
                    self.desk.submit(tasks[pick % len(tasks)], verdict_result(task, Verdict(verdict)), user)
                case "answer" | "skip", [label, user] if tasks:
                    self.desk.submit(tasks[pick % len(tasks)], self.result(label), user, name == "skip")
                case "reconsider", [label] if answers:
                    self.desk.edit(answers[pick % len(answers)], self.result(label))
                case "take back", [] if answers:
                    self.desk.delete(f"annotations/{answers[pick % len(answers)]}")
                case "delete the task", [] if tasks:
                    self.desk.delete(f"tasks/{tasks[pick % len(tasks)]}")

    def result(self, label: str) -> list[dict[str, Any]]:
        """An answer as the form would send it; or one that the task refuses."""
        task = self.context.dataset.task
        if label in CHOICES:
            return prediction_result(task, self.targets(label))
        regions = prediction_result(task, self.targets(CHOICES[0]))
        return [region | {"value": {key: [label] for key in region["value"]}} for region in regions]

    def targets(self, label: str) -> dict[str, Any]:
        """A topic's answer."""
        return self.theme.targets(label)

    # --- laws -------------------------------------------------------------------------------------
    def check(self) -> None:
        """Every law that can be broken by what was done."""
        self.check_questions()
        if self.read is None:
            return
        self.check_numbers()
        self.check_people()
        self.check_versions()
        if self._heard == self._said() and not self.edited and self.read == self.rows():
            self.check_answers()

    def check_numbers(self) -> None:
        """Every record has one fate, none is lost or doubled, and the numbers say so."""
        status = read_status(self.context)
        assert status.funnel().adds_up(), status
        decisions = self.decisions()
        counts = Counter(decision.fate.value for decision in decisions)
        assert {fate: getattr(status, fate) for fate in counts} == dict(counts)
        assert len({decision.record_id for decision in decisions}) == len(decisions) == status.funnel().current
        assert len(decisions) == sum(map(len, (self.read or {}).values()))
        by_id = {decision.record_id: decision for decision in decisions}
        for decision in decisions:
            assert decision.reasons
            if decision.fate is Fate.DUPLICATE:
                assert by_id[decision.duplicate_of].fate is not Fate.DUPLICATE

    def check_people(self) -> None:
        """What an annotator confirmed is never silently rejected for another's answer."""
        for decision in self.decisions():
            codes = {reason.code for reason in decision.reasons}
            assert not (decision.label_source is LabelSource.HUMAN and ReasonCode.UNUSABLE in codes), decision

    def check_answers(self) -> None:
        """What most annotators say about a record's current question counts, if all they said was collected."""
        for decision in self.decisions():
            answers = self._answers_about(decision)
            if not answers:
                continue
            votes = Counter(orjson.dumps([one.verdict, one.targets]) for one in answers if one.verdict is not UNSURE)
            if answers[-1].verdict is UNSURE:
                assert decision.fate is not Fate.ACCEPTED
                continue
            [(vote, count), *_] = votes.most_common()
            verdict, targets = orjson.loads(vote)
            if 2 * count <= votes.total():
                assert (decision.fate, decision.label_source is LabelSource.HUMAN) != (Fate.ACCEPTED, True)
            elif verdict == Verdict.LABELED:
                assert (decision.label_source, decision.targets) == (LabelSource.HUMAN, targets)
            else:
                assert decision.fate in (Fate.REJECTED, Fate.REVIEW, Fate.DUPLICATE)

    def _answers_about(self, decision: Decision) -> list[LabelingAnswer]:
        """The last valid answer of each annotator to the current question, oldest first. Answers to an earlier
        question about the same text count with them, if those who answered the current one cannot have seen them.
        None if the current one has no answer.
        """
        task = self.context.dataset.task
        keys, text = self.keys(decision), match_key(self.theme.text(decision.inputs))
        given: list[Given] = []
        for row in sorted(self.studio.annotations.values(), key=lambda row: (row["updated_at"], row["id"])):
            data = self.studio.tasks[row["task"]]["data"]
            key = data["push_key"]
            same = data["record_id"] == decision.record_id and match_key(self.theme.shown(data)) == text
            answer = read_result(task, row["result"], was_cancelled=row["was_cancelled"])
            if same and answer.verdict in DECISIVE:
                known = self._known.get((row["id"], row["updated_at"]), self._runs)
                given.append(Given(key, key in keys, row["completed_by"], answer, known, self._sent[row["task"], key]))
        given = self.asked_for_answers(given)
        if not any(one.is_present for one in given):
            return []
        counting = self.deciding(
            [
                one
                for place, one in enumerate(given)
                if one.is_present or not any(later.is_present and one.known < later.sent for later in given[place:])
            ]
        )
        last_of = {one.user: place for place, one in enumerate(counting)}
        return [counting[place].answer for place in sorted(last_of.values())]

    def keys(self, decision: Decision) -> set[str]:
        """The push keys of a record's current question."""
        return {question_key(decision, self.context.dataset.task)}

    def asked_for_answers(self, given: list[Given]) -> list[Given]:
        """Those that are meant to decide something."""
        return given

    def deciding(self, counting: list[Given]) -> list[Given]:
        """Those of the answers that count, oldest first, by which the record's answer is decided."""
        return counting

    def check_questions(self) -> None:
        """No question is asked twice, nor sent again while it is there."""
        live = Counter(task["data"]["push_key"] for task in self.studio.tasks.values())
        assert all(count == 1 for count in live.values())
        for key, sent in self.studio.imported.items():
            assert sent - self.studio.deleted[key] <= 1

    def check_versions(self) -> None:
        """Published bytes are as they were, no row ever moves, and similar rows are never in two splits."""
        releases = self.context.store.releases
        where: defaultdict[str, set[str]] = defaultdict(set)
        for manifest in list_versions(releases):
            folder = releases / manifest.version
            assert not verify(folder).problems
            groups: defaultdict[str, set[str]] = defaultdict(set)
            for split, file in manifest.splits.items():
                for row in pl.read_parquet(folder / file.file).iter_rows(named=True):
                    where[row["id"]].add(split)
                    where[match_key(self.theme.text(row["fields"]))].add(split)
                    groups[row["group"]].add(split)
            assert all(len(splits) == 1 for splits in groups.values())
        assert {name: splits for name, splits in where.items() if len(splits) > 1} == {}
