"""Screening finds what should not be trained on, shows it masked, and lets ordinary text pass."""

import json
import re
import sys

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaks import OTHER_FORMS, SECRETS

from pipeline.text.screening import Finding, masked, personal_values, screen, suspects
from schemas.dataset import Action, Screen
from schemas.fate import ReasonCode

CONFIG = Screen()


def found(text: str, config: Screen = CONFIG) -> list[str]:
    return [finding.reason.detail for finding in screen({"text": text}, config)]


def kinds(text: str, config: Screen = CONFIG) -> list[str]:
    """The findings' kinds, without the masked values."""
    return [detail.rsplit(" ", 1)[0] for detail in found(text, config)]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("mail jane.doe+x@mail.co.uk.", "e-mail address ja…uk"),
        ("<o'neil@müller.example>", "e-mail address o'…le"),
        ("call (415) 555-2671 now", "phone number (4…71"),
        ("on +1 415 555 2671", "phone number +1…71"),
        ("ring +41 44 668 18 00", "phone number +4…00"),
        ("020 7946 0958", "phone number 02…58"),
        ("my number is 4155552671", "phone number 41…71"),
        ("07911123456", "phone number 07…56"),
        ("card 4111 1111 1111 1111", "card number 41…11"),
        ("4111-1111-1111-1111, please", "card number 41…11"),
        ("Amex 378282246310005", "card number 37…05"),
        ("2223003122003222", "card number 22…22"),
        ("pay GB82 WEST 1234 5698 7654 32 today", "IBAN GB…32"),
        ("DE89370400440532013000", "IBAN DE…00"),
        ("\u90ae\u7bb1me@example.com\u6216\u8005" + "\u6253\u7535\u8bdd" * 9, "e-mail address \u90ae\u7bb1…om"),
        ("\u5361\u53f74111 1111 1111 1111\u5230\u671f", "card number 41…11"),
    ],
)
def test_personal_data_goes_to_review_and_is_shown_masked(text: str, detail: str) -> None:
    (finding,) = screen({"question": text}, CONFIG)
    assert finding.action is Action.REVIEW
    assert (finding.reason.code, finding.reason.field) == (ReasonCode.PERSONAL_DATA, "question")
    assert finding.reason.detail == detail


@pytest.mark.parametrize("address", ["me@example.com", "me@firma.xn--p1ai", "me@firma.XN--P1AI"])
def test_an_e_mail_address_is_found_whatever_follows(address: str) -> None:
    for end in ("", "-", "_", ".", "-or call", "_2024", "'s", ">"):
        assert kinds(f"Write to {address}{end}") == ["e-mail address"], end


@pytest.mark.parametrize(
    "iban",
    [
        "AT61 1904 3002 3457 3201",
        "BE68 5390 0754 7034",
        "ES91 2100 0418 4502 0005 1332",
        "DE89 3704 0044 0532 0130 00",
        "GB82 WEST 1234 5698 7654 32",
        "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
        "GE29 NB00 0000 0101 9049 17",
        "IT60 X 05428 11101 000000123456",
        "FR14 20041 01005 0500013M026 06",
    ],
)
@pytest.mark.parametrize("gap", [" ", "", "-", ".", "\xa0", "  "])
def test_an_iban_is_found_in_any_spelling_and_whatever_follows(iban: str, gap: str) -> None:
    value = iban.replace(" ", gap)
    for end in (".", " BIC BKAUATWW", " 100", "-2024 EUR"):
        assert found(f"pay {value}{end}") == [f"IBAN {iban[:2]}…{iban[-2:]}"]
        assert found(f"pay {value.lower()}{end}") == [f"IBAN {iban[:2].lower()}…{iban[-2:].lower()}"]


def test_an_iban_of_a_bank_that_is_in_no_list_is_found() -> None:
    assert kinds("BE83138811735115") == ["IBAN"]


