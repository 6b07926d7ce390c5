"""Looks at everything that a training would read, before its first step: what it would learn, and what it would not.

The rows go through the model's real chat template and tokenizer, in batches. Errors stop a training, warnings show.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from pipeline.errors import TrainingError
from pipeline.finetuning.answer_room import longest_answer
from pipeline.finetuning.examples import Example, SplitExamples, example_batches, how_to_fill
from pipeline.finetuning.foreseen_verdict import foreseen_verdict
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.lora_config import require_modules
from pipeline.finetuning.preflight_estimates import Memory, Plan, batches_of, memory, planned, typical_batches
from pipeline.finetuning.preflight_findings import Finding, Judge, Severity
from pipeline.finetuning.preflight_rows import UNSOUND, Measured, Meter, Problem, joined
from pipeline.finetuning.preflight_timing import TIMED_STEPS, Timing, time_depends_on, timed
from pipeline.finetuning.row_fixes import Fixes
from pipeline.finetuning.training_rows import check_examples, reach
from pipeline.kinds.registry import kind_named, kind_of
from pipeline.releases.versions import read_manifest
from pipeline.steps import Silent
from pipeline.text.token_lengths import TokenLengths
from pipeline.text.wording import counted
from schemas.dataset import Finetune, Fix, OnConflict
from schemas.manifest import Manifest
from schemas.task import Task

TRAIN, TEST = "train", "test"
Show = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Shows a stage while it runs: its name and number of units, then how many more are done."""

Keep = Callable[[tuple[str, ...], Callable[[], Timing]], Timing]
"""Gives a timing that is known, or measures it: what it depends on, and how to measure it."""

_Numbers = npt.NDArray[np.int64]


class SplitFigures(BaseModel, frozen=True):
    """The rows of a split in numbers."""

    rows: int
    kept: int
    """Rows that are trained on, before any are drawn; of other splits, rows that can be asked."""
    tokens: TokenLengths | None
    """Of the kept rows, prompt and answer."""
    trained: TokenLengths | None
    """Of them, the tokens that the loss is computed on."""


class Figures(BaseModel, frozen=True):
    """A training in numbers."""

    limit: int
    """Tokens that are read of a row: ``max_length``, or what the model can read."""
    splits: dict[str, SplitFigures]
    plan: Plan
    timing: Timing | None
    """None if no steps were timed."""
    memory: Memory | None
    """None if there is nothing to train on."""


