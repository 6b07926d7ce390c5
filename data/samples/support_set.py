"""Builds the customers' questions: JSON lines with planted faults, and the truth about each line."""

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from planting import Honest, each, lines_and_truth
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

SEED = "goldleaf support 1"
FOLDER = MATERIAL / "support"
MAX_SIMILARITY = 0.5  # two questions that are not planted copies stay below this
LEAST_NEAR = 0.72  # a planted near-duplicate is at least this similar to its original
FEWEST_WORDS_OF_COPIES = 23  # in a shorter question one changed word changes too much
# fmt: off
TOPICS = ("delivery", "order_change", "return", "refund", "defect", "payment",
          "invoice", "voucher", "account", "product", "stock")
# fmt: on
ALONE = 20  # questions about each topic only
PAIRED = 21  # questions about each topic and a second one
MIXED = 64
ABOUT_NOTHING = 26
CUSTOMERS = 210
TRIALS = 200
# How a clause begins that ends with a question mark.
ASKING = re.compile(
    r"(?:and |or )?(?:is|are|am|was|do|does|did|has|have I|have we|can|could|will|would|may|what|when|where|which|who"
    r"|whom|why|how|any)\b(?! there is)",
    re.IGNORECASE,
)

# What people mistake a topic for.
NEIGHBORS = {
    "delivery": "stock",
    "order_change": "return",
    "return": "refund",
    "refund": "payment",
    "defect": "return",
    "payment": "invoice",
    "invoice": "payment",
    "voucher": "payment",
    "account": "order_change",
    "product": "stock",
    "stock": "delivery",
}
MISSING, EXTRA, SWAPPED, CONFLICTS = 13, 13, 13, 6
EXACT = {"identical": 6, "upper_case": 2, "spaces": 3, "crlf": 2}
NEAR = {"typo": 7, "polite": 6}
UNLABELED = {"null_topics": 6, "absent_topics": 6}
REPEATED, UNKNOWN = 6, 6
PERSONAL = (
    ("email", "You can reach me at {0}, that is Annelore Quist.", "annelore.quist@example.com"),
    ("email", "Please answer to {0}.", "m.tarrow-lind@example.org"),
    ("phone_us", "Call Dorian Feldspar on {0}, I rarely read mail.", "+1 212-555-0177"),
    ("phone_uk", "My number is {0}, ask for Mrs Bexley.", "+44 20 7946 0618"),
    ("phone_uk", "Ring Owen Hallam any time: {0}.", "+44 20 7946 0877"),
    ("card", "It is the card {0}, in the name of Lucian Prowse.", "4111 1111 1111 1111"),
    ("card", "I used card number {0}.", "5555-5555-5555-4444"),
    ("iban", "My account is {0}, holder Ottilie Krantz.", "DE89 3704 0044 0532 0130 00"),
    ("iban", "Money goes to {0}, please, Edmund Farthing.", "GB82 WEST 1234 5698 7654 32"),
    ("email_and_phone", "I am Severin Achterloo, {0}.", "s.achterloo@example.com or +1 415-555-0121"),
)


@dataclass(frozen=True)
class Row:
    """A line to be: the question, the topics it has in the file and in truth, and what is planted in it."""

    question: str
    topics: tuple[str, ...]
    given: tuple[str, ...] | None
    customer: str = ""
    plant: str | None = None
    detail: str | None = None
    usable: bool = True
    original: "Row | None" = None

    @property
    def compared(self) -> str:
        """The text by which rows are compared."""
        return self.question

    def line(self) -> bytes:
        """Return the raw line, without its newline."""
        number = int(hashlib.sha256(f"{SEED}/{self}".encode()).hexdigest()[:12], 16) % 90000 + 10000
        fields = {
            "ticket": f"https://desk.example.com/tickets/{number}",
            "customer": self.customer,
            "question": self.question,
            "topics": None if self.given is None else list(self.given),
        }
        if self.detail == "absent_topics":
            del fields["topics"]
        return json.dumps(fields, ensure_ascii=False).encode()