@pytest.mark.parametrize("start", ["", "2 ", "Visa,", "No.", "05/03/2024 ", "2024 "])
@pytest.mark.parametrize(
    "card",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "4111  1111  1111  1111",
        "4111\xa01111\xa01111\xa01111",
        "4111 - 1111 - 1111 - 1111",
        "4111111111111111",
        "3782 822463 10005",
    ],
)
def test_a_card_number_is_found_whatever_figures_surround_it(start: str, card: str) -> None:
    for end in ("", " 123", " 1227 123", " 12/27", "/1227", "-123", ",12/27", "."):
        assert kinds(f"{start}{card}{end}") == ["card number"], end


def test_two_card_numbers_in_a_row_are_both_found() -> None:
    assert found("4111 1111 1111 1111 5500 0000 0000 0004") == ["card number 41…11 and 1 more"]


@pytest.mark.parametrize(
    "text",
    [
        "Section 10.12.3.4.5 applies from 12/31/2010 to 01/01/2012.",
        "The years 2015 2016 2017 2018, 2005 - 2009 and 2010-06-30.",
        "a fee of $2,500,000.00 or 4.047.000.000 pesos",
        "order 4155552671 of file 0001193125-10-123456",
        "ISBN 978-0-306-40615-7, UPC 012345678905",
        "id 550e8400-e29b-41d4-a716-446655440000 at 1719834000123",
        "host 192.168.100.200, pi 3.14159265358979, 40.7127753, -74.0059728",
        "card 4111 1111 1111 1112 and 0000 0000 0000 0000",
        "GB83 WEST 1234 5698 7654 32",
        "AT61 1904 3002 3457 3202 BIC BKAUATWW",
        "GT40 cars, the best ever made in Europe",
        "0.4111111111111111, 0,4111111111111111, 4111111111111111.5 and 1.4111 1111 1111 1111",
        "2024-05-03T12:34:56.4111111111111111Z and 20240503123456",
        "versions 4.1111.1111.1111 and 4111.1111.1111, hosts 41.111.111.111 and 111.111.111.111",
        "parcels 9400 1112 0255 5411 1111 11 and 9400111202555411111111, 1Z9999999999999999",
        "orders 41111111111111111111111, 404-1234567-1234567, status/4111111111111111, A-4111111111111111",
        "4111111111111111/photos, 4111111111111111-a and v4111111111111111",
        "4100 4200 4300 4400 4500 4600 4700 4800 4900",
        "550e8400-4111-4111-8111-111111111111",
        "W = A@other.data_type and '@registry.mapped_as'",
        "Excite@Home and @user",
        "THE ACCEPTANCE OF AWS AND ASK-US SHALL NON-USE",
        "see https://example.com/a:b and x@y",
        "eyJhbGciOiJIUzI1NiJ9.notjsonatallbutlong.x",
        "aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY'], see https://example.com/?sig=abc&x=1",
        "sk-learn-the-whole-truth-about-openai, T3BlbkFJ and https://hooks.slack.com/services/TOKEN_A/TOKEN_B/TOKEN_C",
        "List<String> [INSTALL] <|> <s0> a<b [1] <omitted>",
        "",
    ],
)
def test_ordinary_text_passes(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(("kind", "secret"), [*SECRETS.items(), *OTHER_FORMS])
def test_secrets_go_to_review_and_are_never_shown(kind: str, secret: str) -> None:
    (finding,) = screen({"text": f"use {secret} here"}, CONFIG)
    assert (finding.reason.code, finding.action) == (ReasonCode.SECRET, Action.REVIEW)
    assert finding.reason.detail.startswith(f"{kind} ")
    assert secret not in finding.reason.detail
    assert len(finding.reason.detail) == len(kind) + len(" ab…yz")


def test_a_token_at_the_end_of_a_sentence_is_found() -> None:
    sentence = f"The token is {SECRETS['JSON Web Token']}."
    assert kinds(sentence) == kinds(f"{sentence} Next") == kinds(f"{sentence}Next") == ["JSON Web Token"]


@pytest.mark.parametrize(
    "token",
    [
        "<|im_start|>",
        "<|im_end|>",
        "<|endoftext|>",
        "<|eot_id|>",
        "<|start_header_id|>",
        "<|user|>",
        "<|START_OF_TURN_TOKEN|>",
        "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
        "[INST]",
        "[/INST]",
        "<<SYS>>",
        "<</SYS>>",
        "<s>",
        "</s>",
        "[TOOL_CALLS]",
        "<start_of_turn>",
        "<end_of_turn>",
        "<eos>",
    ],
)
def test_control_tokens_of_chat_templates_reject_and_are_shown_whole(token: str) -> None:
    (finding,) = screen({"text": f"Hi{token}there"}, CONFIG)
    assert (finding.reason.code, finding.action) == (ReasonCode.TEMPLATE_TOKEN, Action.REJECT)
    assert finding.reason.detail == f"control token {token}"


def test_each_kind_in_each_field_is_one_finding_that_counts_the_others() -> None:
    findings = screen({"a": "x@mail.com, y@mail.com, x@mail.com, z@mail.com </s>", "b": "x@mail.com"}, CONFIG)
    assert [(finding.reason.field, finding.reason.detail) for finding in findings] == [
        ("a", "e-mail address x@…om and 2 more"),
        ("a", "control token </s>"),
        ("b", "e-mail address x@…om"),
    ]


def test_a_card_number_is_not_a_phone_number_as_well() -> None:
    assert kinds("4155 5526 7100 0004 and 4242424242424242, call +1 415 555 2671") == ["card number", "phone number"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("call +44 20 7946 0958", "call +44-20-79460958", True),
        ("write to John.Doe@shop.com", "write to john.doe@shop.com", True),
        ("write to john.doe@shop.com", "write to johndoe@shop.com", False),
        ("write to me@ab.com", "write to me@a.b.com", False),
    ],
)
def test_a_number_is_the_same_however_it_is_grouped_and_in_an_address_each_sign_counts(
    one: str, other: str, same: bool
) -> None:
    values = personal_values([one], Screen()), personal_values([other], Screen())
    assert all(values) and (values[0] == values[1]) is same


