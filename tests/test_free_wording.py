"""Two wordings that differ only in case, whitespace and punctuation are the same one; what says something counts."""

import pytest

from pipeline.text.free_wording import wording

LATE = "The parcel is late; the customer asks when it will come."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LATE, "The parcel is late. The customer asks when it will come."),
        (LATE, "the parcel  is late\n\nThe customer asks, when it will come"),
        (LATE, "The parcel is late \N{EM DASH} the customer asks when it will come!"),
        (LATE, "The parcel is late;the customer (asks) when it will come..."),
        ("He said \"no\".", "He said \N{LEFT DOUBLE QUOTATION MARK}No\N{RIGHT DOUBLE QUOTATION MARK}"),
        ("It doesn't work.", "It doesn\N{RIGHT SINGLE QUOTATION MARK}t work"),
        ("It cannot be sent.", "It can not be sent"),
        ("An e-mail every day", "An email everyday."),
        ("Two items: a lamp, a box", "Two items - a lamp and a box".replace(" and", ",")),
        ("He paid 5.", "He paid 5"),
        ("\"5 lamps\"", "5 lamps"),
        ("on 3 May, 5 lamps", "on 3 May 5 lamps"),
        ("See above (page 5).", "See above, page 5"),
        ("很好，谢谢。", "很好 谢谢"),
        ("Straße gesperrt", "STRASSE GESPERRT!"),
        ("¿Dónde está?", "dónde está"),
        ("Cafe\u0301", "Café"),
    ],
)  # fmt: skip
def test_case_whitespace_and_punctuation_make_no_other_wording(one: str, other: str) -> None:
    assert wording(one) == wording(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It is late.", "It was late."),
        ("It is late.", "It is not late."),
        ("not able", "notable"),
        ("It does work", "It doesn't work"),
        ("no where", "where"),
        ("We're late", "Were late"),
        ("5 lamps", "6 lamps"),
        ("1.5 kg", "15 kg"),
        ("1 5", "15"),
        ("1  5", "15"),
        ("10², at most", "102, at most"),
        ("-5 degrees", "5 degrees"),
        ("10 - 5", "10 5"),
        ("3-5 days", "35 days"),
        ("10:30", "1030"),
        ("50% off", "50 off"),
        ("5 €", "5 $"),
        ("(5)", "5"),
        ("5!", "5"),
        ("5'", '5"'),
        ("C# is used", "C is used"),
        ("a and/or b", "a and or b"),
        ("Thanks :)", "Thanks :("),
        ("Thanks 👍", "Thanks"),
        ("不好", "好"),
        ("résumé", "resume"),
    ],
)
def test_what_says_something_else_is_another_wording(one: str, other: str) -> None:
    assert wording(one) != wording(other)
