"""Screening finds what should not be trained on, shows it masked, and lets ordinary text pass."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.screen import Finding, masked, screen
from schemas.dataset import Action, Screen
from schemas.fate import ReasonCode

CONFIG = Screen()


def found(text: str, config: Screen = CONFIG) -> list[str]:
    return [finding.reason.detail for finding in screen({"text": text}, config)]


def kinds(text: str, config: Screen = CONFIG) -> list[str]:
    """The findings' kinds, without the masked values."""
    return [detail.rsplit(" ", 1)[0] for detail in found(text, config)]


def token(part: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


# Put together here, so that no scanner takes this file for a leak.
SECRETS = {
    "AWS Access Key": "AKIA" + "IOSFODNN7EXAMPLE",
    "Azure Storage Account access key": "AccountKey=" + "a" * 86 + "==",
    "Basic Auth Credentials": "https://admin:" + "hunter2@localhost/x",
    "GitHub Token": "ghp_" + "a1" * 18,
    "GitHub fine-grained token": "github_pat_" + "a1" * 30,
    "GitLab Token": "glpat-" + "a1" * 10,
    "JSON Web Token": f"{token({'alg': 'HS256'})}.{token({'sub': '1'})}.c2ln",
    "Mailchimp Access Key": "0a" * 16 + "-us12",
    "NPM tokens": "npm_" + "a1" * 18,
    "OpenAI Token": "sk-" + "a" * 20 + "T3BlbkFJ" + "b" * 20,
    "Anthropic API key": "sk-ant-" + "a1" * 20,
    "Google API key": "AIza" + "a" * 35,
    "Hugging Face token": "hf_" + "aB" * 17,
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "Encrypted private key": "-----BEGIN ENCRYPTED " + "PRIVATE KEY-----",
    "PyPI Token": "pypi-" + "AgEIcHlwaS5vcmc" + "a" * 80,
    "SendGrid API Key": "SG." + "a" * 22 + "." + "b" * 43,
    "Slack Token": "xoxb-" + "123456789012-abcdefghijkl",
    "Square OAuth Secret": "sq0csp-" + "a" * 43,
    "Stripe Access Key": "sk_live_" + "a1" * 12,
    "Telegram Bot Token": "123456789:AA" + "b" * 33,
    "Twilio API Key": "SK" + "0a" * 16,
}


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
    ],
)
def test_personal_data_goes_to_review_and_is_shown_masked(text: str, detail: str) -> None:
    (finding,) = screen({"question": text}, CONFIG)
    assert finding.action is Action.REVIEW
    assert (finding.reason.code, finding.reason.field) == (ReasonCode.PERSONAL_DATA, "question")
    assert finding.reason.detail == detail


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
        "Excite@Home and @user",
        "THE ACCEPTANCE OF AWS AND ASK-US SHALL NON-USE",
        "see https://example.com/a:b and x@y",
        "eyJhbGciOiJIUzI1NiJ9.notjsonatallbutlong.x",
        "List<String> [INSTALL] <|> <s0> a<b [1] <omitted>",
        "",
    ],
)
def test_ordinary_text_passes(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(("kind", "secret"), SECRETS.items())
def test_secrets_go_to_review_and_are_never_shown(kind: str, secret: str) -> None:
    (finding,) = screen({"text": f"use {secret} here"}, CONFIG)
    assert (finding.reason.code, finding.action) == (ReasonCode.SECRET, Action.REVIEW)
    assert finding.reason.detail.startswith(f"{kind} ")
    assert secret not in finding.reason.detail
    assert len(finding.reason.detail) == len(kind) + len(" ab…yz")


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
    ],
    ids=lambda text: text[:8],
)
def test_no_text_takes_quadratic_time(text: str) -> None:
    """A quadratic pattern would need hours here, not the second that a run of the test takes."""
    assert all(isinstance(finding, Finding) for finding in screen({"text": text}, CONFIG))


@given(st.text())
def test_a_masked_value_shows_at_most_half_of_it(value: str) -> None:
    assert len(masked(value).replace("…", "", 1)) <= max(1, len(value) / 2)
