"""Values of every type that a target can have, for tests over generated tasks."""

import datetime
import decimal
from typing import Annotated, Any, Literal

from hypothesis import strategies as st
from naughty_texts import NAUGHTY
from pydantic import BaseModel, create_model

from schemas.field import is_blank
from schemas.message import Message
from schemas.task import Conversation, Role, Task

TEXTS = st.one_of(
    st.sampled_from(
        ["null", "None", "true", "3", "3.0", '"', "{}", '{"a":1}', "[]", "\\", "a|b", "a;b", "\\n", "a\nb"]
    ),
    st.sampled_from(NAUGHTY),
    st.sampled_from(["\x1b", "\u200b", "<|im_end|>", "🙂", "é"]),
    st.text(max_size=12),
)
SEEN_TEXTS = TEXTS.filter(lambda text: not is_blank(text))
LABELS = ("null", "None", "true", "3", '"', "{}", '{"a":1}', "a;b", "a|b", "none of these")
DECIMALS = st.builds(
    lambda digits, places: decimal.Decimal(digits).scaleb(-places), st.integers(-(10**26), 10**26), st.integers(0, 30)
)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes)))
MOMENTS = st.datetimes(
    datetime.datetime(2, 1, 1), datetime.datetime(9998, 1, 1), timezones=st.none() | st.just(datetime.UTC) | ZONES
)
TIMES = st.times(timezones=st.none() | st.just(datetime.UTC) | ZONES)


class Place(BaseModel):
    """An object in an object."""

    city: str
    since: datetime.date | None = None


class Part(BaseModel):
    """An object in a list in an object."""

    name: str | None
    weight: float | None = None


class Item(BaseModel):
    """A line item with all that a cell can hold."""

    title: str
    count: int | None
    price: decimal.Decimal | None = None
    is_new: bool = False
    size: Literal["S", "M|L"] | None = None
    marks: list[str] = []
    colors: set[Literal["red", "green; dark"]] = set()
    place: Place | None = None
    parts: list[Part] = []


class Holder(BaseModel):
    """An object with an object and a list of objects."""

    name: str
    at: datetime.time | None = None
    days: list[datetime.date] = []
    place: Place | None = None
    parts: list[Part] = []


def _objects(model: type[BaseModel], **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(model, **parts).map(lambda made: made.model_dump(mode="json"))


_PLACES = _objects(Place, city=SEEN_TEXTS, since=st.none() | st.dates())
_PARTS = st.lists(_objects(Part, name=st.none() | TEXTS, weight=st.none() | st.floats(-1e9, 1e9)), max_size=2)
_ITEMS = _objects(
    Item,
    title=SEEN_TEXTS,
    count=st.none() | st.integers(-(2**63), 2**63 - 1),
    price=st.none() | DECIMALS,
    is_new=st.booleans(),
    size=st.sampled_from(["S", "M|L", None]),
    marks=st.lists(TEXTS, max_size=3),
    colors=st.sets(st.sampled_from(["red", "green; dark"])),
    place=st.none() | _PLACES.map(Place.model_validate),
    parts=_PARTS.map(lambda parts: [Part.model_validate(part) for part in parts]),
)
_HOLDERS = _objects(
    Holder,
    name=SEEN_TEXTS,
    at=st.none() | TIMES,
    days=st.lists(st.dates(), max_size=2),
    place=st.none() | _PLACES.map(Place.model_validate),
    parts=_PARTS.map(lambda parts: [Part.model_validate(part) for part in parts]),
)

FORMS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "choice": (Literal[LABELS], st.sampled_from(LABELS)),
    "label set": (set[Literal[LABELS]], st.lists(st.sampled_from(LABELS), unique=True)),
    "text": (str, SEEN_TEXTS),
    "int": (int, st.integers(-(2**63), 2**63 - 1)),
    "float": (float, st.floats(allow_nan=False, allow_infinity=False)),
    "decimal": (decimal.Decimal, DECIMALS.map(str)),
    "bool": (bool, st.booleans()),
    "date": (datetime.date, st.dates().map(str)),
    "datetime": (datetime.datetime, MOMENTS.map(datetime.datetime.isoformat)),
    "time": (datetime.time, TIMES.map(str)),
    "texts": (list[str], st.lists(TEXTS, max_size=3)),
    "ints": (list[int], st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)),
    "decimals": (list[decimal.Decimal], st.lists(DECIMALS.map(str), max_size=3)),
    "dates": (list[datetime.date], st.lists(st.dates().map(str), max_size=3)),
    "object": (Holder, _HOLDERS),
    "objects": (list[Item], st.lists(_ITEMS, max_size=3)),
}
"""A type and its values by name; a conversation, which is always the only target, is below."""

_CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["search", "get_weather", "näme", "a-b.c"]),
                    "arguments": st.sampled_from(
                        ['{"a": 1}', '{"a":1}', "{}", '{"text": "x\\ny", "b": [1,  2]}', "not JSON"]
                    ),
                }
            ),
        },
        optional={"id": st.sampled_from(["call_1", ""])},
    ),
    min_size=1,
    max_size=2,
)
_SAID = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": TEXTS.map(str.strip).filter(lambda text: not is_blank(text))},
    optional={"reasoning_content": TEXTS, "weight": st.sampled_from([0.0, 1.0]), "name": st.just("bot")},
)
_CALLED = st.fixed_dictionaries({"role": st.just("assistant"), "content": TEXTS.map(str.strip), "tool_calls": _CALLS})
_RESULT = st.fixed_dictionaries(
    {"role": st.just("tool"), "content": TEXTS}, optional={"tool_call_id": st.just("call_1"), "name": st.just("search")}
)


@st.composite
def answers_of_chats(draw: st.DrawFn) -> list[dict[str, Any]]:
    """What an assistant does after the user's last turn: words, or calls with their results."""
    turns: list[Any] = []
    for _ in range(draw(st.integers(0, 2))):
        turns += [draw(_CALLED), draw(_RESULT)]
    turns.append(draw(st.one_of(_SAID, _CALLED)))
    return [Message.model_validate(turn).as_json() for turn in turns]


# --- tasks ----------------------------------------------------------------------------------------
_SHOWN = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
CHOICES = st.lists(
    (st.text(_SHOWN, min_size=1) | st.sampled_from(["$5", "true", "a\tb", "<b>", "'\"", "a  b"])).filter(
        lambda text: text == text.strip() and not is_blank(text)
    ),
    min_size=1,
    max_size=25,
    unique=True,
)


@st.composite
def _target(draw: st.DrawFn) -> tuple[Any, Any, st.SearchStrategy[Any]]:
    """A type, its default, and its values."""
    form = draw(st.sampled_from(["generated choices", *FORMS]))
    if form == "generated choices":
        values = draw(CHOICES)
        annotation, value = Literal[*values], st.sampled_from(values)
    else:
        annotation, value = FORMS[form]
    return (annotation | None, None, st.none() | value) if draw(st.booleans()) else (annotation, ..., value)


@st.composite
def task_and_rows(draw: st.DrawFn, rows: int = 1) -> tuple[type[Task], list[dict[str, Any]]]:
    """A task with targets of some types and odd names, and values for so many rows; one in ten is a chat."""
    if draw(st.integers(0, 9)) == 0:
        task = create_model("Generated", __base__=Task, __doc__="Help.", source_=(Conversation, ...))
        return task, [{"source_": draw(answers_of_chats())} for _ in range(rows)]
    odd = st.sampled_from(["source", "why", "push_key", "größe", "title", "a", "id", "candidates", "changes"])
    names = draw(st.lists(odd, min_size=1, max_size=4, unique=True))
    targets = {name: draw(_target()) for name in names}
    fields: dict[str, Any] = {
        name: (Annotated[kind, Role.TARGET], default) for name, (kind, default, _) in targets.items()
    }
    fields["source_"] = (Annotated[str, Role.INPUT], ...)
    task = create_model("Generated", __base__=Task, __doc__=draw(SEEN_TEXTS), **fields)
    return task, [{name: draw(values) for name, (_, _, values) in targets.items()} for _ in range(rows)]
