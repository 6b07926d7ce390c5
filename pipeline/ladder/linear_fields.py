"""A linear model of one field with choices: a support vector machine per choice, on TF-IDF and perhaps embeddings."""

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.ladder.mentioned_choices import Words
from schemas.field import JsonValue, TargetField, ValueType

STRENGTHS = (1.0, 0.25, 4.0)
"""Of scikit-learn's C, the usual one first: on few held-out rows, another that is barely better is so by chance."""
NO_WORDS, IN_TEXTS, EMBEDDED = "no words", "choices in texts", "embeddings"
"""Among the settings of an arm: its texts have only pieces of words; its fields whose choices it looks for in texts;
it sees embeddings, too."""
_MOST_ROWS = 100_000
"""A fit takes time with rows times choices; of more rows a random sample is taken."""


def is_closed(field: TargetField) -> bool:
    """Whether a field has choices: a choice, a set of them, or yes and no."""
    return field.is_label_set or (field.type in (ValueType.CHOICE, ValueType.BOOLEAN) and not field.many)


def closed_fields(fields: Sequence[TargetField], above: str = "") -> dict[str, TargetField]:
    """By path: the fields with choices, also those within single objects."""
    found: dict[str, TargetField] = {}
    for field in fields:
        if is_closed(field):
            found[f"{above}{field.name}"] = field
        elif field.type is ValueType.OBJECT and not field.many:
            found |= closed_fields(field.fields, f"{above}{field.name}.")
    return found


def value_at(targets: Mapping[str, JsonValue], path: str) -> JsonValue:
    """The value of a field by its path; None where an object on it is absent."""
    name, _, inner = path.partition(".")
    value = targets.get(name)
    return (value_at(value, inner) if isinstance(value, dict) else None) if inner else value


@dataclass(frozen=True)
class HeldOut:
    """Rows by which the strength of the regularization is chosen."""

    seen: Any
    """Rows x terms (sparse)."""
    right: Sequence[Sequence[JsonValue]]
    """The values of each row that count as right."""


class FieldModel(ABC):
    """Predicts one field."""

    strength: float
    """Of scikit-learn's C."""
    values: list[JsonValue]
    """Those of the training rows; of a set its members."""
    hits: int = 0
    """Held-out rows that it answers right."""

    @abstractmethod
    def margins(self, seen: Any, texts: Sequence[Words] = ()) -> npt.NDArray[np.float64]:
        """How far each row lies within each of ``values``, rows x values.

        Args:
            seen: rows x terms (sparse).
            texts: the words of the rows, which some models read.
        """

    def predict(self, seen: Any, texts: Sequence[Words] = ()) -> list[JsonValue]:
        """The value of each row."""
        return self.decided(self.values, self.margins(seen, texts))

    def decided(self, values: Sequence[JsonValue], margins: npt.NDArray[np.float64]) -> list[JsonValue]:
        """The value of each row by its margins: the likeliest one."""
        return [values[place] for place in margins.argmax(axis=1)]


def fit_field(
    field: TargetField,
    seen: Any,
    given: Sequence[JsonValue],
    held_out: HeldOut | None,
    seed: int,
    strengths: Sequence[float] = STRENGTHS,
) -> FieldModel:
    """Learn a field from training rows.

    Args:
        field: with choices.
        seen: training rows x terms (sparse).
        given: their values.
        held_out: rows by which the strength is chosen; None takes the usual one.
        seed: of the sample and of the fit.
        strengths: to choose from, the usual one first.
    """
    seen, given = sampled(seen, given, seed)
    if held_out is None:
        return fitted(field, seen, given, strengths[0], seed)
    right = [set(map(key_of, values)) for values in held_out.right]
    models = [fitted(field, seen, given, strength, seed) for strength in strengths]
    hits = np.array([_hits(model, held_out, right) for model in models])
    share = hits[0] / len(right)
    # One standard error.
    doubt = np.sqrt(len(right) * share * (1 - share))
    best = int(np.argmax(hits))
    best = best if hits[best] > hits[0] + doubt else 0
    models[best].hits = int(hits[best])
    return models[best]


def fitted(field: TargetField, seen: Any, given: Sequence[JsonValue], strength: float, seed: int) -> FieldModel:
    """A model of a field with choices by the words of texts alone."""
    return (_SetOfChoices if field.is_label_set else OneChoice)(seen, given, strength, seed)


def sampled(seen: Any, given: Sequence[JsonValue], seed: int) -> tuple[Any, Sequence[JsonValue]]:
    """Training rows and their values, or a random sample of very many."""
    if len(given) <= _MOST_ROWS:
        return seen, given
    kept = np.sort(np.random.default_rng(seed).permutation(len(given))[:_MOST_ROWS])
    return seen[kept], [given[place] for place in kept]


def _hits(model: FieldModel, held_out: HeldOut, right: Sequence[set[str]]) -> int:
    given = zip(model.predict(held_out.seen), right, strict=True)
    return sum(key_of(value) in known for value, known in given)


def key_of(value: JsonValue) -> str:
    """Equal for equal values: a set has no order."""
    return json.dumps(sorted(map(str, value)) if isinstance(value, list) else value)


def _machine(seen: Any, labels: Any, strength: float, seed: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    with warnings.catch_warnings():
        # It is good enough then, too.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LinearSVC(C=strength, random_state=seed).fit(seen, labels)


class OneChoice(FieldModel):
    """A field with a single one of its choices."""

    def __init__(self, seen: Any, given: Sequence[JsonValue], strength: float, seed: int) -> None:
        self.strength = strength
        names, codes = np.unique([json.dumps(value) for value in given], return_inverse=True)
        self.values = [json.loads(name) for name in names]
        self._machine = _machine(seen, codes, strength, seed) if len(names) > 1 else None

    def margins(self, seen: Any, texts: Sequence[Words] = ()) -> npt.NDArray[np.float64]:
        """How far each row lies within each of ``values``, rows x values."""
        if self._machine is None:
            return np.zeros((int(seen.shape[0]), 1))
        found = self._machine.decision_function(seen)
        return np.asarray(found if found.ndim == 2 else np.stack([-found, found], axis=1), dtype=np.float64)


class _SetOfChoices(FieldModel):
    def __init__(self, seen: Any, given: Sequence[JsonValue], strength: float, seed: int) -> None:
        self.strength = strength
        sets = [{str(one) for one in value} if isinstance(value, list) else set[str]() for value in given]
        names = sorted(set[str]().union(*sets))
        members = {name: np.array([name in one for one in sets]) for name in names}
        self.values = list(names)
        self._machines = [None if some.all() else _machine(seen, some, strength, seed) for some in members.values()]

    def margins(self, seen: Any, texts: Sequence[Words] = ()) -> npt.NDArray[np.float64]:
        always = np.ones(int(seen.shape[0]))
        found = [always if one is None else one.decision_function(seen) for one in self._machines]
        return np.array(found, dtype=np.float64).reshape(len(found), len(always)).T

    def decided(self, values: Sequence[JsonValue], margins: npt.NDArray[np.float64]) -> list[JsonValue]:
        """All that are likelier than not."""
        return [[values[place] for place in np.flatnonzero(row > 0)] for row in margins]
