"""The near-duplicate index: signatures and verified pairs in the tables of a dataset.

A search compares new texts with the index and with each other, then adds them to it. Its rows are
facts about texts, so it does not matter which run wrote them. But that two texts are in it does not mean
that they were compared: one was perhaps away when the other came. Pairs are written before the signatures
of their texts: after a kill in between, the next run finds the same pairs again.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline.similarity.known_texts import met_keys
from pipeline.similarity.pairs import Pairs
from pipeline.similarity.search import SearchResult
from pipeline.similarity.signatures import NO_IDENTITIES, PERMUTATIONS, Identities, Keys, Scheme, Sketches, sign
from pipeline.similarity.text_columns import Rows, Texts
from pipeline.state.mapped_rows import arrow_of, frame_of
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import BAND_COLUMNS, BANDS, INDEX, SCHEMAS, Table

_ROWS_AT_ONCE = 250_000
_BANDS_AT_ONCE = 8
_FEW_TEXTS = 20_000
"""Texts that are signed in less time than it takes to read the signatures of a million."""
_IDENTITY = ["identity_one", "identity_other"]
_BYTES = ["bytes_one", "bytes_other"]
_LEFT, _RIGHT = ["left_one", "left_other"], ["right_one", "right_other"]


class StoredIndex:
    """The index in a snapshot, for one scheme."""

    def __init__(
        self, snapshot: Snapshot, scheme: Scheme, among: Identities | None = None, compared: Identities | None = None
    ) -> None:
        """Take the whole index, or what it says of some texts.

        Args:
            snapshot: has the tables.
            scheme: of the texts.
            among: few texts, of which all is read at once.
            compared: any number of texts, without which the index counts as if it lacked the others.
        """
        self._all, self._compared = snapshot.scan(Table.SIGNATURES), compared
        self._name = scheme.name
        self._pairs = snapshot.scan(Table.SIMILARITIES).filter(pl.col("scheme") == scheme.name)
        if among is not None:
            # Read once: each column by itself would look for the texts again.
            some = self._all.filter(pl.col("scheme") == scheme.name, _is_one_of(_IDENTITY, among))
            # And copied, as the sketches of some hold on to those of all.
            self._all = frame_of(arrow_of(some.collect())).lazy()
            self._pairs = self._pairs.filter(_is_one_of(_LEFT, among), _is_one_of(_RIGHT, among))
        self._keys: dict[int, Keys] = {}
        """Of the bands that were read last."""

    def identities(self) -> Identities:
        """Texts x 2, in the order of ``keys`` and ``sketches``."""
        return _identities(self._columns(*_IDENTITY), _IDENTITY)

    def bytes_hashes(self) -> Identities:
        """Texts x 2: of the bytes of one text with these words."""
        return _identities(self._columns(*_BYTES), _BYTES)

    def keys(self, band: int) -> Keys:
        """One key per text."""
        if band not in self._keys:
            # Opening the files takes longer than reading the keys of a small index.
            names = BAND_COLUMNS[band : band + _BANDS_AT_ONCE]
            columns = self._columns(*names).get_columns()
            self._keys = {band + at: column.to_numpy().view(np.uint32) for at, column in enumerate(columns)}
        return self._keys[band]

    def sketches(self, places: Rows) -> Sketches:
        """Some texts, given by ascending places, x PERMUTATIONS."""
        numbered = self._all.select("sketch").with_row_index("at")
        rows = places if self._mine is None else self._mine.arg_true().to_numpy()[places]
        found = numbered.filter(pl.col("at").is_in(pl.Series(rows, dtype=pl.UInt32).implode())).collect()
        column = found["sketch"].rechunk()
        _, _, data = column.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()
        return np.frombuffer(data or b"", dtype=np.uint8).reshape(-1, PERMUTATIONS)

    def sharing(self, keys: Keys) -> Identities:
        """The texts that share a key with some others, given by the keys of these: BANDS x texts."""
        met = [met_keys(self.keys(band), keys[band]) for band in range(BANDS)]
        return self.identities()[np.unique(np.concatenate(met))]

    def _columns(self, *names: str) -> pl.DataFrame:
        found = self._all.select(names).collect()
        return found if self._mine is None else found.filter(self._mine)

    @cached_property
    def _mine(self) -> pl.Series | None:
        """Which rows count; None if all do, as long as no other threshold was tried and no text is away."""
        is_mine = pl.col("scheme") == self._name
        if self._compared is not None:
            is_mine &= _is_one_of(_IDENTITY, self._compared)
        mine = self._all.select(is_mine).collect().to_series()
        return None if mine.all() else mine

    def pairs(self, among: Identities | None = None) -> tuple[Identities, Identities, Pairs]:
        """Both sides' identities, and all pairs, or some texts'; their ``left`` and ``right`` mean nothing."""
        return self._pairs_where(*(() if among is None else (_is_one_of(side, among) for side in (_LEFT, _RIGHT))))

    def pairs_with(self, identities: Identities) -> tuple[Identities, Identities, Pairs]:
        """The same of those in which at least one text is one of some."""
        return self._pairs_where(_is_one_of(_LEFT, identities) | _is_one_of(_RIGHT, identities))

    def _pairs_where(self, *wanted: pl.Expr) -> tuple[Identities, Identities, Pairs]:
        frame = self._pairs.filter(*wanted).collect() if wanted else self._pairs.collect()
        places = np.arange(frame.height)
        pairs = Pairs(places, places, frame["similarity"].to_numpy(), frame["answers"].to_numpy())
        return _identities(frame, _LEFT), _identities(frame, _RIGHT), pairs


def index_for(
    shards: Sequence[Path], snapshot: Snapshot, scheme: Scheme, compared: Identities | None = None
) -> StoredIndex:
    """The index for a search among the texts of some shards.

    If they are few, only what it says of them, and of texts that share a key with those of them that it does not know:
    no others can be similar, and a search would sort the million that there are.

    Args:
        shards: have the texts.
        snapshot: has the index.
        scheme: of the texts.
        compared: the texts that were all compared with each other, if that is not the whole index. It counts as if it
            lacked the others: those of them that are in the shards are new to the search.
    """
    texts = [Texts.read(shard) for shard in shards]
    if snapshot.versions[Table.SIGNATURES] < 0 or sum(map(len, texts)) > _FEW_TEXTS:
        return StoredIndex(snapshot, scheme, compared=compared)
    signed = [one.take(np.flatnonzero(one.sizes > 0)) for one in (sign(some, scheme) for some in texts)]
    theirs = np.concatenate([NO_IDENTITIES, *(one.identities for one in signed)])
    known = StoredIndex(snapshot, scheme, _those_of(theirs, compared))
    is_new = ~np.isin(theirs[:, 0], known.identities()[:, 0])
    if not is_new.any():
        return known
    keys = np.concatenate([one.keys for one in signed], axis=1)[:, is_new]
    sharing = StoredIndex(snapshot, scheme).sharing(keys)
    return StoredIndex(snapshot, scheme, _those_of(np.concatenate([theirs, sharing]), compared))


def _those_of(identities: Identities, compared: Identities | None) -> Identities:
    return identities if compared is None else identities[np.isin(identities[:, 0], compared[:, 0])]


def _is_one_of(side: list[str], identities: Identities) -> pl.Expr:
    # Two that differ in their second halves only hardly ever occur.
    return pl.col(side[0]).is_in(pl.Series(identities[:, 0].view(np.int64)).unique().implode())


def require_pairs(snapshot: Snapshot) -> None:
    """Check that the pairs of the texts in the index exist: they would never be searched for again.

    A run does so before it adds to the index. If that is gone it rebuilds it, and so does the next one if this one is
    killed.

    Raises:
        StoreError: some are lost.
    """
    store, committed = snapshot.store, snapshot.committed_versions()
    if snapshot.versions[Table.SIGNATURES] < 0:
        if committed.get(Table.SIGNATURES, -1) >= 0:
            store.rebuilding.touch()
    elif not store.rebuilding.exists():
        for table in INDEX:
            store.require_version(table, snapshot.versions[table], committed.get(table, -1))


def take_in(store: Store, scheme: Scheme, found: SearchResult) -> None:
    """Add the new texts of a search, and the pairs that it found, to the index, but for what it has already."""
    if found.known == found.count:
        return
    identities = found.identities()
    is_new, fresh = _lacking(store.snapshot(), scheme, found, identities)
    columns = {
        **dict(zip(_LEFT, identities[fresh.left].view(np.int64).T, strict=True)),
        **dict(zip(_RIGHT, identities[fresh.right].view(np.int64).T, strict=True)),
        "similarity": fresh.similarity,
        "answers": fresh.answers,
    }
    store.append(Table.SIMILARITIES, _frame(Table.SIMILARITIES, columns, scheme))
    for start in range(found.known, found.count, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, found.count)
        hashes, keys, sketches = found.signatures(start, stop)
        columns = {
            **dict(zip(_IDENTITY, identities[start:stop].view(np.int64).T, strict=True)),
            **dict(zip(_BYTES, hashes.view(np.int64).T, strict=True)),
            "sketch": _binary(sketches),
            **dict(zip(BAND_COLUMNS, keys.view(np.int32), strict=True)),
        }
        rows = _frame(Table.SIGNATURES, columns, scheme)
        store.append(Table.SIGNATURES, rows.filter(pl.Series(is_new[start - found.known : stop - found.known])))


def _lacking(
    snapshot: Snapshot, scheme: Scheme, found: SearchResult, identities: Identities
) -> tuple[npt.NDArray[np.bool_], Pairs]:
    """Which of the texts that were new to a search are new to the index, too, and the pairs that this lacks."""
    new = identities[found.known :]
    if snapshot.versions[Table.SIGNATURES] < 0:
        return np.ones(len(new), dtype=np.bool_), found.fresh
    mine = snapshot.scan(Table.SIGNATURES).filter(pl.col("scheme") == scheme.name, _is_one_of(_IDENTITY, new))
    there = _identities(mine.select(_IDENTITY).collect(), _IDENTITY)
    is_new = ~np.isin(new[:, 0], there[:, 0])
    if not len(there):
        return is_new, found.fresh
    left, right, _ = StoredIndex(snapshot, scheme).pairs_with(there)
    known = pl.DataFrame(np.concatenate([np.hstack([left, right]), np.hstack([right, left])]))
    fresh = pl.DataFrame(np.hstack([identities[found.fresh.left], identities[found.fresh.right]])).with_row_index("at")
    lacks = fresh.join(known, on=known.columns, how="anti")["at"]
    return is_new, found.fresh.where(lacks.cast(pl.Int64).sort().to_numpy())


def _frame(table: Table, columns: dict[str, object], scheme: Scheme) -> pl.DataFrame:
    return pl.DataFrame(columns).with_columns(scheme=pl.lit(scheme.name)).select(SCHEMAS[table].names())


def _identities(frame: pl.DataFrame, columns: list[str]) -> Identities:
    return frame.select(columns).to_numpy().view(np.uint64)


def _binary(sketches: Sketches) -> pl.Series:
    """Rows of bytes as a column, without a Python object for each."""
    data = pa.py_buffer(np.ascontiguousarray(sketches))
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(sketches.shape[1]), len(sketches), [None, data])
    return pl.Series(pl.from_arrow(fixed.cast(pa.large_binary())))
