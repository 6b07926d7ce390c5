"""The near-duplicate index: what it knows is not computed again, and the result is the same as without it."""

import itertools
import random
import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from candidates import CLAUSE
from forked import Point, die_at, process
from hypothesis import given
from hypothesis import strategies as st
from odd import QUESTION, Odd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from support import row
from tried_examples import examples

from pipeline.similarity import index
from pipeline.similarity import pair_chunks as chunks
from pipeline.similarity.index import StoredIndex, take_in
from pipeline.similarity.pairs import similar_pairs
from pipeline.similarity.search import Elsewhere, SearchResult, search
from pipeline.similarity.signatures import FULL_BUCKET, NO_IDENTITIES, Identities, Scheme, sign
from pipeline.similarity.text_columns import Texts
from pipeline.state.arrays import load, save
from pipeline.state.store import Store
from pipeline.state.tables import INDEX, Table
from pipeline.text.words import jaccard
from schemas.fate import Fate

AT = 0.6
VOCABULARY = [f"word{number}" for number in range(12)]
Groups = set[frozenset[str]]


def each(step: Callable[[Any], Any], items: Sequence[Any], what: str) -> list[Any]:
    return [step(item) for item in items]


def compare(
    store: Store,
    shards: Sequence[Sequence[str]],
    at: float = AT,
    elsewhere: Elsewhere | None = None,
    compared: Identities | None = None,
    *,
    narrowed: bool = False,
) -> SearchResult:
    """Search some shards of texts with the index of a store, or a part of it, which then takes them in."""
    store.root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=store.root))
    paths = [folder / f"texts-{number}.arrow" for number in range(len(shards))]
    for path, texts in zip(paths, shards, strict=True):
        Texts.of(list(texts)).write(path)
    scheme = Scheme(at)
    snapshot = store.snapshot()
    whole = StoredIndex(snapshot, scheme, compared=compared)
    known = index.index_for(paths, snapshot, scheme, compared) if narrowed else whole
    found = search(paths, folder, scheme, known, each, elsewhere)
    take_in(store, scheme, found)
    return found


def groups(found: SearchResult, shards: Sequence[Sequence[str]], at: float = AT) -> Groups:
    """The texts that belong together, by what they say."""
    pairs = found.pairs.where(found.pairs.similarity >= at)
    edges = coo_array((np.ones(len(pairs)), (pairs.left, pairs.right)), shape=(found.count, found.count))
    _, roots = connected_components(edges, directed=False)
    members: dict[int, set[str]] = {}
    for number, texts in enumerate(shards):
        for entry, text in zip(found.entries(number).tolist(), texts, strict=True):
            if entry >= 0:
                members.setdefault(int(roots[entry]), set()).add(text)
    return {frozenset(texts) for texts in members.values()}


def pairs_of(found: SearchResult, *, fresh: bool = False) -> set[tuple[float, ...]]:
    """The pairs, or those that nobody knew, by what they are between, whatever the numbers are."""
    identities, pairs = found.identities(), found.fresh if fresh else found.pairs
    return {
        (*sorted((tuple(identities[one].tolist()), tuple(identities[other].tolist()))), round(similarity, 9))
        for one, other, similarity in zip(pairs.left, pairs.right, pairs.similarity, strict=True)
    }


TEXTS = st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join), max_size=FULL_BUCKET)


@pytest.fixture(scope="module")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Store]:
    """Makes stores without an index."""
    folder, numbers = tmp_path_factory.mktemp("stores"), itertools.count()
    return lambda: Store(folder / str(next(numbers)), "texts")


@examples(40)  # Each of them searches twice, or three times, in files.
@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_which_rows_are_grouped(
    new_store: Callable[[], Store], texts: list[str], rng: random.Random
) -> None:
    shuffled = rng.sample(texts, len(texts))
    one, other = compare(new_store(), [texts]), compare(new_store(), [shuffled])
    assert pairs_of(one) == pairs_of(other)
    assert groups(one, [texts]) == groups(other, [shuffled])


@examples(40)
@given(TEXTS, st.integers(0, FULL_BUCKET), st.integers(1, 5))
def test_a_batch_in_parts_gives_the_groups_of_the_whole(
    new_store: Callable[[], Store], texts: list[str], cut: int, shard: int
) -> None:
    store, first, second = new_store(), texts[:cut], texts[cut:]
    shards = [second[at : at + shard] for at in range(0, len(second), shard)]
    compare(store, [first])
    parts, whole = compare(store, [first, *shards]), compare(new_store(), [texts])
    assert parts.known == len({text for text in first if text})
    assert pairs_of(parts) == pairs_of(whole)
    assert groups(parts, [first, *shards]) == groups(whole, [texts])


