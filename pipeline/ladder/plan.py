"""What to fine-tune and to compare, and where the result goes."""

import ast
import inspect
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
from schemas.task import Task

_ANSWERS = 7
"""Raise it whenever arms answer or are scored differently for the same settings: what an older Goldleaf has asked is
asked again. 2: a tagger reads values that stand in the text. 3: intervals of few different answers are wider, and
answers begin where a template begins them. 4: equal inputs are one question, however they are cut. 5: intervals
of few groups are wider, more questions are timed, and what a model cannot read is answered with nothing. 6: answers
have room beyond the longest known one, and those that are cut are counted. 7: linear models look for choices in the
text, and see embeddings; several nearest rows vote."""
_VERDICTS = 5
"""Raise it whenever the same answers are judged differently. 1: an arm below `verdict.target` is not recommended.
2: few groups, few audited rows and times near the limit decide nothing, and forecasts are compared with forecasts.
3: rows that only the adapter was kept from leave open whether another arm is enough. 4: rows that wait in review are
answered before others are added. 5: a failed training says nothing."""
_OF_ANSWERS = {"base_model", "quantize", "max_length", "fix", "turns", "form", "max_new_tokens", "seed"}
"""The settings that answers of an arm without training depend on."""
TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class Plan:
    """What to fine-tune and to compare, and where the result goes."""

    version: Path
    """Folder of a published version."""
    task: type[Task]
    """Of the dataset, as it was when the version was published."""
    code: str
    """From ``code_of``, as soon as the task is loaded: its file may be edited while models are trained and asked."""
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

    def retraining_key(self, name: str) -> str:
        """The same of the recipe on other rows, or with another seed, as ``name`` says."""
        return stable_hash(self.training_key, name, self._raw_key or "")

    @property
    def key(self) -> str:
        """Equal keys, equal adapters and comparisons."""
        arms = [arm.model_dump(mode="json") for arm in self.arms]
        settings = [self.config.model_dump(mode="json"), arms, self.limits.model_dump(mode="json")]
        prices = self.access.prices.model_dump(mode="json")
        noise = self.noise and self.noise.model_dump(mode="json")
        audit = [noise, self.audited, self.unaudited]
        more = [_ANSWERS, _VERDICTS, prices, audit, self.curve, self._raw_key, self._task_key, self._prompt]
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
        asked = [settings, arm and arm.model_dump(mode="json"), self.goldleaf, _ANSWERS, self._task_key]
        return stable_hash(read_manifest(self.version).digest, json.dumps([learned, asked], sort_keys=True))

    @property
    def endpoints(self) -> list[EndpointArm]:
        """The arms that ask a model elsewhere."""
        return [arm for arm in self.arms if isinstance(arm, EndpointArm)]

    @property
    def _task_key(self) -> list[str]:
        """What the task takes as an answer, and what arms are held to."""
        return [self.task.task_digest(), self.code]

    @property
    def _prompt(self) -> list[str]:
        # Models on this machine are asked with the version's prompts, endpoints with the task's own.
        return [self.task.task_instruction(), self.task.task_answer_form()] if self.endpoints else []

    @property
    def _raw_key(self) -> str | None:
        # The raw rows are of the home as it is now, whatever the version.
        return None if self.raw is None else stable_hash(*(text for row in self.raw for text in (row.id, row.answer)))


def code_of(task: type[Task]) -> str:
    """The code of the task's file, which reads and checks answers, without comments and docstrings."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(task) or task))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_text(line)]
    return ast.dump(tree)


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