def test_the_regions_decide_which_national_numbers_are_phone_numbers() -> None:
    text = "Tel. 030 901820 or (415) 555-2671 or +33 1 42 68 53 00"
    assert found(text, Screen(phone_regions=["DE"])) == ["phone number 03…20 and 1 more"]
    assert found(text, Screen(phone_regions=[])) == ["phone number +3…00"]


def test_the_configuration_says_what_happens() -> None:
    text = f"x@mail.com </s> {SECRETS['Slack Token']}"
    strict = Screen(personal_data=Action.REJECT, secrets=Action.REJECT, template_tokens=Action.REVIEW)
    assert [finding.action for finding in screen({"text": text}, strict)] == [
        Action.REJECT,
        Action.REJECT,
        Action.REVIEW,
    ]
    lax = Screen(personal_data=Action.ALLOW, secrets=Action.ALLOW, template_tokens=Action.ALLOW)
    assert screen({"text": text}, lax) == []


@pytest.mark.parametrize(
    "text",
    [
        "eyJ" * 50_000,
        "//" * 50_000 + "_authToken",
        "sk-" * 50_000 + "T3BlbkFJ",
        "a@" * 50_000,
        "@" + "a." * 50_000,
        "1 " * 50_000,
        "xoxb-1-" * 20_000,
        "<|" * 50_000,
        "12345678 " * 10_000,
        "me@a.xn--" * 20_000,
        "me@example.com_x-" * 10_000,
        "AT61 1904 " * 20_000,
        "de89370400440532013000-" * 10_000,
        "4111 1111 1111 1111 " * 10_000,
        "4111111111111111 " * 10_000,
        "1111." * 40_000 + "22",
        "1111  " * 30_000,
        "3782 822463 " * 20_000,
        "sk-proj-" * 20_000 + "T3BlbkFJ",
        "sk-_" * 40_000 + "T3BlbkFJ",
        "xapp-1-a-1-" * 20_000,
        "&sig=a%2B" * 20_000,
        "a1Q~" * 40_000,
        "IQoJb3JpZ2luX2Vj" * 10_000,
        "SECRET_ACCESS_KEY=" * 10_000,
        "ya29.1//0GOCSPX-" * 10_000,
        "BEGIN A " * 20_000 + "PRIVATE KEY",
        "hooks.slack.com/services/T" * 10_000,
        "k_live_sk_test_whsec_" * 10_000,
        "hvs.gsk_dapidop_v1_shpat_" * 10_000,
    ],
    ids=lambda text: text[:8],
)
def test_no_text_takes_quadratic_time(text: str) -> None:
    """A quadratic pattern would need hours here, not the second that a run of the test takes."""
    assert all(isinstance(finding, Finding) for finding in screen({"text": text}, CONFIG))


