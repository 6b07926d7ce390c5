"""Answers outlive changes of the task: they count as long as what they say is valid and what was asked is the same."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio, fake_studio
from support import Steps, row
from terminal import Terminal

from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.errors import ConfigError
from pipeline.reporting.check import check_dataset
from pipeline.reporting.explain import Said, explain
from pipeline.state.tables import Table
from schemas.fate import Fate, LabelSource, Routed

TOPICS = {1: "billing", 2: "delivery", 3: "returns", 4: "billing"}
"""What annotators answer; two more rows stay open."""
ROWS = [row(key, f"What about my parcel number {key * 7919}?", None) for key in range(1, 7)]
LABELS = '"billing", "delivery", "returns"'


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    with fake_studio() as fake:
        yield fake


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, list(ROWS), "review: {budget: 100, audit: 0.0}\n") as desk:
        yield desk


def answered(desk: Desk, answers: dict[int, str] = TOPICS) -> None:
    desk.curate()
    for key, topic in answers.items():
        desk.label(key, topic)
    desk.collect()


def change(desk: Desk, *edits: tuple[str, str], file: str = "task.py") -> None:
    path = desk.folder / file
    text = path.read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


class Told(Steps):
    """Notes what is said among the steps."""

    def say(self, text: str) -> None:
        self.steps.append(text)


def counting(desk: Desk) -> dict[int, str]:
    """The topics that annotators' answers give the rows."""
    decided = {key: desk.decision(key) for key in range(1, len(ROWS) + 1)}
    return {
        key: str((one.targets or {})["topic"]) for key, one in decided.items() if one.label_source is LabelSource.HUMAN
    }


def said_about(desk: Desk, key: int) -> list[Said]:
    """What `explain` tells of the answers about a row."""
    context = desk.context
    return explain(context.store.snapshot(), desk.id(key), context.store.releases, context.dataset).said


OTHER_NAME = (("class Question(", "class Ticket("),)
CHANGES = {
    "another name of the class": OTHER_NAME,
    "one more label": ((LABELS, f'{LABELS}, "praise"'),),
    "one more input that no row has": (('    topic: Target', '    hint: Input[str | None] = None\n    topic: Target'),),
    "one more context": (('    topic: Target', '    shop: Context[str | None] = None\n    topic: Target'),
                         ("import Input", "import Context, Input")),
    "other words": (("Name the topic of this question.", "Say what the question is about."),),
    "an optional answer": ((f"Target[Literal[{LABELS}]]", f"Target[Literal[{LABELS}] | None] = None"),),
}  # fmt: skip


