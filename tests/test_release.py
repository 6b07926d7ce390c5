"""Releases over time: rows come, go and change, but no row moves between splits and none leaks."""

import json
import random
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd import Odd
from support import current, offline, row, write_dataset, write_rows
from terminal import Terminal
from tried_examples import examples

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import Released, release
from pipeline.errors import ReleaseError, VersionExists
from pipeline.releases.versions import verify
from pipeline.text.normalize import match_key, normalize_text
from pipeline.text.words import jaccard
from schemas.dataset import Normalize
from schemas.decision import Decision
from schemas.fate import Fate, ReasonCode
from schemas.identity import stable_hash

Row = dict[str, object]
TOPICS = ("billing", "delivery", "returns")
NO_REVIEW = "review: {budget: 0, audit: 0.0}\n"


class Shop:
    """A dataset whose file is rewritten from day to day."""

    def __init__(self, folder: Path, rows: list[Row], more: str = NO_REVIEW) -> None:
        self.folder = folder
        write_dataset(folder, rows, more)
        file = folder / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))

    @property
    def context(self) -> Context:
        return Context.load(self.folder / "dataset.yaml", offline(self.folder / "home"))

    def day(self, rows: list[Row], version: str | None = None) -> dict[int, str]:
        """The file holds these rows now: curate, release, and return the splits by row id."""
        write_rows(self.folder, rows)
        curate(self.context, Inline())
        return self.published(self.release(version))

    def release(self, version: str | None = None) -> Released:
        return release(self.context, Inline(), version=version)

    def published(self, released: Released) -> dict[int, str]:
        loaded = load(released.path)
        names = {record(key): key for key in range(1000)}
        return {names[entry["id"]]: split for split, rows in loaded.items() for entry in rows}

    def decision(self, key: int) -> Decision:
        return current(self.context)[record(key)]


def record(key: int) -> str:
    """The record id of a row's id."""
    return stable_hash("examples", f"int:{key}")


def load(path: str) -> datasets.DatasetDict:
    """Load a version as a training script does; ``datasets`` keeps its cache beside it."""
    loaded = datasets.load_dataset(path, cache_dir=str(Path(path).parent / ".cache"))
    assert isinstance(loaded, datasets.DatasetDict)
    return loaded


def rows_of(first: int, last: int) -> list[Row]:
    """Rows that have nothing in common."""
    return [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(first, last)]


def sentence(key: int, more: str = "") -> str:
    """Nine words that only rows of one key share."""
    words = ["my", "order", "of", "the", "red", "garden", "chairs", "is", "late"]
    return " ".join(f"{word}{key}" for word in words) + more


