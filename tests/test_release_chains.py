"""Releases in a row: what stays is copied from the version before, and nothing of that can be seen in the versions."""

import hashlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_shop import NO_REVIEW, TOPICS, Row, Shop, load, record, rows_of, sentence
from releases_from_nothing import released_like_from_nothing
from support import row, write_rows
from themes import THEMES, Theme
from tried_examples import examples

from flows.curate import curate
from flows.engines.engine import Inline
from pipeline.releases import release_rows, row_files
from pipeline.releases.published_rows import JSONS, as_batch
from pipeline.releases.release_rows import ReleaseRows
from pipeline.releases.row_digests import row_digests
from pipeline.releases.versions import list_versions


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Row groups of four rows, so that a few rows are many pieces."""
    with monkeypatch.context() as patched:
        for module in (release_rows, row_files):
            patched.setattr(module, "ROWS_AT_ONCE", 4)
        yield


def rendered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each step renders from now on."""
    found: list[int] = []
    render = ReleaseRows._rendered

    def counted(self: ReleaseRows, rows: object) -> pa.Table:
        table = render(self, rows)  # type: ignore[arg-type]
        found.append(table.num_rows)
        return table

    monkeypatch.setattr(ReleaseRows, "_rendered", counted)
    return found


# --- the law ------------------------------------------------------------------------------------
def changed(rows: dict[int, Row], rng: random.Random) -> None:
    """Some rows come, go, change their answer or text, or are copies of others."""
    for _ in range(rng.randrange(1, 6)):
        key = rng.randrange(24)
        match rng.randrange(4):
            case 0:
                rows.pop(key, None)
            case 1 if rows:
                rows[key] = {**rng.choice(list(rows.values())), "id": key}
            case _:
                rows[key] = row(key, sentence(key, rng.choice(["", " today"])), rng.choice(TOPICS))


@given(seed=st.integers(0, 2**32 - 1))
@settings(examples(3), suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("small_pieces")
def test_a_release_after_a_chain_of_small_batches_is_one_from_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = random.Random(seed)
    shop = Shop(tmp_path_factory.mktemp("shop"), [], NO_REVIEW)
    rows = {key: row(key, sentence(key), rng.choice(TOPICS)) for key in range(rng.randrange(2, 20))}
    for _ in range(4):
        write_rows(shop.folder, list(rows.values()))
        curate(shop.context, Inline())
        released_like_from_nothing(shop.context)
        changed(rows, rng)
        rows = rows or {0: row(0, sentence(0), TOPICS[0])}


@pytest.mark.usefixtures("small_pieces")
def test_rows_between_and_behind_those_that_stay_take_their_places(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 30))
    write_rows(tmp_path, [*rows_of(3, 20), *rows_of(25, 60)])
    curate(shop.context, Inline())
    version = Path(released_like_from_nothing(shop.context).path)
    for file in version.glob("data/*.parquet"):
        ids = pq.read_table(file)["id"].to_pylist()
        assert ids == sorted(ids)
        assert pq.ParquetFile(file).num_row_groups == -(-len(ids) // 4)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.usefixtures("small_pieces")
def test_rows_of_every_kind_are_copied_as_they_were(theme: Theme, tmp_path: Path) -> None:
    shop = Shop(tmp_path, [], f"{NO_REVIEW}split: {{group_by: shop}}\n")
    (tmp_path / "task.py").write_text(theme.source(TOPICS))
    for keys in (range(20), [*range(2, 9), *range(12, 40)]):
        rows = [{"id": key, "shop": key // 3} | theme.row(sentence(key), TOPICS[key % 3]) for key in keys]
        write_rows(tmp_path, rows)
        curate(shop.context, Inline())
        found = released_like_from_nothing(shop.context)
    assert sum(found.splits.values()) == 35


# --- what it saves --------------------------------------------------------------------------------
def test_only_rows_that_are_new_are_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 20))
    found = rendered(monkeypatch)
    splits = shop.day(rows_of(0, 23))
    assert (sum(found), len(splits)) == (3, 23)


def test_with_nothing_new_no_row_is_rendered_nor_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 20))

    def written(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("flows.release.write_draft", written)
    found = rendered(monkeypatch)
    assert not shop.release().created
    assert sum(found) == 0


# --- a cache, and never the truth -------------------------------------------------------------------
@pytest.mark.parametrize("damage", ["gone", "cut", "a bit", "of other rules", "a version that is damaged"])
def test_what_is_kept_may_be_lost_or_damaged(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 20))
    store = shop.context.store
    kept = store.kept_rows("1.0.0")
    data = kept.read_bytes()
    match damage:
        case "gone":
            shutil.rmtree(kept.parent)
        case "cut":
            kept.write_bytes(data[:-9])
        case "a bit":
            kept.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
        case "of other rules":
            monkeypatch.setattr("pipeline.releases.kept_rows.code_digest", lambda: "another")
        case _:
            file = next(store.releases.glob("1.0.0/data/train-*.parquet"))
            file.write_bytes(file.read_bytes()[:-1] + b"?")
    found = rendered(monkeypatch)
    splits = shop.day(rows_of(0, 23))
    assert (sum(found), len(splits)) == (23, 23)
    texts = {
        one["id"]: one["fields"]["question"] for part in load(str(store.releases / "1.1.0")).values() for one in part
    }
    assert texts == {record(key): one["question"] for key, one in enumerate(rows_of(0, 23))}


