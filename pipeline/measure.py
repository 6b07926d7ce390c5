"""Count tokens with tiktoken, by default with an encoding that needs no network, so that the same text
counts the same everywhere.

One core counts about 15 MB of English a second, more slowly than every other step. But tiktoken needs no lock of
Python's, so texts are counted in the background while a run goes on.
"""

import functools
import itertools
import threading
import weakref
from collections import deque
from collections.abc import Sequence

import numpy as np
import tiktoken

from pipeline.errors import ConfigError

LOAD_SECONDS = 30.0
"""How long an encoding may take to load; tiktoken itself waits forever for a network that is silent."""
PIECE = 50_000
"""Characters that are counted at once. tiktoken panics at a million spaces before a letter; cutting a longer
text changes its count by a token or two a cut."""
_BATCH_CHARACTERS = 1_000_000
"""Characters of the texts that tiktoken gets in one call: before each, a thread may wait 5 ms for Python's lock."""


def count_tokens(texts: Sequence[str], encoding: str, workers: int = 1) -> list[int]:
    """Count the tokens of each text, on so many threads; control tokens count as the characters they are.

    Raises:
        ConfigError: there is no such encoding, or it cannot be fetched.
    """
    counting = Counting(encoding, workers)
    for number, text in enumerate(texts):
        counting.add(str(number), text)
    found = counting.result()
    return [found[str(number)] for number in range(len(texts))]


class Counting:
    """Counts the tokens of texts while more are given, and after that.

    One thread less than ``workers`` counts in the background; whoever waits for the result counts along. The threads
    end when nobody has the object any more, or the program ends.
    """

    def __init__(self, encoding: str, workers: int) -> None:
        """Begin with no texts.

        Raises:
            ConfigError: there is no such encoding, or it cannot be fetched.
        """
        self._encoding = _load(encoding)
        self._beside = workers - 1
        self._next: dict[str, str] = {}
        self._next_size = 0
        self._lock = threading.Lock()
        self._batches: deque[dict[str, str]] = deque()
        self._working = 0
        self._threads: list[threading.Thread] = []
        self._found: dict[str, int] = {}
        self._failure: BaseException | None = None

    def add(self, key: str, text: str) -> None:
        """Give a text to be counted, and what its count is found under."""
        self._next[key] = text
        self._next_size += len(text)
        if self._next_size >= _BATCH_CHARACTERS:
            self._hand_over()

    def result(self) -> dict[str, int]:
        """Count what is left, wait for the threads, and return all counts by key."""
        self._hand_over()
        while batch := self._take():
            self._count(batch)
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
        return self._found

    def _count_next(self) -> bool:
        """Count some texts on a thread of its own; False if none are left, and the thread must end."""
        with self._lock:
            if not self._batches:
                self._working -= 1
                return False
            batch = self._batches.popleft()
        try:
            self._count(batch)
        except BaseException as error:
            # Even a panic of tiktoken: whoever waits must hear of it.
            self._failure = error
        return True

    def _hand_over(self) -> None:
        batch, self._next, self._next_size = self._next, {}, 0
        if not batch:
            return
        with self._lock:
            self._batches.append(batch)
            if self._working >= self._beside:
                return
            self._working += 1
        self._threads.append(threading.Thread(target=_count_beside, args=(weakref.ref(self),)))
        self._threads[-1].start()

    def _take(self) -> dict[str, str] | None:
        with self._lock:
            return self._batches.popleft() if self._batches else None

    def _count(self, batch: dict[str, str]) -> None:
        self._found.update(zip(batch, _count_texts(list(batch.values()), self._encoding), strict=True))


def _count_beside(reference: "weakref.ref[Counting]") -> None:
    while threading.main_thread().is_alive() and (counting := reference()) is not None and counting._count_next():
        # Or this thread would be the one that still has it.
        del counting


def _count_texts(texts: Sequence[str], encoding: tiktoken.Encoding) -> list[int]:
    pieces = [text[start : start + PIECE] for text in texts for start in range(0, max(len(text), 1), PIECE)]
    counts = iter(_count_pieces(pieces, encoding))
    return [sum(itertools.islice(counts, max(-(-len(text) // PIECE), 1))) for text in texts]


def _count_pieces(pieces: Sequence[str], encoding: tiktoken.Encoding) -> list[int]:
    """Count texts in one call, with a control token that none of them holds between them: what it parts is counted
    as if it stood alone.
    """
    for mark in sorted(encoding.special_tokens_set):
        joined = mark.join(pieces)
        if joined.count(mark) == len(pieces) - 1:
            try:
                tokens = encoding.encode_to_numpy(joined, allowed_special={mark}, disallowed_special=())
            except UnicodeEncodeError:
                break
            marks = np.flatnonzero(tokens == encoding.encode_single_token(mark))
            counts: list[int] = (np.diff(marks, prepend=-1, append=len(tokens)) - 1).tolist()
            return counts
    return [len(encoding.encode_ordinary(piece)) for piece in pieces]


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
