"""Builds the official sentences and their plain versions: CSV rows with planted faults, and the truth about them."""

import csv
import io
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from planting import Honest, each
from wording import (
    MATERIAL,
    fill,
    jaccard,
    read_blocks,
    read_lists,
    seeded,
    shuffled,
    trigrams,
    with_loose_spaces,
    with_typo,
)

SEED = "goldleaf plain 1"
FOLDER = MATERIAL / "plain"
# fmt: off
SUBJECTS = ("tenancy", "library", "rail", "water", "council", "school", "museum", "insurance", "work", "pool")
# fmt: on
ROWS_A_SUBJECT = 40
WHOLES_TWICE = 2  # how often a sentence that stands alone is used, with other values
MAX_SIMILARITY = 0.55  # two sentences that are not planted copies stay below this
LEAST_NEAR = 0.72  # a planted near-duplicate is at least this similar to its original
FEWEST_WORDS_OF_COPIES = 21
TRIALS = 200

COPIED, CUT, OTHER_ROW, LINK_LOST = 11, 11, 11, 3
NUMBERS = {"other_number": 8, "swapped_digits": 4}
NAMES = 11
NEGATIONS = {"not": 6, "prohibited": 4}
EMPTY = {"dash": 3, "dots": 3, "not_applicable": 2}
EMPTY_ANSWERS = {"dash": "-", "dots": "...", "not_applicable": "n/a"}
SECOND_ANSWERS = 10
EXACT = {"identical": 6, "spaces": 2, "upper_case": 2}
NEAR = {"typo": 10}
UNLABELED = 10

# A number of two digits that is neither an hour nor a part of another number.
NUMBER = re.compile(r"(?<![\d,.-])[1-9]\d\b(?![.,]\d)(?! [ap]\.m\.)")
NEGATIONS_TURNED = (
    (r"\bno (?=more|money|supply)", ""),
    (r"\b(must|may|do|does|will|should) not\b", r"\1"),
    (r"\bcannot\b", "can"),
    (r"\bno longer\b", "still"),
    (r"\bnever\b", "always"),
    (r"\b(?:no|not any)\b", "a"),
)


@dataclass(frozen=True)
class Row:
    """A row to be: the official sentence, the plain one in truth and in the file, and what is planted in it."""

    sentence: str
    plain: str
    document: str
    given: str = ""
    person: str = ""
    plant: str | None = None
    detail: str | None = None
    usable: bool = True
    original: "Row | None" = None

    @property
    def compared(self) -> str:
        """The text by which rows are compared."""
        return self.sentence


@dataclass(frozen=True)
class Pattern:
    """What an official sentence and its plain version are made from."""

    official: str
    plain: str
    fits: frozenset[int] = frozenset()
    """Of a condition: the numbers of the duties that make sense after it."""

    @classmethod
    def read(cls, line: str) -> "Pattern":
        """Read a line `official => plain`; that of a condition begins with numbers of duties and a colon."""
        numbers, _, pair = line[2:].rpartition(": ") if line.startswith("? ") else ("", "", line[2:])
        official, plain = pair.split(" => ")
        return cls(official, plain, frozenset(map(int, numbers.split())))

    def after(self, condition: "Pattern") -> "Pattern":
        """Return the pattern with a condition before it."""
        return Pattern(f"{condition.official}, {self.official}.", f"{condition.plain}, {self.plain}.")


