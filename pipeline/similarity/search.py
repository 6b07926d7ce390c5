"""Finds similar pairs among texts on disk, step by step: sign, gather, propose, verify.

Each step reads and writes files in one folder and can run on any machine that sees the folder: shards are
signed in parallel, then bands are searched in parallel, then chunks of pairs are verified. No step holds more
text than a shard or a chunk of pairs; only the signatures grow with the number of texts.

Texts are identified by their words (their identity), so that an index from earlier runs still applies when
their rows have moved. An *entry* is such a text; rows of equal words share it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.similarity.known_texts import Known, met_keys
from pipeline.similarity.pair_chunks import in_chunks, load_pairs, save_chunks, verify_chunk, verify_entries
from pipeline.similarity.pairs import Pairs, band_pairs, distinct, grouped, most_similar, parted
from pipeline.similarity.search_files import SearchFile, ShardFile
from pipeline.similarity.signatures import (
    NO_IDENTITIES,
    PERMUTATIONS,
    Identities,
    Keys,
    Scheme,
    Sketches,
    in_threads,
    sign,
)
from pipeline.similarity.text_columns import Rows, Texts
from pipeline.state.arrays import Scalar, add, load, mapped, save
from pipeline.state.atomic import replacing
from pipeline.state.tables import BANDS

T = TypeVar("T")
R = TypeVar("R")
_BANDS_AT_ONCE = 4
_GROUPS = [range(at, min(at + _BANDS_AT_ONCE, BANDS)) for at in range(0, BANDS, _BANDS_AT_ONCE)]
"""Of bands."""
_MOST_PROPOSED = 2**26
"""Proposed pairs held at once (512 MB), or all distinct ones, if there are more of these."""
_FEW_OF_INDEX = 0.2
"""Share of the index's texts of which the pairs are looked for, instead of reading all."""
NO_KEYS: Keys = np.empty(0, dtype=np.uint32)
Codes = npt.NDArray[np.uint64]


class Map(Protocol):
    """Calls a step for every item, in parallel if possible; results in the items' order."""

    def __call__(self, step: Callable[[T], R], items: Sequence[T], what: str, /) -> list[R]:
        """Run them all; ``what`` they do may be shown."""


class Index(Protocol):
    """Signatures and verified pairs of earlier searches."""

    def identities(self) -> Identities:
        """Texts x 2, in the order of ``keys`` and ``sketches``."""

    def bytes_hashes(self) -> Identities:
        """Texts x 2: of the bytes of one text with these words."""

    def keys(self, band: int) -> Keys:
        """One key per text."""

    def sketches(self, places: Rows) -> Sketches:
        """Some texts, given by ascending places, x PERMUTATIONS."""

    def pairs(self, among: Identities | None = None) -> tuple[Identities, Identities, Pairs]:
        """Both sides' identities, and all pairs, or some texts'; their ``left`` and ``right`` mean nothing."""


class Elsewhere(Protocol):
    """Texts of the index that are in no shard, and are compared with the new ones all the same."""

    def identities(self) -> Identities:
        """Texts x 2, in any order; those that are not in the index do not count."""

    def texts(self, identities: Identities) -> Texts:
        """Some of them, in the given order; all with answers or all without, like those of the shards."""


