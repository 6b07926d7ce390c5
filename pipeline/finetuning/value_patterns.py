"""Single values as terminals of a grammar: dates that a calendar has, and numbers within their limits.

Numbers have bounded lengths: a model that got stuck would otherwise write digits until it is stopped.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from pipeline.finetuning.field_limits import Limits
from schemas.field import ValueType

_YEAR = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR = (
    "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"  # 0000 is no year of Python's
)
_MONTH_AND_DAY = (
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_DATE = f"({_YEAR}-{_MONTH_AND_DAY}|{_LEAP_YEAR}-02-29)"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_CLOCK}:[0-5][0-9](\.[0-9]{{1,6}})?([+-]{_CLOCK})?"
_WORDS = {
    ValueType.BOOLEAN: "true|false",
    ValueType.DATETIME: f"{_DATE}T{_TIME}",
    ValueType.TIME: _TIME,
}
_DECIMAL_DIGITS = 38
"""That a published decimal can have."""


def _up_to(digits: str) -> str:
    """Digits behind a point that are not above some, nor more of them."""
    below = [
        f"{digits[:place]}[0-{int(digit) - 1}][0-9]{{0,{len(digits) - place - 1}}}"
        for place, digit in enumerate(digits)
        if digit != "0"
    ]
    return "|".join([*below, *(digits[: place + 1] for place in range(len(digits)))])


# As Python writes floats: shortest, and with an exponent below 0.0001 and from 1e16 on.
_MANTISSA = r"[1-9](\.[0-9]{1,16})?"
_TINY = rf"{_MANTISSA}e-(0[5-9]|[1-9][0-9]|[12][0-9]{{2}}|3[01][0-9]|32[0-3])|5e-324"
_HUGE = (
    rf"{_MANTISSA}e\+(1[6-9]|[2-9][0-9]|[12][0-9]{{2}}|30[0-7])"
    rf"|1(\.({_up_to('7976931348623157')}))?e\+308"
)
_TINY_END, _HUGE_START = Decimal("0.0001"), Decimal(10**16)


@dataclass(frozen=True, slots=True)
class _Bound:
    """A number that others may not pass."""

    value: Decimal
    included: bool = True


@dataclass(frozen=True, slots=True)
class _Range:
    """The numbers between two bounds; None is none."""

    low: _Bound | None
    high: _Bound | None


def value_terminal(type: ValueType, limits: Limits) -> str | None:
    """A terminal for the values of a type as a text has them; None for texts, choices, objects and conversations."""
    if type is ValueType.DATE:
        return _dates(limits)
    if type in _WORDS:
        return f"/{_WORDS[type]}/"
    within = _range(limits)
    match type:
        case ValueType.INTEGER:
            # What a column of a version can hold.
            low, high = within.low or _Bound(Decimal(-(2**63))), within.high or _Bound(Decimal(2**63 - 1))
            return _plain("0|[1-9][0-9]{0,18}", _Range(low, high))
        case ValueType.NUMBER:
            plain = _plain(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,20})?", within)
            return " | ".join([plain, *_with_exponents(within)])
        case ValueType.DECIMAL:
            return _plain(_decimals(limits), within)
        case _:
            return None


def _range(limits: Limits) -> _Range:
    low = [*_bounds(limits.ge, True), *_bounds(limits.gt, False)]
    high = [*_bounds(limits.le, True), *_bounds(limits.lt, False)]
    return _Range(
        max(low, key=lambda bound: (bound.value, not bound.included), default=None),
        min(high, key=lambda bound: (bound.value, bound.included), default=None),
    )


def _bounds(value: object, included: bool) -> list[_Bound]:
    return [] if value is None else [_Bound(Decimal(str(value)), included)]


# --- dates ------------------------------------------------------------------------------------
def _dates(limits: Limits) -> str:
    """Dates of the calendar within limits; as texts they have the order of time."""
    parts = [f"/{_DATE}/"]
    for bound, included, later in (
        (limits.ge, True, True), (limits.gt, False, True), (limits.le, True, False), (limits.lt, False, False)
    ):  # fmt: skip
        if bound is not None:
            parts.append(f"/{_beside(bound.isoformat(), included, later=later)}/")
    return " & ".join(parts)


def _beside(date: str, included: bool, *, later: bool) -> str:
    """Texts of the same form that come after one, or before it, or are equal to it if it is ``included``."""
    forms = [date] if included else []
    for place, digit in enumerate(date):
        if digit in ("-", "9" if later else "0"):
            continue
        others = f"[{int(digit) + 1}-9]" if later else f"[0-{int(digit) - 1}]"
        rest = re.sub("[0-9]", "[0-9]", date[place + 1 :])
        forms.append(f"{date[:place]}{others}{rest}")
    return "|".join(forms)


# --- plain numbers ----------------------------------------------------------------------------
def _decimals(limits: Limits) -> str:
    """Decimals without a sign of as many digits as there may be, each digit behind the point included."""
    most = min(limits.max_digits or _DECIMAL_DIGITS, _DECIMAL_DIGITS)
    places = min(most, most if limits.decimal_places is None else limits.decimal_places)
    whole = most - places if limits.max_digits and limits.decimal_places is not None else most
    forms = [f"0{_fraction(places)}"]
    for digits in range(1, whole + 1):
        forms.append(f"[1-9][0-9]{{{digits - 1}}}{_fraction(min(places, most - digits))}")
    return "|".join(forms)


def _fraction(places: int) -> str:
    return rf"(\.[0-9]{{1,{places}}})?" if places else ""


def _plain(unsigned: str, within: _Range) -> str:
    """The numbers of a pattern, with or without a minus, that are within a range."""
    low, high = within.low, within.high
    forms = []
    if high is None or high.value > 0 or (high.value == 0 and high.included):
        least = low if low and low.value >= 0 else None
        forms.append(_between(unsigned, least, high))
    if low is None or low.value < 0:
        least = _mirrored(high) if high and high.value <= 0 else None
        forms.append(f'"-" ({_between(unsigned, least, _mirrored(low))})')
    # Of an empty range nothing is an answer, whatever is written.
    return " | ".join(forms) or f"/{unsigned}/"


def _mirrored(bound: _Bound | None) -> _Bound | None:
    return bound and _Bound(-bound.value, bound.included)


def _between(unsigned: str, least: _Bound | None, most: _Bound | None) -> str:
    parts = [f"/{unsigned}/"]
    if least and not (least.value == 0 and least.included):
        parts.append(f"/{_beyond(least.value, least.included)}/")
    if most:
        parts.append(f"~/{_beyond(most.value, not most.included)}/")
    return " & ".join(parts)


def _beyond(value: Decimal, included: bool) -> str:
    """Numbers without a sign that are greater than one, or equal to it if it is ``included``."""
    whole, _, fraction = f"{value.normalize():f}".partition(".")
    any_fraction = r"(\.[0-9]+)?"
    forms = [f"[1-9][0-9]{{{len(whole)}}}[0-9]*{any_fraction}"]
    for place, digit in enumerate(whole):
        if digit != "9":
            forms.append(f"{whole[:place]}[{int(digit) + 1}-9][0-9]{{{len(whole) - place - 1}}}{any_fraction}")
    for place, digit in enumerate(fraction):
        if digit != "9":
            forms.append(rf"{whole}\.{fraction[:place]}[{int(digit) + 1}-9][0-9]*")
    forms.append(rf"{whole}\.{fraction}[0-9]*[1-9][0-9]*")
    if included:
        forms.append(rf"{whole}\.{fraction}[0-9]*" if fraction else rf"{whole}{any_fraction}")
    return "|".join(forms)


# --- floats with exponents --------------------------------------------------------------------
def _with_exponents(within: _Range) -> list[str]:
    """Floats that are very small or very large, as far as all of them are within a range."""
    forms = []
    for sign, least, most in (("", within.low, within.high), ('"-" ', _mirrored(within.high), _mirrored(within.low))):
        if (least is None or least.value <= 0) and (most is None or most.value >= _TINY_END):
            forms.append(f"{sign}/{_TINY}/")
        if most is None and (least is None or least.value < _HUGE_START):
            forms.append(f"{sign}/{_HUGE}/")
    return forms
