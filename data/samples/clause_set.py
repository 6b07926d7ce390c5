"""Builds the contract clauses: raw lines with planted faults, and the truth about each line."""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from planting import lines_and_truth
from wording import (
    MATERIAL,
    fill,
    jaccard,
    read_blocks,
    read_lists,
    read_table,
    seeded,
    shuffled,
    trigrams,
    with_cut_tail,
    with_line_breaks,
    with_loose_spaces,
    with_swap,
    with_typo,
)

SEED = "goldleaf clauses 1"
MAX_SIMILARITY = 0.55  # two clauses that are not planted copies stay below this
FEWEST_WORDS = 30
LEAST_NEAR = 0.75  # a planted near-duplicate is at least this similar to its original

EXACT = {
    "identical": 12,
    "other_contract": 6,
    "upper_case": 4,
    "lower_case": 2,
    "spaces": 4,
    "nbsp": 4,
    "crlf": 3,
    "nfd": 3,
    "ligature": 2,
}
NEAR = {"typo": 12, "swapped_words": 10, "party_name": 8, "cut_tail": 10}
CONFLICTS = 15
WRONG_LABELS = {"confusable": 25, "random": 15}
UNLABELED = {"null_kind": 13, "absent_kind": 12}


@dataclass(frozen=True)
class Contract:
    """A contract and the words by which its clauses name things."""

    name: str
    tags: frozenset[str]
    words: dict[str, str]


@dataclass(frozen=True)
class Row:
    """A line to be: what it says, what an expert would say, and what is planted in it."""

    contract: str
    clause: str
    label: str | None
    kind: str | None
    plant: str | None = None
    detail: str | None = None
    usable: bool = True
    raw: bytes | None = None
    original: "Row | None" = None

    @property
    def compared(self) -> str:
        """The text by which rows are compared."""
        return self.clause

    def line(self) -> bytes:
        """Return the raw line, without its newline."""
        if self.raw is not None:
            return self.raw
        fields = {"contract": self.contract, "clause": self.clause, "kind": self.label}
        if self.detail == "absent_kind":
            del fields["kind"]
        return json.dumps(fields, ensure_ascii=False).encode()


def read_contracts() -> list[Contract]:
    """Return the contracts, each with one manner of drafting throughout."""
    places = json.loads((MATERIAL / "places.json").read_text("utf-8"))
    lists = read_lists(MATERIAL / "slots.txt")
    contracts = []
    for row in read_table(MATERIAL / "contracts.txt"):
        name, _, short_a, role_a, _, short_b, role_b, place, goods, fees, by, tags = row
        rng = seeded(SEED, name)
        party = rng.choice([("party", "parties"), ("Party", "Parties")])
        a, b = (role_a, role_b) if by == "roles" else (short_a, short_b)
        year = name.rsplit(" ", 1)[1]
        dates = {"year": year, "later": str(int(year) + rng.randint(3, 7))}
        words = places[place] | {
            "A": a,
            "B": b,
            # Who supplies a service must not compete; so must not who sells on goods.
            "R": a if "services" in tags else b,
            "O": b if "services" in tags else a,
            "goods": goods,
            "fees": fees,
            "party": party[0],
            "parties": party[1],
            "agmt": rng.choice(["this Agreement", "this Contract", "the Agreement"]),
            "shall": rng.choice(["shall", "shall", "will"]),
            "start": fill("{start}", dates, lists, rng),
            "end": fill("{end}", dates, lists, rng),
        }
        contracts.append(Contract(name, frozenset(tags.split()), words | dates))
    return contracts


def tidy(text: str) -> str:
    """Close the gaps that options left out have made, and let capitals be capitals."""
    text = re.sub(r" +", " ", text).strip()
    text = re.sub(r" ([.,;)])", r"\1", text)
    if sum(map(str.isupper, text)) > sum(map(str.islower, text)):
        return text.upper()
    return text


