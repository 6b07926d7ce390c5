"""An empty field is doubted by how often such a text has a value: dates and amounts like texts."""

import datetime
import random
from decimal import Decimal
from typing import Any

import pytest
from scored_rows import score_values

from pipeline.label_errors.extractions import Extracted, ValueScore, judge_values, learn_values
from pipeline.label_errors.span_tokens import read_tokens, written
from pipeline.label_errors.value_words import ValueFinder, is_misread
from schemas.fate import ReasonCode
from schemas.field import TargetField, ValueType, canonical
from schemas.field_values import Leaf

FIELDS = [
    TargetField(name="shop", type=ValueType.TEXT, optional=True),
    TargetField(name="date", type=ValueType.DATE, optional=True),
    TargetField(name="total", type=ValueType.DECIMAL, optional=True),
]
Row = tuple[str, dict[str, Any]]
SAYS_NONE, DROPPED = range(0, 400, 20), range(5, 400, 40)


def slips(seed: int = 4) -> list[Row]:
    """Receipts with several amounts; some say no date or no total, though they have other numbers."""
    draw, rows = random.Random(seed), []
    for number in range(400):
        shop = f"{draw.choice(('Ada', 'Bo', 'Cleo', 'Dov'))} {draw.choice(('Books', 'Tools', 'Bakery'))}"
        day = datetime.date(2024, 1, 1) + datetime.timedelta(draw.randrange(600))
        parts = [Decimal(draw.randrange(100, 9_000)) / 100 for _ in range(draw.randrange(2, 5))]
        total, cash = sum(parts), int(sum(parts)) // 10 * 10 + 10
        lines = [shop, f"TEL 03-{draw.randrange(10**6, 10**7)}", f"BILL {draw.randrange(10**4, 10**5)}"]
        written = day.strftime(draw.choice(("%d/%m/%Y", "%d-%m-%y", "%d %b %Y", "%d-%b-%y")))
        has_date, has_total = number not in SAYS_NONE[::2], number not in SAYS_NONE[1::2]
        lines += [f"DATE: {written} 10:{draw.randrange(10, 60)}"] if has_date else []
        lines += [f"{draw.choice(('pen', 'glue', 'bread'))} {part}" for part in parts]
        lines += [f"SUB TOTAL {total - Decimal('0.31')}"] if draw.random() < 0.5 else []
        lines += [f"{draw.choice(('TOTAL PAYABLE: ', 'TOTAL RM', 'NET TOTAL '))}{total}"] if has_total else []
        lines += [f"CASH {cash}.00", f"CHANGE {cash - total}"]
        given = {
            "date": day.isoformat() if has_date else None,
            "total": canonical(FIELDS[2], str(total)) if has_total else None,
        }
        rows.append(("\n".join(lines), {"shop": shop, **given}))
    return rows


def scored(rows: list[Row]) -> list[ValueScore]:
    return score_values([Extracted(text, values, str(at)) for at, (text, values) in enumerate(rows)], FIELDS).rows


def test_a_dropped_date_or_total_scores_high_and_one_that_the_text_does_not_say_does_not() -> None:
    for field in ("date", "total"):
        right = slips()
        rows = [(text, {**values, field: None} if at in DROPPED else values) for at, (text, values) in enumerate(right)]
        found = scored(rows)
        scores = [row.score or 0 for row in found]
        assert min(scores[at] for at in DROPPED) > 0.5
        assert max(scores[at] for at in range(400) if at not in DROPPED) < 0.1
        for at in DROPPED:
            (reason,) = found[at].reasons
            assert (reason.code, reason.field) == (ReasonCode.LABEL_ERROR, field)
            assert reason.detail.startswith("the text has '") and reason.detail.endswith("', but the field is empty")
            # 05/03/2024 and 24-Mar-24 may be other days, so no day is suggested for them.
            assert found[at].suggestion in (None, right[at][1])
        assert field == "date" or all(found[at].suggestion for at in DROPPED)


