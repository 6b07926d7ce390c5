"""Where the values of rows stand in their texts, and which values do not stand there at all."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.grounding import ungrounded
from pipeline.label_errors.span_rows import Placements, SpanRows
from pipeline.label_errors.span_tokens import Tokens, read_tokens
from pipeline.label_errors.value_words import READ, ValueFinder
from schemas.field import JsonValue, TargetField, ValueType
from schemas.field_values import Leaf, leaves

Ints = npt.NDArray[np.int64]
Span = tuple[int, int, int]

_MOST_WAYS = 24
_COPIED = 0.5
"""A field whose values mostly stand in the text is copied from it."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """A text, and what was read in it."""

    text: str
    values: Mapping[str, JsonValue] | None
    """None for an unlabeled row."""
    group: str
    """Rows of one group are never used to judge each other."""
    verified: bool = False
    """An annotator gave or confirmed the values."""


@dataclass(frozen=True, slots=True)
class PlacedField:
    """A field, at any depth, whose values may stand in a text."""

    path: str
    field: TargetField
    may_lack: bool
    """Whether a row may have no value of it."""
    repeats: bool
    """Whether a row may have several."""


@dataclass(slots=True)
class _Row:
    """What was found of one row's values."""

    ways: list[list[Span]]
    present: set[int]
    absent_from_text: list[Leaf]


@dataclass(frozen=True)
class ValuePlaces:
    """What was found of the values of all rows."""

    fields: list[PlacedField]
    """Those whose values mostly stand in the text."""
    spans: SpanRows
    lacking: list[list[Leaf]]
    """Of every row: the values that its text does not say, closed ones excluded."""
    said: list[list[Leaf]] = field(repr=False)
    """Of every row: the other values that a text could say."""


def placed_fields(
    fields: Sequence[TargetField], above: str = "", lack: bool = False, many: bool = False
) -> Iterator[PlacedField]:
    """The fields, at any depth, whose values are copied from the inputs; of lists only those of texts."""
    for one in fields:
        may_lack, repeats = lack or one.optional or one.many, many or one.many
        if one.type is ValueType.OBJECT:
            yield from placed_fields(one.fields, f"{above}{one.name}.", may_lack, repeats)
        elif not one.is_free and (one.type is ValueType.TEXT or (one.type in READ and not repeats)):
            yield PlacedField(f"{above}{one.name}", one, may_lack, repeats)


def find_values(
    rows: Sequence[Extracted], fields: Sequence[TargetField], copied: Sequence[str] | None = None
) -> ValuePlaces:
    """Find the values of labeled rows in their texts.

    Args:
        rows: texts with their values.
        fields: of the values.
        copied: the paths of those that are copied from the texts, if other rows have told that.
    """
    texts = [row.text for row in rows]
    tokens = read_tokens(texts)
    finder = ValueFinder(texts, tokens)
    known = list(placed_fields(fields))
    codes = {one.path: code for code, one in enumerate(known)}
    read, said, lacking = [], [], []
    for number, row in enumerate(rows):
        values = [leaf for leaf in leaves(fields, row.values or {}) if _is_read(leaf)]
        found = _read(finder, number, values, codes)
        lacks = ungrounded(row.text, found.absent_from_text) if found.absent_from_text else []
        read.append(found)
        lacking.append(lacks)
        # By identity: the same text may be there twice.
        gone = set(map(id, lacks))
        said.append([leaf for leaf in values if id(leaf) not in gone])
    kept = np.flatnonzero(_copied(read, known)).tolist() if copied is None else [codes[path] for path in copied]
    spans = _span_rows(tokens, read, lacking, known, kept)
    return ValuePlaces([known[code] for code in kept], spans, lacking, said)


def _is_read(leaf: Leaf) -> bool:
    """Whether a text could say the value; closed ones describe it."""
    return not (leaf.field.is_free or leaf.field.type in (ValueType.CHOICE, ValueType.BOOLEAN))


def _read(finder: ValueFinder, row: int, values: Sequence[Leaf], codes: Mapping[str, int]) -> _Row:
    hits: list[list[Span]] = []
    present: set[int] = set()
    absent: list[Leaf] = []
    for leaf in values:
        code = codes.get(leaf.path)
        if code is None:
            absent.append(leaf)
            continue
        present.add(code)
        found = [(first, end, code) for first, end in finder.find(row, leaf)]
        if found:
            hits.append(found)
        else:
            absent.append(leaf)
    return _Row(_ways(hits), present, absent)


def _ways(hits: list[list[Span]]) -> list[list[Span]]:
    """How the values can be placed without overlap, as many as possible; in most texts there is a single way."""
    if all(len(one) == 1 for one in hits):
        ways = [[one[0] for one in hits]]
    else:
        ways = [list(way) for way in itertools.islice(itertools.product(*hits), _MOST_WAYS)]
    apart = [_apart(way) for way in ways]
    most = max(map(len, apart))
    return [way for place, way in enumerate(apart) if len(way) == most and way not in apart[:place]]


def _apart(way: Sequence[Span]) -> list[Span]:
    """The spans that do not overlap, longer ones first; in the order of the text."""
    found: list[Span] = []
    for span in sorted(way, key=lambda one: one[0] - one[1]):
        if all(span[1] <= other[0] or other[1] <= span[0] for other in found):
            found.append(span)
    return sorted(found)


def _copied(read: Sequence[_Row], known: Sequence[PlacedField]) -> npt.NDArray[np.bool_]:
    there, placed = np.zeros(len(known)), np.zeros(len(known))
    for row in read:
        there[list(row.present)] += 1
        placed[list({code for _, _, code in row.ways[0]})] += 1
    found: npt.NDArray[np.bool_] = placed > _COPIED * there
    return found


def _span_rows(
    tokens: Tokens,
    read: Sequence[_Row],
    lacking: Sequence[Sequence[Leaf]],
    known: Sequence[PlacedField],
    kept: Sequence[int],
) -> SpanRows:
    """The spans of the kept fields, which are numbered anew."""
    numbers = {code: number for number, code in enumerate(kept)}
    by_path = {known[code].path: number for code, number in numbers.items()}
    may_lack = np.array([known[code].may_lack for code in kept], dtype=np.bool_)
    repeats = np.array([known[code].repeats for code in kept], dtype=np.bool_)
    open_fields = np.tile(may_lack.astype(np.int8), (len(read), 1))
    spans: list[Span] = []
    starts = [0]
    ambiguous = []
    for number, row in enumerate(read):
        ways = [[(first, end, numbers[code]) for first, end, code in way if code in numbers] for way in row.ways]
        spans += ways[0]
        starts.append(len(spans))
        if len(ways) > 1 and all(len(way) == len(ways[0]) for way in ways):
            ambiguous.append(Placements(number, ways))
        there = [numbers[code] for code in row.present if code in numbers]
        open_fields[number, there] = repeats[there]
        for leaf in lacking[number]:
            field = by_path.get(leaf.path)
            if field is not None and not repeats[field]:
                open_fields[number, field] = 2
    return SpanRows(
        tokens,
        np.array(spans, dtype=np.int64).reshape(-1, 3),
        np.array(starts, dtype=np.int64),
        open_fields,
        ambiguous,
    )
