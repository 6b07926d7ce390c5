"""Makes the benchmark corpora from English that every machine has: the docstrings of installed packages.

A row's text is a function of the seed and a number, so that copies can be made without keeping originals:
millions of rows are written part by part. The sentences are those of this machine's packages; on another
machine, or after an upgrade, the corpora are similar, but not the same.
"""

import os
import random
import re
import shutil
import string
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

Numbers = npt.NDArray[np.int64]
BASE, TEMPLATE, CONFLICT = "base", "template", "conflict"
COPIES = ("exact", "case", "typo", "swap", "substitution", "truncation")
ROWS_A_PART = 100_000
_COPIES_SHARE, _CONFLICT_SHARE, _TEMPLATE_SHARE = 0.28, 0.02, 0.05
_TEMPLATE_WORDS, _LONG_TEMPLATE_WORDS, _OWN_WORDS = 45, 80, 4
_LEAST_PROMPT, _MOST_PROMPT = 0.1, 0.9
"""Shares of a row's words. Rows with long prompts are similar whatever the response, which hides conflicts."""
_MEDIAN_WORDS, _SPREAD, _FEWEST, _MOST = 66, 1.4, 5, 3000
"""Parameters of the length distribution. Texts end with a whole sentence, so they are some 14 words longer."""
_DAMAGED_SHARES = (0.02, 0.04, 0.06)
"""Share of the words affected by a typo, swap or substitution."""
_DOCSTRING = re.compile(rb"^[ \t]*[rRuU]?(\"\"\"|''')(.*?)\1", re.MULTILINE | re.DOTALL)
_PARAGRAPH, _SENTENCE = re.compile(r"\n\s*\n"), re.compile(r"(?<=[.!?])\s+")
# What a row's random numbers are used for.
_ROLE, _KIND, _ORIGINAL, _LENGTH, _PROMPT_PART, _IN_TEMPLATE, _PROMPT, _RESPONSE, _OTHER_RESPONSE, _OWN = range(10)


# --- sentences ------------------------------------------------------------------------------------
def sentences(folder: Path) -> list[str]:
    """The distinct English sentences of this machine's Python packages, sorted; cached in the folder.

    ASCII only, since tools differ in what they consider a letter, and that is not measured here.
    """
    kept = folder / "sentences.txt"
    if not kept.is_file():
        roots = _package_roots()
        print(f"reading the docstrings below {', '.join(map(str, roots))}", flush=True)
        started = time.perf_counter()
        found = {sentence for root in roots for text in _docstrings(root) for sentence in _sentences_in(text)}
        unfinished = kept.with_suffix(".unfinished")
        unfinished.write_text("\n".join(sorted(found)), encoding="utf-8")
        unfinished.replace(kept)
        print(f"{len(found):,} distinct sentences in {time.perf_counter() - started:.0f} s", flush=True)
    return kept.read_text(encoding="utf-8").split("\n")


def _package_roots() -> list[Path]:
    paths = sysconfig.get_paths()
    roots = {Path(paths[name]).resolve() for name in ("stdlib", "purelib", "platlib")}
    return sorted(root for root in (*roots, Path("/usr/lib/python3/dist-packages")) if root.is_dir())


def _docstrings(root: Path) -> Iterator[str]:
    """Strings that begin a line: nearly all are docstrings, found many times as fast as by parsing."""
    for at, folders, names in os.walk(root):
        # Installed packages may be inside the standard library's folder; they are a separate root.
        folders[:] = sorted(name for name in folders if name not in {"site-packages", "dist-packages"})
        for name in sorted(names):
            if name.endswith(".py"):
                for match in _DOCSTRING.finditer((Path(at) / name).read_bytes()):
                    yield match[2].decode("utf-8", errors="replace")


def _sentences_in(text: str) -> Iterator[str]:
    for paragraph in _PARAGRAPH.split(text):
        # Sessions and literal blocks are code.
        if ">>>" not in paragraph and "::" not in paragraph:
            yield from filter(_is_english, _SENTENCE.split(" ".join(paragraph.split())))


def _is_english(sentence: str) -> bool:
    words = sentence.count(" ") + 1
    if not sentence.isascii() or not 4 <= words <= 60 or not sentence[0].isupper() or sentence[-1] not in ".!?":
        return False
    return sum(map(str.isalpha, sentence)) + words > 0.9 * len(sentence)


# --- random numbers -------------------------------------------------------------------------------
def _mixed(seed: int, purpose: int, rows: Numbers, draw: int = 0) -> npt.NDArray[np.uint64]:
    """A random number for each row, the same in every call (SplitMix64)."""
    value = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    value += np.uint64((seed * 0x2545F4914F6CDD1D + purpose * 0xD1342543DE82EF95 + draw * 0xAF251AF3B0F025B5) % 2**64)
    for _ in range(2):
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value ^= value >> np.uint64(31)
    return value


