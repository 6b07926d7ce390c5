"""Rows come, go and change between releases, but none moves between splits and none leaks."""

import json
import random
import re
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_shop import NO_REVIEW, TOPICS, Row, Shop, load, record, rows_of, sentence
from support import offline, row, write_dataset, write_rows
from tried_examples import examples

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.errors import ReleaseError
from pipeline.finetuning.examples import read_examples
from pipeline.ladder.reasons import ADD_ROWS, ONLY_NEW
from pipeline.text.normalize import match_key
from pipeline.text.words import jaccard
from schemas.fate import Fate, ReasonCode
from schemas.identity import stable_hash


# --- splits stay ----------------------------------------------------------------------------------
def test_new_rows_move_no_old_one(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    first = shop.day(rows_of(0, 20))
    second = shop.day(rows_of(0, 40))
    assert {key: second[key] for key in first} == first
    assert len(second) == 40
    sizes = {split: list(second.values()).count(split) for split in ("train", "validation", "test")}
    assert sizes == {"train": 32, "validation": 4, "test": 4}


def test_a_test_row_says_with_which_others_it_shares_a_customer(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [], f"{NO_REVIEW}split: {{group_by: customer}}\n")
    splits = shop.day([one | {"customer": f"c{place // 4}"} for place, one in enumerate(rows_of(0, 40))])
    version = shop.context.store.releases / "1.0.0"
    rows = {one.id: one for split in set(splits.values()) for one in read_examples(version, split)}
    groups = [rows[record(key)].group for key in range(40)]
    assert len(set(groups)) == 10 and all(len(set(groups[first : first + 4])) == 1 for first in range(0, 40, 4))


def test_a_withdrawn_row_moves_no_other_and_comes_back_to_its_split(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    everything = shop.day(rows_of(0, 20))
    without = shop.day(rows_of(0, 20)[::2])
    assert without == {key: split for key, split in everything.items() if key % 2 == 0}
    assert shop.day(rows_of(0, 20)) == everything


@pytest.mark.parametrize("more", ["", " now"], ids=["exact copy", "near copy"])
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
    # A group draws its split by all its keys: with another author it would draw another one.
    shop = Shop(tmp_path, [], "split: {group_by: [contract, author]}\n" + NO_REVIEW)
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id, ", ""))

    def homes(first: int) -> dict[int, str]:
        keys = [{"contract": n % 20, "author": f"{first}-{n % 20}"} for n in range(80)]
        write_rows(tmp_path, [item | more for item, more in zip(rows_of(first, first + 80), keys, strict=True)])
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


def test_a_larger_test_share_moves_no_published_row_and_the_advised_commands_bring_new_ones_into_the_test(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path, [])
    before = shop.day(rows_of(0, 40))
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text() + "split: {fractions: {train: 0.5, validation: 0.1, test: 0.4}}\n")
    with pytest.raises(ReleaseError, match="changed since the last curate"):
        shop.release()
    # The commands of the advice, in its order; nobody was asked anything, so that there is nothing to collect.
    commands = re.findall(r"`goldleaf (\w+)`", ADD_ROWS)
    assert commands == ["curate", "collect", "release", "finetune"]
    after = shop.day(rows_of(0, 60))
    assert {key: after[key] for key in before} == before
    assert [after[key] for key in range(40, 60)].count("test") > 10, ONLY_NEW
