"""In which languages texts are: the probabilities of py3langid, for many texts at once.

One text after another takes that library 0.15 ms each, most of it in a loop over bytes, which is compiled here.
"""

import functools
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Shares = npt.NDArray[np.float32]
_AT_ONCE = 2_000


def languages() -> Sequence[str]:
    """The codes of all languages, some of them twice; the second column of one is always 0."""
    names: Sequence[str] = _identifier().nb_classes
    return names


def forget_languages() -> None:
    """Give back the 70 MB of the model; it is read again, in half a second, if it is needed."""
    _identifier.cache_clear()
    _automaton.cache_clear()


def language_shares(texts: Sequence[str]) -> Shares:
    """How likely each text is in each language: texts x languages."""
    found: list[Shares] = [np.zeros((0, len(languages())), dtype=np.float32)]
    found += [_shares(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
    return np.concatenate(found)


def _shares(texts: Sequence[str]) -> Shares:
    from pipeline.label_errors.language_kernels import add_features, count_features

    encoded = [_encoded(text) for text in texts]
    sizes = np.array([len(one) for one in encoded], dtype=np.int64)
    starts = np.r_[0, np.cumsum(sizes)]
    features, counts = np.empty((2, starts[-1]), dtype=np.int32)
    ends = np.empty(len(texts), dtype=np.int64)
    count_features(np.frombuffer(b"".join(encoded), dtype=np.uint8), starts, *_automaton(), features, counts, ends)
    features, counts = features[: ends[-1]], counts[: ends[-1]]
    # A text without features says nothing, not even how frequent the languages are.
    scores = np.where((np.diff(ends, prepend=0) > 0)[:, None], _identifier().nb_pc, np.float32(0))
    is_used = np.zeros(len(_identifier().nb_ptc), dtype=np.bool_)
    is_used[features] = True
    # Only the lines that are needed are converted from half precision.
    table = _identifier().nb_ptc[is_used].astype(np.float32)
    lines = (np.cumsum(is_used) - 1)[features]
    add_features(lines, np.log1p(counts.astype(np.float32)), ends, table, scores)
    return _normalized(scores, sizes)


def _normalized(scores: Shares, sizes: npt.NDArray[np.int64]) -> Shares:
    """Probabilities that are as sure of short texts as of long ones."""
    scores = scores / np.sqrt(np.maximum(sizes, 1)).astype(np.float32)[:, None]
    shares: Shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    first: dict[str, int] = {}
    for column, name in enumerate(languages()):
        if first.setdefault(name, column) != column:
            shares[:, first[name]] += shares[:, column]
            shares[:, column] = 0
    return shares


def _encoded(text: str) -> bytes:
    lower = text.lower() if text.isupper() else text
    return unicodedata.normalize("NFC", lower).encode("utf-8", "surrogatepass")


@functools.cache
def _identifier() -> Any:
    # Imported here: reading its model takes most of a second.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


@functools.cache
def _automaton() -> tuple[npt.NDArray[np.int32], ...]:
    """Its next states, rows and features."""
    model = _identifier()
    # The states are 40 MB, which a cast would copy; they are far from the end of either type.
    states = np.frombuffer(model.tk_nextmove, dtype=model.tk_nextmove.typecode)
    states = states.view(np.int32) if states.itemsize == 4 else states.astype(np.int32)
    return states, *(np.asarray(part, dtype=np.int32) for part in (model.tk_row, model.tk_output))
