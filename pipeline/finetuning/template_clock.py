"""The day that chat templates take for today.

Some, such as Llama 3's, write the date into every prompt. By the real day, rows would be other rows tomorrow: a killed
training could not go on, and equal settings would give other adapters.
"""

from datetime import datetime

_DAY = datetime(2024, 7, 26)
"""As Llama 3's templates have it if nobody tells them."""
_CODES = ("Y", "y", "m", "B", "b", "d", "A", "a", "H", "M", "S")
_CLOCK = (
    "{%- macro strftime_now(format) -%}{{ format"
    + "".join(f"|replace('%{code}', '{_DAY:%{code}}')" for code in _CODES)
    + " }}{%- endmacro -%}{{ '' }}"
)
"""In the template's own language, since it is given no functions."""


def on_one_day(template: str) -> str:
    """A chat template that is the same as the given one, but for what it says of today."""
    return f"{_CLOCK}{template}" if "strftime_now" in template else template
