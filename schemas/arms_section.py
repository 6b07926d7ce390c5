"""The sections `arms` and `verdict` of a dataset.yaml: what the adapter is compared with, and what would be enough."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from schemas.field import shown
from schemas.suggest_section import Suggest


class Family(StrEnum):
    """What a team would do with an arm that is enough."""

    CLASSICAL = "classical"
    """Use it instead of a language model."""
    PROMPT = "prompt"
    """Prompt a model, and train none."""
    TUNED = "tuned"
    """Use the adapter."""


class ArmName(StrEnum):
    """The arms that need no address, in the order in which they run: those that take seconds come first."""

    MAJORITY = "majority"
    """The most frequent answer of the training rows; of a rewriting task, the input unchanged."""
    LINEAR = "linear"
    """A linear model on TF-IDF and embeddings, which looks for choices in the text, for every field with choices, and a
    CRF tagger for values that stand in the text."""
    NEAREST = "nearest"
    """The answer of the most similar training row, or what most of several answer."""
    ZERO_SHOT = "zero_shot"
    """The base model, held to the form of the answers."""
    FEW_SHOT = "few_shot"
    """The same, shown the most similar training rows with their answers."""
    ADAPTER = "adapter"
    """The adapter, held to the form."""
    ADAPTER_LINEAR = "adapter_linear"
    """The adapter and a linear model together, where the answer is a single choice: the likelihoods are multiplied."""
    ADAPTER_FREE = "adapter_free"
    """The adapter without that: what a server gives that knows nothing of the form."""

    @property
    def family(self) -> Family:
        """What it is an example of."""
        match self:
            case ArmName.MAJORITY | ArmName.LINEAR | ArmName.NEAREST:
                return Family.CLASSICAL
            case ArmName.ZERO_SHOT | ArmName.FEW_SHOT:
                return Family.PROMPT
            case ArmName.ADAPTER | ArmName.ADAPTER_LINEAR | ArmName.ADAPTER_FREE:
                return Family.TUNED


_Examples = Annotated[int, Field(ge=0, le=100)]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]


class _Section(BaseModel, extra="forbid", frozen=True):
    """The base of all arms."""


class LocalArm(_Section):
    """An arm that runs on this machine."""

    arm: ArmName
    examples: _Examples = 5
    """Of ``few_shot``: how many training rows are shown before each question."""

    @property
    def name(self) -> str:
        """Its name in tables and files."""
        return self.arm.value


class EndpointArm(_Section):
    """A model at an OpenAI-compatible endpoint."""

    name: _Name
    endpoint: str
    """The base address, up to ``/v1``."""
    model: str
    """As the server calls it; prices are looked up under it, too."""
    examples: _Examples = 5
    """How many training rows are shown before each question."""
    api_key_env: str = "OPENAI_API_KEY"
    max_tokens: Annotated[int, Field(gt=0)] = 512
    options: dict[str, Any] = {}
    parallel: Annotated[int, Field(gt=0, le=64)] = 4
    timeout: Annotated[float, Field(gt=0, le=3600)] = 120

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        # The same rules for addresses, options and keys as for suggestions.
        _ = self.asked
        return self

    @property
    def asked(self) -> Suggest:
        """How it is asked."""
        return Suggest.model_validate(self.model_dump(exclude={"name", "examples"}))


class StatedArm(_Section):
    """A score that somebody states: it is shown apart, with its source, and decides nothing."""

    name: _Name
    stated: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """By the metric of the task's kind, on whatever test set the source had."""
    source: Annotated[str, Field(min_length=1)]
    """Where it is from: an address, a document."""


Arm = LocalArm | EndpointArm | StatedArm


def read_arm(given: Any) -> Any:
    """An arm as it may be written: a bare name, or an object; which of the three is told by its keys.

    Raises:
        ValueError: it is neither, or has a wrong key or value.
    """
    if isinstance(given, LocalArm | EndpointArm | StatedArm):
        return given
    if isinstance(given, str):
        given = {"arm": given}
    kinds: dict[str, type[_Section]] = {"endpoint": EndpointArm, "stated": StatedArm, "arm": LocalArm}
    kind = next((kind for key, kind in kinds.items() if isinstance(given, dict) and key in given), None)
    if kind is None:
        raise ValueError(
            f"an arm is one of {', '.join(ArmName)}, or a section with the key arm (one of these), endpoint (a model "
            f"elsewhere) or stated (a score and its source), got {shown(given)}"
        )
    if unknown := [key for key in given if key not in kind.model_fields]:
        known = ", ".join(sorted(kind.model_fields))
        raise ValueError(f"'{unknown[0]}' is not a known key of such an arm; use one of {known}")
    return kind.model_validate(given)


DEFAULT_ARMS: tuple[Arm, ...] = tuple(LocalArm(arm=name) for name in ArmName)


def check_arms(arms: Sequence[Arm]) -> None:
    """Refuse a list that cannot be compared.

    Raises:
        ValueError: two arms have one name, or the adapter is not among them.
    """
    names = [arm.name for arm in arms]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two arms are called '{doubled[0]}'; give one of them another name")
    if reserved := [arm.name for arm in arms if not isinstance(arm, LocalArm) and arm.name in list(ArmName)]:
        raise ValueError(f"'{reserved[0]}' is the name of an arm of ours; give the endpoint another name")
    if columns := [arm.name for arm in arms if arm.name in _COLUMNS]:
        raise ValueError(f"'{columns[0]}' is a column of predictions.parquet, as every arm has; give it another name")
    if ArmName.ADAPTER.value not in names:
        raise ValueError(
            "the adapter is not among the arms, and the others are there to be compared with it; add it ("
            "`goldleaf baselines` compares them alone)"
        )


_COLUMNS = ("id", "gold")
"""Of every test question, beside the arms' answers."""


class Limits(_Section):
    """What an answer may cost and take, and how good it must be; and which differences matter."""

    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """A smaller difference between two arms is none, by the metric of the task's kind: 0.02 is two points."""
    target: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The score that is needed."""
    max_cost: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The most that 1,000 calls may cost, in the currency of the price file."""
    max_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The most that a single call may take."""
    prices: str | None = None
    """The price file, relative to the dataset.yaml."""

    @field_validator("prices")
    @classmethod
    def _is_a_file(cls, prices: str | None) -> str | None:
        if prices is not None and "://" in prices:
            raise ValueError(f"'{prices}' is an address; name a file next to the dataset.yaml")
        return prices

    @model_validator(mode="after")
    def _can_be_computed(self) -> Self:
        if self.max_cost is not None and self.prices is None:
            raise ValueError("verdict.max_cost needs verdict.prices, the file with what a call costs")
        return self
