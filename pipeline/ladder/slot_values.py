"""Slots: the fields whose values stand in the text. Where each value stands, and how what is written there is read."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.label_errors.grounding import Source
from pipeline.label_errors.span_tokens import Tokens, read_tokens, written
from pipeline.label_errors.value_words import ValueFinder
from schemas.field import JsonValue, TargetField, ValueType, canonical
from schemas.field_values import Leaf, leaves

Span = tuple[int, int, int]
"""The first token, the one behind the last, and the number of the slot."""

_COPIED = 0.5
"""Of the values of a slot, more than this stand in their texts."""
_DESCRIBES = (ValueType.CHOICE, ValueType.BOOLEAN, ValueType.MESSAGES)
"""Types of values that say something about a text rather than stand in it."""


@dataclass(frozen=True)
class Slot:
    """A field, at any depth, whose values mostly stand in the text."""

    path: str
    field: TargetField
    needed: bool
    """Whether a text always says a value."""
    listed_in: str = ""
    """The path of the list of objects that it is in; empty if in none."""

    @property
    def repeats(self) -> bool:
        """Whether a text may say several values."""
        return self.field.many or self.listed_in != ""


@dataclass(frozen=True)
class Found:
    """A value that stands in a text."""

    path: str
    value: JsonValue
    sure: float
    """How likely it begins where it does."""


@dataclass(frozen=True)
class SlotRows:
    """The slots of a task, and where their values stand in training texts."""

    slots: list[Slot]
    texts: Sequence[str]
    tokens: Tokens
    spans: list[list[Span]]
    """Of every text, in its order."""
    taught: list[int]
    """The texts to learn from: those whose values were all found, unless these are less than half."""
    readings: list["Reading"]
    """Of every slot."""


def could_stand(fields: Sequence[TargetField]) -> list[Slot]:
    """The fields, at any depth, whose values could stand in a text.

    Of lists of objects only those whose objects have such single values and nothing else.
    """
    return list(_candidates(fields))


def find_slots(
    candidates: Sequence[Slot],
    fields: Sequence[TargetField],
    texts: Sequence[str],
    golds: Sequence[Mapping[str, JsonValue]],
) -> SlotRows:
    """Find the values of training rows in their texts.

    Args:
        candidates: the fields whose values are looked for.
        fields: of the task.
        texts: of the rows.
        golds: the rows' targets in canonical form.
    """
    paths = {slot.path for slot in candidates}
    tokens = read_tokens(texts)
    finder = _Finder(texts, tokens)
    values = [[leaf for leaf in leaves(fields, gold) if leaf.path in paths] for gold in golds]
    placed = [finder.place(row, some) for row, some in enumerate(values)]
    slots = _copied(candidates, values, placed)
    numbers = {slot.path: number for number, slot in enumerate(slots)}
    pairs: list[list[tuple[str, JsonValue]]] = [[] for _ in slots]
    spans: list[list[Span]] = []
    for text, found in zip(texts, placed, strict=True):
        spans.append([])
        for first, end, leaf in found:
            if leaf.path in numbers:
                spans[-1].append((first, end, numbers[leaf.path]))
                pairs[numbers[leaf.path]].append((written(text, first, end), leaf.value))
    counts = [sum(leaf.path in numbers for leaf in some) for some in values]
    whole = [row for row, (some, count) in enumerate(zip(spans, counts, strict=True)) if len(some) == count]
    taught = whole if 2 * len(whole) >= len(texts) else list(range(len(texts)))
    readings = [Reading(slot.field, some) for slot, some in zip(slots, pairs, strict=True)]
    return SlotRows(slots, texts, tokens, spans, taught, readings)


def _candidates(fields: Sequence[TargetField], above: str = "", needed: bool = True) -> Iterator[Slot]:
    for field in fields:
        path = f"{above}{field.name}"
        always = needed and not (field.optional or field.many)
        if _is_copied(field):
            yield Slot(path, field, always)
        elif field.type is ValueType.OBJECT and not field.many:
            yield from _candidates(field.fields, f"{path}.", always)
        elif all(_is_copied(inner) and not inner.many for inner in field.fields):
            yield from (Slot(f"{path}.{inner.name}", inner, needed=False, listed_in=path) for inner in field.fields)


def _is_copied(field: TargetField) -> bool:
    return field.type not in (*_DESCRIBES, ValueType.OBJECT) and not field.is_free


def _copied(
    candidates: Sequence[Slot], values: Sequence[Sequence[Leaf]], placed: Sequence[Sequence[tuple[int, int, Leaf]]]
) -> list[Slot]:
    """Those with values that mostly stand in the texts; of the objects of a list all parts, or none."""
    there = Counter(leaf.path for some in values for leaf in some)
    found = Counter(leaf.path for some in placed for _, _, leaf in some)
    elsewhere = {slot.path for slot in candidates if found[slot.path] <= _COPIED * there[slot.path]}
    spoiled = {slot.listed_in for slot in candidates if slot.path in elsewhere and there[slot.path]} - {""}
    return [slot for slot in candidates if slot.path not in elsewhere and slot.listed_in not in spoiled]


class _Finder:
    """Finds values in texts."""

    def __init__(self, texts: Sequence[str], tokens: Tokens) -> None:
        self._tokens, self._values = tokens, ValueFinder(texts, tokens)

    def place(self, row: int, values: Sequence[Leaf]) -> list[tuple[int, int, Leaf]]:
        """Where the values of a text stand, without overlap, in its order; those that do not are left out."""
        start, end = self._tokens.starts[row], self._tokens.starts[row + 1]
        words = [self._tokens.words[id] for id in self._tokens.ids[start:end].tolist()]
        hits = [(leaf, self._with_signs(words, leaf, self._values.find(row, leaf))) for leaf in values]
        taken: list[tuple[int, int, Leaf]] = []
        # The longer ones first: a short one may be a part of them.
        for leaf, spans in sorted(hits, key=lambda hit: -max((last - first for first, last in hit[1]), default=0)):
            free = (one for one in spans if all(one[1] <= other[0] or other[1] <= one[0] for other in taken))
            if span := next(free, None):
                taken.append((*span, leaf))
        return sorted(taken, key=lambda one: one[:2])

    def _with_signs(self, words: Sequence[str], leaf: Leaf, places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """With the signs at the ends of a text where they stand there, too."""
        own = read_tokens([str(leaf.value)])
        parts = [own.words[id] for id in own.ids.tolist()]
        if leaf.field.type is not ValueType.TEXT or not parts:
            return list(places)
        before = next((at for at, part in enumerate(parts) if part[0].isalnum()), 0)
        behind = next((at for at, part in enumerate(reversed(parts)) if part[0].isalnum()), 0)
        found = []
        for first, end in places:
            if before <= first and words[first - before : first] == parts[:before]:
                first -= before
            if behind and words[end : end + behind] == parts[-behind:]:
                end += behind
            found.append((first, end))
        return found


class Reading:
    """How what is written is read as a value of a field, as learned from what is written for known values."""

    def __init__(self, field: TargetField, known: Sequence[tuple[str, JsonValue]]) -> None:
        self._field = field
        values: defaultdict[str, Counter[JsonValue]] = defaultdict(Counter)
        ways: defaultdict[tuple[str, int], Counter[int]] = defaultdict(Counter)
        for text, value in known:
            values[text][value] += 1
            if value in (read := self._ways(text)):
                for shape in ("", _shape(text)):
                    ways[shape, len(read)][read.index(value)] += 1
        self._values = {text: some.most_common(1)[0][0] for text, some in values.items()}
        self._way = {alike: some.most_common(1)[0][0] for alike, some in ways.items()}

    def value(self, text: str) -> JsonValue:
        """The value; None if it cannot be read.

        What was read before is read alike. Of several ways to read a number or date, such as 05/03/2026, it is the one
        in which others were read that are written like it and have as many.
        """
        if text in self._values:
            return self._values[text]
        read = self._ways(text)
        way = self._way.get((_shape(text), len(read)), self._way.get(("", len(read)), 0))
        return read[way] if read else None

    def _ways(self, text: str) -> list[JsonValue]:
        field = self._field
        if field.type is ValueType.TEXT:
            return [text]
        said = Source(text).readings(field.type)
        if field.type is ValueType.INTEGER:
            said = [one for one in said if one == int(one)]
        one = field.model_copy(update={"many": False})
        return list(dict.fromkeys(canonical(one, value) for value in said))


def _shape(text: str) -> str:
    return re.sub(r"\d", "9", text)
