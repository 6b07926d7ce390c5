"""Dates, numbers and times are found in the language of their text, and nothing is found that it does not say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.label_errors.grounding import Source, ungrounded
from schemas.field import TargetField, ValueType
from schemas.field_values import Leaf

LISTS = Path(__file__).parent / "benchmarks" / "values_in_texts"
AMBIGUOUS = {
    "part of an identifier": "an order number may be the value that is asked for",
    "digits of an identifier": "the same",
    "part of a phone number": "the same",
    "version number": "nobody can tell it from a date",
    "separator misread": "1,234 is a decimal number in half of the world",
    "day and month swapped, numeric": "unless the language is certain, both orders are in use",
    "h-pl-5": "listopad is October in Croatian and November in Polish",
}
"""Why a few values that are not meant are found all the same."""


def says_date(text: str, value: str) -> bool:
    return not ungrounded(text, [Leaf("x", TargetField(name="x", type=ValueType.DATE), value)])


def says_number(text: str, value: float) -> bool:
    return not ungrounded(text, [Leaf("x", TargetField(name="x", type=ValueType.NUMBER), value)])


# --- dates ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "The lease begins on 3 May 2026.",
        "Der Vertrag beginnt am 3. Mai 2026.",
        "Le contrat prend effet le 3 mai 2026.",
        "El contrato entra en vigor el 3 de mayo de 2026.",
        "O contrato começa em 3 de maio de 2026.",
        "Il contratto decorre dal 3 maggio 2026.",
        "Umowa obowiązuje od 3 maja 2026 r.",
        "De overeenkomst gaat in op 3 mei 2026.",
        "契約は2026年5月3日に始まる。",
        "合同自二〇二六年五月三日起生效。",
        "계약은 2026년 5월 3일에 시작한다.",
        "令和8年5月3日",
        "Договор действует с 3 мая 2026 года.",
        "Avtalet gäller från den 3 maj 2026.",
        "Aftalen gælder fra den 3. maj 2026.",
        "Sopimus alkaa 3. toukokuuta 2026.",
        "Smlouva začíná 3. května 2026.",
        "A szerződés 2026. május 3-án kezdődik.",
        "Sözleşme 3 Mayıs 2026'da başlar.",
        "Η σύμβαση αρχίζει στις 3 Μαΐου 2026.",
        "يبدأ العقد في 3 مايو 2026",
        "يبدأ العقد في ٣ مايو ٢٠٢٦",
        "החוזה מתחיל ב-3 במאי 2026",
        "अनुबंध 3 मई 2026 से लागू होगा",
        "สัญญาเริ่ม 3 พฤษภาคม 2026",
        "สัญญาเริ่ม 3 พ.ค. 2026",
        "Hợp đồng bắt đầu ngày 3 tháng 5 năm 2026",
        "Perjanjian dimulai 3 Mei 2026",
    ],
)
def test_a_date_is_found_in_the_language_of_its_text(text: str) -> None:
    assert says_date(text, "2026-05-03")
    assert not says_date(text, "2026-05-04")
    assert not says_date(text, "2026-06-03")
    assert not says_date(text, "2025-05-03")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("the fifteenth of April 2026", "2026-04-15"),
        ("le premier juillet 2026 dans la ville", "2026-07-01"),
        ("il 1° luglio 2026", "2026-07-01"),
        ("1º de julho de 2026", "2026-07-01"),
        ("le 1er juillet 2026", "2026-07-01"),
        ("1-\u0433\u043e июля 2026", "2026-07-01"),
        ("H30.4.1", "2018-04-01"),
        ("am ersten Juli 2026 ist der Vertrag zu Ende", "2026-07-01"),
        ("from June 28 to July 2, 2026", "2026-06-28"),
        ("5-8 May 2026", "2026-05-05"),
        ("3 and 12 May 2026", "2026-05-03"),
        ("vom 12.07. bis 26.07.2026", "2026-07-12"),
        ("12.-26.07.2026", "2026-07-12"),
        ("2026年5月3日から7日まで", "2026-05-07"),
        ("21-Aug-26", "2026-08-21"),
        ("20260503T103000", "2026-05-03"),
        ("13.05.2026", "2026-05-13"),
        ("05.13.2026", "2026-05-13"),
    ],
)
def test_days_in_words_and_in_spans_are_found(text: str, value: str) -> None:
    assert says_date(text, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It ended in 2025. May 5, 2026 is a holiday.", "2025-05-05"),
        ("May 5-8, 2026", "2008-05-05"),
        ("from 5 May to 8 May 2026", "2008-05-05"),
        ("May 2026 had 5 rainy days", "2026-05-05"),
        ("you may order 5; 2026 is the year", "2026-05-05"),
        ("order INV-20260503", "2026-05-03"),
        ("参加者は四十八名", "2026-04-08"),
        ("3 pieces in maroon, 2026", "2026-03-03"),
    ],
)
def test_numbers_beside_a_month_are_not_put_together_to_a_date(text: str, value: str) -> None:
    assert not says_date(text, value)


def test_with_full_stops_the_day_comes_first() -> None:
    assert says_date("due on 05.03.2026", "2026-03-05")
    assert not says_date("due on 05.03.2026", "2026-05-03")


def test_with_slashes_both_orders_count_unless_the_language_puts_the_day_first() -> None:
    assert says_date("due on 05/03/2026", "2026-03-05")
    assert says_date("due on 05/03/2026", "2026-05-03")
    french = "À payer avant le 05/03/2026 pour la livraison."
    assert says_date(french, "2026-03-05")
    assert not says_date(french, "2026-05-03")
    assert says_date("À payer avant le 05/13/2026 pour la livraison.", "2026-05-13")


# --- numbers ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$2.5 million", 2.5e6),
        ("2,5 Millionen Euro", 2.5e6),
        ("2,5 Mio. Euro", 2.5e6),
        ("2,5 millions d'euros", 2.5e6),
        ("2,5 millones de euros", 2.5e6),
        ("2,5 milhões de reais", 2.5e6),
        ("2,5 milioni di euro", 2.5e6),
        ("2,5 mln zł", 2.5e6),
        ("2,5 miljoen euro", 2.5e6),
        ("2,5 миллиона рублей", 2.5e6),
        ("2,5 miljoner kronor", 2.5e6),
        ("2,5 milyon TL", 2.5e6),
        ("12 mil millones de pesos", 12e9),
        ("45 de milioane de lei", 45e6),
        ("12.5 लाख रुपये", 1.25e6),
        ("3億5,000万円", 3.5e8),
        ("三億五千万円", 3.5e8),
        ("3500万元", 3.5e7),
        ("3억 5천만 원", 3.5e8),
        ("£3b", 3e9),
        ("15 Prozent", 0.15),
        ("15 pour cent", 0.15),
        ("١٬٢٤٩٫٥٠ درهم", 1249.5),
        ("1’249.50 Franken", 1249.5),
        ("12€50", 12.5),
    ],
)
def test_a_number_is_found_with_the_scale_and_separators_of_its_language(text: str, value: float) -> None:
    assert says_number(text, value)
    assert not says_number(text, value * 10)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Twenty-four chairs", 24),
        ("fifteen hundred guests", 1500),
        ("Wir haben vierundzwanzig Stühle für den Saal", 24),
        ("les quatre-vingt-dix-neuf chaises de la salle", 99),
        ("las veintiuna mesas y los veintiún bancos", 21),
        ("os vinte e quatro bancos da sala", 24),
        ("ventiquattro sedie per la sala e il salone", 24),
        ("de vierentwintig stoelen van het huis", 24),
        ("og det er femogtredive af dem", 35),
        ("共有一百二十八名员工", 128),
        ("二十四脚の椅子", 24),
    ],
)
def test_a_number_in_words_is_found_in_nine_languages(text: str, value: float) -> None:
    assert says_number(text, value)
    assert not says_number(text, value + 1)
    assert not says_number(text, value % 10 or value // 100)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("the first row", 1),
        ("a second copy", 2),
        ("the invoice is due", 2),
        ("invoice due", 2),
        ("参加者", 3),
        ("万一の場合", 10000),
        ("room 5, million views", 5e9),
        ("3 to 5 boxes", 3.5),
        ("1,2,3", 123),
        ("twenty-five", 20),
        ("1 250 étiquettes pour le client", 1.25),
    ],
)
def test_a_word_that_is_no_number_here_is_not_read_as_one(text: str, value: float) -> None:
    assert not says_number(text, value)


def test_an_integer_must_match_to_the_last_digit() -> None:
    field = TargetField(name="x", type=ValueType.INTEGER)
    assert ungrounded("no. 9007199254740993", [Leaf("x", field, 9007199254740993)]) == []
    assert ungrounded("no. 9007199254740993", [Leaf("x", field, 9007199254740992)]) != []


def test_a_decimal_must_match_to_the_last_digit() -> None:
    source = Source("Summe: 1.249,50 EUR, zuzüglich 12.345.678.901.234.567,89 Cent, also 2,5 Mio.")
    assert source.holds_decimal("1249.5")
    assert source.holds_decimal("1249.50")
    assert source.holds_decimal("-1249.5")
    assert source.holds_decimal("12345678901234567.89")
    assert source.holds_decimal("2500000")
    assert not source.holds_decimal("12345678901234567.88")
    assert not source.holds_decimal("1249.51")
    assert not source.holds_decimal("no decimal")
    assert not source.holds_decimal("NaN")


# --- times ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("at 10:30 sharp", "10:30:00"),
        ("at 9:05", "09:05:00"),
        ("at 10:30:15", "10:30:15"),
        ("at 10:30:15.25", "10:30:15.250000"),
        ("2026-05-03T10:30:00Z", "10:30:00"),
        ("at 10:30 am", "10:30:00"),
        ("at 10:30 pm", "22:30:00"),
        ("at 10.30 p.m.", "22:30:00"),
        ("by 10pm", "22:00:00"),
        ("at 12:15 am", "00:15:00"),
        ("at 12:15 pm", "12:15:00"),
        ("at 7:45 in the evening", "19:45:00"),
        ("from 2-4 pm", "14:00:00"),
        ("from 9:30 to 10:30 pm", "21:30:00"),
        ("at noon", "12:00:00"),
        ("at midnight", "00:00:00"),
        ("um 10.30 Uhr", "10:30:00"),
        ("um 10 Uhr", "10:00:00"),
        ("um 10 Uhr 30", "10:30:00"),
        ("um 3 Uhr nachmittags", "15:00:00"),
        ("à 10h30.", "10:30:00"),
        ("à 18 h", "18:00:00"),
        ("a las 7:45 de la tarde", "19:45:00"),
        ("a las 9:15 a. m.", "09:15:00"),
        ("às 20h15.", "20:15:00"),
        ("alle ore 18.30", "18:30:00"),
        ("o godz. 14.45", "14:45:00"),
        ("om 9.30 uur", "09:30:00"),
        ("kl. 8.30", "08:30:00"),
        ("klo 16.20", "16:20:00"),
        ("v 10.30 hodin", "10:30:00"),
        ("в 18:15", "18:15:00"),
        ("στις 9:15 μ.μ.", "21:15:00"),
        ("الساعة 3:30 م", "15:30:00"),
        ("午後3時半", "15:30:00"),
        ("午前十時三十分", "10:30:00"),
        ("下午3点30分", "15:30:00"),
        ("오후 2시 30분", "14:30:00"),
        ("closes at 24:00", "00:00:00"),
    ],
)
def test_a_time_is_found_in_every_way_of_writing(text: str, value: str) -> None:
    assert Source(text).holds_time(value)
    assert Source(text).holds_time(f"{value}+02:00")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("at 10:30 pm", "10:30:00"),
        ("at 10:30 am", "22:30:00"),
        ("at 10:30", "22:30:00"),
        ("at 10:30", "10:00:00"),
        ("at 10:30", "10:30:15"),
        ("for 10.30 EUR", "10:30:00"),
        ("10 boxes", "10:00:00"),
        ("10時間", "10:00:00"),
        ("10시간", "10:00:00"),
        ("at 25:10", "01:10:00"),
        ("at 10:75", "11:15:00"),
        ("10:30:45:60:10:30", "10:30:00"),
        ("午後3時半", "03:30:00"),
        ("afternoon", "12:00:00"),
        ("at 10:30", "half past ten"),
    ],
)
def test_a_time_that_the_text_does_not_say_is_not_found(text: str, value: str) -> None:
    assert not Source(text).holds_time(value)


def test_a_moment_needs_its_day_and_its_time() -> None:
    source = Source("The alarm was raised on 3 May 2026 at 4.05 p.m. by a guard.")
    assert source.holds_datetime("2026-05-03T16:05:00")
    assert not source.holds_datetime("2026-05-03T04:05:00")
    assert not source.holds_datetime("2026-05-04T16:05:00")
    assert not source.holds_datetime("3 May 2026")


def test_midnight_may_stand_for_a_day_without_a_time() -> None:
    assert Source("valid until May 3, 2026").holds_datetime("2026-05-03T00:00:00")
    assert not Source("valid until May 3, 2026").holds_datetime("2026-05-03T10:00:00")


# --- all of it --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["first", "held_out", "exam", "fresh", "final"])
def test_every_value_of_the_authored_lists_is_found_and_hardly_any_that_their_texts_do_not_say(name: str) -> None:
    for line in (LISTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        source, value = Source(item["text"]), item["value"]
        ways = {"date": source.holds_date, "time": source.holds_time, "datetime": source.holds_datetime}
        found = ways.get(item["kind"], source.holds_decimal)(value)
        excused = not item["positive"] and not {item["tag"], item["id"]}.isdisjoint(AMBIGUOUS)
        assert found == item["positive"] or excused, item


SIGNS = "0123456789.,-/:' \u00a0\u202f年月日時分〇一二三十百千万億兆壱参元令和平成억만천RrHh\u0301é€%١٣ก.ค"
WORDS = ["may ", "marzo ", "märz ", "de ", "to ", "bis ", "twenty ", "hundred ", "veintiún ", "pm ", "2026 ", "uhr"]


@given(st.lists(st.sampled_from([*SIGNS, *WORDS]), max_size=80).map("".join))
def test_no_text_stops_the_search(text: str) -> None:
    source = Source(text)
    source.holds_date("1900-01-01")
    source.holds_number(-0.123)
    source.holds_datetime("1900-01-01T11:59:59")
    source.holds_time("11:59:59")


@pytest.mark.parametrize(
    "text",
    ["7" * 100_000, "1,234," * 20_000, "1-" * 50_000, "12 " * 30_000, "一" * 50_000, "may 5 " * 15_000, "é" * 99_999],
)
def test_long_and_odd_texts_say_nothing(text: str) -> None:
    source = Source(text)
    assert not source.holds_date("1900-01-01")
    assert not source.holds_number(-0.123)
    assert not source.holds_time("11:59:59")


def test_a_text_whose_values_are_in_digits_needs_no_library() -> None:
    """Otherwise, every start of the program would wait for the words of all languages."""
    code = (
        "import sys; from pipeline.label_errors.grounding import Source; "
        "assert Source('1.249,50 EUR on 2026-05-03').holds_date('2026-05-03'); "
        "assert Source('1.249,50 EUR on 2026-05-03').holds_number(1249.5); "
        "assert not {'babel', 'kanjize', 'text_to_num'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
