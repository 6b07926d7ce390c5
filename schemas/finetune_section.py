"""The section `finetune` of a dataset.yaml: how the adapter is trained and evaluated."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, JsonValue, model_validator

from schemas.options import Fix, Form, Quantize, Turns
from schemas.share import Count


class Finetune(BaseModel, extra="forbid", frozen=True):
    """How the adapter is trained and evaluated."""

    base_model: str = "smollm2-135m-instruct"
    """A Hugging Face model id, a local folder, or ``smollm2-135m-instruct`` (from a Python package)."""
    max_rows: Count | None = None
    """Train on at most this many rows, sampled at random."""
    eval_rows: Count | None = None
    """Evaluate on at most this many test rows, sampled at random; default: on all."""
    slow_rows: Count = 500
    """Of these, the slow arms, such as prompted models, are asked at most this many: always the same ones."""
    turns: Turns = Turns.EVERY
    """Of a chat: learn and evaluate every turn of the assistant, or only the last one."""
    epochs: Annotated[float, Field(gt=0)] = 2
    batch_size: Count = 8
    accumulate: Count = 1
    """Batches whose gradients are summed for one step, where a larger batch does not fit into memory."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0
    """Of the steps, those in which the learning rate rises from 0."""
    evaluate: Annotated[int, Field(ge=0)] = 1
    """How often in an epoch the loss on the validation split is measured; the adapter of the lowest is kept. 0: never,
    the last one is kept."""
    patience: Count | None = None
    """Stop once so many measurements in a row were no better than the best before them; default: after all epochs."""
    packing: bool = False
    """Put short rows behind one another instead of padding them, without attending to each other."""
    rank: Count = 16
    alpha: Count = 32
    lora: dict[str, JsonValue] = {}
    """Further arguments of PEFT's LoraConfig, as PEFT spells them: ``use_dora``, ``target_modules`` and the like."""
    quantize: Quantize | None = None
    """Load the base model in fewer bits (QLoRA), which needs a CUDA GPU."""
    max_length: Count = 1024
    """Maximum tokens of prompt and answer; longer rows are left out and counted, never truncated."""
    fix: tuple[Fix, ...] = ()
    """What preflight does about rows with an error, instead of stopping: leave them out, shorten those too long."""
    form: Form = Form.HELD
    """Whether models are held to the form of the answers. Free, an untuned model mostly fails by its format."""
    max_new_tokens: Count | None = None
    """Maximum tokens of a prediction; default: half as many again as the longest known answer that is not asked for, or
    as the longest choices need; of a chat as most of its answers have."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 17
    """Training also seeds numpy, which accepts no larger one."""
    seeds: Annotated[int, Field(ge=1, le=20)] | None = None
    """Train with so many seeds in all, from ``seed`` on, to see how far the score depends on chance; the adapter of the
    first one is kept. Default: 3 if fine-tuning seems worth it and a training takes at most two minutes, else 1."""

    @model_validator(mode="after")
    def _something_is_measured(self) -> Self:
        if self.patience and not self.evaluate:
            raise ValueError("patience waits for measurements, of which evaluate: 0 takes none; remove either")
        return self
