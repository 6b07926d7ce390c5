"""What people and programs do to a project on a real Label Studio: each is told in a line, and no answer is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from desk import Desk, Row, desk_at
from support import row
from terminal import Terminal

from flows.local.studio_server import LocalStudio
from schemas.fate import LabelSource

ALL = "review: {budget: 100, audit: 0.0}\n"
UPDATE = ". Correct the annotation in Label Studio and update it."
NOTHING = f"topic: nothing was entered{UPDATE}"
OTHER = "topic: Input should be 'billing', 'delivery' or 'returns', got"


def region(name: str, **value: Any) -> dict[str, Any]:
    return {"id": "x", "from_name": name, "to_name": "question", "type": "choices", "value": value}


NONSENSE: list[tuple[list[dict[str, Any]], str]] = [
    ([], NOTHING),
    ([region("nobody", choices=["billing"])], NOTHING),
    ([{"from_name": 7, "value": 3}], NOTHING),
    ([region("topic", choices=[])], NOTHING),
    ([region("topic", choices=[[]])], f"{OTHER} []"),
    (
        [region("topic", choices=["weather"])],
        f"{OTHER} 'weather'",
    ),
    (
        [region("topic", text=["my answer"])],
        f"{OTHER} 'my answer'",
    ),
    ([region("topic", choices=["billing", "returns"])], "topic: 2 values where one is expected"),
    ([region("topic", choices=[{"a": 1}])], OTHER),
]
ROWS: list[Row] = [row(key, f"Question number {key} of them?", None) for key in range(1, len(NONSENSE) + 1)]


@pytest.fixture
def desk(label_studio: LocalStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(label_studio, tmp_path, ROWS, ALL) as desk:
        desk.curate()
        yield desk


def human(desk: Desk, *keys: int) -> list[bool]:
    return [desk.decision(key).label_source is LabelSource.HUMAN for key in keys]


# --- answers ----------------------------------------------------------------------------------------
def test_an_annotation_that_was_edited_into_nonsense_is_told_with_its_task_and_counts_once_it_is_mended(
    desk: Desk,
) -> None:
    made = {key: desk.label(key, "billing") for key in range(1, len(NONSENSE) + 1)}
    assert desk.collect().decided == len(made)
    for key, (result, _) in enumerate(NONSENSE, 1):
        desk.edit(made[key], result)
    collected = desk.collect()
    assert (collected.annotations, collected.invalid, collected.waiting) == (len(made), len(made), len(made))
    told = {one.record_id: one for one in collected.attention}
    for key, (_, said) in enumerate(NONSENSE, 1):
        assert told[desk.id(key)].what.startswith(said), NONSENSE[key - 1]
        assert told[desk.id(key)].what.endswith(UPDATE)
        assert told[desk.id(key)].url.endswith(f"/projects/{desk.project}/data?task={desk.task(key)}")
        desk.edit(made[key], "returns")
    assert (desk.collect().decided, desk.collect().invalid) == (len(made), 0)
    assert all(human(desk, *made))


def test_a_draft_a_prediction_and_a_skip_are_no_answers_and_of_two_by_one_user_the_later_counts(desk: Desk) -> None:
    draft = {"result": desk.result("billing"), "lead_time": 1}
    desk.api.post(f"/api/tasks/{desk.task(1)}/drafts", json=draft).raise_for_status()
    prediction = {"task": desk.task(2), "result": desk.result("billing"), "score": 2.0, "model_version": "somebody's"}
    desk.api.post("/api/predictions/", json=prediction).raise_for_status()
    desk.skip(3, "billing")
    desk.label(4, "billing")
    desk.label(4, "returns")
    collected = desk.collect()
    assert (collected.decided, collected.skipped, collected.invalid, collected.disputed) == (1, 1, 0, 0)
    assert human(desk, 1, 2, 3, 4) == [False, False, False, True]
    assert desk.decision(4).targets == {"topic": "returns"}
    sent = len(desk.tasks())
    assert desk.curate().review.sent == 0 and len(desk.tasks()) == sent, "the task with a draft stays, too"


def test_annotations_that_somebody_has_imported_with_other_tasks_hold_nothing_up(desk: Desk) -> None:
    """The server takes regions that are no objects, if they are imported."""
    [ours] = [one["data"] for one in desk.tasks() if one["data"]["record_id"] == desk.id(2)]
    for data, result in (({"question": "theirs", "why": "…", "candidates": []}, [1, "x"]), (ours, [None])):
        task = {"data": data, "annotations": [{"result": result}]}
        desk.api.post(f"/api/projects/{desk.project}/import", json=[task]).raise_for_status()
    desk.label(1, "delivery")
    collected = desk.collect()
    assert (collected.decided, collected.invalid) == (1, 1)
    assert [one.what for one in collected.attention] == [NOTHING]


# --- the form and the project -----------------------------------------------------------------------
def test_labels_that_were_removed_from_the_form_come_back_and_what_was_answered_without_them_counts(desk: Desk) -> None:
    page = f"/api/projects/{desk.project}/"
    form = desk.api.get(page).json()["label_config"]
    poorer = form.replace('value="returns"', 'value="sending back"')
    desk.api.patch(page, json={"label_config": poorer}).raise_for_status()
    desk.label(1, "billing")
    desk.label(2, "sending back")
    collected = desk.collect()
    assert (collected.decided, collected.invalid) == (1, 1)
    assert "got 'sending back'" in collected.attention[0].what
    assert desk.curate().review.sent == 0
    assert desk.api.get(page).json()["label_config"] == form


def test_labels_that_are_removed_from_the_task_ask_their_rows_anew_and_answers_with_them_come_back(desk: Desk) -> None:
    desk.label(1, "billing")
    desk.label(2, "returns")
    desk.collect()
    desk.label(3, "delivery")
    project, answered, task = desk.project, desk.task(2), desk.folder / "task.py"
    with_all = task.read_text()
    task.write_text(with_all.replace(', "returns"', ""))
    curated = desk.curate()
    assert "of annotators' answers about 2 rows 1 counts on, 1 is asked again" in curated.note
    assert (curated.review.sent, len(curated.review.notes), desk.project) == (1, 1, project)
    assert desk.task(2) != answered and human(desk, 1, 2, 3) == [True, False, False]
    assert 'value="returns"' not in desk.api.get(f"/api/projects/{project}/").json()["label_config"]
    desk.collect()
    assert human(desk, 3) == [True], "what was answered meanwhile counts"
    desk.label(2, "billing")
    task.write_text(with_all)
    assert desk.curate().review.sent == 0
    assert 'value="returns"' in desk.api.get(f"/api/projects/{project}/").json()["label_config"]
    desk.collect()
    assert human(desk, 1, 2, 3) == [True, True, True]
    assert desk.decision(2).targets == {"topic": "billing"}, "the later one of two answers by the same annotator"


def test_a_form_without_what_annotators_have_used_is_that_of_another_project(desk: Desk) -> None:
    task = desk.folder / "task.py"
    plain = task.read_text()
    task.write_text(plain.replace("    question:", "    title: Input[str | None] = None\n    question:"))
    desk.curate()
    desk.label(1, "billing")
    desk.collect()
    desk.label(2, "returns")
    before = desk.project
    task.write_text(plain)
    curated = desk.curate()
    # The earlier project is named once, and its title tells the two apart.
    left = f"{desk.client.url}/projects/{before}/data, 0 open tasks) gets no more of them: send your annotators"
    assert left in "".join(curated.review.notes) and left not in "".join(desk.curate().review.notes)
    assert desk.project != before and title_of(desk, before) == f"{title_of(desk, desk.project)} (closed)"[:50]
    desk.collect()
    assert human(desk, 1, 2) == [True, True], "what was answered there meanwhile counts"


def title_of(desk: Desk, project: int) -> str:
    return str(desk.api.get(f"/api/projects/{project}/").json()["title"])


def test_a_project_that_was_deleted_is_made_again_between_two_curates_and_between_push_and_pull(desk: Desk) -> None:
    """On SQLite the next project may get the id of the deleted one."""
    desk.label(1, "billing")
    desk.collect()
    desk.label(2, "billing")
    desk.delete(f"projects/{desk.project}")
    assert desk.curate().review.sent == len(ROWS) - 1
    desk.label(2, "delivery")
    desk.delete(f"projects/{desk.project}")
    collected = desk.collect()
    assert "is gone from" in collected.note and "the next curate recreates it" in collected.note
    assert human(desk, 1, 2) == [True, False]
    assert desk.curate().review.sent == len(ROWS) - 1
    desk.label(2, "returns")
    assert desk.collect().decided == 1
    assert [desk.decision(key).targets for key in (1, 2)] == [{"topic": "billing"}, {"topic": "returns"}]


# --- users ------------------------------------------------------------------------------------------
def test_the_token_of_who_has_left_the_organization_is_refused_and_nothing_is_made(
    desk: Desk, label_studio: LocalStudio
) -> None:
    """The server would show no projects, and take new ones that nobody sees."""
    with httpx.Client(base_url=label_studio.url, follow_redirects=True) as person:
        person.get(desk.api.get("/api/invite").json()["invite_url"])
        form = {"email": "gone@example.com", "password": "a-long-one-4711"}
        form["csrfmiddlewaretoken"] = person.cookies["csrftoken"]
        person.post("/user/signup/", params={"token": token_of(desk)}, data=form, headers={"Referer": label_studio.url})
        token = person.get("/api/current-user/token").json()["token"]
        user = person.get("/api/current-user/whoami").json()["id"]
    terminal = Terminal(desk.folder, label_studio.url, token)
    assert terminal.json("collect")["decided"] == 0, "a member may"
    organization = desk.api.get("/api/current-user/whoami").json()["active_organization"]
    desk.delete(f"organizations/{organization}/memberships/{user}")
    said = (
        f"cannot log in: gone@example.com is not in the organization of {label_studio.url} any more; invite them "
        "again, or set LABEL_STUDIO_API_KEY to another's token"
    )
    for verb in ("collect", "invite", "reconcile"):
        assert terminal.error(verb) == said
    assert f"error: {said}; everything is decided and committed" in terminal.goldleaf("curate", exit_code=1).stderr
    assert desk.curate().review.sent == 0


def token_of(desk: Desk) -> str:
    """The secret in the link of an invitation."""
    return str(desk.api.get("/api/invite").json()["invite_url"]).rpartition("=")[2]