@dataclass(frozen=True)
class SearchResult:
    """The entries of a search and the pairs among them."""

    folder: Path
    shards: list[Path]
    scheme: Scheme
    known: int
    """Entries before this one were compared with each other by earlier searches."""
    count: int
    pairs: Pairs
    """Similar ones, and some of at least ``Scheme.least``; ``left < right`` are entries."""
    fresh: Pairs
    """Those of them that this search has found."""

    def entries(self, shard: int) -> Rows:
        """The entry of each row of a shard; -1 for a text without words."""
        return load(_entries_file(self.folder, shard), np.int64)

    def identities(self) -> Identities:
        """Entries x 2."""
        return mapped(self.folder / SearchFile.IDENTITIES, np.uint64, -1, 2)

    def signatures(self, start: int, stop: int) -> tuple[Identities, Keys, Sketches]:
        """For new entries, from ``known`` on: the hashes of their bytes (entries x 2), their keys (BANDS x entries) and
        sketches (entries x PERMUTATIONS).
        """
        part = slice(start - self.count, stop - self.count or None)
        hashes = _new_hashes(self.folder, len(self.shards))[part]
        keys = np.concatenate([_new_keys(self.folder, len(self.shards), bands)[:, part] for bands in _GROUPS])
        return hashes, keys, mapped(self.folder / SearchFile.SKETCHES, np.uint8, -1, PERMUTATIONS)[part]

    def verify(self, left: Rows, right: Rows) -> Pairs:
        """The exact similarities of pairs of entries, which need not be similar."""
        similarity, answers = np.empty(len(left)), np.empty(len(left))
        for part in in_chunks(self.folder, left, right):
            found = verify_entries(self.folder, self.shards, left[part], right[part], self.scheme)
            similarity[part], answers[part] = found.similarity, found.answers
        return Pairs(left, right, similarity, answers)


def search(
    shards: Sequence[Path],
    folder: Path,
    scheme: Scheme,
    index: Index | None,
    each: Map,
    elsewhere: Elsewhere | None = None,
) -> SearchResult:
    """Find the similar pairs among the texts of some shards, and of others.

    Args:
        shards: files written by ``Texts.write``, all with answers or all without.
        folder: an empty one for the files of the search, on a disk shared by all workers.
        scheme: the threshold and what follows from it.
        index: the output of earlier searches under the same scheme; its texts are neither signed again nor compared
            with each other again.
        each: runs a step for every item.
        elsewhere: texts of the index that are not in the shards. Only those that may be similar to a new one are read.
    """
    shards = list(shards)
    _save_known(folder, index)
    each(partial(_sign_shard, folder=folder, shards=shards, scheme=scheme), range(len(shards)), "signing texts")
    count, known = _gather(folder, shards, index, elsewhere)
    proposed = each(partial(_propose, folder=folder, shards=len(shards), need=scheme.need), _GROUPS, "finding pairs")
    left, right = _entries_of(folder, proposed, known, count)
    read = shards if elsewhere is None else [*shards, _read_elsewhere(folder, len(shards), left, elsewhere)]
    chunks = [(left[part], right[part]) for part in in_chunks(folder, left, right)]
    verifying = partial(verify_chunk, folder=folder, shards=read, scheme=scheme)
    verified = each(verifying, save_chunks(folder, chunks), "comparing similar texts")
    fresh = Pairs.concat(load_pairs(path) for path in verified)
    before = _known_pairs(folder, index) if index else Pairs.none()
    return SearchResult(folder, shards, scheme, known, count, Pairs.concat([before, fresh]), fresh)


def _read_elsewhere(folder: Path, shard: int, left: Rows, elsewhere: Elsewhere) -> Path:
    """Write those of the other texts that are in a pair, which is always the first one, as another shard."""
    homes = load(folder / SearchFile.HOMES, np.int64, -1, 2)
    entries = np.unique(left)
    entries = entries[homes[entries, 0] == shard]
    texts = elsewhere.texts(mapped(folder / SearchFile.IDENTITIES, np.uint64, -1, 2)[entries])
    homes[entries, 1] = np.arange(len(entries))
    sizes = load(folder / SearchFile.BYTES, np.int64)
    sizes[entries] = texts.sizes
    save(folder / SearchFile.HOMES, homes)
    save(folder / SearchFile.BYTES, sizes)
    path = folder / "elsewhere.arrow"
    texts.write(path)
    return path


# --- sign -----------------------------------------------------------------------------------------
def _save_known(folder: Path, index: Index | None) -> None:
    """Write the tables that identify known texts, by their words and by their bytes, and their places in the index."""
    identities = index.identities() if index else NO_IDENTITIES
    by_words = Known.of(identities, np.arange(len(identities)))
    by_words.write(folder / SearchFile.KNOWN_WORDS)
    # A killed run may have left a text twice.
    places = np.arange(len(identities)) if by_words.differ else by_words.find(identities)
    Known.of(index.bytes_hashes() if index else NO_IDENTITIES, places).write(folder / SearchFile.KNOWN_BYTES)


