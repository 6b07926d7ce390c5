"""How much annotators' votes count where there are enough to know: an answer's probability by all votes of the dataset.

Only for tasks whose answers are single choices and yes or no: of others, two answers can be different and both right.
Who is reliable shows in agreement with the others, and in answers to questions whose answer is known. A suggesting
model is one more voter, as reliable as it proves to be: it can decide which annotator is right, but adds no answer.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pipeline.agreement.field_consensus import consensus_of_field
from pipeline.kinds.interface import Targets
from schemas.annotation import Annotation, Verdict
from schemas.field import TargetField, ValueType, comparable
from schemas.task import Task

ENOUGH = 0.8
"""The probability from which on an answer decides; of simulated crowds' answers above it, 94 to 96% were right."""
_FEWEST = 3
"""Annotators' votes about a record; two who contradict each other cannot be told apart by their records alone."""
_MEASURED = 20
"""Records with annotators' votes that a model must have answered, too: fewer say little about what it is worth."""
_MODEL = ("", "model")
"""The annotator that stands for it; no server has that address."""


@dataclass(frozen=True)
class Weight:
    """What the votes of the whole dataset say of an answer."""

    probability: float
    voters: int
    """Annotators whose answers to the same question were weighed."""


def weights_of(
    task: type[Task],
    answers: Mapping[str, Iterable[Annotation]],
    known: Mapping[str, Targets] = MappingProxyType({}),
    model: Mapping[str, Targets] = MappingProxyType({}),
) -> Callable[[Annotation], Weight | None]:
    """The weights of answers about records with at least three votes; none if the votes are few, so a majority decides.

    The records' order does not matter, nor does that of their answers. Of each annotator, the latest counts.

    Args:
        task: of the dataset.
        answers: about each record, including ones that do not count.
        known: the right answers, by record, where they are known.
        model: the answers of a model, by record, to questions that annotators answered without seeing them.

    Returns:
        The weight of each answer, None if it has none.
    """
    found = _weights(task, answers, known, model)
    return lambda one: found.get((one.server, one.annotation_id))


def _weights(
    task: type[Task],
    answers: Mapping[str, Iterable[Annotation]],
    known: Mapping[str, Targets],
    model: Mapping[str, Targets],
) -> dict[tuple[str, int], Weight]:
    fields = task.task_targets()
    votes = {record: _latest(given) for record, given in answers.items()}
    # Where the answer is known, *unusable* is a mistake, and says nothing about which label it is mistaken for.
    votes = {record: [one for one in given if one.targets or record not in known] for record, given in votes.items()}
    votes = {record: given for record, given in votes.items() if given and all(one.targets for one in given)}
    if not all(map(_is_closed, fields)) or not any(len(given) >= _FEWEST for given in votes.values()):
        return {}
    heard = {record: said for record, said in model.items() if record in votes}
    heard = heard if len(heard) >= _MEASURED else {}
    likely: defaultdict[tuple[str, int], float] = defaultdict(lambda: 1.0)
    for field in fields:
        of_field = _of_field(field.name, votes, known, heard)
        if of_field is None:
            return {}
        for key, probability in of_field.items():
            likely[key] *= probability
    return {
        (one.server, one.annotation_id): Weight(likely[one.server, one.annotation_id], len(given))
        for given in votes.values()
        if len(given) >= _FEWEST
        for one in given
    }


def deciding_group(groups: Sequence[tuple[int, Weight | None]]) -> int | None:
    """The place of the answer that decides a record; None if annotators contradict each other.

    Args:
        groups: of each different answer, how many annotators gave it and its weight, if there is one.
    """
    sizes = [size for size, _ in groups]
    voters, weights = sum(sizes), [weight for _, weight in groups if weight is not None]
    if len(groups) > 1 and len(weights) == len(groups) and all(weight.voters == voters for weight in weights):
        best = max(range(len(groups)), key=lambda place: weights[place].probability)
        return best if weights[best].probability >= ENOUGH else None
    most = max(range(len(groups)), key=sizes.__getitem__)
    return most if 2 * sizes[most] > voters else None


def _latest(given: Iterable[Annotation]) -> list[Annotation]:
    """Each annotator's latest vote; *unsure* is none."""
    votes = [one for one in given if not one.deleted and one.verdict in (Verdict.LABELED, Verdict.UNUSABLE)]
    votes.sort(key=lambda one: (one.updated_at, one.annotation_id))
    return list({one.who: one for one in votes}.values())


def _is_closed(field: TargetField) -> bool:
    return not field.many and field.type in (ValueType.CHOICE, ValueType.BOOLEAN)


def _of_field(
    name: str, votes: Mapping[str, Sequence[Annotation]], known: Mapping[str, Targets], model: Mapping[str, Targets]
) -> dict[tuple[str, int], float] | None:
    """The probability of each vote's value of a field; None if a majority decides."""
    rows = [(record, one.who, _value(one.targets, name)) for record, one in _each(votes)]
    by_model = [(record, _MODEL, _value(said, name)) for record, said in model.items()]
    truth = [(record, _value(said, name)) for record, said in known.items() if record in votes]
    # By name, not by first appearance: the same for any order.
    records = _numbered(record for record, *_ in rows)
    people = _numbered(who for _, who, _ in [*rows, *by_model])
    labels = _numbered([*(said for *_, said in [*rows, *by_model]), *(said for _, said in truth)])
    table = np.array([(records[record], people[who], labels[said]) for record, who, said in [*rows, *by_model]])
    sure = np.array([(records[record], labels[said]) for record, said in truth], dtype=np.int64).reshape(-1, 2)
    keys = [(one.server, one.annotation_id) for _, one in _each(votes)]
    if len(labels) == 1:
        return dict.fromkeys(keys, 1.0)
    found = consensus_of_field(table, len(labels), sure, annotators=len({who for _, who, _ in rows}))
    if found.is_majority:
        return None
    probabilities = found.probabilities[table[: len(keys), 0], table[: len(keys), 2]]
    return dict(zip(keys, probabilities.tolist(), strict=True))


def _each(votes: Mapping[str, Sequence[Annotation]]) -> Iterator[tuple[str, Annotation]]:
    return ((record, one) for record, given in votes.items() for one in given)


def _value(targets: Targets | None, name: str) -> Hashable:
    return comparable((targets or {}).get(name))


def _numbered(values: Iterable[Hashable]) -> dict[Hashable, int]:
    return {value: number for number, value in enumerate(sorted(set(values), key=repr))}
