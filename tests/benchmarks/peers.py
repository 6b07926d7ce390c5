"""The other tools, each used as its documentation shows and in the fastest way that we found.

Word 3-grams of the lowercase letters and digits, 64 permutations in 16 bands of 4, which means a threshold of about
0.7. ``measuring.measure`` runs this file with the interpreter of the tools' virtual environment, so
it imports no code of the product.
"""

import pickle
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from gram_hashes import Grams, are_similar
from measuring import Contestant, Job, Labels, serve

PERMUTATIONS, BANDS, ROWS_A_BAND, GRAM_WORDS, THRESHOLD = 64, 16, 4, 3, 0.7
WORKERS = 2
BASE, INSTALL_BASE = ("numpy", "polars", "pyarrow", "scipy"), "polars pyarrow scipy"
"""Needed by all of them."""
RULE = (0.7, 0.5)
"""Minimum similarity of the whole texts and of the responses, for verified pairs."""
Numbers = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint32]
_WORD = re.compile(rb"[a-z0-9\x80-\xff]+")
_NEIGHBOURS = 7
"""A row is compared with the first of its bucket and with this many before it: whole buckets take quadratic time."""
_SURE_MISS = 0.5
"""A share of equal MinHash values below which pairs at the threshold practically never are (3.5 deviations)."""
_ROWS_AT_ONCE = 500
_KEY_ONE, _KEY_OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


# --- shared by several tools --------------------------------------------------------------------
def _texts(parts: list[Path]) -> pl.Series:
    """Prompt and response of each row; the last line break separates the words of neighboring rows."""
    whole = pl.concat_str("prompt", pl.lit("\n"), "response", pl.lit("\n")).alias("text")
    return pl.read_parquet(parts, columns=["prompt", "response"]).select(whole).to_series()


def _lower(parts: list[Path]) -> list[bytes]:
    lower: list[bytes] = _texts(parts).str.to_lowercase().cast(pl.Binary).to_list()
    return lower


def _clusters(rows: int, left: Numbers, right: Numbers) -> Labels:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(rows, rows))
    labels: Labels = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def _clusters_of(rows: int, pairs: Iterable[tuple[int, int]]) -> Labels:
    """The same from Python's pairs."""
    flat = np.fromiter(chain.from_iterable(pairs), dtype=np.int64).reshape(-1, 2)
    return _clusters(rows, flat[:, 0], flat[:, 1])


def _buckets(signatures: Signatures) -> Iterator[tuple[Numbers, npt.NDArray[np.bool_]]]:
    """For each band the rows ordered by bucket, and where a bucket begins."""
    halves = np.ascontiguousarray(signatures).view(np.uint64).reshape(len(signatures), BANDS, 2)
    for band in range(BANDS):
        keys = (halves[:, band, 0] * _KEY_ONE) ^ (halves[:, band, 1] * _KEY_OTHER)
        order = np.argsort(keys, kind="stable")
        new = np.ones(len(keys), dtype=bool)
        new[1:] = keys[order][1:] != keys[order][:-1]
        yield order, new


def _by_bands(signatures: Signatures) -> Labels:
    """Rows that share a band are duplicates. Twice as fast with a sort as with a polars window function."""
    lefts, rights = [], []
    for order, new in _buckets(signatures):
        lefts.append(order[:-1][~new[1:]])
        rights.append(order[1:][~new[1:]])
    return _clusters(len(signatures), np.concatenate(lefts), np.concatenate(rights))


