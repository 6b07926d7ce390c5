"""What may happen in the random lives of a dataset: to its sources, and what its annotators say."""

import random
from typing import Any

from schemas.annotation import Verdict

UNSURE = Verdict.UNSURE
CHOICES = ("billing", "delivery", "returns")
_SUBJECTS = ("my parcel", "the blue lamp", "our second invoice")
_STORIES = (
    "was promised for the ninth of the month but nobody has told us where it went since then",
    "came with a note from the shop that says we owe you forty more for the work that was done",
)
_TAILS = ("", " Please answer soon.", " Thank you and kind regards to everybody in the whole team.", "!")
"""With these, texts are equal, equal up to punctuation, similar or unrelated."""

LABELS = (*CHOICES, "other", None)
TEXTS = [f"{who} {what}.{tail}" for who in _SUBJECTS for what in _STORIES for tail in _TAILS]
TALKS = (
    "Where can I see what my subscription costs from March on?",
    "The courier rang twice, left no card, and drove away again.",
    "Two of the six glasses were broken when I opened the box.",
    "Our accountant needs the receipt with the number of the company.",
    "Can the wardrobe be carried up to the fourth floor?",
    "I ordered size eight and got a pair in size six.",
    "My card was charged although the order says canceled.",
    "Does anybody work in the shop at the harbor on Sundays?",
    "The lamp flickers; may I swap it for another model?",
    "Who pays for customs if you send the bicycle to Norway?",
)
"""What a team is asked about: no two are alike."""
USERS = ("a@example.com", "b@example.com", "c@example.com")
Edit = tuple[Any, ...]
"""What happens to the sources: its name, and with what."""
Saying = tuple[Any, ...]
"""What annotators do: its name, and with what."""


class Chance:
    """What annotators and sources do at random. Hypothesis chooses the seeds: its own choices vary too little."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def texts(self, count: int) -> list[Edit]:
        """Rows to begin with."""
        draw = self._random
        return [("put", key, draw.choice(TEXTS), draw.choice(LABELS)) for key in range(count)]

    def talks(self) -> list[Edit]:
        """Rows that a team begins with: most of them with an answer, some in the source that comes and goes."""
        draw = self._random
        names = ("put", "put", "visit")
        return [(draw.choice(names), key, text, draw.choice((*LABELS, *CHOICES))) for key, text in enumerate(TALKS)]

    def edits(self, most: int) -> list[Edit]:
        """Some changes of the sources."""
        return [self._edit() for _ in range(self._random.randrange(most + 1))]

    def sayings(self, most: int) -> list[Saying]:
        """Some answers and second thoughts."""
        return [self._saying() for _ in range(self._random.randrange(most + 1))]

    def _edit(self) -> Edit:
        draw, pick = self._random, self._random.randrange(1000)
        match draw.choice(("put", "put", "relabel", "touch", "delete", "return", "copy", "copy", "visit")):
            case "put" | "visit" as name:
                return name, draw.randrange(20), draw.choice(TEXTS), draw.choice(LABELS)
            case "relabel" as name:
                return name, pick, draw.choice(LABELS)
            case "copy" as name:
                return name, pick, draw.choice(_TAILS), draw.choice((*LABELS, "same"))
            case name:
                return name, pick

    def _saying(self) -> Saying:
        draw, pick = self._random, self._random.randrange(1000)
        match draw.choice((*["answer"] * 6, "skip", "reconsider", "take back", "delete the task")):
            case "answer" as name:
                return name, pick, draw.choice((*CHOICES, "unusable", "unusable", "unsure")), draw.choice(USERS)
            case "skip" as name:
                return name, pick, draw.choice(CHOICES), draw.choice(USERS)
            case "reconsider" as name:
                return name, pick, draw.choice((*CHOICES, "nonsense"))
            case name:
                return name, pick


CHANGES: list[dict[str, Any]] = [
    {"visits": True},
    {"visits": False},
    {"choices": [*CHOICES, "other"]},
    {"choices": list(CHOICES)},
    {"on_conflict": "review"},
    {"on_conflict": "any_of"},
    {"review": "{budget: 2, audit: 0.0}"},
    {"review": "{budget: 0.9, audit: 0.9}"},
    {"review": "{budget: 0.5, audit: 0.3, unreviewed: hold}"},
    {"review": "{budget: 0.9, audit: 0.1, repair: false}"},
    {"split": "{group_by: [seen]}"},
    {"split": "{}"},
]
"""Of the task and of dataset.yaml."""
KEEPING: list[dict[str, Any]] = [
    {"choices": [*CHOICES, "other"]},
    {"texts": True},
    {"texts": False},
    {"server": "well", "visits": True},
    {"server": ""},
    *({"ending": ending} for ending in ("csv", "jsonl.gz", "json", "parquet", "jsonl")),
]
"""What takes no row and no answer away in a world that moves."""
MOVES: list[dict[str, Any]] = [
    *({"delivery": now} for now in ("shipping", "divided", "")),
    {"choices": list(CHOICES)},
    *({name: named} for name in ("visits", "logs") for named in (False, True)),
]
"""Others of its changes."""
FAILURES: list[dict[str, Any]] = [
    {"split": "{group_by: customer}"},
    {"split": "{group_by: customer}", "logs": False},
    {"split": "{group_by: customer}", "visits": False},
    {"split": "{group_by: customer}", "logs": False, "visits": False},
    {"split": "{group_by: customer}", "delivery": "divided", "ending": "csv"},
    {"key": "customer"},
    {"log_files": "lock*.jsonl", "logs": True},
    *(
        {"server": server, "visits": True}
        for server in ("busy", "forbidden", "breaks off", "asks to log in", "sends us away")
    ),
]
"""No row has what rows are to be grouped or known by, a source has no file, or its server does not deliver."""
WAYS = ("rewrites", "renames", "appends", "cuts", "keeps on")
"""How a file is written while it is read."""
_PAIR = USERS[:2]
TEAM_CHANGES: list[dict[str, Any]] = [
    {"annotators": ()},
    {"annotators": USERS[:1]},
    {"annotators": _PAIR},
    {"annotators": USERS},
    {"annotators": USERS[1:]},
    {"overlap": 0.0},
    {"overlap": 0.5},
    {"overlap": 1.0},
    {"gold": 0.0},
    {"gold": 0.4},
    {"trusts": True},
    {"trusts": False},
    {"asks": "error_rate: 0.3"},
    {"asks": "budget: 0.9, audit: 0.5"},
    {"asks": "budget: 0.5, audit: 0.0"},
    {"repairs": False},
    {"repairs": True},
    {"suggests": True},
    {"suggests": False},
    {"publishes": False},
    {"publishes": True},
    {"choices": [*CHOICES, "other"]},
    {"choices": list(CHOICES)},
    {"visits": False},
    {"visits": True},
]
"""Of a life with a team."""