class Writer:
    """Writes pairs of sentences, no two official ones similar."""

    def __init__(self) -> None:
        self.lists = read_lists(FOLDER / "slots.txt")
        self.rng = seeded(SEED, "text")
        self.seen: list[frozenset[tuple[str, ...]]] = []

    def about(self, subject: str) -> Iterator[Row]:
        """Write the pairs of one subject."""
        lines = read_blocks(FOLDER / f"{subject}.txt", "\n")
        documents = lines[0][2:].split(" | ")
        parts = {sign: [Pattern.read(line) for line in lines if line.startswith(f"{sign} ")] for sign in "?-="}
        patterns = [
            duty.after(one) for one, (n, duty) in product(parts["?"], enumerate(parts["-"], 1)) if n in one.fits
        ]
        self.rng.shuffle(patterns)
        rows = [row for whole in parts["="] * WHOLES_TWICE if (row := self.written(whole, documents))]
        for pattern in patterns:
            if len(rows) < ROWS_A_SUBJECT and (row := self.written(pattern, documents)):
                rows.append(row)
        yield from rows

    def written(self, pattern: Pattern, documents: list[str]) -> Row | None:
        """Fill a pattern; None if it comes out similar to an earlier sentence."""
        for _ in range(TRIALS // 20):
            # Both at once: a slot has one value in the two sentences.
            filled = fill(f"{pattern.official}\n{pattern.plain}\n{{person}}", {}, self.lists, self.rng)
            sentence, plain, person = filled.replace("m..", "m.").split("\n")
            grams = trigrams(sentence)
            if all(jaccard(grams, other) < MAX_SIMILARITY for other in self.seen):
                self.seen.append(grams)
                named = person if person in plain else ""
                return Row(capital(sentence), capital(plain), self.rng.choice(documents), capital(plain), named)
        return None


def capital(text: str) -> str:
    """Return the text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


class Planter:
    """Takes honest rows and gives back planted ones."""

    def __init__(self, rows: list[Row]) -> None:
        self.rng = seeded(SEED, "plants")
        self.persons = read_lists(FOLDER / "slots.txt")["person"]
        self.honest = Honest(rows, self.rng)

    def altered(self) -> Iterator[Row]:
        """Give honest rows an answer that is wrong in one way."""
        for _ in range(LINK_LOST):
            row = self.honest.take(lambda row: "https://" in row.plain)
            yield replace(row, given=re.sub(r" (?:at|through) https://[\w./]*\w", "", row.plain), plant="link_lost")
        for detail in each(NEGATIONS):
            row = self.honest.take(partial(can_turn, detail=detail))
            yield replace(row, given=turned(row.plain), plant="negation_turned", detail=detail)
        for detail in each(NUMBERS):
            row = self.honest.take(partial(can_change, detail=detail))
            yield replace(row, given=self.other_number(row, detail), plant="number_changed", detail=detail)
        for _ in range(NAMES):
            row = self.honest.take(lambda row: bool(row.person))
            other = self.rng.choice([name for name in self.persons if name != row.person])
            yield replace(row, given=row.plain.replace(row.person, other), plant="name_changed")
        for _ in range(COPIED):
            row = self.honest.take()
            yield replace(row, given=row.sentence, plant="copied")
        for _ in range(CUT):
            row = self.honest.take(lambda row: len(row.plain.split()) >= 11 and "https://" not in row.plain)
            words = row.plain.split()
            yield replace(row, given=" ".join(words[: -self.rng.randint(3, len(words) // 2)]), plant="cut")
        for detail in each(EMPTY):
            yield replace(self.honest.take(), given=EMPTY_ANSWERS[detail], plant="empty", detail=detail)

    def other_number(self, row: Row, detail: str) -> str:
        """Return the plain sentence with another number of two digits."""
        spot = NUMBER.search(row.plain)
        assert spot is not None, row.plain
        others = [str(number) for number in range(11, 29) if str(number) not in row.sentence]
        other = spot.group()[::-1] if detail == "swapped_digits" else self.rng.choice(others)
        return row.plain[: spot.start()] + other + row.plain[spot.end() :]

    def other_rows(self) -> Iterator[Row]:
        """Give each of some honest rows the answer of the next one, as a shifted column does."""
        rows = [self.honest.take(lambda row: "https://" not in row.sentence) for _ in range(OTHER_ROW)]
        for row, other in zip(rows, [*rows[1:], rows[0]], strict=True):
            yield replace(row, given=other.plain, plant="other_row")

    def several_answers(self) -> Iterator[Row]:
        """Repeat honest rows with a second good answer, which is no fault."""
        for _ in range(SECOND_ANSWERS):
            row = self.honest.take(lambda row: reworded(row.plain) != row.plain)
            second = reworded(row.plain)
            yield row
            yield replace(row, plain=second, given=second, plant="second_answer", original=row)

    def duplicates(self) -> Iterator[Row]:
        """Repeat honest rows, exactly or nearly."""
        for plant, counts in (("exact_duplicate", EXACT), ("near_duplicate", NEAR)):
            for detail in each(counts):
                row = self.honest.take(can_vary)
                yield row
                yield replace(row, sentence=self.varied(row.sentence, detail), plant=plant, detail=detail, original=row)

    def varied(self, sentence: str, detail: str) -> str:
        """Return the sentence with a difference that is none in meaning."""
        match detail:
            case "spaces":
                return with_loose_spaces(sentence, self.rng)
            case "upper_case":
                return sentence.upper()
            case "typo":
                return near(sentence, self.rng)
            case _:
                return sentence

    def unlabeled(self) -> Iterator[Row]:
        """Take the plain sentence away."""
        for _ in range(UNLABELED):
            yield replace(self.honest.take(), given="", plant="unlabeled")


def can_change(row: Row, detail: str) -> bool:
    """Say whether the plain sentence has a number that can be changed so."""
    spot = NUMBER.search(row.plain)
    if spot is None or detail != "swapped_digits":
        return spot is not None
    swapped = spot.group()[::-1]
    return not swapped.startswith("0") and swapped not in row.sentence


def can_turn(row: Row, detail: str) -> bool:
    """Say whether the plain sentence has a negation, and the official one says it with `not` or in another word."""
    negated = re.search(r"\b(?:not|no|never|neither)\b", row.sentence) is not None
    return turned(row.plain) != row.plain and negated == (detail == "not")


def turned(plain: str) -> str:
    """Return the sentence with its first negation turned; the same if it has none."""
    for pattern, instead in NEGATIONS_TURNED:
        if re.search(pattern, plain):
            return re.sub(pattern, instead, plain, count=1)
    if plain.startswith("Do not "):
        return capital(plain.removeprefix("Do not "))
    return plain


# Words that can stand for each other in a plain sentence.
SYNONYMS = (("must", "have to"), ("may not", "are not allowed to"), ("tell", "inform"), ("you get", "you receive"))


def reworded(plain: str) -> str:
    """Return the sentence in other words; the same if there are none for it."""
    text = plain
    for word, other in SYNONYMS:
        text = re.sub(rf"(?<=\byou ){word}\b|(?<=, ){word}\b|\b{word}\b(?= (?:you|them|us)\b)", other, text)
    head, comma, tail = text.partition(", ")
    if head.startswith(("If ", "When ")) and comma and "," not in tail:
        return f"{capital(tail.rstrip('.'))} {head[:1].lower()}{head[1:]}."
    return text


def can_vary(row: Row) -> bool:
    """Say whether the sentence is long enough for a small difference."""
    return len(row.sentence.split()) >= FEWEST_WORDS_OF_COPIES


def near(sentence: str, rng: random.Random) -> str:
    """Return the sentence with a typo, still similar enough."""
    for _ in range(TRIALS):
        text = with_typo(sentence, rng)
        if LEAST_NEAR <= jaccard(trigrams(text), trigrams(sentence)) < 1:
            return text
    raise ValueError(f"no typo is small enough for {sentence!r}")


def in_another_language() -> Iterator[Row]:
    """Read the rows whose answer is in another language."""
    for line in read_blocks(FOLDER / "other_language.txt", "\n"):
        sentence, plain, given = line.split(" => ")
        yield Row(sentence, plain, "Collected notices", given, plant="other_language")


def personal() -> Iterator[Row]:
    """Read the rows with personal data."""
    for line in read_blocks(FOLDER / "personal.txt", "\n"):
        pair, _, detail = line.rpartition(" | ")
        sentence, plain = pair.split(" => ")
        yield Row(sentence, plain, "Letters", plain, plant="personal_data", detail=detail, usable=False)


def build() -> list[Row]:
    """Return all rows of the plain set, in file order."""
    writer = Writer()
    planter = Planter([row for subject in SUBJECTS for row in writer.about(subject)])
    rows = [
        *planter.altered(),
        *planter.other_rows(),
        *planter.several_answers(),
        *planter.duplicates(),
        *planter.unlabeled(),
        *in_another_language(),
        *personal(),
    ]
    rows += planter.honest.free
    originals = {id(row): row.original for row in rows if row.original}
    return shuffled(rows, originals, seeded(SEED, "order"))


def files(rows: list[Row]) -> dict[str, bytes]:
    """Return the content of the CSV file and of the truth file."""
    ids = {id(row): f"PL-{at:04d}" for at, row in enumerate(rows, start=1)}
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["id", "document", "sentence", "plain"])
    truth = []
    for line, row in enumerate(rows, start=2):
        truth.append(
            {
                "id": ids[id(row)],
                "line": line,
                "planted": [row.plant] if row.plant else [],
                "detail": row.detail,
                "values": {"plain": row.plain},
                "usable": row.usable,
                "original_id": ids[id(row.original)] if row.original else None,
            }
        )
        writer.writerow([ids[id(row)], row.document, row.sentence, row.given])
    lines = (json.dumps(entry, ensure_ascii=False) + "\n" for entry in truth)
    return {
        "plain/sentences.csv": table.getvalue().encode(),
        "plain/truth.jsonl": "".join(lines).encode(),
    }