class Preflight(BaseModel, frozen=True):
    """What was found before a training."""

    version: str
    """``name@version``."""
    base_model: str
    fix: tuple[Fix, ...]
    findings: tuple[Finding, ...]
    figures: Figures
    fixes: Mapping[str, Fixes] = Field(exclude=True)
    """By split, what is done about which rows."""
    longest_answer: int | None = None
    """Tokens that an answer may have; None if that is not known without the task."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What stops the training."""
        return self._of(Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is to be looked at."""
        return self._of(Severity.WARNING)

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is severity)

    def require_sound(self) -> None:
        """Raise ``TrainingError`` with every error, if there is one."""
        if not self.errors:
            return
        said = "; ".join(f"{finding} ({finding.next})" for finding in self.errors)
        raise TrainingError(
            f"Nothing was trained: preflight found {counted(len(self.errors), 'error')} in {self.version} for "
            f"{self.base_model}: {said}"
        )


def preflight(
    version: Path,
    config: Finetune,
    base: LoadedModel,
    show: Show | None = None,
    *,
    timing: bool = True,
    keep: Keep | None = None,
    task: type[Task] | None = None,
) -> Preflight:
    """Check the rows of a version against a model, and estimate what training on them takes.

    Args:
        version: folder of a published version.
        config: how would be trained; ``fix`` says what is done about rows with errors.
        base: the base model, loaded; it is as before afterwards.
        show: shows the stages while they run.
        timing: train for a few steps to measure their time, unless an error was found.
        keep: where the measured time is kept; by default nowhere.
        task: of the version, for how long an answer may be; without it only ``finetune.max_new_tokens`` says that.

    Raises:
        ReleaseError: the folder is not a published version, or its manifest is damaged.
        TrainingError: it has no train split, a timed step fails, the model has no such modules as ``finetune.lora``
            names, or its chat template renders nothing.
    """
    require_modules(config, base.model, base.name)
    return _Preflight(version, config, base, show or Silent().step, keep or _measure, task).run(timing)


def _measure(depends_on: tuple[str, ...], measure: Callable[[], Timing]) -> Timing:
    return measure()


class _Preflight:
    def __init__(
        self, version: Path, config: Finetune, base: LoadedModel, show: Show, keep: Keep, task: type[Task] | None
    ) -> None:
        self._version, self._config, self._base, self._show, self._keep = version, config, base, show, keep
        self._manifest: Manifest = read_manifest(version)
        self._limit = reach(config, base)
        context = getattr(base.model.config, "max_position_embeddings", None)
        any_of = self._manifest.config.get("on_conflict") == OnConflict.ANY_OF
        self._room = None if task is None else longest_answer(self._known_answers(), task, base)
        room = None if task is None or kind_of(task).judged_by_loss else self._room
        self._judge = Judge(base.name, config, self._limit, context, any_of, room)
        self._inputs = tuple(self._manifest.input_fields) if Fix.SHORTEN in config.fix else None

    def run(self, timing: bool) -> Preflight:
        """Measure all splits, judge them, and plan the training."""
        if not self._rows(TRAIN):
            check_examples(SplitExamples(self._version, TRAIN), self._config)
        others = [split for split, file in self._manifest.splits.items() if split != TRAIN and file.rows]
        rows = {split: self._measured(split) for split in (TRAIN, *others)}
        if rows[TRAIN].having(Problem.UNRENDERED).all():
            self._base.require_template()
        findings = self._judge.trained(rows[TRAIN])
        findings += [finding for split in others for finding in self._judge.asked(rows[split], split)]
        if TEST not in others:
            findings.append(_no_test_rows(self._manifest))
        else:
            kept, asked = int(self._judge.kept(rows[TRAIN]).sum()), self._judge.questions(rows[TEST])
            foreseen = foreseen_verdict(kept, asked, self._config)
            findings += [foreseen] if foreseen else []
        places = self._drawn(np.flatnonzero(self._judge.kept(rows[TRAIN])))
        tokens, trained = rows[TRAIN].tokens[places], rows[TRAIN].trained[places]
        batches = batches_of(tokens, self._config.batch_size, self._config.seed)
        plan = planned(tokens, trained, batches, self._config)
        fixes = {split: self._fixes(split, measured) for split, measured in rows.items()}
        is_sound = not any(finding.severity is Severity.ERROR for finding in findings)
        need = memory(self._base, plan, self._config, int(trained.max())) if batches else None
        may_try = timing and is_sound and need is not None and need.fits
        found = None
        if may_try:
            depends_on = time_depends_on(self._manifest.digest, self._config, self._base)
            found = self._keep(depends_on, lambda: self._timed(tokens, places, batches, fixes[TRAIN]))
        findings += _of_memory(need, self._config) if need else []
        order = list(Severity)
        return Preflight(
            version=f"{self._manifest.name}@{self._manifest.version}",
            base_model=self._base.name,
            fix=self._config.fix,
            findings=tuple(sorted(findings, key=lambda finding: order.index(finding.severity))),
            figures=Figures(
                limit=self._limit,
                splits={split: self._figures(split, measured) for split, measured in rows.items()},
                plan=plan,
                timing=found,
                memory=need,
            ),
            fixes=fixes,
            longest_answer=self._config.max_new_tokens or self._room,
        )

    def _known_answers(self) -> Iterator[Example]:
        """All rows but those that are asked."""
        return (
            row for split in (TRAIN, "validation") if self._rows(split) for row in SplitExamples(self._version, split)
        )

    def _measured(self, split: str) -> Measured:
        """All rows of a split."""
        chats = kind_named(self._manifest.kind).judged_by_loss
        meter = Meter(self._base, self._config.turns, self._limit, self._inputs, chats=chats)
        parts = []
        with self._show(f"checking {split}", self._rows(split)) as advance:
            for examples in example_batches(self._version, split):
                parts.append(meter.measure(examples))
                advance(len(examples))
        return joined(parts)

    def _rows(self, split: str) -> int | None:
        file = self._manifest.splits.get(split)
        return file.rows if file else None

    def _drawn(self, kept: _Numbers) -> _Numbers:
        """As many of the kept rows as are trained on."""
        most = self._config.max_rows
        if most is None or most >= len(kept):
            return kept
        return np.sort(np.random.default_rng(self._config.seed).choice(kept, most, replace=False))

    def _fixes(self, split: str, rows: Measured) -> Fixes:
        dropped = ~self._judge.kept(rows) & rows.having(UNSOUND) if split == TRAIN else rows.shortened & False
        cut = rows.shortened & ~dropped
        return Fixes(
            dropped=frozenset(rows.ids[place] for place in np.flatnonzero(dropped)),
            shortened=frozenset(rows.ids[place] for place in np.flatnonzero(cut)),
            inputs=self._inputs or (),
            limit=self._limit,
        )

    def _figures(self, split: str, rows: Measured) -> SplitFigures:
        kept = self._judge.usable(rows, split)
        count = int(kept.sum())
        return SplitFigures(
            rows=len(rows),
            kept=count,
            tokens=_lengths(rows.tokens[kept], self._base.name) if count else None,
            trained=_lengths(rows.trained[kept], self._base.name) if count else None,
        )

    def _timed(self, tokens: _Numbers, places: _Numbers, batches: Sequence[_Numbers], fixes: Fixes) -> Timing:
        """Some real steps on a usual batch and on the largest."""
        pair = typical_batches(tokens, batches)
        wanted = [places[batch] for batch in pair]
        found = self._examples(np.concatenate(wanted), fixes)
        usual, largest = ([found[int(place)] for place in batch] for batch in wanted)
        padded = [int(tokens[batch].max()) * len(batch) for batch in (*batches, *pair)]
        with self._show("timing some steps", 2 * TIMED_STEPS) as advance:
            return timed(usual, largest, padded, self._config, self._base, advance)

    def _examples(self, places: _Numbers, fixes: Fixes) -> dict[int, Example]:
        """Some rows of the train split, by their places, as they are trained on."""
        wanted, found, first = set(places.tolist()), dict[int, Example](), 0
        for examples in example_batches(self._version, TRAIN):
            here = [place for place in range(first, first + len(examples)) if place in wanted]
            found |= zip(here, fixes.applied([examples[place - first] for place in here], self._base), strict=True)
            first += len(examples)
        return found


def _lengths(tokens: _Numbers, model: str) -> TokenLengths:
    lengths, rows = np.unique(tokens, return_counts=True)
    return TokenLengths(encoding=model, records_by_length=dict(zip(lengths.tolist(), rows.tolist(), strict=True)))


def _no_test_rows(manifest: Manifest) -> Finding:
    return Finding(
        code="no_test_rows",
        severity=Severity.ERROR,
        split="",
        rows=0,
        of=0,
        what="the version has no test split, so that nobody could tell whether the training was worth it",
        next=how_to_fill(TEST, manifest),
    )


def _of_memory(need: Memory, config: Finetune) -> Iterator[Finding]:
    """Whether the largest batch fits into memory."""
    if need.fits:
        return
    lower = (
        f"lower finetune.batch_size to {need.fitting_batch:,}" if need.fitting_batch else "lower finetune.max_length"
    )
    yield Finding(
        code="out_of_memory",
        severity=Severity.ERROR if need.is_hopeless else Severity.WARNING,
        split="",
        rows=0,
        of=0,
        what=f"a step of {config.batch_size:,} rows takes about {shown_bytes(need.needed)} of memory beside the model, "
        f"but only {shown_bytes(need.free)} are free",
        next=f"{lower}, or choose a smaller finetune.base_model",
    )


def shown_bytes(count: int) -> str:
    """A number of bytes for readers."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
