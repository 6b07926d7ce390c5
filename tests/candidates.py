"""Rows as far as duplicates are concerned, made from their texts."""

from dataclasses import replace

from pipeline.dedupe.likeness import Likeness
from pipeline.dedupe.pairs import InMemory
from pipeline.dedupe.resolve import Candidate, Resolution
from pipeline.dedupe.resolve import resolve as resolve_compared
from pipeline.dedupe.texts import Texts
from pipeline.dedupe.words import words
from schemas.dataset import OnConflict

CLAUSE = (
    "this agreement is governed by the laws of the state of delaware without regard to its rules on the "
    "conflict of laws and each party submits to the courts of that state for every dispute"
)
NEAR = CLAUSE.replace("every dispute", "any dispute")
LEASE = "the tenant pays rent on the first day of each month by bank transfer to the landlord and keeps the receipt"
NEAR_BOTH = "either party may end the lease on notice of ninety days in writing to the other party at its seat"
_TEXTS: list[str] = []
"""The text of every number that ``row`` has given out."""
_NUMBERS: dict[str, int] = {}


def row(record_id: str, text: str = CLAUSE, answer: str | None = "law", **more: object) -> Candidate:
    """A candidate; its text's number means something to this module's ``resolve`` only."""
    number = _NUMBERS.setdefault(text, len(_TEXTS))
    if number == len(_TEXTS):
        _TEXTS.append(text)
    order = int("".join(filter(str.isdigit, record_id)) or 0)
    key = " ".join(words(text))
    base = Candidate(record_id, text=number, key=key, answer=answer, human=False, order=order)
    return replace(base, **({"published": more.get("split") is not None} | more))


def text_of(candidate: Candidate) -> str:
    """The text that a candidate was made from."""
    return _TEXTS[candidate.text]


def resolve(
    rows: list[Candidate], threshold: float, on_conflict: OnConflict = OnConflict.REVIEW, *, answers_repeat: bool = True
) -> dict[str, Resolution]:
    """Compare the texts of rows, and decide."""
    compared = InMemory.compare(Texts.of([text_of(one) for one in rows]), threshold)
    numbered = [replace(one, text=number) for one, number in zip(rows, compared.entries.tolist(), strict=True)]
    return resolve_compared(numbered, Likeness(threshold, compared), on_conflict, answers_repeat=answers_repeat)
