"""A life with a team: named annotators, two of whom answer some questions, an adjudicator, gold items, repairs, a model
that suggests, and an error rate instead of a budget, all of which come and go.

``TeamLife`` knows what must be true of who is asked what, beside the laws of every life.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
from chances import CHOICES, USERS
from fake_studio import Row
from lives import Given, Life
from loopback import Reply
from model_server import completion, model_server
from themes import Theme

from flows.curate import Curated
from flows.release import Released
from pipeline.releases.versions import list_versions
from pipeline.reporting.annotators import read_annotators
from pipeline.reporting.status import read_status
from pipeline.review.consensus import DECISIVE
from pipeline.review.questions import BLIND_WHY
from pipeline.review.queue import asked_now
from pipeline.review.seating import MOST_ATTEMPTS, Asked
from pipeline.state.decisions import question_key
from pipeline.state.tables import Table
from pipeline.suggestions import asking
from pipeline.suggestions.asking import Pauses
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import LabelSource
from schemas.identity import stable_hash
from schemas.seat import FIRST, Seat, SeatKind

_HASTE = Pauses(first=0.001, most=0.01, tries=2)
_QUESTIONS = (SeatKind.FIRST, SeatKind.SECOND, SeatKind.ADJUDICATOR)
_SEATS = [Seat(kind=kind, attempt=attempt) for kind in _QUESTIONS for attempt in range(1, 4 * MOST_ATTEMPTS)]


class TeamLife(Life):
    """One dataset, its team, and what must be true of both."""

    def __init__(self, folder: Path, theme: Theme) -> None:
        self.asks = "budget: 0.9, audit: 0.5"
        self.annotators: Sequence[str] = ()
        self.overlap, self.gold, self.panel = 0.0, 0.0, 2
        self.repairs, self.suggests, self.publishes = True, False, True
        self.endpoint = ""
        super().__init__(folder, theme)
        self._exit.enter_context(patch.object(asking, "PAUSES", _HASTE))
        self.model = self._exit.enter_context(model_server(self._says))
        self.endpoint = self.model.endpoint

    # --- the file, and the model ------------------------------------------------------------------
    def write(self) -> None:
        named = f", annotators: [{', '.join(self.annotators)}], gold: {self.gold}" if self.annotators else ""
        # Somebody alone cannot overlap with anybody.
        overlap = 0.0 if len(self.annotators) == 1 else self.overlap
        panel = min(self.panel, len(self.annotators)) if overlap and self.annotators else self.panel
        overlaps = f"overlap: {overlap}, overlap_annotators: {panel}"
        self.review = f"{{{self.asks}{named}, {overlaps}, repair: {str(self.repairs).lower()}}}"
        suggest = f"suggest: {{endpoint: {self.endpoint}, model: m, parallel: 2, examples: 2}}" if self.suggests else ""
        self.more = f"{suggest}\nrelease: {{preferences: {str(self.publishes).lower()}, most_lost: 1}}"
        super().write()

    def _says(self, request: dict[str, Any], _: int) -> Reply:
        """The same to the same request: an answer that is right or wrong, nonsense, or nothing."""
        chance = random.Random(stable_hash(json.dumps(request, sort_keys=True)))
        answer = self.theme.written(self.theme.targets(chance.choice(CHOICES)))
        return completion(answer if chance.random() < 0.8 else '{"topic": 3')

    # --- what happens -----------------------------------------------------------------------------
    def curate(self, *, rescore: bool = False) -> Curated:
        result = super().curate(rescore=rescore)
        self.check_seats(result)
        return result

    def collect(self) -> None:
        super().collect()
        read_annotators(self.context, datetime.now(UTC))

    def release(self) -> Released | None:
        found = super().release()
        self.check_pairs()
        return found

    def work(self, seed: int) -> None:
        """Annotators answer the tasks that are for them, each some; now and then one answers somebody else's."""
        chance = random.Random(seed)
        said: list[tuple[Any, ...]] = []
        for place, number in enumerate(sorted(self.studio.tasks)):
            who = self.studio.tasks[number]["data"].get("assigned") or chance.choice(USERS)
            if chance.random() < 0.1:
                who = chance.choice(USERS)
            if chance.random() < 0.7:
                what = chance.choice([*CHOICES[:2] * 3, "unsure", "unusable", "nonsense"])
                said.append(("answer", place, what, who))
        self.say(said)

    # --- which answers decide ---------------------------------------------------------------------
    def keys(self, decision: Decision) -> set[str]:
        task = self.context.dataset.task
        return {question_key(decision, task, seat) for seat in _SEATS}

    def asked_for_answers(self, given: list[Given]) -> list[Given]:
        return [one for one in given if self._kind(one.key) is not SeatKind.GOLD]

    def deciding(self, counting: list[Given]) -> list[Given]:
        asked_last = [one for one in counting if self._kind(one.key) is SeatKind.ADJUDICATOR]
        panel = {one.user for one in counting if one not in asked_last}
        kept = [one for one in counting if one.user not in panel or one not in asked_last]
        latest = {one.user: one for one in kept}
        settled = [one for one in asked_last if latest[one.user] is one and one.answer.verdict is not Verdict.UNSURE]
        return settled[-1:] or kept

    def _kind(self, key: str) -> SeatKind:
        """Of the seat for which a task was sent: no task's own data tells a gold item from others."""
        return self._seats().get(key, FIRST).kind

    def _seats(self) -> dict[str, Seat]:
        """For which seat each task was sent, by push key."""
        sent = self.context.store.scan(Table.PUSHES).select("push_key", "seat").collect()
        return {key: Seat.read(seat) for key, seat in sent.iter_rows()}

    # --- laws -------------------------------------------------------------------------------------
    def check_seats(self, result: Curated) -> None:
        """Label Studio has one task for each open seat, for somebody who has not answered, and none for another."""
        assert not (result.review.problem or result.review.refused)
        asked = {one.key(self.context.dataset.task): one for one in self._asked()}
        answered = {row["task"] for row in self.studio.annotations.values()}
        there = {task["data"]["push_key"]: task for task in self._tasks() if task["id"] not in answered}
        assert there.keys() <= asked.keys()
        for key, one in asked.items():
            task = next(task for task in self._tasks() if task["data"]["push_key"] == key)
            assert task["data"].get("assigned", "") == one.annotator
            assert not one.annotator or one.annotator in self.annotators
            self._check_seat(one, task)
        self._check_panels(asked.values())
        self._check_status(asked.values())

    def _check_seat(self, one: Asked, task: Row) -> None:
        """It is for nobody who has answered the question, whatever the seat, and gold items tell nothing."""
        assert one.annotator not in {who for _, who in self._collected(one.decision)}, one
        if one.seat.kind is SeatKind.GOLD:
            data = task["data"]
            assert (data["seat"], data["why"], task["predictions"], data["candidates"]) == ("first", BLIND_WHY, [], [])

    def _check_panels(self, asked: Iterable[Asked]) -> None:
        """The seats of one question are for different people, where there are enough."""
        panels: defaultdict[str, list[Asked]] = defaultdict(list)
        for one in asked:
            if one.annotator:
                panels[one.decision.record_id].append(one)
        for panel in panels.values():
            assert len({one.annotator for one in panel}) == len(panel), panel

    def _check_status(self, asked: Collection[Asked]) -> None:
        """What status counts is what Label Studio has."""
        status, known = read_status(self.context), [one for one in asked if one.seat.kind is not SeatKind.GOLD]
        assert (status.waiting, status.unsent) == (len(known), 0)
        if status.seats is None:
            assert not (self.annotators or self.overlap)
            return
        assert status.seats.gold == len(asked) - len(known)
        assert status.seats.by_annotator == dict(Counter(one.annotator for one in known))
        waiting = Counter(one.annotator for one in known)
        lines = read_annotators(self.context, datetime.now(UTC)).annotators
        assert {line.annotator for line in lines} >= set(self.annotators)
        assert all(line.waiting == waiting[line.annotator] for line in lines)

    def check_pairs(self) -> None:
        """Of a preference pair, the chosen answer is the published row's, and the rejected one another."""
        releases = self.context.store.releases
        for manifest in list_versions(releases):
            folder = releases / manifest.version
            for split, file in manifest.preferences.items():
                rows = pl.read_parquet(folder / manifest.splits[split].file)
                for pair in pl.read_parquet(folder / file.file).iter_rows(named=True):
                    [row] = rows.filter(pl.col("id") == pair["id"]).to_dicts()
                    assert pair["chosen"] != pair["rejected"]
                    assert pair["split"] == split
                    assert row["label_source"] == LabelSource.HUMAN
                    assert [*pair["prompt"], *pair["chosen"]] == [*row["prompt"], *row["completion"]]

    def _asked(self) -> list[Asked]:
        return asked_now(self.snapshot, self.context.dataset)

    def _tasks(self) -> Iterator[Row]:
        project = self.project
        return (task for task in self.studio.tasks.values() if task["project"] == project)

    def _collected(self, decision: Decision) -> Iterator[tuple[str, str]]:
        """The push keys and people of the valid answers to a record's current question, gold items among them."""
        task = self.context.dataset.task
        seats = [*_SEATS, *(Seat(kind=SeatKind.GOLD, annotator=one) for one in USERS)]
        keys = {question_key(decision, task, seat) for seat in seats}
        for row in self.snapshot.latest_annotations().filter(~pl.col("deleted")).collect().iter_rows(named=True):
            if row["push_key"] in keys and row["verdict"] in DECISIVE:
                yield row["push_key"], row["email"]