# --- splits stay ----------------------------------------------------------------------------------
def test_new_rows_move_no_old_one(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    first = shop.day(rows_of(0, 20))
    second = shop.day(rows_of(0, 40))
    assert {key: second[key] for key in first} == first
    assert len(second) == 40
    sizes = {split: list(second.values()).count(split) for split in ("train", "validation", "test")}
    assert sizes == {"train": 32, "validation": 4, "test": 4}


def test_a_withdrawn_row_moves_no_other_and_comes_back_to_its_split(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    everything = shop.day(rows_of(0, 20))
    without = shop.day(rows_of(0, 20)[::2])
    assert without == {key: split for key, split in everything.items() if key % 2 == 0}
    assert shop.day(rows_of(0, 20)) == everything


@pytest.mark.parametrize("more", ["", " today"], ids=["exact copy", "near copy"])
def test_a_copy_that_takes_the_place_of_its_row_takes_its_split(tmp_path: Path, more: str) -> None:
    kept = [row(n, sentence(n, more), TOPICS[n % 3]) for n in range(15)]
    copies = [row(100 + n, sentence(n), TOPICS[n % 3]) for n in range(15)]
    shop = Shop(tmp_path, [])
    before = shop.day(kept)
    assert shop.day(kept + copies) == before
    after = shop.day(copies)
    assert after == {100 + key: split for key, split in before.items()}


def test_an_export_that_renumbers_its_rows_moves_no_text(tmp_path: Path) -> None:
    """The ids are those of other rows now; what would move is left out, and said."""
    rows = rows_of(0, 40)
    shop = Shop(tmp_path, [])
    texts = {key: str(one["question"]) for key, one in enumerate(rows)}
    before = {texts[key]: split for key, split in shop.day(rows).items()}
    shuffled = random.Random(5).sample(rows, len(rows))
    after = shop.day([one | {"id": key} for key, one in enumerate(shuffled)])
    found = {str(shuffled[key]["question"]): split for key, split in after.items()}
    assert found.items() <= before.items()
    left_out = [shop.decision(key) for key in range(40) if key not in after]
    assert 0 < len(left_out) < 20
    assert {reason.code for decision in left_out for reason in decision.reasons} == {ReasonCode.BRIDGES_SPLITS}


def test_a_published_row_that_goes_to_review_comes_back_to_its_split(tmp_path: Path) -> None:
    rows = [row(n, sentence(n), TOPICS[n % 3]) for n in range(20)]
    asked = [item | {"topic": None} for item in rows[:10]]
    relatives = [row(100 + n, sentence(n, " today"), TOPICS[(n + 1) % 3]) for n in range(10)]
    shop = Shop(tmp_path, [])
    before = shop.day(rows)
    meanwhile = shop.day([*asked, *rows[10:], *relatives])
    assert sorted(meanwhile) == [*range(10, 20), *range(100, 110)]
    assert {key - 100: split for key, split in meanwhile.items() if key >= 100} == {n: before[n] for n in range(10)}
    after = shop.day([*rows, *relatives])
    assert {key: after[key] for key in before} == before


def test_a_row_between_two_splits_is_rejected_and_said_so(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [], "duplicates: {threshold: 0.3}\n" + NO_REVIEW)
    rows = [row(n, sentence(n), "billing") for n in range(20)]
    splits = shop.day(rows)
    train, test = (next(key for key in splits if splits[key] == split) for split in ("train", "test"))
    bridge = row(500, f"{sentence(train)} {sentence(test)}", "returns")
    assert shop.day([*rows, bridge]) == splits
    decision = shop.decision(500)
    assert decision.fate is Fate.REJECTED
    assert [(reason.code, reason.detail) for reason in decision.reasons] == [
        (ReasonCode.BRIDGES_SPLITS, "test and train")
    ]


FAMILIES = 4
PLANS = st.lists(
    st.dictionaries(
        st.integers(0, 11),
        st.tuples(
            st.integers(0, FAMILIES - 1),
            st.sampled_from(["", " today", " again please", "both"]),
            st.sampled_from([*TOPICS, None]),
        ),
        min_size=4,
    ),
    min_size=2,
    max_size=3,
)


def plan_rows(plan: Mapping[int, tuple[int, str, str | None]]) -> list[Row]:
    """Rows of a few families that resemble each other within, and sometimes across."""
    rows = []
    for key, (family, variant, topic) in plan.items():
        both = f"{sentence(family)} {sentence((family + 1) % FAMILIES)}"
        rows.append(row(key, both if variant == "both" else sentence(family, variant), topic))
    return rows


@settings(examples(4), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans=PLANS)
def test_whatever_happens_to_the_rows_none_moves_and_none_leaks(
    tmp_path_factory: pytest.TempPathFactory, plans: list[dict[int, tuple[int, str, str | None]]]
) -> None:
    threshold = 0.4
    shop = Shop(tmp_path_factory.mktemp("shop"), [], f"duplicates: {{threshold: {threshold}}}\n" + NO_REVIEW)
    known: dict[int, str] = {}
    for plan in plans:
        rows = [*plan_rows(plan), *rows_of(900, 906)]
        splits = shop.day(rows)
        assert {key: known[key] for key in splits if key in known} == {
            key: splits[key] for key in splits if key in known
        }
        known |= splits
        texts = {int(str(item["id"])): str(item["question"]) for item in rows}
        for one, other in combinations(splits, 2):
            if splits[one] != splits[other]:
                assert jaccard(texts[one], texts[other]) < threshold
                assert match_key(texts[one]) != match_key(texts[other])


def test_a_version_whose_release_was_killed_before_its_commit_pins_what_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    shop = Shop(tmp_path, [row(n, sentence(n), TOPICS[n % 3]) for n in range(40)])
    curate(shop.context, Inline())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pipeline.state.store.Store.commit", killed)
        shop.release()
    loaded = load(str(shop.context.store.releases / "1.0.0"))
    names = {record(key): key for key in range(40)}
    first = {names[entry["id"]]: split for split, rows in loaded.items() for entry in rows}
    second = shop.day([row(100 + n, sentence(n, " today"), TOPICS[n % 3]) for n in range(40)])
    assert {key - 100: split for key, split in second.items()} == first
    assert shop.context.store.snapshot().published_versions() == {"1.0.0", "1.1.0"}


# --- what splits are made of ----------------------------------------------------------------------
def test_rows_with_an_equal_group_by_value_stay_together_also_later(tmp_path: Path) -> None:
    def contracts(rows: list[Row]) -> list[Row]:
        return [item | {"contract": {"id": int(str(item["id"])) % 7}} for item in rows]

    shop = Shop(tmp_path, [], "split: {group_by: [contract.id]}\n" + NO_REVIEW)
    first = shop.day(contracts(rows_of(0, 20)))
    second = shop.day(contracts(rows_of(0, 40)))
    assert {key: second[key] for key in first} == first
    assert {len({split for key, split in second.items() if key % 7 == rest}) for rest in range(7)} == {1}
    assert set(second.values()) == {"train", "validation", "test"}


def test_a_source_s_fixed_split_holds_and_draws_its_relatives(tmp_path: Path) -> None:
    exam = [{"id": 1000 + n, "question": sentence(n), "topic": TOPICS[n % 3]} for n in range(6)]
    write_dataset(tmp_path, [], NO_REVIEW)
    file = tmp_path / "dataset.yaml"
    second = "sources:\n  - {name: exam, path: exam.jsonl, key: id, split: test}\n"
    file.write_text(file.read_text().replace("sources:\n", second))
    (tmp_path / "exam.jsonl").write_text("".join(json.dumps(item) + "\n" for item in exam))
    copies = [row(n, sentence(n), TOPICS[n % 3]) for n in range(3)]
    relatives = [row(n, sentence(n, " today"), TOPICS[(n + 1) % 3]) for n in range(3, 6)]
    write_rows(tmp_path, [*copies, *relatives, *rows_of(20, 40)])
    context = Context.load(file, offline(tmp_path / "home"))
    curate(context, Inline())
    loaded = load(release(context, Inline()).path)
    test_ids = set(loaded["test"]["id"])
    assert {stable_hash("exam", f"int:{1000 + n}") for n in range(6)} <= test_ids
    assert {record(n) for n in range(3, 6)} <= test_ids
    everywhere = {identity for split in loaded.values() for identity in split["id"]}
    assert not {record(n) for n in range(3)} & everywhere, "copies of exam questions are left out of training"


def test_an_exam_question_that_is_also_a_training_row_stays_in_the_exam(tmp_path: Path) -> None:
    # The training row came first and is longer, but an evaluation set stays whole.
    write_dataset(tmp_path, [row(n, sentence(n, "!!"), TOPICS[n % 3]) for n in range(6)] + rows_of(20, 40), NO_REVIEW)
    exam = [{"id": 1000 + n, "question": sentence(n), "topic": TOPICS[n % 3]} for n in range(6)]
    (tmp_path / "exam.jsonl").write_text("".join(json.dumps(item) + "\n" for item in exam))
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text() + "  - {name: exam, path: exam.jsonl, key: id, split: test}\n", encoding="utf-8")
    text = file.read_text().replace(NO_REVIEW, "")
    file.write_text(text + NO_REVIEW)
    context = Context.load(file, offline(tmp_path / "home"))
    curate(context, Inline())
    loaded = load(release(context, Inline()).path)
    assert {stable_hash("exam", f"int:{1000 + n}") for n in range(6)} <= set(loaded["test"]["id"])
    everywhere = {identity for split in loaded.values() for identity in split["id"]}
    assert not {record(n) for n in range(6)} & everywhere


def test_rows_that_share_one_of_several_group_by_values_stay_together(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [], "split: {group_by: [contract, author]}\n" + NO_REVIEW)
    # Rows of a contract have two authors; authors 0 and 1 link contracts 0 and 1, and so on.
    rows = [item | {"contract": n // 2 % 20, "author": n % 2 + n // 4 * 2} for n, item in enumerate(rows_of(0, 80))]
    splits = shop.day(rows)
    for field in ("contract", "author"):
        homes: dict[object, set[str]] = {}
        for item in rows:
            homes.setdefault(item[field], set()).add(splits[int(str(item["id"]))])
        assert all(len(found) == 1 for found in homes.values()), field
    assert len(set(splits.values())) == 3


def test_a_group_keeps_its_split_though_all_its_rows_are_others_now(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [], "split: {group_by: [contract]}\n" + NO_REVIEW)
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id, ", ""))

    def homes(first: int) -> dict[int, str]:
        write_rows(tmp_path, [item | {"contract": n % 20} for n, item in enumerate(rows_of(first, first + 80))])
        curate(shop.context, Inline())
        loaded = load(shop.release().path)
        lamps = {entry["fields"]["question"].split()[0]: split for split, rows in loaded.items() for entry in rows}
        found = {n % 20: {lamps[f"lamp{first + m}"] for m in range(80) if m % 20 == n} for n in range(20)}
        return {contract: split for contract, (split,) in found.items()}

    assert homes(0) == homes(100)


def test_rows_that_replace_published_ones_under_new_ids_stay_in_their_splits(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id, ", ""))

    def published() -> dict[str, str]:
        curate(shop.context, Inline())
        loaded = load(shop.release().path)
        return {entry["fields"]["question"].split()[0]: split for split, rows in loaded.items() for entry in rows}

    write_rows(tmp_path, [row(n, sentence(n), TOPICS[n % 3]) for n in range(40)])
    first = published()
    write_rows(tmp_path, [row(n, sentence(n, " today"), TOPICS[n % 3]) for n in range(40)])
    assert published() == first
    assert curate(shop.context, Inline()).funnel.withdrawn == 40


def test_a_row_of_an_old_version_pins_similar_rows_after_it_has_become_invalid(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    old = [row(n, sentence(n), TOPICS[n % 3]) for n in range(40)]
    first = shop.day(old)
    broken = [row(n, sentence(n), "nonsense") for n in range(40)]
    second = shop.day([*broken, *(row(100 + n, sentence(n, " today"), TOPICS[n % 3]) for n in range(40))])
    assert {key - 100: split for key, split in second.items()} == first


def test_a_release_of_a_changed_configuration_or_task_asks_for_a_curate_first(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 20))
    file, task = tmp_path / "dataset.yaml", tmp_path / "task.py"
    configured, coded = file.read_text(), task.read_text()
    file.write_text(configured + "split: {group_by: [id]}\n")
    with pytest.raises(ReleaseError, match=r"was changed since the last curate.*run `goldleaf curate .*` first$"):
        shop.release()
    file.write_text(configured + "release: {title: Questions}\nfinetune: {rank: 4}\n")
    assert not shop.release().created
    task.write_text(coded.replace('"returns"', '"returns", "other"'))
    with pytest.raises(ReleaseError, match="was changed since the last curate"):
        shop.release()
    curate(shop.context, Inline())
    assert shop.release().version == "1.1.0", "prompts name the choices"


# --- versions -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """One published version, 1.0.0."""
    shop = Shop(tmp_path_factory.mktemp("shop"), [])
    shop.day(rows_of(0, 20))
    return shop


def test_a_version_that_exists_is_refused(shop: Shop) -> None:
    before = {path: path.read_bytes() for path in shop.context.store.releases.rglob("*") if path.is_file()}
    with pytest.raises(
        VersionExists, match=r"^Version 1\.0\.0 of .* already exists, with exactly these rows; use that version\."
    ):
        shop.release("1.0.0")
    assert {path: path.read_bytes() for path in shop.context.store.releases.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("version", ["v1", "1.0", "1.0.0-rc1", "../1.0.0", "01.0.0", "latest", ""])
def test_what_is_not_a_version_is_refused(shop: Shop, version: str) -> None:
    with pytest.raises(ReleaseError, match=r"' is not a version; use three numbers such as 1\.2\.0$"):
        shop.release(version)


def test_with_nothing_new_the_latest_version_is_named_again(shop: Shop) -> None:
    again = shop.release()
    assert (again.version, again.created) == ("1.0.0", False)
    assert sum(again.splits.values()) == 20
    assert [path.name for path in shop.context.store.releases.iterdir() if path.name[0] != "."] == ["1.0.0"]


def test_a_version_loads_offline_with_nothing_of_ours(shop: Shop) -> None:
    loaded = load(shop.release().path)
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": 14, "validation": 3, "test": 3}
    entry = next(entry for rows in loaded.values() for entry in rows if entry["id"] == record(4))
    assert entry["fields"] == {"question": "lamp4 chair4 desk4 broke4", "topic": "delivery"}
    assert [message["role"] for message in entry["prompt"]] == ["system", "user"]
    assert entry["completion"] == [{"role": "assistant", "content": "delivery"}]
    assert (entry["source"], entry["license"], entry["label_source"]) == ("examples", "MIT", "source")


def test_versions_count_up_and_the_old_ones_stay_as_they_are(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 10))
    shop.day(rows_of(0, 11))
    shop.day(rows_of(0, 12), version="2.0.0")
    shop.day(rows_of(0, 13))
    releases = shop.context.store.releases
    rows = {
        version: len(shop.published(released(releases / version))) for version in ("1.0.0", "1.1.0", "2.0.0", "2.1.0")
    }
    assert rows == {"1.0.0": 10, "1.1.0": 11, "2.0.0": 12, "2.1.0": 13}
    for version in rows:
        verify(releases / version).require_sound()


def test_a_version_that_exists_with_other_rows_is_refused_with_the_one_to_pass(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 10))
    text = r"^Version 1\.0\.0 of 'questions' already exists and never changes; pass --version 1\.1\.0\.$"
    with pytest.raises(VersionExists, match=text):
        shop.day(rows_of(0, 11), version="1.0.0")


@pytest.mark.parametrize("version", ["0.9.0", "1.0.10"])
def test_a_version_that_is_not_above_the_latest_is_refused_with_the_one_to_pass(tmp_path: Path, version: str) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 10), version="1.0.9")
    shop.day(rows_of(0, 11))
    said = rf"^version {version} is not above 1\.1\.0, the latest one; pass --version 1\.2\.0, or leave it out$"
    with pytest.raises(ReleaseError, match=said):
        shop.day(rows_of(0, 12), version=version)
    assert not (shop.context.store.releases / version).exists()


def test_a_version_with_nothing_new_is_refused_and_the_one_that_holds_the_rows_is_named(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 10))
    shop.day(rows_of(0, 11))
    for version in ("0.9.0", "2.0.0"):
        with pytest.raises(ReleaseError, match=r"^nothing is new: questions@1\.1\.0 has exactly these rows; use that"):
            shop.release(version)
    shop.day(rows_of(0, 10), version="2.0.0")
    assert shop.release().version == "2.0.0", "rows as they were in an older version are news after another one"