def _sign_shard(shard: int, folder: Path, shards: list[Path], scheme: Scheme) -> None:
    """Write each row's place in the index, -1 for new ones; and the identities of all new rows, and the
    signatures of their texts, one row each.
    """
    texts = Texts.read(shards[shard])
    hashes = texts.hashes()
    places = Known.read(folder / SearchFile.KNOWN_BYTES).find(hashes)
    # Most rows need not be split into words.
    rows = np.flatnonzero(places < 0)
    signed = sign(texts, scheme, rows)
    places[rows] = Known.read(folder / SearchFile.KNOWN_WORDS).find(signed.identities)
    save(folder / ShardFile.PLACES.of(shard), places)
    new = np.flatnonzero((places[rows] < 0) & (signed.sizes > 0))
    save(folder / ShardFile.NEW_ROWS.of(shard), rows[new])
    save(folder / ShardFile.NEW_IDENTITIES.of(shard), signed.identities[new])
    first, _ = distinct(signed.identities[new], signed.sizes[new])
    chosen = signed.take(new[first])
    save(folder / ShardFile.SIGNED_ROWS.of(shard), rows[new[first]])
    save(folder / ShardFile.SIGNED_HASHES.of(shard), hashes[rows[new[first]]])
    save(folder / ShardFile.SIGNED_KEYS.of(shard), chosen.keys)
    save(folder / ShardFile.SIGNED_SKETCHES.of(shard), chosen.sketches)


# --- gather ---------------------------------------------------------------------------------------
def _gather(folder: Path, shards: list[Path], index: Index | None, elsewhere: Elsewhere | None) -> tuple[int, int]:
    """Number the distinct texts, the known ones first, and lay out the signatures that the bands need.

    Returns how many there are, and how many of them are known.
    """
    other = NO_IDENTITIES if elsewhere is None else elsewhere.identities()
    places, homes = _number(folder, len(shards), index.identities() if index else NO_IDENTITIES, other)
    save(folder / SearchFile.HOMES, homes)
    save(folder / SearchFile.BYTES, _bytes(shards, homes))
    for shard, mine in enumerate(_by_shard(homes[len(places) :, 0], len(shards))):
        rows = homes[len(places) + mine, 1]
        save(
            folder / ShardFile.NEW.of(shard),
            np.searchsorted(load(folder / ShardFile.SIGNED_ROWS.of(shard), np.int64), rows),
        )
    _lay_out(folder, places, len(shards), index)
    return len(homes), len(places)


def _number(folder: Path, shards: int, before: Identities, elsewhere: Identities) -> tuple[Rows, Rows]:
    """Number the distinct texts: those of the index in its order, then the others as they come.

    Writes the identity of every entry, and the entry of every row. Returns the index places of the known ones,
    and the shard and row of each entry's first occurrence; what is elsewhere is in the shard after the last one.
    """
    homes = np.full((len(before), 2), -1, dtype=np.int64)
    if len(elsewhere):
        there = Known.read(folder / SearchFile.KNOWN_WORDS).find(elsewhere)
        homes[there[there >= 0], 0] = shards
    for shard in reversed(range(shards)):
        places = load(folder / ShardFile.PLACES.of(shard), np.int64)
        # The first row is written last, so it remains.
        rows = np.flatnonzero(places >= 0)[::-1]
        homes[places[rows]] = np.stack([np.full(len(rows), shard), rows], axis=1)
    known = np.flatnonzero(homes[:, 0] >= 0)
    entry_of_place = np.full(len(before), -1, dtype=np.int64)
    entry_of_place[known] = np.arange(len(known))
    save(folder / SearchFile.ENTRY_OF_PLACE, entry_of_place)
    new = [load(folder / ShardFile.NEW_ROWS.of(shard), np.int64) for shard in range(shards)]
    parts = [load(folder / ShardFile.NEW_IDENTITIES.of(shard), np.uint64, -1, 2) for shard in range(shards)]
    identities = np.concatenate([NO_IDENTITIES, *parts])
    first = _firsts(identities)
    named = np.flatnonzero(first == np.arange(len(first)))
    entry = np.searchsorted(named, first) + len(known)
    starts = np.cumsum([0, *map(len, new)])
    for shard in range(shards):
        places = load(folder / ShardFile.PLACES.of(shard), np.int64)
        entries = np.where(places >= 0, entry_of_place[places], -1) if len(known) else np.full_like(places, -1)
        entries[new[shard]] = entry[starts[shard] : starts[shard + 1]]
        save(_entries_file(folder, shard), entries)
    save(folder / SearchFile.IDENTITIES, np.concatenate([before[known], identities[named]]))
    shard_of = np.searchsorted(starts, named, side="right") - 1
    rows = np.concatenate([np.empty(0, dtype=np.int64), *new])[named]
    return known, np.concatenate([homes[known], np.stack([shard_of, rows], axis=1)])


