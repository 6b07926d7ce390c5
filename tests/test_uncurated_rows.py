"""The raw rows are what somebody would train on who curates nothing: all that can be read, as their sources have it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from release_shop import TOPICS, Shop, record, rows_of
from support import current, offline, row, write_rows
from terminal import Terminal

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import Released, release
from pipeline.finetuning.examples import Example, read_examples
from pipeline.kinds.registry import KIND_NAMES
from pipeline.ladder.uncurated_rows import raw_examples
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, ReasonCode
from schemas.identity import stable_hash

PLAIN = 40
COPY, CONFLICT, UNUSABLE, DOUBTED, CORRECTED = (50, 51), (60, 61), 70, 71, 72
INVALID, UNLABELED = 80, 81
SETTINGS = "review: {budget: 300, audit: 1.0}\nsplit: {fractions: {train: 0.7, validation: 0.1, test: 0.2}}\n"


def raw(context: Context) -> dict[str, Example]:
    """What would be trained on, by record."""
    found = raw_examples(context.store.snapshot().at_last_commit(), context.dataset.task, "train")
    assert [one.id for one in found] == sorted({one.id for one in found})
    return {one.id: one for one in found}


# --- a dataset with everything ------------------------------------------------------------------
@pytest.fixture(scope="module")
def desk(studio: FakeStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    copied = {key: row(key, "the green kettle leaks and whistles at night", "returns") for key in COPY}
    conflict = {
        key: row(key, "who pays for the broken lid of my teapot", topic)
        for key, topic in zip(CONFLICT, TOPICS, strict=False)
    }
    rows = [
        *rows_of(0, PLAIN),
        *copied.values(),
        *conflict.values(),
        row(UNUSABLE, "asdf qwer yxcv jkl", "billing"),
        # Enough of either that a label of the other is doubted.
        *[row(100 + at, f"invoice amount charged twice card {at}", "billing") for at in range(30)],
        *[row(200 + at, f"courier tracking van doorbell street {at}", "delivery") for at in range(30)],
        row(DOUBTED, "courier tracking van doorbell street again", "billing"),
        row(CORRECTED, "courier tracking van doorbell street twice", "billing"),
        row(INVALID, "what is the price of a plane to the moon", "nonsense"),
        row(UNLABELED, "do you sell blue umbrellas with wooden handles", None),
    ]
    with desk_at(studio, tmp_path_factory.mktemp("desk"), rows, SETTINGS) as desk:
        file = desk.folder / "data.jsonl"
        file.write_text(file.read_text() + "{no json\n")
        desk.curate()
        yield desk


@pytest.fixture(scope="module")
def released(desk: Desk) -> Released:
    """The version after an annotator has answered a few questions."""
    desk.label(CORRECTED, "delivery")
    desk.label(UNLABELED, "delivery")
    desk.label(INVALID, "billing")
    desk.say(UNUSABLE, Verdict.UNUSABLE)
    desk.collect()
    return release(desk.context, Inline())


@pytest.fixture(scope="module")
def found(desk: Desk, released: Released) -> dict[str, Example]:
    assert released.splits.keys() == {"train", "validation", "test"}
    return raw(desk.context)


def test_what_curation_leaves_out_or_doubts_is_there_with_the_source_s_own_answer(
    desk: Desk, found: dict[str, Example]
) -> None:
    fates = {key: desk.decision(key).fate for key in (*COPY, *CONFLICT, UNUSABLE, DOUBTED, CORRECTED)}
    assert Fate.DUPLICATE in {fates[key] for key in COPY}
    assert {fates[key] for key in (*CONFLICT, DOUBTED)} == {Fate.REVIEW}
    assert fates[UNUSABLE] is Fate.REJECTED
    codes = {key: [one.code for one in desk.decision(key).reasons] for key in (*CONFLICT, DOUBTED)}
    assert all(ReasonCode.CONFLICT in codes[key] for key in CONFLICT) and ReasonCode.LABEL_ERROR in codes[DOUBTED]
    answers = {key: found[record(key)].answer for key in fates}
    assert answers == {
        **dict.fromkeys(COPY, "returns"),
        **dict(zip(CONFLICT, TOPICS, strict=False)),
        **dict.fromkeys((UNUSABLE, DOUBTED, CORRECTED), "billing"),
    }


def test_a_label_that_an_annotator_corrected_is_the_source_s_again(desk: Desk, found: dict[str, Example]) -> None:
    decision = desk.decision(CORRECTED)
    assert (decision.fate, decision.label_source) == (Fate.ACCEPTED, LabelSource.HUMAN)
    assert (decision.targets, found[record(CORRECTED)].answer) == ({"topic": "delivery"}, "billing")


def test_what_the_source_has_no_readable_answer_to_is_not_there(desk: Desk, found: dict[str, Example]) -> None:
    # Not even where an annotator has given one: that is curation.
    assert {desk.decision(key).fate for key in (INVALID, UNLABELED)} == {Fate.ACCEPTED}
    assert not {record(INVALID), record(UNLABELED)} & found.keys()
    decisions = current(desk.context)
    unread = [one for one in decisions if decisions[one].reasons[0].code is ReasonCode.UNREADABLE]
    assert len(unread) == 1 and unread[0] not in found


def test_the_rows_of_the_other_splits_are_the_only_ones_that_are_missing(
    desk: Desk, released: Released, found: dict[str, Example]
) -> None:
    rows = {split: {one.id for one in read_examples(Path(released.path), split)} for split in released.splits}
    assert rows["test"] and rows["validation"]
    assert not (rows["test"] | rows["validation"]) & found.keys()
    own = {one for one, decision in current(desk.context).items() if has_own_answer(decision)}
    assert found.keys() == own - rows["test"] - rows["validation"]
    assert len(found) > len(rows["train"])


def has_own_answer(decision: Decision) -> bool:
    """Whether the source of a record, none of which here changes, gives an answer."""
    return decision.replaced is not None or decision.label_source is LabelSource.SOURCE


def test_a_row_that_repeats_a_test_row_is_there_as_nobody_has_looked(studio: FakeStudio, tmp_path: Path) -> None:
    rows = [*rows_of(0, PLAIN), *(entry | {"id": 100 + at} for at, entry in enumerate(rows_of(0, PLAIN)))]
    with desk_at(studio, tmp_path, rows, SETTINGS.replace("300", "0").replace("1.0}", "0.0}")) as desk:
        desk.curate()
        version = Path(release(desk.context, Inline()).path)
        elsewhere = {one.id for split in ("test", "validation") for one in read_examples(version, split)}
        found = raw(desk.context)
    assert len(found) == 2 * PLAIN - len(elsewhere)
    asked = {one.prompt for one in read_examples(version, "test")}
    assert {one.prompt for one in found.values()} >= asked


def test_a_gold_row_has_the_answer_of_its_source_too(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, rows_of(0, 20), SETTINGS) as desk:
        file = tmp_path / "dataset.yaml"
        source = "  - {name: known, path: known.jsonl, key: id, license: MIT, gold: true}\n"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{source}", 1))
        write_rows(tmp_path, [row(1, "may i send the purple sofa back", "returns")], "known.jsonl")
        desk.curate()
        gold = stable_hash("known", "int:1")
        assert current(desk.context)[gold].label_source is LabelSource.HUMAN
        assert raw(desk.context)[gold].answer == "returns"


# --- what changes later -------------------------------------------------------------------------
def test_the_answer_is_the_one_that_the_source_has_now(studio: FakeStudio, tmp_path: Path) -> None:
    rows = [*rows_of(1, 20), row(CORRECTED, "courier tracking van doorbell street twice", "billing")]
    with desk_at(studio, tmp_path, rows, SETTINGS) as desk:
        desk.curate()
        desk.label(CORRECTED, "delivery")
        desk.collect()
        assert raw(desk.context)[record(CORRECTED)].answer == "billing"
        desk.rows(*rows[:-1], rows[-1] | {"topic": "returns"})
        desk.curate()
        assert raw(desk.context)[record(CORRECTED)].answer == "returns"


def test_a_row_that_its_source_no_longer_has_is_gone(tmp_path: Path) -> None:
    shop = Shop(tmp_path, rows_of(0, 20))
    shop.day(rows_of(0, 20))
    before = raw(shop.context)
    gone = next(key for key in range(20) if record(key) in before)
    write_rows(tmp_path, [one for one in rows_of(0, 20) if one["id"] != gone])
    curate(shop.context, Inline())
    assert before.keys() - raw(shop.context).keys() == {record(gone)}


# --- every kind ---------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_row_that_curation_has_not_touched_is_as_it_was_published(kind: str, tmp_path: Path) -> None:
    Terminal(tmp_path).goldleaf("init", "new", "--kind", kind)
    file = tmp_path / "new" / "dataset.yaml"
    text = file.read_text(encoding="utf-8").replace("{train: 0.8, validation: 0.1, test: 0.1}", "{train: 1.0}")
    file.write_text(f"{text}\nreview: {{audit: 0.0}}\n", encoding="utf-8")
    context = Context.load(file, offline(tmp_path / "home"))
    curate(context, Inline())
    published = read_examples(Path(release(context, Inline()).path), "train")
    found = raw(context)
    assert published
    for one in published:
        same = found[one.id]
        assert (same.prompt, same.completion, same.answer) == (one.prompt, one.completion, one.answer)
        assert json.dumps(same.tools, sort_keys=True) == json.dumps(one.tools, sort_keys=True)