def released(folder: Path) -> Released:
    return Released(dataset="", version=folder.name, digest="", path=str(folder), created=False, splits={})


def test_a_label_that_is_not_in_every_split_is_named_with_the_reason(tmp_path: Path) -> None:
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 2]) | {"shop": n // 4} for n in range(60)]
    rows += [row(n, f"hat{n} coat{n} scarf{n} tore{n}", "returns") | {"shop": n % 2} for n in range(60, 66)]
    shop = Shop(tmp_path, rows, f"{NO_REVIEW}split: {{group_by: [shop]}}\n")
    curate(shop.context, Inline())
    terminal = Terminal(tmp_path)
    told = json.loads(terminal.goldleaf("release", "--json").stdout)["absent"]
    assert [(one["label"], one["groups"], one["reason"], one["why"]) for one in told] == [
        ("returns", 2, "too_few_groups", "only 2 groups by shop have the label")
    ]
    where = " or ".join(told[0]["splits"])
    text = f"Labels missing from a split: not in {where} because only 2 groups by shop have the label: returns."
    assert text in terminal.goldleaf("release").stdout
    version = tmp_path / "home" / "questions" / "releases" / "1.0.0"
    assert text in (version / "README.md").read_text()
    assert text in (version / "report.html").read_text()
    assert text in (tmp_path / "home" / "questions" / "report.html").read_text()


def test_a_release_has_every_label_of_enough_rows_in_every_split(tmp_path: Path) -> None:
    """Were labels not looked at, a third of them would be missing from an exam of a tenth."""
    labels = [f"kind{number}" for number in range(12)]
    task = f"""
class Question(Task):
    \"\"\"Name the topic of this question.\"\"\"

    question: Input[str]
    topic: Target[Literal{json.dumps(labels)}]
"""
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", labels[n % 12]) for n in range(120)]
    odd = Odd(tmp_path, task, rows)
    odd.curate()
    version = release(odd.context, Inline())
    found = {split: {entry["fields"]["topic"] for entry in entries} for split, entries in load(version.path).items()}
    assert found == {split: set(labels) for split in ("train", "validation", "test")}


def test_labels_that_a_full_exam_lacks_are_named_together_in_every_output(tmp_path: Path) -> None:
    """They were said to be pinned to other splits, one by one, though it was the exam that takes no rows."""
    labels = [f"kind{number}" for number in range(9)]
    task = f"""
class Question(Task):
    \"\"\"Name the topic of this question.\"\"\"

    question: Input[str]
    topic: Target[Literal{json.dumps(labels)}]
"""
    odd = Odd(tmp_path, task, [row(n, f"lamp{n} chair{n} desk{n} broke{n}", labels[n % 9]) for n in range(54)])
    exam = [{"id": n, "question": f"hat{n} coat{n} scarf{n} tore{n}", "topic": labels[n % 2]} for n in range(20)]
    (tmp_path / "exam.jsonl").write_text("".join(json.dumps(one) + "\n" for one in exam))
    odd.edit("sources:\n", "sources:\n  - {name: exam, path: exam.jsonl, split: test, frozen: true}\n")
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    text = (
        "Labels missing from a split: not in test because the split is full of rows pinned to it: kind2, kind3, "
        "kind4, kind5, kind6 and 2 more."
    )
    for _ in range(2):
        assert text in terminal.goldleaf("release").stdout.replace("\n", " ")
    version = tmp_path / "home" / "questions" / "releases" / "1.0.0"
    for file in (version / "README.md", version / "report.html", tmp_path / "home" / "questions" / "report.html"):
        assert text in file.read_text()


def test_a_release_before_curate_says_what_to_run(tmp_path: Path) -> None:
    Shop(tmp_path, [])
    line = Terminal(tmp_path).error("release", "dataset.yaml")
    assert line == f"'questions' has not been curated yet; run `goldleaf curate {tmp_path}/dataset.yaml` first"


def test_a_release_of_nothing_says_where_the_rows_are(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [row(1, "Late?", None)])
    curate(shop.context, Inline())
    with pytest.raises(ReleaseError) as error:
        shop.release()
    assert str(error.value) == (
        f"no record of 'questions' is accepted yet; see `goldleaf status {tmp_path}/dataset.yaml`"
    )
    assert not shop.context.store.releases.exists()


def test_an_earlier_version_with_the_present_rows_may_be_used_or_published_again(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 20))
    shop.day(rows_of(0, 25))
    write_rows(tmp_path, rows_of(0, 20))
    curate(shop.context, Inline())
    line = Terminal(tmp_path).error("release", "--version", "1.0.0", "--json")
    assert line.endswith("with exactly these rows; use that version, or pass --version 1.2.0.")
    assert shop.release("1.2.0").created


