"""What the models that find label errors see of a text: TF-IDF of its words and of pieces of words."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_CHARACTERS = 4_000
"""Only this many leading characters of a text are used."""
_MAX_FEATURES = 100_000


def text_features(texts: Sequence[str]) -> Any:
    """TF-IDF of words, word bigrams and character n-grams (sparse, a row per text); None if texts share nothing."""
    # Imported here: scikit-learn takes more than a second to import, which would slow down every command.
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    starts = [text[:MAX_CHARACTERS] for text in texts]
    common = {"min_df": 2, "sublinear_tf": True, "max_features": _MAX_FEATURES, "dtype": np.float32}
    words = TfidfVectorizer(ngram_range=(1, 2), **common)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), **common)
    found = []
    for vectorizer in (words, pieces):
        # The only error it raises about texts: the vocabulary is empty.
        with contextlib.suppress(ValueError):
            found.append(vectorizer.fit_transform(starts))
    return hstack(found, format="csr") if found else None
