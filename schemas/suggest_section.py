"""The section `suggest` of a dataset.yaml: which model is asked for answers, and what that may cost."""

import re
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, JsonValue, field_validator, model_validator

from schemas.options import Asked
from schemas.share import Count

LATEST = "latest"
"""Stands for the newest adapter of the newest version that has one."""

_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Suggest(BaseModel, extra="forbid", frozen=True):
    """A model that proposes answers to unlabeled rows, and has a say about labeled ones; none by default."""

    endpoint: str | None = None
    """The base address of an OpenAI-compatible server, up to ``/v1``."""
    model: str = ""
    """As the server calls it."""
    adapter: str | None = None
    """Instead of an endpoint: the run of one of the dataset's own adapters, the name of its folder in ``models``;
    ``latest`` is the newest one of the newest version that has any."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable with the key; the key itself is stored nowhere."""
    rows: Asked = Asked.DOUBTED
    limit: Count = 1000
    """How many rows it is asked about at most, as the dataset is now."""
    examples: Annotated[int, Field(ge=0, le=100)] = 0
    """How many answers of annotators the model is shown before each question."""
    max_tokens: Count = 512
    """Of an answer."""
    options: dict[str, JsonValue] = {}
    """Further keys of a request's body, which replace ours; with null, ours is left out."""
    parallel: Annotated[int, Field(gt=0, le=64)] = 4
    timeout: Annotated[float, Field(gt=0, le=3600)] = 120
    """Seconds until an answer is complete."""
    price_in: _Price | None = None
    """Of a million tokens of the prompt, in whatever currency."""
    price_out: _Price | None = None
    """Of a million tokens of the answer."""
    max_cost: _Price | None = None
    """All calls about the dataset together, whatever run made them."""
    max_total_tokens: Count | None = None
    """The same in tokens, of prompts and answers."""

    @property
    def is_on(self) -> bool:
        """Whether a model is asked at all."""
        return self.endpoint is not None or self.adapter is not None

    @property
    def longest_answer(self) -> int | None:
        """The tokens that a request allows an answer; None if it holds no limit."""
        sent = {"max_tokens": self.max_tokens} | self.options
        limits = [sent.get(name) for name in ("max_tokens", "max_completion_tokens")]
        found = [limit for limit in limits if limit is not None]
        # A server knows one of the two names; -1 stands for no limit at some.
        counts = [one for one in found if isinstance(one, int) and not isinstance(one, bool) and one > 0]
        return max(counts) if counts and len(counts) == len(found) else None

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        try:
            url = urlsplit(endpoint)
            _ = url.port
        except ValueError as error:
            raise ValueError(f"'{endpoint}' is not an address ({error}); write http(s)://host[:port]/v1") from error
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"'{endpoint}' is not an address; write http(s)://host[:port]/v1")
        if url.username or url.password or url.query or url.fragment:
            raise ValueError("the address of the endpoint must not hold a key; put it into an environment variable")
        return endpoint.rstrip("/").removesuffix("/chat/completions")

    @field_validator("adapter")
    @classmethod
    def _is_a_run(cls, adapter: str | None) -> str | None:
        if adapter is not None and not re.fullmatch(r"[\w.-]*\w", adapter):
            raise ValueError(f"'{adapter}' is not a run; name the folder of an adapter in the home's models")
        return adapter

    @field_validator("options")
    @classmethod
    def _leave_ours(cls, options: dict[str, Any]) -> dict[str, Any]:
        if ours := sorted({"model", "messages", "response_format", "stream", "n"} & options.keys()):
            raise ValueError(f"'{ours[0]}' is not yours to set in options; Goldleaf writes it")
        return options

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.adapter is not None and (self.endpoint is not None or self.model):
            raise ValueError("suggest names an adapter and a model of an endpoint; drop one of them")
        if self.endpoint is None:
            # Manifests and digests spell all defaults out.
            given = any(getattr(self, name) != info.default for name, info in type(self).model_fields.items())
            if given and self.adapter is None:
                raise ValueError("suggest names no endpoint to ask; add one such as http://127.0.0.1:8000/v1")
            return self
        if not self.model:
            raise ValueError("suggest.endpoint needs suggest.model, the model's name at that endpoint")
        if self.max_cost is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("suggest.max_cost needs suggest.price_in and price_out, per million tokens")
        if self.longest_answer is None and (self.max_cost is not None or self.max_total_tokens is not None):
            name = "max_cost" if self.max_cost is not None else "max_total_tokens"
            raise ValueError(
                f"suggest.{name} needs a limit in each request, and options replace ours; write a number above 0 as "
                "max_tokens or max_completion_tokens there"
            )
        return self
