"""What to fine-tune and to compare, and where the result goes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.adapters import adapter_key
from pipeline.finetuning.examples import Example
from pipeline.ladder.endpoints import Access
from pipeline.releases.versions import read_manifest
from schemas.arms_section import Arm, EndpointArm, Family, Limits, LocalArm
from schemas.dataset import Finetune
from schemas.identity import stable_hash

_ANSWERS = 5
"""Raise it whenever arms answer or are scored differently for the same settings: what an older Goldleaf has asked is
asked again. 2: a tagger reads values that stand in the text. 3: intervals of few different answers are wider, and
answers begin where a template begins them. 4: equal inputs are one question, however they are cut. 5: intervals
of few groups are wider, and more questions are timed."""
_VERDICTS = 2
"""Raise it whenever the same answers are judged differently. 1: an arm below `verdict.target` is not recommended.
2: few groups, few audited rows and times near the limit decide nothing, and forecasts are compared with forecasts."""
_OF_ANSWERS = {"base_model", "quantize", "max_length", "fix", "turns", "form", "max_new_tokens", "seed"}
"""The settings that answers of an arm without training depend on."""
TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class Plan:
    """What to fine-tune and to compare, and where the result goes."""

    version: Path
    """Folder of a published version."""
    config: Finetune
    arms: tuple[Arm, ...]
    limits: Limits
    run: str
    goldleaf: str
    work: Path
    """An empty folder for unfinished work."""
    models: Path
    access: Access
    """To endpoints."""
    noise: Estimate | None = None
    """The share of the version's test rows whose answer is wrong, as audited."""
    audited: int = 0
    """The rows that this rests on."""
    unaudited: int = 0
    """Test rows of which an audit says nothing."""
    curve: bool = False
    """Whether the recipe is trained on fewer rows, too, to see what more of them would bring."""
    base: str = ""
    """What tells the files of a local base model from others in the same place."""
    raw: Sequence[Example] | None = None
    """The raw rows, to be trained on beside the curated ones; None if that is not wanted."""

    @property
    def training_key(self) -> str:
        """Equal keys, equal adapters."""
        key = adapter_key(read_manifest(self.version).digest, self.config)
        return stable_hash(key, self.base) if self.base else key

    @property
    def key(self) -> str:
        """Equal keys, equal adapters and comparisons."""
        arms = [arm.model_dump(mode="json") for arm in self.arms]
        settings = [self.config.model_dump(mode="json"), arms, self.limits.model_dump(mode="json")]
        prices = self.access.prices.model_dump(mode="json")
        noise = self.noise and self.noise.model_dump(mode="json")
        more = [_ANSWERS, _VERDICTS, prices, noise, self.audited, self.unaudited, self.curve, self._raw_key]
        return stable_hash(self.training_key, json.dumps([settings, more], sort_keys=True))

    def answers_key(self, name: str) -> str:
        """Equal keys, equal answers of an arm to the same questions, whatever else is compared.

        Empty for an endpoint, which keeps every call by itself.
        """
        arm = next((arm for arm in self.arms if arm.name == name), None)
        if isinstance(arm, EndpointArm):
            return ""
        is_trained = not isinstance(arm, LocalArm) or arm.arm.family is Family.TUNED
        learned = [self.training_key, None if arm else self._raw_key] if is_trained else [self.base]
        settings = self.config.model_dump(mode="json", include=_OF_ANSWERS)
        asked = [settings, arm and arm.model_dump(mode="json"), self.goldleaf, _ANSWERS]
        return stable_hash(read_manifest(self.version).digest, json.dumps([learned, asked], sort_keys=True))

    @property
    def _raw_key(self) -> str | None:
        # The raw rows are of the home as it is now, whatever the version.
        return None if self.raw is None else stable_hash(*(text for row in self.raw for text in (row.id, row.answer)))