class Writer:
    """Writes questions from the patterns, no two of them similar."""

    def __init__(self) -> None:
        self.lists = read_lists(FOLDER / "slots.txt")
        self.rng = seeded(SEED, "text")
        self.uses: dict[str, float] = {}
        self.seen: list[frozenset[tuple[str, ...]]] = []
        lines = {topic: read_blocks(FOLDER / f"{topic}.txt", "\n") for topic in TOPICS}
        self.openers = {topic: [one for one in lines[topic] if not one.startswith("+ ")] for topic in TOPICS}
        self.more = {topic: [one[2:] for one in lines[topic] if one.startswith("+ ")] for topic in TOPICS}

    def least_used(self, patterns: list[str]) -> str:
        """Return the pattern whose turn it is; a failed trial counts as a use."""
        for pattern in patterns:
            self.uses.setdefault(pattern, self.rng.random())
        pattern = min(patterns, key=self.uses.__getitem__)
        self.uses[pattern] += 1
        return pattern

    def filled(self, *patterns: str) -> str:
        """Return the patterns as one text; slots have the same value in all of them."""
        orders = {name: f"FH-{self.rng.randrange(10000, 99999)}" for name in ("order", "order2")}
        text = fill("\n".join(patterns), orders, self.lists, self.rng)
        return " ".join(map(tidy, text.splitlines()))

    def is_new(self, question: str) -> bool:
        """Say whether no question so far is similar, and remember this one if so."""
        grams = trigrams(question)
        if any(jaccard(grams, other) >= MAX_SIMILARITY for other in self.seen):
            return False
        self.seen.append(grams)
        return True

    def about(self, *topics: str) -> str:
        """Write a question about a topic, or about two in this order."""
        while True:
            patterns = [self.least_used(self.openers[topics[0]])]
            patterns += [self.least_used(self.more[topic]) for topic in topics[1:]]
            if self.is_new(question := self.filled(*patterns)):
                return question

    def mixed(self) -> tuple[str, tuple[str, ...]]:
        """Write a question in which several topics belong together, and name them."""
        patterns = read_blocks(FOLDER / "mixed.txt", "\n")
        while True:
            labels, _, pattern = (pattern := self.least_used(patterns)).partition(" :: ")
            if self.is_new(question := self.filled(pattern)):
                return question, in_order(labels.split(", "))

    def about_nothing(self) -> str:
        """Write a question that is about no topic."""
        patterns = read_blocks(FOLDER / "none.txt", "\n")
        while not self.is_new(question := self.filled(self.least_used(patterns))):
            pass
        return question


def in_order(topics: list[str]) -> tuple[str, ...]:
    """Return the topics in the order of the task's choices."""
    return tuple(topic for topic in TOPICS if topic in topics)


def tidy(text: str) -> str:
    """Close gaps, end the text, begin its sentences with capitals, and mend plurals."""
    text = re.sub(r" +", " ", text).strip()
    text = re.sub(r" ([.,;?!])", r"\1", text)
    text = re.sub(r"([?!])\.", r"\1", text)
    text = re.sub(r"(x|sh)s\b", r"\1es", text).replace("shelfs", "shelves")
    text = re.sub(r"([.?!]) ([a-z])", lambda match: f"{match[1]} {match[2].upper()}", text)
    body = text.rstrip(".")
    if not body.endswith(("?", "!")):
        text = f"{body}{'?' if ASKING.match(re.split('[.?!,;:] ', body)[-1]) else '.'}"
    return text[:1].upper() + text[1:]


def write_questions() -> list[Row]:
    """Write the clean questions."""
    writer, rng = Writer(), seeded(SEED, "pairs")
    asked: list[tuple[str, tuple[str, ...]]] = []
    for topic in TOPICS:
        others = [one for one in TOPICS if one != topic]
        asked += [(writer.about(topic), (topic,)) for _ in range(ALONE)]
        for _ in range(PAIRED):
            other = rng.choice(others)
            asked.append((writer.about(topic, other), in_order([topic, other])))
    asked += [writer.mixed() for _ in range(MIXED)]
    asked += [(writer.about_nothing(), ()) for _ in range(ABOUT_NOTHING)]
    customers = [f"C-{number}" for number in rng.sample(range(1000, 9999), CUSTOMERS)]
    return [Row(question, topics, topics, rng.choice(customers)) for question, topics in asked]