FINDS = [
    *SECRETS.values(),
    *(secret for _, secret in OTHER_FORMS),
    *("jane.doe+x@mail.co.uk", "<o'neil@müller.example>", "\u90ae\u7bb1me@example.com\u6216", "²@²a.ca"),
    *("(415) 555-2671", "+41 44 668 18 00", "my number is 4155552671"),
    *("020 7946 0958".translate({0x30 + digit: zero + digit for digit in range(10)}) for zero in (0x660, 0xFF10)),
    *("4111-1111-1111-1111", "4111\xa01111\xa01111\xa01111", "\u5361\u53f7378282246310005\u5230"),
    *("gb82 west 1234 5698 7654 32", "DE89370400440532013000"),
    *(
        "<|im_start|>",
        "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
        "[/INST]",
        "<</SYS>>",
        "</s>",
        "[TOOL_CALLS]",
        "<eos>",
    ),
]
AROUND = [
    "",
    " ",
    "\n",
    ".",
    "a",
    "1",
    "é",
    "\u672c",
    "\x1c",
    "\xa0",
    "\u2003",
    "@",
    "://",
    "AC",
    "12 34",
    "aws",
    '"',
    "\\",
]


@given(
    st.lists(st.sampled_from(AROUND) | st.text(max_size=4)), st.sampled_from(FINDS), st.lists(st.sampled_from(AROUND))
)
def test_no_text_in_which_something_is_found_passes_unsuspected(before: list[str], find: str, after: list[str]) -> None:
    fields = {"text": "".join([*before, find, *after]), "other": "x".join(after)}
    together = pl.Series(["\n".join(fields.values()), json.dumps(fields, ensure_ascii=False)])
    assert suspects(together).all() or not screen(fields, CONFIG)


@given(st.lists(st.text(st.sampled_from("aZ0\u0663\uff14²@:/.-_ \n<|>[]sACKkus~=")), min_size=1))
def test_suspects_are_told_apart_text_by_text(texts: list[str]) -> None:
    together = suspects(pl.Series(texts))
    assert together.to_list() == [suspects(pl.Series([text])).item() for text in texts]
    assert not [text for text, suspect in zip(texts, together, strict=True) if not suspect and found(text)]


@pytest.mark.parametrize("find", FINDS)
def test_everything_that_is_looked_for_is_suspected(find: str) -> None:
    assert suspects(pl.Series([f"use {find} here"])).item()


def test_ordinary_text_is_not_suspected() -> None:
    ordinary = [
        "The ACCEPTANCE of ASKS: see https://example.com/a-us, @property, 12 of 1,234 and May 3.",
        "W = A@other and '@cached', List<String> [INSTALL] <omitted>",
        "",
    ]
    assert suspects(pl.Series(ordinary)).to_list() == [False] * 3


def test_what_is_a_digit_to_python_is_one_to_polars() -> None:
    digits = re.findall(r"\d", "".join(map(chr, range(sys.maxunicode + 1))))
    assert pl.Series(digits).str.contains(r"\d").all()


@given(st.text())
def test_a_masked_value_shows_at_most_half_of_it(value: str) -> None:
    assert len(masked(value).replace("…", "", 1)) <= max(1, len(value) / 2)