def _candidates(signatures: Signatures) -> tuple[Numbers, Numbers]:
    """Pairs that share a band, unless most of their MinHash values differ."""
    found = []
    for order, new in _buckets(signatures):
        start = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
        found.append((order[start[~new]] << 32) | order[~new])
        for back in range(1, _NEIGHBOURS + 1):
            later = np.flatnonzero(np.arange(len(order)) - start > back)
            if not len(later):
                break
            found.append((order[later - back] << 32) | order[later])
    codes = np.unique(np.concatenate(found))
    left, right = codes >> 32, codes & 0xFFFFFFFF
    equal = np.concatenate([_equal(signatures, part) for part in np.array_split(codes, len(codes) // 20_000 + 1)])
    near = equal >= _SURE_MISS * PERMUTATIONS
    return left[near], right[near]


def _equal(signatures: Signatures, codes: Numbers) -> Numbers:
    same: Numbers = (signatures[codes >> 32] == signatures[codes & 0xFFFFFFFF]).sum(axis=1)
    return same


def _grams(text: bytes) -> list[bytes]:
    """Its word 3-grams, as bytes, because the libraries hash bytes."""
    words = _WORD.findall(text)
    return list(map(b" ".join, zip(words, words[1:], words[2:], strict=False))) or [b" ".join(words)]


# --- the floor ------------------------------------------------------------------------------------
def _floor(job: Job) -> None:
    """The minimum work of any tool: read, join, look at every byte once."""
    _texts(job.parts).hash()


# --- daft -----------------------------------------------------------------------------------------
def _daft_signatures(parts: list[Path]) -> Signatures:
    import daft
    from daft.functions import minhash, normalize

    frame = daft.read_parquet([str(part) for part in parts])
    text = normalize(
        daft.col("prompt") + daft.lit("\n") + daft.col("response"), remove_punct=True, lowercase=True, white_space=True
    )
    hashes = minhash(text, num_hashes=PERMUTATIONS, ngram_size=GRAM_WORDS, hash_function="xxhash")
    column = frame.select(hashes.alias("hashes")).to_arrow()["hashes"].combine_chunks()
    return np.asarray(column.flatten()).reshape(-1, PERMUTATIONS)


def _daft(job: Job) -> Labels:
    return _by_bands(_daft_signatures(job.parts))


def _daft_verified(job: Job) -> Labels:
    signatures = _daft_signatures(job.parts)
    left, right = _candidates(signatures)
    rows, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    frame = pl.read_parquet(job.parts, columns=["prompt", "response"])[rows]
    grams = Grams.of(frame["prompt"], frame["response"])
    one, other = np.split(places, 2)
    true = are_similar(grams, one, other, *RULE)
    return _clusters(len(signatures), left[true], right[true])


# --- rensa ----------------------------------------------------------------------------------------
def _rensa(job: Job) -> Labels:
    from rensa import RMinHash, RMinHashLSH

    texts = _lower(job.parts)
    signatures = RMinHash.from_token_sets([_grams(text) for text in texts], num_perm=PERMUTATIONS, seed=42)
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=BANDS)
    index.insert_many(signatures)
    found = index.query_all(signatures)
    return _clusters_of(len(texts), ((row, other) for row, others in enumerate(found) for other in others))


def _rensa_signatures(grams: Grams) -> Signatures:
    """Blocks of rows whose lists of Python integers fit in the processor's cache."""
    from rensa import RMinHash

    found = np.empty((len(grams), PERMUTATIONS), dtype=np.uint32)
    for start in range(0, len(grams), _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, len(grams))
        hashes, ends = grams.block(start, stop)
        found[start:stop] = RMinHash.digest_matrix_from_flat_token_hashes(hashes, ends, PERMUTATIONS, 42).to_rows()
    return found


def _rensa_flat(job: Job) -> Labels:
    frame = pl.read_parquet(job.parts, columns=["prompt", "response"])
    return _by_bands(_rensa_signatures(Grams.of(frame["prompt"], frame["response"])))


def _rensa_flat_verified(job: Job) -> Labels:
    frame = pl.read_parquet(job.parts, columns=["prompt", "response"])
    grams = Grams.of(frame["prompt"], frame["response"])
    left, right = _candidates(_rensa_signatures(grams))
    true = are_similar(grams, left, right, *RULE)
    return _clusters(len(grams), left[true], right[true])


# --- datasketch -----------------------------------------------------------------------------------
def _datasketch(job: Job) -> Labels:
    import xxhash
    from datasketch import MinHash, MinHashLSH

    texts = _lower(job.parts)
    index, pairs = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS_A_BAND)), []
    hashed = MinHash.generator(map(_grams, texts), num_perm=PERMUTATIONS, hashfunc=xxhash.xxh32_intdigest)
    for row, signature in enumerate(hashed):
        pairs += [(row, other) for other in index.query(signature)]
        index.insert(row, signature, check_duplication=False)
    return _clusters_of(len(texts), pairs)


def _datasketch_example(job: Job) -> Labels:
    """As in the first example of its documentation, except for the bands."""
    from datasketch import MinHash, MinHashLSH

    texts = _lower(job.parts)
    index, pairs = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS_A_BAND)), []
    for row, text in enumerate(texts):
        signature = MinHash(num_perm=PERMUTATIONS)
        for gram in _grams(text):
            signature.update(gram)
        pairs += [(row, other) for other in index.query(signature)]
        index.insert(row, signature)
    return _clusters_of(len(texts), pairs)