def test_what_was_kept_of_earlier_versions_is_forgotten(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    for last in (10, 11, 12):
        shop.day(rows_of(0, last))
    store = shop.context.store
    assert [path.name for path in store.kept_rows("1.2.0").parent.iterdir()] == ["1.2.0.arrow"]
    assert not list((store.root / "work").glob("*")) and len(list_versions(store.releases)) == 3


# --- columns ------------------------------------------------------------------------------------
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
ROWS = st.fixed_dictionaries(
    {
        "id": TEXTS,
        "prompt": st.lists(st.fixed_dictionaries({"role": TEXTS, "content": st.none() | TEXTS}), max_size=3),
        "fields": st.fixed_dictionaries(
            {
                "z": st.none() | TEXTS,
                "count": st.none() | st.integers(-(2**63), 2**63 - 1),
                "parts": st.none() | st.lists(st.none() | st.fixed_dictionaries({"y": st.booleans(), "a": TEXTS})),
            }
        ),
        "tokens": st.none() | st.integers(0, 9),
    }
)
PLAIN = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        (
            "fields",
            pa.struct(
                [
                    ("z", pa.string()),
                    ("count", pa.int64()),
                    ("parts", pa.list_(pa.struct([("y", pa.bool_()), ("a", pa.string())]))),
                ]
            ),
        ),
        ("tokens", pa.int64()),
    ]
)


@given(st.lists(ROWS, min_size=1, max_size=20))
def test_digests_in_columns_are_those_row_by_row(rows: list[Row]) -> None:
    plain = as_batch(rows, PLAIN)
    canonical = [orjson.dumps(one, option=orjson.OPT_SORT_KEYS) for one in plain.to_pylist()]
    assert row_digests(plain).tobytes() == b"".join(hashlib.sha256(text).digest() for text in canonical)


@given(st.lists(ROWS, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_copied_columns_count_as_many_bytes_as_new_ones(rows: list[Row], rng: random.Random) -> None:
    schema = PLAIN.append(pa.field("tools", JSONS)).append(pa.field("share", pa.float64()))
    whole = [one | {"tools": ["{}"] * rng.randrange(3), "share": rng.choice([None, 0.5])} for one in rows]
    batch = as_batch(whole, schema)
    copied = pa.Table.from_batches([batch, batch]).take(pa.array(range(len(rows)))).combine_chunks()
    sizes = [sum(row_files._size(column) for column in batch.columns)]
    sizes += [sum(row_files._size(column.combine_chunks()) for column in copied.columns)]
    assert sizes == [batch.nbytes] * 2