def write_clauses(kind: str, contracts: list[Contract], rows: int) -> Iterator[Row]:
    """Write a clause of the kind for `rows` of the contracts, no two of them similar."""
    lists = read_lists(MATERIAL / "slots.txt")
    patterns = read_blocks(MATERIAL / "clauses" / f"{kind}.txt", "\n\n")
    rng = seeded(SEED, kind)
    uses = {pattern: rng.random() for pattern in patterns}
    seen: list[frozenset[tuple[str, ...]]] = []
    for contract in rng.sample(contracts, rows):
        fitting = [p for p in patterns if fits(p, contract)]
        while True:
            # The least used pattern comes next; a failed trial counts as a use.
            pattern = min(fitting, key=uses.__getitem__)
            uses[pattern] += 1
            body = re.sub(r"^@\w+ ", "", pattern)
            clause = tidy(fill(body, contract.words, lists, rng))
            grams = trigrams(clause)
            if len(clause.split()) < FEWEST_WORDS:
                continue
            if all(jaccard(grams, other) < MAX_SIMILARITY for other in seen):
                break
        seen.append(grams)
        yield Row(contract.name, clause, kind, kind)


def fits(pattern: str, contract: Contract) -> bool:
    """Say whether a pattern that starts with `@tag` suits the contract."""
    tag = re.match(r"@(\w+) ", pattern)
    return tag is None or tag[1] in contract.tags


def is_of(row: Row, kind: str) -> bool:
    """Say whether the row is of the kind."""
    return row.kind == kind


class Planter:
    """Takes rows one by one out of the honest ones and gives back planted ones."""

    def __init__(self, rows: list[Row], contracts: list[Contract]) -> None:
        self.rng = seeded(SEED, "plants")
        self.free = rows[:]
        self.rng.shuffle(self.free)
        self.kinds: dict[str, Any] = read_kinds()
        self.contracts = {contract.name: contract for contract in contracts}
        self.families: dict[frozenset[str], list[str]] = defaultdict(list)
        for row in read_table(MATERIAL / "contracts.txt"):
            self.families[frozenset((row[1], row[4]))].append(row[0])

    def take(self, suits: Callable[[Row], bool] = lambda row: True) -> Row:
        """Remove and return the next honest row that suits."""
        row = next(row for row in self.free if suits(row))
        self.free.remove(row)
        return row

    def sibling(self, name: str) -> str | None:
        """Return another contract between the same parties, if there is one."""
        family = next(names for names in self.families.values() if name in names)
        return next((other for other in family if other != name), None)

    def exact_duplicates(self) -> Iterator[Row]:
        """Repeat honest rows, some with differences that normalising takes away."""
        # The rare demands come first, while there is a choice.
        details = sorted((d for d in EXACT for _ in range(EXACT[d])), reverse=True)
        for detail in sorted(details, key=lambda d: d not in ("nfd", "other_contract")):
            row = self.take(partial(self.can_vary, detail=detail))
            contract = row.contract
            if detail == "other_contract":
                contract = self.sibling(row.contract) or row.contract
            yield row
            yield replace(
                row,
                contract=contract,
                clause=self.variant(row.clause, detail),
                plant="exact_duplicate",
                detail=detail,
                original=row,
            )

    def can_vary(self, row: Row, detail: str) -> bool:
        """Say whether the variant differs from the row where it should."""
        if detail == "other_contract":
            return self.sibling(row.contract) is not None
        return detail == "identical" or self.variant(row.clause, detail) != row.clause

    def variant(self, clause: str, detail: str) -> str:
        """Return the clause with a difference that is none in meaning."""
        match detail:
            case "upper_case":
                return clause.upper()
            case "lower_case":
                return clause.lower()
            case "spaces":
                return with_loose_spaces(clause, self.rng)
            case "nbsp":
                return re.sub(r"\b(of|to|the) ", "\\1\N{NO-BREAK SPACE}", clause)
            case "crlf":
                return with_line_breaks(clause, "\r\n", 9)
            case "nfd":
                return unicodedata.normalize("NFD", clause)
            case "ligature":
                return clause.replace("fi", "\N{LATIN SMALL LIGATURE FI}")
            case _:
                return clause

    def near_duplicates(self) -> Iterator[Row]:
        """Repeat honest rows with a small difference, at least 0.75 similar."""
        for detail in (d for d in NEAR for _ in range(NEAR[d])):
            row = self.take(partial(self.can_alter, detail=detail))
            altered = self.altered(row, detail)
            while altered is None:
                altered = self.altered(row, detail)
            yield row
            yield replace(row, clause=altered, plant="near_duplicate", detail=detail, original=row)

    def can_alter(self, row: Row, detail: str) -> bool:
        """Say whether one trial of the alteration comes out near enough."""
        return self.altered(row, detail) is not None

    def altered(self, row: Row, detail: str) -> str | None:
        """Return the clause with one alteration, or None if it came out too different."""
        match detail:
            case "typo":
                text = with_typo(row.clause, self.rng)
            case "swapped_words":
                text = with_swap(row.clause, self.rng)
            case "cut_tail":
                text = with_cut_tail(row.clause, self.rng)
            case _:
                names = self.contracts[row.contract].words
                other = self.rng.choice(list(self.contracts.values())).words["A"]
                text = re.sub(rf"\b{re.escape(names['A'])}\b", other, row.clause)
        similar_rows = jaccard(trigrams(text), trigrams(row.clause))
        return text if LEAST_NEAR <= similar_rows < 1 else None

    def conflicts(self) -> Iterator[Row]:
        """Repeat honest rows under another kind; both halves are marked."""
        for _ in range(CONFLICTS):
            right = replace(self.take(), plant="conflict", detail="right_kind")
            label = self.rng.choice(self.kinds[str(right.kind)]["confused_with"])
            yield right
            yield replace(right, label=label, detail="wrong_kind", original=right)

    def wrong_labels(self) -> Iterator[Row]:
        """Give honest rows another kind, often one that is easily confused."""
        for detail in (d for d in WRONG_LABELS for _ in range(WRONG_LABELS[d])):
            row = self.take()
            near = self.kinds[str(row.kind)]["confused_with"]
            far = [kind for kind in self.kinds if kind not in (row.kind, *near)]
            label = self.rng.choice(near if detail == "confusable" else far)
            yield replace(row, label=label, plant="wrong_label", detail=detail)

    def sensitive(self) -> Iterator[Row]:
        """Add personal data, secrets and chat-template tokens to honest rows."""
        text = (MATERIAL / "sensitive.json").read_text("utf-8")
        for entry in json.loads(text):
            row = self.take(partial(is_of, kind=entry["kind"]))
            yield replace(
                row,
                clause=f"{row.clause} {entry['text']}",
                plant=entry["plant"],
                detail=entry["detail"],
                usable=False,
            )

    def unlabeled(self) -> Iterator[Row]:
        """Take the kind away from honest rows."""
        for detail in (d for d in UNLABELED for _ in range(UNLABELED[d])):
            yield replace(self.take(), label=None, plant="unlabeled", detail=detail)

    def malformed(self) -> Iterator[Row]:
        """Add lines that can never be records."""
        lines = (MATERIAL / "malformed.txt").read_text("utf-8").splitlines()
        for comment, line in zip(lines[::2], lines[1::2], strict=True):
            detail = comment.removeprefix("# ")
            raw = line.encode("latin-1" if detail == "invalid_utf8" else "utf-8")
            yield Row("", "", None, None, "malformed", detail, usable=False, raw=raw)


