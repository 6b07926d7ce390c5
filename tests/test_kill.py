"""kill -9 in the middle of a verb, then the same command again: the state of an undisturbed run.

The verbs run as the command line does, in a process of their own that is told to die just before or after a given
call, so that the product itself needs no such hook.
"""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from forked import Point, command
from full_runs import must_agree_with_a_full_run
from polars.testing import assert_frame_equal
from support import row, state, write_dataset

from flows.context import Context
from flows.local.simulated_annotators import Truth, annotate
from flows.local.studio_server import LocalStudio
from flows.settings import Settings
from pipeline.config.workspace import Connection
from pipeline.review.label_studio import LabelStudio
from pipeline.review.queue import marker
from pipeline.state.store import Store
from pipeline.state.tables import INDEX


def goldleaf(*args: str, home: Path, studio: LocalStudio | None = None, killed_at: Point | None = None) -> str:
    """Run a command in a process of its own; with ``killed_at`` it must die there."""
    environment = {
        "GOLDLEAF_HOME": str(home),
        "LABEL_STUDIO_URL": studio.url if studio else "",
        "LABEL_STUDIO_API_KEY": studio.token if studio else "",
        "PREFECT_API_URL": "",
    }
    return command(*args, "--json", environment=environment, killed_at=killed_at)


