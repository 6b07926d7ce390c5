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
_MOST_WORDS = 300_000
"""Where there are few tags: what is seen of more words takes minutes, and gigabytes."""
_MOST_TRIED = 10
"""Places in a text for a value that must be somewhere."""
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
        self._tags = frozenset(self._tagger.labels())

    @property
    def paths(self) -> frozenset[str]:
        """The fields, within objects with dots."""
        return frozenset(slot.path for slot in self._slots)

    def read(self, text: str) -> list[Found]:
        """The values in a text, in its order; of a field that has a single one the surest."""
        words = _words(read_tokens([text]), 0)
        if not words:
            return []
        self._tagger.set(_features(text, words))
        spans = list(_spans(self._tagger.tag()))
        read = [(span, found) for span in spans if (found := self._found(text, *span))]
        best: dict[int, Found] = {}
        for (_, _, number), found in sorted(read, key=lambda one: -one[1].sure):
            best.setdefault(number, found)
        for number, slot in enumerate(self._slots):
            if slot.needed and number not in best and (likeliest := self._likeliest(text, len(words), number)):
                read.append(likeliest)
                best[number] = likeliest[1]
        read.sort(key=lambda one: one[0])
        return [found for (_, _, number), found in read if self._slots[number].repeats or best[number] is found]

    def _likelihood(self, tag: str, at: int) -> float:
        """Of a tag, which is in the model only if some row that it learned from has it."""
        return float(self._tagger.marginal(tag, at)) if tag in self._tags else 0.0

    def _found(self, text: str, first: int, end: int, number: int) -> Found | None:
        """What a span says; None if nothing that its field could be."""
        value = self._readings[number].value(written(text, first, end))
        sure = self._likelihood(_begins(number), first)
        return None if value is None else Found(self._slots[number].path, value, sure)

    def _likeliest(self, text: str, length: int, number: int) -> tuple[Span, Found] | None:
        """Where a value that is nowhere likely would stand."""
        seen = [self._likelihood(_begins(number), at) for at in range(length)]
        for first in sorted(range(length), key=lambda at: -seen[at])[:_MOST_TRIED]:
            end = first + 1
            while end < length and self._likelihood(_goes_on(number), end) > seen[first] / 2:
                end += 1
            if found := self._found(text, first, end, number):
                return (first, end, number), found
        return None


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
        trainer.append(_features(rows.texts[row], words), _tags(len(words), rows.spans[row]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tagger.crfsuite")
        trainer.train(str(file))
        return Tagger(rows, file.read_bytes())


def _sample(texts: Sequence[str], tags: int, seed: int) -> list[int]:
    """The rows from which is learned: all, or as many as are quick."""
    order = np.random.default_rng(seed).permutation(len(texts))
    words = np.cumsum([len(texts[row].split()) for row in order.tolist()])
    quick = words <= min(_MOST_WORDS, _MOST_WORK / tags**2)
    return sorted(order[: max(1, int(quick.sum()))].tolist())


def _words(tokens: Tokens, row: int) -> list[str]:
    ids = tokens.ids[tokens.starts[row] : tokens.starts[row + 1]]
    return [tokens.words[id] for id in ids.tolist()]


# --- tags -----------------------------------------------------------------------------------------
def _begins(number: int) -> str:
    return f"B{number}"


def _goes_on(number: int) -> str:
    return f"I{number}"


def _tags(length: int, spans: Sequence[Span]) -> list[str]:
    tags = [_OUTSIDE] * length
    for first, end, number in spans:
        tags[first:end] = [_begins(number), *[_goes_on(number)] * (end - first - 1)]
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


def _features(text: str, words: Sequence[str]) -> list[list[str]]:
    """What the model sees of each word: itself, its neighbors, pairs of them, and where in text and line it stands."""
    edge = ("", "")
    seen = [*[edge] * _REACH, *map(_own, words), *[edge] * _REACH]
    found: list[list[str]] = []
    for at, begins_line in enumerate(_line_starts(text, words)):
        around = seen[at : at + 2 * _REACH + 1]
        folded = [own[0] for own in around]
        features = [f"{place} {word}" for place, word in enumerate(folded)]
        features += [f"{place} {place + 1} {one} {other}" for place, (one, other) in enumerate(pairwise(folded))]
        features += [f"shape {place} {own[1]}" for place, own in enumerate(around)]
        features += [*seen[at + _REACH][2:], f"at {min(at, 3)}", "bias"]
        if begins_line:
            features.append("line")
            if found:
                found[-1].append("line end")
        found.append(features)
    return found


def _line_starts(text: str, words: Sequence[str]) -> Iterator[bool]:
    """Whether each word is the first of a line."""
    behind = 0
    for word in words:
        place = text.index(word, behind)
        yield behind == 0 or "\n" in text[behind:place]
        behind = place + len(word)
