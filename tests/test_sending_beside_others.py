"""Questions are sent after the dataset's lock is free again: nobody waits for Label Studio but the sender."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from desk import Desk, rename
from fake_studio import FakeStudio, fake_studio
from loopback import Reply
from support import row, write_dataset
from terminal import Terminal

from pipeline.errors import Busy
from pipeline.tables import Verb

FIRST, SECOND, THIRD = (
    row(1, "Where is my parcel?", None),
    row(2, "Why was I charged twice?", None),
    row(3, "How do I send back shoes?", None),
)
Meanwhile = Callable[[], None]


class Watched:
    """A fake server in front of which something happens while it is sent questions."""

    def __init__(self, fake: FakeStudio) -> None:
        self.fake = fake
        self.meanwhile: Meanwhile | None = None

    def __call__(self, method: str, path: str, body: bytes) -> Reply:
        if self.meanwhile and "/import" in path:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return self.fake(method, path, body)


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
            with pytest.raises(Busy, match=r"in use by goldleaf curate \(sending questions\), process \d+; the next"):
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
        assert "3 questions wait for people: 'beside' is in use by goldleaf curate (sending questions)" in shown[0]
        assert "the next curate sends the rest" in shown[0]
        assert terminal.json("curate")["review"] | {"url": ""} == {
            "waiting": 3, "audits": 0, "unsent": 0, "sent": 1, "withdrawn": 0, "url": "", "refused": [], "problem": "",
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