def changed(desk: Desk, name: str) -> None:
    change(desk, *CHANGES[name])
    if CHANGES[name] is OTHER_NAME:
        change(desk, ("task.py:Question", "task.py:Ticket"), file="dataset.yaml")


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_asks_the_same_keeps_answers_and_open_questions(
    desk: Desk, studio: FakeStudio, name: str
) -> None:
    answered(desk)
    tasks = dict(studio.tasks)
    changed(desk, name)
    assert desk.curate().review.sent == 0
    assert counting(desk) == TOPICS
    assert (studio.tasks.keys(), len(studio.projects)) == (tasks.keys(), 1), "the open questions stay open"
    desk.label(5, "praise" if "praise" in (desk.folder / "task.py").read_text() else "returns")
    assert desk.collect().decided == 1
    assert counting(desk).keys() == {*TOPICS, 5}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_home_of_before_has_asked_and_heard_counts_too(
    desk: Desk, studio: FakeStudio, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its decisions, tasks and project are bound to the whole class."""
    with monkeypatch.context() as before:
        for module in ("pipeline.state.same_question", "pipeline.review.queue", "pipeline.curation.settle"):
            before.setattr(f"{module}.asked_digest", lambda task: task.task_digest())
        before.setattr("pipeline.curation.stages.same_question", lambda *_: ())
        answered(desk)
        desk.label(5, "billing")
    tasks = studio.tasks.keys()
    decided = desk.context.store.scan(Table.DECISIONS).select(pl.len()).collect().item()
    desk.curate()
    assert desk.context.store.scan(Table.DECISIONS).select(pl.len()).collect().item() == decided
    changed(desk, name)
    desk.curate()
    desk.collect()
    assert counting(desk) == TOPICS | {5: "billing"}
    assert (studio.tasks.keys(), len(studio.projects)) == (tasks, 1)


def test_a_home_of_before_keeps_its_answers_if_it_is_updated_and_changed_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        for module in ("pipeline.state.same_question", "pipeline.review.queue", "pipeline.curation.settle"):
            before.setattr(f"{module}.asked_digest", lambda task: task.task_digest())
        before.setattr("pipeline.curation.stages.same_question", lambda *_: ())
        answered(desk)
        desk.label(5, "billing")
    changed(desk, "another name of the class")
    desk.curate()
    desk.collect()
    assert counting(desk) == TOPICS | {5: "billing"}


def test_a_label_that_is_gone_makes_only_the_answers_invalid_that_say_it(desk: Desk, studio: FakeStudio) -> None:
    answered(desk)
    desk.label(5, "billing")
    answered_task = desk.task(3)
    change(desk, (LABELS, '"billing", "delivery"'))
    review = desk.curate().review
    assert counting(desk) == {key: topic for key, topic in TOPICS.items() if topic != "returns"}
    assert (review.sent, review.withdrawn, len(review.notes)) == (1, 0, 1), (
        "one row is asked again, in the same project"
    )
    assert desk.task(3) != answered_task and answered_task in studio.tasks
    assert desk.curate().review.sent == 0
    collected = desk.collect()
    assert (collected.invalid, counting(desk)[5]) == (0, "billing"), "it was answered meanwhile"
    changed(desk, "another name of the class")
    assert desk.curate().review.sent == 0
    desk.label(3, "delivery")
    desk.label(6, "delivery")
    assert desk.collect().decided == 2
    assert counting(desk) == TOPICS | {3: "delivery", 5: "billing", 6: "delivery"}
    change(desk, ('"billing", "delivery"', LABELS))
    assert desk.curate().review.sent == 0
    assert counting(desk)[3] == "delivery", "the later one of two answers by the same annotator"


def test_an_answer_that_others_have_overruled_does_not_count_because_theirs_is_gone(desk: Desk) -> None:
    """Nor does a row in dispute count as one with a label's new name, though what it has is not what was said last."""
    desk.rows(*ROWS, *(row(key, "Where is my sofa now?", topic) for key, topic in ((7, "billing"), (8, "delivery"))))
    desk.curate()
    key = 7 if desk.id(7) in desk.asked() else 8
    own, other = ("billing", "delivery") if key == 7 else ("delivery", "billing")
    desk.label(key, own, "a@example.com")
    desk.label(key, other, "b@example.com")
    for key, said in {1: ("returns", "returns", "billing"), 2: ("billing", "billing", "returns")}.items():
        for user, topic in zip(("a@example.com", "b@example.com", "c@example.com"), said, strict=True):
            desk.label(key, topic, user)
    desk.label(3, "returns", "a@example.com")
    desk.label(3, "billing", "b@example.com")
    desk.collect()
    assert (counting(desk), desk.decision(3).routed) == ({1: "returns", 2: "billing"}, Routed.ADJUDICATE)
    before = desk.task(1)
    change(desk, (LABELS, '"billing", "delivery"'))
    [finding] = [one for one in check_dataset(desk.context) if one.what == "annotators' answers"]
    assert finding.detail.startswith(
        "of annotators' answers about 4 rows 2 count on, 2 are asked again within the budget (topic: "
    )
    assert desk.curate().review.sent == 2
    assert counting(desk) == {2: "billing"}, "the only answer that is left was outvoted, or contradicted"
    gone, other = "the task has no such answer any more", "what it contradicts is not valid any more"
    assert [one.stale for one in said_about(desk, 1)] == [gone, gone, other]
    assert [one.stale for one in said_about(desk, 2)] == ["", "", gone]
    desk.label(1, "delivery", "b@example.com")
    late = desk.submit(before, desk.result("billing"), "d@example.com")
    desk.collect()
    assert desk.decision(1).routed is Routed.ADJUDICATE, "nobody overruled what was said since, in the old task"
    desk.delete(f"annotations/{late}")
    desk.collect()
    assert counting(desk) == {1: "delivery", 2: "billing"}
    change(desk, ('"billing", "delivery"', LABELS))
    desk.curate()
    assert desk.decision(1).routed is Routed.ADJUDICATE, "all three count again: returns, delivery and billing"


def test_a_form_that_the_server_does_not_take_goes_to_a_new_project_and_what_is_answered_in_the_old_one_counts(
    desk: Desk, studio: FakeStudio
) -> None:
    change(desk, ("    question:", "    title: Input[str | None] = None\n    question:"))
    answered(desk)
    desk.label(5, "returns")
    change(desk, ("    title: Input[str | None] = None\n", ""))
    review = desk.curate().review
    assert "has changed too much for the form of its project" in review.notes[-1]
    assert (len(studio.projects), counting(desk)) == (2, TOPICS)
    asked = [(task["data"]["record_id"], task["project"]) for task in studio.tasks.values()]
    assert {record for record, project in asked if project == desk.project} == {desk.id(key) for key in (5, 6)}
    left = {record for record, project in asked if project != desk.project}
    assert left == {desk.id(key) for key in range(1, 6)}, "what has an answer stays; nobody is asked in two projects"
    desk.collect()
    assert counting(desk) == TOPICS | {5: "returns"}
    assert desk.curate().review.notes == [], "it is said once"


def test_check_and_curate_say_before_anything_is_done_how_many_answers_are_kept(desk: Desk) -> None:
    answered(desk)
    change(desk, (LABELS, '"billing", "delivery"'))
    said = (
        "of annotators' answers about 4 rows 3 count on, 1 is asked again within the budget (topic: Input should be "
        "'billing' or 'delivery', got 'returns': 1)"
    )
    [finding] = [one for one in check_dataset(desk.context) if one.what == "annotators' answers"]
    assert (finding.detail, finding.warning) == (said, True)
    assert counting(desk) == TOPICS, "nothing is done"
    told = Told()
    assert said in curate(desk.context, Inline(told)).note
    assert told.steps[0] == said, "before the first step"
    changed(desk, "another name of the class")
    [finding] = [one for one in check_dataset(desk.context) if one.what == "annotators' answers"]
    assert (finding.detail, finding.warning) == ("of annotators' answers about 3 rows 3 count on", False)


def test_an_answer_to_other_fields_or_inputs_does_not_count_and_comes_back_with_them(desk: Desk) -> None:
    answered(desk)
    change(desk, ("    topic:", "    mood: Target[str | None] = None\n    topic:"))
    desk.curate()
    assert counting(desk) == {}, "nobody was asked for a mood"
    change(desk, ("    mood: Target[str | None] = None\n", ""))
    desk.curate()
    assert counting(desk) == TOPICS
    change(desk, ("    topic: Target[Literal", "    topic: Target[list[Literal"), ('"returns"]', '"returns"]]'))
    desk.curate()
    assert counting(desk) == {}, "who names one topic does not say that no other applies"


def test_an_answer_that_was_given_with_an_input_that_is_gone_does_not_count(desk: Desk) -> None:
    desk.rows(*({**one, "hint": "urgent"} for one in ROWS))
    change(desk, ("    topic:", "    hint: Input[str | None] = None\n    topic:"))
    answered(desk)
    assert counting(desk) == TOPICS
    change(desk, ("    hint: Input[str | None] = None\n", ""))
    desk.curate()
    assert counting(desk) == {}


def test_a_type_that_changes_makes_only_the_answers_invalid_that_do_not_parse(desk: Desk) -> None:
    change(desk, (LABELS, '"billing", "1", "2"'))
    answered(desk, {1: "1", 2: "2", 3: "billing"})
    change(desk, ('Literal["billing", "1", "2"]', "int"))
    desk.curate()
    assert counting(desk) == {1: "1", 2: "2"}


# --- labels with other names --------------------------------------------------------------------------
def renamed(desk: Desk, names: str, labels: str) -> None:
    change(desk, (LABELS, labels), ("    question:", f"    renamed = {names}\n    question:"))


def test_a_label_s_new_name_holds_for_answers_sources_gold_and_what_is_published(desk: Desk) -> None:
    desk.rows(*ROWS[:5], row(6, "May I send this lamp back?", "returns"), row(7, "Where is my sofa now?", "delivery"))
    (desk.folder / "gold.jsonl").write_text('{"id": 8, "question": "Can this chair go back?", "topic": "returns"}\n')
    change(desk, ("review:", "  - {name: gold, path: gold.jsonl, key: id, gold: true}\nreview:"), file="dataset.yaml")
    answered(desk)
    release(desk.context, Inline())
    desk.label(5, "returns")
    renamed(desk, '{"returns": "refunds"}', '"billing", "delivery", "refunds"')
    said = "of annotators' answers about 4 rows 4 count on, 1 of them by a label's new name"
    assert [one.detail for one in check_dataset(desk.context) if one.what == "annotators' answers"] == [said]
    assert said in desk.curate().note
    now = {key: "refunds" if topic == "returns" else topic for key, topic in TOPICS.items()}
    assert counting(desk) == now
    desk.collect()
    assert counting(desk) == now | {5: "refunds"}, "what was said by the old name and not collected yet"
    assert (desk.decision(6).targets, desk.decision(6).fate) == ({"topic": "refunds"}, Fate.ACCEPTED)
    released = release(desk.context, Inline())
    topics = pl.concat([pl.read_parquet(file) for file in Path(released.path).glob("data/*.parquet")])["fields"]
    assert (sorted(one["topic"] for one in topics), released.created) == (
        ["billing"] * 2 + ["delivery"] * 2 + ["refunds"] * 4,
        True,
    )
    assert desk.curate().decided == 0


@pytest.mark.parametrize(
    ("names", "labels", "then", "later", "crossed"),
    [
        ('{"billing": "x", "delivery": "y"}', '"x", "y", "returns"', '{"x": "delivery", "y": "billing"}', LABELS, True),
        ('{"billing": "x"}', '"x", "delivery", "returns"', "{}", f'"x", {LABELS}', True),
        ('{"billing": "x"}', '"x", "delivery", "returns"', "{}", LABELS, False),
        ('{"billing": "x"}', '"x", "delivery", "returns"', '{"x": "billing"}', LABELS, False),
        ('{"billing": "x"}', '"x", "delivery", "returns"', '{"billing": "x", "x": "z"}', '"z", "delivery"', False),
    ],
    ids=["swapped in two steps", "another label by an old name", "undone", "renamed back", "renamed again"],
)
def test_no_answer_counts_for_another_label_that_has_the_name_of_an_earlier_one(
    desk: Desk, names: str, labels: str, then: str, later: str, crossed: bool
) -> None:
    answered(desk)
    renamed(desk, names, labels)
    desk.curate()
    before = counting(desk)
    change(desk, (f"renamed = {names}", f"renamed = {then}"), (f"Literal[{labels}]", f"Literal[{later}]"))
    if not crossed:
        desk.curate()
        return
    with pytest.raises(ConfigError, match=r"answers? that counted as '.*' would count as 'billing' now"):
        desk.curate()
    [found] = [one for one in check_dataset(desk.context) if one.what == "what was curated"]
    assert not found.ok and "Give the new label a name that none had before" in found.detail
    assert counting(desk) == before


# --- what a release loses -----------------------------------------------------------------------------
def test_a_release_says_which_rows_of_the_last_version_it_lacks_and_stops_beyond_a_share(
    desk: Desk, studio: FakeStudio
) -> None:
    terminal = Terminal(desk.folder, studio.url, studio.token, columns=300)
    rows = [row(key, f"Where is chair number {key * 31}?", "delivery") for key in range(8, 48)]
    desk.rows(*ROWS, *rows)
    change(desk, ("review:", "duplicates: {threshold: 1}\nreview:"), file="dataset.yaml")
    change(desk, ("key: id", "key: id, mode: snapshot"), file="dataset.yaml")
    answered(desk)
    assert "lost:" not in terminal.goldleaf("release").stdout
    desk.rows(*ROWS, *rows[:-1])
    change(desk, ("returns", "refunds"))
    desk.curate()
    lost = "2 of 44 rows of 1.0.0 are not in it (1 of them answered by people; now 1 gone from the source, 1 in review)"
    shown = terminal.goldleaf("release").stdout
    assert f"lost: {lost}\n" in shown, shown
    desk.rows(*ROWS, *rows[:-4])
    desk.curate()
    # What a source takes away is said, and stops nothing.
    assert terminal.json("release")["lost"] == "3 of 42 rows of 1.1.0 are not in it (now 3 gone from the source)"
    desk.rows(*ROWS, *rows[:-7], *(one | {"topic": "nonsense"} for one in rows[-7:-4]))
    desk.curate()
    refused = (
        "3 of 39 rows of 1.2.0 are not in it (now 3 rejected), which is more than release.most_lost (5%); nothing was "
        "published. `goldleaf explain` says why a row is not; if that is meant, run `goldleaf release --allow-lost`"
    )
    assert terminal.goldleaf("release", exit_code=1).stderr.endswith(refused + "\n")
    assert terminal.json("release", "--allow-lost")["lost"].startswith("3 of 39 rows of 1.2.0 are not in it")
    assert terminal.json("release")["lost"] == "", "nothing new is published"
    [train] = Path(terminal.json("release")["path"]).glob("data/train-*")
    train.write_bytes(train.read_bytes()[:-9])
    desk.rows(*ROWS, *rows[:-9])
    desk.curate()
    unknown = "the rows of 1.3.0 cannot be read"
    assert unknown in terminal.goldleaf("release", exit_code=1).stderr, "nobody can say how many are lost"
    assert terminal.json("release", "--allow-lost")["lost"].startswith(unknown)
