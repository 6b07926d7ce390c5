"""What the CLDR says about how dates, numbers and times are written is what the search for them can read."""

import datetime
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from babel.dates import format_date, format_time
from babel.numbers import format_compact_decimal, format_currency, format_decimal
from hypothesis import given
from hypothesis import strategies as st
from tried_examples import examples

from pipeline.label_errors.grounding import Source

LOCALES = [
    *("en", "en_US", "en_GB", "en_IN", "en_CA", "de", "de_CH", "de_AT", "fr", "fr_CA", "fr_CH", "es", "es_MX"),
    *("es_AR", "pt", "pt_PT", "it", "pl", "nl", "ja", "zh", "zh_Hant", "ko", "ru", "sv", "da", "nb", "nn", "fi"),
    *("cs", "sk", "hu", "ro", "bg", "el", "tr", "uk", "ar", "ar_EG", "he", "hi", "bn", "ta", "te", "mr", "gu"),
    *("kn", "ml", "pa", "ur", "fa", "th", "vi", "id", "ms", "ca", "gl", "hr", "sr", "sr_Latn", "bs", "sl", "lt"),
    *("lv", "et", "is", "cy", "mk", "sq", "ka", "hy", "az", "kk", "uz", "ky", "km", "lo", "my", "si", "ne", "am"),
    *("sw", "af", "zu", "fil", "lb", "yue", "be"),
]
TWO_DIGIT_YEAR_FIRST = {"ko", "ne"}
"""26. 5. 3. may as well be the 26th of May; where the year has two digits, it is expected last."""
SCALE_BEFORE_THE_NUMBER = {"my", "si", "sw", "zu"}
"""milioni 2: in English, that would be a word and the number after it."""
ANOTHER_SCALE = {"ne"}
"""The CLDR takes a crore for a million there, and elsewhere for ten."""
HOURS_WITH_A_FULL_STOP = {"da", "fi", "id"}
"""10.30 is a time only beside a word for the clock, as in kl. 10.30."""
OTHER_NAMES_OF_DAY_PARTS = {"ms", "sw", "af", "zu"}
ROUND_THE_CLOCK = st.times().map(lambda time: time.replace(microsecond=0))
DAYS = st.dates(datetime.date(1950, 1, 1), datetime.date(2049, 12, 31))
CENTS = st.integers(-(10**10), 10**10)


@examples(300)
@given(DAYS, st.sampled_from(LOCALES), st.sampled_from(["full", "long", "medium", "short"]))
def test_a_date_is_found_as_it_is_written_in_every_locale_of_the_list(
    day: datetime.date, locale: str, width: Literal["full", "long", "medium", "short"]
) -> None:
    text = f"Ref. 7: {format_date(day, width, locale=locale)}"
    source = Source(text)
    assert source.holds_date(day.isoformat()) or (width == "short" and locale in TWO_DIGIT_YEAR_FIRST), text
    assert not source.holds_date((day + datetime.timedelta(days=37 * 365 + 11)).isoformat()), text


@examples(300)
@given(CENTS, st.sampled_from(LOCALES))
def test_a_number_is_found_as_it_is_written_in_every_locale_of_the_list(cents: int, locale: str) -> None:
    written = format_decimal(cents / 100, locale=locale)
    priced = format_currency(cents / 100, "EUR", locale=locale)
    for text in (f"x: {written}", f"x: {priced}"):
        assert Source(text).holds_number(cents / 100), text
        assert Source(text).holds_decimal(str(Decimal(cents).scaleb(-2))), text
        assert not Source(text).holds_number(cents / 100 + 1234567.25), text


@examples(300)
@given(st.integers(2, 999), st.integers(3, 9), st.sampled_from(LOCALES))
def test_a_round_number_is_found_with_the_word_for_its_scale(digits: int, zeros: int, locale: str) -> None:
    number = digits * 10**zeros
    text = format_compact_decimal(number, format_type="long", locale=locale, fraction_digits=2)
    assert Source(text).holds_number(number) or locale in SCALE_BEFORE_THE_NUMBER, text
    assert not Source(text).holds_number(number * 10) or locale in ANOTHER_SCALE, text


@examples(300)
@given(ROUND_THE_CLOCK, st.sampled_from(LOCALES))
def test_a_time_is_found_as_it_is_written_in_every_locale_of_the_list(time: datetime.time, locale: str) -> None:
    text = format_time(time, "medium", locale=locale)
    if locale in HOURS_WITH_A_FULL_STOP:
        text = f"kl. {text}"
    source = Source(text)
    assert source.holds_time(time.isoformat()) or locale in OTHER_NAMES_OF_DAY_PARTS, text
    assert not source.holds_time(time.replace(minute=(time.minute + 1) % 60).isoformat()), text


@pytest.mark.parametrize("locale", [locale for locale in LOCALES if locale not in OTHER_NAMES_OF_DAY_PARTS])
def test_morning_and_afternoon_are_told_apart(locale: str) -> None:
    for time in (datetime.time(3, 40), datetime.time(15, 40)):
        other = time.replace(hour=(time.hour + 12) % 24)
        assert not Source(format_time(time, "medium", locale=locale)).holds_time(other.isoformat())


def test_the_words_of_all_languages_are_read_once_and_babel_keeps_none_of_them() -> None:
    code = (
        "from babel import localedata; from pipeline.label_errors.locale_words import locale_words; "
        "assert locale_words() is locale_words(); assert len(locale_words().months) > 4000; "
        "assert locale_words().months['mai'] == {5}; assert not localedata._cache"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
