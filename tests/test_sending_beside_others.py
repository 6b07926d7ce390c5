"""Questions are sent and answers pulled while the dataset's lock is free: others need not wait for Label Studio."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import gethostname

import pytest
from desk import Desk, rename
from fake_studio import FakeStudio, fake_studio
from loopback import Reply
from support import Steps, row, write_dataset
from terminal import Terminal

from flows.collect import collect
from flows.engines.engine import Inline
from flows.release import release
from pipeline.errors import Busy, ConfigError
from pipeline.state.tables import Table
from schemas.run_summary import CollectSummary, Verb

FIRST, SECOND, THIRD = (
    row(1, "Where is my parcel?", None),
    row(2, "Why was I charged twice?", None),
    row(3, "How do I send back shoes?", None),
)
Meanwhile = Callable[[], None]


class Watched:
    """A fake server in front of which something happens while it is sent questions or asked for answers."""

    def __init__(self, fake: FakeStudio) -> None:
        self.fake = fake
        self.meanwhile: Meanwhile | None = None
        """When questions come."""
        self.afterwards: Meanwhile | None = None
        """When the answers were read, and before they are sent."""

    def __call__(self, method: str, path: str, body: bytes) -> Reply:
        if self.meanwhile and "/import" in path:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        reply = self.fake(method, path, body)
        if self.afterwards and "fields=all" in path:
            happens, self.afterwards = self.afterwards, None
            happens()
        return reply


@contextmanager
def watched_desk(folder: Path) -> Iterator[tuple[Desk, Watched]]:
    watching: list[Watched] = []

    def watch(fake: FakeStudio) -> Watched:
        watching.append(Watched(fake))
        return watching[0]

    write_dataset(folder, [FIRST, SECOND], "review: {budget: 100, audit: 0.0}\n")
    rename(folder, "beside")
    with fake_studio(watch) as fake:
        desk = Desk(folder, fake.url, fake.token)
        with desk.api, desk.client:
            yield desk, watching[0]


def test_while_questions_are_sent_the_dataset_is_free(tmp_path: Path) -> None:
    tried: list[str] = []
    with watched_desk(tmp_path) as (desk, server):
        store = desk.context.store

        def others() -> None:
            with store.lock(Verb.RELEASE):
                tried.append("release")
            with pytest.raises(
                Busy, match=r"in use by goldleaf curate \(sending questions\), process \d+ .+; the next"
            ):
                store.push_lock().__enter__()
            tried.append("send")

        server.meanwhile = others
        assert desk.curate().review.sent == 2
    assert tried == ["release", "send"]


def test_a_second_curate_leaves_its_questions_to_the_next_one_and_says_so(tmp_path: Path) -> None:
    with watched_desk(tmp_path) as (desk, server):
        terminal = Terminal(tmp_path, server.fake.url, server.fake.token)
        shown: list[str] = []

        def others() -> None:
            desk.rows(FIRST, SECOND, THIRD)
            shown.append(terminal.goldleaf("curate").stdout)

        server.meanwhile = others
        assert desk.curate().review.sent == 2
        assert (
            "3 questions are waiting for annotators: 'beside' is in use by goldleaf curate (sending questions)"
            in shown[0]
        )
        assert "the next curate sends the rest" in shown[0]
        assert terminal.json("curate")["review"] | {"url": ""} == {
            "waiting": 3, "rows": 3, "audits": 0, "unsent": 0, "skipped": 0, "sent": 1, "hidden": 0,
            "withdrawn": 0, "url": "", "refused": [], "tabs": {}, "strangers": [], "nobody_left": "",
            "notes": [], "problem": "",
        }  # fmt: skip
        assert set(server.fake.imported.values()) == {1}


def test_answers_that_are_collected_while_questions_are_sent_count(tmp_path: Path) -> None:
    with watched_desk(tmp_path) as (desk, server):
        desk.curate()
        desk.rows(FIRST, SECOND, THIRD)

        def others() -> None:
            desk.label(1, "delivery")
            assert desk.collect().decided == 1

        server.meanwhile = others
        assert desk.curate().review.sent == 1
        assert (desk.curate().review.sent, desk.collect().decided) == (0, 0)
        assert desk.decision(1).targets == {"topic": "delivery"}
        assert set(server.fake.imported.values()) == {1}
        assert not server.fake.deleted


def test_a_newer_curate_is_not_undone_by_one_that_sends_later(tmp_path: Path) -> None:
    """It sends what is committed when it begins to, not what it decided itself."""
    with watched_desk(tmp_path) as (desk, server):
        with desk.context.store.push_lock():
            assert desk.curate().review.sent == 0
        desk.rows(FIRST, row(2, "Why was I charged three times?", None))
        desk.curate()
        assert desk.asked() == sorted([desk.id(1), desk.id(2)])
        assert sum(server.fake.imported.values()) == 2


# --- pulling ----------------------------------------------------------------------------------------
def test_while_answers_are_pulled_the_dataset_is_free(tmp_path: Path) -> None:
    tried: list[str] = []
    with watched_desk(tmp_path) as (desk, server):
        desk.curate()
        desk.label(1, "delivery")

        def others() -> None:
            desk.rows(FIRST, SECOND, row(4, "Who pays for the parcel back?", "returns"))
            assert desk.curate().added == 1
            release(desk.context, Inline())
            tried.append("curate and release")

        server.afterwards = others
        assert desk.collect().decided == 1
        assert desk.decision(1).targets == {"topic": "delivery"}
        assert desk.collect().annotations == 0
    assert tried == ["curate and release"]


def test_a_second_collect_ends_at_once_and_says_who_is_at_work(tmp_path: Path) -> None:
    lines: list[str] = []
    with watched_desk(tmp_path) as (desk, server):
        terminal = Terminal(tmp_path, server.fake.url, server.fake.token)
        desk.curate()
        desk.label(1, "delivery")
        server.afterwards = lambda: lines.append(terminal.error("collect", "--json"))
        assert desk.collect().decided == 1
    assert lines[0].startswith("'beside' is in use by goldleaf collect (pulling annotations), process ")
    assert lines[0].endswith("; run collect again when it has finished")


def test_an_answer_that_is_edited_while_it_is_pulled_comes_with_the_next_collect(tmp_path: Path) -> None:
    with watched_desk(tmp_path) as (desk, server):
        desk.curate()
        answer = desk.label(1, "delivery")
        server.afterwards = lambda: desk.edit(answer, "billing")
        assert desk.collect().decided == 1
        assert desk.decision(1).targets == {"topic": "delivery"}
        assert desk.collect().decided == 1
        assert desk.decision(1).targets == {"topic": "billing"}


def test_an_answer_about_a_row_that_was_changed_while_it_was_pulled_does_not_count_for_it(tmp_path: Path) -> None:
    with watched_desk(tmp_path) as (desk, server):
        desk.curate()
        desk.label(2, "billing")

        def others() -> None:
            desk.rows(FIRST, row(2, "Why did the courier come twice?", None))
            desk.curate()

        server.afterwards = others
        assert desk.collect().decided == 0
        assert desk.decision(2).targets is None
        desk.rows(FIRST, SECOND)
        desk.curate()
        assert desk.decision(2).targets == {"topic": "billing"}, "it was kept"


def test_a_task_that_was_changed_and_curated_while_answers_were_pulled_is_not_gone_behind(tmp_path: Path) -> None:
    with watched_desk(tmp_path) as (desk, server):
        desk.curate()
        desk.label(1, "delivery")

        def others() -> None:
            file = tmp_path / "task.py"
            file.write_text(file.read_text().replace('"returns"]', '"returns", "refunds"]'))
            desk.curate()

        server.afterwards = others
        with pytest.raises(ConfigError, match=r"its task was changed and curated while annotations were pulled; noth"):
            desk.collect()
        assert desk.context.store.snapshot().last_run(CollectSummary) is None
        assert desk.collect().funnel.adds_up()


def test_a_collect_that_has_pulled_waits_for_who_is_at_work_and_says_for_whom(tmp_path: Path) -> None:
    """Minutes of pulling were lost to a release of seconds."""
    watched = Steps()
    with watched_desk(tmp_path) as (desk, server), ExitStack() as other:
        desk.curate()
        desk.label(1, "delivery")

        def release_begins() -> None:
            other.enter_context(desk.context.store.lock(Verb.RELEASE))
            threading.Timer(0.3, other.close).start()

        server.afterwards = release_begins
        assert collect(desk.context, Inline(watched)).decided == 1
    assert f"waiting for goldleaf release, process {os.getpid()} on {gethostname()}" in watched.steps


def test_a_collect_that_gives_up_waiting_keeps_nothing_and_the_next_one_pulls_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does one that was killed after it had pulled: nothing is written before."""
    monkeypatch.setattr("flows.collect.LOCK_PATIENCE", 0.3)
    with watched_desk(tmp_path) as (desk, server), ExitStack() as held:
        desk.curate()
        desk.label(1, "delivery")
        store = desk.context.store
        server.afterwards = lambda: held.enter_context(store.lock(Verb.RELEASE))
        with pytest.raises(Busy, match="in use by goldleaf release"):
            desk.collect()
        held.close()
        assert store.scan(Table.ANNOTATIONS).collect().height == 0
        assert desk.collect().decided == 1


def test_a_collect_that_finds_the_dataset_in_use_does_not_ask_the_server(tmp_path: Path) -> None:
    with watched_desk(tmp_path) as (desk, server), desk.context.store.lock(Verb.CURATE):
        server.afterwards = lambda: pytest.fail("it pulled")
        with pytest.raises(Busy, match="in use by goldleaf curate, process"):
            desk.collect()