def _firsts(identities: Identities) -> Rows:
    """For each text, the first place of an equal one."""
    order, new = grouped(identities)
    first = np.empty_like(order)
    if len(order):
        first[order] = np.minimum.reduceat(order, np.flatnonzero(new))[np.cumsum(new) - 1]
    return first


def _by_shard(shard: Rows, shards: int) -> list[Rows]:
    """The indices of each shard's number, in ascending order."""
    order = np.argsort(shard, kind="stable")
    return np.split(order, np.searchsorted(shard[order], np.arange(1, shards))) if shards else []


def _bytes(shards: list[Path], homes: Rows) -> Rows:
    """The length of every entry's text."""
    found = np.zeros(len(homes), dtype=np.int64)
    # Those elsewhere are measured once they are read.
    for path, mine in zip(shards, _by_shard(homes[:, 0], len(shards) + 1), strict=False):
        found[mine] = Texts.read(path).sizes[homes[mine, 1]]
    return found


def _lay_out(folder: Path, places: Rows, shards: int, index: Index | None) -> None:
    """Write what the search of each band reads in addition to the new signatures: known keys, and all sketches.

    Only known texts that share a key with a new one are laid out, or a small batch would cost as much as the
    whole index. ``laid-out`` says which entries they are; the new ones follow in their order.
    """
    if not any(len(load(folder / ShardFile.NEW.of(shard), np.int64)) for shard in range(shards)):
        index = None
    met: list[Rows] = []
    with replacing(folder / SearchFile.KNOWN_KEYS, sealed=True) as sink:
        for bands in _GROUPS:
            for band, new in zip(bands, _new_keys(folder, shards, bands), strict=True):
                keys = _chosen(index.keys(band), places) if index else NO_KEYS
                met.append(met_keys(keys, new) if len(keys) else np.empty(0, dtype=np.int64))
                add(sink, keys[met[band]])
    save(folder / SearchFile.MET_STARTS, np.cumsum([0, *map(len, met)]))
    laid_out = np.unique(np.concatenate(met))
    with replacing(folder / SearchFile.MET, sealed=True) as sink:
        for places_met in met:
            add(sink, np.searchsorted(laid_out, places_met))
    save(folder / SearchFile.LAID_OUT, laid_out)
    with replacing(folder / SearchFile.SKETCHES, sealed=True) as sink:
        if index:
            add(sink, index.sketches(places[laid_out]))
        for shard in range(shards):
            signed = mapped(folder / ShardFile.SIGNED_SKETCHES.of(shard), np.uint8, -1, PERMUTATIONS)
            add(sink, _chosen(signed, load(folder / ShardFile.NEW.of(shard), np.int64)))


