"""What texts mean, roughly: the mean of the vectors of their tokens, from a table that comes in a wheel."""

import functools
import importlib.util
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = npt.NDArray[np.float32]

MAX_CHARACTERS = 4_000
"""Only this many leading characters of a text are used."""
_BATCH = 8_192
_PACKAGE = "wordllama"
_VECTORS, _TOKENIZER = "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"


def text_directions(texts: Sequence[str]) -> Vectors:
    """A vector of 256 numbers and length 1 per text, not centered; zeros for a text without tokens.

    Raises:
        ConfigError: the package with the table is not complete.
    """
    tokenizer, vectors = _table()
    found = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
    for first in range(0, len(texts), _BATCH):
        batch = [text[:MAX_CHARACTERS] for text in texts[first : first + _BATCH]]
        found[first : first + len(batch)] = _counts(tokenizer, batch, len(vectors)) @ vectors
    return directions(found)


def around(found: Vectors, center: Vectors) -> Vectors:
    """The directions of texts, seen from the mean of some."""
    return directions(found - center)


def directions(vectors: Vectors) -> Vectors:
    """Vectors of length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Vectors = vectors / np.where(lengths > 0, lengths, 1)
    return found


def _counts(tokenizer: "Tokenizer", texts: Sequence[str], tokens: int) -> Any:
    """How often each token occurs in each text (sparse)."""
    from scipy.sparse import csr_matrix

    ids = [one.ids for one in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in ids])])
    columns = np.fromiter(itertools.chain.from_iterable(ids), dtype=np.int32, count=starts[-1])
    return csr_matrix((np.ones(len(columns), dtype=np.float32), columns, starts), shape=(len(texts), tokens))


@functools.cache
def _table() -> tuple["Tokenizer", Vectors]:
    # The package's own loader looks in another folder than the one it ships, and imports what is not needed here.
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    package = importlib.util.find_spec(_PACKAGE)
    home = Path(next(iter(package.submodule_search_locations or ()), "")) if package else Path()
    for name in (_VECTORS, _TOKENIZER):
        if package is None or not (home / name).is_file():
            raise ConfigError(f"the package {_PACKAGE} lacks {name}; install it again: pip install '{_PACKAGE}<0.5'")
    tokenizer = Tokenizer.from_file(str(home / _TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    (vectors,) = load_file(home / _VECTORS).values()
    return tokenizer, vectors.astype(np.float32)
