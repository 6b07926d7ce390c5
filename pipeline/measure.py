"""Count tokens with tiktoken, by default with an encoding that needs no network, so that the same text
counts the same everywhere.

One core counts about 13 MB of English a second, more slowly than every other step: count only what is kept.
"""

import functools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from multiprocessing import get_context

import tiktoken

from pipeline.errors import ConfigError

LOAD_SECONDS = 30.0
"""How long an encoding may take to load; tiktoken itself waits forever for a network that is silent."""
PIECE = 50_000
"""Characters that are counted at once. tiktoken panics at a million spaces before a letter; cutting a longer
text changes its count by a token or two a cut."""
MIN_POOL_CHARACTERS = 20_000_000
"""Below that, starting processes takes longer than counting."""
_BATCH_CHARACTERS = 4_000_000


def count_tokens(texts: Sequence[str], encoding: str, processes: int = 1) -> list[int]:
    """Count the tokens of each text; control tokens in a text count as the characters they are.

    Processes help only where a core is free for each; small lists are counted in this one.

    Raises:
        ConfigError: there is no such encoding, or it cannot be fetched.
    """
    _load(encoding)
    if processes == 1 or sum(map(len, texts)) < MIN_POOL_CHARACTERS:
        return _count_batch(texts, encoding)
    count = functools.partial(_count_batch, encoding=encoding)
    # Spawned, not forked: the caller may run threads.
    try:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            return list(chain.from_iterable(pool.map(count, _batches(texts))))
    except BrokenProcessPool:
        # A new process runs the caller's script up to its main guard; some scripts have none.
        return _count_batch(texts, encoding)


def _count_batch(texts: Sequence[str], encoding: str) -> list[int]:
    encode = _load(encoding).encode_ordinary
    return [
        len(encode(text))
        if len(text) <= PIECE
        else sum(len(encode(text[start : start + PIECE])) for start in range(0, len(text), PIECE))
        for text in texts
    ]


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Runs of texts of about the same size."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@functools.cache
def _load(name: str) -> tiktoken.Encoding:
    known = tiktoken.list_encoding_names()
    offline = ", ".join(other for other in known if other.endswith("_offline"))
    if name not in known:
        raise ConfigError(
            f"`measure.encoding` is '{name}', which tiktoken does not know; set one of {', '.join(known)} "
            f"(without a network: {offline})"
        )
    loaded: list[tiktoken.Encoding] = []
    problems: list[Exception] = []

    def load() -> None:
        try:
            loaded.append(tiktoken.get_encoding(name))
        except (OSError, ValueError) as error:
            problems.append(error)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(LOAD_SECONDS)
    if not loaded:
        cause = type(problems[0]).__name__ if problems else f"no answer within {LOAD_SECONDS:g} seconds"
        raise ConfigError(
            f"`measure.encoding` is '{name}', which has to be fetched, and that failed ({cause}); "
            f"set one that needs no network: {offline}"
        )
    return loaded[0]