def read_kinds() -> dict[str, Any]:
    """Return, for each kind, how many rows it has and what it is confused with."""
    kinds: dict[str, Any] = json.loads((MATERIAL / "kinds.json").read_text("utf-8"))
    return kinds


def in_file_order(rows: list[Row]) -> list[Row]:
    """Shuffle the rows; a duplicate comes after its original, a conflict in either order."""
    originals = {id(row): row.original for row in rows if row.original and row.plant != "conflict"}
    return shuffled(rows, originals, seeded(SEED, "order"))


def build() -> list[Row]:
    """Return all rows of the clause set, in file order."""
    contracts = read_contracts()
    honest: list[Row] = []
    for kind, about in read_kinds().items():
        honest += write_clauses(kind, contracts, about["rows"])
    planter = Planter(honest, contracts)
    rows = [
        *planter.exact_duplicates(),
        *planter.near_duplicates(),
        *planter.sensitive(),
        *planter.conflicts(),
        *planter.wrong_labels(),
        *planter.unlabeled(),
        *planter.malformed(),
    ]
    return in_file_order(rows + planter.free)


def files(rows: list[Row]) -> dict[str, bytes]:
    """Return the content of the raw file and of the truth file."""
    raw, truth = lines_and_truth(rows, lambda row: {"kind": row.kind})
    return {"clauses/clauses.jsonl": raw, "clauses/truth.jsonl": truth}
