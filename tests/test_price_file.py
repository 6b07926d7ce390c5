"""A price file says what calls cost, or in one line what is wrong with it."""

from pathlib import Path

import pytest

from pipeline.config.price_file import Prices, TokenPrices, read_prices
from pipeline.errors import ConfigError

RIGHT = """\
currency: EUR
machine_hour: 0.36
models:
  large-model: {input: 2.5, output: 10}
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "prices.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def mistake(folder: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as error:
        read_prices(written(folder, text))
    said = str(error.value)
    assert "\n" not in said
    return said.replace(f"{folder}/", "")


def test_prices_are_read_as_they_are_written(tmp_path: Path) -> None:
    assert read_prices(written(tmp_path, RIGHT)) == Prices(
        currency="EUR", machine_hour=0.36, models={"large-model": TokenPrices(input=2.5, output=10)}
    )
    assert read_prices(written(tmp_path, b"\xef\xbb\xbfmachine_hour: 1\n")) == Prices(machine_hour=1)


def test_a_cost_is_that_of_a_thousand_calls() -> None:
    prices = Prices(machine_hour=0.36, models={"m": TokenPrices(input=2.5, output=10)})
    assert prices.of_seconds(0.5) == pytest.approx(1000 * 0.5 * 0.36 / 3600)
    assert prices.of_tokens("m", 400, 20) == pytest.approx(1000 * (400 * 2.5 + 20 * 10) / 1e6)


def test_what_has_no_price_has_no_cost() -> None:
    assert Prices().of_seconds(5) is None
    assert Prices().of_tokens("m", 1, 1) is None
    assert Prices(machine_hour=0).of_seconds(5) == 0, "a price of nothing is a price"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            RIGHT.replace("machine_hour", "machine_hours"),
            "prices.yaml:2: 'machine_hours' is not a known key; did you mean machine_hour? Else use one of currency, "
            "machine_hour, models",
        ),
        (
            RIGHT.replace("output", "ouput"),
            "prices.yaml:4: 'models.large-model.ouput' is not a known key; did you mean output? Else use one of "
            "input, output",
        ),
        (RIGHT.replace(", output: 10", ""), "prices.yaml:4: 'models.large-model.output' is missing; it is required"),
        (
            RIGHT.replace("0.36", "-0.36"),
            "prices.yaml:2: machine_hour: Input should be greater than or equal to 0, got -0.36",
        ),
        (
            RIGHT.replace("2.5", "-2.5"),
            "prices.yaml:4: models.large-model.input: Input should be greater than or equal to 0, got -2.5",
        ),
        (
            RIGHT.replace("0.36", "cheap"),
            "prices.yaml:2: machine_hour: Input should be a valid number, unable to parse string as a number, "
            "got 'cheap'",
        ),
        (RIGHT.replace("0.36", ".inf"), "prices.yaml:2: machine_hour: Input should be a finite number, got inf"),
        (RIGHT.replace("EUR", "''"), "prices.yaml:1: currency: String should have at least 1 character, got ''"),
        (
            RIGHT.replace("{input: 2.5, output: 10}", "2.5"),
            "prices.yaml:4: 'models.large-model' is a section with the keys input, output",
        ),
        ("", "prices.yaml:1: a price file holds currency, machine_hour and models; this one does not"),
        ("# nothing\n", "prices.yaml:1: a price file holds currency, machine_hour and models; this one does not"),
        ("- 1\n", "prices.yaml:1: a price file holds currency, machine_hour and models; this one does not"),
    ],
    ids=[
        "a typo in a key",
        "a typo in a model's key",
        "half a price",
        "a negative hour",
        "a negative price",
        "no number",
        "no end",
        "no currency",
        "one price for both",
        "empty",
        "a comment only",
        "a list",
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_what_would_be_right(tmp_path: Path, text: str, said: str) -> None:
    assert mistake(tmp_path, text) == said


def test_what_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    assert mistake(tmp_path, "currency: USD\nmodels: {a: \n").startswith("prices.yaml:")
    assert mistake(tmp_path, "currency: USD\ncurrency: EUR\n").startswith("prices.yaml:2: ")
    assert mistake(tmp_path, b"currency: \xff\n") == "the price file prices.yaml is not UTF-8; save it as UTF-8"


def test_a_file_that_is_not_there_names_the_key_to_correct(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^the price file .*/none\.yaml cannot be read \(No such file or directory\)"
    ):
        read_prices(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\); correct verdict\.prices$"):
        read_prices(tmp_path)
