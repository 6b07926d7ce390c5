"""A tagger for values that stand in the text: a linear-chain conditional random field over words."""

import functools
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.label_errors.span_tokens import Tokens, read_tokens, written
from pipeline.ladder.slot_values import Found, SlotRows, Span, could_stand, find_slots
from schemas.field import JsonValue, TargetField

Targets = Mapping[str, JsonValue]

_SETTINGS = {"c1": 0.1, "c2": 0.01, "max_iterations": 100, "delta": 1e-3}
"""Of CRFsuite's L-BFGS: the weights of both regularizations, and when to stop: once 10 steps gain less than this part.

Between 0.03 and 0.3, and 0.001 and 0.1, Snips shows no difference.
"""
_MOST_WORK = 1e9
"""Words times the square of the tags, 2 ns each in every step; of more rows a random sample is taken."""
_OUTSIDE = "O"
_REACH = 2
_REPEATED = re.compile(r"(.)\1{2,}")


class Tagger:
    """Reads the values of some fields in texts."""

    def __init__(self, rows: SlotRows, model: bytes) -> None:
        """Take what ``fit_tagger`` learned."""
        import pycrfsuite

        self._slots, self._readings = rows.slots, rows.readings
        self._model = model
        self._tagger = pycrfsuite.Tagger()
        self._tagger.open_inmemory(model)

    @property
    def paths(self) -> frozenset[str]:
        """The fields, within objects with dots."""
        return frozenset(slot.path for slot in self._slots)

    def read(self, text: str) -> list[Found]:
        """The values in a text, in its order; of a field that has one value only the surest."""
        tokens = read_tokens([text])
        items = _features(_words(tokens, 0))
        if not items:
            return []
        self._tagger.set(items)
        found = []
        for first, end, number in _spans(self._tagger.tag()):
            value = self._readings[number].value(written(text, first, end))
            if value is not None:
                sure = self._tagger.marginal(_begins(number), first)
                found.append(Found(self._slots[number].path, value, sure))
        best: dict[str, Found] = {}
        for one in sorted(found, key=lambda one: -one.sure):
            best.setdefault(one.path, one)
        repeated = {slot.path for slot in self._slots if slot.repeats}
        return [one for one in found if one.path in repeated or best[one.path] is one]


def fit_tagger(
    fields: Sequence[TargetField], texts: Sequence[str], golds: Sequence[Targets], seed: int
) -> Tagger | None:
    """Learn where values stand from training rows; None if the values of no field mostly stand in the texts.

    Args:
        fields: of the task, with or without such values.
        texts: of the rows.
        golds: the rows' targets in canonical form.
        seed: of the sample, of very many rows.
    """
    import pycrfsuite

    if not (candidates := could_stand(fields)):
        return None
    sample = _sample(texts, 2 * len(candidates) + 1, seed)
    rows = find_slots(candidates, fields, [texts[row] for row in sample], [golds[row] for row in sample])
    if not rows.slots:
        return None
    trainer = pycrfsuite.Trainer(algorithm="lbfgs", params=_SETTINGS, verbose=False)
    for row in rows.taught:
        words = _words(rows.tokens, row)
        trainer.append(_features(words), _tags(len(words), rows.spans[row]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tagger.crfsuite")
        trainer.train(str(file))
        return Tagger(rows, file.read_bytes())


def _sample(texts: Sequence[str], tags: int, seed: int) -> list[int]:
    """The rows from which is learned: all, or as many as are quick."""
    order = np.random.default_rng(seed).permutation(len(texts))
    work = np.cumsum([len(texts[row].split()) * tags**2 for row in order.tolist()])
    return sorted(order[: max(1, int((work <= _MOST_WORK).sum()))].tolist())


def _words(tokens: Tokens, row: int) -> list[str]:
    ids = tokens.ids[tokens.starts[row] : tokens.starts[row + 1]]
    return [tokens.words[id] for id in ids.tolist()]


# --- tags -----------------------------------------------------------------------------------------
def _begins(number: int) -> str:
    return f"B{number}"


def _tags(length: int, spans: Sequence[Span]) -> list[str]:
    tags = [_OUTSIDE] * length
    for first, end, number in spans:
        tags[first:end] = [_begins(number), *[f"I{number}"] * (end - first - 1)]
    return tags


def _spans(tags: Sequence[str]) -> Iterator[Span]:
    """The spans that are tagged; one that has no beginning begins where it stands."""
    first, now = 0, _OUTSIDE
    for at, tag in enumerate([*tags, _OUTSIDE]):
        if tag == _OUTSIDE or tag[0] == "B" or tag[1:] != now[1:]:
            if now != _OUTSIDE:
                yield first, at, int(now[1:])
            first, now = at, tag


# --- features -------------------------------------------------------------------------------------
@functools.lru_cache(maxsize=100_000)
def _own(word: str) -> tuple[str, ...]:
    """What is seen of a word: folded, how it is written, how it begins and ends."""
    folded = word.casefold()
    letters = "".join(
        "X" if sign.isupper() else "x" if sign.isalpha() else "9" if sign.isdigit() else sign for sign in word
    )
    parts = [part for size in (1, 2, 3) for part in (f"^{folded[:size]}", f"{folded[-size:]}$")]
    return folded, _REPEATED.sub(r"\1\1", letters), *parts


def _features(words: Sequence[str]) -> list[list[str]]:
    """What the model sees of each word: itself, its neighbors, pairs of them, and how far from the start it is."""
    edge = ("", "")
    seen = [*[edge] * _REACH, *map(_own, words), *[edge] * _REACH]
    found = []
    for at in range(len(words)):
        around = seen[at : at + 2 * _REACH + 1]
        folded = [own[0] for own in around]
        features = [f"{place} {word}" for place, word in enumerate(folded)]
        features += [f"{place} {place + 1} {one} {other}" for place, (one, other) in enumerate(pairwise(folded))]
        features += [f"shape {place} {own[1]}" for place, own in enumerate(around)]
        features += [*seen[at + _REACH][2:], f"at {min(at, 3)}", "bias"]
        found.append(features)
    return found