def load(dataset: Path, home: Path) -> Context:
    return Context.load(dataset, Settings(goldleaf_home=str(home), label_studio_url="", prefect_api_url=""))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty rows: some wrong, a conflict, a duplicate, one without a label."""
    topics = ("billing", "delivery", "returns")
    rows = [row(n, f"Question number {n} about my order of {n * 7} red boxes", topics[n % 3]) for n in range(36)]
    rows += [
        row(50, "Why was I charged twice?", "billing"),
        row(51, "Why was I charged twice?", "returns"),
        row(52, "Question number 3 about my order of 21 red boxes", "billing"),
        row(53, "May I change the address?", None),
        row(54, "", "billing"),
    ]
    folder = tmp_path_factory.mktemp("kill") / "dataset"
    folder.mkdir()
    write_dataset(folder, rows, "review: {budget: 20, audit: 0.2}\n")
    return folder / "dataset.yaml"


@pytest.fixture(scope="module")
def curated(dataset: Path) -> Path:
    """A home after a curate that nothing disturbed."""
    home = dataset.parent.with_name("curated")
    goldleaf("curate", str(dataset), home=home)
    return home


@pytest.fixture(scope="module")
def published(dataset: Path, curated: Path) -> Path:
    """The same home after a release."""
    home = copied(curated, dataset.parent.with_name("published"))
    goldleaf("release", str(dataset), "--version", "1.0.0", home=home)
    return home


@pytest.fixture(scope="module")
def answered(dataset: Path, label_studio: LocalStudio) -> Path:
    """A home whose questions were sent, and all answered on the server."""
    home = dataset.parent.with_name("answered")
    goldleaf("curate", str(dataset), home=home, studio=label_studio)
    answer_everything(label_studio, load(dataset, home))
    return home


@pytest.fixture(scope="module")
def collected(dataset: Path, answered: Path, label_studio: LocalStudio) -> Path:
    """The same home after a collect."""
    home = copied(answered, dataset.parent.with_name("collected"))
    goldleaf("collect", str(dataset), home=home, studio=label_studio)
    return home


def copied(home: Path, to: Path) -> Path:
    return Path(shutil.copytree(home, to))


@pytest.mark.parametrize(
    "point",
    [
        Point("pipeline.state.store", "Store.append_if_unseen", "before", 1),
        Point("pipeline.state.store", "Store.append_if_unseen", "after", 1),
        Point("pipeline.state.store", "Store.append", "after", 1),
        Point("pipeline.state.store", "Store.append", "after", 2),
        Point("pipeline.state.store", "Store.append", "after", 3),
        Point("pipeline.state.store", "Store.commit", "before", 1),
        Point("pipeline.state.store", "Store.commit", "after", 1),
    ],
    ids=[
        *("before the records", "after the records", "after the pairs", "after the signatures"),
        *("after the decisions", "before the commit", "after the commit"),
    ],
)
def test_a_curate_that_was_killed_ends_like_an_undisturbed_one(
    dataset: Path, curated: Path, tmp_path: Path, point: Point
) -> None:
    goldleaf("curate", str(dataset), home=tmp_path, killed_at=point)
    goldleaf("curate", str(dataset), home=tmp_path)
    assert state(load(dataset, tmp_path).store) == state(load(dataset, curated).store)


@pytest.fixture(scope="module")
def grown(dataset: Path) -> Path:
    """A dataset that was curated three times, each time with another copy of a long row; its home is beside it."""
    folder = Path(shutil.copytree(dataset.parent, dataset.parent.with_name("grown")))
    long = "The parcel of order 17 was left with the neighbor at number 4, who says that it went back on day 3"
    for copies in range(3):
        with (folder / "data.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(
                f"{json.dumps(row(60 + n, long + ' so' * n, 'billing'))}\n" for n in (2 * copies, 2 * copies + 1)
            )
        goldleaf("curate", str(folder / "dataset.yaml"), home=folder / "home")
    return folder / "dataset.yaml"


@pytest.fixture(scope="module")
def reindexed(grown: Path) -> Path:
    """Its home after a curate that has compared all texts again, and that nothing disturbed."""
    home = copied(grown.parent / "home", grown.parent / "reindexed")
    goldleaf("curate", str(grown), "--reindex", home=home)
    return home


def index(store: Store) -> list[pl.DataFrame]:
    """What is known of similar texts; what a killed run has found may be there twice."""
    found = [store.scan(table).unique().collect().sort(pl.all().exclude(pl.Binary)) for table in INDEX]
    assert all(one.height > 1 for one in found)
    return found


@pytest.mark.parametrize(
    "point",
    [
        Point("pathlib", "Path.rename", "before", 1),
        Point("pathlib", "Path.rename", "after", 1),
        Point("pathlib", "Path.rename", "after", 2),
        Point("os", "rmdir", "before", 1),
        Point("pathlib", "Path.touch", "before", 1),
        Point("pathlib", "Path.touch", "after", 1),
        Point("pipeline.state.store", "Store.append", "after", 1),
        Point("pipeline.state.store", "Store.append", "after", 2),
        Point("pipeline.state.store", "Store.append_pieces", "after", 1),
        Point("pipeline.state.store", "Store.commit", "before", 1),
        Point("pipeline.state.store", "Store.append", "after", 3),
        Point("pipeline.state.store", "Store.commit", "after", 1),
    ],
    ids=[
        *("before the index goes", "without signatures", "without the index", "while it is removed"),
        *("before the mark", "after the mark", "after the pairs", "after the signatures", "after the decisions"),
        *("before the commit", "with the mark still there", "after the commit"),
    ],
)
def test_a_curate_that_was_killed_while_it_compared_all_texts_again_is_finished_by_the_next_one(
    grown: Path, reindexed: Path, tmp_path: Path, point: Point
) -> None:
    """The index is at lower versions then than the last run has left it at, which is no damage."""
    home = copied(grown.parent / "home", tmp_path / "home")
    goldleaf("curate", str(grown), "--reindex", home=home, killed_at=point)
    goldleaf("curate", str(grown), home=home)
    killed, undisturbed = load(grown, home).store, load(grown, reindexed).store
    assert state(killed) == state(undisturbed)
    for one, other in zip(index(killed), index(undisturbed), strict=True):
        assert_frame_equal(one, other)
    assert not killed.rebuilding.exists() and not list(killed.root.glob("work/*"))
    must_agree_with_a_full_run(load(grown, home))


@pytest.mark.parametrize(
    "point",
    [
        Point("pipeline.review.label_studio", "LabelStudio._import", "before", 1),
        Point("pipeline.review.label_studio", "LabelStudio._import", "after", 1),
        # A curate run appends pairs, signatures, decisions and its runs row; then come the pushes.
        Point("pipeline.state.store", "Store.append", "before", 5),
        Point("pipeline.state.store", "Store.append", "after", 5),
    ],
    ids=["before the import", "after the import", "before the note", "after the note"],
)
def test_a_push_that_was_killed_asks_every_question_once(
    dataset: Path, tmp_path: Path, label_studio: LocalStudio, point: Point
) -> None:
    home = tmp_path / "home"
    dataset = renamed(dataset, tmp_path)
    goldleaf("curate", str(dataset), home=home, studio=label_studio, killed_at=point)
    result = json.loads(goldleaf("curate", str(dataset), home=home, studio=label_studio))
    context = load(dataset, home)
    keys = pushed_keys(label_studio, context)
    assert len(keys) == len(set(keys)) == result["review"]["waiting"]
    assert set(keys) == {push["push_key"] for push in state(context.store)["pushes"]}


@pytest.mark.parametrize(
    "point",
    [
        Point("pipeline.review.label_studio", "LabelStudio.answers_to", "after", 1),
        Point("pipeline.state.store", "Store.append", "after", 1),
        Point("pipeline.state.store", "Store.append", "after", 2),
        Point("pipeline.state.store", "Store.commit", "after", 1),
        Point("pipeline.state.store", "Store.commit", "before", 2),
    ],
    ids=["pulled", "after the annotations", "after the decisions", "after the commit", "before the rest's commit"],
)
def test_a_collect_that_was_killed_ends_like_an_undisturbed_one(
    dataset: Path, answered: Path, collected: Path, tmp_path: Path, label_studio: LocalStudio, point: Point
) -> None:
    home = copied(answered, tmp_path / "home")
    goldleaf("collect", str(dataset), home=home, studio=label_studio, killed_at=point)
    goldleaf("collect", str(dataset), home=home, studio=label_studio)
    killed = state(load(dataset, home).store)
    assert killed == state(load(dataset, collected).store)
    assert {answer["verdict"] for answer in killed["answers"]} == {"labeled"}


@pytest.mark.parametrize(
    "point",
    [
        Point("pipeline.releases.draft", "write_rows", "after", 1),
        Point("pipeline.state.store", "Store.append", "after", 1),
        Point("pipeline.releases.publish", "_write", "after", 1),
        Point("pipeline.releases.publish", "_rename", "before", 1),
        Point("pipeline.releases.publish", "_rename", "after", 1),
        Point("pipeline.state.store", "Store.commit", "before", 1),
    ],
    ids=[
        *("after the rows of a split", "after the splits", "half written", "before the rename", "after the rename"),
        "before the commit",
    ],
)
def test_a_release_that_was_killed_ends_like_an_undisturbed_one(
    dataset: Path, curated: Path, published: Path, tmp_path: Path, point: Point
) -> None:
    home = copied(curated, tmp_path / "home")
    command = ("release", str(dataset), "--version", "1.0.0")
    goldleaf(*command, home=home, killed_at=point)
    result = json.loads(goldleaf(*command, home=home))
    killed, undisturbed = load(dataset, home).store, load(dataset, published).store
    assert state(killed) == state(undisturbed)
    assert [path.name for path in killed.releases.iterdir()] == ["1.0.0"]
    assert result["digest"] in goldleaf("verify", "questions@1.0.0", str(dataset), home=home)


def renamed(dataset: Path, folder: Path) -> Path:
    """A copy of the dataset with a name, and with it a project, of its own on the shared server."""
    name = "questions-" + "".join(letter if letter.isalnum() else "-" for letter in folder.name.lower())
    shutil.copytree(dataset.parent, folder / "dataset")
    copy = folder / "dataset" / dataset.name
    copy.write_text(copy.read_text().replace("name: questions", f"name: {name}", 1))
    return copy


def pushed_keys(studio: LocalStudio, context: Context) -> list[str]:
    with LabelStudio(studio.url, studio.token) as client:
        project = client.find_project(marker(context.dataset))
        assert project is not None
        return [task.push_key for task in client.pull(project, None).tasks]


def answer_everything(studio: LocalStudio, context: Context) -> None:
    """Answer every task with `returns`, through the real API."""
    ids = context.store.snapshot().current_records().select("record_id").collect().to_series()
    truth = {record_id: Truth({"topic": "returns"}, usable=True) for record_id in ids}
    annotate(Connection(studio.url, studio.token), context.dataset, truth, faultless=True)
