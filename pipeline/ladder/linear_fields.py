"""A linear model of one field with choices: a support vector machine per choice, on TF-IDF."""

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.field import JsonValue, TargetField, ValueType

_USUAL = 1.0
STRENGTHS = (_USUAL, 0.25, 4.0)
"""Of scikit-learn's C, the usual one first: on few held-out rows, another that is barely better is so by chance."""
NO_WORDS = "no words"
"""Among the settings of an arm: its texts have only pieces of words."""
_MOST_ROWS = 100_000
"""A fit takes time with rows times choices; of more rows a random sample is taken."""


def is_closed(field: TargetField) -> bool:
    """Whether a field has choices: a choice, a set of them, or yes and no."""
    return field.is_label_set or (field.type in (ValueType.CHOICE, ValueType.BOOLEAN) and not field.many)


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

    @abstractmethod
    def predict(self, seen: Any) -> list[JsonValue]:
        """The value of each row of a sparse matrix, rows x terms."""


def fit_field(
    field: TargetField, seen: Any, given: Sequence[JsonValue], held_out: HeldOut | None, seed: int
) -> FieldModel:
    """Learn a field from training rows.

    Args:
        field: with choices.
        seen: training rows x terms (sparse).
        given: their values.
        held_out: rows by which the strength is chosen; None takes the usual one.
        seed: of the sample and of the fit.
    """
    seen, given = sampled(seen, given, seed)
    kind = _SetOfChoices if field.is_label_set else OneChoice
    if held_out is None:
        return kind(seen, given, _USUAL, seed)
    right = [set(map(_key, values)) for values in held_out.right]
    models = [kind(seen, given, strength, seed) for strength in STRENGTHS]
    hits = np.array([_hits(model, held_out, right) for model in models])
    share = hits[0] / len(right)
    # One standard error.
    doubt = np.sqrt(len(right) * share * (1 - share))
    best = int(np.argmax(hits))
    return models[best if hits[best] > hits[0] + doubt else 0]


def sampled(seen: Any, given: Sequence[JsonValue], seed: int) -> tuple[Any, Sequence[JsonValue]]:
    """Training rows and their values, or a random sample of very many."""
    if len(given) <= _MOST_ROWS:
        return seen, given
    kept = np.sort(np.random.default_rng(seed).permutation(len(given))[:_MOST_ROWS])
    return seen[kept], [given[place] for place in kept]


def _hits(model: FieldModel, held_out: HeldOut, right: Sequence[set[str]]) -> int:
    given = zip(model.predict(held_out.seen), right, strict=True)
    return sum(_key(value) in known for value, known in given)


def _key(value: JsonValue) -> str:
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
        texts = [json.dumps(value) for value in given]
        names, codes = np.unique(texts, return_inverse=True)
        self.values: list[JsonValue] = [json.loads(name) for name in names]
        """Those of the training rows."""
        self._machine = _machine(seen, codes, strength, seed) if len(names) > 1 else None

    def predict(self, seen: Any) -> list[JsonValue]:
        """The value of each row."""
        if self._machine is None:
            return self.values[:1] * int(seen.shape[0])
        return [self.values[code] for code in self._machine.predict(seen)]

    def margins(self, seen: Any) -> npt.NDArray[np.float64]:
        """How far each row lies within each of ``values``, rows x values."""
        if self._machine is None:
            return np.zeros((int(seen.shape[0]), 1))
        found = self._machine.decision_function(seen)
        return np.asarray(found if found.ndim == 2 else np.stack([-found, found], axis=1), dtype=np.float64)


class _SetOfChoices(FieldModel):
    def __init__(self, seen: Any, given: Sequence[JsonValue], strength: float, seed: int) -> None:
        self.strength = strength
        sets = [{str(one) for one in value} if isinstance(value, list) else set[str]() for value in given]
        self._always: list[str] = []
        self._machines: dict[str, Any] = {}
        for name in sorted(set[str]().union(*sets)):
            members = np.array([name in one for one in sets])
            if members.all():
                self._always.append(name)
            else:
                self._machines[name] = _machine(seen, members, strength, seed)

    def predict(self, seen: Any) -> list[JsonValue]:
        chosen = {name: machine.predict(seen) for name, machine in self._machines.items()}
        return [
            [*self._always, *(name for name, members in chosen.items() if members[row])] for row in range(seen.shape[0])
        ]
