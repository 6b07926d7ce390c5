"""What calls cost: a price file that users edit, with the hour of this machine and the tokens of models elsewhere."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from pipeline.config.mistakes import messages
from pipeline.config.plain_yaml import PlainYamlError, read_yaml
from pipeline.errors import ConfigError
from pipeline.state.atomic import text_of

_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
CALLS = 1000
"""That a cost is of."""


class TokenPrices(BaseModel, extra="forbid", frozen=True):
    """Of a million tokens."""

    input: _Price
    output: _Price


class Prices(BaseModel, extra="forbid", frozen=True):
    """The file."""

    currency: Annotated[str, Field(min_length=1)] = "USD"
    machine_hour: _Price | None = None
    """Of a machine like this one, as busy as while it answered all questions together."""
    models: dict[str, TokenPrices] = {}
    """By the model's name at its endpoint."""

    def of_seconds(self, seconds: float) -> float | None:
        """What 1,000 calls of so many seconds cost on this machine; None without a price."""
        return None if self.machine_hour is None else CALLS * seconds * self.machine_hour / 3600

    def of_tokens(self, model: str, tokens_in: float, tokens_out: float) -> float | None:
        """What 1,000 calls with so many tokens cost; None without a price."""
        price = self.models.get(model)
        return None if price is None else CALLS * (tokens_in * price.input + tokens_out * price.output) / 1e6


def read_prices(path: Path) -> Prices:
    """Read a price file.

    Raises:
        ConfigError: it cannot be read, or has a wrong key or value; the first mistake is named with its line.
    """
    try:
        root, values = read_yaml(text_of(path, "utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"the price file {path} cannot be read ({error.strerror}); correct verdict.prices") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the price file {path} is not UTF-8; save it as UTF-8") from error
    except PlainYamlError as error:
        raise ConfigError(f"{path}{f':{error.line}' if error.line else ''}: {error}") from error
    if root is None or not isinstance(values, dict):
        raise ConfigError(f"{path}:1: a price file holds currency, machine_hour and models; this one does not")
    try:
        return Prices.model_validate(values)
    except ValidationError as error:
        # A misspelled key is missing, too: what was misspelled says more.
        first = min(messages(path, root, error, Prices), key=lambda line: "is not a known key" not in line)
        raise ConfigError(first) from error