def _shares(seed: int, purpose: int, rows: Numbers, draw: int = 0) -> npt.NDArray[np.float64]:
    """The same, scaled to between 0 and 1."""
    return (_mixed(seed, purpose, rows, draw) >> np.uint64(11)) / 2**53


# --- rows -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Corpus:
    """Rows of prompt and response, some of them planted copies of others."""

    folder: Path
    rows: int

    @property
    def parts(self) -> list[Path]:
        """Parquet files with ``prompt``, ``response``, ``kind`` and ``source``, the row that a copy was made from."""
        return sorted(self.folder.glob("part-*.parquet"))

    def plants(self) -> pl.DataFrame:
        """Where the copies are: ``row``, ``kind`` and ``source``."""
        return pl.read_parquet(self.parts, columns=["kind", "source"]).with_row_index("row")


@dataclass(frozen=True)
class _Author:
    """Writes rows by their numbers."""

    sentences: list[str]
    seed: int
    rows: int

    @cached_property
    def _pool(self) -> pa.Array:
        return pa.array(self.sentences)

    @cached_property
    def _words(self) -> Numbers:
        return np.array([sentence.count(" ") + 1 for sentence in self.sentences], dtype=np.int64)

    @cached_property
    def vocabulary(self) -> list[str]:
        """Words to substitute."""
        return [word for sentence in self.sentences[:20_000] for word in sentence.split() if word.isalpha()]

    def template(self, words: int) -> str:
        """A text that many rows share."""
        drawn = random.Random(self.seed).sample(self.sentences, words)
        return " ".join(" ".join(drawn).split()[:words])

    def original(self, rows: Numbers) -> npt.NDArray[np.bool_]:
        """Whether rows are originals, neither copies nor conflicts."""
        return _shares(self.seed, _ROLE, rows) >= _COPIES_SHARE + _CONFLICT_SHARE

    def conflicting(self, rows: Numbers) -> npt.NDArray[np.bool_]:
        """Whether rows have another row's prompt and a different response."""
        share = _shares(self.seed, _ROLE, rows)
        return (share >= _COPIES_SHARE) & ~self.original(rows)

    def sources(self, rows: Numbers) -> Numbers:
        """The original of each row; for originals, their own number."""
        found = rows.copy()
        waiting, draw = np.flatnonzero(~self.original(rows)), 0
        while len(waiting):
            chosen = (_mixed(self.seed, _ORIGINAL, rows[waiting], draw) % np.uint64(self.rows)).astype(np.int64)
            found[waiting] = chosen
            waiting, draw = waiting[~self.original(chosen)], draw + 1
        return found

    def templated(self, rows: Numbers) -> npt.NDArray[np.bool_]:
        """Whether the prompts of originals begin with the template."""
        return _shares(self.seed, _IN_TEMPLATE, rows) < _TEMPLATE_SHARE

    def prompts(self, rows: Numbers) -> list[str]:
        """The prompts of originals."""
        own = self._bodies(rows, _PROMPT, self._prompt_shares(rows) * self._lengths(rows))
        template = self.template(_TEMPLATE_WORDS)
        return [f"{template} {text}" if has else text for text, has in zip(own, self.templated(rows), strict=True)]

    def responses(self, rows: Numbers, conflicting: npt.NDArray[np.bool_]) -> list[str]:
        """The responses of originals, or others instead of them."""
        target = (1 - self._prompt_shares(rows)) * self._lengths(rows)
        first = self._bodies(rows[~conflicting], _RESPONSE, target[~conflicting])
        other = self._bodies(rows[conflicting], _OTHER_RESPONSE, target[conflicting])
        texts, others = iter(first), iter(other)
        return [next(others) if swapped else next(texts) for swapped in conflicting]

    def _lengths(self, rows: Numbers) -> npt.NDArray[np.float64]:
        radius = np.sqrt(-2 * np.log(1 - _shares(self.seed, _LENGTH, rows)))
        normal = radius * np.cos(2 * np.pi * _shares(self.seed, _LENGTH, rows, 1))
        return np.clip(_MEDIAN_WORDS * np.exp(_SPREAD * normal), _FEWEST, _MOST)

    def _prompt_shares(self, rows: Numbers) -> npt.NDArray[np.float64]:
        return _LEAST_PROMPT + (_MOST_PROMPT - _LEAST_PROMPT) * _shares(self.seed, _PROMPT_PART, rows)

    def _bodies(self, rows: Numbers, purpose: int, target: npt.NDArray[np.float64]) -> list[str]:
        """For each row, as many sentences as are needed for its number of words."""
        if not len(rows):
            return []
        written = np.zeros(len(rows), dtype=np.int64)
        whose, which = [], []
        waiting, draw = np.arange(len(rows)), 0
        while len(waiting):
            chosen = (_mixed(self.seed, purpose, rows[waiting], draw) % np.uint64(len(self._words))).astype(np.int64)
            whose.append(waiting)
            which.append(chosen)
            written[waiting] += self._words[chosen]
            waiting, draw = waiting[written[waiting] < target[waiting]], draw + 1
        owners = np.concatenate(whose)
        order = np.argsort(owners, kind="stable")
        starts = np.searchsorted(owners[order], np.arange(len(rows) + 1))
        drawn = pc.take(self._pool, pa.array(np.concatenate(which)[order]))
        joined: list[str] = pc.binary_join(pa.ListArray.from_arrays(starts.astype(np.int32), drawn), " ").to_pylist()
        return joined

    def part(self, rows: Numbers) -> pl.DataFrame:
        """Rows as they are written."""
        sources, original, conflicting = self.sources(rows), self.original(rows), self.conflicting(rows)
        prompts, responses = self.prompts(sources), self.responses(sources, conflicting)
        kinds = _mixed(self.seed, _KIND, rows) % np.uint64(len(COPIES))
        names = np.where(self.templated(rows), TEMPLATE, BASE)
        names = np.where(original, names, np.where(conflicting, CONFLICT, np.array(COPIES)[kinds.astype(np.int64)]))
        chance = random.Random(f"{self.seed} {rows[0]}")
        for place in np.flatnonzero(~original & ~conflicting).tolist():
            prompts[place] = self._damaged(prompts[place], names[place], chance)
            responses[place] = self._damaged(responses[place], names[place], chance)
        return pl.DataFrame({"prompt": prompts, "response": responses, "kind": names.tolist(), "source": sources})

    def _damaged(self, text: str, kind: str, chance: random.Random) -> str:
        words = text.split()
        if kind == "exact":
            return text
        if kind == "case":
            return "  ".join(words).upper() if chance.random() < 0.5 else " \n".join(words)
        if kind == "truncation":
            return " ".join(words[: max(3, round(len(words) * chance.uniform(0.75, 0.97)))])
        for _ in range(max(1, round(len(words) * chance.choice(_DAMAGED_SHARES)))):
            at = chance.randrange(len(words))
            if kind == "typo":
                letter = chance.randrange(len(words[at]))
                words[at] = words[at][:letter] + chance.choice(string.ascii_lowercase) + words[at][letter + 1 :]
            elif kind == "substitution":
                words[at] = chance.choice(self.vocabulary)
            elif at + 1 < len(words):
                words[at], words[at + 1] = words[at + 1], words[at]
        return " ".join(words)

    def template_part(self, rows: Numbers) -> pl.DataFrame:
        """Rows whose responses are one long template with a few different words."""
        template = self.template(_LONG_TEMPLATE_WORDS)
        words = np.array(self.vocabulary)
        drawn = [words[_mixed(self.seed, _OWN, rows, draw) % np.uint64(len(words))] for draw in range(_OWN_WORDS + 2)]
        own = [" ".join(some) for some in zip(*drawn, strict=True)]
        prompts = [" ".join(text.split()[:2]) for text in own]
        return pl.DataFrame(
            {
                "prompt": prompts,
                "response": [f"{template} {' '.join(text.split()[2:])}" for text in own],
                "kind": [TEMPLATE] * len(rows),
                "source": rows,
            }
        )


