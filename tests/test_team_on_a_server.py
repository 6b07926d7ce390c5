"""A team on a real Label Studio: overlap, assignment and adjudication through its API."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from desk import Desk, desk_at
from team import ANA, BEN, CLEO, DORA, NAMED, QUESTIONS, answer, go_on, review, seats, there, whose

from flows.local.simulated_annotators import Truth, annotate
from flows.local.studio_server import LocalStudio
from pipeline.config.workspace import Connection
from pipeline.reporting.status import read_status
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.fate import Fate, LabelSource


@pytest.fixture
def desk(label_studio: LocalStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(label_studio, tmp_path, QUESTIONS, review("overlap: 1.0", NAMED)) as desk:
        desk.curate()
        yield desk


def test_two_annotators_contradict_each_other_and_a_third_decides(desk: Desk) -> None:
    assert len(desk.tasks()) == 2 * len(QUESTIONS)
    one, other = whose(desk, 1)["first"], whose(desk, 1)["second"]
    [third] = {ANA, BEN, CLEO} - {one, other}
    answer(desk, 1, "first", "delivery", one)
    answer(desk, 1, "second", "returns", other)
    go_on(desk)
    assert whose(desk, 1)["adjudicator"] == third
    answer(desk, 1, "adjudicator", "returns", other)
    go_on(desk)
    assert desk.decision(1).fate is Fate.REVIEW, "one of the two settles nothing"
    answer(desk, 1, "adjudicator 2", "billing", third)
    go_on(desk)
    assert (desk.decision(1).targets, desk.decision(1).label_source) == ({"topic": "billing"}, LabelSource.HUMAN)
    kept = desk.context.store.scan(Table.ANNOTATIONS).collect()
    assert set(kept["email"]) == {one, other, third}
    sent = len(desk.tasks())
    assert desk.curate().review.sent == 0 and len(desk.tasks()) == sent == 2 * len(QUESTIONS) + 2


def test_the_open_tasks_of_who_has_left_are_given_to_others_without_asking_again(desk: Desk) -> None:
    gone = whose(desk, 1)["first"]
    answer(desk, 1, "first", "delivery", gone)
    file = desk.folder / "dataset.yaml"
    left = [name for name in (ANA, BEN, CLEO) if name != gone]
    file.write_text(file.read_text().replace(NAMED, f"annotators: [{', '.join([*left, DORA])}]"))
    go_on(desk)
    assert len(desk.tasks()) == 2 * len(QUESTIONS)
    for key in (2, 3, 4):
        assert set(whose(desk, key).values()) < {*left, DORA} and len(set(whose(desk, key).values())) == 2
    assert there(desk, 1)["second"]["assigned"] in {*left, DORA}


def test_a_tab_shows_the_open_tasks_of_one_annotator_and_a_skip_stays(desk: Desk) -> None:
    review = desk.curate().review
    name = whose(desk, 1)["first"]
    mine = sorted(task["id"] for task in desk.tasks() if task["data"]["assigned"] == name)
    view = review.tabs[name].rpartition("=")[2]

    def shown() -> list[int]:
        answer = desk.api.get(f"/api/tasks?view={view}&page_size=100&fields=task_only").raise_for_status()
        return sorted(task["id"] for task in answer.json()["tasks"])

    assert shown() == mine
    first, *others = mine
    desk.submit(first, desk.result("delivery"), name)
    assert shown() == others
    desk.submit(others[0], desk.result("delivery"), name, skipped=True)
    assert shown() == others
    assert name not in review.strangers or desk.curate().review.strangers != review.strangers


def test_simulated_annotators_sit_in_the_seats_that_are_theirs(desk: Desk) -> None:
    truth = {desk.id(key): Truth({"topic": "billing"}, True) for key in (1, 2, 3)}
    connection = Connection(desk.settings.label_studio_url, desk.settings.label_studio_api_key.get_secret_value())
    assert annotate(connection, desk.context.dataset, truth, faultless=True) == 2 * len(QUESTIONS)
    go_on(desk)
    assert [desk.decision(key).targets for key in (1, 2, 3)] == [{"topic": "billing"}] * 3
    assert seats(desk, 4).keys() == {"first", "second", "adjudicator"}, "nobody knows"
    given = desk.context.store.scan(Table.ANNOTATIONS).collect()
    assert given.group_by("record_id").agg(pl.col("email").n_unique())["email"].to_list() == [2] * len(QUESTIONS)
    waiting = read_status(desk.context).seats
    assert waiting is not None and waiting.adjudications == 1
    answer(desk, 4, "adjudicator", Verdict.UNUSABLE, whose(desk, 4)["adjudicator"])
    go_on(desk)
    assert desk.decision(4).fate is Fate.REJECTED


def test_the_answers_of_one_annotator_are_set_aside_by_an_action_of_the_data_manager(desk: Desk) -> None:
    """As docs/teams.md tells leads to do."""
    said = {key: whose(desk, key) for key in (1, 2)}
    careless = said[1]["first"]
    for key, people in said.items():
        for seat, name in people.items():
            answer(desk, key, seat, "returns" if name == careless else "delivery", name)
    file = desk.folder / "dataset.yaml"
    left = ", ".join(name for name in (ANA, BEN, CLEO) if name != careless)
    file.write_text(file.read_text().replace(NAMED, f"annotators: [{left}]"))
    desk.collect()
    person = desk.client.ensure_user(careless, "", "")
    every = {"selectedItems": {"all": True, "excluded": []}, "annotator": str(person)}
    action = f"/api/dm/actions/?id=delete_tasks_annotations&project={desk.project}"
    gone = desk.api.post(action, json=every).raise_for_status().json()["processed_items"]
    assert gone == sum(name == careless for people in said.values() for name in people.values())
    go_on(desk)
    kept = desk.context.store.snapshot().latest_annotations().filter(~pl.col("deleted")).collect()
    assert careless not in kept["email"].to_list() and kept.height == 4 - gone
    assert all(task["data"]["assigned"] != careless for task in desk.tasks() if not task["annotations"])
    assert set(whose(desk, 1).values()) == {ANA, BEN, CLEO} - {careless}, "somebody else is asked in the same seat"