class Planter:
    """Takes honest rows and gives back planted ones."""

    def __init__(self, rows: list[Row]) -> None:
        self.rng = seeded(SEED, "plants")
        self.honest = Honest(rows, self.rng)

    def wrong_topics(self) -> Iterator[Row]:
        """Leave out a topic, add one, or put one in the place of another."""
        for _ in range(MISSING):
            row = self.honest.take(lambda row: len(row.topics) > 1)
            lost = self.rng.choice(row.topics)
            yield replace(row, given=tuple(t for t in row.topics if t != lost), plant="missing_label", detail=lost)
        for _ in range(EXTRA):
            row = self.honest.take(lambda row: 0 < len(row.topics) < 3)
            added = self.neighbor(row)
            yield replace(row, given=in_order([*row.topics, added]), plant="extra_label", detail=added)
        for _ in range(SWAPPED):
            row = self.honest.take(lambda row: len(row.topics) == 1)
            yield replace(row, given=(self.neighbor(row),), plant="swapped_label", detail=row.topics[0])

    def neighbor(self, row: Row) -> str:
        """Return a topic that the question is not about; twice in three times one that is easily confused."""
        near = [NEIGHBORS[topic] for topic in row.topics if NEIGHBORS[topic] not in row.topics]
        far = [topic for topic in TOPICS if topic not in (*row.topics, *near)]
        return self.rng.choice(near if near and self.rng.random() < 2 / 3 else far)

    def conflicts(self) -> Iterator[Row]:
        """Repeat honest rows with other topics; both halves are marked."""
        for _ in range(CONFLICTS):
            right = replace(self.honest.take(lambda row: len(row.topics) == 1), plant="conflict", detail="right_topics")
            yield right
            yield replace(right, given=(self.neighbor(right),), detail="wrong_topics", original=right)

    def duplicates(self) -> Iterator[Row]:
        """Repeat honest rows, exactly or nearly."""
        for plant, counts in (("exact_duplicate", EXACT), ("near_duplicate", NEAR)):
            for detail in each(counts):
                row = self.honest.take(can_vary)
                yield row
                question = varied(row.question, detail, self.rng)
                yield replace(row, question=question, plant=plant, detail=detail, original=row)

    def refused(self) -> Iterator[Row]:
        """Name a topic twice, or one that does not exist: such lines can never be records."""
        for _ in range(REPEATED):
            row = self.honest.take(lambda row: bool(row.topics))
            yield replace(row, given=(*row.topics, row.topics[0]), plant="repeated_label", usable=False)
        for odd in ("shipping", "Delivery", "other", "warranty", "refunds", "complaint")[:UNKNOWN]:
            row = self.honest.take(lambda row: bool(row.topics))
            yield replace(row, given=(*row.topics[1:], odd), plant="unknown_label", detail=odd, usable=False)

    def unlabeled(self) -> Iterator[Row]:
        """Take the topics away."""
        for detail in each(UNLABELED):
            yield replace(self.honest.take(), given=None, plant="unlabeled", detail=detail)

    def personal(self) -> Iterator[Row]:
        """Add personal data."""
        for detail, sentence, data in PERSONAL:
            row = self.honest.take()
            text = f"{row.question} {sentence.format(data)}"
            yield replace(row, question=text, plant="personal_data", detail=detail, usable=False)


def can_vary(row: Row) -> bool:
    """Say whether the question is long enough for a small difference, and has a word for a typo."""
    words = row.question.split()
    return len(words) >= FEWEST_WORDS_OF_COPIES and any(re.fullmatch(r"[a-z]{7,}", word) for word in words)


def varied(question: str, detail: str, rng: random.Random) -> str:
    """Return the question with a difference that is none in meaning."""
    match detail:
        case "upper_case":
            return question.upper()
        case "spaces":
            return with_loose_spaces(question, rng)
        case "crlf":
            return question.replace(" ", "\r\n", 1)
        case "typo":
            return near(question, lambda: with_typo(question, rng))
        case "polite":
            return near(question, lambda: f"{question} {rng.choice(['Thank you!', 'Best regards.', 'Many thanks!'])}")
        case _:
            return question


def near(question: str, vary: Callable[[], str]) -> str:
    """Return the first variation that is similar enough to the question, and not the same."""
    for _ in range(TRIALS):
        text = vary()
        if LEAST_NEAR <= jaccard(trigrams(text), trigrams(question)) < 1:
            return text
    raise ValueError(f"no variation is near enough to {question!r}")


def build() -> list[Row]:
    """Return all rows of the support set, in file order."""
    planter = Planter(write_questions())
    rows = [
        *planter.wrong_topics(),
        *planter.conflicts(),
        *planter.duplicates(),
        *planter.refused(),
        *planter.unlabeled(),
        *planter.personal(),
    ]
    rows += planter.honest.free
    originals = {id(row): row.original for row in rows if row.original and row.plant != "conflict"}
    return shuffled(rows, originals, seeded(SEED, "order"))


def files(rows: list[Row]) -> dict[str, bytes]:
    """Return the content of the raw file and of the truth file."""
    raw, truth = lines_and_truth(rows, lambda row: {"values": {"topics": list(row.topics)}})
    return {"support/questions.jsonl": raw, "support/truth.jsonl": truth}
