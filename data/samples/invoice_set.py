"""Builds the invoice messages: CSV rows with planted faults, and the truth about each row."""

import csv
import datetime
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from wording import (
    MATERIAL,
    fill,
    jaccard,
    read_blocks,
    read_table,
    seeded,
    shuffled,
    trigrams,
    with_loose_spaces,
    with_typo,
)

SEED = "goldleaf invoices 1"
HONEST_ROWS = 124
WORDS = range(30, 91)
MAX_SIMILARITY = 0.55  # two messages that are not planted copies stay below this
TARGETS = ("vendor", "invoice_number", "total", "currency", "due_date", "purchase_order")
CURRENCIES = ("CHF", "EUR", "GBP", "USD")
TAX_PER_CENT = {"CHF": 8, "EUR": 20, "GBP": 20, "USD": 7}
PURCHASE_ORDERS = ("PO-####", "B/####-##", "P#####", "BST ####", "4700#####", "ORD-##-###")
DATE_FORMS = (
    "{d:%Y-%m-%d}",
    "{d:%Y-%m-%d}",
    "{d.day} {month} {d.year}",
    "{month} {d.day}, {d.year}",
    "{d.day} {month} {d.year}",
    "{weekday}, {d.day} {month} {d.year}",
)
# fmt: off
MONTHS = ["January", "February", "March", "April", "May", "June", "July",
          "August", "September", "October", "November", "December"]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
# fmt: on

WRONG_VALUES = {
    "number_typo": 3,
    "other_vendor": 2,
    "total_swapped": 2,
    "other_currency": 1,
    "other_due_date": 1,
    "purchase_order_typo": 1,
}
DUPLICATES = {
    "exact_duplicate": {"identical": 2, "spaces": 1, "crlf": 1},
    "near_duplicate": {"typo": 2, "forwarded": 2},
}
UNLABELED = 8


@dataclass(frozen=True)
class Row:
    """A row to be: its text, the true values, and what is planted in it."""

    text: str
    values: dict[str, str]
    shown: dict[str, str] = field(default_factory=dict)  # the values as the text writes them
    plant: str | None = None
    detail: str | None = None
    usable: bool = True
    cells: tuple[str, ...] | None = None  # target cells, where they differ from the values
    original: "Row | None" = None

    @property
    def compared(self) -> str:
        """The text by which rows are compared."""
        return self.text

    def target_cells(self) -> tuple[str, ...]:
        """Return the target cells as the CSV has them."""
        return self.cells or tuple(self.values[name] for name in TARGETS)


def digits(form: str, rng: random.Random) -> str:
    """Return the form with each # replaced by a digit."""
    return re.sub("#", lambda _: str(rng.randrange(10)), form)


def money(cents: int, form: str) -> str:
    """Write an amount in the manner of a sample such as `1.234,50 EUR`."""
    sample = re.search(r"1(.)234(.)50", form)
    assert sample is not None, f"no sample amount in {form!r}"
    whole = f"{cents // 100:,}".replace(",", sample[1])
    return form.replace(sample[0], f"{whole}{sample[2]}{cents % 100:02d}")


def written(date: datetime.date, form: str) -> str:
    """Write a date without asking the machine for its language."""
    return form.format(d=date, month=MONTHS[date.month - 1], weekday=WEEKDAYS[date.weekday()])


