"""Lets hypothesis choose what happens next in the life of a dataset, alone or with a team of annotators."""

import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from chances import CHANGES, TEAM_CHANGES, USERS, Chance
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lives import Life
from team_life import TeamLife
from themes import THEMES, Theme

from pipeline.reporting.explain import explain
from pipeline.reporting.write_report import write_report

seeds = st.integers(0, 2**32 - 1)
STARTS: list[dict[str, Any]] = [
    {"annotators": USERS, "overlap": 0.5, "gold": 0.3, "trusts": True},
    {"annotators": USERS[:2], "overlap": 1.0, "suggests": True},
    {"annotators": USERS, "overlap": 0.7, "panel": 3, "gold": 0.2},
    {"annotators": USERS, "asks": "error_rate: 0.3"},
    {"overlap": 1.0},
    {"overlap": 1.0, "panel": 3},
]
"""Teams to begin with."""


class Lives(RuleBasedStateMachine):
    """A life without a team."""

    life: Life

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
        write_report(self.life.context)
        snapshot = self.life.snapshot
        ids = snapshot.latest_records().select("record_id").collect().to_series().sort().to_list()
        context = self.life.context
        story = explain(snapshot, ids[pick % len(ids)], context.store.releases, context.dataset)
        assert story.revisions

    @invariant()
    def laws(self) -> None:
        self.life.check()


class TeamLives(Lives):
    """A life with a team."""

    life: TeamLife

    @initialize(seed=seeds, theme=st.sampled_from(THEMES), start=st.sampled_from(STARTS))
    def begin(self, seed: int, theme: Theme, start: dict[str, Any]) -> None:
        self.life = self._exit.enter_context(closing(TeamLife(self._folder, theme)))
        self.life.change(**start)
        self.life.edit([*Chance(seed).texts(3), *Chance(seed).talks()])

    @rule(change=st.sampled_from(TEAM_CHANGES))
    def change(self, change: dict[str, Any]) -> None:
        self.life.change(**change)

    @rule(seed=seeds, days=st.integers(2, 3))
    @precondition(lambda self: self.life.read is not None)
    def work_some_days(self, seed: int, days: int) -> None:
        """Everybody answers the own tasks; then the next ones are sent."""
        for day in range(days):
            self.life.work(seed + day)
            self.life.collect()
            self.life.check()
            self.life.curate()
            self.life.check()