def corpus(folder: Path, rows: int, seed: int = 1) -> Corpus:
    """A corpus with planted copies, written into the folder unless it is there.

    Of 100 rows 28 are copies of others (exact, case and whitespace, typos, swaps, substitutions, truncation),
    2 are conflicts (another row's prompt, a different response), and the rest are originals, 5% of them with one
    45-word template before the prompt. Lengths are lognormal with a median of 88 words, 10 to 90% of them the prompt's.
    """
    made = Corpus(folder / f"corpus-{rows}-{seed}", rows)
    author = _Author(sentences(folder), seed, rows)
    _write(made, author.part)
    return made


def template_corpus(folder: Path, rows: int, seed: int = 1) -> Corpus:
    """A corpus of one long template with a few different words per row, written into the folder unless it is there."""
    made = Corpus(folder / f"template-{rows}-{seed}", rows)
    author = _Author(sentences(folder), seed, rows)
    _write(made, author.template_part)
    return made


def _write(made: Corpus, part_of: Callable[[Numbers], pl.DataFrame]) -> None:
    if made.folder.is_dir():
        return
    print(f"writing {made.rows:,} rows to {made.folder}", flush=True)
    unfinished = made.folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    # At least two files: some tools distribute work by file.
    size = min(ROWS_A_PART, -(-made.rows // 2))
    for number, start in enumerate(range(0, made.rows, size)):
        rows = np.arange(start, min(start + size, made.rows), dtype=np.int64)
        part_of(rows).write_parquet(unfinished / f"part-{number:05}.parquet")
    unfinished.rename(made.folder)