class Remembered:
    """Texts that are in no shard, by what they say."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = {tuple(one): text for one, text in zip(self._sign(texts), texts, strict=True)}

    @staticmethod
    def _sign(texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = sign(Texts.of(list(texts)), Scheme(AT)).identities.tolist()
        return found

    def identities(self) -> Identities:
        return np.array(list(self._texts), dtype=np.uint64).reshape(-1, 2)

    def texts(self, identities: Identities) -> Texts:
        return Texts.of([self._texts[tuple(one)] for one in identities.tolist()])


@examples(40)
@given(TEXTS, st.integers(0, FULL_BUCKET), st.integers(0, 3))
def test_texts_that_are_not_read_again_are_compared_all_the_same(
    new_store: Callable[[], Store], texts: list[str], cut: int, shard: int
) -> None:
    first, second = texts[:cut], texts[cut:]
    here, beside = new_store(), new_store()
    for store in (here, beside):
        compare(store, [first])
    found = compare(here, [first, second])
    others = compare(beside, [second[:shard], second[shard:]], elsewhere=Remembered(first))
    assert pairs_of(others) == pairs_of(found)


@examples(40)
@given(TEXTS, st.integers(0, FULL_BUCKET), st.integers(0, 3))
def test_a_search_among_few_texts_needs_only_a_part_of_the_index(
    new_store: Callable[[], Store], texts: list[str], cut: int, shard: int
) -> None:
    first, second = texts[:cut], texts[cut:]
    here, beside = new_store(), new_store()
    for store in (here, beside):
        compare(store, [first])
    found, others = (
        compare(store, [second[:shard], second[shard:]], elsewhere=Remembered(first), narrowed=store is beside)
        for store in (here, beside)
    )
    assert pairs_of(others, fresh=True) == pairs_of(found, fresh=True)
    # Both have taken in the same, and now know all of them.
    assert pairs_of(compare(beside, [first, second], narrowed=True)) == pairs_of(compare(here, [first, second]))


@examples(40)
@given(TEXTS, st.lists(st.lists(st.booleans(), min_size=FULL_BUCKET, max_size=FULL_BUCKET), max_size=4), st.booleans())
def test_texts_that_come_and_go_are_compared_as_if_all_were_new(
    new_store: Callable[[], Store], texts: list[str], days: list[list[bool]], narrowed: bool
) -> None:
    store, before = new_store(), NO_IDENTITIES
    for day in [*days, [True] * FULL_BUCKET]:
        there = [text for text, is_there in zip(texts, day, strict=False) if is_there]
        found = compare(store, [there], compared=before, narrowed=narrowed)
        before = found.identities()
        assert pairs_of(found) == pairs_of(compare(new_store(), [there]))
    # Nothing was written twice.
    signed, paired = (store.scan(table).select(pl.exclude(pl.Binary)).collect() for table in INDEX)
    assert signed.height == found.count and paired.height == len(found.pairs)


def corpus(count: int, seed: int = 3) -> list[str]:
    """Texts in groups of three similar ones."""
    rng = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        own = [str(rng.randrange(10**9)) for _ in range(40)]
        found += [" ".join(own), " ".join([*own[:-2], "changed"]), " ".join(["more", *own])]
    return found[:count]


def test_in_files_and_in_memory_the_same_pairs_are_found(tmp_path: Path) -> None:
    texts = corpus(300)
    found, pairs = compare(Store(tmp_path, "texts"), [texts[:100], texts[100:]]), similar_pairs(Texts.of(texts), AT)
    entries = np.concatenate([found.entries(0), found.entries(1)])
    rows = np.argsort(entries)
    assert {(rows[one], rows[other]) for one, other in zip(found.pairs.left, found.pairs.right, strict=True)} == set(
        zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
    )
    assert len(pairs) == 300


def test_in_many_chunks_every_pair_gets_its_own_similarity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"_CHUNK_BYTES": 3_000, "_CHUNK_PAIRS": 5}
    for name, value in limits.items():
        monkeypatch.setattr(chunks, name, value)
    texts, rng = corpus(30), random.Random(8)
    found = compare(Store(tmp_path, "texts"), [texts[:11], texts[11:]])
    text_of = dict(zip(np.concatenate([found.entries(0), found.entries(1)]).tolist(), texts, strict=True))
    # All pairs of the first fifteen, one pair each of the others.
    pairs = [*itertools.combinations(range(15), 2), *((at, at + 1) for at in range(15, 29))]
    rng.shuffle(pairs)
    left, right = np.array(pairs).T
    assert len(chunks.in_chunks(found.folder, left, right)) > 10
    verified = found.verify(left, right)
    assert verified.left is left and verified.right is right
    expected = [jaccard(text_of[one], text_of[other]) for one, other in pairs]
    np.testing.assert_allclose(verified.similarity, expected)
    assert (verified.answers == 1).all()


def test_what_is_known_is_neither_signed_nor_verified_again(tmp_path: Path) -> None:
    store, texts = Store(tmp_path, "texts"), corpus(90)
    compare(store, [texts])
    version = store.version(Table.SIGNATURES), store.version(Table.SIMILARITIES)
    again = compare(store, [list(reversed(texts))])
    assert (again.known, again.count, len(again.fresh), len(again.pairs)) == (90, 90, 0, 90)
    assert (store.version(Table.SIGNATURES), store.version(Table.SIMILARITIES)) == version


def test_texts_that_left_are_not_compared_and_come_back_as_they_were(tmp_path: Path) -> None:
    store, texts = Store(tmp_path, "texts"), corpus(30)
    compare(store, [texts])
    left = compare(store, [texts[:2]])
    assert (left.known, left.count, len(left.pairs)) == (2, 2, 1)
    back = compare(store, [texts])
    assert (back.known, len(back.pairs), len(back.fresh)) == (30, 30, 0)


def test_another_threshold_has_an_index_of_its_own(tmp_path: Path) -> None:
    store, texts = Store(tmp_path, "texts"), corpus(30)
    compare(store, [texts])
    assert compare(store, [texts], at=0.8).known == 0
    assert compare(store, [texts]).known == 30


def test_a_dense_cluster_that_grows_batch_by_batch_stays_one_group(tmp_path: Path) -> None:
    store = Store(tmp_path, "texts")
    base = " ".join(str(number) for number in range(60))
    cluster = [f"{base} {number}" for number in range(4 * FULL_BUCKET)]
    for stop in range(FULL_BUCKET, len(cluster) + 1, FULL_BUCKET):
        found = compare(store, [cluster[:stop]])
    assert groups(found, [cluster]) == {frozenset(cluster)}


_WRITES = 6
"""That take in 45 texts, ten at a time: the pairs, and five times signatures."""


def take_in_and_die(folder: Path, when: str, nth: int) -> None:
    """What a process of its own does."""
    index._ROWS_AT_ONCE = 10
    die_at(Point("pipeline.state.store", "Store.append", when, nth))
    compare(Store(folder, "texts"), [corpus(60)])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, _WRITES + 1))
def test_an_index_survives_kill_9_before_and_after_every_write(tmp_path: Path, nth: int, when: str) -> None:
    texts = corpus(60)
    undisturbed = compare(Store(tmp_path / "undisturbed", "texts"), [texts])
    store = Store(tmp_path, "texts")
    compare(store, [texts[:15]])
    killed = process(take_in_and_die, tmp_path, when, nth)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    for _ in range(2):
        found = compare(store, [texts])
        assert pairs_of(found) == pairs_of(undisturbed)
        assert len(found.pairs) == len(undisturbed.pairs)
    assert found.known == 60


def test_a_file_of_a_search_is_there_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers"
    save(path, np.arange(5))
    real = Path.replace

    def fail(self: Path, target: Path) -> Path:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="the disk is full"):
        save(path, np.arange(9))
    monkeypatch.setattr(Path, "replace", real)
    assert load(path, np.int64).tolist() == [0, 1, 2, 3, 4]


# --- bad input --------------------------------------------------------------------------------
def test_100_000_identical_rows_are_one_text(tmp_path: Path) -> None:
    found = compare(Store(tmp_path, "texts"), [[CLAUSE] * 60_000, [CLAUSE.upper()] * 40_000], 0.7)
    assert set(found.entries(0).tolist()) == set(found.entries(1).tolist()) == {0}
    assert (found.count, len(found.pairs)) == (1, 0)


def test_rows_of_punctuation_alone_resemble_nothing(tmp_path: Path) -> None:
    texts = ["!!! ... ???", "*" * 1000, "—", "", "\U0001f600\U0001f600"] * 100
    found = compare(Store(tmp_path, "texts"), [texts, ["", CLAUSE]], 0.7)
    assert set(found.entries(0).tolist()) == {-1}
    assert found.entries(1).tolist() == [-1, 0]
    assert len(found.pairs) == 0


def test_a_row_of_50_mb_is_compared_as_every_other(tmp_path: Path) -> None:
    rng = random.Random(1)
    long = " ".join(map(str, (rng.randrange(10**9) for _ in range(5_200_000))))
    assert len(long) > 50e6
    found = compare(Store(tmp_path, "texts"), [[CLAUSE, long], [f"{long} and some more words at the end"]], 0.7)
    pairs = zip(found.pairs.left.tolist(), found.pairs.right.tolist(), found.pairs.similarity.tolist(), strict=True)
    assert list(pairs) == [(1, 2, pytest.approx(1, abs=1e-5))]


def test_bytes_and_characters_that_are_none_stop_no_curate(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, [row(1, "", "billing")])
    odd.edit("license: MIT", "license: MIT, most_unreadable: 1")
    lines = [
        b'{"id": 1, "question": "the parcel of order 7 was left with the neigh\xffbour", "topic": "billing"}',
        b'{"id": 2, "question": "\\ud800 the parcel of order 7 was left with the neighbour", "topic": "billing"}',
        b'{"id": 3, "question": "the parcel of order 7 was left with the neighbour \\ud83d", "topic": "billing"}',
        '{"id": 4, "question": "น'.encode() + "ำ".encode() * 20_000 + b'", "topic": "billing"}',
    ]
    (tmp_path / "data.jsonl").write_bytes(b"\n".join(lines))
    funnel = odd.curate().funnel
    assert funnel.current == 4
    assert odd[4].fate is Fate.ACCEPTED
