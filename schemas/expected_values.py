"""What a field expects, in words for whoever has to correct a value: the format, with an example of the field's own."""

import contextlib
import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from schemas.field import TargetField, UnsupportedType, ValueType, target_field
from schemas.roles import Role

_DATE = "a date as YYYY-MM-DD"
_TIME = "a time such as 13:30"
_MOMENT = "a date and time such as 2026-03-05T13:30"
_AMOUNT = "a number such as 3703.50"
_PLAIN_AMOUNT = "a number without thousands separators and with a decimal point, such as 3703.50"
_EXPECTED = {
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": f"{_DATE}, without a time",
    "time_type": _TIME,
    "time_parsing": _TIME,
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "decimal_type": _AMOUNT,
    "decimal_parsing": _PLAIN_AMOUNT,
    "float_type": _AMOUNT,
    "float_parsing": _PLAIN_AMOUNT,
    "int_parsing": "a whole number without thousands separators, such as 3703",
}
"""By pydantic's types of errors; of all others, such as an unknown choice, pydantic's own words say enough."""
_LISTS = ("list_type", "set_type", "frozen_set_type")
_OBJECTS = ("model_type", "model_attributes_type")
_EXAMPLES: dict[ValueType, tuple[str, str]] = {
    ValueType.TEXT: ('"one"', '"two"'),
    ValueType.INTEGER: ("1", "2"),
    ValueType.NUMBER: ("1.5", "2"),
    ValueType.DECIMAL: ('"1.50"', '"2.00"'),
    ValueType.DATE: ('"2026-03-05"', '"2026-03-06"'),
    ValueType.DATETIME: ('"2026-03-05T13:30"', '"2026-03-06T09:00"'),
    ValueType.TIME: ('"13:30"', '"14:00"'),
}
"""Two items of a list as JSON."""


def expectation(item: Mapping[str, Any], model: type[BaseModel]) -> str:
    """What a value should have been, given pydantic's error about it; empty if pydantic's own words say enough."""
    kind, field = item["type"], field_at(model, item["loc"])
    if kind in _LISTS:
        return f"expected a list{f' such as {items}' if (items := _items(field)) else ''} (in CSV as JSON)"
    if kind in _OBJECTS:
        names = ", ".join(inner.name for inner in field.fields) if field else ""
        return f"expected an object{f' with {names}' if names else ''}"
    if kind == "string_type" and isinstance(item["input"], list) and _is_rewritten(field, model):
        return "expected one text (write one row per reference)"
    expected = _EXPECTED.get(kind, "")
    if "outside expected range" in item["msg"]:
        # It is written as it should be, but no calendar or clock has it.
        expected = re.sub(" (such as|as) ", r" that exists, \1 ", expected, count=1)
    return f"expected {expected}" if expected else ""


def field_at(model: type[BaseModel], place: Sequence[int | str]) -> TargetField | None:
    """The field at a place that pydantic names, of a list that of its items; None if no form could show it."""
    names = tuple(part for part in place if isinstance(part, str))
    return _field_at(model, names) if names else None


@functools.cache
def _field_at(model: type[BaseModel], names: tuple[str, ...]) -> TargetField | None:
    info = model.model_fields.get(names[0])
    if info is None:
        return None
    found = None
    with contextlib.suppress(UnsupportedType):
        found = target_field(names[0], info.annotation, metadata=info.metadata)
    for name in names[1:]:
        found = next((inner for inner in found.fields if inner.name == name), None) if found else None
    return found


def _items(field: TargetField | None) -> str:
    """Two items of a list, as JSON; empty if there is no example."""
    if field is None:
        return ""
    if field.choices:
        return json.dumps(field.choices[:2], ensure_ascii=False)
    if field.fields:
        return f"[{{{', '.join(f'{json.dumps(inner.name)}: …' for inner in field.fields)}}}, …]"
    return f"[{', '.join(_EXAMPLES[field.type])}]" if field.type in _EXAMPLES else ""


def _is_rewritten(field: TargetField | None, model: type[BaseModel]) -> bool:
    """Whether the value is worded freely, so that several texts are several answers."""
    targets = [name for name, info in model.model_fields.items() if Role.TARGET in info.metadata]
    return field is not None and (field.is_free or targets == [field.name])