def write_message(layout: str, vendor: list[str], rng: random.Random) -> Row:
    """Write one message and the values that can be read from it."""
    name, currency, amount_form, number_form, things = vendor
    net = rng.choice([rng.randrange(4000, 90000), rng.randrange(90000, 1900000)])
    net -= net % 25  # so that the tax comes out in whole cents
    tax = net * TAX_PER_CENT[currency] // 100
    total = net + tax
    issued = datetime.date(2023, 1, 9) + datetime.timedelta(rng.randrange(700))
    due = issued + datetime.timedelta(rng.choice([10, 14, 21, 30, 30, 45, 60]))
    date_form = rng.choice(DATE_FORMS)
    shown = {
        "vendor": name,
        "invoice_number": digits(number_form, rng),
        "total": money(total, amount_form),
        "due_date": written(due, date_form),
        "purchase_order": digits(rng.choice(PURCHASE_ORDERS), rng),
    }
    words = {
        "vendor": name,
        "number": shown["invoice_number"],
        "total": shown["total"],
        "due": shown["due_date"],
        "po": shown["purchase_order"],
        "issued": written(issued, date_form),
        "net": money(net, amount_form),
        "net2": money(total * 110 // 100, amount_form),
        "tax": money(tax, amount_form),
        "zero": money(0, amount_form),
        "thing": rng.choice(things.split(" ; ")),
    }
    text = re.sub(r" +\n", "\n", fill(layout, words, {}, rng))
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    values = {
        "vendor": name,
        "invoice_number": shown["invoice_number"],
        "total": str(total / 100),
        "currency": currency,
        "due_date": due.isoformat() if shown["due_date"] in text else "",
        "purchase_order": shown["purchase_order"] if shown["purchase_order"] in text else "",
    }
    return Row(text, values, {name: s for name, s in shown.items() if values[name]})


def write_messages() -> list[Row]:
    """Write the clean messages, no two of them similar."""
    layouts = read_blocks(MATERIAL / "invoices.txt", "\n===\n")
    vendors = read_table(MATERIAL / "vendors.txt")
    rng = seeded(SEED, "text")
    uses = {layout: rng.random() for layout in layouts}
    rows: list[Row] = []
    seen: list[frozenset[tuple[str, ...]]] = []
    while len(rows) < HONEST_ROWS:
        layout = min(uses, key=uses.__getitem__)
        uses[layout] += 1
        row = write_message(layout, vendors[(len(rows) * 7) % len(vendors)], rng)
        grams = trigrams(row.text)
        fits = len(row.text.split()) in WORDS
        if fits and all(jaccard(grams, other) < MAX_SIMILARITY for other in seen):
            rows.append(row)
            seen.append(grams)
    return rows


class Planter:
    """Takes rows one by one out of the honest ones and gives back planted ones."""

    def __init__(self, rows: list[Row]) -> None:
        self.rng = seeded(SEED, "plants")
        self.vendors = read_table(MATERIAL / "vendors.txt")
        self.free = rows[:]
        self.rng.shuffle(self.free)

    def take(self, suits: Callable[[Row], bool] = lambda row: True) -> Row:
        """Remove and return the next honest row that suits."""
        row = next(row for row in self.free if suits(row))
        self.free.remove(row)
        return row

    def duplicates(self) -> Iterator[Row]:
        """Repeat clean rows, exactly or nearly, with every value still in the text."""
        for plant, details in DUPLICATES.items():
            for detail in (d for d in details for _ in range(details[d])):
                row = self.take()
                text = self.variant(row, detail)
                while text is None:
                    text = self.variant(row, detail)
                yield row
                yield replace(row, text=text, plant=plant, detail=detail, original=row)

    def variant(self, row: Row, detail: str) -> str | None:
        """Return the text with the difference, or None if that hits a value."""
        match detail:
            case "spaces":
                text = with_loose_spaces(row.text, self.rng)
            case "crlf":
                text = row.text.replace("\n", "\r\n")
            case "typo":
                text = with_typo(row.text, self.rng)
            case "forwarded":
                text = f"FWD: please handle\n\n{row.text}"
            case _:
                return row.text
        values_kept = all(" ".join(s.split()) in " ".join(text.split()) for s in row.shown.values())
        return text if values_kept else None

    def wrong_values(self) -> Iterator[Row]:
        """Give honest rows one value that their text does not have."""
        for detail in (d for d in WRONG_VALUES for _ in range(WRONG_VALUES[d])):
            row = self.take(lambda row: all(row.values.values()))
            name, value = self.wrong(row, detail)
            cells = tuple((row.values | {name: value}).values())
            yield replace(row, cells=cells, plant="wrong_value", detail=detail)

    def wrong(self, row: Row, detail: str) -> tuple[str, str]:
        """Return the name of a target and a value for it that is wrong."""
        values = row.values
        match detail:
            case "number_typo":
                return "invoice_number", self.other_digit(values["invoice_number"], row.text)
            case "purchase_order_typo":
                return "purchase_order", self.other_digit(values["purchase_order"], row.text)
            case "other_vendor":
                others = [v[0] for v in self.vendors if v[0] != values["vendor"]]
                return "vendor", self.rng.choice(others)
            case "total_swapped":
                return "total", swapped(values["total"])
            case "other_currency":
                return "currency", next(c for c in CURRENCIES if c != values["currency"])
            case _:
                due = datetime.date.fromisoformat(values["due_date"])
                return "due_date", (due + datetime.timedelta(31)).isoformat()

    def other_digit(self, number: str, text: str) -> str:
        """Return the number with one digit changed, so that the text does not have it."""
        while True:
            at = self.rng.choice([i for i, c in enumerate(number) if c.isdigit()])
            changed = number[:at] + str(self.rng.randrange(10)) + number[at + 1 :]
            if changed not in text:
                return changed

    def invalid(self) -> Iterator[Row]:
        """Give honest rows cells that no schema can take."""

        def cells(**changes: str) -> tuple[str, ...]:
            return tuple((row.values | changes).values())

        row = self.take(lambda row: row.values["currency"] == "EUR")
        yield self.broken(row, "unknown_currency", cells(currency="EURO"))
        row = self.take()
        yield self.broken(row, "total_not_a_number", cells(total="n/a"))
        row = self.take(lambda row: row.values["due_date"] != "")
        yield self.broken(row, "impossible_date", cells(due_date="2024-02-30"))
        row = self.take(lambda row: row.values["due_date"] != "")
        yield self.broken(row, "date_not_iso", cells(due_date="31/12/24"))
        row = self.take()
        yield self.broken(replace(row, text="", values={}), "empty_text", cells())
        row = self.take()
        yield self.broken(row, "extra_cell", (*cells(), "paid"))
        row = self.take()
        yield self.broken(row, "missing_cells", cells()[:3])

    def broken(self, row: Row, detail: str, cells: tuple[str, ...]) -> Row:
        """Mark a row as one that can never be a record."""
        return replace(row, cells=cells, plant="invalid", detail=detail, usable=False)

    def unlabeled(self) -> Iterator[Row]:
        """Take the values away from honest rows."""
        for _ in range(UNLABELED):
            yield replace(self.take(), cells=("",) * len(TARGETS), plant="unlabeled")

    def personal(self) -> Iterator[Row]:
        """Add personal data to honest rows."""
        text = (MATERIAL / "invoices_personal.json").read_text("utf-8")
        for entry in json.loads(text):
            row = self.take()
            yield replace(
                row,
                text=f"{row.text}\n\n{entry['text']}",
                plant="personal_data",
                detail=entry["detail"],
                usable=False,
            )


def swapped(total: str) -> str:
    """Let two neighbouring digits that differ change places, the first digit excepted."""
    pairs = range(1, len(total) - 1)
    at = next(i for i in pairs if total[i] != total[i + 1] and total[i : i + 2].isdigit())
    return total[:at] + total[at + 1] + total[at] + total[at + 2 :]


def build() -> list[Row]:
    """Return all rows of the invoice set, in file order."""
    planter = Planter(write_messages())
    rows = [
        *planter.wrong_values(),
        *planter.invalid(),
        *planter.duplicates(),
        *planter.unlabeled(),
        *planter.personal(),
    ]
    rows += planter.free
    originals = {id(row): row.original for row in rows if row.original}
    return shuffled(rows, originals, seeded(SEED, "order"))


def true_values(row: Row) -> dict[str, str | float | None] | None:
    """Return what an expert would fill in, with null for what the text does not name."""
    if not row.values:
        return None
    values: dict[str, str | float | None] = {k: v or None for k, v in row.values.items()}
    values["total"] = float(row.values["total"])
    return values


def files(rows: list[Row]) -> dict[str, bytes]:
    """Return the content of the CSV file and of the truth file."""
    ids = {id(row): f"INV-mail-{at:04d}" for at, row in enumerate(rows, start=1)}
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["id", "text", *TARGETS])
    truth = []
    for row in rows:
        truth.append(
            {
                "id": ids[id(row)],
                "line": table.getvalue().count("\n") + 1,
                "planted": [row.plant] if row.plant else [],
                "detail": row.detail,
                "values": true_values(row),
                "usable": row.usable,
                "original_id": ids[id(row.original)] if row.original else None,
            }
        )
        writer.writerow([ids[id(row)], row.text, *row.target_cells()])
    lines = (json.dumps(entry, ensure_ascii=False) + "\n" for entry in truth)
    return {
        "invoices/invoices.csv": table.getvalue().encode(),
        "invoices/truth.jsonl": "".join(lines).encode(),
    }
