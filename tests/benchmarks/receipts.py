"""Made-up receipts with what was read in them: a family of layouts to develop on, and one to look at once, at the end.

They are like scanned till receipts, not scanned ones: what is found here says that a method can work, not how well it
does on a shop's own. Nothing is tuned on the second family, ``bills``: other words, other languages, other formats.
"""

import datetime
import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
FIELDS = ("company", "address", "date", "total")
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Family:
    """A way to make texts, and how good the given values are."""

    text: Callable[[random.Random, Row], list[str]]
    place: Callable[[random.Random], tuple[str, str]]
    """A shop and its address."""
    absent: dict[str, float]
    """How often a text does not say a field."""


_ABSENT = {"company": 0.01, "address": 0.06, "date": 0.04, "total": 0.01}
_UNREAD = 0.005
"""How often each value is not given though the text says it: nobody planted these."""
_SMUDGED = 0.002
"""How often a sign is read as one that looks like it."""
_ALIKE = {"0": "O", "O": "0", "1": "l", "I": "1", "5": "S", "S": "5", "8": "B", "B": "8", ".": ",", "E": "F", "6": "G"}


def receipts(family: Family, count: int, seed: int) -> list[Row]:
    """Rows of ``text`` with the four fields: date as ISO text, total with two decimals, None for what is not given."""
    draw = random.Random(f"receipts {seed}")
    shops = [family.place(draw) for _ in range(max(count // 4, 1))]
    rows = []
    for _ in range(count):
        # Some shops are seen often, most once or twice.
        company, address = shops[min(int(draw.expovariate(8 / len(shops))), len(shops) - 1)]
        day = datetime.date(2016, 1, 1) + datetime.timedelta(draw.randrange(1_200))
        said: Row = {"company": company, "address": address, "date": day}
        for field in ("company", "address", "date"):
            if draw.random() < family.absent[field]:
                said[field] = None
        said["total"] = None if draw.random() < family.absent["total"] else Decimal(0)
        lines = family.text(draw, said)
        given = {name: None if draw.random() < _UNREAD else said[name] for name in FIELDS}
        given["date"] = given["date"] and given["date"].isoformat()
        given["total"] = None if given["total"] is None else str(given["total"])
        rows.append({"text": _smudged("\n".join(lines), draw), **given})
    return rows


def _smudged(text: str, draw: random.Random) -> str:
    return "".join(_ALIKE.get(sign, sign) if draw.random() < _SMUDGED else sign for sign in text)


def _goods(draw: random.Random, names: tuple[str, ...]) -> list[tuple[str, int, Decimal]]:
    """What was bought: name, number and price of one."""
    count = min(1 + int(draw.expovariate(0.45)), 9)
    return [
        (draw.choice(names), draw.choice((1, 1, 1, 2, 3, 6)), Decimal(draw.randrange(80, 6_000)) * _CENT)
        for _ in range(count)
    ]


def _wavering(lines: list[str], draw: random.Random) -> list[str]:
    """Some lines are lost."""
    return [line for line in lines if draw.random() > 0.1]


# --- tills: what is developed on ------------------------------------------------------------------
_OWNERS = (
    "SYARIKAT",
    "KEDAI",
    "RESTORAN",
    "PERNIAGAAN",
    "GOLDEN",
    "LUCKY",
    "SUPER",
    "NEW",
    "TAN",
    "LIM",
    "AL-AMIN",
    "MR",
)
_TRADES = (
    "HARDWARE",
    "PAPAN",
    "BOOK STORE",
    "BAKERY",
    "SEAFOOD",
    "ELECTRICAL",
    "STATIONERY",
    "MINI MARKET",
    "CAFE",
    "DIY",
)
_KINDS = ("SDN BHD", "SDN. BHD.", "ENTERPRISE", "TRADING", "(M) SDN BHD", "& SONS", "")
_STREETS = ("JALAN", "LORONG", "PERSIARAN", "JLN", "LEBUH")
_NAMED = ("SAGU", "PERMAS", "BUKIT BINTANG", "MERU", "TEMBAGA", "SERI", "KENARI", "MAJU", "DATO ONN", "PUDU", "IPOH")
_TOWNS = ("JOHOR BAHRU", "KUALA LUMPUR", "SHAH ALAM", "KLANG", "PETALING JAYA", "IPOH", "MELAKA", "SEREMBAN")
_STATES = ("JOHOR", "SELANGOR", "PERAK", "W.P.", "")
_BOUGHT = (
    "A4 PAPER",
    "KOPI O",
    "NASI LEMAK",
    'CABLE TIE 8"',
    "WOOD GLUE",
    "PVC PIPE 15MM",
    "ROTI",
    "PEN BLUE",
    "BATTERY AA4",
)
_TOTALS = ("TOTAL", "GRAND TOTAL", "TOTAL PAYABLE", "NET TOTAL", "TOTAL AMT", "TOTAL (RM)", "NETT AMOUNT", "AMOUNT DUE")
_DATES = ("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y", "%d %b %Y", "%Y-%m-%d", "%d.%m.%Y", "%d-%b-%y")


def _shop(draw: random.Random) -> tuple[str, str]:
    company = " ".join(filter(None, (draw.choice(_OWNERS), draw.choice(_TRADES), draw.choice(_KINDS))))
    parts = [
        draw.choice(("NO. ", "NO ", "LOT ", "")) + str(draw.randrange(1, 300)) + draw.choice(("", "", "-A", "G")),
        f"{draw.choice(_STREETS)} {draw.choice(_NAMED)} {draw.randrange(1, 40)}/{draw.randrange(1, 30)}",
        *([f"TAMAN {draw.choice(_NAMED)}"] if draw.random() < 0.6 else []),
        f"{draw.randrange(40_000, 82_000)} {draw.choice(_TOWNS)}",
        draw.choice(_STATES),
    ]
    return company, ", ".join(filter(None, parts)) + draw.choice((".", ""))


def _till(draw: random.Random, said: Row) -> list[str]:
    money = draw.choice(("{}", "RM {}", "RM{}", "{} SR"))
    phone = f"0{draw.randrange(3, 8)}-{draw.randrange(10**6, 10**7)}"
    head = [f"({draw.randrange(10**5, 10**6)}-{draw.choice('ADHKTX')})", f"TEL: {phone}", f"FAX : {phone[:-1]}9"]
    head += [
        f"GST ID: 000{draw.randrange(10**8, 10**9)}",
        draw.choice(("TAX INVOICE", "CASH BILL", "RECEIPT", "INVOICE")),
    ]
    lines = [said["company"]] if said["company"] else []
    lines += head[:1] if draw.random() < 0.5 else []
    # An address is written over several lines.
    lines += said["address"].replace(", ", ",\n").split("\n") if said["address"] else []
    lines += _wavering(head[1:], draw)
    written = said["date"].strftime(draw.choice(_DATES)).upper() if said["date"] else None
    clock = f"{draw.randrange(8, 23):02}:{draw.randrange(60):02}"
    when = [
        f"{draw.choice(('DATE: ', 'DATE : ', 'Date ', ''))}{written} {draw.choice((clock, clock + ':07', ''))}".strip()
    ]
    when = when if written else [f"TIME {clock}"]
    other = said["date"] or datetime.date(2017, 3, 1)
    also = [f"BILL NO: {draw.randrange(10**4, 10**7)}", f"CASHIER: {draw.choice(('AMIN', 'SITI', 'LEE'))}"]
    if draw.random() < 0.15:
        also.append(f"MEMBER SINCE {(other - datetime.timedelta(900)).strftime('%d/%m/%Y')}")
    below = draw.random() < 0.2
    lines += also if below else [*when, *also] if draw.random() < 0.5 else [*also, *when]
    goods = _goods(draw, _BOUGHT)
    for name, number, price in goods:
        lines += (
            [f"{name}", f"{number} X {price} {number * price} SR"]
            if draw.random() < 0.5
            else [f"{name} {number} {number * price}"]
        )
    due = sum((number * price for _, number, price in goods), Decimal(0))
    rounded = (due * 20).quantize(Decimal(1)) / 20
    rounded = rounded.quantize(_CENT)
    tax = (due * 6 / 106).quantize(_CENT)
    if draw.random() < 0.7:
        lines += [f"SUB TOTAL: {money.format(due if draw.random() < 0.4 else due - tax)}"]
    lines += [f"GST 6%: {money.format(tax)}"] if draw.random() < 0.6 else []
    lines += [f"TOTAL QTY: {sum(number for _, number, _ in goods)}"] if draw.random() < 0.3 else []
    lines += [f"ROUNDING ADJ: {rounded - due}"] if draw.random() < 0.6 else []
    if said["total"] is not None:
        said["total"] = rounded
        lines.append(f"{draw.choice(_TOTALS)}{draw.choice((': ', ' ', ' : '))}{money.format(rounded)}")
    if draw.random() < 0.75:
        cash = rounded if draw.random() < 0.3 else Decimal(int(rounded / 10 + 1) * 10).quantize(_CENT)
        lines += [
            f"{draw.choice(('CASH', 'TUNAI', 'PAID'))} {money.format(cash)}",
            f"CHANGE: {money.format(cash - rounded)}",
        ]
    lines += when if below else []
    ends = (
        "GOODS SOLD ARE NOT RETURNABLE",
        "THANK YOU PLEASE COME AGAIN",
        f"HOTLINE 1-300-{draw.randrange(10, 99)}-4622",
    )
    if draw.random() < 0.1:
        ends = (*ends, f"PROMOTION VALID UNTIL {(other + datetime.timedelta(60)).strftime('%d/%m/%Y')}")
    return lines + _wavering(list(ends), draw)


TILLS = Family(_till, _shop, _ABSENT)

# --- bills: looked at once ------------------------------------------------------------------------
_INNS = ("Gasthof", "Hotel", "Pension", "Ristorante", "Auberge", "Taverne", "Café")
_SIGNS = ("zum Löwen", "Adler", "La Pergola", "du Lac", "Sonne", "Alte Post", "Bellevue", "Krone", "Tre Fontane")
_LEGAL = ("GmbH", "e.K.", "SAS", "S.r.l.", "AG", "", "")
_ROADS = ("Hauptstr.", "Bahnhofstraße", "Rue de la Gare", "Via Roma", "Marktplatz", "Quai du Mont")
_CITIES = ("Freiburg", "Bern", "Annecy", "Bolzano", "Lindau", "Metz", "Chur", "Konstanz")
_EATEN = ("Mineralwasser 0,5", "Tagesmenü", "Café crème", "Zimmer EZ", "Pizza Margherita", "Plat du jour", "Bier 0,3")
_SUMS = ("Summe EUR", "Gesamtbetrag", "Zu zahlen", "Total TTC", "Totale complessivo", "Endbetrag", "Montant dû")
_DAYS = ("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%Y%m%d")
_MONTHS = (
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
)


def _inn(draw: random.Random) -> tuple[str, str]:
    company = " ".join(filter(None, (draw.choice(_INNS), draw.choice(_SIGNS), draw.choice(_LEGAL))))
    code = draw.choice(("D-", "CH-", "F-", "", "")) + str(draw.randrange(1_000, 99_000))
    return company, f"{draw.choice(_ROADS)} {draw.randrange(1, 200)} - {code} {draw.choice(_CITIES)}"


def _comma(amount: Decimal) -> str:
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))


def _bill(draw: random.Random, said: Row) -> list[str]:
    day = said["date"]
    written = None
    if day:
        written = day.strftime(draw.choice(_DAYS))
        if draw.random() < 0.25:
            written = f"{day.day}. {_MONTHS[day.month - 1]} {day.year}"
    table = [
        f"Tisch {draw.randrange(1, 40)}",
        f"Bediener {draw.randrange(1, 9)}",
        f"Beleg-Nr. {draw.randrange(1_000, 99_999)}",
    ]
    table += [draw.choice(("Rechnung vom {}", "le {}", "Datum {}", "{} ")).format(written)] if written else []
    draw.shuffle(table)
    goods = _goods(draw, _EATEN)
    lines = [f"{number} x {name:<22}{_comma(number * price):>10} {draw.choice('AB')}" for name, number, price in goods]
    due = sum((number * price for _, number, price in goods), Decimal(0))
    lines += [f"Zwischensumme {_comma(due)}"] if draw.random() < 0.4 else []
    tip = Decimal(draw.randrange(0, 8)) if draw.random() < 0.2 else Decimal(0)
    lines += [f"Service {_comma(tip)}"] if tip else []
    if said["total"] is not None:
        said["total"] = due + tip
        lines.append(f"{draw.choice(_SUMS)} {draw.choice(('', 'EUR ', '€ '))}{_comma(due + tip)}")
    lines += (
        [f"MwSt 19% {_comma(due / Decimal('1.19'))} {_comma(due - due / Decimal('1.19'))}"]
        if draw.random() < 0.7
        else []
    )
    lines += [
        draw.choice(
            (f"Kartenzahlung {_comma(due + tip)}", f"Bar {_comma((due + tip) // 10 * 10 + 10)}", "Carte bancaire")
        )
    ]
    place = [said["address"]] if said["address"] else []
    foot = [
        f"Tel. +49 {draw.randrange(100, 999)} {draw.randrange(10_000, 99_999)}",
        f"USt-IdNr. DE{draw.randrange(10**8, 10**9)}",
    ]
    head = [said["company"]] if said["company"] else []
    whole = [*table, *lines]
    if draw.random() < 0.3:
        return [*whole, "Vielen Dank für Ihren Besuch", *head, *place, *foot]
    return [*head, *place, *foot, *whole, "Merci de votre visite"]


BILLS = Family(_bill, _inn, {"company": 0.02, "address": 0.1, "date": 0.06, "total": 0.02})