def test_right_dates_and_totals_are_not_doubted_and_an_unreadable_text_counts_less_than_another_value() -> None:
    rows = slips()
    assert not any(row.reasons for row in scored(rows))
    text, values = rows[7]
    total = values["total"]
    smudged = (text.replace(total, total.replace("1", "l").replace("0", "O").replace("5", "S")), values)
    other = (text, {**values, "total": str(Decimal(total) + 300)})
    assert smudged[0] != text
    scores = [scored([*rows[:7], row, *rows[8:]])[7].score or 0 for row in (smudged, other)]
    assert 0.1 < scores[0] < 0.6 and scores[1] > 0.9


def test_later_rows_are_judged_by_what_was_kept_of_those_that_have_a_total() -> None:
    rows = [Extracted(text, values, str(at)) for at, (text, values) in enumerate(slips())]
    _, kept = learn_values(rows[:300], FIELDS, 17)
    later = [Extracted(row.text, {**(row.values or {}), "total": None}, row.group) for row in rows[300:]]
    right, dropped = (judge_values(some, FIELDS, kept).rows for some in (rows[300:], later))
    assert max(row.score or 0 for row in right) < 0.1
    without = [at for at, row in enumerate(dropped, 300) if (row.score or 0) < 0.5]
    assert without == [at for at in SAYS_NONE[1::2] if at >= 300], "their texts say none"


@pytest.mark.parametrize(
    ("type", "value", "text", "parts"),
    [
        (ValueType.DECIMAL, "1234.5", "order 2, paid 1.234,50 of RM1,234.50", ["1.234,50", "RM1,234.50"]),
        (ValueType.DECIMAL, "2.5", "2 50 at 12.50 or 2.505, not 1,2.50", []),
        (ValueType.DECIMAL, "1200000", "a loss of 1.2 million", ["1.2 million"]),
        (ValueType.INTEGER, 12, "twelve boxes", ["twelve"]),
        (
            ValueType.DATE,
            "2026-03-05",
            "05/03/26 or 5-MAR-2026 or March 5th, 2026",
            ["05/03/26", "5-MAR-2026", "March 5th, 2026"],
        ),
        (ValueType.DATE, "2026-05-01", "el 1 de mayo de 2026", ["1 de mayo de 2026"]),
        (ValueType.DATETIME, "2026-03-12T17:15:00", "on 2026-03-12T17:15:00Z", ["2026-03-12T17:15:00Z"]),
        (
            ValueType.DATETIME,
            "2026-03-12T17:15:00",
            "12.3.2026, 5:15pm; before 12.3.2026",
            ["12.3.2026, 5:15pm", "12.3.2026"],
        ),
        (ValueType.TIME, "17:15:00", "from 17:15:00 to 18:00", ["17:15:00"]),
        (ValueType.TIME, "17:15:00", "at 5:15", []),
        (ValueType.DATE, "2116-03-05", "on 05.03.16", []),
        (ValueType.DATE, "2026-03-05", "on 03.05.2026, day first", []),
    ],
)
def test_a_value_is_placed_wherever_it_stands_however_it_is_written(
    type: ValueType, value: Any, text: str, parts: list[str]
) -> None:
    leaf = Leaf("x", TargetField(name="x", type=type), value)
    found = ValueFinder([text], read_tokens([text])).find(0, leaf)
    assert sorted(written(text, *place) for place in found) == sorted(parts)


def test_a_text_that_a_machine_misread_is_told_from_another_value() -> None:
    def misread(type: ValueType, value: str, text: str) -> bool:
        return is_misread(text, Leaf("x", TargetField(name="x", type=type), value))

    assert misread(ValueType.TEXT, "Book Store", "B0OK 5TORE") and not misread(
        ValueType.TEXT, "Book Store", "LOOK STORE"
    )
    assert misread(ValueType.DECIMAL, "154.96", "lS4.9G") and not misread(ValueType.DECIMAL, "154.96", "155.96")
    assert misread(ValueType.DATE, "2017-09-08", "0B-SEP-17") and not misread(ValueType.DATE, "2017-09-08", "03-SEP-17")
