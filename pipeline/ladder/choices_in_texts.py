"""A linear model of a field with choices that also sees where the choices stand in the text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.ladder.linear_fields import FieldModel, fitted, key_of
from pipeline.ladder.mentioned_choices import Bools, Spellings, Words, groups_of_words
from schemas.field import JsonValue, TargetField

Floats = npt.NDArray[np.float64]

_FEWEST_ROWS, _MOST_ROWS = 30, 3_000
"""To learn from; of more a random sample is taken."""
_NAMED = 0.1
"""Of the rows that have choices, at least this share must name one."""
_FOLDS = 5


class ChoicesInTexts(FieldModel):
    """Weighs the margins of a linear model on TF-IDF together with what stands in the text, alike for all choices.

    So a choice that few training rows have, or none, is found by its name.
    """

    def __init__(self, plain: FieldModel, choices: list[JsonValue], spellings: Spellings, weights: Any) -> None:
        self.strength, self.values = plain.strength, choices
        self._plain, self._spellings, self._weights = plain, spellings, weights

    def margins(self, seen: Any, texts: Sequence[Words] = ()) -> Floats:
        """How likely each row has each of ``values``, as log-odds."""
        pairs = self._spellings.features(texts, _spread(self._plain, self.values, seen))
        return _odds(self._weights, pairs, len(self.values))

    def predict(self, seen: Any, texts: Sequence[Words] = ()) -> list[JsonValue]:
        """The value of each row."""
        return self._plain.decided(self.values, self.margins(seen, texts))


def fit_in_texts(
    field: TargetField, plain: FieldModel, seen: Any, texts: Sequence[Words], given: Sequence[JsonValue], seed: int
) -> FieldModel:
    """The better one of two models of a field, by training rows that they have not learned from.

    Args:
        field: with choices.
        plain: a model of it that does not look for them.
        seen: training rows x terms (sparse).
        texts: of the rows.
        given: their values.
        seed: of the sample and the folds.
    """
    order = np.random.default_rng(seed).permutation(len(given))[:_MOST_ROWS]
    values = [given[row] for row in order]
    choices: list[JsonValue] = [*field.choices, *([None] if None in values else [])]
    held = np.array(
        [[one in value if isinstance(value, list) else one == value for one in choices] for value in values]
    )
    if not field.choices or len(order) < _FEWEST_ROWS:
        return plain
    words = [texts[row] for row in order]
    if Spellings(choices).named(words, held) < _NAMED * np.mean([value not in (None, []) for value in values]):
        return plain
    (groups, counts), folds = groups_of_words(words), np.arange(len(order)) % _FOLDS
    parts, kept = [], np.zeros(len(order), dtype=bool)
    for fold in range(_FOLDS):
        learned, asked = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = fitted(field, seen[order[learned]], [values[row] for row in learned], plain.strength, seed)
        spread = _spread(model, choices, seen[order[asked]])
        kept[asked] = _right(model.decided(choices, spread), [values[row] for row in asked])
        spellings = Spellings(choices).learn(groups, counts[learned], held[learned])
        parts.append((spellings.features([words[row] for row in asked], spread), held[asked].ravel()))
    found = np.zeros(len(order), dtype=bool)
    for fold, (pairs, _) in enumerate(parts):
        weights = _weights([part for other, part in enumerate(parts) if other != fold], seed)
        asked = np.flatnonzero(folds == fold)
        decided = plain.decided(choices, _odds(weights, pairs, len(choices)))
        found[asked] = _right(decided, [values[row] for row in asked])
    # One standard error of the difference.
    if int(found.sum()) - int(kept.sum()) <= np.sqrt((found != kept).sum()):
        return plain
    return ChoicesInTexts(plain, choices, Spellings(choices).learn(groups, counts, held), _weights(parts, seed))


def _weights(parts: Sequence[tuple[Any, Bools]], seed: int) -> Any:
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(solver="liblinear", random_state=seed)
    return model.fit(vstack([pairs for pairs, _ in parts]), np.concatenate([held for _, held in parts]))


def _odds(weights: Any, pairs: Any, many: int) -> Floats:
    found: Floats = weights.decision_function(pairs).reshape(-1, many)
    return found


def _spread(model: FieldModel, choices: Sequence[JsonValue], seen: Any) -> Floats:
    """A model's margins for all choices; one that it does not know is as unlikely as the least likely one."""
    margins = model.margins(seen)
    found = np.repeat(margins.min(axis=1, keepdims=True, initial=0), len(choices), axis=1)
    for place, value in enumerate(model.values):
        found[:, choices.index(value)] = margins[:, place]
    return found


def _right(decided: Sequence[JsonValue], given: Sequence[JsonValue]) -> Bools:
    return np.array([key_of(one) == key_of(other) for one, other in zip(decided, given, strict=True)], dtype=bool)