# --- text-dedup -----------------------------------------------------------------------------------
def _text_dedup(job: Job) -> Labels:
    """Its script with its options. It requires the text in one column, and splits words at every blank."""
    from text_dedup.minhash import main

    whole, out = job.scratch / "whole.parquet", job.scratch / "out"
    texts = _texts(job.parts)
    texts.str.replace_all(r"[\W_]+", " ").str.strip_chars().to_frame().write_parquet(whole)
    options = {
        **{"path": "parquet", "data_files": whole, "split": "train", "cache_dir": job.scratch / "cache"},
        **{"column": "text", "output": out, "num_proc": WORKERS},
        **{"ngram": GRAM_WORDS, "min_length": 1, "num_perm": PERMUTATIONS, "b": BANDS, "r": ROWS_A_BAND},
        **{"hash_func": "xxh3", "hash_bits": "32"},
    }
    arguments = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    main.main([*arguments, "--debug"], standalone_mode=False)
    with (out / "uf.pkl").open("rb") as file:
        clusters = pickle.load(file)
    return np.array([clusters.find(row) for row in range(len(texts))], dtype=np.int64)


# --- datatrove ------------------------------------------------------------------------------------
def _datatrove(job: Job) -> Labels:
    """Its first three stages; the fourth only filters."""
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.text import TextNormConfig
    from datatrove.utils.word_tokenizers import WordTokenizer

    class AtBlanks(WordTokenizer):
        """The texts have no punctuation; spaCy, the default, takes far longer on them."""

        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    def whole(self: object, row: dict[str, Any], path: str, number: int) -> dict[str, Any]:
        return {"text": f"{row['prompt']}\n{row['response']}", "id": str(number)}

    config = MinhashConfig(
        n_grams=GRAM_WORDS,
        num_buckets=BANDS,
        hashes_per_bucket=ROWS_A_BAND,
        norm_config=TextNormConfig(norm_numbers=False),
        hash_config=HashConfig(precision=32),
    )
    signed, met, found = (str(job.scratch / name) for name in ("signatures", "buckets", "clusters"))
    stages = [
        (
            [
                ParquetReader(str(job.parts[0].parent), adapter=whole, glob_pattern="part-*.parquet"),
                MinhashDedupSignature(signed, config, AtBlanks()),
            ],
            WORKERS,
        ),
        ([MinhashDedupBuckets(signed, met, config=config)], BANDS),
        ([MinhashDedupCluster(met, found, config, save_cluster_id=True)], 1),
    ]
    for number, (pipeline, tasks) in enumerate(stages):
        # Forked workers need not import anything; the default starts them from scratch.
        LocalPipelineExecutor(
            pipeline, tasks, min(WORKERS, tasks), str(job.scratch / f"logs-{number}"), start_method="fork"
        ).run()
    return _datatrove_labels(job.parts, Path(found))


def _datatrove_labels(parts: list[Path], folder: Path) -> Labels:
    sizes = [pl.scan_parquet(part).select(pl.len()).collect().item() for part in parts]
    starts = np.cumsum([0, *sizes])
    labels = -np.arange(1, starts[-1] + 1)
    for worker in range(WORKERS):
        rows = np.concatenate([np.arange(*starts[at : at + 2]) for at in range(worker, len(parts), WORKERS)])
        listed = folder / f"{worker:06}.clusters"
        if listed.exists():
            number, cluster = np.fromfile(listed, dtype="<u4").reshape(-1, 2).T
            labels[rows[number]] = cluster
    return labels


CONTESTANTS = {
    "floor": Contestant("no search: read, join, hash each row", _floor),
    "daft": Contestant("daft `minhash`", _daft, ("daft",), "daft"),
    "daft-verified": Contestant("daft `minhash`, pairs verified", _daft_verified, ("daft",), "daft"),
    "rensa": Contestant("rensa `RMinHash`, `RMinHashLSH`", _rensa, ("rensa",), "rensa"),
    "rensa-flat": Contestant("rensa flat matrix", _rensa_flat, ("rensa",), "rensa"),
    "rensa-flat-verified": Contestant("rensa flat matrix, pairs verified", _rensa_flat_verified, ("rensa",), "rensa"),
    "datasketch": Contestant(
        "datasketch `MinHash.generator`, `MinHashLSH`", _datasketch, ("datasketch", "xxhash"), "datasketch xxhash"
    ),
    "datasketch-example": Contestant(
        "datasketch as in its first example", _datasketch_example, ("datasketch",), "datasketch"
    ),
    "text-dedup": Contestant("text-dedup `minhash`, 2 processes", _text_dedup, ("text_dedup",), "text-dedup"),
    "datatrove": Contestant(
        *("datatrove MinHash stages 1 to 3, 2 workers", _datatrove),
        *(("datatrove", "xxhash", "tokenizers"), "'datatrove[io]' tokenizers 'xxhash<4'"),
    ),
}


if __name__ == "__main__":
    serve(CONTESTANTS)