def _new_keys(folder: Path, shards: int, bands: Sequence[int]) -> Keys:
    """The keys of the new texts in some adjacent bands, in their order: bands x texts."""
    found: list[Keys] = [np.empty((len(bands), 0), dtype=np.uint32)]
    for shard in range(shards):
        keys = mapped(folder / ShardFile.SIGNED_KEYS.of(shard), np.uint32, BANDS, -1)[bands[0] : bands[-1] + 1]
        new = load(folder / ShardFile.NEW.of(shard), np.int64)
        found.append(keys if len(new) == keys.shape[1] else keys[:, new])
    return np.concatenate(found, axis=1)


def _new_hashes(folder: Path, shards: int) -> Identities:
    """The hashes of the new texts' bytes, in their order."""
    found = [NO_IDENTITIES]
    for shard in range(shards):
        hashes = load(folder / ShardFile.SIGNED_HASHES.of(shard), np.uint64, -1, 2)
        found.append(_chosen(hashes, load(folder / ShardFile.NEW.of(shard), np.int64)))
    return np.concatenate(found)


def _chosen(rows: npt.NDArray[Scalar], places: Rows) -> npt.NDArray[Scalar]:
    """The rows at some ascending indices; mostly all of them, which need no copy."""
    return rows if len(places) == len(rows) else rows[places]


def _entries_file(folder: Path, shard: int) -> Path:
    return folder / ShardFile.ENTRIES.of(shard)


# --- propose --------------------------------------------------------------------------------------
def _propose(bands: Sequence[int], folder: Path, shards: int, need: int) -> Path:
    """Write the pairs of laid-out texts that share a key in some bands, at least one of them new."""
    sketches = mapped(folder / SearchFile.SKETCHES, np.uint8, -1, PERMUTATIONS)
    known, starts = len(mapped(folder / SearchFile.LAID_OUT, np.int64)), load(folder / SearchFile.MET_STARTS, np.int64)
    known_keys, all_met = mapped(folder / SearchFile.KNOWN_KEYS, np.uint32), mapped(folder / SearchFile.MET, np.int64)
    new_keys = _new_keys(folder, shards, bands)

    def of_band(band: int) -> npt.NDArray[np.uint64]:
        met = slice(starts[band], starts[band + 1])
        keys = np.concatenate([known_keys[met], new_keys[band - bands[0]]])
        owners = np.concatenate([all_met[met], np.arange(known, len(sketches))])
        return band_pairs(keys, owners, sketches, need, known)

    path = folder / f"proposed-{bands[0]:02}"
    save(path, most_similar(in_threads(of_band, bands), sketches))
    return path


def _entries_of(folder: Path, proposed: Sequence[Path], known: int, count: int) -> tuple[Rows, Rows]:
    """The entries of all proposed pairs."""
    sketches = mapped(folder / SearchFile.SKETCHES, np.uint8, -1, PERMUTATIONS)
    parts: list[Codes] = []
    for path in proposed:
        parts.append(load(path, np.uint64))
        # The bands propose the same pairs again and again.
        if sum(map(len, parts)) > _MOST_PROPOSED:
            parts = [most_similar(parts, sketches)]
    left, right = parted(most_similar(parts, sketches))
    entries = np.concatenate([load(folder / SearchFile.LAID_OUT, np.int64), np.arange(known, count)])
    return entries[left], entries[right]


# --- the index's pairs -----------------------------------------------------------------------------
def _known_pairs(folder: Path, index: Index) -> Pairs:
    """The pairs of the index whose texts are both among the known entries.

    A killed search may have left pairs of texts that it did not get to add: these are found again.
    """
    by_words = Known.read(folder / SearchFile.KNOWN_WORDS)
    entry_of_place = load(folder / SearchFile.ENTRY_OF_PLACE, np.int64)
    known = np.count_nonzero(entry_of_place >= 0)
    among = mapped(folder / SearchFile.IDENTITIES, np.uint64, -1, 2)[:known]
    left, right, pairs = index.pairs(among if known < _FEW_OF_INDEX * len(entry_of_place) else None)
    places = [by_words.find(side) for side in (left, right)]
    one, other = (np.where(side >= 0, entry_of_place[side], -1) if len(entry_of_place) else side for side in places)
    return pairs.between(one, other)
