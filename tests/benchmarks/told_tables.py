"""Made-up descriptions of tables' columns: what is asked stands in the text, by its name or another, beside traps.

Two vocabularies and two sets of sentences: one to develop on, one that was kept aside (``KEPT``) and looked at once.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import create_model

from schemas.task import Input, Target, Task

Row = dict[str, Any]

_UNSAID = 0.06
"""Of rows, some do not say a choice; it is drawn as often as elsewhere."""


@dataclass(frozen=True)
class World:
    """The words and sentences of a set."""

    choices: Mapping[str, Mapping[str, Sequence[str]]]
    """Of each field with choices: every choice with its other names."""
    says: Mapping[str, Sequence[str]]
    """Of each field: sentences that say it (``{x}``), and may name others that it is not (``{y}``)."""
    traps: Sequence[str]
    """Sentences that say nothing of this table, with choices of it in braces."""
    opens: Sequence[str]
    """First sentences, with the open fields in braces."""
    names: Sequence[str]
    places: Sequence[str]


_DEVELOPED = World(
    choices={
        "unit": {
            "kilogram": ("kg", "kilos"),
            "gram": ("g", "grammes"),
            "tonne": ("metric tons", "t"),
            "pound": ("lb", "lbs"),
            "metre": ("m", "meters"),
            "kilometre": ("km", "kilometers"),
            "mile": ("mi",),
            "inch": ("in.", "inches"),
            "second": ("s", "sec"),
            "minute": ("min",),
            "hour": ("h", "hrs"),
            "day": ("working days",),
            "litre": ("l", "liters"),
            "gallon": ("gal",),
            "celsius": ("degrees C", "centigrade"),
            "fahrenheit": ("degrees F",),
            "watt": ("W",),
            "kilowatt_hour": ("kWh",),
            "percent": ("%", "per cent"),
            "piece": ("pcs", "units counted"),
            "euro": ("EUR", "€"),
            "us_dollar": ("USD", "dollars"),
        },
        "type": {
            "integer": ("whole number", "int"),
            "decimal": ("float", "number with decimals"),
            "text": ("string", "varchar"),
            "date": ("calendar day",),
            "boolean": ("yes or no", "flag"),
            "category": ("enum", "one of a list"),
        },
        "role": {
            "measure": ("is summed up in reports", "what is aggregated"),
            "identifier": ("key", "names each row"),
            "attribute": ("describes the row", "property"),
            "target": ("what the model predicts", "label to learn"),
            "weight": ("says how much a row counts",),
        },
    },
    says={
        "unit": (
            "Given in {x}.",
            "Values are in {x}.",
            "It was converted from {y} to {x} in March.",
            "All numbers are {x}, not {y}.",
            "Unit: {x} (older files: {y}).",
            "The unit used to be {y}; now it is {x}.",
            "Reported in {x}, although suppliers send {y}.",
        ),
        "type": (
            "Stored as {x}.",
            "The column is a {x}.",
            "It was a {y} before and is a {x} since the migration.",
            "Type: {x}.",
            "Read as {x}; the {y} version was dropped.",
            "Please load it as {x} rather than {y}.",
        ),
        "role": (
            "Its role: {x}.",
            "It serves as {x}.",
            "Here it is the {x}, elsewhere the {y}.",
            "Use it as {x}.",
            "Not a {y} but a {x}.",
        ),
    },
    traps=(
        "The file arrives every {unit}.",
        "Boxes hold twelve {unit} each.",
        "See the {role} of the sister table.",
        "Joined on a {type} of another table.",
        "Refreshed after one {unit}.",
        "The {type} beside it is empty.",
        "A note in {type} form explains the rest.",
        "About 40 {unit} from the depot.",
    ),
    opens=(
        "Column {column} of table {table} has {rows} rows.",
        "{table}.{column}: {rows} rows.",
        "In {table} there are {rows} rows; this is about {column}.",
        "The field {column} ({table}, {rows} rows).",
    ),
    names=("weight", "gross", "net", "length", "stock", "usage", "load", "speed", "share", "price", "fee", "level"),
    places=("orders", "stores", "trips", "meters", "parcels", "plants", "clients", "claims", "sensors", "tickets"),
)
KEPT = World(
    choices={
        "top": {
            "oak": ("oaken",),
            "walnut": (),
            "pine": ("pinewood",),
            "glass": ("glazed",),
            "marble": ("Carrara",),
            "steel": ("stainless",),
            "bamboo": (),
            "plastic": ("polymer",),
            "ash": (),
            "beech": ("beechwood",),
            "granite": (),
            "cork": (),
        },
        "frame": {
            "steel": ("stainless",),
            "iron": ("wrought metal",),
            "oak": ("oaken",),
            "pine": ("pinewood",),
            "aluminium": ("alu", "aluminum"),
            "brass": (),
            "plastic": ("polymer",),
            "beech": ("beechwood",),
        },
        "use": {
            "dining_table": ("for meals", "for dinner"),
            "desk": ("for writing", "work surface"),
            "coffee_table": ("beside the sofa",),
            "workbench": ("for the workshop",),
            "console": ("for the hallway",),
            "nightstand": ("beside the bed",),
        },
    },
    says={
        "top": (
            "The top is {x}.",
            "Top: {x}.",
            "A surface of {x}, the drawer front {y}.",
            "On top {x}, below some {y}.",
            "You eat from {x}; only samples had {y}.",
            "The plate came in {y} once and is {x} today.",
        ),
        "frame": (
            "Legs of {x}.",
            "It stands on {x}.",
            "The frame was {y} and became {x}.",
            "Underneath: {x}.",
            "{x} legs, with {y} caps.",
            "Its base is {x} instead of {y}.",
        ),
        "use": (
            "Sold as {x}.",
            "Made to be a {x}.",
            "Listed under {y} by mistake: it is a {x}.",
            "A {x} by design.",
            "Some take it as {y}, we built a {x}.",
        ),
    },
    traps=(
        "The matching {use} is sold apart.",
        "Ships with a {top} sample.",
        "Screws are {frame}.",
        "Do not put {top} polish on it.",
        "Our {use} line ended last year.",
        "The lamp on the photo is {frame}.",
    ),
    opens=(
        "{column} by {table}, {rows} cm wide.",
        "{table} presents {column} ({rows} cm).",
        "Model {column}, maker {table}, width {rows} cm.",
    ),
    names=("Lund", "Aro", "Tavo", "Brisk", "Solv", "Nara", "Kito", "Merle", "Ostra", "Pell", "Quin", "Rada"),
    places=("Holm", "Vetter", "Arden", "Castell", "Brugge", "Toma", "Ilves", "Norr"),
)
DEVELOPED = _DEVELOPED


def told_task(world: World) -> type[Task]:
    """Its fields with choices, and three open ones."""
    closed: dict[str, Any] = {
        name: (Target[Literal[tuple(some)]], ...)  # type: ignore[valid-type]
        for name, some in world.choices.items()
    }
    open_ones: dict[str, Any] = {"table": (Target[str], ...), "column": (Target[str], ...), "rows": (Target[int], ...)}
    return create_model(
        "Told", __base__=Task, __doc__="Read the description.", text=(Input[str], ...), **closed, **open_ones
    )


def told_rows(world: World, count: int, seed: int, traps: float) -> list[Row]:
    """Descriptions with what they say; common choices are some ten times as frequent as rare ones.

    Args:
        world: its words.
        count: of rows.
        seed: of what is drawn.
        traps: the chance of a sentence that names another choice, in place of a plain one or beside it.
    """
    draw = random.Random(seed)
    return [_row(world, draw, traps) for _ in range(count)]


def _row(world: World, draw: random.Random, traps: float) -> Row:
    values = {name: _choice(some, draw) for name, some in world.choices.items()}
    open_ones = {
        "column": f"{draw.choice(world.names)}_{draw.randrange(100)}",
        "table": f"{draw.choice(world.places)}{draw.randrange(50)}",
        "rows": draw.randrange(20, 90_000),
    }
    said = [
        draw.choice([one for one in world.says[name] if ("{y}" in one) == is_trap]).format(
            x=_name(some, values[name], draw), y=_name(some, _other(some, values[name], draw), draw)
        )
        for name, some in world.choices.items()
        for is_trap in [draw.random() < traps]
        if draw.random() > _UNSAID
    ]
    for trap in draw.sample(world.traps, sum(draw.random() < traps for _ in range(2))):
        said.append(
            trap.format(**{name: _name(some, _choice(some, draw), draw) for name, some in world.choices.items()})
        )
    draw.shuffle(said)
    return {"text": " ".join([draw.choice(world.opens).format(**open_ones), *said]), **values, **open_ones}


def _choice(some: Mapping[str, Sequence[str]], draw: random.Random) -> str:
    return draw.choices(list(some), [1 / (place + 1) for place in range(len(some))])[0]


def _other(some: Mapping[str, Sequence[str]], value: str, draw: random.Random) -> str:
    return draw.choice([one for one in some if one != value])


def _name(some: Mapping[str, Sequence[str]], value: str, draw: random.Random) -> str:
    """Mostly the choice as it is written, else another name of it."""
    plain = value.replace("_", " ")
    return draw.choice(some[value]) if some[value] and draw.random() < 0.35 else plain