# --- texts ----------------------------------------------------------------------------------------
TEXTS = [
    "bell \x07 escape \x1b[31m unit \x1f delete \x7f next line \x85 end",
    "nul \x00 inside, and at the end \x00",
    "\x00a NUL at the start, and a tab at the end\t",
    "carriage\rreturn, CRLF\r\nand line\nfeed\n",
    "vertical\x0btab and form\x0cfeed",
    "\u202eright to left override\u202c and \u2066isolates\u2069",
    "مرحبا بالعالم, עולם שלום, mixed with English",
    "👩‍👩‍👧‍👦 family, 🏳️‍🌈 flag, 👍🏽 skin, 🇨🇭 region, #️⃣ keycap",
    "zero\u200bwidth\u200cnon\u200djoiner\u2060word\ufeffbom",
    "soft\u00adhyphen, no\u00a0break, thin\u2009space, ideographic\u3000space",
    "<script>alert('x')</script><img src=x onerror=alert(1)>&amp;&#0;",
    "</system> {{user}} %s ${HOME} {0} \\n \\u0000 `rm -rf /`",
    "very long " + "word " * 4000 + "end",
    "x" * 20_000,
    "cafe\u0301 and caf\u00e9, Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!",
    "ﬁ ligature, Å angstrom, ① circled, \uff46\uff55\uff4c\uff4c width, ǆ digraph",
    "astral \U0001d518\U0001d52b\U0001d526 𠜎𠜱 and noncharacters \ufffe\uffff\U0010ffff \ufffd",
    "\ufeffbyte order mark at the start",
    "null",
    "NaN and -Infinity, 1e400, 0x1F",
    '{"json": ["in", {"a": "string"}]}',
    "a,b;c\t\"d\"\n'e'",
    "\u2028line separator\u2029paragraph separator",
    "  leading and trailing blanks \u00a0 ",
    "private \ue000 use, tag \U000e0041 characters, variation \ufe0f",
]


