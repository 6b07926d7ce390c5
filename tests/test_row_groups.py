"""The rows of versions, piece by piece, and their digests."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_shop import Row, Shop, load, record, rows_of

from pipeline.releases import release_rows, row_files
from pipeline.releases.published_rows import as_batch
from pipeline.releases.row_digests import row_digests


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Row groups of four rows, so that a few rows are many pieces."""
    with monkeypatch.context() as patched:
        for module in (release_rows, row_files):
            patched.setattr(module, "ROWS_AT_ONCE", 4)
        yield


@pytest.mark.usefixtures("small_pieces")
def test_rows_that_came_between_and_behind_others_take_their_places(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 30))
    rows = {one["id"]: one["question"] for one in [*rows_of(3, 20), *rows_of(25, 60)]}
    assert shop.day([*rows_of(3, 20), *rows_of(25, 60)]).keys() == rows.keys()
    version = shop.context.store.releases / "1.1.0"
    texts = {one["id"]: one["fields"]["question"] for part in load(str(version)).values() for one in part}
    assert texts == {record(key): text for key, text in rows.items()}
    for file in version.glob("data/*.parquet"):
        ids = pq.read_table(file)["id"].to_pylist()
        assert ids == sorted(ids)
        assert pq.ParquetFile(file).num_row_groups == -(-len(ids) // 4)


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
def test_a_digest_is_that_of_canonical_json(rows: list[Row]) -> None:
    plain = as_batch(rows, PLAIN)
    canonical = [orjson.dumps(one, option=orjson.OPT_SORT_KEYS) for one in plain.to_pylist()]
    assert row_digests(plain).tobytes() == b"".join(hashlib.sha256(text).digest() for text in canonical)
