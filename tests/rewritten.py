"""Sets of rewritten texts made from templates: plainer wordings, formal ones, translations, summaries."""

import random
from collections.abc import Sequence

from pipeline.label_errors.rewrites import Rewrite

Pair = tuple[str, str]
_CITIES = "Porto Ghent Turin Split Lyon Vigo Basel Delft Graz Brno Zadar Cork Bergen Lodz Malaga Nantes"
_NAMES = "Anna Boris Clara David Elena Felix Greta Hugo Ines Jonas Karin Lukas Maria Nils Olga Paul"
_TIMES = "hour day week month night year season winter"
_THINGS = "report invoice contract meeting workshop letter budget survey draft schedule"
_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_PLACES = {
    "bridge": ("is crossed by", "cross", "cars"),
    "library": ("is used by", "use", "readers"),
    "museum": ("is seen by", "see", "people"),
    "harbor": ("is used by", "use", "ships"),
    "theater": ("is visited by", "visit", "guests"),
    "school": ("is attended by", "attend", "pupils"),
    "factory": ("is run by", "run", "workers"),
    "station": ("is used by", "use", "trains"),
}
_ASKS = (
    ("hey {n} can u send me the {t} by {d}", "Dear {N}, could you please send me the {t} by {D}?"),
    ("{n} pls don't forget the {t} on {d}", "Dear {N}, please do not forget the {t} on {D}."),
    ("sorry {n} cant make it to the {t} on {d}", "Dear {N}, unfortunately I cannot attend the {t} on {D}."),
    ("thx {n} got the {t} on {d}", "Dear {N}, thank you, I received the {t} on {D}."),
    ("{n} u need to sign {c} copies of the {t}", "Dear {N}, please sign {c} copies of the {t}."),
    ("yo {n} the {t} costs {c} bucks", "Dear {N}, the price of the {t} is {c} dollars."),
)
_ENGLISH = (
    "dog car letter table tree ring chair coat apple key boat stone",
    "sees buys finds paints loses hides",
    "old red small heavy new broken",
    "in_the_garden at_home in_the_city by_the_lake",
    "today on_Monday in_June at_night at_noon",
)
_GERMAN = (
    "Hund Wagen Brief Tisch Baum Ring Stuhl Mantel Apfel Schlüssel Kahn Stein",
    "sieht kauft findet malt verliert versteckt",
    "alten roten kleinen schweren neuen kaputten",
    "im_Garten zu_Hause in_der_Stadt am_See",
    "heute am_Montag im_Juni nachts mittags",
)


def plainer(count: int, seed: int = 0) -> list[Pair]:
    """Sentences with a clause in the middle, and the same as two sentences."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        place, city, when = draw.choice(list(_PLACES)), draw.choice(_CITIES.split()), draw.choice(_TIMES.split())
        passive, active, many = _PLACES[place]
        year, number = draw.randint(1500, 2020), draw.randint(2, 99) * 10
        found.append(
            (
                f"The {place} in {city}, which was opened in {year}, {passive} some {number} {many} every {when}.",
                f"The {place} in {city} was opened in {year}. Some {number} {many} {active} it every {when}.",
            )
        )
    return found


def formal(count: int, seed: int = 0) -> list[Pair]:
    """Messages without capitals and full stops, and the same as a letter would have it."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        before, after = draw.choice(_ASKS)
        name, day, thing = draw.choice(_NAMES.split()), draw.choice(_DAYS.split()), draw.choice(_THINGS.split())
        said = {"n": name.lower(), "N": name, "t": thing, "d": day, "D": day.capitalize(), "c": draw.randint(3, 900)}
        found.append((before.format(**said), after.format(**said)))
    return found


def german(count: int, seed: int = 0) -> list[Pair]:
    """English sentences and their translations."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        name, year = draw.choice(_NAMES.split()), draw.randint(1900, 2020)
        chosen = [draw.randrange(len(some.split())) for some in _ENGLISH]
        noun, verb, kind, place, day = _chosen(_ENGLISH, chosen)
        original = f"{name} {verb} the {kind} {noun} {place} {day}, as in {year}."
        noun, verb, kind, place, day = _chosen(_GERMAN, chosen)
        found.append((original, f"{name} {verb} {day} {place} den {kind} {noun}, wie {year}."))
    return found


def _chosen(words: Sequence[str], numbers: Sequence[int]) -> list[str]:
    return [some.split()[number].replace("_", " ") for some, number in zip(words, numbers, strict=True)]


def summaries(count: int, seed: int = 0) -> list[Pair]:
    """Five sentences with names and numbers, and one about the first of them."""
    pairs = plainer(5 * count, seed)
    fives = [pairs[at : at + 5] for at in range(0, len(pairs), 5)]
    return [(" ".join(text for text, _ in five), five[0][1].split(". ")[0] + ".") for five in fives]


def rows_of(pairs: Sequence[Pair]) -> list[Rewrite]:
    """Rows that are no copies of each other."""
    return [Rewrite(original, answer, str(number)) for number, (original, answer) in enumerate(pairs)]