@pytest.mark.parametrize("gentle", [True, False], ids=["as they are", "normalised"])
def test_odd_texts_are_published_as_they_are_or_as_normalized(tmp_path: Path, gentle: bool) -> None:
    keep = Normalize(unicode="none", whitespace="keep") if gentle else Normalize()
    config = f"normalize: {json.dumps(keep.model_dump())}\n" if gentle else ""
    write_dataset(tmp_path, [row(n, text, TOPICS[n % 3]) for n, text in enumerate(TEXTS)], NO_REVIEW + config)
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    result = curate(context, Inline())
    assert result.funnel.accepted == result.funnel.raw == len(TEXTS)
    found: dict[str, Any] = {
        entry["id"]: entry for rows in load(release(context, Inline()).path).values() for entry in rows
    }
    for key, text in enumerate(TEXTS):
        expected = text.replace("\x00", "") if gentle else normalize_text(text, keep)
        assert found[record(key)]["fields"]["question"] == expected
        assert found[record(key)]["prompt"][1]["content"] == expected


def test_half_a_surrogate_pair_is_rejected_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "half a \ud83d pair", "billing"), *rows_of(2, 12)], NO_REVIEW)
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    result = curate(context, Inline())
    assert (result.funnel.accepted, result.funnel.rejected) == (10, 1)
    assert sum(release(context, Inline()).splits.values()) == 10
