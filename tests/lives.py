"""Random lives of a dataset: its days come in any order, and after each of them the laws must hold.

A life has a task of any kind whose choices change, three sources (a table that is rewritten, a log that only grows,
and one that comes and goes), and people who answer, correct themselves and disagree in a Label Studio in memory.
``Life`` does what a data team and annotators do, and knows what must be true; ``Lives`` lets hypothesis choose the
order.
"""

import tempfile
from collections import Counter, defaultdict
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from chances import CHANGES, CHOICES, UNSURE, Chance, Edit, Saying
from desk import Desk
from fake_studio import Row, fake_studio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from themes import THEMES, Theme

from flows.collect import collect
from flows.curate import Curated, curate
from flows.engines.engine import Inline
from flows.release import Released, release
from pipeline.errors import ReleaseError
from pipeline.releases.versions import list_versions, verify
from pipeline.reporting.explain import explain
from pipeline.reporting.status import read_status
from pipeline.reporting.write_report import write_report
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
        self.log: list[Row] = []
        """Only grows."""
        self.visiting: dict[int, Row] = {}
        self.visits = True
        self.choices = list(CHOICES)
        self.on_conflict = "any_of"
        self.review = "{budget: 0.9, audit: 0.9}"
        self.split = "{}"
        self.read: list[Row] | None = None
        """The rows of the last curate; None before the first one."""
        self.edited = False
        """Whether what decides about rows was changed since."""
        self._runs = 0
        self._sent: dict[tuple[int, str], int] = {}
        """By task and push key, in which run it was sent; ids come back."""
        self._known: dict[tuple[int, str], int] = {}
        """By annotation and the time of its last edit, in which run it was collected first."""
        self.write()

    def close(self) -> None:
        self._exit.close()

    # --- files ------------------------------------------------------------------------------------
    def write(self) -> None:
        """Write the sources, the task and dataset.yaml."""
        (self.folder / "task.py").write_text(self.theme.source(self.choices))
        sources = [
            "  - {name: table, path: table.jsonl, key: id, mode: snapshot}",
            "  - {name: log, path: log.jsonl}",
            *(["  - {name: visiting, path: visiting.jsonl, key: id}"] if self.visits else []),
        ]
        settings = [f"{name}: {getattr(self, name)}" for name in ("on_conflict", "review", "split")]
        lines = ["name: life", "task: task.py:Question", "sources:", *sources, *settings]
        (self.folder / "dataset.yaml").write_text("\n".join(lines) + "\n")
        for name, rows in (("table", self.table.values()), ("log", self.log), ("visiting", self.visiting.values())):
            raw = (row | self.theme.row(row.pop("text"), row.pop("label")) for row in map(dict, rows))
            (self.folder / f"{name}.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in raw))

    def rows(self) -> list[Row]:
        """The rows that a curate would find now."""
        return [*self.table.values(), *self.log, *(self.visiting.values() if self.visits else [])]

    def edit(self, edits: list[Edit]) -> None:
        """Change the rows of the sources."""
        for name, *what in edits:
            match name, what:
                case "put", [key, text, label]:
                    self.table[key] = _row(key, text, label)
                case "relabel", [pick, label]:
                    self._pick(pick)["label"] = label
                case "touch", [pick]:
                    self._pick(pick)["seen"] += 1
                case "delete", [pick] if len(self.table) > 1:
                    del self.table[self._pick(pick)["id"]]
                case "copy", [pick, tail, label]:
                    row = self._pick(pick)
                    answer = row["label"] if label == "same" else label
                    self.log.append({"text": f"{row['text']}{tail}", "label": answer})
                case "visit", [key, text, label]:
                    self.visiting[key] = _row(key, text, label)
        self.write()

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
        result = curate(self.desk.context, Inline(), rescore=rescore)
        self.read, self.edited = self.rows(), False
        self._runs += 1
        for number, task in self.studio.tasks.items():
            self._sent.setdefault((number, task["data"]["push_key"]), self._runs)
        return result

    def collect(self) -> None:
        collect(self.desk.context, Inline())
        self._runs += 1
        # None if the choices were changed, and no question about the new ones was sent yet.
        project = self.desk.client.find_project(marker(self.desk.context.dataset))
        for number, row in self.studio.annotations.items():
            if self.studio.tasks[row["task"]]["project"] == project:
                self._known.setdefault((number, row["updated_at"]), self._runs)
        if not self.edited and self.read == self.rows():
            self.check_answers()

    def release(self) -> Released | None:
        try:
            return release(self.desk.context, Inline())
        except ReleaseError as error:
            reasons = {"has not been curated yet": self.read is None, "was changed since": self.edited}
            reasons["is accepted yet"] = self.read is not None and not self.of_fate(Fate.ACCEPTED)
            assert any(text in str(error) for text, holds in reasons.items() if holds), error
        return None

    @property
    def snapshot(self) -> Snapshot:
        return self.desk.context.store.snapshot().at_last_commit()

    def decisions(self) -> list[Decision]:
        return list(from_frame(self.snapshot.current_decisions().collect()))

    def of_fate(self, fate: Fate) -> list[Decision]:
        return [decision for decision in self.decisions() if decision.fate is fate]

    # --- annotators -------------------------------------------------------------------------------
    def say(self, said: list[Saying]) -> None:
        """Answer, skip, reconsider and take back in Label Studio."""
        task = self.desk.context.dataset.task
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
        task = self.desk.context.dataset.task
        if label in CHOICES:
            return prediction_result(task, self.theme.targets(label))
        regions = prediction_result(task, self.theme.targets(CHOICES[0]))
        return [region | {"value": {key: [label] for key in region["value"]}} for region in regions]

    # --- laws -------------------------------------------------------------------------------------
    def check(self) -> None:
        """Every law that can be broken by what was done."""
        self.check_questions()
        if self.read is None:
            return
        self.check_numbers()
        self.check_people()
        self.check_versions()

    def check_numbers(self) -> None:
        """Every record has one fate, none is lost or doubled, and the numbers say so."""
        status = read_status(self.desk.context)
        assert status.funnel().adds_up(), status
        decisions = self.decisions()
        counts = Counter(decision.fate.value for decision in decisions)
        assert {fate: getattr(status, fate) for fate in counts} == dict(counts)
        assert len({decision.record_id for decision in decisions}) == len(decisions) == status.funnel().current
        assert len(decisions) == len(self.read or [])
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
        """Right after a collect, what most annotators say about a record's current question is what counts."""
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
        task = self.desk.context.dataset.task
        key, text = question_key(decision, task), match_key(self.theme.text(decision.inputs))
        given: list[tuple[bool, str, LabelingAnswer, int, int]] = []
        for row in sorted(self.studio.annotations.values(), key=lambda row: (row["updated_at"], row["id"])):
            data = self.studio.tasks[row["task"]]["data"]
            same = data["record_id"] == decision.record_id and match_key(self.theme.shown(data)) == text
            answer = read_result(task, row["result"], was_cancelled=row["was_cancelled"])
            if same and self.studio.tasks[row["task"]]["project"] == self.desk.project and answer.verdict in DECISIVE:
                known = self._known.get((row["id"], row["updated_at"]), self._runs)
                sent = self._sent[row["task"], data["push_key"]]
                given.append((data["push_key"] == key, row["completed_by"], answer, known, sent))
        if not any(is_present for is_present, *_ in given):
            return []
        counting = [
            one
            for place, one in enumerate(given)
            if one[0] or not any(later[0] and one[3] < later[4] for later in given[place:])
        ]
        last_of = {user: place for place, (_, user, *_) in enumerate(counting)}
        return [counting[place][2] for place in sorted(last_of.values())]

    def check_questions(self) -> None:
        """No question is asked twice, nor sent again while it is there."""
        live = Counter(task["data"]["push_key"] for task in self.studio.tasks.values())
        assert all(count == 1 for count in live.values())
        for key, sent in self.studio.imported.items():
            assert sent - self.studio.deleted[key] <= 1

    def check_versions(self) -> None:
        """Published bytes are as they were, no row ever moves, and similar rows are never in two splits."""
        releases = self.desk.context.store.releases
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


seeds = st.integers(0, 2**32 - 1)


class Lives(RuleBasedStateMachine):
    """Lets hypothesis choose what happens next in a life."""

    def __init__(self) -> None:
        super().__init__()
        self._exit = ExitStack()
        self._folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory()))

    def teardown(self) -> None:
        self._exit.close()

    @initialize(seed=seeds, theme=st.sampled_from(THEMES))
    def begin(self, seed: int, theme: Theme) -> None:
        self.life = self._exit.enter_context(closing(Life(self._folder, theme)))
        self.life.edit(Chance(seed).texts(10))

    # --- the sources and the file -----------------------------------------------------------------
    @rule(seed=seeds)
    def edit(self, seed: int) -> None:
        self.life.edit(Chance(seed).edits(4))

    @rule(change=st.sampled_from(CHANGES))
    def change(self, change: dict[str, Any]) -> None:
        self.life.change(**change)

    # --- annotators -------------------------------------------------------------------------------
    @rule(seed=seeds)
    @precondition(lambda self: self.life.studio.tasks)
    def say(self, seed: int) -> None:
        self.life.say(Chance(seed).sayings(8))

    # --- the verbs --------------------------------------------------------------------------------
    @rule(rescore=st.booleans())
    def curate(self, rescore: bool) -> None:
        self.life.curate(rescore=rescore)

    @rule()
    @precondition(lambda self: self.life.read is not None)
    def collect(self) -> None:
        self.life.collect()

    @rule()
    @precondition(lambda self: self.life.read is not None)
    def release(self) -> None:
        self.life.release()

    @rule(seed=seeds, days=st.integers(1, 2))
    def live_some_days(self, seed: int, days: int) -> None:
        """New rows, questions, answers, a version."""
        chance = Chance(seed)
        for _ in range(days):
            self.life.edit(chance.edits(4))
            self.life.curate()
            self.life.check()
            self.life.say(chance.sayings(8))
            self.life.collect()
            self.life.check()
            self.life.release()

    @rule()
    @precondition(lambda self: self.life.read is not None)
    def curate_again(self) -> None:
        """The same rows and answers again decide nothing and ask nothing."""
        self.life.curate()
        asked = dict(self.life.studio.imported)
        again = self.life.curate()
        assert (again.decided, again.added, again.withdrawn, again.review.sent, again.review.withdrawn) == (0,) * 5
        assert asked == dict(self.life.studio.imported)

    @rule()
    @precondition(lambda self: self.life.read is not None and not self.life.edited)
    def release_twice(self) -> None:
        if first := self.life.release():
            again = self.life.release()
            assert again is not None and (again.version, again.created) == (first.version, False)

    @rule(pick=seeds)
    @precondition(lambda self: self.life.read)
    def look(self, pick: int) -> None:
        """Report and explain work at any time."""
        write_report(self.life.desk.context)
        snapshot = self.life.snapshot
        ids = snapshot.latest_records().select("record_id").collect().to_series().sort().to_list()
        context = self.life.desk.context
        story = explain(snapshot, ids[pick % len(ids)], context.store.releases, context.dataset)
        assert story.revisions

    @invariant()
    def laws(self) -> None:
        self.life.check()
